//! Several nodes in memory, and everything that can go wrong between them, in an order that a number decides: messages
//! lost, late and in another order than sent, nodes that die, clients that come and go or do not read. After each
//! history the checker compares what was stored with what each client has.
//!
//! `CARILLON_MODEL_SEEDS=100000 cargo test --test model` plays more of them; a failure names its seed, and
//! `CARILLON_MODEL_SEED=17` plays that one alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carillon::delivery::{CatchUp, Confirmations, Live, Rounds};
use carillon::domain::{
    Audience, Clock, Idempotency, NewNotification, Notification, NotificationId, Place, Placed, Priority,
    Recipient, Tenant, Timestamp, UserId,
};
use carillon::realtime::backplane::{Backplane, Joined, Line as State, Told};
use carillon::realtime::{
    self, Close, Connection, Dialect, Encode, Form, Hub, Line, Outlet, PushError, Shown, Source, Transport,
};
use carillon::telemetry::Metrics;
use serde_json::value::{RawValue, to_raw_value};

#[expect(dead_code, reason = "promises throw other dice")]
#[path = "promises/support/dice.rs"]
mod dice;
use dice::Dice;

const SEEDS: u64 = 2_000;
const STEPS: u64 = 250;
const NODES: usize = 3;
const PEOPLE: usize = 3;

static FORM: Form = Form {
    event: "notification",
    encode: Encode::Shared(|notification| to_raw_value(&notification.id.0).expect("a number")),
};
static DIALECT: Dialect = Dialect {
    name: "model",
    form: |_| &FORM,
    standing: |_| None,
    replays: false,
    caught_up: |_| None,
    expired: || None,
};

struct Time(AtomicI64);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// What a client's socket took.
#[derive(Default)]
struct Socket {
    heard: Mutex<Vec<i64>>,
    room: AtomicUsize,
    is_closed: AtomicBool,
    line: Line,
}

struct End(Arc<Socket>);

impl Outlet for End {
    fn push(&self, event: &str, payload: &RawValue) -> Result<(), PushError> {
        if event != FORM.event {
            return Ok(());
        }
        let before =
            self.0.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        if before.is_err() {
            return Err(PushError::Full);
        }
        self.0.heard.lock().expect("a list").push(payload.get().parse().expect("a number"));
        Ok(())
    }
    fn close(&self, _: Close) {
        self.0.is_closed.store(true, Ordering::Relaxed);
    }
    fn line(&self) -> &Line {
        &self.0.line
    }
    fn transport(&self) -> Transport {
        Transport::Stream
    }
}

/// What is under way between nodes, and who hears what.
#[derive(Default)]
struct Wire {
    subscribed: Vec<BTreeSet<Recipient>>,
    under_way: Vec<(usize, Recipient, Vec<u8>)>,
    is_down: bool,
}

/// One node's end of it.
struct Plug {
    number: usize,
    wire: Arc<Mutex<Wire>>,
}

impl Backplane for Plug {
    fn join(&self, room: &Recipient, joined: Joined) {
        self.wire.lock().expect("the wire").subscribed[self.number].insert(room.clone());
        joined();
    }
    fn leave(&self, room: &Recipient) {
        self.wire.lock().expect("the wire").subscribed[self.number].remove(room);
    }
    fn after(&self, done: Box<dyn FnOnce() + Send>) {
        done();
    }
    fn publish(&self, room: &Recipient, message: Vec<u8>, told: Told) {
        let heard = {
            let mut wire = self.wire.lock().expect("the wire");
            let others: Vec<usize> = (0..NODES)
                .filter(|number| *number != self.number && wire.subscribed[*number].contains(room))
                .collect();
            let up = !wire.is_down;
            if up {
                wire.under_way.extend(others.iter().map(|number| (*number, room.clone(), message.clone())));
            }
            up.then_some(others.len())
        };
        told(heard);
    }
    fn line(&self) -> State {
        State::Connected
    }
}

struct Node {
    hub: Arc<Hub>,
    live: Arc<Live>,
    confirmations: Arc<Confirmations>,
    arrived: Arc<Mutex<Vec<Recipient>>>,
}

