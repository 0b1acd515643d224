//! What people agree to is heeded on every channel, and how that came to be can be read. Who said nothing is treated as before,
//! unless the operator wants a yes first.

use carillon::access::Vapid;
use serde_json::{Value, json};

use crate::support::{Peers, Rest, Server, SinkFile, TWILIO_SID, TWILIO_TOKEN, call, eventually};

const TWO: &str = "/api/v1/recipients/2";
const CONSENT: &str = "/api/v1/recipients/2/consent";

fn mail(service: &Rest, user: u64, title: &str) -> Value {
    service.send(&json!({"user_id": user, "type": "note", "title": title, "channels": ["in_app", "email"]}))
}

fn timeline(service: &Rest, sent: &Value, user: u64) -> String {
    service.get(&format!("/api/v1/notifications/{}/timeline?user_id={user}", sent["id"])).body
}

#[test]
fn who_no_longer_agrees_is_left_alone() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("notifications.mandatory_types", "fire")]);
    let (service, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let contacts = json!({"email": "two@example.com", "phone": "+14155550123"});
    service.put(TWO, &contacts).expect(200);
    mail(&service, 2, "before anybody asked");
    eventually("it goes out", || (sink.by("email").len() == 1).then_some(()));
    let unknown = person.get(CONSENT).expect(200);
    assert_eq!(unknown["channels"]["email"]["status"], "unknown");

    person.put(CONSENT, &json!({"email": false, "sms": false, "note": "by telephone"})).expect(200);
    let refused = mail(&service, 2, "after they said no");
    eventually("it is told why", || {
        timeline(&service, &refused, 2).contains("consent_withdrawn").then_some(())
    });
    let fire = json!({"user_id": 2, "type": "fire", "title": "!", "priority": "urgent", "channels": ["in_app", "sms", "email"]});
    let fire = service.send(&fire);
    let said = || timeline(&service, &fire, 2).matches("consent_withdrawn").count();
    eventually("what nobody can mute is no exception", || (said() == 2).then_some(()));
    assert_eq!(person.titles()[0], "!", "the inbox has it");
    let preview = json!({"user_id": 2, "type": "note", "title": "x", "channels": ["email"]});
    let preview = service.post("/api/v1/notifications/preview", &preview).expect(200).to_string();
    assert!(preview.contains("consent_withdrawn"), "{preview}");

    // A service notes what they said to somebody else; both can be read.
    let told = service.put(CONSENT, &json!({"email": true})).expect(200);
    assert_eq!(told["channels"]["email"]["status"], "given");
    assert_eq!((&told["history"][0]["by"], &told["history"][0]["how"]), (&json!("backend"), &json!("api")));
    assert_eq!(
        (&told["history"][1]["by"], &told["history"][1]["note"]),
        (&Value::Null, &json!("by telephone"))
    );
    let page = person.get(&format!("{CONSENT}?limit=1")).expect(200);
    let next = person.get(&format!("{CONSENT}?limit=2&cursor={}", page["next_cursor"])).expect(200);
    assert_eq!(next["history"].as_array().map(Vec::len), Some(2));
    mail(&service, 2, "after they said yes");
    eventually("it goes out", || (sink.by("email").len() == 2).then_some(()));
    for bad in [json!({}), json!({"mail": true}), json!({"email": "yes"}), json!({"email": null})] {
        person.put(CONSENT, &bad).expect(422);
    }
}

#[test]
fn where_a_yes_is_wanted_first_silence_is_none() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("privacy.require_consent", "email")]);
    let service = Rest::backend(&server);
    service.put(TWO, &json!({"email": "two@example.com"})).expect(200);
    let silent = mail(&service, 2, "one");
    eventually("it is told why", || timeline(&service, &silent, 2).contains("no_consent").then_some(()));
    service.put(CONSENT, &json!({"email": true})).expect(200);
    mail(&service, 2, "two");
    eventually("it goes out", || (sink.by("email").len() == 1).then_some(()));
    assert_eq!(sink.by("email")[0]["subject"], "two");
}

/// What was said of `channel` by which way, of which type, and whether it was yes.
fn history(person: &Rest) -> Vec<(String, String, Value, bool)> {
    let told = person.get(CONSENT).expect(200);
    let entry = |one: &Value| {
        let text = |name: &str| one[name].as_str().expect("a text").to_owned();
        (text("channel"), text("how"), one["type"].clone(), one["is_given"] == true)
    };
    told["history"].as_array().expect("a list").iter().map(entry).collect()
}

