//! Templates, as they are written.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{Channel, Locale, TemplateName};
use crate::render::{Action, EmailSources, Sources, Wording};
use crate::service::Shelved;
use crate::store::TemplateVersion;

/// A button of a push message.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = TemplateAction)]
pub struct ActionBody {
    /// What the service worker hears of.
    #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,31}$")]
    action: String,
    /// What stands on it.
    #[schema(min_length = 1)]
    title: String,
}

/// What an e-mail says; what is left out is made of the title and the message.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = TemplateEmail)]
pub struct EmailBody {
    subject: Option<String>,
    text: Option<String>,
    /// Plain elements and links, without attributes but `href`; values are escaped. It is put into the layout of all e-mails.
    html: Option<String>,
}

/// What it says in one language: values stand in `{{ … }}`, conditions in `{% if … %}`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = TemplateWording)]
pub struct WordingBody {
    #[schema(max_length = 16_384)]
    title: String,
    #[schema(max_length = 16_384)]
    message: String,
    /// As a text message.
    sms: Option<String>,
    /// Buttons of a push message.
    #[schema(max_items = 2)]
    actions: Option<Vec<ActionBody>>,
    email: Option<EmailBody>,
}

/// What an author writes, and what else there is to say of it.
macro_rules! authored {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $more:ident: $type:ty,)* }) => {
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, expecting = "a JSON object")]
        $(#[$about])*
        pub struct $name {
            #[schema(max_length = 500)]
            description: Option<String>,
            /// The kind of what is sent by it, if its sender names none.
            #[schema(value_type = Label)]
            r#type: String,
            /// How much it matters, if its sender does not say.
            #[serde(default, deserialize_with = "values::priority")]
            priority: Option<Priority>,
            /// Which ways it goes, if its sender does not say: `in_app`, `push`, `email`, `sms`.
            channels: Option<Vec<String>>,
            /// What the data must have.
            #[schema(max_items = 64)]
            required: Option<Vec<String>>,
            /// What the data may have.
            #[schema(max_items = 64)]
            optional: Option<Vec<String>>,
            /// The language of whoever wants one that there is not; `en`, if nothing is said.
            #[schema(value_type = Option<String>)]
            default_locale: Option<Locale>,
            /// By language: `en`, `es-MX`.
            #[schema(value_type = BTreeMap<String, WordingBody>)]
            locales: BTreeMap<Locale, WordingBody>,
            $($(#[$of])* $more: $type,)*
        }

        impl $name {
            /// As it is kept.
            ///
            /// # Errors
            /// When a channel is unknown.
            pub fn sources(self) -> Result<Sources, Broken> {
                let wording = |(locale, wording): (Locale, WordingBody)| (locale, wording.into());
                Ok(Sources {
                    description: self.description.unwrap_or_default(),
                    kind: self.r#type,
                    priority: self.priority.unwrap_or_default(),
                    channels: values::channels(self.channels.as_deref(), "channels")?.unwrap_or_default(),
                    required: self.required.unwrap_or_default(),
                    optional: self.optional.unwrap_or_default(),
                    default_locale: self.default_locale.unwrap_or_default(),
                    locales: self.locales.into_iter().map(wording).collect(),
                })
            }
        }
    };
}

authored! {
    /// What the author of a template writes.
    #[schema(as = TemplateSources, example = json!({
        "type": "order_status", "required": ["order"],
        "locales": {"en": {"title": "Order {{ order }} was shipped", "message": "It is on its way."}}
    }))]
    SourcesIn {}
}

authored! {
    /// A new template.
    #[schema(as = NewTemplate, example = json!({
        "name": "order_shipped", "type": "order_status", "required": ["order"],
        "locales": {"en": {"title": "Order {{ order }} was shipped", "message": "It is on its way."}}
    }))]
    TemplateNewIn {
        /// By which it is called.
        #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$")]
        name: TemplateName,
    }
}

impl TemplateNewIn {
    /// Its name, and the rest.
    ///
    /// # Errors
    /// When a channel is unknown.
    pub fn named(self) -> Result<(TemplateName, Sources), Broken> {
        Ok((self.name.clone(), self.sources()?))
    }
}

