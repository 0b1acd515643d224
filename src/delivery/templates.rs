//! Templates by name, ready to be used: those of a tenant before those that are built in.
//!
//! Promise: a change is seen at once, on every node. So which version is used is asked of the database each time; what a
//! version says never changes, and is compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::domain::{Locale, Notification, TemplateName, Templated, Tenant, Zone};
use crate::render::{RenderError, Scene, Sources, Template, Words, built_in};
use crate::store::{Store, StoreError};

/// Compiled templates that are kept at most; beyond them it starts anew.
const MOST: usize = 256;
/// Templates that are written at once: readers of the database need threads, too.
const AT_ONCE: usize = 4;
/// The version of what is built in.
pub const BUILT_IN: i64 = 0;

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateFault {
    /// The tenant has none of this name or version, and none is built in.
    #[error("there is no such template")]
    Unknown,
    /// It is there, and cannot be used.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The database could not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which version of whose template.
type Key = (Tenant, TemplateName, i64);

/// All templates.
pub struct Templates {
    store: Arc<Store>,
    compiled: Mutex<HashMap<Key, Arc<Template>>>,
    places: Semaphore,
}

impl Templates {
    /// Those of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, compiled: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }

    /// What `template` says on every surface. A tenant's template may take its time, which nobody else has to wait for: neither
    /// sockets nor the database.
    ///
    /// # Errors
    /// What the data lacks, or what is wrong with the template.
    pub async fn said(&self, template: &Arc<Template>, scene: Scene) -> Result<Words, RenderError> {
        let template = template.clone();
        self.aside(move || template.words(&scene)).await
    }

    /// Does what takes its time where nobody else has to wait for it.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RenderError> + Send + 'static,
    ) -> Result<T, RenderError> {
        // Nobody closes it.
        let _place = self.places.acquire().await;
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            let (field, expected) = ("template".to_owned(), "one that comes to an end".to_owned());
            Err(RenderError::Broken { field, expected })
        })
    }

    /// The template of this name that `tenant` uses now.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub async fn current(
        &self,
        tenant: &Tenant,
        name: &TemplateName,
    ) -> Result<Arc<Template>, TemplateFault> {
        let version = self.store.template_version(tenant, name).await?;
        self.at_version(tenant, name, version.unwrap_or(BUILT_IN)).await
    }

    /// One version of it, though it may be used no more; 0: the one that is built in.
    ///
    /// # Errors
    /// As [`Templates::current`].
    pub async fn at_version(
        &self,
        tenant: &Tenant,
        name: &TemplateName,
        version: i64,
    ) -> Result<Arc<Template>, TemplateFault> {
        if version == BUILT_IN {
            return built_in(name).ok_or(TemplateFault::Unknown);
        }
        let key = (tenant.clone(), name.clone(), version);
        if let Some(known) = self.known().get(&key) {
            return Ok(known.clone());
        }
        let stored = self.store.template_at(tenant, name, version).await?.ok_or(TemplateFault::Unknown)?;
        let template = Arc::new(compiled(name, version, &stored.sources)?);
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, template.clone());
        Ok(template)
    }

    /// The one by which something was said.
    ///
    /// # Errors
    /// As [`Templates::current`].
    pub async fn of(&self, tenant: &Tenant, templated: &Templated) -> Result<Arc<Template>, TemplateFault> {
        self.at_version(tenant, &templated.name, templated.version).await
    }

    /// What `notification` says on every surface: by its template, or in its sender's words. Where no language and no clocks
    /// were asked for, whoever gets it gets it in their `own`. What was accepted goes out, even if its template cannot be used
    /// any more: then what was stored is all that is said.
    ///
    /// # Errors
    /// When the database could not tell.
    pub async fn words(
        &self,
        tenant: &Tenant,
        templated: Option<&Templated>,
        (own, own_zone): (Option<Locale>, Zone),
        notification: &Notification,
    ) -> Result<Words, StoreError> {
        let stored = |locale: &Locale| Words::own(&notification.title, &notification.message, locale);
        let Some(templated) = templated else { return Ok(stored(&own.unwrap_or_default())) };
        let locale = templated.locale.clone().or(own).unwrap_or_default();
        let zone = templated.zone.unwrap_or(own_zone);
        let said = match self.of(tenant, templated).await {
            Ok(template) => {
                let data = serde_json::from_str(&notification.data).unwrap_or_default();
                let said = match Scene::new(&data, locale.clone(), zone) {
                    Ok(scene) => self.said(&template, scene).await,
                    Err(fault) => Err(fault),
                };
                said.map_err(|fault| fault.to_string())
            }
            Err(TemplateFault::Store(fault)) => return Err(fault),
            Err(fault) => Err(fault.to_string()),
        };
        Ok(match said {
            Ok(words) => words,
            Err(fault) => {
                let (template, version) = (templated.name.as_str(), templated.version);
                tracing::warn!(
                    template,
                    version,
                    fault,
                    "a template cannot be used any more; what it once said goes out"
                );
                stored(&locale)
            }
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Template>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version as it was stored, compiled.
///
/// # Errors
/// When it is none any more: rules may have become stricter since.
pub fn compiled(name: &TemplateName, version: i64, sources: &str) -> Result<Template, RenderError> {
    let sources: Sources = serde_json::from_str(sources).map_err(|fault| RenderError::Broken {
        field: name.to_string(),
        expected: format!("a template that can be read: {fault}"),
    })?;
    Template::new(name.clone(), version, sources)
}
