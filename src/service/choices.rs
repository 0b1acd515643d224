//! What people choose to be told, and when.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::Error;
use crate::delivery::Spreading;
use crate::domain::{Change, Preferences, Recipient};
use crate::store::{Store, StoreError, Write, Written};

/// Called once, after the commit.
pub type OnChosen = Box<dyn FnOnce(Result<Arc<Preferences>, Error>) + Send>;

/// A type of notifications that somebody may wish to hear of, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownType {
    /// The sender's kind of notification.
    pub kind: String,
    /// Whether nobody can mute it.
    pub is_mandatory: bool,
    /// Whether they have said something about it.
    pub is_chosen: bool,
}

/// What is read of a template, which has more.
#[derive(Deserialize)]
struct OfKind {
    r#type: String,
}

/// Preferences.
pub struct Choices {
    store: Arc<Store>,
    spreading: Arc<Spreading>,
    mandatory: Arc<[String]>,
}

impl Choices {
    /// Kept in `store`. Nobody can mute `mandatory` types.
    pub fn new(store: Arc<Store>, spreading: Arc<Spreading>, mandatory: Arc<[String]>) -> Self {
        Self { store, spreading, mandatory }
    }

    /// The types that nobody can mute.
    pub fn mandatory(&self) -> &[String] {
        &self.mandatory
    }

    /// What `recipient` prefers.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn of(&self, recipient: &Recipient) -> Result<Preferences, Error> {
        Ok(self.store.preferences(recipient).await?.unwrap_or_default())
    }

    /// The types that `recipient` may have wishes about, by name: those of their tenant's own templates, those that nobody can
    /// mute, those of what they were sent lately, and those that they have spoken of. What only others are sent is theirs.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn types(&self, recipient: &Recipient) -> Result<Vec<KnownType>, Error> {
        let chosen = self.of(recipient).await?.types;
        let mut known: BTreeSet<String> = self.store.recent_kinds(recipient).await?.into_iter().collect();
        let templates = self.store.templates(&recipient.tenant).await?;
        let kind = |sources: &str| serde_json::from_str(sources).map(|OfKind { r#type }| r#type);
        known.extend(templates.iter().filter_map(|template| kind(&template.sources).ok()));
        known.extend(self.mandatory.iter().cloned());
        known.extend(chosen.keys().cloned());
        let told = |kind: String| KnownType {
            is_mandatory: self.mandatory.contains(&kind),
            is_chosen: chosen.contains_key(&kind),
            kind,
        };
        Ok(known.into_iter().map(told).collect())
    }

    /// Changes what `recipient` prefers; durable on return, and heeded from then on by every node. Returns all
    /// that they prefer now.
    ///
    /// # Errors
    /// When it breaks a rule, or could not be stored.
    pub async fn change(&self, recipient: &Recipient, change: Change) -> Result<Arc<Preferences>, Error> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.change_then(recipient, change, Box::new(move |chosen| drop(tell.send(chosen))));
        told.await.unwrap_or(Err(Error::Store(StoreError::Closed)))
    }

    /// The same; `answer` is called after the commit. What is asked for first happens first.
    pub fn change_then(&self, recipient: &Recipient, change: Change, answer: OnChosen) {
        if let Err(broken) = change.check(&self.mandatory) {
            return answer(Err(broken.into()));
        }
        let spreading = self.spreading.clone();
        let done = move |written: Result<Written, StoreError>| match written {
            Ok(Written::Preferred(chosen)) => {
                // Quiet hours may be over by that.
                spreading.wake();
                answer(chosen.map_err(Error::from));
            }
            Ok(_) => answer(Err(Error::Store(StoreError::Closed))),
            Err(fault) => answer(Err(fault.into())),
        };
        let write = Write::Prefer { recipient: recipient.clone(), change: Arc::new(change) };
        self.store.submit(write, Box::new(done));
    }
}
