//! What is written down of what people and services do.

use std::net::IpAddr;

use super::{Audience, Group, Tenant, Timestamp};

macro_rules! actions {
    ($($(#[$about:meta])* $name:ident: $word:literal;)*) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$about])* $name,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The one of this name.
            pub fn named(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

actions! {
    /// Notifications were sent to people by name.
    Send: "send";
    /// A notification was sent to whoever fits.
    Broadcast: "broadcast";
    /// A notification was sent for later.
    Schedule: "schedule";
    /// It was put off, or brought forward.
    Reschedule: "schedule.change";
    /// It was taken back.
    TakeBack: "schedule.cancel";
    /// A recurring notification was made.
    Recur: "recurring.create";
    /// It was changed.
    RecurOtherwise: "recurring.change";
    /// It was ended.
    RecurNoMore: "recurring.delete";
    /// It went out.
    RecurringSend: "recurring.send";
    /// Somebody decided what reaches them, or was decided for.
    Preferences: "preferences.change";
    /// Failed deliveries were tried again.
    Retry: "delivery.retry";
    /// Where somebody can be reached was changed.
    Contacts: "contacts.change";
    /// A browser was registered for pushes.
    DeviceAdd: "device.add";
    /// What it is to get was changed.
    DeviceChange: "device.change";
    /// It was taken away.
    DeviceRemove: "device.remove";
    /// A template was made.
    Template: "template.create";
    /// It was changed.
    TemplateOtherwise: "template.change";
    /// It is used no more.
    TemplateNoMore: "template.delete";
    /// An address is told what becomes of notifications.
    Webhook: "webhook.create";
    /// It was changed.
    WebhookOtherwise: "webhook.change";
    /// It is told nothing any more.
    WebhookNoMore: "webhook.delete";
    /// What it is told is signed by another secret.
    WebhookRotate: "webhook.rotate";
    /// It was tried out.
    WebhookTest: "webhook.test";
    /// It was told again.
    WebhookReplay: "webhook.replay";
    /// It was disabled, by nobody: it takes nothing.
    WebhookDisable: "webhook.disable";
    /// Somebody decided what they want of their digest.
    DigestWanted: "digest.change";
    /// They want none any more.
    DigestNoMore: "digest.delete";
    /// Somebody showed no good token.
    AuthFailure: "auth.failure";
    /// A service looked at how a notification got to somebody.
    TimelineRead: "timeline.read";
    /// A service looked at whom a notification would reach.
    PreviewRead: "preview.read";
    /// A service looked at where somebody can be reached.
    ContactsRead: "contacts.read";
    /// Somebody looked at what failed, and for whom.
    FailuresRead: "failures.read";
    /// Somebody looked at what came by Redis and could not be taken.
    LettersRead: "letters.read";
    /// A service looked at what others have sent for later.
    ScheduleRead: "schedule.read";
    /// Somebody read the audit log.
    AuditRead: "audit.read";
    /// All that is known of somebody was handed out.
    Export: "data.export";
    /// Somebody was forgotten.
    Erase: "data.erase";
    /// Somebody agreed to be sent something, or no longer.
    Consent: "consent.change";
    /// A service looked at what somebody agrees to.
    ConsentRead: "consent.read";
    /// A service looked at who saw what about somebody.
    DisclosuresRead: "disclosures.read";
    /// Somebody looked at how well the rules are kept.
    ComplianceRead: "compliance.read";
    /// Old rows were removed from the audit log.
    AuditShorten: "audit.shorten";
    /// A backup was put back.
    Restore: "database.restore";
    /// What could not be read any more was given up.
    GiveUp: "database.give_up";
}

impl Action {
    /// Whether its subject is a person, by name: once they are forgotten, a pseudonym stands there. The seals of rows depend on
    /// it (decision 44): what is said of an action once stays.
    pub const fn is_about_person(self) -> bool {
        matches!(
            self,
            Self::Preferences
                | Self::Contacts
                | Self::DeviceAdd
                | Self::DeviceChange
                | Self::DeviceRemove
                | Self::DigestWanted
                | Self::DigestNoMore
                | Self::TimelineRead
                | Self::PreviewRead
                | Self::ContactsRead
                | Self::AuditRead
                | Self::Export
                | Self::Erase
                | Self::Consent
                | Self::ConsentRead
                | Self::DisclosuresRead
        )
    }

    /// Whether somebody sees what is another's by it: that is a disclosure.
    pub const fn is_disclosure(self) -> bool {
        matches!(
            self,
            Self::TimelineRead
                | Self::ContactsRead
                | Self::ConsentRead
                | Self::DisclosuresRead
                | Self::Export
        )
    }
}

/// One thing that was done, or several alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// In which tenant.
    pub tenant: Tenant,
    /// Who did it: a user or a service. Nothing: nobody that is known.
    pub actor: Option<String>,
    /// What.
    pub action: Action,
    /// Of what, or about whom: `role:teacher`, `recurring:3`, `notification:7`, a user.
    pub subject: Option<String>,
    /// What else there is to say: a JSON object, without tokens and texts.
    pub detail: String,
    /// From where.
    pub address: Option<IpAddr>,
}

/// The actor of what comes by the back end's own token, or from a service that has no name.
pub const BACKEND: &str = "backend";

impl Group {
    /// As the audit log names it; people have their own names, which do not stand there.
    pub fn subject(&self) -> Option<String> {
        match self {
            Self::Topic(topic) => Some(format!("topic:{topic}")),
            Self::Role(role) => Some(format!("role:{role}")),
            Self::Everyone => Some("everyone".to_owned()),
            Self::People(_) => None,
        }
    }
}

impl Audience {
    /// What sending to it is called, and what it is about.
    pub fn deed(&self, is_for_later: bool) -> (Action, Option<String>) {
        let subject = match self {
            Self::Whoever(_, group) => group.subject(),
            Self::One(_) | Self::Many(_) => None,
        };
        match (is_for_later, self) {
            (true, _) => (Action::Schedule, subject),
            (false, Self::Whoever(..)) => (Action::Broadcast, subject),
            (false, _) => (Action::Send, subject),
        }
    }
}
