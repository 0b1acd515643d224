//! A request that cannot be served is refused with its reason, in one shape, and never by a fault of the server.

use serde_json::{Value, json};

use crate::support::{
    Proxy, Reply, Rest, Server, Shared, Upstream, call, eventually, note, on_postgres, user_token,
};

/// The members that every refusal has.
#[track_caller]
fn problem(reply: &Reply, status: u16, code: &str) -> Value {
    let refusal = reply.expect(status);
    assert_eq!(refusal["code"], code, "{refusal}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(refusal["status"], status);
    assert_eq!(refusal["error"], refusal["title"]);
    assert_eq!(refusal["type"], format!("/problems/{code}"));
    for member in ["title", "detail"] {
        assert!(refusal[member].as_str().is_some_and(|text| text.len() > 10), "{member}: {refusal}");
    }
    refusal
}

const SEND: &str = "/api/v1/notifications";

#[test]
fn every_field_is_checked() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let long = |many: usize| "x".repeat(many);
    let with = |field: &str, value: Value| {
        let mut body = note(2, "hello");
        body[field] = value;
        body
    };
    let table = [
        ("status", json!("read")),
        ("delivered_at", json!("2026-01-01T00:00:00Z")),
        ("id", json!(5)),
        ("user_id", json!(null)),
        ("role", json!(null)),
        ("tenant_id", json!(null)),
        ("user_id", json!("")),
        ("user_id", json!("a\u{0}b")),
        ("user_id", json!(2.5)),
        ("user_id", json!(long(129))),
        ("user_ids", json!([3])),
        ("type", json!("")),
        ("type", json!("a\nb")),
        ("type", json!(5)),
        ("topic", json!("a\u{0}b")),
        ("topic", json!(long(129))),
        ("title", json!("a\u{0}b")),
        ("title", json!("a\nb")),
        ("title", json!(long(513))),
        ("title", json!("  ")),
        ("message", json!("a\u{0}b")),
        ("message", json!("a\u{1b}[2J")),
        ("message", json!(long(32_769))),
        ("data", json!([])),
        ("data", json!({"a": "b\u{0}"})),
        ("data", json!({"a\u{0}": 1})),
        ("data", json!({"a": long(65_536)})),
        ("priority", json!("very")),
        ("priority", json!(1)),
        ("action_url", json!("javascript:alert(1)")),
        ("action_url", json!("//evil.example")),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("expires_at", json!("2099-01-01T00:00:00")),
        ("expires_at", json!("2099-02-30T00:00:00Z")),
        ("expires_at", json!(4_102_444_800_i64)),
        ("channels", json!(["pigeon"])),
        ("channels", json!([])),
        ("everyone", json!(true)),
    ];
    for (field, value) in table {
        let both = ["user_ids", "everyone"].contains(&field);
        let reply = backend.post(SEND, &with(field, value.clone()));
        let refusal = problem(&reply, 422, "invalid_field");
        let named = if both { "user_id" } else { field };
        assert_eq!(refusal["field"], named, "{field} = {value}: {refusal}");
    }
    problem(&backend.post(SEND, &json!({"user_id": 2, "title": "x"})), 422, "invalid_field");
    for key in ["", &long(256), "caf\u{e9}"] {
        problem(&backend.keyed(key).post(SEND, &note(2, "x")), 422, "invalid_field");
    }
    let many: Vec<u32> = (0..1_001).collect();
    problem(&backend.post(SEND, &json!({"user_ids": many, "type": "t", "title": "x"})), 422, "invalid_field");
    assert_eq!(server.stats()["total_notifications"], 0);
    // What only looks like a fault is none.
    backend.send(&with("data", json!({"path": "C:\\u0000"})));
    backend.send(&with("message", json!("one\r\n\ttwo")));
}

