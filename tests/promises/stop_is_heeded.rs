//! What Twilio says later counts, if it is Twilio that says so, and counts once; and a number that said STOP gets no more,
//! whichever way that became known.

use serde_json::{Value, json};

use crate::support::{Peers, Rest, Server, by_twilio, call, eventually};

const TWO: &str = "/api/v1/recipients/2";

/// Sends a text message to user 2; the notification's id, and what the channel is answered.
fn text(service: &Rest, title: &str) -> (String, Value) {
    let new = json!({
        "user_id": 2, "type": "x", "title": title, "message": "x", "channels": ["sms"], "priority": "high",
    });
    let told = service.post("/notify", &new).expect(200);
    (told["notification_id"].as_str().expect("an id").to_owned(), told["channels"]["sms"].clone())
}

/// What Twilio posts, with this status, under its own signature for another one.
fn posted(server: &Server, got: &Value, status: &str, signature: &str) -> u16 {
    let url = got["form"]["StatusCallback"].as_str().expect("an address");
    let path = url.strip_prefix("https://notify.example.com").expect("our address");
    let mut params = got["says"]["params"].clone();
    params["MessageStatus"] = json!(status);
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in params.as_object().expect("a form") {
        form.append_pair(name, value.as_str().expect("a text"));
    }
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    call(server.address, "POST", path, &[kind, ("X-Twilio-Signature", signature)], Some(&form.finish()))
        .status
}

fn timeline(service: &Rest, id: &str) -> String {
    service.get(&format!("/api/v1/notifications/{id}/timeline?user_id=2")).body
}

#[test]
fn what_twilio_says_later_counts() {
    let peers = Peers::start();
    let server = by_twilio(&peers.url("twilio"), &[]);
    let service = Rest::backend(&server);
    service.put(TWO, &json!({"phone": "+14155550123"})).expect(200);
    let (id, told) = text(&service, "one");
    assert_eq!(told, "delivered");
    let got = peers.hear("twilio", |told| told["to"] == "+14155550123");
    let signature = got["says"]["signature"].as_str().expect("a signature");
    let arrived = "the provider says that it arrived";
    for (status, signature) in [("delivered", ""), ("delivered", "AAAA"), ("failed", signature)] {
        assert_eq!(posted(&server, &got, status, signature), 404, "{status}");
    }
    assert!(!timeline(&service, &id).contains(arrived));
    for _ in 0..2 {
        assert_eq!(posted(&server, &got, "delivered", signature), 204);
        assert!(timeline(&service, &id).contains(arrived), "{}", timeline(&service, &id));
    }
    assert_eq!(call(server.address, "POST", "/callbacks/twilio/x", &[], Some("")).status, 404);
}

#[test]
fn a_number_that_said_stop_gets_no_more() {
    let peers = Peers::start();
    let server = by_twilio(&peers.url("twilio"), &[]);
    let service = Rest::backend(&server);
    // Twilio refuses this one as having opted out.
    service.put(TWO, &json!({"phone": "+14155550131"})).expect(200);
    assert_eq!(text(&service, "one").1, "failed");
    eventually("it is known", || (service.get(TWO).expect(200)["sms_stopped"] == true).then_some(()));
    assert_eq!(text(&service, "two").1, "no_phone_number");
    assert_eq!(peers.told("twilio").len(), 1);
    // So it is when a sender gives it, for whomever.
    let given = |user: u64, number: &str| {
        let new = json!({
            "user_id": user, "type": "x", "title": "x", "channels": ["sms"], "priority": "high", "phone_number": number,
        });
        service.post("/notify", &new).expect(200)["channels"]["sms"].clone()
    };
    assert_eq!(
        (given(2, "+14155550131"), given(3, "+14155550131")),
        (json!("no_phone_number"), json!("no_phone_number"))
    );
    assert_eq!(peers.told("twilio").len(), 1);
    // Another number is asked anew.
    service.put(TWO, &json!({"phone": "+14155550123"})).expect(200);
    assert_eq!(text(&service, "three").1, "delivered");
}

#[test]
fn a_number_that_is_nobodys_is_asked_once() {
    let peers = Peers::start();
    let server = by_twilio(&peers.url("twilio"), &[]);
    let service = Rest::backend(&server);
    for (user, outcome) in [(2, "failed"), (2, "no_phone_number"), (3, "no_phone_number")] {
        let new = json!({
            "user_id": user, "type": "x", "title": "x", "channels": ["sms"], "priority": "high",
            "phone_number": "+14155550131",
        });
        assert_eq!(service.post("/notify", &new).expect(200)["channels"]["sms"], outcome);
    }
    assert_eq!(peers.told("twilio").len(), 1);
}
