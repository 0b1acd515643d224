//! One live connection, whatever protocol it speaks.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::flow::Flow;
use super::line::Line;
use crate::domain::{Notification, NotificationId, Position, Recipient, Standing, Tenant, Timestamp};

/// Tells connections of this process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// How bytes travel to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One long-lived stream.
    Stream,
    /// The client asks again and again.
    Polling,
    /// One long-lived stream on which the client never says a word: nothing is confirmed by it.
    OneWay,
}

/// Why something could not be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The client does not read fast enough.
    Full,
    /// The connection has ended.
    Gone,
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// What was pushed still goes out, then the client is told and comes back by itself.
    AfterFlush,
    /// At once: the client does not read.
    Now,
    /// What it had proved has expired: for protocols that have nothing to say to nobody.
    Expired,
}

/// The writing end of a connection, as its door provides it.
pub trait Outlet: Send + Sync + 'static {
    /// Hands one event to the client's send buffer; never blocks.
    ///
    /// # Errors
    /// When the buffer is full or the connection has ended; nothing was pushed.
    fn push(&self, event: &str, payload: &RawValue) -> Result<(), PushError>;
    /// The same for something that many hear.
    ///
    /// # Errors
    /// As above.
    fn push_encoded(&self, encoded: &Encoded) -> Result<(), PushError> {
        self.push(encoded.event, &encoded.payload)
    }
    /// Its valve.
    fn line(&self) -> &Line;
    /// Closes the transport, so that a stock client comes back by itself.
    fn close(&self, how: Close) {
        match how {
            Close::AfterFlush => self.line().close(),
            Close::Now => self.line().cut(),
            // Its protocol has told the client, who may prove something again.
            Close::Expired => {}
        }
    }
    /// How bytes travel now; polling clients may upgrade.
    fn transport(&self) -> Transport;
    /// How many pings it has asked so far, each of which is answered by a pong of the client's in its order; `None`
    /// where no such answers are heard of.
    fn pings(&self) -> Option<u64> {
        None
    }
}

/// One way to write a notification.
pub struct Form {
    /// The event it arrives as; tells forms apart.
    pub event: &'static str,
    /// Its payload.
    pub encode: Encode,
}

/// How the payload of a form is written.
pub enum Encode {
    /// The same for everybody who has the notification.
    Shared(fn(&Notification) -> Box<RawValue>),
    /// With whose it is.
    Personal(fn(&Notification, &Recipient) -> Box<RawValue>),
}

/// A notification in one form: encoded once, however many hear it.
pub struct Encoded {
    /// Which.
    pub id: NotificationId,
    /// The event it arrives as.
    pub event: &'static str,
    /// Its payload.
    pub payload: Box<RawValue>,
    /// What a door makes of both for its sockets, if that is the same for all of them. A form belongs to one door.
    pub frame: OnceLock<Bytes>,
}

