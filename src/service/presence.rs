//! Who is connected to this node, written down where all nodes can count it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;

use crate::realtime::Connection;
use crate::store::{Presence, Store, StoreError, Write};

/// How long comings and goings gather before they are written.
const PAUSE: Duration = Duration::from_millis(250);

/// Sockets in one write: others share its commit.
const TOGETHER: usize = 512;

/// What the database does not know yet of this node's connections. Nothing is forgotten when it is away.
pub struct Presences {
    store: Arc<Store>,
    node: String,
    /// What became of each socket last: whose it is, or that it left.
    news: Mutex<HashMap<String, Option<Presence>>>,
    /// Held while writing: what is older must not come later.
    writing: tokio::sync::Mutex<()>,
}

impl Presences {
    /// Of this `node`.
    pub fn new(store: Arc<Store>, node: String) -> Arc<Self> {
        Arc::new(Self { store, node, news: Mutex::default(), writing: tokio::sync::Mutex::default() })
    }

    /// Notes whose connection this is now, or that it is nobody's any more.
    pub fn note(&self, connection: &Connection) {
        // Locked first: of two notes of one connection, the one that comes later knows better.
        let mut news = self.news();
        let socket_id = connection.socket_id.to_string();
        let (recipient, roles) = connection.identity(|who| (who.recipient.clone(), who.roles.clone()));
        let presence = recipient.map(|recipient| Presence {
            socket_id: socket_id.clone(),
            node: self.node.clone(),
            recipient,
            connected_at: connection.since,
            roles: json!(roles).to_string(),
        });
        news.insert(socket_id, presence);
    }

    /// Writes down what is new, and waits for that.
    ///
    /// # Errors
    /// When the database does not take it; it is tried again later.
    pub async fn write(self: &Arc<Self>) -> Result<(), StoreError> {
        // A task: what was begun is ended, even if nobody waits any more.
        tokio::spawn(self.clone().written()).await.unwrap_or(Err(StoreError::Closed))
    }

    async fn written(self: Arc<Self>) -> Result<(), StoreError> {
        let _alone = self.writing.lock().await;
        let mut news: Vec<_> = std::mem::take(&mut *self.news()).into_iter().collect();
        while !news.is_empty() {
            let some = news.split_off(news.len().saturating_sub(TOGETHER));
            let is_gone =
                |(socket, came): &(String, Option<Presence>)| came.is_none().then(|| socket.clone());
            let gone = some.iter().filter_map(is_gone).collect();
            let came = some.iter().filter_map(|(_, came)| came.clone()).collect();
            if let Err(fault) = self.store.write(Write::Presence { came, gone }).await {
                let mut newer = self.news();
                for (socket, came) in news.into_iter().chain(some) {
                    newer.entry(socket).or_insert(came);
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Writes down what is new every now and then, without end.
    pub async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PAUSE).await;
            // That commits fail is told by the writer.
            self.write().await.ok();
        }
    }

    fn news(&self) -> MutexGuard<'_, HashMap<String, Option<Presence>>> {
        self.news.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
