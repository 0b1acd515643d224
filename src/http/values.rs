//! Values that all dialects of the API write alike.

use std::collections::BTreeMap;

use axum::http::{HeaderName, header};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::access::{Principal, from_base64};
pub use crate::domain::written::{Name, given, instant, priority};
use crate::domain::{
    Broken, Channel, Device, Escalation, Switches, Timestamp, Until, Wish, is_name, read_from_objects,
};
use crate::service::{Reached, Receipt};
use crate::store::NewDevice;

/// Stands in the description for the name of a kind, a topic or a role.
pub struct Label;

/// Stands in the description for a notification's topic, which may be empty.
pub struct Category;

/// What may be left out, or be null, and means something else by each.
///
/// # Errors
/// When it is no `T`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Ways of delivery, on or off; nothing is said of the others.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, remote = "Self", expecting = "a JSON object")]
#[schema(as = SwitchesChange)]
pub struct SwitchesIn {
    /// Over sockets, and in the inbox. Also `inApp`, `realtime`, `websocket`.
    #[serde(alias = "inApp", alias = "realtime", alias = "websocket", deserialize_with = "given")]
    #[schema(nullable = false)]
    in_app: Option<bool>,
    #[serde(deserialize_with = "given")]
    #[schema(nullable = false)]
    email: Option<bool>,
    #[serde(deserialize_with = "given")]
    #[schema(nullable = false)]
    push: Option<bool>,
    #[serde(deserialize_with = "given")]
    #[schema(nullable = false)]
    sms: Option<bool>,
}

read_from_objects!(SwitchesIn);

impl From<SwitchesIn> for Switches {
    fn from(SwitchesIn { in_app, email, push, sms }: SwitchesIn) -> Self {
        Self { realtime: in_app, email, push, sms }
    }
}

/// Which ways of delivery are wanted; all of which nothing is said.
pub struct Wanted {
    /// Over sockets, and in the inbox.
    pub in_app: bool,
    /// By e-mail.
    pub email: bool,
    /// By Web Push.
    pub push: bool,
    /// By text message.
    pub sms: bool,
}

impl Wanted {
    /// What `switches` say.
    pub fn of(switches: Switches) -> Self {
        let is_wanted = |channel| switches.of(channel).unwrap_or(true);
        Self {
            in_app: is_wanted(Channel::Realtime),
            email: is_wanted(Channel::Email),
            push: is_wanted(Channel::Push),
            sms: is_wanted(Channel::Sms),
        }
    }
}

/// What is to be expected of a notification that was just asked for.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// It is stored, and goes out in its time.
    Pending,
    /// It was asked for before, for later, and has been taken back since.
    Cancelled,
}

/// That, and when it was to go out, if not at once.
pub const fn outlook(reached: Reached) -> (Outlook, Option<Timestamp>) {
    match reached {
        Reached::Sent(_) | Reached::Stored(_) => (Outlook::Pending, None),
        Reached::Scheduled(at) => (Outlook::Pending, Some(at)),
        Reached::TakenBack(at) => (Outlook::Cancelled, Some(at)),
    }
}

/// Where `who` finds what they have just sent: one of their own in the inbox, all else by its timeline. Nowhere, if the
/// token names nobody by whom it was sent.
pub fn location(who: &Principal, is_own: bool, receipt: &Receipt) -> Option<[(HeaderName, String); 1]> {
    let at_once = outlook(receipt.reached).1.is_none();
    let timeline = match (is_own && at_once, who.can_send || who.user.is_some()) {
        (true, _) => "",
        (false, true) => "/timeline",
        (false, false) => return None,
    };
    Some([(header::LOCATION, format!("/api/v1/notifications/{}{timeline}", receipt.id))])
}

/// Rules by name, as they came.
pub fn rules(given: BTreeMap<String, SwitchesIn>) -> BTreeMap<String, Switches> {
    given.into_iter().map(|(name, switches)| (name, switches.into())).collect()
}

/// Rules by name, as they are told.
pub fn wanted_of<T: From<Wanted>>(rules: BTreeMap<String, Switches>) -> BTreeMap<String, T> {
    rules.into_iter().map(|(name, switches)| (name, Wanted::of(switches).into())).collect()
}

/// A yes or no in a query.
///
/// # Errors
/// When it is neither.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(D::Error::custom("true or false")),
    }
}

/// The name of a kind or topic to look for.
///
/// # Errors
/// When it cannot be one.
pub fn wanted(name: Option<String>, field: &'static str) -> Result<Option<String>, Broken> {
    match name {
        Some(name) if !is_name(&name) => {
            Err(Broken { field, expected: "1 to 128 bytes, no control characters" })
        }
        name => Ok(name),
    }
}

