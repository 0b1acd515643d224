//! For each recipient it can be asked what happened to a notification, and why something did not; and before it is
//! sent, who would get it. Asking writes nothing.

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Reply, Rest, Server, eventually, in_seconds, instant, note, quiet_now,
};

const PREVIEW: &str = "/api/v1/notifications/preview";

fn timeline(who: &Rest, id: &Value, of: &str) -> Reply {
    who.get(&format!("/api/v1/notifications/{id}/timeline{of}"))
}

#[track_caller]
fn step(told: &Value, name: &str) -> Value {
    let steps = told["steps"].as_array().expect("steps");
    let its = steps
        .iter()
        .find(|one| one["step"] == name && (one["channel"].is_null() || one["channel"] == "in_app"));
    its.unwrap_or_else(|| panic!("no step {name} in {told}")).clone()
}

#[track_caller]
fn is_because(told: &Value, name: &str, happened: bool, why: &str) {
    let step = step(told, name);
    assert_eq!(step["happened"], happened, "{step}");
    assert!(step["reason"].as_str().expect("a reason").contains(why), "{step}");
}

/// Nobody can say whether a socket took it.
#[track_caller]
fn is_unknown(told: &Value, why: &str) {
    let step = step(told, "sent");
    assert!(step["happened"].is_null(), "what is not known did not `not happen`: {step}");
    let reason = step["reason"].as_str().expect("a reason");
    assert!(reason.contains("not known here") && reason.contains(why), "{step}");
}

#[test]
fn every_step_of_a_notification_is_told() {
    let server = Server::start();
    let (clients, backend, three) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 3));
    let sent = backend.send(&note(3, "while away"));
    let id = &sent["id"];
    let told = timeline(&three, id, "").expect(200);
    assert_eq!((&told["id"], &told["uuid"], &told["user_id"]), (id, &sent["uuid"], &json!("3")));
    is_because(&told, "accepted", true, "durable");
    is_because(&told, "stored", true, "inbox");
    assert!(step(&told, "stored")["at"].is_string(), "{told}");
    is_unknown(&told, "no socket of the recipient");
    is_because(&told, "confirmed", false, "no device");
    is_because(&told, "read", false, "not marked");
    let email = told["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .find(|one| one["channel"] == "email")
        .expect("e-mail");
    assert_eq!(email["happened"], false);
    // It is sent, confirmed, read and removed.
    let page = clients.feed(3);
    page.hear("notification");
    is_because(&timeline(&three, id, "").expect(200), "sent", true, "a socket took it");
    page.call("ack", json!({"notificationId": id}));
    is_because(&timeline(&three, id, "").expect(200), "confirmed", true, "the client said so");
    page.call("read", json!({"notificationId": id}));
    is_because(&timeline(&three, id, "").expect(200), "read", true, "marked");
    three.delete(&format!("/api/v1/notifications/{id}")).expect(200);
    is_because(&timeline(&three, id, "").expect(200), "deleted", true, "removed");
    // A service sees the same by naming the recipient; the UUID does as well.
    let by_service = backend
        .get(&format!("/api/v1/notifications/{}/timeline?user_id=3", sent["uuid"].as_str().expect("a UUID")));
    is_because(&by_service.expect(200), "deleted", true, "removed");
    is_because(
        &timeline(&backend, id, "?user_id=4").expect(200),
        "stored",
        false,
        "not sent to this recipient",
    );
}

