//! The templates of a tenant: those it made, and those that come with the server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Error;
use crate::access::Principal;
use crate::delivery::{BUILT_IN, TemplateFault, Templates, compiled};
use crate::domain::{
    Action, Broken, Clock, Deed, Draft, Locale, Recipient, TemplateName, Templated, Tenant, Timestamp, To,
    Zone,
};
use crate::render::{RenderError, Scene, Sources, Template, Words, built_in, built_ins};
use crate::store::{Store, StoreError, TemplateChange, TemplateKept, TemplateVersion, Write, Written};

/// Templates that a tenant may have.
const MOST: i64 = 200;
/// Bytes of all that the author of one writes.
const LARGEST: usize = 256 * 1024;
/// A name that is part of an address.
const RESERVED: &str = "preview";

/// A template, and where it comes from.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// What it is.
    pub template: Arc<Template>,
    /// Who wrote it, if that is known.
    pub author: Option<String>,
    /// Since when there is this version; nothing: it is built in.
    pub created_at: Option<Timestamp>,
}

/// For whom something is rendered to be looked at.
#[derive(Clone, Debug)]
pub struct Look {
    /// In which language.
    pub locale: Locale,
    /// By whose clocks.
    pub zone: Zone,
    /// What the template gets.
    pub data: Value,
}

/// The templates.
pub struct Library {
    store: Arc<Store>,
    templates: Arc<Templates>,
    clock: Arc<dyn Clock>,
}

impl From<TemplateFault> for Error {
    fn from(fault: TemplateFault) -> Self {
        match fault {
            TemplateFault::Unknown => Self::NoSuchTemplate,
            TemplateFault::Render(fault) => Self::Template(fault),
            TemplateFault::Store(fault) => Self::Store(fault),
        }
    }
}

fn may_read(who: &Principal) -> Result<(), Error> {
    let needed = "templates are for services; send a token with the scope notifications:send";
    match who.can_send || who.can_broadcast || who.can_write_templates {
        true => Ok(()),
        false => Err(Error::Forbidden(needed)),
    }
}

/// The one person whom it is for, if it is for one.
fn only_reader(who: &Principal, to: &To) -> Option<Recipient> {
    match to {
        To::Users(users) => match users.as_slice() {
            [user] => Some(who.person(user.clone())),
            _ => None,
        },
        To::Myself => who.inbox(),
        _ => None,
    }
}

fn may_write(who: &Principal) -> Result<(), Error> {
    let needed = "changing templates needs the scope templates:write or the role admin";
    if who.can_write_templates { Ok(()) } else { Err(Error::Forbidden(needed)) }
}

impl Library {
    /// Those of `store`, ready to be used in `templates`.
    pub fn new(store: Arc<Store>, templates: Arc<Templates>, clock: Arc<dyn Clock>) -> Self {
        Self { store, templates, clock }
    }

    /// Says in `draft`, which `who` sends, what `template` says of its data, to who reads this language and lives in this
    /// zone. Where nothing is said of them and it is for one person, it is said as they live now.
    ///
    /// # Errors
    /// What the data lacks; or when the sender has words of their own, too.
    pub async fn say(
        &self,
        who: &Principal,
        template: &Arc<Template>,
        draft: &mut Draft,
        locale: Option<Locale>,
        zone: Option<Zone>,
    ) -> Result<(), Error> {
        if !(draft.title.is_empty() && draft.message.is_empty()) {
            let field = if draft.title.is_empty() { "message" } else { "title" };
            let expected = "nothing, where a template is named: it says the title and the message";
            return Err(Broken { field, expected }.into());
        }
        let (mut read, mut lived) = (locale.clone(), zone);
        if let Some(reader) = only_reader(who, &draft.to) {
            if read.is_none() {
                read = self.store.contacts(&reader).await?.language();
            }
            if lived.is_none() {
                lived = self.store.preferences(&reader).await?.map(|all| all.time_zone);
            }
        }
        let scene = Scene::new(&draft.data, read.unwrap_or_default(), lived.unwrap_or_default())
            .map_err(Error::Template)?;
        let words = self.templates.said(template, scene).await.map_err(Error::Template)?;
        (draft.title, draft.message) = (words.texts.title, words.texts.message);
        let wish = draft.wish.get_or_insert_default();
        if wish.channels.is_empty() {
            wish.channels.clone_from(&template.sources().channels);
        }
        wish.template =
            Some(Templated { name: template.name().clone(), version: template.version(), locale, zone });
        Ok(())
    }

