//! Redis: a room is a channel (sharded on a cluster), subscribed to while this node has somebody in it, so
//! that a message visits only the nodes that need it. PUBLISH tells how many those are.
//!
//! One task owns the connection: joins, leaves and publishes reach Redis in the order they were asked for,
//! so that it is known whether this node itself was among those that heard. While Redis is away, orders are
//! answered without it; the task connects again by itself, subscribes to every room, and says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use redis::{PushInfo, PushKind, RedisError, RedisResult, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::link::{Link, Server};
use super::{Backplane, Heard, Joined, Line, Message, Told};
use crate::domain::{Recipient, Secret, Tenant, UserId};
use crate::telemetry::{Metrics, vital};

/// Orders that share one round trip.
const TOGETHER: usize = 512;
/// An idle line is tried this often: one that was cut silently would leave the node deaf.
const PING: Duration = Duration::from_secs(1);
/// Between two attempts to connect, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Rooms that are remembered for when Redis returns; with more of them, other nodes find everything by their
/// own sweeps.
const REMEMBERED: usize = 100_000;
/// Between tenant and user in a channel's name; neither can contain it.
const BETWEEN: char = '\u{1f}';

/// Settings of `[redis]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `redis://[user:password@]host:port/db`, `rediss://` for TLS, `redis+unix:///path`; several nodes of
    /// a cluster, separated by commas. Empty: this node is alone.
    pub url: Secret,
    /// Whether `url` is a cluster, even if it names one node only.
    pub cluster: bool,
    /// A PEM file of who vouches for a `rediss://` server. Empty: the system's roots.
    pub ca_file: String,
    /// Begins the names of channels, so that deployments can share one Redis.
    pub prefix: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            cluster: false,
            ca_file: String::new(),
            prefix: "carillon:".to_owned(),
        }
    }
}

enum Order {
    Join(Recipient, Joined),
    Leave(Recipient),
    Publish(Recipient, Vec<u8>, Told),
    After(Box<dyn FnOnce() + Send>),
}

/// The line to the other nodes.
pub struct Redis {
    orders: mpsc::UnboundedSender<Order>,
    line: Arc<AtomicU8>,
    node: Box<[u8]>,
}

impl Redis {
    /// Begins to connect, and goes on without end. Only nodes of the same `deployment` hear each other. `heard` gets what other nodes publish (messages begin with
    /// their node's name, by which our own are recognised); `changed` is called whenever the line is up
    /// (again) and every room subscribed, and whenever it breaks.
    ///
    /// # Errors
    /// When the address, or the file of certificates, cannot be read.
    pub fn start(
        settings: &Settings,
        deployment: &str,
        node: &str,
        heard: Heard,
        changed: impl Fn() + Send + Sync + 'static,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RedisError> {
        let server = Arc::new(Server::new(settings)?);
        let (orders, waiting) = mpsc::unbounded_channel();
        let line = Arc::new(AtomicU8::new(Line::Degraded as u8));
        let worker = Worker {
            server,
            prefix: format!("{}{deployment}:", settings.prefix),
            node: node.as_bytes().into(),
            orders: waiting,
            rooms: HashMap::new(),
            unheard: HashSet::new(),
            heard: Arc::new(heard),
            changed: Box::new(changed),
            line: line.clone(),
            metrics,
        };
        vital("redis", worker.run());
        Ok(Self { orders, line, node: node.as_bytes().into() })
    }

    fn order(&self, order: Order) {
        // The task ends only with the runtime.
        self.orders.send(order).ok();
    }
}

impl Backplane for Redis {
    fn join(&self, room: &Recipient, joined: Joined) {
        self.order(Order::Join(room.clone(), joined));
    }

    fn leave(&self, room: &Recipient) {
        self.order(Order::Leave(room.clone()));
    }

    fn after(&self, done: Box<dyn FnOnce() + Send>) {
        self.order(Order::After(done));
    }

    fn publish(&self, room: &Recipient, message: Vec<u8>, told: Told) {
        self.order(Order::Publish(room.clone(), signed(&self.node, &message), told));
    }

    fn line(&self) -> Line {
        match self.line.load(Ordering::Acquire) {
            1 => Line::Connected,
            _ => Line::Degraded,
        }
    }
}

/// The task behind [`Redis`].
struct Worker {
    server: Arc<Server>,
    prefix: String,
    node: Box<[u8]>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// The rooms of this node, and their channels.
    rooms: HashMap<Recipient, String>,
    /// Rooms for which there was something while Redis was away.
    unheard: HashSet<Recipient>,
    heard: Arc<Heard>,
    changed: Box<dyn Fn() + Send + Sync>,
    line: Arc<AtomicU8>,
    metrics: Arc<Metrics>,
}