/// A stored entry; its place is its index plus one.
struct Row {
    id: i64,
    is_confirmed: bool,
}

struct Client {
    person: usize,
    node: usize,
    connection: Arc<Connection>,
    socket: Arc<Socket>,
    /// What its list of pending ones held, and what was confirmed by then.
    listed: Option<(Vec<i64>, BTreeSet<i64>)>,
}

struct World {
    dice: Dice,
    time: Arc<Time>,
    looked: Instant,
    wire: Arc<Mutex<Wire>>,
    nodes: Vec<Node>,
    /// The database: of each person, in order.
    inboxes: Vec<Vec<Row>>,
    last: i64,
    clients: Vec<Client>,
}

fn recipient(person: usize) -> Recipient {
    let user = UserId::new(&person.to_string()).expect("a name");
    Recipient { tenant: Tenant::default(), user }
}

fn new(person: usize) -> NewNotification {
    let uuid = uuid::Uuid::nil();
    NewNotification {
        tenant: Tenant::default(),
        audience: Audience::One(recipient(person)),
        kind: "k".into(),
        topic: "t".into(),
        title: String::new(),
        message: String::new(),
        data: "{}".to_owned(),
        priority: Priority::Normal,
        action_url: None,
        sender: None,
        expires_at: None,
        wish: None,
        due_at: None,
        idempotency: Idempotency::none(uuid),
        uuid,
        created_at: Timestamp::from_micros(0),
    }
}

fn content(id: i64) -> Notification {
    new(0).stored(NotificationId(id))
}

impl World {
    fn new(seed: u64) -> Self {
        let wire = Arc::new(Mutex::new(Wire { subscribed: vec![BTreeSet::new(); NODES], ..Wire::default() }));
        let time = Arc::new(Time(AtomicI64::new(0)));
        let nodes = (0..NODES).map(|number| node(number, &wire, &time)).collect();
        let inboxes = (0..PEOPLE).map(|_| Vec::new()).collect();
        let dice = Dice::of(seed);
        Self { dice, time, looked: Instant::now(), wire, nodes, inboxes, last: 0, clients: Vec::new() }
    }

