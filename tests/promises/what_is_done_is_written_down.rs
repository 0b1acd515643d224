//! The audit log tells administrators who sent what, who changed what, who read the log, and who failed to prove who
//! they are. What is in it stays as it is; it does not grow with the number of bookings or of wrong tokens.

use serde_json::{Value, json};

use crate::support::{
    BACKEND_TOKEN, Clients, Kind, Raw, Rest, Server, backend_hello, booking, call, eventually, in_seconds,
    instant, note, sign, user_token,
};

fn admin(server: &Server) -> Rest {
    Rest::claiming(server, json!({"sub": "boss", "role": "admin"}))
}

/// What the log says to this question, newest first.
#[track_caller]
fn log(admin: &Rest, question: &str) -> Vec<Value> {
    let page = admin.get(&format!("/api/v1/audit?limit=100&{question}")).expect(200);
    page["entries"].as_array().expect("a list").clone()
}

/// The only row of this action.
#[track_caller]
fn only(admin: &Rest, action: &str) -> Value {
    let found = log(admin, &format!("action={action}"));
    assert_eq!(found.len(), 1, "{action}: {found:?}");
    found[0].clone()
}

#[test]
fn each_kind_has_its_row() {
    let server = Server::start();
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    let service = Rest::claiming(&server, json!({"sub": "shop", "scope": "notifications:send"}));

    Clients::of(&server).backend().call("booking_notification", booking(1, 2));
    let booked = only(&boss, "send");
    assert_eq!(booked["actor"], "backend");
    assert_eq!((&booked["detail"]["notifications"], &booked["detail"]["recipients"]), (&json!(1), &json!(1)));

    let secret =
        json!({"user_ids": [2, 3], "type": "note", "title": "a secret title", "message": "a secret text"});
    let sent = service.send(&secret);
    let row = log(&boss, "actor=shop")[0].clone();
    assert_eq!((&row["action"], &row["detail"]["first_id"]), (&json!("send"), &sent["id"]));
    assert_eq!(row["detail"]["recipients"], 2);

    boss.post("/api/v1/notifications/broadcast", &json!({"title": "x", "role": "teacher"})).expect(200);
    let row = only(&boss, "broadcast");
    assert_eq!((&row["actor"], &row["subject"]), (&json!("boss"), &json!("role:teacher")));

    let mut later = note(2, "later");
    later["scheduled_at"] = json!(instant(in_seconds(3600)));
    let waiting = service.send(&later);
    assert_eq!(only(&boss, "schedule")["actor"], "shop");
    let path = format!("/api/v1/notifications/{}/schedule", waiting["id"]);
    let put_off = json!({"scheduled_at": instant(in_seconds(7200))});
    backend.put(&path, &put_off).expect(200);
    service.delete(&path).expect(200);
    service.delete(&path).expect(404);
    let subject = json!(format!("notification:{}", waiting["id"]));
    for (action, actor) in [("schedule.change", "backend"), ("schedule.cancel", "shop")] {
        let row = only(&boss, action);
        assert_eq!((&row["actor"], &row["subject"]), (&json!(actor), &subject), "{action}");
    }

    let mut often = note(2, "often");
    (often["cron"], often["time_zone"]) = (json!("* * * * * *"), json!("UTC"));
    let kept = service.post("/api/v1/recurring", &often).expect(201);
    let path = format!("/api/v1/recurring/{}", kept["id"]);
    eventually("it goes out", || (!log(&boss, "action=recurring.send").is_empty()).then_some(()));
    backend.put(&path, &often).expect(200);
    backend.delete(&path).expect(200);
    let subject = format!("recurring:{}", kept["id"]);
    for (action, actor) in
        [("recurring.create", "shop"), ("recurring.change", "backend"), ("recurring.delete", "backend")]
    {
        let row = only(&boss, action);
        assert_eq!((&row["actor"], &row["subject"]), (&json!(actor), &json!(subject)), "{action}");
    }
    let fired = log(&boss, &format!("action=recurring.send&subject={subject}"));
    assert!(fired[0]["detail"]["notification_id"].is_u64(), "{fired:?}");

    let two = Rest::user(&server, 2);
    two.put("/api/v1/notifications/preferences", &json!({"types": {"news": {"in_app": false}}})).expect(200);
    let row = only(&boss, "preferences.change");
    assert_eq!((&row["actor"], &row["subject"]), (&json!("2"), &json!("2")));
    assert_eq!(row["detail"], json!({"changed": ["types"], "types": 1, "topics": 0}));
    two.put("/api/v1/notifications/preferences", &json!({"time_zone": "Nowhere"})).expect(422);
    only(&boss, "preferences.change");

    let timeline = format!("/api/v1/notifications/{}/timeline", sent["id"]);
    two.get(&timeline).expect(200);
    assert!(log(&boss, "action=timeline.read").is_empty(), "it is their own");
    backend.get(&format!("{timeline}?user_id=2")).expect(200);
    let row = only(&boss, "timeline.read");
    assert_eq!((&row["actor"], &row["subject"]), (&json!("backend"), &json!("2")));
    assert_eq!(row["detail"]["notification_id"], sent["id"]);

    // So do other looks at what is not one's own.
    two.get("/api/v1/recipients/me").expect(200);
    two.get("/api/v1/notifications/scheduled").expect(200);
    two.get("/api/v1/deliveries/failed").expect(403);
    assert!(log(&boss, "actor=2&action=contacts.read").is_empty(), "it is their own");
    assert!(log(&boss, "actor=2&action=schedule.read").is_empty(), "it is their own");
    service.get("/api/v1/recipients/2").expect(200);
    service.get("/api/v1/notifications/scheduled").expect(200);
    boss.get("/api/v1/deliveries/failed").expect(200);
    for (action, actor, subject) in [
        ("contacts.read", "shop", json!("2")),
        ("schedule.read", "shop", Value::Null),
        ("failures.read", "boss", Value::Null),
    ] {
        let row = only(&boss, action);
        assert_eq!((&row["actor"], &row["subject"]), (&json!(actor), &subject), "{action}");
    }

    // Who reads stands there before they have read.
    let reads = log(&boss, "action=audit.read");
    assert_eq!((&reads[0]["actor"], &reads[0]["detail"]["action"]), (&json!("boss"), &json!("audit.read")));
    assert_eq!(reads[0]["address"], "127.0.0.1");

    let all = format!("{:?}", log(&boss, ""));
    for secret in ["secret", BACKEND_TOKEN, "eyJ", "Morning Meditation", "jane@example.com"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[test]
fn whoever_looks_at_whom_it_would_reach_is_there() {
    let server = Server::start();
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    let preview = |who: &Rest, what: &Value| who.post("/api/v1/notifications/preview", what).expect(200);
    let own = preview(&Rest::user(&server, 2), &json!({"type": "note", "title": "mine"}));
    assert_eq!(own["recipients"][0]["user_id"], "2");
    assert!(log(&boss, "action=preview.read").is_empty(), "it is their own");
    backend.send(&note(2, "so that somebody is known"));
    preview(&backend, &note(2, "a secret title"));
    preview(&backend, &json!({"user_ids": [2, 3], "type": "note", "title": "x"}));
    preview(&boss, &json!({"everyone": true, "type": "note", "title": "x"}));
    let rows = log(&boss, "action=preview.read");
    let told: Vec<_> =
        rows.iter().map(|row| (&row["actor"], &row["subject"], &row["detail"]["total_users"])).collect();
    let two = json!("2");
    let expected = [
        (&json!("boss"), &json!("everyone"), &json!(1)),
        (&json!("backend"), &Value::Null, &json!(2)),
        (&json!("backend"), &two, &json!(1)),
    ];
    assert_eq!(told, expected, "{rows:?}");
    assert!(!format!("{rows:?}").contains("secret"));
    assert_eq!(rows[0]["address"], "127.0.0.1");
}

#[test]
fn what_was_not_done_is_not_there() {
    let server = Server::start();
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    backend.keyed("one").send(&note(2, "x"));
    backend.keyed("one").send(&note(2, "x"));
    backend.keyed("one").post("/api/v1/notifications", &note(2, "y")).expect(422);
    Rest::user(&server, 2).post("/api/v1/notifications", &note(3, "x")).expect(403);
    assert_eq!(log(&boss, "action=send").len(), 1, "a resend is nothing new");
}

#[test]
fn failures_are_told_at_every_door() {
    let server = Server::start();
    let boss = admin(&server);
    let old = sign(&json!({"sub": "2", "exp": in_seconds(-60)}));
    let bearer = format!("Bearer {old}");
    call(server.address, "GET", "/api/v1/notifications", &[("Authorization", &bearer)], None).expect(401);
    let clients = Clients::of(&server);
    let socket = clients.stranger();
    socket.call("backend_connect", json!({"token": "no-such-token"}));
    socket.call("facilitator_connect", json!({"facilitator_id": 3, "token": user_token(2)}));
    socket.call("authenticate", json!({"token": "x.y.z"}));
    let options = json!({"auth": {"token": old}, "reconnection": false});
    clients.open_with(Kind::WEBSOCKET, &[], options).next_change("connect_error");
    let expected = [
        ("rest", "expired"),
        ("handshake", "expired"),
        ("backend_connect", "invalid"),
        ("facilitator_connect", "somebody_else"),
        ("authenticate", "invalid"),
    ];
    eventually("all are written down", || {
        let rows = log(&boss, "action=auth.failure");
        let has = |(door, reason): &(&str, &str)| {
            rows.iter().any(|row| row["detail"]["door"] == *door && row["detail"]["reason"] == *reason)
        };
        expected.iter().all(has).then_some(())
    });
    for row in log(&boss, "action=auth.failure") {
        assert_eq!((&row["actor"], &row["address"]), (&Value::Null, &json!("127.0.0.1")), "{row}");
    }
}

#[test]
fn a_flood_of_wrong_tokens_does_not_fill_it() {
    const ADDRESSES: u32 = 120;
    let mut server = Server::with(&[("server.trusted_proxies", "127.0.0.1")]);
    std::thread::scope(|all| {
        for part in 0..4 {
            let address = server.address;
            all.spawn(move || {
                for number in (part..ADDRESSES * 4).step_by(4) {
                    let from = format!("198.51.100.{}", number % ADDRESSES);
                    let shown =
                        [("Authorization", "Bearer no-such-token"), ("X-Forwarded-For", from.as_str())];
                    call(address, "GET", "/api/v1/notifications", &shown, None).expect(401);
                }
            });
        }
    });
    let boss = admin(&server);
    let attempts =
        |rows: &[Value]| rows.iter().filter_map(|row| row["detail"]["attempts"].as_u64()).sum::<u64>();
    eventually("the first are written", || (!log(&boss, "action=auth.failure").is_empty()).then_some(()));
    // What waits for the end of its minute is written when the server stops.
    assert!(server.stop().success());
    server.restart();
    let first = boss.get("/api/v1/audit?limit=100&action=auth.failure").expect(200);
    let mut rows = first["entries"].as_array().expect("a list").clone();
    if first["has_more"] == true {
        rows.extend(log(&boss, &format!("action=auth.failure&cursor={}", first["next_cursor"])));
    }
    assert_eq!(attempts(&rows), u64::from(ADDRESSES) * 4, "none is left out");
    assert!(rows.len() <= 2 * 51, "{} rows", rows.len());
    assert!(rows.iter().any(|row| row["detail"]["door"] == "others"), "not all addresses are kept apart");
}

/// All that tell of something sent, newest first.
fn sends(boss: &Rest) -> Vec<Value> {
    let mut rows = log(boss, "action=send");
    while let Some(oldest) = rows.last().filter(|_| rows.len().is_multiple_of(100)) {
        let older = log(boss, &format!("action=send&cursor={}", oldest["id"]));
        if older.is_empty() {
            break;
        }
        rows.extend(older);
    }
    rows
}

#[test]
fn many_bookings_are_few_rows() {
    const BOOKINGS: u64 = 2_000;
    const TOGETHER: u64 = 250;
    let server = Server::start();
    let backend = Clients::of(&server).backend();
    let order = json!({"booking": booking(0, 2), "first": 1, "count": BOOKINGS, "acks": true, "window": 256});
    let answers = backend.burst(order).wait();
    let boss = admin(&server);
    let rows = sends(&boss);
    let counted = |rows: &[Value]| -> u64 {
        rows.iter().filter_map(|row| row["detail"]["notifications"].as_u64()).sum()
    };
    assert_eq!(counted(&rows), BOOKINGS, "each is in one row");
    let ids = answers.iter().filter_map(|answer| answer["notification_id"].as_u64());
    let (first, last) = (ids.clone().min(), ids.max());
    assert_eq!(rows.last().and_then(|row| row["detail"]["first_id"].as_u64()), first);
    assert_eq!(rows[0]["detail"]["last_id"].as_u64(), last);

    // Those of one commit share a row. How many a commit has is chance, also when all arrive together.
    let mut raw = Raw::join(server.address);
    raw.say(&format!("42{}", backend_hello()));
    raw.wait_for(r#"42["backend_auth_success""#);
    let (mut number, mut before) = (BOOKINGS, rows.len());
    eventually("bookings that arrive together are few rows", || {
        let packet = |one: u64| format!(r#"42["booking_notification",{}]"#, booking(number + one, 3));
        let packets: Vec<String> = (1..=TOGETHER).map(packet).collect();
        raw.say_at_once(&packets.iter().map(String::as_str).collect::<Vec<_>>());
        (0..TOGETHER).for_each(|_| drop(raw.hear_event("notification_stored")));
        number += TOGETHER;
        let rows = sends(&boss);
        assert_eq!(counted(&rows), number, "each is in one row");
        let new = rows.len() - std::mem::replace(&mut before, rows.len());
        (new as u64 <= TOGETHER / 4).then_some(())
    });
}

#[test]
fn nobody_changes_it() {
    let server = Server::start();
    let boss = admin(&server);
    Rest::backend(&server).send(&note(2, "x"));
    let before = log(&boss, "action=send");
    for statement in ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"] {
        let refused = server.try_sql(statement, statement).expect_err("it is append-only");
        assert!(refused.contains("append-only"), "{refused}");
    }
    // What one of the two has of its own.
    let replaced = "REPLACE INTO audit_log (id, at, tenant, actor, action, detail) \
                    SELECT id, at, tenant, 'nobody', action, detail FROM audit_log";
    let refused = server.try_sql(replaced, "TRUNCATE audit_log").expect_err("it is append-only");
    assert!(refused.contains("append-only"), "{refused}");
    assert_eq!(log(&boss, "action=send"), before);
}

#[test]
fn administrators_read_it_each_of_their_own_tenant() {
    let server = Server::start();
    let boss = admin(&server);
    let elsewhere =
        Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"}));
    Rest::backend(&server).send(&note(2, "x"));
    elsewhere.send(&note(9, "x"));
    for (reader, actor) in [(&boss, "backend"), (&elsewhere, "boss")] {
        assert_eq!(only(reader, "send")["actor"], actor);
    }
    assert!(log(&elsewhere, "").iter().all(|row| row["actor"] == "boss"));
    let shop = json!({"sub": "shop", "scope": "notifications:send notifications:broadcast"});
    for other in [Rest::user(&server, 2), Rest::backend(&server), Rest::claiming(&server, shop)] {
        assert_eq!(other.get("/api/v1/audit").expect(403)["code"], "forbidden");
    }
    for (question, field) in [
        ("action=fly", "action"),
        ("from=yesterday", "from"),
        ("limit=101", "limit"),
        ("cursor=x", "cursor"),
        ("colour=red", "colour"),
        ("actor=%00", "actor"),
    ] {
        assert_eq!(boss.get(&format!("/api/v1/audit?{question}")).expect(422)["field"], field, "{question}");
    }
}

#[test]
fn pages_neither_skip_nor_repeat() {
    let server = Server::start();
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    let start = instant(in_seconds(-5));
    for number in 0..25 {
        backend.send(&note(2, &number.to_string()));
    }
    let all: Vec<Value> = log(&boss, "actor=backend").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(all.len(), 25);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = boss.get(&format!("/api/v1/audit?actor=backend&limit=7{cursor}")).expect(200);
        seen.extend(page["entries"].as_array().expect("a list").iter().map(|row| row["id"].clone()));
        // What is sent meanwhile, and each reading, comes before what is read.
        backend.send(&note(2, "meanwhile"));
        if page["has_more"] == false {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        }
        cursor = format!("&cursor={}", page["next_cursor"]);
    }
    assert_eq!(seen, all);
    assert_eq!(log(&boss, &format!("actor=backend&to={start}")), Vec::<Value>::new());
    assert!(log(&boss, &format!("actor=backend&from={start}")).len() >= 25);
}
