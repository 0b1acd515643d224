//! What is made durable, and what comes of it.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    AnalyticsWrite, ChainWrite, Claimed, ContactsWrite, DeviceWrite, DigestWrite, Kept, NewRecurring,
    PrivacyWrite, SmsCaps, StoreError, Sweep, Task, TemplateChange, TemplateKept, Tried, WebhookKept,
    WebhookMessage, WebhookWrite, Which, Whose,
};
use crate::domain::{
    Accepted, Broken, Change, Channel, Contacts, Deed, Handed, NewNotification, Notification, NotificationId,
    Place, Placed, Position, Preferences, Recipient, Tenant, Timestamp,
};

/// Something to be made durable.
#[derive(Clone, Debug)]
pub enum Write {
    /// Keep this notification and its inbox entry. A request with the same idempotency key counts as
    /// the same one if it was accepted at `window_start` or later.
    Accept {
        /// What to keep.
        notification: Arc<NewNotification>,
        /// Older requests do not count.
        window_start: Timestamp,
    },
    /// These entries were confirmed.
    Confirm(Vec<Sent>),
    /// The recipient has done something with one notification.
    Mark {
        /// Whose inbox.
        recipient: Recipient,
        /// Which notification.
        notification: NotificationId,
        /// What.
        mark: Mark,
        /// When.
        at: Timestamp,
        /// How it was handed to them, as far as this node knows.
        handed: Option<Handed>,
    },
    /// The recipient has read everything: the next entries are marked.
    ReadAll {
        /// Whose inbox.
        recipient: Recipient,
        /// When.
        at: Timestamp,
        /// Those behind this place.
        after: Position,
        /// And up to there; up to the last there is, if nothing is said.
        upto: Option<Position>,
    },
    /// The recipient wants to hear of these topics from now on, or no longer.
    Subscribe {
        /// Who.
        recipient: Recipient,
        /// Which.
        topics: Vec<String>,
        /// Whether it does.
        wanted: bool,
    },
    /// What was sent for later goes out at another time, or never (no time).
    Reschedule {
        /// Whose it is.
        tenant: Tenant,
        /// Which.
        notification: NotificationId,
        /// When, now.
        due_at: Option<Timestamp>,
        /// As it is written down.
        deed: Deed,
    },
    /// The recipient wants something different.
    Prefer {
        /// Who.
        recipient: Recipient,
        /// What.
        change: Arc<Change>,
    },
    /// Something is to be done with browsers that take pushes.
    Device(Arc<DeviceWrite>),
    /// Something is to be done with digests.
    Digest(Arc<DigestWrite>),
    /// Where somebody can be reached.
    Reachable(Arc<ContactsWrite>),
    /// This goes out again and again.
    Keep {
        /// In place of the one of this number; if there is none, it is new.
        id: Option<i64>,
        /// What.
        new: Arc<NewRecurring>,
    },
    /// What goes out again and again does so no more.
    Cease {
        /// Whose it is.
        whose: Whose,
        /// Its number.
        id: i64,
        /// As it is written down.
        deed: Deed,
    },
    /// A template is made, changed, or used no more.
    Template(Arc<TemplateChange>),
    /// Something is to be done with addresses that are told what becomes of notifications.
    Webhook(Arc<WebhookWrite>),
    /// This is written down in the audit log.
    Audit(Vec<Deed>),
    /// The audit log is sealed, or shortened.
    Chain(Arc<ChainWrite>),
    /// This notification was sent in a trace: `traceparent`.
    Traced(NotificationId, String),
    /// What is due is done, as far as it still is and no other node is at it.
    Work {
        /// What.
        task: Task,
        /// Which: numbers of [`Store::due`](super::Store::due).
        ids: Vec<i64>,
        /// To how many people at most, of what spreads.
        most: usize,
        /// The present.
        now: Timestamp,
    },
    /// At most so many deliveries over a channel whose turn has come are this process's to try.
    Claim {
        /// Which channel.
        channel: Channel,
        /// How many.
        most: i64,
        /// How many text messages may go out.
        caps: SmsCaps,
    },
    /// Pushes that told this person of what they have read or removed since are taken back.
    Retract(Recipient),
    /// This came of attempts.
    Tried(Arc<[Tried]>),
    /// What has failed is tried again.
    Revive {
        /// Whose it is.
        tenant: Tenant,
        /// Which deliveries: no more than a commit may change.
        ids: Arc<[i64]>,
        /// As it is written down.
        deed: Deed,
    },
    /// This person gets at once what is on its way to them; with the present.
    Reach(Recipient, Timestamp),
    /// The next entries of an inbox that nobody has counted yet are counted.
    Count {
        /// Whose inbox.
        recipient: Recipient,
        /// Which of them.
        which: Which,
        /// The present: what has expired does not count.
        now: Timestamp,
    },
    /// What is counted of notifications is kept.
    Analytics(AnalyticsWrite),
    /// These rows are old, and removed.
    Sweep(Sweep),
    /// What somebody agrees to, who saw it, and that they are forgotten.
    Privacy(Arc<PrivacyWrite>),
    /// What was removed is to be in no file any more: the file is written anew, if it has at most so many bytes (nothing: it was,
    /// or is not to be), and its log emptied. [`Written::Changed`] is none if somebody still reads the log.
    Scrub(Option<u64>),
    /// Nothing of this recipient is pending up to there.
    Settled {
        /// The recipient's row.
        recipient: i64,
        /// The last place of which that is known.
        upto: Position,
    },
    /// These sockets are connected, and those are no longer.
    Presence {
        /// Those that came.
        came: Vec<Presence>,
        /// The ids of those that left.
        gone: Vec<String>,
    },
    /// The node is alive.
    Beat(Beat),
    /// Nodes that gave no sign of life for so many seconds are forgotten, with their connections.
    Reap(i64),
    /// The node of this name stops; nobody is connected to it any more.
    Leave(String),
    /// Nothing: its completion runs after those of all earlier writes.
    Barrier,
    /// Changes nothing, and yet writes a row: shows whether a commit goes well again.
    Probe,
    /// Nothing more comes: the database is left as one would like to copy it.
    Last,
}