    /// The template that a sender of `tenant` names.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn named(&self, tenant: &Tenant, name: &TemplateName) -> Result<Arc<Template>, Error> {
        self.templates.current(tenant, name).await.map_err(|fault| match fault {
            TemplateFault::Unknown => {
                let expected = "the name of a template; GET /api/v1/templates lists them";
                Broken { field: "template", expected }.into()
            }
            fault => fault.into(),
        })
    }

    /// All that `who` can use, in the order of their names.
    ///
    /// # Errors
    /// When the token does not allow it, or the database cannot answer.
    pub async fn list(&self, who: &Principal) -> Result<Vec<Shelved>, Error> {
        may_read(who)?;
        let stored = self.store.templates(&who.tenant).await?;
        let mut all = Vec::with_capacity(stored.len());
        for version in stored {
            // One that rules have become too strict for is told of when it is asked for.
            let Ok(name) = TemplateName::new(&version.name) else { continue };
            let Ok(template) = self.templates.at_version(&who.tenant, &name, version.version).await else {
                continue;
            };
            all.push(shelved(template, version));
        }
        let is_there =
            |all: &[Shelved], name: &TemplateName| all.iter().any(|one| one.template.name() == name);
        let others: Vec<_> =
            built_ins().filter(|template| !is_there(&all, template.name())).map(from_the_maker).collect();
        all.extend(others);
        all.sort_by(|one, other| one.template.name().cmp(other.template.name()));
        Ok(all)
    }

    /// One of them: the version that is used, or another.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(
        &self,
        who: &Principal,
        name: &TemplateName,
        version: Option<i64>,
    ) -> Result<Shelved, Error> {
        may_read(who)?;
        let version = match version {
            Some(version) => version,
            None => self.store.template_version(&who.tenant, name).await?.unwrap_or(BUILT_IN),
        };
        let template = self.templates.at_version(&who.tenant, name, version).await?;
        if version == BUILT_IN {
            return Ok(from_the_maker(template));
        }
        let stored =
            self.store.template_at(&who.tenant, name, version).await?.ok_or(Error::NoSuchTemplate)?;
        Ok(shelved(template, stored))
    }

    /// The versions of one before this one, newest first; and whether there are more.
    ///
    /// # Errors
    /// When there is no such template.
    pub async fn versions(
        &self,
        who: &Principal,
        name: &TemplateName,
        before: Option<i64>,
        limit: i64,
    ) -> Result<(Vec<TemplateVersion>, bool), Error> {
        may_read(who)?;
        let mut page = self.store.template_versions(&who.tenant, name, before, limit + 1).await?;
        if page.is_empty() && before.is_none() && built_in(name).is_none() {
            return Err(Error::NoSuchTemplate);
        }
        let has_more = i64::try_from(page.len()).is_ok_and(|many| many > limit);
        page.truncate(usize::try_from(limit).unwrap_or(0));
        Ok((page, has_more))
    }

    /// Keeps a new template, or a new version of one. Returns the version.
    ///
    /// # Errors
    /// When it is at fault, the token does not allow it, the name is taken or there is none.
    pub async fn keep(
        &self,
        who: &Principal,
        name: &TemplateName,
        sources: Sources,
        is_new: bool,
    ) -> Result<i64, Error> {
        may_write(who)?;
        if name.as_str() == RESERVED {
            let expected = "another name than preview, which is an address";
            return Err(Broken { field: "name", expected }.into());
        }
        let written = serde_json::to_string(&sources).unwrap_or_default();
        if written.len() > LARGEST {
            let field = "locales".to_owned();
            let expected = format!("at most {LARGEST} bytes in all");
            return Err(Error::Template(RenderError::Broken { field, expected }));
        }
        let (checked, text) = (name.clone(), written.clone());
        self.templates.aside(move || compiled(&checked, 1, &text)).await.map_err(Error::Template)?;
        let change = |is_new: bool| {
            let action = if is_new { Action::Template } else { Action::TemplateOtherwise };
            self.change(who, name, Some(written.clone()), is_new, action)
        };
        match change(is_new).await? {
            // One's own in the place of one that is built in.
            TemplateKept::Unknown if built_in(name).is_some() => kept(change(true).await?),
            outcome => kept(outcome),
        }
    }

    /// One is used no more; what was sent by it stays as it is.
    ///
    /// # Errors
    /// When the token does not allow it, or there is none.
    pub async fn remove(&self, who: &Principal, name: &TemplateName) -> Result<(), Error> {
        may_write(who)?;
        kept(self.change(who, name, None, false, Action::TemplateNoMore).await?).map(|_| ())
    }

    async fn change(
        &self,
        who: &Principal,
        name: &TemplateName,
        sources: Option<String>,
        is_new: bool,
        action: Action,
    ) -> Result<TemplateKept, Error> {
        let deed = Deed {
            at: self.clock.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action,
            subject: Some(format!("template:{name}")),
            detail: json!({"bytes": sources.as_ref().map(String::len)}).to_string(),
            address: None,
        };
        let change = TemplateChange { name: name.clone(), sources, is_new, most: MOST, deed };
        match self.store.write(Write::Template(Arc::new(change))).await? {
            Written::Template(kept) => Ok(kept),
            _ => Err(Error::Store(StoreError::Closed)),
        }
    }

    /// What a template would say.
    ///
    /// # Errors
    /// When there is none, or what the data lacks.
    pub async fn preview(
        &self,
        who: &Principal,
        name: &TemplateName,
        look: Look,
    ) -> Result<(Arc<Template>, Words), Error> {
        let Shelved { template, .. } = self.find(who, name, None).await?;
        self.templates
            .aside(move || {
                let words = template.words(&Scene::new(&look.data, look.locale, look.zone)?)?;
                Ok((template, words))
            })
            .await
            .map_err(Error::Template)
    }

    /// What a template would say that is not kept yet.
    ///
    /// # Errors
    /// What is wrong with it, or what the data lacks.
    pub async fn preview_of(
        &self,
        who: &Principal,
        sources: Sources,
        look: Look,
    ) -> Result<(Arc<Template>, Words), Error> {
        may_read(who)?;
        let name = TemplateName::new(RESERVED).map_err(|expected| Broken { field: "name", expected })?;
        self.templates
            .aside(move || {
                let template = Arc::new(Template::new(name, BUILT_IN, sources)?);
                let words = template.words(&Scene::new(&look.data, look.locale, look.zone)?)?;
                Ok((template, words))
            })
            .await
            .map_err(Error::Template)
    }
}

fn from_the_maker(template: Arc<Template>) -> Shelved {
    Shelved { template, author: None, created_at: None }
}

fn shelved(template: Arc<Template>, version: TemplateVersion) -> Shelved {
    Shelved { template, author: version.author, created_at: Some(version.created_at) }
}

fn kept(outcome: TemplateKept) -> Result<i64, Error> {
    match outcome {
        TemplateKept::Version(version) => Ok(version),
        TemplateKept::Taken => Err(Error::TemplateTaken),
        TemplateKept::TooMany => Err(Error::TooManyTemplates(MOST)),
        TemplateKept::Unknown => Err(Error::NoSuchTemplate),
    }
}