#[test]
fn the_feeds_fields_are_named_as_the_feed_names_them() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let good = json!({"type": "t", "title": "x", "recipients": [2], "channel": "orders"});
    for (field, value) in [
        ("recipients", json!([])),
        ("recipients", json!("2")),
        ("recipients", json!(null)),
        ("channel", json!("a\nb")),
        ("actionUrl", json!("javascript:alert(1)")),
        ("expiresAt", json!("2020-01-01T00:00:00Z")),
        ("scheduledAt", json!("2099-01-01T00:00:00Z")),
        ("action_url", json!("/snake")),
        ("status", json!("read")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let refusal = problem(&backend.post("/api/notifications", &body), 422, "invalid_field");
        assert_eq!(refusal["field"], field, "{refusal}");
        assert!(refusal["detail"].as_str().is_some_and(|detail| detail.starts_with(field)), "{refusal}");
    }
    let refusal = problem(
        &backend.post("/api/notifications", &json!({"type": "t", "title": "x"})),
        422,
        "invalid_field",
    );
    assert_eq!(refusal["field"], "recipients");
    let refusal = problem(
        &backend.post("/internal/broadcast", &json!({"type": "t", "title": "x"})),
        422,
        "invalid_field",
    );
    assert_eq!(refusal["field"], "user_id", "what a neighbour forgot to address is not for all");
}

#[test]
fn what_is_no_request_is_told_so() {
    let server = Server::with(&[("limits.max_request_bytes", "2000")]);
    let backend = Rest::backend(&server);
    for body in ["", "{", "nonsense", "{\"type\":\"t\",\"title\":\"x\"} {}", "{\"title\": \"\\ud800\"}"] {
        problem(&backend.call("POST", SEND, Some(body)), 400, "malformed_request");
    }
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(500), "]".repeat(500));
    problem(&backend.call("POST", SEND, Some(&deep)), 400, "malformed_request");
    for body in ["[]", "5", "null", "\"text\"", "{\"title\":\"a\",\"title\":\"b\"}"] {
        problem(&backend.call("POST", SEND, Some(body)), 422, "invalid_field");
    }
    let large = note(2, &"x".repeat(2_001));
    problem(&backend.post(SEND, &large), 413, "request_too_large");
    let bearer = format!("Bearer {}", user_token(2));
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        let reply = call(server.address, "POST", SEND, &headers, Some("{\"type\":\"t\",\"title\":\"x\"}"));
        problem(&reply, 415, "not_json");
    }
    let reply = backend.call("PATCH", SEND, None);
    problem(&reply, 405, "method_not_allowed");
    assert!(reply.header("allow").is_some_and(|methods| methods.contains("POST")), "{reply:?}");
    for path in ["/api/", "/api/v1", "/api/v1/nothing", "/api/v2/notifications", "/internal/metrics"] {
        problem(&backend.get(path), 404, "no_such_route");
    }
    assert_eq!(server.get("/problems/forbidden").status, 200);
    problem(&server.get("/problems/unheard_of"), 404, "no_such_route");
    for path in ["/docs", "/docs/", "/docs/openapi.json"] {
        assert_eq!(server.get(path).status, 404, "{path}: only in development");
    }
}

#[test]
fn pages_have_bounds_and_queries_are_checked() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    let huge = "99999999999999999999";
    for (path, field) in [
        ("/api/v1/notifications?limit=0", "limit"),
        ("/api/v1/notifications?limit=101", "limit"),
        ("/api/v1/notifications?limit=-1", "limit"),
        ("/api/v1/notifications?limit=all", "limit"),
        (&format!("/api/v1/notifications?limit={huge}"), "limit"),
        ("/api/v1/notifications?offset=-1", "offset"),
        ("/api/v1/notifications?offset=9223372036854775807", "offset"),
        ("/api/v1/notifications/?skip=-1", "skip"),
        ("/api/v1/notifications/?limit=101", "limit"),
        ("/api/v1/notifications?unread_only=maybe", "unread_only"),
        ("/api/v1/notifications?type=%00", "type"),
        ("/api/v1/notifications?topic=", "topic"),
        ("/api/v1/notifications?priority=very", "priority"),
        ("/api/v1/notifications?user_id=3", "user_id"),
        ("/api/v1/notifications?limit=5&limit=6", "limit"),
        ("/api/notifications?page=0", "page"),
        ("/api/notifications?page=-5", "page"),
        (&format!("/api/notifications?page={huge}"), "page"),
        ("/api/notifications?page=9223372036854775807&limit=100", "page"),
        ("/api/notifications?limit=0", "limit"),
        ("/api/notifications?channel=%0A", "channel"),
    ] {
        let refusal = problem(&two.get(path), 422, "invalid_field");
        assert_eq!(refusal["field"], field, "{path}: {refusal}");
    }
    for path in [
        "/api/v1/notifications?type=%25_",
        "/api/v1/notifications?topic=%27%3B--",
        "/api/notifications?page=1000",
    ] {
        assert_eq!(two.get(path).status, 200, "{path}");
    }
}