/// When it was sent, by which socket of which node, and when and how that was confirmed: known at once, and ever after.
#[test]
fn what_was_sent_stays_told_however_it_was_confirmed() {
    let mut server = Server::start();
    let backend = Rest::backend(&server);
    let mut before = Vec::new();
    let clients = Clients::of(&server);
    let pages = [3, 4, 5, 6].map(|user| (user, clients.feed(user)));
    for (user, page) in &pages {
        let id = backend.send(&note(*user, "x"))["id"].clone();
        page.hear("notification");
        let of = format!("?user_id={user}");
        let sent = step(&timeline(&backend, &id, &of).expect(200), "sent");
        assert!(sent["at"].is_string() && sent["node"].is_string(), "{sent}");
        assert_eq!(sent["connection"].as_str().map(str::len), Some(8), "{sent}");
        let theirs = Rest::user(&server, *user);
        let one = format!("/api/v1/notifications/{id}");
        match user {
            3 => _ = page.call("ack", json!({"notificationId": id})),
            4 => _ = page.call("read", json!({"notificationId": id})),
            5 => _ = theirs.put(&one, &json!({"is_read": true})).expect(200),
            _ => _ = theirs.post("/api/v1/notifications/read-all", &json!({})).expect(200),
        }
        let told = timeline(&backend, &id, &of).expect(200);
        let how = if *user == 3 { "the client said so" } else { "it was read" };
        is_because(&told, "confirmed", true, how);
        let now = step(&told, "sent");
        let of_it = |step: &Value| ["at", "connection", "node"].map(|name| step[name].clone());
        assert_eq!((of_it(&now), &now["happened"]), (of_it(&sent), &json!(true)), "{told}");
        let own = step(&timeline(&theirs, &id, "").expect(200), "sent");
        assert!(
            own["at"].is_string() && own["node"].is_null(),
            "which node it was is the operators' business: {own}"
        );
        before.push((id, of, sent["at"].clone(), sent["node"].clone()));
    }
    drop(pages);
    server.stop();
    server.restart();
    // What was only read with all others is known until that round of heartbeats is over.
    for (id, of, at, node) in &before[..3] {
        let sent = step(&timeline(&Rest::backend(&server), id, of).expect(200), "sent");
        assert_eq!((&sent["at"], &sent["node"]), (at, node), "{sent}");
    }
}

#[test]
fn another_node_knows_who_sent_it_and_when() {
    let Some(cluster) = Cluster::start(2) else { return };
    let (here, there) = (Rest::backend(cluster.node(0)), Rest::backend(cluster.node(1)));
    let page = Clients::of(cluster.node(0)).feed(3);
    let id = here.send(&note(3, "x"))["id"].clone();
    page.hear("notification");
    let sent = step(&timeline(&here, &id, "?user_id=3").expect(200), "sent");
    page.call("ack", json!({"notificationId": id}));
    let told = step(&timeline(&there, &id, "?user_id=3").expect(200), "sent");
    assert!(sent["node"].is_string(), "{sent}");
    assert_eq!((&told["at"], &told["node"]), (&sent["at"], &sent["node"]), "{told}");
}

/// Whoever confirms at another node than the one that sent it takes nothing from what is known of it.
#[test]
fn what_was_confirmed_elsewhere_keeps_its_time() {
    let quick = [
        ("realtime.ping_interval_ms", "300"),
        ("realtime.ping_timeout_ms", "300"),
        ("realtime.tcp_user_timeout_ms", "300"),
        ("realtime.confirm_margin_ms", "100"),
    ];
    let Some(cluster) = Cluster::start_with(2, &quick) else { return };
    let (here, there) = (Rest::backend(cluster.node(0)), Rest::user(cluster.node(1), 3));
    let page = Clients::of(cluster.node(0)).feed(3);
    let id = here.send(&note(3, "x"))["id"].clone();
    page.hear("notification");
    there.put(&format!("/api/v1/notifications/{id}"), &json!({"is_read": true})).expect(200);
    eventually("the node that sent it has written down when", || {
        let told = timeline(&Rest::backend(cluster.node(1)), &id, "?user_id=3").expect(200);
        let sent = step(&told, "sent");
        (sent["at"].is_string() && sent["node"].is_string()).then_some(())
    });
}