impl Worker {
    async fn run(mut self) {
        let mut pause = PAUSES.0;
        let mut was_up = true;
        while !self.orders.is_closed() {
            match self.connected().await {
                Ok((mut link, mut lost)) => {
                    tracing::info!(rooms = self.rooms.len(), "Redis is connected");
                    self.line.store(Line::Connected as u8, Ordering::Release);
                    self.metrics.backplane_up.set(1);
                    (self.changed)();
                    (pause, was_up) = (PAUSES.0, true);
                    let Err(fault) = self.serve(&mut link, &mut lost).await else { return };
                    self.line.store(Line::Degraded as u8, Ordering::Release);
                    self.metrics.backplane_up.set(0);
                    (self.changed)();
                    tracing::warn!(%fault, "Redis went away; this node serves its own connections meanwhile");
                }
                Err(fault) if was_up => {
                    was_up = false;
                    tracing::warn!(%fault, "Redis cannot be reached; trying again each second");
                }
                Err(_) => {}
            }
            self.wait(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// A new connection that hears every room of this node, and what ends when it does.
    async fn connected(&mut self) -> RedisResult<(Link, oneshot::Receiver<()>)> {
        let (pushes, pushed) = mpsc::unbounded_channel();
        let server = self.server.clone();
        let connecting = server.connect(pushes);
        let mut link = {
            let mut connecting = std::pin::pin!(connecting);
            loop {
                tokio::select! {
                    link = &mut connecting => break link?,
                    order = self.orders.recv() => match order {
                        Some(order) => self.without(order),
                        None => break connecting.await?,
                    }
                }
            }
        };
        let (alive, lost) = oneshot::channel();
        let listening = listen(pushed, self.prefix.clone(), self.node.clone(), self.heard.clone());
        vital("redis listener", async move {
            listening.await;
            drop(alive);
        });
        self.hear_all(&mut link).await?;
        Ok((link, lost))
    }

    /// Subscribes to every room; orders go on without Redis meanwhile, until few rooms are left.
    async fn hear_all(&mut self, link: &mut Link) -> RedisResult<()> {
        let mut heard: HashSet<String> = HashSet::new();
        loop {
            let rooms: HashSet<String> = self.rooms.values().cloned().collect();
            let come: Vec<String> = rooms.difference(&heard).cloned().collect();
            let left: Vec<String> = heard.difference(&rooms).cloned().collect();
            let is_last = come.len() + left.len() <= TOGETHER;
            let subscribing = async {
                link.subscribe(&come).await?;
                link.unsubscribe(&left).await
            };
            if is_last {
                return subscribing.await;
            }
            let mut subscribing = std::pin::pin!(subscribing);
            loop {
                tokio::select! {
                    done = &mut subscribing => break done?,
                    Some(order) = self.orders.recv() => self.without(order),
                }
            }
            heard = rooms;
        }
    }

    /// Lets other nodes look for some of what this one stored while Redis was away.
    async fn tell_of_unheard(&mut self, link: &mut Link) -> RedisResult<()> {
        let text = signed(&self.node, &Message::Missed.encode());
        let rooms: Vec<Recipient> = self.unheard.iter().take(TOGETHER).cloned().collect();
        let messages: Vec<_> =
            rooms.iter().map(|room| (channel(&self.prefix, room), text.as_slice())).collect();
        link.publish(&messages).await?;
        for room in &rooms {
            self.unheard.remove(room);
        }
        Ok(())
    }

    /// Answers orders without Redis for a while.
    async fn wait(&mut self, pause: Duration) {
        let sleep = tokio::time::sleep(pause);
        let mut sleep = std::pin::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return,
                order = self.orders.recv() => match order {
                    Some(order) => self.without(order),
                    None => return,
                }
            }
        }
    }

    /// Carries out an order as far as that goes while Redis is away.
    fn without(&mut self, order: Order) {
        match order {
            Order::Join(room, joined) => {
                let channel = channel(&self.prefix, &room);
                self.rooms.insert(room, channel);
                joined();
            }
            Order::Leave(room) => drop(self.rooms.remove(&room)),
            Order::Publish(room, _, told) => {
                self.not_heard(room);
                told(None);
            }
            Order::After(done) => done(),
        }
    }

    fn not_heard(&mut self, room: Recipient) {
        if self.unheard.len() < REMEMBERED {
            self.unheard.insert(room);
        }
    }

    /// Carries out orders until the line breaks, or nobody orders any more.
    async fn serve(&mut self, link: &mut Link, lost: &mut oneshot::Receiver<()>) -> RedisResult<()> {
        let mut pings = tokio::time::interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                many = self.orders.recv_many(&mut batch, TOGETHER) => {
                    if many == 0 {
                        return Ok(());
                    }
                    let mut orders = std::mem::take(&mut batch).into_iter().peekable();
                    while orders.peek().is_some() {
                        if let Err(fault) = self.some(link, &mut orders).await {
                            orders.for_each(|order| self.without(order));
                            return Err(fault);
                        }
                    }
                }
                _ = pings.tick() => link.ping().await?,
                () = std::future::ready(()), if !self.unheard.is_empty() => self.tell_of_unheard(link).await?,
                _ = &mut *lost => {
                    return Err(RedisError::from((redis::ErrorKind::Io, "the connection has ended")));
                }
            }
        }
    }

    /// Carries out the next orders of one kind in one round trip. What fails is answered without Redis.
    async fn some(
        &mut self,
        link: &mut Link,
        orders: &mut std::iter::Peekable<std::vec::IntoIter<Order>>,
    ) -> RedisResult<()> {
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        let mut publishes: Vec<(Option<(Recipient, Vec<u8>)>, Told)> = Vec::new();
        while let Some(order) = orders.next() {
            match order {
                Order::Join(room, joined) => joins.push((room, joined)),
                Order::Leave(room) => leaves.push(room),
                Order::Publish(room, message, told) => publishes.push((Some((room, message)), told)),
                Order::After(done) => publishes.push((None, Box::new(|_| done()))),
            }
            let goes_on = match orders.peek() {
                Some(Order::Join(..)) => !joins.is_empty(),
                Some(Order::Leave(..)) => !leaves.is_empty(),
                Some(Order::Publish(..) | Order::After(..)) => !publishes.is_empty(),
                None => false,
            };
            if !goes_on {
                break;
            }
        }
        let mut outcome = Ok(());
        if !joins.is_empty() {
            let mut channels = Vec::with_capacity(joins.len());
            for (room, _) in &joins {
                let channel = channel(&self.prefix, room);
                channels.push(channel.clone());
                self.rooms.insert(room.clone(), channel);
            }
            outcome = link.subscribe(&channels).await;
            joins.into_iter().for_each(|(_, joined)| joined());
        }
        if !leaves.is_empty() {
            let channels: Vec<_> = leaves.iter().filter_map(|room| self.rooms.remove(room)).collect();
            if !channels.is_empty() {
                outcome = link.unsubscribe(&channels).await;
            }
        }
        if !publishes.is_empty() {
            let messages: Vec<_> = publishes
                .iter()
                .filter_map(|(publish, _)| publish.as_ref())
                .map(|(room, message)| (channel(&self.prefix, room), message.as_slice()))
                .collect();
            let heard = if messages.is_empty() { Ok(Vec::new()) } else { link.publish(&messages).await };
            let mut counts = heard.as_ref().map_or(&[][..], Vec::as_slice).to_vec().into_iter();
            for (publish, told) in publishes {
                let Some((room, _)) = publish else {
                    told(None);
                    continue;
                };
                let ourselves = usize::from(self.rooms.contains_key(&room));
                let others = counts.next().map(|count| count.saturating_sub(ourselves));
                if others.is_none() {
                    self.not_heard(room);
                }
                told(others);
            }
            outcome = heard.map(drop);
        }
        outcome
    }
}

