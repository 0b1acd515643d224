//! On every route: no token and a wrong token are 401; what is somebody else's answers, byte for byte, as what does
//! not exist. A route that is not in this table breaks the promise.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Reply, Rest, Server, call, in_seconds, instant, note, sign, sign_with};

/// Method, path, and a body that is good.
fn table() -> Vec<(&'static str, &'static str, Option<Value>)> {
    let send = json!({"type": "note", "title": "x"});
    let recurring = json!({"type": "note", "title": "x", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    vec![
        ("GET", "/api/v1/notifications", None),
        ("POST", "/api/v1/notifications", Some(send.clone())),
        ("GET", "/api/v1/notifications/", None),
        ("GET", "/api/v1/notifications/unread-count", None),
        ("GET", "/api/v1/notifications/stats", None),
        ("POST", "/api/v1/notifications/read-all", None),
        ("POST", "/api/v1/notifications/broadcast", Some(send.clone())),
        ("GET", "/api/v1/notifications/preferences", None),
        ("POST", "/api/v1/notifications/preview", Some(send.clone())),
        ("GET", "/api/v1/notifications/{id}/timeline", None),
        ("PUT", "/api/v1/notifications/preferences", Some(json!({"time_zone": "Europe/Athens"}))),
        ("GET", "/api/v1/notifications/scheduled", None),
        ("GET", "/api/v1/notifications/{id}", None),
        ("PUT", "/api/v1/notifications/{id}", Some(json!({"is_read": true}))),
        ("DELETE", "/api/v1/notifications/{id}", None),
        ("POST", "/api/v1/notifications/{id}/read", None),
        (
            "PUT",
            "/api/v1/notifications/{id}/schedule",
            Some(json!({"scheduled_at": instant(in_seconds(86_400))})),
        ),
        ("DELETE", "/api/v1/notifications/{id}/schedule", None),
        ("GET", "/api/v1/recurring", None),
        ("POST", "/api/v1/recurring", Some(recurring.clone())),
        ("GET", "/api/v1/recurring/{id}", None),
        ("PUT", "/api/v1/recurring/{id}", Some(recurring)),
        ("DELETE", "/api/v1/recurring/{id}", None),
        ("GET", "/api/v1/subscriptions", None),
        ("POST", "/api/v1/subscriptions", Some(json!({"topics": ["orders"]}))),
        ("DELETE", "/api/v1/subscriptions", None),
        ("GET", "/api/v1/audit", None),
        ("POST", "/internal/broadcast", Some(send.clone())),
        ("GET", "/api/notifications", None),
        ("POST", "/api/notifications", Some(send)),
        ("GET", "/api/notifications/unread-count", None),
        ("GET", "/api/notifications/preferences", None),
        ("PUT", "/api/notifications/preferences", Some(json!({"timeZone": "Europe/Athens"}))),
        ("PUT", "/api/notifications/{id}/read", None),
        ("DELETE", "/api/notifications/{id}", None),
    ]
}

#[test]
fn the_table_is_the_router() {
    let tested: BTreeSet<_> = table().iter().map(|(method, path, _)| (*method, *path)).collect();
    let served: BTreeSet<_> = carillon::http::routes().collect();
    assert_eq!(tested, served);
    let documented = include_str!("../../docs/PROTOCOLS.md");
    for (method, path) in served {
        assert!(
            documented.contains(&format!("`{method} {path}")),
            "docs/PROTOCOLS.md does not tell of {method} {path}"
        );
    }
}

#[test]
fn every_route_wants_a_good_token() {
    let server = Server::start();
    let claims = json!({"sub": "2", "exp": in_seconds(60)});
    let forged = sign_with(&claims, "a-secret-that-somebody-else-knows", jsonwebtoken::Algorithm::HS256);
    let old = sign(&json!({"sub": "2", "exp": in_seconds(-60)}));
    for (method, path, body) in table() {
        let path = path.replace("{id}", "1");
        let body = body.map(|body| body.to_string());
        let ask = |shown: &[(&str, &str)]| call(server.address, method, &path, shown, body.as_deref());
        for (shown, code) in [
            (None, "token_missing"),
            (Some(format!("Bearer {forged}")), "token_invalid"),
            (Some(format!("Bearer {old}")), "token_expired"),
            (Some("Basic Y2FyaWxsb24=".to_owned()), "token_missing"),
        ] {
            let headers: Vec<_> = shown.iter().map(|shown| ("Authorization", shown.as_str())).collect();
            let reply = ask(&headers);
            assert_eq!(reply.expect(401)["code"], code, "{method} {path}");
            assert!(reply.header("www-authenticate").is_some_and(|said| said.starts_with("Bearer")));
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(server.stats()["total_notifications"], 0);
}

/// What can be told from an answer, but for the time, and how many requests are left to the caller.
fn seen(reply: &Reply) -> (u16, String, Vec<String>) {
    let is_its_own = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("date:") && !line.starts_with("ratelimit-")
    };
    let headers = reply.headers.lines().skip(1).filter(is_its_own);
    (reply.status, reply.body.clone(), headers.map(str::to_owned).collect())
}

#[test]
fn anothers_notification_is_none() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let sent = backend.send(&note(2, "for two"));
    let theirs = [sent["id"].to_string(), sent["uuid"].as_str().expect("a UUID").to_owned()];
    let missing = [
        "987654321",
        "0",
        "-1",
        "99999999999999999999",
        "00000000-0000-7000-8000-000000000000",
        "x",
        "%00",
        "%FF",
    ];
    let others = [
        Rest::user(&server, 3),
        Rest::claiming(&server, json!({"sub": "2", "tenant_id": "elsewhere"})),
        Rest::claiming(&server, json!({"sub": "boss", "role": "admin"})),
    ];
    for (number, other) in others.iter().enumerate() {
        other.keyed("own").send(&json!({"type": "note", "title": "own"}));
        for (method, path, body) in table().into_iter().filter(|(_, path, _)| path.contains("{id}")) {
            if number == 2 && path.ends_with("/timeline") {
                // Who may send within the tenant may ask what became of it.
                other.get(&path.replace("{id}", &theirs[0])).expect(200);
                continue;
            }
            let body = body.map(|body| body.to_string());
            let ask = |id: &str| seen(&other.call(method, &path.replace("{id}", id), body.as_deref()));
            let none = ask("123456789");
            assert_eq!(none.0, 404, "{method} {path}");
            for id in theirs.iter().map(String::as_str).chain(missing) {
                assert_eq!(ask(id), none, "{method} {path} {id}");
            }
        }
        for id in theirs.iter().map(String::as_str).chain(missing.into_iter().take(4)) {
            let page = seen(&other.get(&format!("/api/v1/notifications?cursor={id}")));
            assert_eq!(page, seen(&other.get("/api/v1/notifications?cursor=123456789")), "{id}");
        }
        assert_eq!(other.titles(), ["own"]);
    }
    let two = Rest::user(&server, 2).get(&format!("/api/v1/notifications/{}", theirs[0])).expect(200);
    assert_eq!(two["status"], "pending", "nobody has touched it");
}
