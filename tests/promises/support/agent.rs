//! A process that drives real client sockets (`tests/clients/agent.mjs`, `agent.py`), and what it tells about them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Kind, Library, PATIENCE};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// One process with any number of sockets in it.
pub struct Agent {
    child: Mutex<Child>,
    orders: Mutex<ChildStdin>,
    story: Arc<Story>,
    calls: AtomicU64,
}

/// Everything told so far: socket → kind of happening (`connected`, `event NAME`, `ack N`, …) → in order.
#[derive(Default)]
struct Story {
    told: Mutex<HashMap<String, HashMap<String, Vec<Told>>>>,
    more: Condvar,
}

#[derive(Clone)]
struct Told {
    seq: u64,
    at: Instant,
    line: Value,
}

impl Agent {
    pub fn node() -> Arc<Self> {
        Self::spawn("node", "agent.mjs")
    }

    pub fn python() -> Arc<Self> {
        Self::spawn(".venv/bin/python", "agent.py")
    }

    fn spawn(program: &str, script: &str) -> Arc<Self> {
        let program = if program.contains('/') { format!("{CLIENTS}/{program}") } else { program.to_owned() };
        let mut child = Command::new(&program)
            .arg(format!("{CLIENTS}/{script}"))
            .current_dir(CLIENTS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}; the clients are installed by `make clients`"));
        let story = Arc::new(Story::default());
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let listener = Arc::clone(&story);
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| listener.take(&line))
        });
        let orders = Mutex::new(child.stdin.take().expect("its input"));
        Arc::new(Self { child: Mutex::new(child), orders, story, calls: AtomicU64::new(1) })
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.lock().expect("the agent").id();
        kill(Pid::from_raw(id as i32), signal).expect("the agent to take a signal");
    }

    fn order(&self, order: &Value) {
        let mut orders = self.orders.lock().expect("the agent");
        writeln!(orders, "{order}").expect("the agent to listen");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Story {
    fn take(&self, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return eprintln!("half a line, from an agent that was killed: {line:.200}");
        };
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let kind = match line["what"].as_str() {
            Some("event") => format!("event {}", text("event")),
            Some("ack" | "burst") => format!("{} {}", text("what"), line["call"]),
            _ => text("what"),
        };
        let at = Instant::now();
        let told = Told { at, seq: line["seq"].as_u64().unwrap_or_default(), line: line.clone() };
        let mut all = self.told.lock().expect("the story");
        all.entry(text("socket")).or_default().entry(kind).or_default().push(told);
        self.more.notify_all();
    }

    fn so_far(&self, socket: &str, kind: &str) -> Vec<Told> {
        let all = self.told.lock().expect("the story");
        all.get(socket).and_then(|kinds| kinds.get(kind)).cloned().unwrap_or_default()
    }

    /// Waits for the `index`th telling of this kind.
    fn wait(&self, socket: &str, kind: &str, index: usize) -> Told {
        self.wait_for(socket, kind, index, PATIENCE).unwrap_or_else(|| {
            panic!("{socket} waited in vain for {kind} (after {index}); it heard:\n{}", self.of(socket))
        })
    }

    fn wait_for(&self, socket: &str, kind: &str, index: usize, patience: Duration) -> Option<Told> {
        let deadline = Instant::now() + patience;
        let mut all = self.told.lock().expect("the story");
        loop {
            if let Some(told) = all.get(socket).and_then(|kinds| kinds.get(kind)?.get(index)) {
                return Some(told.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            all = self.more.wait_timeout(all, left).expect("the story").0;
        }
    }

    /// The last of what a socket lived through, as text.
    fn of(&self, socket: &str) -> String {
        let all = self.told.lock().expect("the story");
        let mut told: Vec<&Told> = all.get(socket).into_iter().flat_map(HashMap::values).flatten().collect();
        told.sort_by_key(|t| t.seq);
        let last = told.len().saturating_sub(30);
        told[last..].iter().map(|t| format!("{:.300}\n", t.line.to_string())).collect()
    }
}

/// How a socket is to be opened.
pub struct Connect {
    pub name: String,
    pub url: String,
    pub kind: Kind,
    /// Emitted at every connect: `[event, …args]`.
    pub hello: Vec<Value>,
    pub options: Value,
}

/// One client socket in an agent. What it heard is taken in order, each event name for itself.
pub struct Socket {
    agent: Arc<Agent>,
    pub name: String,
    taken: Mutex<HashMap<String, usize>>,
}

impl Socket {
    pub fn open(agent: &Arc<Agent>, connect: &Connect) -> Self {
        let client = match connect.kind.library {
            Library::Npm41 => "4.1",
            Library::Npm48 => "4.8",
            Library::Python => "python",
            Library::Ws => "ws",
            Library::Websockets => "websockets",
        };
        agent.order(&json!({
            "do": "connect", "socket": connect.name, "url": connect.url, "client": client,
            "transports": connect.kind.route.transports(), "hello": connect.hello, "options": connect.options,
        }));
        Self { agent: Arc::clone(agent), name: connect.name.clone(), taken: Mutex::default() }
    }

    pub fn emit(&self, event: &str, payload: impl Into<Value>) {
        self.emit_args(event, vec![payload.into()]);
    }

    pub fn emit_args(&self, event: &str, args: Vec<Value>) {
        self.order(json!({"do": "emit", "event": event, "args": args}));
    }

    /// Emits with an ack callback, and waits for what the callback gets.
    pub fn call(&self, event: &str, payload: impl Into<Value>) -> Value {
        let call = self.agent.calls.fetch_add(1, Ordering::Relaxed);
        self.order(json!({"do": "emit_ack", "event": event, "args": [payload.into()], "call": call}));
        self.agent.story.wait(&self.name, &format!("ack {call}"), 0).line["args"][0].clone()
    }

    /// The same, but who waits for longer than this goes on without.
    pub fn try_call(&self, event: &str, payload: impl Into<Value>, patience: Duration) -> Option<Value> {
        let call = self.agent.calls.fetch_add(1, Ordering::Relaxed);
        self.order(json!({"do": "emit_ack", "event": event, "args": [payload.into()], "call": call}));
        let told = self.agent.story.wait_for(&self.name, &format!("ack {call}"), 0, patience)?;
        Some(told.line["args"][0].clone())
    }

    /// The next event of this name that was not taken yet: its first argument.
    pub fn hear(&self, event: &str) -> Value {
        self.next(&format!("event {event}")).line["args"][0].clone()
    }

    pub fn hear_many(&self, event: &str, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.hear(event)).collect()
    }

    /// Every event of this name so far, taken or not.
    pub fn heard(&self, event: &str) -> Vec<Value> {
        let told = self.agent.story.so_far(&self.name, &format!("event {event}"));
        told.into_iter().map(|t| t.line["args"][0].clone()).collect()
    }

    /// Every event so far, whatever its name: the name, and the first argument.
    pub fn heard_of_all(&self) -> Vec<(String, Value)> {
        let all = self.agent.story.told.lock().expect("the story");
        let kinds = all.get(&self.name).into_iter().flatten();
        let events = kinds.filter_map(|(kind, told)| Some((kind.strip_prefix("event ")?, told)));
        let one_by_one = events.flat_map(|(name, told)| told.iter().map(move |told| (name, &told.line)));
        one_by_one.map(|(name, line)| (name.to_owned(), line["args"][0].clone())).collect()
    }

    /// The same, in the order in which they came.
    pub fn heard_in_order(&self) -> Vec<(String, Value)> {
        let all = self.agent.story.told.lock().expect("the story");
        let kinds = all.get(&self.name).into_iter().flatten();
        let events = kinds.filter_map(|(kind, told)| Some((kind.strip_prefix("event ")?, told)));
        let mut one_by_one: Vec<_> = events
            .flat_map(|(name, told)| told.iter().map(move |told| (told.seq, name, &told.line)))
            .collect();
        one_by_one.sort_by_key(|(seq, ..)| *seq);
        one_by_one.into_iter().map(|(_, name, line)| (name.to_owned(), line["args"][0].clone())).collect()
    }

    /// The place of the first event of this name among all that happened in the agent.
    pub fn place_of(&self, event: &str) -> u64 {
        self.agent.story.wait(&self.name, &format!("event {event}"), 0).seq
    }

    /// Waits for the next `connected`, `disconnected`, `upgraded` or `connect_error` and tells its details.
    pub fn next_change(&self, what: &str) -> Value {
        self.next(what).line
    }

    /// How often it was `connected`, `disconnected`, … so far.
    pub fn changes(&self, what: &str) -> usize {
        self.agent.story.so_far(&self.name, what).len()
    }

    /// When each of this kind (`connected`, `event NAME`, …) was told.
    pub fn moments(&self, kind: &str) -> Vec<Instant> {
        self.agent.story.so_far(&self.name, kind).into_iter().map(|told| told.at).collect()
    }

    /// Loses the line without a word; the client then reconnects as it is used to.
    pub fn cut(&self) {
        self.order(json!({"do": "cut"}));
    }

    pub fn disconnect(&self) {
        self.order(json!({"do": "disconnect"}));
        self.next("disconnected");
    }

    /// Starts to emit many bookings: `order` is what `agent.mjs` calls a burst.
    pub fn burst(&self, mut order: Value) -> Burst<'_> {
        let call = self.agent.calls.fetch_add(1, Ordering::Relaxed);
        order["do"] = "burst".into();
        order["call"] = call.into();
        self.order(order);
        Burst { socket: self, call }
    }

    fn order(&self, mut order: Value) {
        order["socket"] = Value::from(self.name.as_str());
        self.agent.order(&order);
    }

    fn next(&self, kind: &str) -> Told {
        let mut taken = self.taken.lock().expect("what was taken");
        let index = taken.entry(kind.to_owned()).or_default();
        let told = self.agent.story.wait(&self.name, kind, *index);
        *index += 1;
        told
    }
}

/// Many bookings under way.
pub struct Burst<'a> {
    socket: &'a Socket,
    call: u64,
}

impl Burst<'_> {
    /// The ack callbacks' answers so far.
    pub fn answers(&self) -> Vec<Value> {
        let told = self.socket.agent.story.so_far(&self.socket.name, &format!("ack {}", self.call));
        told.into_iter().map(|t| t.line["args"][0].clone()).collect()
    }

    /// Waits until all are sent and answered, or the socket is gone; returns the answers.
    pub fn wait(self) -> Vec<Value> {
        self.socket.agent.story.wait(&self.socket.name, &format!("burst {}", self.call), 0);
        self.answers()
    }

    /// Waits until at least so many were answered.
    pub fn wait_for_answers(&self, count: usize) {
        self.socket.agent.story.wait(&self.socket.name, &format!("ack {}", self.call), count - 1);
    }
}