#[track_caller]
fn said_no(person: &Rest, channel: &str, how: &str, kind: &Value) {
    let all = history(person);
    let is_it = |one: &&(String, String, Value, bool)| {
        (&*one.0, &*one.1, &one.2, one.3) == (channel, how, kind, false)
    };
    assert_eq!(all.iter().filter(is_it).count(), 1, "{channel} {how} {kind}: {all:?}");
}

#[test]
fn one_click_ends_pushes_and_e_mails_and_is_written_down() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let peers = Peers::start();
    let (public, private) = Vapid::generate().expect("keys");
    let server = Server::with(&[
        (name, &path),
        ("CARILLON_ENV", "development"),
        ("delivery.allow_loopback", "true"),
        ("PUBLIC_URL", "https://notify.example.com"),
        ("VAPID_PUBLIC_KEY", &public),
        ("VAPID_PRIVATE_KEY", &private),
        ("VAPID_EMAIL", "admin@example.org"),
    ]);
    let (service, person) = (Rest::backend(&server), Rest::user(&server, 2));
    service.put(TWO, &json!({"email": "two@example.com"})).expect(200);
    person.post("/push/subscribe", &peers.subscription("201", "one")).expect(201);
    let all = json!({
        "user_id": 2, "type": "news", "title": "x", "priority": "high", "channels": ["in_app", "email", "push"],
    });
    service.send(&all);
    for channel in ["email", "push"] {
        let taken = match channel {
            "push" => peers.hear("push", |told| told["path"] == "/201/one"),
            _ => eventually(channel, || sink.by(channel).first().cloned()),
        };
        // As it stands in the e-mail, or within what is pushed.
        let text = taken.to_string();
        let at = text
            .find("https://notify.example.com/unsubscribe/")
            .unwrap_or_else(|| panic!("a link in {taken}"));
        let is_of_it = |sign: char| sign.is_ascii_alphanumeric() || "-_./:".contains(sign);
        let url: String = text[at..].chars().take_while(|sign| is_of_it(*sign)).collect();
        let path = url.strip_prefix("https://notify.example.com").expect("our address");
        let asked = call(server.address, "GET", path, &[], None);
        assert!(asked.status == 200 && asked.body.contains("news"), "{asked:?}");
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        for _ in 0..2 {
            let done = call(server.address, "POST", path, &form, Some("List-Unsubscribe=One-Click"));
            assert_eq!(done.status, 200);
        }
        said_no(&person, channel, "one_click", &json!("news"));
    }
    let types = person.get("/api/v1/notifications/preferences").expect(200)["types"]["news"].clone();
    assert_eq!(
        (&types["email"], &types["push"], &types["sms"]),
        (&json!(false), &json!(false), &json!(true))
    );
    person.put("/api/v1/notifications/preferences", &json!({"channels": {"push": false}})).expect(200);
    said_no(&person, "push", "preferences", &Value::Null);
}

#[test]
fn stop_is_written_down() {
    let peers = Peers::start();
    let server = Server::with(&[
        ("CARILLON_ENV", "development"),
        ("delivery.allow_loopback", "true"),
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("sms.twilio_url", &peers.url("twilio")),
    ]);
    let (service, person) = (Rest::backend(&server), Rest::user(&server, 2));
    // Twilio refuses this number as having opted out.
    service.put(TWO, &json!({"phone": "+14155550131"})).expect(200);
    let text = json!({"user_id": 2, "type": "x", "title": "x", "channels": ["sms"], "priority": "high"});
    service.post("/notify", &text).expect(200);
    eventually("STOP is noted", || {
        (person.get(CONSENT).expect(200)["channels"]["sms"]["status"] == "withdrawn").then_some(())
    });
    said_no(&person, "sms", "stop", &Value::Null);
    // A number that said so is heeded where it is a guardian's, too.
    let minor = json!({"is_minor": true, "guardian": {"phone": "+14155550131"}});
    service.put("/api/v1/recipients/3", &minor).expect(200);
    let text = json!({"user_id": 3, "type": "x", "title": "x", "channels": ["sms"], "priority": "high"});
    assert_eq!(service.post("/notify", &text).expect(200)["channels"]["sms"], "no_phone_number");
}