/// What a recipient does with a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A device has it.
    Confirmed,
    /// Somebody has looked at it.
    Read,
    /// It is to look new again.
    Unread,
    /// It is to be seen no more.
    Deleted,
}

impl Write {
    /// Whether it removes entries.
    pub const fn is_of_entries(&self) -> bool {
        matches!(self, Self::Sweep(Sweep::Entries(_)))
    }

    /// Whether the database hears of it.
    pub(super) fn is_stored(&self) -> bool {
        !matches!(self, Self::Barrier | Self::Last | Self::Scrub(_))
    }

    /// Whether somebody waits for it. What is for whoever fits only begins to spread with it.
    pub(super) fn is_awaited(&self) -> bool {
        match self {
            Self::Accept { notification, .. } => !notification.audience.named().is_empty(),
            Self::Mark { .. }
            | Self::ReadAll { .. }
            | Self::Subscribe { .. }
            | Self::Reschedule { .. }
            | Self::Prefer { .. }
            | Self::Keep { .. }
            | Self::Cease { .. }
            | Self::Reach(..) => true,
            _ => false,
        }
    }
}

/// How a notification stood in an inbox before it was marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Its second name.
    pub uuid: Uuid,
    /// Who sent it, if that is a user or a named service.
    pub sender: Option<String>,
    /// When a device had it.
    pub confirmed_at: Option<Timestamp>,
    /// When it was looked at.
    pub read_at: Option<Timestamp>,
    /// Whether it went beyond sockets, perhaps.
    pub is_beyond: bool,
    /// Whether this very mark confirmed it: nothing else had, nor will.
    pub is_confirmed_now: bool,
}

/// An inbox entry that was sent to a socket and confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it stands.
    pub place: Place,
    /// When it was handed to which socket.
    pub handed: Handed,
    /// When it counted as confirmed.
    pub confirmed_at: Timestamp,
}

