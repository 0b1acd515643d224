//! Looking at what templates say, as it is written.

use super::*;
use crate::domain::{Channel, Locale, Zone};
use crate::render::{Alert, Letterhead, Mail, Push, RenderError, Sms, Sources, Template, Words};
use crate::service::Look;

/// For whom a template is looked at, and what it gets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = TemplateLook, example = json!({"locale": "es-MX", "data": {"grade": 85}, "channel": "email"}))]
pub struct LookIn {
    /// `en`, if nothing is said.
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
    /// By whose clocks: an IANA time zone; `UTC`, if nothing is said.
    time_zone: Option<Zone>,
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Only so: `in_app`, `push`, `email` or `sms`; all ways, if nothing is said.
    channel: Option<String>,
}

/// The same, of a template that is not kept yet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = TemplateLookAt, example = json!({
    "template": {"type": "order_status", "locales": {"en": {"title": "Shipped", "message": "It is on its way."}}}
}))]
pub struct LookAtIn {
    template: SourcesIn,
    /// `en`, if nothing is said.
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
    /// By whose clocks: an IANA time zone; `UTC`, if nothing is said.
    time_zone: Option<Zone>,
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Only so: `in_app`, `push`, `email` or `sms`; all ways, if nothing is said.
    channel: Option<String>,
}

/// Which ways are shown.
pub struct Shown(Option<Channel>);

impl LookIn {
    /// What is asked for.
    ///
    /// # Errors
    /// When the channel is unknown.
    pub fn taken(self) -> Result<(Look, Shown), Broken> {
        let expected = "in_app, push, email or sms";
        let unknown = Broken { field: "channel", expected };
        let shown = self.channel.map(|name| Channel::named(&name).ok_or(unknown)).transpose()?;
        let data = self.data.unwrap_or_else(|| Map::new().into());
        let (locale, zone) = (self.locale.unwrap_or_default(), self.time_zone.unwrap_or_default());
        Ok((Look { locale, zone, data }, Shown(shown)))
    }
}

impl LookAtIn {
    /// What is asked for, and the template.
    ///
    /// # Errors
    /// When a channel is unknown.
    pub fn taken(self) -> Result<(Sources, (Look, Shown)), Broken> {
        let Self { template, locale, time_zone, data, channel } = self;
        Ok((template.sources()?, LookIn { locale, time_zone, data, channel }.taken()?))
    }
}

/// An e-mail.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateMail)]
struct MailOut {
    subject: String,
    text: String,
    html: String,
}

/// What would be said.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateSaid)]
pub struct SaidOut {
    /// In which language.
    locale: String,
    /// 0: the template is built in, or not kept yet.
    version: i64,
    title: String,
    message: String,
    /// What the service worker gets.
    #[schema(value_type = Option<Object>)]
    push: Option<Push>,
    email: Option<MailOut>,
    sms: Option<String>,
}

impl Shown {
    /// What `words` say there.
    ///
    /// # Errors
    /// When a page cannot be made.
    pub fn said(&self, template: &Template, words: &Words) -> Result<SaidOut, Error> {
        let is_shown = |channel: Channel| self.0.is_none_or(|only| only == channel);
        let mail = || -> Result<MailOut, RenderError> {
            let Mail { subject, text, html } = Mail::of(words, &Letterhead::default())?;
            Ok(MailOut { subject, text, html })
        };
        let sources = template.sources();
        let alert = Alert {
            id: 1,
            uuid: Uuid::nil(),
            kind: &sources.kind,
            template: Some(template.name().as_str()),
            priority: sources.priority,
            action_url: None,
            icon: None,
            badge: None,
            stop: None,
        };
        Ok(SaidOut {
            locale: words.locale.to_string(),
            version: template.version(),
            title: words.texts.title.clone(),
            message: words.texts.message.clone(),
            push: is_shown(Channel::Push).then(|| Push::of(words, &alert)),
            email: is_shown(Channel::Email).then(mail).transpose().map_err(Error::Template)?,
            sms: is_shown(Channel::Sms).then(|| Sms::of(words, None).0),
        })
    }
}