#[test]
fn what_was_held_back_says_by_what() {
    let server = Server::start();
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    let mine = "/api/v1/notifications/preferences";
    three.put(mine, &json!({"types": {"news": {"in_app": false}}})).expect(200);
    let muted = backend.send(&json!({"user_id": 3, "type": "news", "title": "x"}));
    let told = timeline(&three, &muted["id"], "").expect(200);
    is_because(&told, "sent", false, "the type is switched off");
    is_because(&told, "stored", true, "neither listed nor counted");
    let all_day = json!({"start": "00:00", "end": "23:59"});
    let almost = json!({"quiet_hours": all_day, "time_zone": "UTC"});
    three.put(mine, &almost).expect(200);
    let waits: Vec<Value> = (0..2).map(|_| backend.send(&note(3, "x"))["id"].clone()).collect();
    let told = timeline(&three, &waits[0], "").expect(200);
    if step(&told, "sent")["happened"].is_null() {
        return; // It is one minute to midnight.
    }
    is_because(&told, "sent", false, "quiet hours until");
    three.put(mine, &json!({"quiet_hours": null})).expect(200);
    eventually("a summary tells of both", || {
        let told = timeline(&three, &waits[1], "").expect(200);
        step(&told, "sent")["reason"].as_str().expect("a reason").contains("summary").then_some(())
    });
}

#[test]
fn what_expires_in_quiet_hours_is_never_told_and_that_is_said() {
    let server = Server::start();
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    let all_day = json!({"quiet_hours": {"start": "00:00", "end": "23:59"}, "time_zone": "UTC"});
    three.put("/api/v1/notifications/preferences", &all_day).expect(200);
    let of = |seconds: i64| {
        let mut soon = note(3, "soon over");
        soon["expires_at"] = json!(instant(in_seconds(seconds)));
        soon
    };
    let told = backend.post(PREVIEW, &of(2)).expect(200);
    let one = &told["recipients"][0];
    if one["outcome"] == "stored" {
        return; // It is one minute to midnight.
    }
    assert_eq!(
        (&one["outcome"], &one["at"], &one["channel"]),
        (&json!("expired"), &json!(null), &json!("in_app"))
    );
    assert!(one["reason"].as_str().expect("a reason").contains("before quiet hours are over"), "{one}");
    let later = backend.post(PREVIEW, &of(90_000)).expect(200);
    assert_eq!(later["recipients"][0]["outcome"], "deferred", "{later}");
    let sent = backend.send(&of(2));
    is_because(&timeline(&three, &sent["id"], "").expect(200), "sent", false, "unless it has expired");
    eventually("it is over", || {
        let told = timeline(&three, &sent["id"], "").expect(200);
        let steps = told["steps"].as_array().expect("steps");
        steps.iter().any(|one| one["step"] == "expired").then(|| {
            is_because(&told, "sent", false, "expired before it could be told");
            assert!(!step(&told, "sent")["reason"].to_string().contains("told then"), "{told}");
        })
    });
}

#[test]
fn what_a_server_that_was_started_anew_cannot_know_it_does_not_deny() {
    let mut server = Server::start();
    let page = Clients::of(&server).feed(3);
    let sent = Rest::backend(&server).send(&note(3, "x"));
    assert!(sent["sent_at"].is_string(), "{sent}");
    page.hear("notification");
    server.kill();
    drop(page);
    server.restart();
    is_unknown(&timeline(&Rest::backend(&server), &sent["id"], "?user_id=3").expect(200), "started anew");
}

#[test]
fn what_was_taken_back_says_so_and_by_whom() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let boss = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    for mut later in [note(3, "x"), json!({"everyone": true, "type": "note", "title": "x"})] {
        later["scheduled_at"] = json!(instant(in_seconds(3_600)));
        let sent = backend.send(&later);
        boss.delete(&format!("/api/v1/notifications/{}/schedule", sent["id"])).expect(200);
        let told = timeline(&backend, &sent["id"], "?user_id=3").expect(200);
        is_because(&told, "cancelled", true, "by boss");
        assert!(step(&told, "cancelled")["at"].is_string(), "{told}");
        is_because(&told, "stored", false, "taken back before it went out");
        assert!(!told.to_string().contains("it goes out at"), "{told}");
    }
}

