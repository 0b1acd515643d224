//! Administrators say who is told what becomes of their tenant's notifications: only where all the world may call, and by
//! secrets that are shown once.

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, tell};
use crate::support::{Peers, Rest, Server};

const ALL: &str = "/api/v1/webhooks";
/// From the specification of Standard Webhooks.
const GIVEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn new(url: &str) -> Value {
    json!({"url": url})
}

fn one(made: &Value) -> String {
    format!("{ALL}/{}", made["id"])
}

#[test]
fn a_secret_is_shown_once() {
    let server = Server::start();
    let boss = admin(&server);
    let made = boss.post(ALL, &json!({
        "url": "https://app.example.com/hooks?key=9", "events": ["notification.read"], "description": "ours",
    })).expect(201);
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() > 40, "{secret}");
    let given = boss.post(ALL, &json!({"url": "https://app.example.com/", "secret": GIVEN})).expect(201);
    assert_eq!((&given["secret"], &given["events"]), (&json!(GIVEN), &Value::Null));
    let rotated = boss.post(&format!("{}/rotate", one(&made)), &json!({})).expect(200);
    let newer = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(newer, secret);
    let mut seen = String::new();
    for path in [ALL, &one(&made), &one(&given), &format!("{}/messages", one(&made)), "/api/v1/audit"] {
        seen += &boss.get(path).body;
    }
    seen += &boss.put(&one(&made), &json!({"description": "theirs"})).body;
    seen += &server.log().join("\n");
    for secret in [secret.as_str(), &newer, GIVEN] {
        assert!(!seen.contains(secret), "{seen}");
    }
    assert!(!boss.get("/api/v1/audit").body.contains("key=9"), "an address may hold a secret");
    let shown = boss.get(&one(&made)).expect(200);
    assert_eq!(shown["previous_secret_until"], rotated["previous_secret_until"]);
    assert_eq!((&shown["events"], &shown["enabled"]), (&json!(["notification.read"]), &json!(true)));
    assert_eq!(
        boss.put(&one(&made), &json!({"events": null, "enabled": false})).expect(200)["events"],
        Value::Null
    );
    let listed = boss.get(ALL).expect(200);
    assert_eq!(listed["webhooks"].as_array().map(Vec::len), Some(2));
    boss.delete(&one(&given)).expect(200);
    assert_eq!(boss.get(&one(&given)).status, 404);
    assert_eq!(boss.delete(&one(&given)).status, 404);
    let log = boss.get("/api/v1/audit?limit=100").expect(200);
    let done = |action: &str| {
        let entries = log["entries"].as_array().expect("a list");
        entries.iter().filter(|entry| entry["action"] == action).count()
    };
    let counts = ["create", "change", "rotate", "delete"].map(|what| done(&format!("webhook.{what}")));
    assert_eq!(counts, [2, 2, 1, 1], "{log}");
}

