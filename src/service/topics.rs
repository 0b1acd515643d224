//! Which topics somebody hears of, connected or not.

use std::sync::Arc;

use super::Error;
use crate::domain::{Broken, Recipient, is_name};
use crate::store::{Store, Write};

/// Topics in one request.
const MOST: usize = 100;

/// Subscriptions.
pub struct Topics {
    store: Arc<Store>,
}

impl Topics {
    /// Kept in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Lets `recipient` hear of `topics` from now on (`wanted`), or no longer; durable on return. Returns all
    /// that they hear of now.
    ///
    /// # Errors
    /// When a name is none, or it could not be stored.
    pub async fn subscribe(
        &self,
        recipient: &Recipient,
        mut topics: Vec<String>,
        wanted: bool,
    ) -> Result<Vec<String>, Error> {
        if topics.len() > MOST || !topics.iter().all(|topic| is_name(topic)) {
            let expected = "at most 100 names of 1 to 128 bytes, without control characters";
            return Err(Broken { field: "channels", expected }.into());
        }
        topics.sort_unstable();
        topics.dedup();
        let recipient = recipient.clone();
        self.store.write(Write::Subscribe { recipient: recipient.clone(), topics, wanted }).await?;
        self.of(&recipient).await
    }

    /// What `recipient` hears of.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn of(&self, recipient: &Recipient) -> Result<Vec<String>, Error> {
        Ok(self.store.topics(recipient).await?)
    }
}
