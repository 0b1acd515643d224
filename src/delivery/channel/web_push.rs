//! Pushes to browsers (RFC 8030), which only they can read (RFC 8291), signed by this deployment (RFC 8292).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use web_push_native::{Auth, p256::PublicKey};

use super::{Channel, Fault, Letter, Parcel, Taken};
use crate::access::Vapid;
use crate::delivery::outbound::{Answer, Outbound};
use crate::domain::{Broken, Clock, Device, Priority};
use crate::render::LARGEST_PUSH as LARGEST;

/// Members whose text may be cut off.
const PROSE: [&str; 4] = ["message", "body", "text", "description"];
/// Seconds for which push services keep something at most.
const LONGEST_TTL: i64 = 28 * 24 * 60 * 60;

/// The push services of all browsers.
pub struct WebPush {
    vapid: Arc<Vapid>,
    ttl: u32,
    clock: Arc<dyn Clock>,
    outbound: Arc<Outbound>,
}

/// The keys of a device, as they are used.
fn keys(device: &Device) -> Option<(PublicKey, Auth)> {
    let public = PublicKey::from_sec1_bytes(&device.p256dh).ok()?;
    let auth: [u8; 16] = device.auth.as_slice().try_into().ok()?;
    Some((public, Auth::from(auth)))
}

/// Checks what a browser says of itself: whether anything can be encrypted for it, and whether its endpoint may be called.
///
/// # Errors
/// When it cannot, or may not.
pub fn check(device: &Device, outbound: &Outbound) -> Result<(), Broken> {
    if outbound.suitable(&device.endpoint).is_err() {
        let expected = "the https address of a public push service, as the browser gave it";
        return Err(Broken { field: "endpoint", expected });
    }
    if keys(device).is_none() {
        return Err(Broken { field: "p256dh", expected: "a public key that is a point on P-256" });
    }
    Ok(())
}

impl WebPush {
    /// Signs with `vapid`; what has no end is kept `ttl` seconds for a device that is off.
    pub fn new(vapid: Arc<Vapid>, ttl: u32, clock: Arc<dyn Clock>, outbound: Arc<Outbound>) -> Self {
        Self { vapid, ttl, clock, outbound }
    }

    fn headers(&self, parcel: &Parcel, to: &Device) -> Result<HeaderMap, Fault> {
        let unfit = |why: &str| Fault::Unfit { reason: why.to_owned() };
        let url = self.outbound.suitable(&to.endpoint).map_err(|why| unfit(why.0))?;
        let now = self.clock.now();
        let signed = self.vapid.authorization(&url.origin().ascii_serialization(), now);
        let signed = signed.map_err(|why| Fault::Retry { after: None, reason: why.to_string() })?;
        let mut signed = HeaderValue::from_str(&signed).map_err(|_| unfit("its endpoint is odd"))?;
        signed.set_sensitive(true);
        let ttl = match parcel.expires_at {
            Some(at) => (at.as_seconds() - now.as_seconds()).clamp(0, LONGEST_TTL),
            None => self.ttl.into(),
        };
        let urgency = match parcel.priority {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High | Priority::Urgent => "high",
        };
        // One that is sent again takes the place of the first, while the device is off.
        let topic = URL_SAFE_NO_PAD.encode(parcel.key.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, signed);
        headers.insert("ttl", HeaderValue::from(ttl));
        headers.insert("urgency", HeaderValue::from_static(urgency));
        headers.insert("topic", HeaderValue::from_str(&topic).map_err(|_| unfit("its key is odd"))?);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(headers)
    }
}

/// `payload`, so short that push services take it: prose is cut off first, then data goes, the largest first.
fn shortened(payload: &str) -> Option<String> {
    if payload.len() <= LARGEST {
        return Some(payload.to_owned());
    }
    let mut whole: Value = serde_json::from_str(payload).ok()?;
    loop {
        let text = whole.to_string();
        let Some(excess) = text.len().checked_sub(LARGEST).filter(|excess| *excess > 0) else {
            return Some(text);
        };
        if !cut_prose(&mut whole, excess) && !drop_largest(&mut whole) {
            return None;
        }
    }
}