    fn pick(&mut self, limit: usize) -> usize {
        self.dice.below(limit as u64) as usize
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..30 => self.accept(),
            30..55 => self.deliver(),
            55..60 => self.lose(),
            60..72 => self.connect(),
            72..76 => self.leave(),
            76..82 => self.settle(),
            82..86 => self.sweep(),
            86..91 => self.list(),
            91..96 => self.pass_time(),
            96..98 => self.toggle_wire(),
            _ => self.crash(),
        }
    }

    /// A node commits a notification, and tells.
    fn accept(&mut self) {
        let (node, person) = (self.pick(NODES), self.pick(PEOPLE));
        self.last += 1;
        let id = self.last;
        self.inboxes[person].push(Row { id, is_confirmed: false });
        let position = self.inboxes[person].len() as i64;
        let answer = Arc::new(Mutex::new(None));
        let told = answer.clone();
        let place = Place { recipient: person as i64, position };
        let places = [Placed { place, is_hushed: false }];
        self.nodes[node].live.deliver(&new(person), NotificationId(id), &places, move |at| {
            *told.lock().expect("an answer") = Some(at.is_some());
        });
        let delivered = answer.lock().expect("an answer").expect("everybody is answered");
        if delivered {
            assert!(self.clients.iter().any(|client| client.person == person), "delivered to nobody");
        }
    }

    /// Some message arrives, not always the oldest.
    fn deliver(&mut self) {
        let message = {
            let mut wire = self.wire.lock().expect("the wire");
            let many = wire.under_way.len();
            if many == 0 {
                return;
            }
            let index = self.dice.below(many.min(4) as u64) as usize;
            wire.under_way.remove(index)
        };
        let (node, room, text) = message;
        self.nodes[node].live.heard(&room, &text);
        self.forget_closed();
    }

    /// Messages are lost.
    fn lose(&mut self) {
        let mut wire = self.wire.lock().expect("the wire");
        let keep = self.dice.below(wire.under_way.len() as u64 + 1) as usize;
        wire.under_way.truncate(keep);
    }

    fn toggle_wire(&mut self) {
        let mut wire = self.wire.lock().expect("the wire");
        wire.is_down = !wire.is_down;
        wire.under_way.clear();
    }

    fn connect(&mut self) {
        let (node, person) = (self.pick(NODES), self.pick(PEOPLE));
        let socket = Arc::new(Socket::default());
        // Some do not read for long.
        let room = if self.dice.below(4) == 0 { self.dice.below(4) as usize } else { usize::MAX };
        socket.room.store(room, Ordering::Relaxed);
        let hub = &self.nodes[node].hub;
        let connection = Arc::new(Connection::new(
            hub.next_id(),
            "s",
            [127, 0, 0, 1].into(),
            Timestamp::from_micros(0),
            &DIALECT,
            Box::new(End(socket.clone())),
        ));
        hub.enter(connection.clone());
        hub.join(&connection, &recipient(person), &DIALECT, 100, Some(("welcome", RawValue::NULL)))
            .expect("a place");
        self.clients.push(Client { person, node, connection, socket, listed: None });
    }

    fn leave(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let index = self.pick(self.clients.len());
        let client = self.clients.swap_remove(index);
        self.nodes[client.node].hub.leave(client.connection.id);
    }

    /// The database tells one node where those stand who have come.
    fn settle(&mut self) {
        let node = self.pick(NODES);
        self.settle_at(node);
    }

    fn settle_at(&mut self, node: usize) {
        let arrived = std::mem::take(&mut *self.nodes[node].arrived.lock().expect("arrivals"));
        for room in arrived {
            let person: usize = room.user.as_str().parse().expect("a number");
            if self.nodes[node].hub.settle(&room, self.inboxes[person].len() as i64) {
                self.catch_up(node, person);
            }
        }
    }

    /// A node looks after everybody it has.
    fn sweep(&mut self) {
        let node = self.pick(NODES);
        self.sweep_at(node);
    }

    fn sweep_at(&mut self, node: usize) {
        self.settle_at(node);
        for person in 0..PEOPLE {
            self.catch_up(node, person);
        }
    }

    fn catch_up(&mut self, node: usize, person: usize) {
        let room = recipient(person);
        let Some(served) = self.nodes[node].hub.served(&room) else { return };
        let rows = self.inboxes[person].iter().enumerate().skip(served as usize);
        for (index, row) in rows {
            let position = index as i64 + 1;
            let mut shown = Shown::new(content(row.id));
            let place = Place { recipient: person as i64, position };
            self.nodes[node].live.hand_out(&room, &mut shown, place, Source::Stored);
        }
        self.forget_closed();
    }

    /// A client gets its list, as `Inbox::missed` makes it.
    fn list(&mut self) {
        if !self.clients.is_empty() {
            let index = self.pick(self.clients.len());
            self.list_of(index);
        }
    }

    fn list_of(&mut self, index: usize) {
        let (node, person) = (self.clients[index].node, self.clients[index].person);
        if self.clients[index].listed.is_some() {
            return;
        }
        self.settle_at(node);
        let Some(index) = (index < self.clients.len()).then_some(index) else { return };
        let client = &mut self.clients[index];
        if client.person != person || client.node != node {
            return;
        }
        let Some(served) = self.nodes[node].hub.served(&recipient(person)) else { return };
        let upto = served.min(client.connection.first_live() - 1);
        let rows = || self.inboxes[person].iter().zip(1..).filter(|(_, place)| *place <= upto);
        let pending = rows().filter(|(row, _)| !row.is_confirmed).map(|(row, _)| row.id).collect();
        let confirmed =
            self.inboxes[person].iter().filter(|row| row.is_confirmed).map(|row| row.id).collect();
        client.listed = Some((pending, confirmed));
    }

    /// Time passes; sockets that lived through a round confirm.
    fn pass_time(&mut self) {
        let micros = self.time.0.fetch_add(700_000, Ordering::Relaxed);
        self.looked += Duration::from_millis(700);
        for number in 0..NODES {
            let node = &self.nodes[number];
            let due = node
                .confirmations
                .due(self.looked, Timestamp::from_micros(micros), |id| node.hub.is_here(id));
            for sent in due {
                let person = sent.place.recipient as usize;
                let id = self.inboxes[person][sent.place.position as usize - 1].id;
                let received = self.clients.iter().any(|client| {
                    client.node == number && client.socket.heard.lock().expect("a list").contains(&id)
                });
                assert!(received, "{id} is confirmed, and nobody who is here has it");
                self.inboxes[person][sent.place.position as usize - 1].is_confirmed = true;
            }
        }
    }

    /// A node dies, and another one takes its place.
    fn crash(&mut self) {
        let number = self.pick(NODES);
        self.clients.retain(|client| client.node != number);
        let mut wire = self.wire.lock().expect("the wire");
        wire.subscribed[number].clear();
        wire.under_way.retain(|(node, _, _)| *node != number);
        drop(wire);
        self.nodes[number] = node(number, &self.wire, &self.time);
    }

    /// Clients that did not read were closed, and are gone.
    fn forget_closed(&mut self) {
        self.clients.retain(|client| !client.socket.is_closed.load(Ordering::Relaxed));
    }

    /// Everything is well again; what does each client have?
    fn check(mut self) {
        self.wire.lock().expect("the wire").is_down = false;
        (0..NODES).for_each(|node| self.sweep_at(node));
        while !self.wire.lock().expect("the wire").under_way.is_empty() {
            self.deliver();
        }
        self.forget_closed();
        (0..self.clients.len()).for_each(|index| self.list_of(index));
        let mut rings: HashMap<usize, usize> = HashMap::new();
        for client in &self.clients {
            let heard = client.socket.heard.lock().expect("a list").clone();
            assert!(heard.is_sorted_by(|a, b| a < b), "heard twice, or out of order: {heard:?}");
            let (listed, confirmed) = client.listed.as_ref().expect("a list");
            let both: Vec<_> = listed.iter().filter(|id| heard.contains(id)).collect();
            assert!(both.is_empty(), "in the list and live: {both:?}");
            for row in &self.inboxes[client.person] {
                let has = heard.contains(&row.id) || listed.contains(&row.id) || confirmed.contains(&row.id);
                assert!(
                    has,
                    "{} is lost to a client of person {}: {heard:?} {listed:?}",
                    row.id, client.person
                );
            }
            *rings.entry(client.person).or_default() += heard.len();
        }
    }
}

