//! What a caller may ask. Knows no protocol: doors translate.

mod admission;
mod alarms;
mod analytics;
mod audit;
mod choices;
mod compliance;
mod contacts;
mod crowd;
mod devices;
mod digests;
mod explain;
mod export;
mod failures;
mod inbox;
mod ingesting;
mod library;
mod marking;
mod notify;
mod outgoing;
mod presence;
mod preview;
mod privacy;
pub mod proof;
pub mod quota;
mod recurring;
mod reports;
mod retention;
mod rollup;
mod roster;
mod schedule;
mod sealing;
mod session;
mod single_flight;
mod spans;
mod stats;
mod tally;
mod topics;
mod turns;
mod watch;
mod webhooks;
mod worker;

use crate::access::TokenError;
use crate::domain::Broken;
use crate::render::RenderError;
use crate::store::StoreError;

pub use alarms::{Alarms, AlertSettings};
pub use analytics::{Analytics, Figures, OfChannel, Period, Reckoning};
pub use audit::Audit;
pub use choices::{Choices, KnownType, OnChosen};
pub use compliance::Report;
pub use contacts::Addresses;
pub use crowd::{Crowd, CrowdLimits, Crowded, Place, Turn};
pub use devices::{DeviceWishes, Devices};
pub use digests::{DigestWanted, Digests};
pub use explain::{Explain, Over, Step, Timeline, Ways};
pub use export::{Export, Section};
pub use failures::{Entrance, Failures};
pub use inbox::{Inbox, Listing, Page, Query, ReplayFrom};
pub use ingesting::{IngestLine, Ingesting};
pub use library::{Library, Look, Shelved};
pub use marking::{Marked, OnMarked};
pub use notify::{Answer, Broadcast, Notify, Reached, Receipt};
pub use outgoing::{Outgoing, Progress};
pub use presence::Presences;
pub use preview::{Preview, Prospect};
pub use privacy::{BeyondReach, Erased, Forgotten, Outside, Privacy};
pub use quota::{Quota, Standing};
pub use recurring::{RecurringLimits, Recurrings, Wanted};
pub use reports::Reports;
pub use retention::{Retention, RetentionSettings};
pub use rollup::{AnalyticsSettings, Rollup};
pub use roster::Roster;
pub use sealing::{AuditSettings, Sealing};
pub use session::{Refused, Session};
pub use spans::{Exporter, collector};
pub use stats::{Health, Online, RedisIs, Stats, StatsService};
pub use tally::{Many, Tally};
pub use topics::Topics;
pub use watch::{Everywhere, Known, Recent, Watch};
pub use webhooks::{Hooks, host};
pub use worker::Worker;

/// Why something was not done. `Display` is what a caller may read; sources stay inside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token does not prove what was claimed.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The person has as many connections as allowed.
    #[error(
        "this user has {0} connections, which is the limit; close some, or raise limits.sockets_per_user"
    )]
    TooManySockets(usize),
    /// There is no such thing, or it is somebody else's: both look the same.
    #[error("there is no such notification")]
    NotFound,
    /// Nothing of this name waits to go out, or it is somebody else's.
    #[error("nothing of this name waits to go out")]
    NotScheduled,
    /// There is no such recurring notification, or it is somebody else's.
    #[error("there is no such recurring notification")]
    NoSuchRecurring,
    /// There are as many recurring notifications as there may be.
    #[error(
        "there are {0} recurring notifications, which is the limit; delete some, or raise limits.recurring_per_tenant \
         (of services) or limits.recurring_per_user (of a person)"
    )]
    TooManyRecurring(i64),
    /// No delivery of this number has failed, or it is somebody else's.
    #[error("there is no such failed delivery")]
    NoSuchDelivery,
    /// There is no such webhook, or it is somebody else's.
    #[error("there is no such webhook")]
    NoSuchWebhook,
    /// There are as many webhooks as there may be.
    #[error("there are {0} webhooks, which is the limit; delete some, or raise webhooks.per_tenant")]
    TooManyWebhooks(i64),
    /// There is no such digest, or it is somebody else's.
    #[error("there is no such digest")]
    NoSuchDigest,
    /// There is no such device, or it is somebody else's.
    #[error("there is no such device")]
    NoSuchDevice,
    /// The person has as many devices as allowed.
    #[error("there are {0} devices, which is the limit; remove some, or raise limits.devices_per_user")]
    TooManyDevices(i64),
    /// There is no such person, or the caller has nothing to do with them.
    #[error("there is no such recipient")]
    NoSuchRecipient,
    /// What is stored of somebody's contacts cannot be read, and not all of it was said anew.
    #[error("what is stored of these contacts cannot be read")]
    ContactsUnreadable {
        /// Whether a service asks, which may say all.
        by_service: bool,
    },
    /// Nobody has made keys for Web Push.
    #[error(
        "there are no keys for Web Push; make them by `carillon vapid`, and set VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY on \
         all nodes"
    )]
    NoPushKeys,
    /// The request breaks a rule.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The token does not allow it.
    #[error("this token does not allow it; {0}")]
    Forbidden(&'static str),
    /// The tenant has no such template, and none is built in.
    #[error("there is no such template")]
    NoSuchTemplate,
    /// There is one of this name.
    #[error("there is a template of this name")]
    TemplateTaken,
    /// There are as many templates as there may be.
    #[error("there are {0} templates, which is the limit; delete some")]
    TooManyTemplates(i64),
    /// A template is at fault, or the data that it was given.
    #[error(transparent)]
    Template(#[from] RenderError),
    /// The idempotency key was used for another request.
    #[error("this idempotency_key was used for a different request; send a new key with a new request")]
    KeyReused,
    /// The address has as many sockets as it may, or opened them too fast.
    #[error("{0}")]
    TooManyHere(&'static str),
    /// The server has as many sockets as it may, or is stopping.
    #[error("{0}")]
    Overloaded(&'static str),
    /// The system gives no random bytes, of which names are made that nobody can guess.
    #[error("the server has no random bytes; try again later")]
    NoRandomBytes,
    /// It is not done yet, and why: it is to be asked for again.
    #[error("{0}")]
    NotDone(&'static str),
    /// Redis, where something of a person may stand, does not answer.
    #[error("Redis does not answer: {0}")]
    Redis(String),
    /// The database could not do it.
    #[error("the notification could not be stored; nothing was lost that had been confirmed. Send it again")]
    Store(#[from] StoreError),
}
