//! Which topics somebody hears of, connected or not.

use std::sync::Arc;

use super::Error;
use crate::domain::{Broken, Recipient, Restriction, is_name};
use crate::store::{Store, StoreError, Write, Written};

/// Topics in one request.
const MOST: usize = 100;

/// Names that may be topics, each once.
fn checked(mut topics: Vec<String>) -> Result<Vec<String>, Broken> {
    if topics.len() > MOST || !topics.iter().all(|topic| is_name(topic)) {
        let expected = "at most 100 names of 1 to 128 bytes, without control characters";
        return Err(Broken { field: "channels", expected });
    }
    topics.sort_unstable();
    topics.dedup();
    Ok(topics)
}

/// Subscriptions.
pub struct Topics {
    store: Arc<Store>,
    restrictions: Vec<Restriction>,
}

impl Topics {
    /// Kept in `store`; some names only for some.
    pub fn new(store: Arc<Store>, restrictions: Vec<Restriction>) -> Self {
        Self { store, restrictions }
    }

    /// Names that `recipient`, who has these roles, may hear of (`wanted`), or may leave.
    fn admit(
        &self,
        recipient: &Recipient,
        roles: &[String],
        topics: Vec<String>,
        wanted: bool,
    ) -> Result<Vec<String>, Error> {
        let topics = checked(topics)?;
        let tenant = recipient.tenant.as_str();
        let may = |topic: &String| Restriction::permit(&self.restrictions, topic, tenant, roles);
        if wanted && !topics.iter().all(may) {
            return Err(Error::Forbidden(
                "a topic among them is kept for others (topics.restricted); leave it out",
            ));
        }
        Ok(topics)
    }

    /// Lets `recipient`, who has these roles, hear of `topics` from now on (`wanted`), or no longer; durable on
    /// return. Returns all that they hear of now.
    ///
    /// # Errors
    /// When a name is none, or kept for others, or it could not be stored.
    pub async fn subscribe(
        &self,
        recipient: &Recipient,
        roles: &[String],
        topics: Vec<String>,
        wanted: bool,
    ) -> Result<Vec<String>, Error> {
        let topics = self.admit(recipient, roles, topics, wanted)?;
        let recipient = recipient.clone();
        self.store.write(Write::Subscribe { recipient: recipient.clone(), topics, wanted }).await?;
        self.of(&recipient).await
    }

    /// Like [`Topics::subscribe`]; `answer` is called after the commit, with the names that were asked for.
    /// What is asked for first happens first.
    pub fn subscribe_then(
        &self,
        recipient: &Recipient,
        roles: &[String],
        topics: Vec<String>,
        wanted: bool,
        answer: Box<dyn FnOnce(Result<Vec<String>, Error>) + Send>,
    ) {
        let topics = match self.admit(recipient, roles, topics, wanted) {
            Ok(topics) => topics,
            Err(error) => return answer(Err(error)),
        };
        let write = Write::Subscribe { recipient: recipient.clone(), topics: topics.clone(), wanted };
        let done = move |written: Result<Written, StoreError>| {
            answer(written.map(|_| topics).map_err(Error::from));
        };
        self.store.submit(write, Box::new(done));
    }

    /// What `recipient` hears of.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn of(&self, recipient: &Recipient) -> Result<Vec<String>, Error> {
        Ok(self.store.topics(recipient).await?)
    }
}
