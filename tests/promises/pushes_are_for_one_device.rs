//! Web Push: the push service verifies who sends, only the device can read what, and each answer has its meaning. Nothing
//! but public push services is ever called.

use std::time::{Duration, Instant};

use carillon::access::{Vapid, from_base64};
use carillon::delivery::channel::{Fault, Letter, Parcel};
use carillon::domain::Clock as _;
use carillon::domain::{Channel, Device, Priority, Secret, SystemClock};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::channels::{Provided, key, parcel};
use crate::support::{Peers, eventually};

fn pushing() -> (Provided, String) {
    let (public, private) = Vapid::generate().expect("keys");
    let provided = Provided::with(|config| {
        config.push.vapid_public_key.clone_from(&public);
        config.push.vapid_private_key = Secret::new(private);
        config.push.vapid_email = "admin@example.org".to_owned();
        config.delivery.timeout_ms = 2_000;
    });
    (provided, public)
}

fn device(subscription: &Value) -> Device {
    let bytes =
        |name: &str| from_base64(subscription["keys"][name].as_str().expect("a key")).expect("base64");
    let endpoint = subscription["endpoint"].as_str().expect("an endpoint");
    Device::new(endpoint, bytes("p256dh"), bytes("auth")).expect("a device")
}

fn push(to: Device, payload: &Value, key: Uuid) -> Parcel {
    parcel(Letter::Push { to, payload: payload.to_string() }, key)
}

#[test]
fn a_device_can_read_it_and_its_service_knows_from_whom() {
    let peers = Peers::start();
    let (provided, public) = pushing();
    let said = json!({"title": "Hello", "message": "Γειά σου", "data": {"id": 7}});
    let first = push(device(&peers.subscription("201", "one")), &said, key(1));
    let taken = provided.send(Channel::Push, first.clone()).expect("it is taken");
    assert_eq!(taken.provider_id.as_deref(), Some("7"));
    let got = peers.hear("push", |told| told["path"] == "/201/one");
    assert_eq!(serde_json::from_str::<Value>(got["text"].as_str().expect("a text")).expect("JSON"), said);
    assert_eq!((&got["key"], &got["urgency"], &got["ttl"]), (&json!(public), &json!("high"), &json!(86_400)));
    // A resend takes the place of the first; the token is signed once.
    provided.send(Channel::Push, first).expect("it is taken");
    let both = eventually("both came", || Some(peers.told("push")).filter(|both| both.len() == 2));
    assert_eq!((&both[0]["topic"], &both[0]["token"]), (&both[1]["topic"], &both[1]["token"]));
    // What ends soon is kept no longer.
    let mut short = push(device(&peers.subscription("202", "short")), &said, key(2));
    short.expires_at = Some(SystemClock.now().plus_seconds(90));
    short.priority = Priority::Low;
    provided.send(Channel::Push, short).expect("it is taken");
    let got = peers.hear("push", |told| told["path"] == "/202/short");
    assert!((60..=90).contains(&got["ttl"].as_i64().expect("a number")), "{got}");
    assert_eq!(got["urgency"], "low");
}

#[test]
fn what_is_long_still_arrives() {
    let peers = Peers::start();
    let (provided, _) = pushing();
    let long = json!({"title": "Hello", "message": "é".repeat(20_000), "data": {"id": 7}});
    let to = device(&peers.subscription("201", "long"));
    provided.send(Channel::Push, push(to, &long, key(3))).expect("it is taken");
    let got = peers.hear("push", |told| told["path"] == "/201/long");
    assert!(got["size"].as_u64().expect("a size") <= 4_096, "{got}");
    let text: Value = serde_json::from_str(got["text"].as_str().expect("a text")).expect("JSON");
    assert_eq!((&text["title"], &text["data"]["id"]), (&json!("Hello"), &json!(7)));
}

#[test]
fn each_answer_has_its_meaning() {
    let peers = Peers::start();
    let (provided, _) = pushing();
    let said = |how: &str| {
        let to = device(&peers.subscription(how, "x"));
        provided.send(Channel::Push, push(to, &json!({"title": "Hello"}), key(4)))
    };
    for how in ["404", "410"] {
        assert!(matches!(said(how), Err(Fault::Gone { .. })), "{how}");
    }
    for how in ["400", "413", "403", "redirect"] {
        assert!(matches!(said(how), Err(Fault::Reject { .. })), "{how}: {:?}", said(how));
    }
    for how in ["500", "503"] {
        assert!(matches!(said(how), Err(Fault::Retry { after: None, .. })), "{how}: {:?}", said(how));
    }
    assert!(matches!(said("reset"), Err(Fault::Unsure { .. })), "{:?}", said("reset"));
    assert!(matches!(said("429"), Err(Fault::Slow { after: Some(after), .. }) if after.as_secs() == 7));
    assert!(peers.told("push").iter().all(|told| told["path"] != "/201/elsewhere"), "it followed");
    for how in ["hang", "endless"] {
        let began = Instant::now();
        let answer = said(how);
        assert!(began.elapsed() < Duration::from_secs(8), "{how}: {:?}", began.elapsed());
        assert!(how == "endless" || matches!(answer, Err(Fault::Unsure { .. })), "{how}: {answer:?}");
    }
    // What is said of it names neither the device nor its service.
    for how in ["410", "500", "hang"] {
        let Err(fault) = said(how) else { panic!("{how}") };
        assert!(!fault.to_string().contains("127.0.0.1"), "{fault}");
    }
}

#[test]
fn nothing_inside_is_called() {
    let peers = Peers::start();
    let (_, private) = Vapid::generate().expect("keys");
    let strict = Provided::with(|config| {
        config.push.vapid_private_key = Secret::new(private);
        config.delivery.allow_loopback = false;
    });
    let subscription = peers.subscription("201", "x");
    let port = peers.port("push");
    for (number, endpoint) in [
        format!("http://127.0.0.1:{port}/201/x"),
        format!("https://127.0.0.1:{port}/201/x"),
        format!("https://localhost:{port}/201/x"),
        format!("https://[::ffff:127.0.0.1]:{port}/201/x"),
        format!("https://0:{port}/201/x"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        // A name that everybody may ask for, and that leads here.
        format!("https://localhost.localdomain:{port}/201/x"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = Device { endpoint: endpoint.clone(), ..device(&subscription) };
        let said = strict.send(Channel::Push, push(to, &json!({"title": "x"}), key(10 + number as u128)));
        assert!(said.is_err(), "{endpoint}: {said:?}");
    }
    assert!(peers.told("push").is_empty());
}