/// Cuts the longest prose by about so many bytes.
fn cut_prose(whole: &mut Value, excess: usize) -> bool {
    fn prose<'a>(value: &'a mut Value, found: &mut Vec<&'a mut String>) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            match value {
                Value::String(text) => found.extend(PROSE.contains(&name.as_str()).then_some(text)),
                value => prose(value, found),
            }
        }
    }
    let mut found = Vec::new();
    prose(whole, &mut found);
    let Some(longest) = found.into_iter().max_by_key(|text| text.len()).filter(|text| text.len() > 80) else {
        return false;
    };
    // At least a little each time: what is escaped is longer as JSON than here.
    let keep = longest.len().saturating_sub(excess.max(8) + '…'.len_utf8()).max(40);
    let end = (0..=keep).rev().find(|end| longest.is_char_boundary(*end)).unwrap_or(0);
    longest.truncate(end);
    longest.push('…');
    true
}

/// Takes the largest member of `data` away.
fn drop_largest(whole: &mut Value) -> bool {
    let Some(Value::Object(data)) = whole.get_mut("data") else { return false };
    let largest = data.iter().max_by_key(|(_, value)| value.to_string().len()).map(|(name, _)| name.clone());
    largest.is_some_and(|name| data.remove(&name).is_some())
}

/// What a push service's no means.
fn fate(answer: &Answer) -> Fault {
    let reason = |what: &str| format!("the push service answered {}: {what}", answer.status);
    match answer.status {
        404 | 410 => Fault::Gone { reason: reason("the subscription has ended") },
        413 => Fault::Reject { reason: reason("it is too large") },
        401 | 403 => Fault::Reject {
            reason: reason("the subscription was made for other VAPID keys, or these are refused"),
        },
        // Too many for this subscription, or for us (RFC 8030, section 8.4): nothing says which.
        429 => Fault::Slow { after: answer.rest, reason: reason("too many") },
        _ => answer.fault("the push service"),
    }
}

impl Channel for WebPush {
    fn name(&self) -> &'static str {
        "web_push"
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        Box::pin(async move {
            let unfit = |why: &str| Fault::Unfit { reason: why.to_owned() };
            let Letter::Push { to, payload } = &parcel.letter else { return Err(unfit("this is no push")) };
            let (public, auth) = keys(to).ok_or_else(|| unfit("the device's keys are none"))?;
            let payload = shortened(payload).ok_or_else(|| unfit("it is too large for a push service"))?;
            let body = web_push_native::encrypt(payload.into_bytes(), &public, &auth)
                .map_err(|_| unfit("it could not be encrypted for the device"))?;
            let answer = self.outbound.post(&to.endpoint, self.headers(parcel, to)?, body).await?;
            match answer.status {
                200 | 201 | 202 | 204 => {
                    let named = answer.text(LOCATION.as_str());
                    let last = named.and_then(|at| Some(at.rsplit('/').next()?.to_owned()));
                    Ok(Taken { provider_id: last.filter(|id| !id.is_empty()) })
                }
                _ => Err(fate(&answer)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_long_is_shortened() {
        let small = json!({"title": "t", "message": "m"}).to_string();
        assert_eq!(shortened(&small), Some(small));
        let long = json!({"title": "t", "message": "é\"".repeat(9_000), "data": {"id": 7, "message": "ab".repeat(4_000)}});
        let cut = shortened(&long.to_string()).unwrap();
        assert!((2_000..=LARGEST).contains(&cut.len()), "{}", cut.len());
        let cut: Value = serde_json::from_str(&cut).unwrap();
        assert_eq!((&cut["title"], &cut["data"]["id"]), (&json!("t"), &json!(7)));
        assert!(cut["message"].as_str().unwrap().ends_with('…'));
        let heavy = json!({"title": "t", "message": "m", "data": {"id": 7, "blob": "x".repeat(9_000)}});
        let cut: Value = serde_json::from_str(&shortened(&heavy.to_string()).unwrap()).unwrap();
        assert_eq!(cut, json!({"title": "t", "message": "m", "data": {"id": 7}}));
        assert_eq!(shortened(&json!({"title": "t".repeat(9_000)}).to_string()), None);
        assert_eq!(shortened(&"x".repeat(9_000)), None);
    }

    #[test]
    fn only_points_on_the_curve_are_keys() {
        let on = crate::access::from_base64(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        );
        let on = Device::new("https://push.example/x", on.unwrap(), vec![1; 16]).unwrap();
        assert!(keys(&on).is_some());
        let off = Device { p256dh: [vec![4], vec![7; 64]].concat(), ..on };
        assert!(keys(&off).is_none());
    }
}
