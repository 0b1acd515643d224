//! Who is connected to this node, written down where all nodes can count it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::realtime::Connection;
use crate::store::{Presence, Store, StoreError, Write};

/// How long comings and goings gather before they are written.
const PAUSE: Duration = Duration::from_millis(250);

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

    /// Notes whose connection this is, if it is somebody's.
    pub fn came(&self, connection: &Connection) {
        let (recipient, roles) = connection.identity(|who| (who.recipient.clone(), who.roles.clone()));
        let Some(recipient) = recipient else { return };
        let socket_id = connection.socket_id.to_string();
        let connected_at = connection.since;
        let presence = Presence {
            socket_id: socket_id.clone(),
            node: self.node.clone(),
            recipient,
            connected_at,
            roles,
        };
        self.news().insert(socket_id, Some(presence));
    }

    /// Notes that it is nobody's any more.
    pub fn left(&self, connection: &Connection) {
        self.news().insert(connection.socket_id.to_string(), None);
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
        let news = std::mem::take(&mut *self.news());
        if news.is_empty() {
            return Ok(());
        }
        let gone = news.iter().filter(|(_, came)| came.is_none()).map(|(socket, _)| socket.clone()).collect();
        let came = news.values().flatten().cloned().collect();
        let written = self.store.write(Write::Presence { came, gone }).await;
        if written.is_err() {
            let mut newer = self.news();
            for (socket, came) in news {
                newer.entry(socket).or_insert(came);
            }
        }
        written.map(drop)
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
