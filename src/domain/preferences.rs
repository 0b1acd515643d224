//! What somebody wants to be told, by which channel, and when. Off anywhere is off.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::quiet::{QuietChange, QuietHours};
use super::zone::Zone;
use super::{Broken, Priority, Timestamp, is_name};

/// Types and topics that somebody may have rules for.
const MOST_RULES: usize = 500;

/// A way of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Over sockets, and in the inbox.
    Realtime = 0,
    /// By e-mail.
    Email = 1,
    /// By Web Push.
    Push = 2,
    /// By text message.
    Sms = 3,
}

impl Channel {
    /// Those that are not sockets.
    pub const BEYOND: [Self; 3] = [Self::Email, Self::Push, Self::Sms];

    /// The channel that is meant by `word`, as any door's clients call it.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "websocket" | "in_app" | "inApp" | "realtime" => Self::Realtime,
            "email" => Self::Email,
            "push" => Self::Push,
            "sms" => Self::Sms,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Email => "email",
            Self::Push => "push",
            Self::Sms => "sms",
        }
    }

    /// As it is stored.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What was stored.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::BEYOND.into_iter().find(|channel| channel.number() == number)
    }
}

/// What is wanted of each channel; nothing is said of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// Over sockets, and in the inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realtime: Option<bool>,
    /// By e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<bool>,
    /// By Web Push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<bool>,
    /// By text message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<bool>,
}

impl Switches {
    /// What is said of `channel`.
    pub const fn of(&self, channel: Channel) -> Option<bool> {
        match channel {
            Channel::Realtime => self.realtime,
            Channel::Email => self.email,
            Channel::Push => self.push,
            Channel::Sms => self.sms,
        }
    }

    /// The same, with this channel switched off.
    pub const fn without(mut self, channel: Channel) -> Self {
        match channel {
            Channel::Realtime => self.realtime = Some(false),
            Channel::Email => self.email = Some(false),
            Channel::Push => self.push = Some(false),
            Channel::Sms => self.sms = Some(false),
        }
        self
    }

    fn is_off(&self, channel: Channel) -> bool {
        self.of(channel) == Some(false)
    }

    /// These, where they say something, else what was said before.
    fn over(self, before: Self) -> Self {
        Self {
            realtime: self.realtime.or(before.realtime),
            email: self.email.or(before.email),
            push: self.push.or(before.push),
            sms: self.sms.or(before.sms),
        }
    }
}

/// One person's preferences; whoever has none wants everything at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// For everything.
    #[serde(default)]
    pub channels: Switches,
    /// For notifications of a type.
    #[serde(default)]
    pub types: BTreeMap<String, Switches>,
    /// For notifications of a topic.
    #[serde(default)]
    pub topics: BTreeMap<String, Switches>,
    /// When nothing disturbs.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
    /// Where the clock hangs on the wall.
    #[serde(default)]
    pub time_zone: Zone,
}

/// What is to be different; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Those that are said.
    pub channels: Switches,
    /// Types whose rules are put in place of those there are; without any switch, taken away.
    pub types: BTreeMap<String, Switches>,
    /// The same for topics.
    pub topics: BTreeMap<String, Switches>,
    /// New ones, or none (`Some(None)`).
    pub quiet_hours: Option<Option<QuietChange>>,
    /// A new one.
    pub time_zone: Option<Zone>,
    /// Whether it was asked for by a link in what was sent.
    pub is_by_link: bool,
}

/// What quiet hours are made of.
const OF_QUIET_HOURS: [&str; 4] = ["enabled", "start", "end", "days"];

impl Preferences {
    /// What was stored, as far as it can be read, and whether that is all of it.
    pub fn read(stored: &str) -> (Self, bool) {
        if let Ok(all) = serde_json::from_str(stored) {
            return (all, true);
        }
        let mut parts: Map<String, Value> = serde_json::from_str(stored).unwrap_or_default();
        if let Some(Value::Object(hours)) = parts.get_mut("quiet_hours") {
            hours.retain(|name, _| OF_QUIET_HOURS.contains(&name.as_str()));
        }
        let some = Self {
            channels: part(&mut parts, "channels"),
            types: part(&mut parts, "types"),
            topics: part(&mut parts, "topics"),
            quiet_hours: part(&mut parts, "quiet_hours"),
            time_zone: part(&mut parts, "time_zone"),
        };
        (some, false)
    }
}

impl Preferences {
    /// Which channels beyond sockets are switched off here and were not `before`, or are no longer: for all types (an empty
    /// name), and for each.
    pub fn said_since(&self, before: &Self) -> Vec<(Channel, String, bool)> {
        let kinds = self.types.keys().chain(before.types.keys()).collect::<std::collections::BTreeSet<_>>();
        let nothing = Switches::default();
        let of = |all: &Self, kind: &str| *all.types.get(kind).unwrap_or(&nothing);
        let pairs = std::iter::once((String::new(), self.channels, before.channels))
            .chain(kinds.into_iter().map(|kind| (kind.clone(), of(self, kind), of(before, kind))));
        let said = |(kind, now, then): (String, Switches, Switches)| {
            let changed = move |channel: &Channel| now.is_off(*channel) != then.is_off(*channel);
            Channel::BEYOND
                .into_iter()
                .filter(changed)
                .map(move |channel| (channel, kind.clone(), !now.is_off(channel)))
                .collect::<Vec<_>>()
        };
        pairs.flat_map(said).collect()
    }
}

