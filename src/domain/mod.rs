//! Nouns and pure rules: no I/O, no runtime, no wire names.
//!
//! Everything above may use this floor; it knows nothing of them.

mod alert;
mod audit;
pub mod booker;
pub mod chain;
mod clock;
mod consent;
mod contact;
mod contacts;
mod digests;
mod draft;
mod identity;
pub mod latency;
mod locale;
mod notification;
mod objects;
mod preferences;
pub mod pseudonym;
mod quiet;
mod recurrence;
mod redact;
pub mod removal;
mod restriction;
mod rhythm;
mod route;
mod schemas;
mod standing;
mod webhook;
mod wish;
pub mod written;
mod zone;

pub use alert::AlertKind;
pub use audit::{Action, BACKEND, Deed};
pub use clock::{Clock, SystemClock, Timestamp};
pub use consent::{ConsentNeeded, Consents, Guardian, NO_GUARDIAN, SaidBy, students_of};
pub use contact::{Device, Email, Phone};
pub use contacts::{Contacts, ContactsChange, is_locale};
pub use digests::{DigestTerms, Gathering, Item, Line};
pub use draft::{
    BOOKING_KIND, Broken, Draft, To, is_name, is_over, leads_nowhere_bad, tidy_link, time_to_come,
};
pub use identity::{DEFAULT_TENANT, IdError, Recipient, Tenant, UserId};
pub use locale::{Locale, TemplateName, Templated};
pub use notification::{
    Accepted, Audience, Digest, Group, Handed, Idempotency, NewNotification, Notification, NotificationId,
    Place, Placed, Position, Priority, SocketMark,
};
pub(crate) use objects::read_from_objects;
pub use preferences::{Change, Channel, Hush, Matter, Muted, Preferences, Switches};
pub use quiet::{Day, QuietChange, QuietHours, TimeOfDay, came_meanwhile};
pub use recurrence::Recurrence;
pub use redact::Secret;
pub use restriction::{NoRestriction, Restriction};
pub use rhythm::{Frequency, Rhythm};
pub use route::{MOST_UNANSWERED, Situation, Verdict, pause};
pub use schemas::name_schema;
pub(crate) use schemas::schemas;
pub use standing::{Standing, Status};
pub use webhook::{TEST_EVENT, WebhookEvent};
pub use wish::{Contact, Escalation, NO_ADDRESS, NO_MORE, USUAL_AFTER, Until, Wish, number_unfit};
pub use zone::Zone;