#[test]
fn nothing_inside_is_called() {
    let server = Server::start();
    let boss = admin(&server);
    let made = boss.post(ALL, &new("https://app.example.com/x")).expect(201);
    for url in [
        "http://app.example.com/x",
        "https://user:word@app.example.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/x",
        "https://postgres/x",
        "https://2130706433/x",
        "file:///etc/passwd",
        "ftp://app.example.com/x",
        "",
    ] {
        for said in [boss.post(ALL, &new(url)), boss.put(&one(&made), &new(url))] {
            let said = said.expect(422);
            assert_eq!((&said["code"], &said["field"]), (&json!("invalid_field"), &json!("url")), "{url}");
        }
    }
    // Nor when it was let in before.
    let set = "UPDATE webhooks SET url = 'https://127.0.0.1:9/x'";
    server.sql(set, set);
    boss.post(&format!("{}/test", one(&made)), &json!({})).expect(202);
    let message = crate::support::eventually("it was tried", || {
        let page = boss.get(&format!("{}/messages", one(&made))).expect(200);
        Some(page["messages"][0].clone()).filter(|one| one["attempts"][0].is_object())
    });
    let why = &message["attempts"][0]["reason"];
    assert!(why.as_str().is_some_and(|why| why.contains("cannot be called")), "{message}");
    assert_eq!(boss.get(ALL).expect(200)["webhooks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_cannot_be_is_refused() {
    let server = Server::with(&[("webhooks.per_tenant", "2")]);
    let boss = admin(&server);
    let url = "https://app.example.com/x";
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": url, "events": []}), "events"),
        (json!({"url": url, "events": ["notification.eaten"]}), "events"),
        (json!({"url": url, "secret": "hunter2"}), "secret"),
        (json!({"url": url, "secret": "whsec_AAAA"}), "secret"),
        (json!({"url": url, "description": "x".repeat(501)}), "description"),
        (json!({"url": url, "tenant_id": "elsewhere"}), "tenant_id"),
        (json!({"url": format!("{url}?{}", "x".repeat(2_048))}), "url"),
    ] {
        assert_eq!(boss.post(ALL, &body).expect(422)["field"], field, "{body}");
    }
    let made = boss.post(ALL, &new(url)).expect(201);
    for (path, body) in [("messages?state=eaten", None), ("rotate", Some(json!({"secret": "x"})))] {
        let path = format!("{}/{path}", one(&made));
        let said = body.map_or_else(|| boss.get(&path), |body| boss.post(&path, &body));
        assert_eq!(said.status, 422, "{said:?}");
    }
    boss.post(ALL, &new(url)).expect(201);
    assert_eq!(boss.post(ALL, &new(url)).expect(409)["code"], "too_many_webhooks");
    // Others of the tenant may not; a service with the scope may.
    let sender = Rest::claiming(
        &server,
        json!({"sub": "shop", "scope": "notifications:send notifications:broadcast"}),
    );
    for who in [Rest::user(&server, 2), Rest::backend(&server), sender] {
        for said in [who.get(ALL), who.post(ALL, &new(url))] {
            assert_eq!(said.expect(403)["code"], "forbidden");
        }
        for said in [who.get(&one(&made)), who.delete(&one(&made))] {
            assert_eq!(said.expect(404)["code"], "no_such_webhook");
        }
    }
    let service = Rest::claiming(&server, json!({"sub": "ops", "scope": "webhooks:write"}));
    service.delete(&one(&made)).expect(200);
}

#[test]
fn for_a_while_two_secrets_sign() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "200/x", &["notification.read"]);
    let test = || boss.post(&format!("{}/test", one(&made)), &json!({})).expect(202);
    let named = test();
    let first = hear_at(&peers, "200/x", 1).pop().expect("a message");
    assert_eq!(
        (&first["said"]["id"], &first["told"]["type"], &first["by"]),
        (&named["message_id"], &json!("webhook.test"), &json!([made["secret"]]))
    );
    let rotated = boss.post(&format!("{}/rotate", one(&made)), &json!({"secret": GIVEN})).expect(200);
    assert_eq!(rotated["secret"], GIVEN);
    // The same once more does not end the former one.
    boss.post(&format!("{}/rotate", one(&made)), &json!({"secret": GIVEN})).expect(200);
    peers.know(GIVEN);
    test();
    let both = hear_at(&peers, "200/x", 2).pop().expect("a message");
    assert_eq!(both["by"], json!([made["secret"], GIVEN]));
    assert!(both["said"]["signature"].as_str().is_some_and(|said| said.split(' ').count() == 2));
    server.sql(
        "UPDATE webhooks SET former_until = former_until - 25 * 3600 * 1000000",
        "UPDATE webhooks SET former_until = former_until - interval '25 hours'",
    );
    test();
    let after = hear_at(&peers, "200/x", 3).pop().expect("a message");
    assert_eq!(after["by"], json!([GIVEN]));
}

#[test]
fn what_is_old_is_forgotten() {
    let mut peers = Peers::start();
    let mut server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "200/x", &["notification.read"]);
    let test = || boss.post(&format!("{}/test", one(&made)), &json!({})).expect(202);
    let all = || boss.get(&format!("{}/messages", one(&made))).expect(200)["messages"].clone();
    test();
    hear_at(&peers, "200/x", 1);
    server.sql(
        "UPDATE webhook_messages SET happened_at = happened_at - 8 * 86400 * 1000000",
        "UPDATE webhook_messages SET happened_at = happened_at - interval '8 days'",
    );
    test();
    hear_at(&peers, "200/x", 2);
    assert_eq!(all().as_array().map(Vec::len), Some(2));
    // It is looked every minute, and at the start.
    assert!(server.stop().success());
    server.restart();
    crate::support::eventually("it is forgotten", || {
        (all().as_array().map(Vec::len) == Some(1)).then_some(())
    });
    let left = "SELECT count(*) FROM webhook_attempts";
    assert!(server.try_sql(left, left).is_ok());
}