/// The part of this name; what it is when nothing was said, if it cannot be read.
fn part<T: DeserializeOwned + Default>(parts: &mut Map<String, Value>, name: &str) -> T {
    parts.remove(name).and_then(|part| serde_json::from_value(part).ok()).unwrap_or_default()
}

impl Change {
    /// What it is about, as it is written down: no names, which somebody chose for themselves.
    pub fn subjects(&self) -> serde_json::Value {
        let said = [
            ("channels", self.channels != Switches::default()),
            ("types", !self.types.is_empty()),
            ("topics", !self.topics.is_empty()),
            ("quiet_hours", self.quiet_hours.is_some()),
            ("time_zone", self.time_zone.is_some()),
        ];
        let changed: Vec<_> =
            said.into_iter().filter(|(_, is_said)| *is_said).map(|(name, _)| name).collect();
        serde_json::json!({"changed": changed, "types": self.types.len(), "topics": self.topics.len()})
    }
}

/// What preferences look at.
#[derive(Clone, Copy, Debug)]
pub struct Matter<'a> {
    /// The sender's kind of notification.
    pub kind: &'a str,
    /// The sender's category; may be empty.
    pub topic: &'a str,
    /// How much it matters.
    pub priority: Priority,
}

/// Why somebody does not hear of something at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hush {
    /// They do not want it on this channel at all.
    Muted(Muted),
    /// They do not want to be disturbed until then.
    Quiet(Timestamp),
}

/// Where it is said that something is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muted {
    /// For everything.
    Everything,
    /// For the type.
    Type,
    /// For the topic.
    Topic,
    /// Its sender did not ask for the channel.
    Unasked,
}

impl Muted {
    /// As it is stored, and told.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Everything => "the channel is switched off",
            Self::Type => "the type is switched off for this channel",
            Self::Topic => "the topic is switched off for this channel",
            Self::Unasked => "its sender did not ask for the channel",
        }
    }
}

impl Preferences {
    /// Where it is said that a notification of this kind is not wanted on `channel`.
    pub fn muted(&self, matter: Matter<'_>, channel: Channel) -> Option<Muted> {
        let says_no = |rules: &BTreeMap<String, Switches>, name| {
            rules.get(name).is_some_and(|switches| switches.is_off(channel))
        };
        if self.channels.is_off(channel) {
            Some(Muted::Everything)
        } else if says_no(&self.types, matter.kind) {
            Some(Muted::Type)
        } else if says_no(&self.topics, matter.topic) {
            Some(Muted::Topic)
        } else {
            None
        }
    }

    /// Until when nothing but what is urgent disturbs.
    pub fn quiet_until(&self, priority: Priority, now: Timestamp) -> Option<Timestamp> {
        let hours = self.quiet_hours.as_ref().filter(|_| priority < Priority::Urgent)?;
        hours.end_of(now, self.time_zone)
    }

    /// Why this person does not hear of a notification on `channel` now; nothing, if they do. Nobody can mute
    /// what is `mandatory`.
    pub fn hush(
        &self,
        matter: Matter<'_>,
        channel: Channel,
        mandatory: &[String],
        now: Timestamp,
    ) -> Option<Hush> {
        let is_mandatory = mandatory.iter().any(|kind| kind == matter.kind);
        let muted = self.muted(matter, channel).filter(|_| !is_mandatory);
        muted.map(Hush::Muted).or_else(|| self.quiet_until(matter.priority, now).map(Hush::Quiet))
    }

    /// These, changed.
    ///
    /// # Errors
    /// When there would be too many rules.
    pub fn changed(mut self, change: Change) -> Result<Self, Broken> {
        self.channels = change.channels.over(self.channels);
        for (rules, changes) in [(&mut self.types, change.types), (&mut self.topics, change.topics)] {
            for (name, switches) in changes {
                match switches == Switches::default() {
                    true => drop(rules.remove(&name)),
                    false => drop(rules.insert(name, switches)),
                }
            }
        }
        if let Some(quiet_hours) = change.quiet_hours {
            let changed = quiet_hours.map(|changed| changed.over(self.quiet_hours)).transpose()?;
            self.quiet_hours = changed.flatten();
        }
        self.time_zone = change.time_zone.unwrap_or(self.time_zone);
        let expected = "at most 500 types and topics with rules of their own";
        match self.types.len() + self.topics.len() <= MOST_RULES {
            true => Ok(self),
            false => Err(Broken { field: "types", expected }),
        }
    }
}

impl Change {
    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, mandatory: &[String]) -> Result<(), Broken> {
        let names = "names of 1 to 128 bytes, without control characters; at most 500";
        for (field, rules) in [("types", &self.types), ("topics", &self.topics)] {
            if rules.len() > MOST_RULES || !rules.keys().all(|name| is_name(name)) {
                return Err(Broken { field, expected: names });
            }
        }
        let says_no = |switches: &Switches| {
            [switches.realtime, switches.email, switches.push, switches.sms].contains(&Some(false))
        };
        if mandatory.iter().any(|kind| self.types.get(kind).is_some_and(says_no)) {
            let expected = "no mandatory type switched off (see mandatory_types)";
            return Err(Broken { field: "types", expected });
        }
        Ok(())
    }
}