/// A channel, as the IEP reminders call it.
pub const fn spelled(channel: Channel) -> &'static str {
    match channel {
        Channel::Realtime => "websocket",
        Channel::Email => "email",
        Channel::Push => "push",
        Channel::Sms => "sms",
    }
}

/// A channel, as `/api/v1` calls it.
pub const fn called(channel: Channel) -> &'static str {
    match channel {
        Channel::Realtime => "in_app",
        beyond => beyond.name(),
    }
}

/// The channels that a sender names, each once; nothing, if it names none: then the usual ones are meant.
///
/// # Errors
/// When a word is unknown, or a list has none.
pub fn channels(named: Option<&[String]>, field: &'static str) -> Result<Option<Vec<Channel>>, Broken> {
    let Some(named) = named else { return Ok(None) };
    let expected = "at least one of in_app (websocket, realtime), push, email and sms";
    let mut channels = Vec::with_capacity(named.len());
    for name in named {
        let channel = Channel::named(name).ok_or(Broken { field, expected })?;
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    match channels.is_empty() {
        true => Err(Broken { field, expected }),
        false => Ok(Some(channels)),
    }
}

/// Channels in the order of their steps.
fn steps(named: Option<&[String]>) -> Result<Option<Vec<Channel>>, Broken> {
    let field = "escalation.order";
    let order = channels(named, field)?;
    if order.as_ref().map(Vec::len) != named.map(<[String]>::len) {
        return Err(Broken { field, expected: "each channel once; in_app, websocket and realtime are one" });
    }
    Ok(order)
}

/// How to go on when a socket is not enough.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Escalation)]
pub struct EscalationIn {
    /// Seconds that each step is given; 0: all at once. If nothing is said, a little more than any socket needs to show that
    /// it has got something: 95, as heartbeats are usually set.
    #[schema(maximum = 604_800)]
    after_seconds: Option<u32>,
    /// What ends it: `confirmed` (a device has it; so it is if nothing is said), or `read`.
    #[schema(value_type = Option<String>, pattern = "^(confirmed|read)$")]
    until: Option<Until>,
    /// Channels in the order of their steps; what is not among them goes out in any case. `["push", "sms"]` if nothing is
    /// said.
    order: Option<Vec<String>>,
}

/// What is wanted beyond sockets; nothing, if nothing was said of it.
///
/// # Errors
/// When a channel is unknown.
pub fn wish(named: Option<&[String]>, escalation: Option<EscalationIn>) -> Result<Option<Wish>, Broken> {
    if named.is_none() && escalation.is_none() {
        return Ok(None);
    }
    let usual = Escalation::default();
    let escalation = match escalation {
        None => usual,
        Some(given) => Escalation {
            after: given.after_seconds,
            until: given.until.unwrap_or(usual.until),
            order: steps(given.order.as_deref())?.unwrap_or(usual.order),
        },
    };
    let channels = channels(named, "channels")?.unwrap_or_default();
    Ok(Some(Wish { channels, escalation, ..Wish::default() }))
}

/// Data as the sender wrote it.
pub fn data(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

/// A device, as a page describes it; its keys with the fields' names.
///
/// # Errors
/// When it is none.
pub fn device(
    endpoint: &str,
    (p256dh, public): (&str, &'static str),
    (auth, secret): (&str, &'static str),
    user_agent: Option<String>,
    info: Option<serde_json::Value>,
) -> Result<NewDevice, Broken> {
    let bytes = |text, field| {
        from_base64(text).ok_or(Broken { field, expected: "bytes in base64, as the browser gave them" })
    };
    let (p256dh, auth) = (bytes(p256dh, public)?, bytes(auth, secret)?);
    let device = Device::new(endpoint, p256dh, auth).map_err(|broken| match broken.field {
        "p256dh" => Broken { field: public, ..broken },
        "auth" => Broken { field: secret, ..broken },
        _ => broken,
    })?;
    let info = match info {
        None | Some(serde_json::Value::Null) => None,
        Some(info) if info.is_object() => Some(info.to_string()),
        Some(_) => return Err(Broken { field: "device_info", expected: "a JSON object" }),
    };
    Ok(NewDevice { device, user_agent, info })
}

/// A text, if there is any.
pub fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_said() {
        let named = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            channels(Some(&words), "channels")
        };
        assert_eq!(channels(None, "channels"), Ok(None));
        assert_eq!(named(&["websocket", "push", "in_app"]), Ok(Some(vec![Channel::Realtime, Channel::Push])));
        assert!(named(&["pigeon", "in_app"]).is_err() && named(&[]).is_err());
    }
}
