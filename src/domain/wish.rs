//! What a sender wants of a notification beyond sockets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digests::SUMMARIES;
use super::{Broken, Channel, Phone, TemplateName, Templated};

/// Seconds between two steps, if nothing is said, at least: longer than a socket needs to show that it is alive.
pub const USUAL_AFTER: u32 = 90;
/// The longest: a week.
const LONGEST_AFTER: u32 = 7 * 24 * 60 * 60;

/// Why no text message goes to a number from which STOP came.
pub const NO_MORE: &str = "no_phone_number: its owner wants no more";
/// Why no e-mail goes to what was given.
pub const NO_ADDRESS: &str =
    "bad_email: what was given is no e-mail address; write one such as ana@example.com";

/// What a sender wants of a notification beyond sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Over which channels it is to go; none: the usual ones.
    pub channels: Vec<Channel>,
    /// What is tried when nothing before it was enough.
    #[serde(default)]
    pub escalation: Escalation,
    /// Where its only recipient is reached, whatever is known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Contact>,
    /// The same, by telephone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Contact>,
    /// What it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Templated>,
}

/// An address or a number that came with a request. It cannot be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contact(String);

impl Contact {
    /// Takes what was given.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What was given: only for the code that must use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(***)")
    }
}

/// Why no text message goes to this number; or to what was given, of which none could be made.
pub fn number_unfit(number: Result<&Phone, &Broken>) -> Option<&'static str> {
    match number {
        Ok(phone) if phone.is_costly() => Some(
            "bad_phone_number: text messages do not go to numbers that cost more than others (premium rate); name another",
        ),
        Ok(_) => None,
        Err(_) => Some(
            "bad_phone_number: what was given is no telephone number; write it as +14155550123, with its country's code",
        ),
    }
}

/// What is tried after what, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Seconds that each step is given; nothing, as long as only its sender has spoken: the usual.
    #[serde(default)]
    pub after: Option<u32>,
    /// What ends it.
    pub until: Until,
    /// Channels in the order of their steps; the others go out in any case.
    pub order: Vec<Channel>,
}

/// What ends an escalation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// A device has it.
    #[default]
    Confirmed,
    /// Somebody has looked at it.
    Read,
}

impl Default for Escalation {
    fn default() -> Self {
        Self { after: None, until: Until::Confirmed, order: vec![Channel::Push, Channel::Sms] }
    }
}

impl Escalation {
    /// Seconds that each step is given.
    pub fn after(&self) -> u32 {
        self.after.unwrap_or(USUAL_AFTER)
    }
}

impl Wish {
    /// Whether it is to go over sockets, too.
    pub fn has_realtime(&self) -> bool {
        self.channels.contains(&Channel::Realtime)
    }

    /// Whether its sender says where it goes.
    pub const fn has_contacts(&self) -> bool {
        self.email.is_some() || self.phone.is_some()
    }

    /// Each channel that is not a socket, with its step: 0 goes out in any case.
    pub fn steps(&self) -> Vec<(Channel, i32)> {
        let asked = |channel: &Channel| *channel != Channel::Realtime && self.channels.contains(channel);
        let in_turn: Vec<Channel> = self.escalation.order.iter().copied().filter(asked).collect();
        let others =
            Channel::BEYOND.into_iter().filter(|channel| asked(channel) && !in_turn.contains(channel));
        let others: Vec<_> = others.map(|channel| (channel, 0)).collect();
        others.into_iter().chain(in_turn.into_iter().zip(1..)).collect()
    }

    /// The template that said what is of this kind. What the server itself sums up has none to be known by.
    pub fn said_by(&self, kind: &str) -> Option<&TemplateName> {
        self.template.as_ref().map(|template| &template.name).filter(|_| !SUMMARIES.contains(&kind))
    }

    /// What was stored.
    pub fn read(stored: &str) -> Option<Self> {
        serde_json::from_str(stored).ok()
    }

    /// As it is stored.
    pub fn written(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Broken> {
        let expected = "at most 604800 seconds (a week)";
        match self.escalation.after() <= LONGEST_AFTER {
            true => Ok(()),
            false => Err(Broken { field: "escalation.after_seconds", expected }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_summed_up_is_known_by_no_template() {
        let name = TemplateName::new("digest").unwrap();
        let template = Templated { name: name.clone(), version: 0, locale: None, zone: None };
        let wish = Wish { template: Some(template), ..Wish::default() };
        assert_eq!(wish.said_by("order_status"), Some(&name));
        assert!(SUMMARIES.iter().all(|kind| wish.said_by(kind).is_none()));
    }

    #[test]
    fn steps_follow_the_order_of_escalation() {
        use Channel::{Email, Push, Realtime, Sms};
        let of = |channels: &[Channel], order: &[Channel]| {
            let escalation = Escalation { order: order.to_vec(), ..Escalation::default() };
            Wish { channels: channels.to_vec(), escalation, ..Wish::default() }.steps()
        };
        assert_eq!(of(&[Realtime, Sms, Push, Email], &[Push, Sms]), [(Email, 0), (Push, 1), (Sms, 2)]);
        assert_eq!(of(&[Realtime, Sms], &[Push, Sms]), [(Sms, 1)]);
        assert_eq!(of(&[Email, Push], &[Email, Realtime]), [(Push, 0), (Email, 1)]);
        assert_eq!(of(&[Realtime], &[Push]), []);
    }
}