impl From<WordingBody> for Wording {
    fn from(WordingBody { title, message, sms, actions, email }: WordingBody) -> Self {
        let action = |ActionBody { action, title }: ActionBody| Action { action, title };
        let actions = actions.unwrap_or_default().into_iter().map(action).collect();
        let email = email.map(|EmailBody { subject, text, html }| EmailSources { subject, text, html });
        Self { title, message, sms, actions, email }
    }
}

impl From<Wording> for WordingBody {
    fn from(Wording { title, message, sms, actions, email }: Wording) -> Self {
        let action = |Action { action, title }: Action| ActionBody { action, title };
        let actions = Some(actions.into_iter().map(action).collect());
        let email = email.map(|EmailSources { subject, text, html }| EmailBody { subject, text, html });
        Self { title, message, sms, actions, email }
    }
}

/// Which version.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionIn {
    /// Its number, used or not; the one that is used, if nothing is said. 0: the one that is built in.
    #[param(minimum = 0)]
    pub version: Option<i64>,
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionsIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The last version seen: those before it follow.
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
}

/// It is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateKept)]
pub struct TemplateKeptOut {
    /// Its name.
    pub name: String,
    /// The version that is used from now on.
    pub version: i64,
}

/// A template in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateEntry)]
pub struct TemplateEntryOut {
    name: String,
    /// 0: the one that is built in.
    version: i64,
    is_built_in: bool,
    description: String,
    r#type: String,
    #[schema(value_type = Priority)]
    priority: &'static str,
    channels: Vec<&'static str>,
    required: Vec<String>,
    optional: Vec<String>,
    default_locale: String,
    locales: Vec<String>,
    /// Who wrote this version.
    author: Option<String>,
    created_at: Option<Timestamp>,
}

impl From<&Shelved> for TemplateEntryOut {
    fn from(Shelved { template, author, created_at }: &Shelved) -> Self {
        let sources = template.sources();
        Self {
            name: template.name().to_string(),
            version: template.version(),
            is_built_in: created_at.is_none(),
            description: sources.description.clone(),
            r#type: sources.kind.clone(),
            priority: sources.priority.name(),
            channels: sources.channels.iter().map(|channel| word(*channel)).collect(),
            required: sources.required.clone(),
            optional: sources.optional.clone(),
            default_locale: sources.default_locale.to_string(),
            locales: sources.locales.keys().map(Locale::to_string).collect(),
            author: author.clone(),
            created_at: *created_at,
        }
    }
}

/// A channel by the word of this API.
const fn word(channel: Channel) -> &'static str {
    match channel {
        Channel::Realtime => "in_app",
        other => other.name(),
    }
}

/// All of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Templates)]
pub struct TemplatesOut {
    templates: Vec<TemplateEntryOut>,
}

impl From<Vec<Shelved>> for TemplatesOut {
    fn from(all: Vec<Shelved>) -> Self {
        Self { templates: all.iter().map(TemplateEntryOut::from).collect() }
    }
}

/// A template, with all that its author wrote.
#[derive(Serialize, ToSchema)]
#[schema(as = Template)]
pub struct TemplateOut {
    #[serde(flatten)]
    entry: TemplateEntryOut,
    /// By language.
    sources: BTreeMap<String, WordingBody>,
}

impl From<Shelved> for TemplateOut {
    fn from(shelved: Shelved) -> Self {
        let entry = TemplateEntryOut::from(&shelved);
        let locales = shelved.template.sources().locales.clone();
        let source = |(locale, wording): (Locale, Wording)| (locale.to_string(), wording.into());
        Self { entry, sources: locales.into_iter().map(source).collect() }
    }
}

/// One version.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateVersion)]
struct VersionOut {
    version: i64,
    author: Option<String>,
    created_at: Timestamp,
}

/// A page of versions, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateVersions)]
pub struct VersionsOut {
    versions: Vec<VersionOut>,
    has_more: bool,
    next_cursor: Option<i64>,
}

impl From<(Vec<TemplateVersion>, bool)> for VersionsOut {
    fn from((page, has_more): (Vec<TemplateVersion>, bool)) -> Self {
        let next_cursor = page.last().map(|last| last.version).filter(|_| has_more);
        let version =
            |TemplateVersion { version, author, created_at, .. }| VersionOut { version, author, created_at };
        Self { versions: page.into_iter().map(version).collect(), has_more, next_cursor }
    }
}
