//! The editor of a template: what a form holds, what it means, and what a template would say.

use askama::Template;
use serde_json::{Map, Value};

use super::Dashboard;
use super::session::{Fields, Seat};
use crate::domain::{Channel, Locale, Priority, Zone};
use crate::http::problem::Problem;
use crate::http::values::called;
use crate::render::{EmailSources, Letterhead, Mail, Sms, Sources, Wording};
use crate::service::{Error, Look};

const CHANNELS: [Channel; 4] = [Channel::Realtime, Channel::Push, Channel::Email, Channel::Sms];

pub struct Choice {
    pub word: &'static str,
    pub is_chosen: bool,
}

pub struct Version {
    pub number: i64,
    pub author: String,
    pub at: String,
    pub is_shown: bool,
}

/// What a template would say.
pub struct Said {
    pub locale: String,
    pub title: String,
    pub message: String,
    pub buttons: String,
    pub sms: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

#[derive(Template, Default)]
#[template(path = "dashboard/template.html")]
pub struct Editor {
    /// Empty: a new one.
    pub name: String,
    /// As it was given, of a new one.
    pub new_name: String,
    pub notice: String,
    pub fault: String,
    pub detail: String,
    /// The version in use when the form was made.
    pub base: i64,
    /// The version that is shown.
    pub from: i64,
    pub is_built_in: bool,
    pub locale: String,
    pub locales: Vec<String>,
    pub description: String,
    pub kind: String,
    pub priorities: Vec<Choice>,
    pub channels: Vec<Choice>,
    pub required: String,
    pub optional: String,
    pub default_locale: String,
    pub title: String,
    pub message: String,
    pub sms: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub data: String,
    pub zone: String,
    pub said: Option<Said>,
    pub versions: Vec<Version>,
}

/// What came of a form: done, or to be corrected.
pub enum Came {
    Kept,
    Previewed(Box<Said>),
    Faulty(String, String),
}

pub fn faulty(problem: Problem) -> Came {
    let (_, title, detail) = problem.said();
    Came::Faulty(title.to_owned(), detail)
}

pub fn field(name: &'static str, expected: &str) -> Came {
    faulty(Problem::of_field(name, expected))
}

pub fn choices(channels: &[Channel], priority: Priority) -> (Vec<Choice>, Vec<Choice>) {
    let channel = |one: Channel| Choice { word: called(one), is_chosen: channels.contains(&one) };
    let of_priority = |one: Priority| Choice { word: one.name(), is_chosen: one == priority };
    (CHANNELS.map(channel).into(), Priority::ALL.map(of_priority).into())
}

/// Something to try it with: the name of each value that it must have.
fn sample(sources: &Sources) -> String {
    let values: Map<String, Value> =
        sources.required.iter().map(|name| (name.clone(), Value::from(name.as_str()))).collect();
    serde_json::to_string_pretty(&values).unwrap_or_default()
}

impl Editor {
    /// What `sources` say in this language.
    pub fn of(sources: &Sources, locale: &Locale) -> Self {
        let wording = sources.locales.get(locale).cloned().unwrap_or_default();
        let email = wording.email.unwrap_or_default();
        let (channels, priorities) = choices(&sources.channels, sources.priority);
        Self {
            locale: locale.to_string(),
            locales: sources.locales.keys().map(Locale::to_string).collect(),
            description: sources.description.clone(),
            kind: sources.kind.clone(),
            priorities,
            channels,
            required: sources.required.join(", "),
            optional: sources.optional.join(", "),
            default_locale: sources.default_locale.to_string(),
            title: wording.title,
            message: wording.message,
            sms: wording.sms.unwrap_or_default(),
            subject: email.subject.unwrap_or_default(),
            text: email.text.unwrap_or_default(),
            html: email.html.unwrap_or_default(),
            data: sample(sources),
            zone: "UTC".to_owned(),
            ..Self::default()
        }
    }