#[test]
fn how_many_others_have_it_is_not_told_to_whoever_has_it() {
    let server = Server::start();
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    for user in [3, 4] {
        backend.send(&note(user, "hello"));
    }
    let sent = backend.send(&json!({"everyone": true, "type": "note", "title": "x"}));
    eventually("it has spread", || {
        let told = timeline(&backend, &sent["id"], "").expect(200);
        (step(&told, "spread")["happened"] == true).then_some(())
    });
    is_because(&timeline(&three, &sent["id"], "").expect(200), "spread", true, "it went to everybody");
    assert!(!timeline(&three, &sent["id"], "").expect(200).to_string().contains("2 people"));
    is_because(&timeline(&backend, &sent["id"], "").expect(200), "spread", true, "2 people have it");
}

#[test]
fn what_spreads_and_what_is_for_later_is_told() {
    let server = Server::start();
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    three.post("/api/v1/subscriptions", &json!({"topics": ["orders"]})).expect(200);
    let sent = backend.send(&json!({"topic": "orders", "type": "note", "title": "x"}));
    eventually("it has spread", || {
        let told = timeline(&backend, &sent["id"], "").expect(200);
        (step(&told, "spread")["happened"] == true).then_some(())
    });
    let told = timeline(&backend, &sent["id"], "?user_id=3").expect(200);
    is_because(&told, "spread", true, "1 people have it: the subscribers of the topic orders");
    is_because(&told, "stored", true, "inbox");
    assert!(step(&told, "stored")["at"].is_null(), "when its turn came is not known: {told}");
    is_because(
        &timeline(&backend, &sent["id"], "?user_id=4").expect(200),
        "stored",
        false,
        "not among those",
    );
    Rest::user(&server, 4).post("/api/v1/subscriptions", &json!({"topics": ["orders"]})).expect(200);
    is_because(
        &timeline(&backend, &sent["id"], "?user_id=4").expect(200),
        "stored",
        false,
        "only after it had gone out",
    );
    let later =
        json!({"user_id": 3, "type": "note", "title": "x", "scheduled_at": instant(in_seconds(3_600))});
    let later = backend.send(&later);
    let told = timeline(&backend, &later["id"], "?user_id=3").expect(200);
    is_because(&told, "spread", false, "it goes out at");
    is_because(&told, "stored", false, "it has not gone out yet");
    timeline(&three, &later["id"], "").expect(404);
}

#[test]
fn only_ones_own_is_told_and_only_within_the_tenant() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let sent = backend.send(&note(3, "x"));
    let nothing = timeline(&Rest::user(&server, 4), &json!(123_456), "").expect(404);
    for who in [
        Rest::user(&server, 4),
        Rest::claiming(&server, json!({"sub": "3", "tenant_id": "elsewhere"})),
        Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"})),
    ] {
        for of in ["", "?user_id=3"] {
            assert_eq!(timeline(&who, &sent["id"], of).expect(404), nothing);
        }
    }
    let told = timeline(&Rest::user(&server, 3), &sent["id"], "").expect(200);
    assert!(!told.to_string().contains("from"), "who sent it is the service's business: {told}");
}