/// How a protocol tells things.
pub struct Dialect {
    /// Tells dialects apart.
    pub name: &'static str,
    /// How it writes a notification.
    pub form: fn(&Notification) -> &'static Form,
    /// How it tells where a notification stands (event and payload), if it does.
    pub standing: fn(&Standing) -> Option<(&'static str, Box<RawValue>)>,
    /// Whether what somebody missed comes as notifications, too: live ones then wait until it has come.
    pub replays: bool,
    /// How it tells that so many were missed, and all of them have come (event and payload), if it does.
    pub caught_up: fn(usize) -> Option<(&'static str, Box<RawValue>)>,
    /// How it tells that a token has expired (event and payload), if it does.
    pub expired: fn() -> Option<(&'static str, Box<RawValue>)>,
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Whom a connection has proved to speak for; both may be true of one socket.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// A back end of this tenant.
    pub sender: Option<Tenant>,
    /// This person.
    pub recipient: Option<Recipient>,
    /// How it is told things, once that is known; outlives the proof.
    pub dialect: Option<&'static Dialect>,
    /// Its roles.
    pub roles: Vec<String>,
    /// When the proof ends.
    pub expires_at: Option<Timestamp>,
    /// Wrong tokens it has shown.
    pub failures: u32,
}

/// Where the list of pending notifications stands on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ListState {
    /// Nobody has authenticated yet.
    None = 0,
    /// The automatic list waits a moment for the page to ask first.
    Scheduled = 1,
    /// A list was sent or is being made.
    Listed = 2,
}

/// One live connection.
pub struct Connection {
    /// Its number in this process.
    pub id: ConnectionId,
    /// Its name on the wire.
    pub socket_id: Box<str>,
    /// Where it comes from.
    pub address: IpAddr,
    /// Since when.
    pub since: Timestamp,
    /// The same, by a clock that nobody sets.
    pub opened: Instant,
    dialect: &'static Dialect,
    outlet: Box<dyn Outlet>,
    identity: Mutex<Identity>,
    /// Position of the first notification that was pushed live; 0 before any was.
    first_live: AtomicI64,
    list: AtomicU8,
    in_flight: AtomicU32,
    expelled: AtomicBool,
    lists: tokio::sync::Mutex<()>,
    marks: Arc<tokio::sync::Mutex<()>>,
    /// How far it was served, and whether live notifications wait.
    pub(super) flow: Flow,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(
        id: ConnectionId,
        socket_id: &str,
        address: IpAddr,
        since: Timestamp,
        dialect: &'static Dialect,
        outlet: Box<dyn Outlet>,
    ) -> Self {
        Self {
            id,
            socket_id: socket_id.into(),
            address,
            since,
            opened: Instant::now(),
            dialect,
            outlet,
            identity: Mutex::default(),
            first_live: AtomicI64::new(0),
            list: AtomicU8::new(ListState::None as u8),
            in_flight: AtomicU32::new(0),
            expelled: AtomicBool::new(false),
            lists: tokio::sync::Mutex::new(()),
            marks: Arc::default(),
            flow: Flow::default(),
        }
    }

    /// Whoever makes a list for this connection holds this: one at a time.
    pub fn lists(&self) -> &tokio::sync::Mutex<()> {
        &self.lists
    }

    /// Whoever looks up what is to be marked for this connection holds this: marks are stored in the order in which they
    /// came.
    pub const fn marks(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.marks
    }

    /// Marks it as one that does not read; `true` the first time.
    pub fn expel(&self) -> bool {
        !self.expelled.swap(true, Ordering::AcqRel)
    }

    /// Whether it was marked so.
    pub fn is_expelled(&self) -> bool {
        self.expelled.load(Ordering::Acquire)
    }

    /// Reads or changes whom it speaks for.
    pub fn identity<T>(&self, with: impl FnOnce(&mut Identity) -> T) -> T {
        with(&mut self.identity.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// How it is told things.
    pub fn dialect(&self) -> &'static Dialect {
        self.identity(|who| who.dialect).unwrap_or(self.dialect)
    }

    /// The same, if it speaks for `recipient`.
    pub fn dialect_for(&self, recipient: &Recipient) -> Option<&'static Dialect> {
        self.identity(|who| (who.recipient.as_ref() == Some(recipient)).then_some(who.dialect))
            .map(|dialect| dialect.unwrap_or(self.dialect))
    }

    /// Whether live notifications wait for what it missed.
    pub fn is_behind(&self) -> bool {
        self.flow.is_behind()
    }

    /// The first position that waits, if any does.
    pub fn withheld_from(&self) -> Option<Position> {
        self.flow.withheld_from()
    }

    /// The last position that waits, or waited.
    pub fn withheld(&self) -> Position {
        self.flow.withheld()
    }

    /// Its writing end.
    pub fn outlet(&self) -> &dyn Outlet {
        self.outlet.as_ref()
    }

    /// Notes that `position` was pushed live.
    pub fn pushed_live(&self, position: Position) {
        if self.first_live.load(Ordering::Relaxed) == 0 {
            self.first_live.store(position, Ordering::Release);
        }
    }

    /// Everything from this position on was pushed live to this connection.
    pub fn first_live(&self) -> Position {
        match self.first_live.load(Ordering::Acquire) {
            0 => Position::MAX,
            position => position,
        }
    }

    /// Somebody (else) speaks through this connection: what was pushed before was not theirs.
    pub(super) fn begin_inbox(&self, replays: bool) {
        self.flow.begin(replays);
        self.first_live.store(0, Ordering::Release);
        self.list.store(ListState::Scheduled as u8, Ordering::Release);
    }

    /// Claims the next list; `true` if it is the first one.
    pub fn claim_list(&self) -> bool {
        self.list.swap(ListState::Listed as u8, Ordering::AcqRel) == ListState::Scheduled as u8
    }

    /// Gives a claim back: the list could not be made.
    pub fn release_list(&self) {
        self.list.store(ListState::Scheduled as u8, Ordering::Release);
    }

    /// Claims the automatic list, unless the page asked first.
    pub fn claim_automatic_list(&self) -> bool {
        let (scheduled, listed) = (ListState::Scheduled as u8, ListState::Listed as u8);
        self.list.compare_exchange(scheduled, listed, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Counts one more request under way; at `limit` the client is read no further.
    pub fn begin_request(&self, limit: u32) {
        self.begin_request_of(1, limit);
    }

    /// The same, of one that is as heavy as so many.
    pub fn begin_request_of(&self, weight: u32, limit: u32) {
        let before = self.in_flight.fetch_add(weight, Ordering::AcqRel);
        if before < limit && before + weight >= limit {
            self.outlet.line().pause();
            // Every answer may have been given between those two lines.
            if self.in_flight.load(Ordering::Acquire) <= limit / 2 {
                self.outlet.line().resume();
            }
        }
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// Counts one request answered; at half of `limit` the client is read on.
    pub fn end_request(&self, limit: u32) {
        self.end_request_of(1, limit);
    }

    /// The same, of one that is as heavy as so many.
    pub fn end_request_of(&self, weight: u32, limit: u32) {
        let before = self.in_flight.fetch_sub(weight, Ordering::AcqRel);
        if before > limit / 2 && before - weight <= limit / 2 {
            self.outlet.line().resume();
        }
    }
}