/// A sign of life.
#[derive(Clone, Debug)]
pub struct Beat {
    /// The node's name.
    pub node: String,
    /// How many back ends it serves.
    pub senders: usize,
    /// Ids of the keys that it has.
    pub keys: String,
}

/// One live connection of an authenticated person.
#[derive(Clone, Debug)]
pub struct Presence {
    /// The socket's id, unique in the cluster.
    pub socket_id: String,
    /// Which process holds it.
    pub node: String,
    /// Whose it is.
    pub recipient: Recipient,
    /// Since when.
    pub connected_at: Timestamp,
    /// The roles that its token names: a JSON list.
    pub roles: String,
}

/// What was put into inboxes.
#[derive(Clone, Debug)]
pub struct Spread {
    /// What reached it.
    pub notification: Notification,
    /// Who has it now, and where.
    pub places: Vec<(Recipient, Placed)>,
    /// Whether that was all of the audience.
    pub is_finished: bool,
}

/// What came of a [`Write`].
#[derive(Clone, Debug)]
pub enum Written {
    /// Of `Accept`.
    Accepted(Accepted),
    /// Of `Confirm`: how many were not confirmed before. Of `Device`, when some are removed or were reached: how many. Of
    /// `Reschedule`: how many waited. Of `Tried` and `Revive`: how many counted. Of `Retract` and `Cease`: how many there were.
    /// Of `Count`: how many were looked at. Of `Digest`, when one is wanted no more or some are forgotten: how many. Of
    /// `Analytics`: how many changes were added up. Of `Sweep`: how many there were. Of `Chain`: how many rows it was done to.
    Changed(usize),
    /// Of `ReadAll`.
    Read {
        /// How many were not read.
        many: usize,
        /// How many were not confirmed before.
        confirmed: usize,
        /// Behind which place, and up to which, there are more to be marked.
        rest: Option<(Position, Position)>,
    },
    /// Of `Keep`.
    Kept(Kept),
    /// Of `Template`.
    Template(TemplateKept),
    /// Of `Webhook`, but when messages are claimed, tried or cleared.
    Webhook(WebhookKept),
    /// Of `Webhook`, when messages are claimed: those that are to be sent.
    Messages(Arc<[WebhookMessage]>),
    /// Of `Beat`: whether the node was known; if not, nor are its connections.
    Beat {
        /// Whether it was.
        known: bool,
        /// How many nodes there are.
        nodes: i64,
    },
    /// Of `Mark`: how it stood before; nothing, if the recipient has no such notification.
    Marked(Option<Arc<Before>>),
    /// Of `Work`, and of `Digest`, when one is made.
    Worked {
        /// How many there were; the others are done, or another node is at them.
        done: usize,
        /// What it put into inboxes.
        spreads: Arc<[Spread]>,
    },
    /// Of `Claim`.
    Claimed {
        /// Those that are to be tried.
        claimed: Arc<[Claimed]>,
        /// How many were due.
        looked: usize,
    },
    /// Of `Prefer`: what is preferred now, or why it was not changed.
    Preferred(Result<Arc<Preferences>, Broken>),
    /// Of `Device`, when one is registered or changed: its number; nothing, if there is none such, or there are too many.
    Device(Option<i64>),
    /// Of `Digest`, when somebody wants one: when it is due.
    DigestDue(Option<Timestamp>),
    /// Of `Reachable`, and of `Privacy`, when they say what they agree to: where they can be reached now.
    Reachable(Arc<Contacts>),
    /// Of `Reachable`, when what was stored cannot be read, and not all of it was said anew; nothing was changed.
    Unreadable,
    /// Of `Reach`.
    Reached {
        /// What reached them only now.
        spreads: Arc<[Spread]>,
        /// Whether another node is at something that may be for them.
        is_busy: bool,
    },
    /// Of `Privacy`, when somebody is forgotten: how many rows of which table.
    Erased(Arc<[(&'static str, usize)]>),
    /// Of the others.
    Done,
}

/// Called once with the outcome, after the commit.
pub type Done = Box<dyn FnOnce(Result<Written, StoreError>) + Send>;