    /// What was typed stays, whatever came of it.
    pub fn typed(&mut self, given: &Fields) {
        let named: Vec<Channel> = given.all("channel").filter_map(Channel::named).collect();
        let priority = Priority::parse(given.of("priority")).unwrap_or_default();
        (self.channels, self.priorities) = choices(&named, priority);
        let fields = [
            (&mut self.new_name, "name"),
            (&mut self.locale, "locale"),
            (&mut self.description, "description"),
            (&mut self.kind, "type"),
            (&mut self.required, "required"),
            (&mut self.optional, "optional"),
            (&mut self.default_locale, "default_locale"),
            (&mut self.title, "title"),
            (&mut self.message, "message"),
            (&mut self.sms, "sms"),
            (&mut self.subject, "subject"),
            (&mut self.text, "text"),
            (&mut self.html, "html"),
            (&mut self.data, "data"),
            (&mut self.zone, "zone"),
        ];
        for (field, name) in fields {
            given.of(name).clone_into(field);
        }
    }

    pub fn came(&mut self, came: Came) {
        match came {
            Came::Kept => {}
            Came::Previewed(said) => self.said = Some(*said),
            Came::Faulty(fault, detail) => (self.fault, self.detail) = (fault, detail),
        }
    }
}

fn names(text: &str) -> Vec<String> {
    text.split([',', ' ', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What the form says, with all else of `before` as it was.
pub fn sources(given: &Fields, before: Option<&Sources>) -> Result<(Sources, Locale), Came> {
    let locale =
        |name: &'static str| Locale::new(given.of(name).trim()).map_err(|expected| field(name, expected));
    let (language, default_locale) = (locale("locale")?, locale("default_locale")?);
    let mut locales = before.map(|before| before.locales.clone()).unwrap_or_default();
    let actions = locales.get(&language).map(|wording| wording.actions.clone()).unwrap_or_default();
    // Browsers send line ends as two letters.
    let text = |name: &str| Some(given.of(name).replace("\r\n", "\n")).filter(|text| !text.trim().is_empty());
    let email = EmailSources { subject: text("subject"), text: text("text"), html: text("html") };
    let wording = Wording {
        title: text("title").unwrap_or_default(),
        message: text("message").unwrap_or_default(),
        sms: text("sms"),
        actions,
        email: Some(email).filter(|email| *email != EmailSources::default()),
    };
    match given.of("do") {
        "drop" => _ = locales.remove(&language),
        _ => _ = locales.insert(language.clone(), wording),
    }
    let sources = Sources {
        description: text("description").unwrap_or_default(),
        kind: given.of("type").trim().to_owned(),
        priority: Priority::parse(given.of("priority")).unwrap_or_default(),
        channels: given.all("channel").filter_map(Channel::named).collect(),
        required: names(given.of("required")),
        optional: names(given.of("optional")),
        default_locale,
        locales,
    };
    Ok((sources, language))
}

pub async fn preview(
    dashboard: &Dashboard,
    seat: &Seat,
    given: &Fields,
    sources: Sources,
    locale: Locale,
) -> Result<Said, Came> {
    let text = given.some("data").unwrap_or_else(|| "{}".to_owned());
    let data = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
    let data = data.ok_or_else(|| field("data", "a JSON object, such as {\"name\": \"Ada\"}"))?;
    let zone = given.some("zone").unwrap_or_else(|| "UTC".to_owned());
    let zone = Zone::named(&zone).ok_or_else(|| field("zone", "an IANA time zone, such as Europe/Berlin"))?;
    let look = Look { locale, zone, data };
    let fault = |fault: Error| faulty(fault.into());
    let (_, words) = dashboard.api.library.preview_of(&seat.who, sources, look).await.map_err(fault)?;
    let mail = Mail::of(&words, &Letterhead::default()).map_err(|why| fault(Error::Template(why)))?;
    let buttons: Vec<&str> = words.buttons.iter().map(|button| button.title.as_str()).collect();
    Ok(Said {
        locale: words.locale.to_string(),
        buttons: buttons.join(", "),
        sms: Sms::of(&words, None).0,
        title: words.texts.title.clone(),
        message: words.texts.message.clone(),
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
    })
}
