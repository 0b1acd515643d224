//! What is written of what is kept of people: what they agree to, who saw it, and, part by part, nothing any more.

use crate::domain::{Channel, Deed, Recipient, SaidBy};

/// What is made durable of it.
#[derive(Clone, Debug)]
pub enum PrivacyWrite {
    /// Somebody agrees to these channels, or no longer.
    Consent {
        /// Who.
        recipient: Recipient,
        /// To which.
        said: Vec<(Channel, bool)>,
        /// By which way.
        how: SaidBy,
        /// Who says so for them.
        actor: Option<String>,
        /// What else is said.
        note: Option<String>,
        /// As it is written down.
        deed: Deed,
    },
    /// Somebody saw what is another's.
    Seen {
        /// As the audit log has it.
        deed: Deed,
        /// About whom.
        about: Vec<String>,
    },
    /// What caps count no longer of people who were forgotten goes.
    Clear,
    /// Somebody is forgotten, a part at a time.
    Erase {
        /// Who.
        whom: Recipient,
        /// Which part.
        part: Part,
    },
}

/// A part of what is forgotten: each is one commit.
#[derive(Clone, Debug)]
pub enum Part {
    /// A secret is there, of which their pseudonyms are made.
    Begin,
    /// These entries of theirs, and of which notifications nobody else has anything.
    Entries {
        /// Their row.
        row: i64,
        /// Positions and notifications.
        places: Vec<(i64, i64)>,
        /// Those of the notifications that were for them only.
        alone: Vec<i64>,
    },
    /// Messages to webhooks that name them.
    Messages(Vec<i64>),
    /// Notifications for later or for named people that name them.
    Expansions(Vec<i64>),
    /// Recurring ones that are theirs, or name them.
    Recurring(Vec<i64>),
    /// Notifications that they sent.
    Sent(Vec<i64>, Vec<u8>),
    /// Bookings that are from them, in the inboxes of others.
    Booked(Vec<i64>, Vec<u8>),
    /// Rows of the audit log.
    Audit(Vec<i64>, Vec<u8>),
    /// All the rest. It is not done while there are entries still.
    Person {
        /// Of which pseudonyms are made.
        secret: Vec<u8>,
        /// Rows of the audit log up to this one are done: none of them can come into it any more.
        audited: i64,
        /// As it is written down.
        deed: Option<Deed>,
    },
}

/// Said of a part that is not done, in place of a table: something came meanwhile.
pub const AGAIN: &str = "again";

/// How many rows of which table were removed, or lost a name.
pub type Removed = Vec<(&'static str, usize)>;
