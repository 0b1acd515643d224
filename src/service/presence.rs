//! Who is connected to this node, written down where all nodes can count it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, oneshot};

use crate::realtime::Connection;
use crate::store::{Presence, Store, StoreError, Write};

/// How long comings and goings gather before they are written.
const PAUSE: Duration = Duration::from_millis(250);

/// Nobody waits longer than this until it is known that they are here.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// Who waits until their news is written.
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
    awaited: Notify,
}

impl Presences {
    /// Of this `node`.
    pub fn new(store: Arc<Store>, node: String) -> Arc<Self> {
        Arc::new(Self {
            store,
            node,
            news: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            awaited: Notify::new(),
        })
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

    /// Waits until all that was noted is written down, so that what is sent to many from now on finds who is here. Not
    /// for long: a database that is away keeps nobody waiting.
    pub async fn settled(&self) {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(tell);
        self.awaited.notify_one();
        tokio::time::timeout(PATIENCE, told).await.ok();
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
        // Dropped in the end, which tells them, whatever came of it.
        let _waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
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
            // Those who come together share a write: the one that is under way lets them gather.
            tokio::time::timeout(PAUSE, self.awaited.notified()).await.ok();
            // That commits fail is told by the writer.
            self.write().await.ok();
        }
    }

    fn news(&self) -> MutexGuard<'_, HashMap<String, Option<Presence>>> {
        self.news.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