#[test]
fn pages_of_listed_origins_may_call_and_others_may_not() {
    const OURS: &str = "https://app.example.com";
    let server = Server::with(&[("server.allowed_origins", OURS)]);
    let preflight = |origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key"),
        ];
        call(server.address, "OPTIONS", "/api/v1/notifications/5", &headers, None)
    };
    let allowed = preflight(OURS);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(OURS));
    assert!(
        allowed.header("access-control-allow-headers").is_some_and(|names| names.contains("idempotency-key"))
    );
    assert_eq!(preflight("https://evil.example").header("access-control-allow-origin"), None);
    let anybody = Server::start();
    let bearer = format!("Bearer {}", user_token(2));
    let headers = [("Origin", "https://anywhere.example"), ("Authorization", bearer.as_str())];
    let reply = call(anybody.address, "GET", SEND, &headers, None);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

/// What a page is told by the server itself, its browser must let it hear.
#[test]
fn pages_hear_that_a_route_is_none_and_ask_once_whether_they_may() {
    const OURS: &str = "https://app.example.com";
    let server = Server::with(&[("server.allowed_origins", OURS)]);
    for path in ["/api/v1/no/such/route", "/api/nothing", "/internal/nothing", "/nothing"] {
        let ask = |method: &str, origin: &str| {
            let headers = [("Origin", origin), ("Access-Control-Request-Method", "GET")];
            call(server.address, method, path, &headers, None)
        };
        let told = ask("GET", OURS);
        assert_eq!((told.status, told.header("access-control-allow-origin")), (404, Some(OURS)), "{path}");
        if path.starts_with("/api/") {
            assert_eq!(told.expect(404)["code"], "no_such_route");
        }
        assert_eq!(ask("GET", "https://evil.example").header("access-control-allow-origin"), None);
        assert_eq!(ask("OPTIONS", OURS).header("access-control-allow-origin"), Some(OURS), "{path}");
    }
    let headers = [("Origin", OURS), ("Access-Control-Request-Method", "GET")];
    let preflight = call(server.address, "OPTIONS", SEND, &headers, None);
    assert_eq!(preflight.header("access-control-max-age"), Some("7200"));
    // Where a route is, and a method is none.
    let told = call(server.address, "PATCH", SEND, &[("Origin", OURS)], None);
    assert_eq!((told.status, told.header("access-control-allow-origin")), (405, Some(OURS)));
}

#[test]
fn guesses_of_one_address_are_answered_later_and_later() {
    let server = Server::with(&[("server.trusted_proxies", "127.0.0.1")]);
    let ask = |address: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("X-Forwarded-For", address), ("Authorization", bearer.as_str())];
        let started = std::time::Instant::now();
        (call(server.address, "GET", SEND, &headers, None).status, started.elapsed())
    };
    let guesses: Vec<_> = (0..8).map(|number| ask("203.0.113.9", &format!("guess {number}"))).collect();
    assert!(guesses.iter().all(|(status, _)| *status == 401));
    assert!(guesses[7].1.as_millis() >= 900, "{guesses:?}");
    // A good token of the same address is not held, whatever else is. (The more guesses, the longer they are held.)
    eventually("a good token is answered before a guess", || {
        std::thread::scope(|scope| {
            let guess = scope.spawn(|| ask("203.0.113.9", "guess"));
            assert_eq!(ask("203.0.113.9", &user_token(2)).0, 200);
            (!guess.is_finished()).then_some(())
        })
    });
}