#[test]
fn a_preview_says_who_would_get_it_and_writes_nothing() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let _page = clients.feed(2);
    let _others = [3, 4].map(|user| {
        let rest = Rest::user(&server, user);
        rest.post("/api/v1/subscriptions", &json!({"topics": ["orders"]})).expect(200);
        rest
    });
    Rest::user(&server, 4)
        .put("/api/v1/notifications/preferences", &json!({"topics": {"orders": {"in_app": false}}}))
        .expect(200);
    let before = (server.stats()["total_notifications"].clone(), Rest::user(&server, 3).titles());
    let outcomes = |told: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        told["recipients"]
            .as_array()
            .expect("recipients")
            .iter()
            .map(|one| (text(&one["user_id"]), text(&one["outcome"])))
            .collect()
    };
    let pair = |user: &str, outcome: &str| (user.to_owned(), outcome.to_owned());
    let told = backend.post(PREVIEW, &json!({"topic": "orders", "type": "note", "title": "x"})).expect(200);
    assert_eq!(told["total_users"], 2, "{told}");
    assert_eq!(outcomes(&told), [pair("3", "stored"), pair("4", "muted")]);
    eventually("the socket of 2 is written down", || {
        let told =
            backend.post(PREVIEW, &json!({"user_ids": [2, 9], "type": "note", "title": "x"})).expect(200);
        (outcomes(&told) == [pair("2", "sent"), pair("9", "stored")]).then_some(())
    });
    let at = instant(in_seconds(3_600));
    let told = backend
        .post(PREVIEW, &json!({"user_id": 3, "type": "note", "title": "x", "scheduled_at": at}))
        .expect(200);
    assert_eq!(outcomes(&told), [pair("3", "scheduled")]);
    // On each channel that is asked for: what cannot be taken gives way to the next step.
    backend.put("/api/v1/recipients/2", &json!({"phone": "+14155550123"})).expect(200);
    let asked = json!({
        "user_ids": [2, 3], "type": "note", "title": "x", "priority": "high", "channels": ["in_app", "push", "sms", "email"],
    });
    let told = backend.post(PREVIEW, &asked).expect(200);
    let ways: Vec<_> = told["recipients"]
        .as_array()
        .expect("recipients")
        .iter()
        .map(|one| format!("{} {} {}", one["user_id"], one["channel"], one["outcome"]).replace('"', ""))
        .collect();
    let expected = [
        "2 in_app sent",
        "2 email skipped",
        "2 push skipped",
        "2 sms escalates",
        "3 in_app stored",
        "3 email skipped",
        "3 push skipped",
        "3 sms skipped",
    ];
    assert_eq!(ways, expected, "{told}");
    let unasked =
        backend.post(PREVIEW, &json!({"user_id": 2, "type": "note", "title": "x", "channels": ["email"]}));
    assert_eq!(unasked.expect(200)["recipients"][0]["outcome"], "muted");
    assert_eq!(told["recipients"][0]["at"], told["scheduled_at"]);
    // It is checked like one that is sent.
    backend.post(PREVIEW, &json!({"user_id": 3, "type": "", "title": "x"})).expect(422);
    Rest::user(&server, 3).post(PREVIEW, &json!({"user_id": 2, "type": "note", "title": "x"})).expect(403);
    assert_eq!((server.stats()["total_notifications"].clone(), Rest::user(&server, 3).titles()), before);
}

#[test]
fn a_step_whose_turn_comes_in_quiet_hours_waits_for_their_end() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    backend.put("/api/v1/recipients/2", &json!({"phone": "+14155550123"})).expect(200);
    let quiet = json!({"quiet_hours": quiet_now(), "time_zone": "UTC"});
    two.put("/api/v1/notifications/preferences", &quiet).expect(200);
    let sent = backend.send(&json!({
        "user_id": 2, "type": "x", "title": "x", "priority": "high", "channels": ["in_app", "push", "sms"],
        "escalation": {"after_seconds": 60},
    }));
    let path = format!("/api/v1/notifications/{}/timeline?user_id=2", sent["id"]);
    let timeline = backend.get(&path).expect(200);
    let steps = timeline["steps"].as_array().expect("steps").iter().filter(|step| step["channel"] == "sms");
    let why: Vec<&str> = steps.filter_map(|step| step["reason"].as_str()).collect();
    assert!(why.len() == 1 && why[0].contains("quiet hours are over"), "{timeline}");
}