/// What `node` publishes begins with its name.
fn signed(node: &[u8], message: &[u8]) -> Vec<u8> {
    [node, b"\n", message].concat()
}

fn channel(prefix: &str, room: &Recipient) -> String {
    format!("{prefix}{}{BETWEEN}{}", room.tenant.as_str(), room.user.as_str())
}

fn room(prefix: &str, channel: &[u8]) -> Option<Recipient> {
    let name = std::str::from_utf8(channel).ok()?.strip_prefix(prefix)?;
    let (tenant, user) = name.split_once(BETWEEN)?;
    Some(Recipient { tenant: Tenant::new(tenant).ok()?, user: UserId::new(user).ok()? })
}

/// Hands on what other nodes publish, until the connection ends; of a cluster, any of its connections: what
/// was published before the client has subscribed anew is lost.
async fn listen(
    mut pushed: mpsc::UnboundedReceiver<PushInfo>,
    prefix: String,
    node: Box<[u8]>,
    heard: Arc<Heard>,
) {
    while let Some(push) = pushed.recv().await {
        if push.kind == PushKind::Disconnection {
            return;
        }
        if !matches!(push.kind, PushKind::Message | PushKind::SMessage) {
            continue;
        }
        let [Value::BulkString(channel), Value::BulkString(message)] = push.data.as_slice() else {
            continue;
        };
        // Our own come back to us, too.
        if let Some(rest) = message.strip_prefix(&*node)
            && rest.first() == Some(&b'\n')
        {
            continue;
        }
        let text = message.iter().position(|byte| *byte == b'\n').map(|end| &message[end + 1..]);
        match (room(&prefix, channel), text) {
            (Some(room), Some(text)) => heard(room, text),
            _ => tracing::warn!("a message on Redis is not of ours; passed over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_names_its_room() {
        let recipient = |tenant: &str, user: &str| {
            Some(Recipient { tenant: Tenant::new(tenant).ok()?, user: UserId::new(user).ok()? })
        };
        for (tenant, user) in [("default", "2"), ("a:b", "c:d"), ("a", "b c")] {
            let expected = recipient(tenant, user);
            let channel = expected.as_ref().map(|room| channel("carillon:", room)).unwrap_or_default();
            assert_eq!(room("carillon:", channel.as_bytes()), expected);
        }
        for odd in ["carillon:a", "other:a\u{1f}b", "carillon:\u{1f}", ""] {
            assert_eq!(room("carillon:", odd.as_bytes()), None, "{odd}");
        }
    }
}