#[test]
fn a_database_that_is_away_is_told_with_when_to_try_again() {
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let proxy = Proxy::to(Upstream::Unix(shared.database.socket()));
    let ground = shared.clone().reached_at(&shared.database.url_at(proxy.address));
    let server = Server::on(&ground.into(), &[]);
    let two = Rest::user(&server, 2);
    two.send(&json!({"type": "note", "title": "before"}));
    proxy.refuse();
    proxy.reset();
    let reply = two.get(SEND);
    problem(&reply, 503, "storage_unavailable");
    assert!(reply.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{reply:?}");
    proxy.heal();
    eventually("it is listed again", || (two.get(SEND).status == 200).then_some(()));
    assert_eq!(two.titles(), ["before"]);
}

#[test]
fn a_list_is_no_object_whatever_is_in_it() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    let id = two.send(&json!({"type": "note", "title": "x"}))["id"].clone();
    let wishes = "/api/v1/notifications/preferences";
    for (path, odd, field) in [
        (format!("/api/v1/notifications/{id}"), json!([true]), "body"),
        (wishes.to_owned(), json!([{"in_app": false}]), "body"),
        (wishes.to_owned(), json!({"channels": [false, false]}), "channels"),
        (wishes.to_owned(), json!({"types": {"note": [false]}}), "types.note"),
        (
            "/api/notifications/preferences".to_owned(),
            json!({"channels": {"orders": [false]}}),
            "channels.orders",
        ),
    ] {
        assert_eq!(two.put(&path, &odd).expect(422)["field"], field, "{path} {odd}");
    }
    assert_eq!(two.get(&format!("/api/v1/notifications/{id}")).expect(200)["is_read"], false);
    assert_eq!(two.get(wishes).expect(200)["channels"]["in_app"], true);
}

#[test]
fn what_is_meant_otherwise_is_not_taken_for_something_else() {
    let server = Server::start();
    let (two, admin) =
        (Rest::user(&server, 2), Rest::claiming(&server, json!({"sub": "9", "role": "admin"})));
    two.send(&json!({"type": "note", "title": "x"}));
    // A cursor that no page has given out is one, whatever it looks like, on every list.
    for (who, list) in [
        (&two, "/api/v1/notifications"),
        (&two, "/api/v1/notifications/"),
        (&two, "/api/v1/notifications/scheduled"),
        (&two, "/api/v1/recurring"),
        (&admin, "/api/v1/audit"),
    ] {
        for cursor in ["abc", "", "-1", "0", "99999999999999999999"] {
            let refusal = problem(&who.get(&format!("{list}?cursor={cursor}")), 422, "invalid_field");
            assert_eq!(refusal["field"], "cursor", "{list} {cursor}: {refusal}");
        }
    }
    // Who asks for somebody else's is not shown their own.
    for path in [
        "/api/v1/notifications/preferences",
        "/api/notifications/preferences",
        "/api/v1/notifications/unread-count",
        "/api/notifications/unread-count",
    ] {
        let refusal = problem(&two.get(&format!("{path}?user_id=3")), 422, "invalid_field");
        assert_eq!(refusal["field"], "user_id", "{path}: {refusal}");
    }
    let mine = "/api/v1/notifications/preferences";
    problem(&two.put(&format!("{mine}?user_id=3"), &json!({"time_zone": "UTC"})), 422, "invalid_field");
    // Null is neither on nor off.
    for (path, odd) in [
        (mine, json!({"channels": {"in_app": null}})),
        (mine, json!({"types": {"x": {"email": null}}})),
        ("/api/notifications/preferences", json!({"inApp": null})),
    ] {
        problem(&two.put(path, &odd), 422, "invalid_field");
    }
    // What is wrong is said, and not only what is right.
    for (body, words) in [
        (json!({"type": "note"}), "neither is"),
        (json!({"type": "note", "title": "x", "user_id": 2, "everyone": true}), "must be said once"),
    ] {
        let refusal = problem(&admin.post(SEND, &body), 422, "invalid_field");
        assert!(refusal["detail"].as_str().is_some_and(|said| said.contains(words)), "{refusal}");
    }
    for tenant in [json!(""), json!(["a"]), json!("a\u{0}b")] {
        let who = Rest::claiming(&server, json!({"sub": "2", "tenant_id": tenant}));
        let refusal = problem(&who.get(SEND), 401, "token_invalid");
        assert!(refusal["detail"].as_str().is_some_and(|said| said.contains("tenant_id")), "{refusal}");
    }
}
