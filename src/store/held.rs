//! What somebody holds, and which part of it is asked for.

use crate::domain::{Notification, Place, Position, Priority, Status, Timestamp};

/// What of one kind waits for a recipient, newest first.
pub struct Pending {
    /// The newest of it, with each one's place.
    pub newest: Vec<(Position, Notification)>,
    /// How many there are.
    pub all: i64,
    /// Whether something of another kind waits, too, as far as is known.
    pub others: bool,
    /// The recipient's row, and a place up to which all is done, if it is worth noting.
    pub(super) settled: Option<(i64, Position)>,
}

/// One entry of an inbox, by its place.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// What it is about; nothing, when it is not to be told any more: it was read or deleted meanwhile, has expired, or is
    /// hushed.
    pub notification: Option<Notification>,
}

/// Why an entry is not told by itself (`inbox.hush`): its recipient does not want it.
pub(crate) const MUTED: i32 = 1;
/// It waits for the end of quiet hours.
pub(crate) const QUIET: i32 = 2;
/// A summary tells of it.
pub(crate) const SUMMED_UP: i32 = 3;
/// How far something has spread (`expansions.reached`) that was taken back before it went out.
pub(crate) const TAKEN_BACK: i64 = -1;

/// What somebody holds, and what became of it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where it stands.
    pub place: Place,
    /// What it is about.
    pub notification: Notification,
    /// When a device had it.
    pub confirmed_at: Option<Timestamp>,
    /// When it was looked at.
    pub read_at: Option<Timestamp>,
    /// Whether each way beyond sockets that it was to go was given up.
    pub is_given_up: bool,
}

impl Held {
    /// How far it got.
    pub const fn status(&self) -> Status {
        match Status::of(self.confirmed_at, self.read_at) {
            Status::Pending if self.is_given_up => Status::Failed,
            status => status,
        }
    }
}

/// One line of what was asked for of an inbox.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it stands.
    pub position: Position,
    /// What stands there; nothing, if it cannot be read.
    pub held: Option<Held>,
}

/// How much of it there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldCounts {
    /// All that fits.
    pub total: i64,
    /// What of it was not read.
    pub unread: i64,
}

/// Of which entries counts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// Of this kind; of any, if it is empty.
    pub kind: String,
    /// Of this topic; of any, if it is empty.
    pub topic: String,
    /// Of this priority; of any, if it is negative.
    pub priority: i32,
}

/// The counts of an inbox, and what is worth knowing of how they came about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// These.
    pub counts: HeldCounts,
    /// The last place that was looked at.
    pub upto: Position,
    /// Nothing up to here is unread.
    pub read_upto: Position,
    /// Whether so much had to be looked at that it should be counted once and for all.
    pub is_long: bool,
    /// Whether something of an audience is on its way that they may belong to.
    pub is_owed: bool,
}

/// What of an inbox somebody has missed, behind which position.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// What.
    pub missed: Missed,
    /// Nothing up to here.
    pub after: Position,
    /// From here on everything.
    pub all_from: Option<Position>,
}

/// What of an inbox somebody has missed. What is hushed is in none of it: a resume brings what a socket would have heard.
#[derive(Clone, Copy, Debug)]
pub enum Missed {
    /// What was neither confirmed nor read.
    Unconfirmed,
    /// The same, of all kinds but this one.
    UnconfirmedBut(&'static str),
    /// What was neither confirmed nor read, and what was accepted at this instant or later.
    Since(Timestamp),
    /// Whatever came.
    Everything,
}

/// Which part of an inbox; what has expired is not in it.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The present.
    pub now: Timestamp,
    /// What stands before this place.
    pub before: Option<Position>,
    /// What stands behind this place.
    pub after: Position,
    /// What was not read.
    pub unread_only: bool,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this topic.
    pub topic: Option<String>,
    /// Of this priority.
    pub priority: Option<Priority>,
}

impl Filter {
    /// Everything that has not expired `now`.
    pub const fn all(now: Timestamp) -> Self {
        Self { now, before: None, after: 0, unread_only: false, kind: None, topic: None, priority: None }
    }

    /// Which entries these are, whatever the time, the page and whether they were read.
    pub fn which(&self) -> Which {
        Which {
            kind: self.kind.clone().unwrap_or_default(),
            topic: self.topic.clone().unwrap_or_default(),
            priority: self.priority.map_or(-1, Priority::level),
        }
    }
}

impl Which {
    /// Whether it is the whole inbox.
    pub const fn is_all(&self) -> bool {
        self.kind.is_empty() && self.topic.is_empty() && self.priority < 0
    }
}