fn node(number: usize, wire: &Arc<Mutex<Wire>>, time: &Arc<Time>) -> Node {
    let metrics: Arc<Metrics> = Arc::default();
    let plug = Arc::new(Plug { number, wire: wire.clone() });
    let hub = Arc::new(Hub::new(metrics.clone(), plug, true));
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let list = arrived.clone();
    hub.on_arrival(move |room| list.lock().expect("arrivals").push(room));
    let settings = realtime::Settings {
        ping_interval_ms: 1_000,
        ping_timeout_ms: 500,
        tcp_user_timeout_ms: 500,
        confirm_margin_ms: 100,
        ..realtime::Settings::default()
    };
    let confirmations = Arc::new(Confirmations::new(Rounds::new(&settings), "model", metrics.clone()));
    let live = Live::new(hub.clone(), confirmations.clone(), CatchUp::never(), time.clone(), metrics);
    Node { hub, live, confirmations, arrived }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.check();
}

#[test]
fn whatever_happens_everybody_has_everything_once_and_in_order() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("CARILLON_MODEL_SEED") {
        return play(seed);
    }
    for seed in 0..number("CARILLON_MODEL_SEEDS").unwrap_or(SEEDS) {
        if std::panic::catch_unwind(|| play(seed)).is_err() {
            panic!("history {seed} fails; CARILLON_MODEL_SEED={seed} plays it again");
        }
    }
}
