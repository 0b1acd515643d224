//! With an `Idempotency-Key` a request may be sent again and again: it is one notification, under one id.

use serde_json::json;

use crate::support::{Rest, Server, note};

#[test]
fn the_same_key_and_request_is_the_same_notification() {
    let mut server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let first = backend.keyed("order 5").send(&note(2, "shipped"));
    assert_eq!(backend.keyed("order 5").send(&note(2, "shipped")), first);
    server.kill();
    server.restart();
    let again = backend.keyed("order 5").send(&note(2, "shipped"));
    assert_eq!((&again["id"], &again["created_at"]), (&first["id"], &first["created_at"]));
    assert_ne!(backend.keyed("order 6").send(&note(2, "shipped"))["id"], first["id"]);
    assert_ne!(backend.send(&note(2, "shipped"))["id"], first["id"], "without a key");
    assert_eq!(two.titles().len(), 3);
}

#[test]
fn the_key_of_another_request_is_refused() {
    let server = Server::start();
    let backend = Rest::backend(&server).keyed("k");
    backend.send(&note(2, "shipped"));
    for other in
        [note(2, "lost"), note(3, "shipped"), json!({"user_ids": [2, 3], "type": "note", "title": "shipped"})]
    {
        let refusal = backend.post("/api/v1/notifications", &other).expect(422);
        assert_eq!(refusal["code"], "idempotency_key_reused", "{other}");
    }
    // The dialects are one door here.
    let feed = json!({"recipients": [2], "type": "note", "title": "otherwise"});
    assert_eq!(backend.post("/api/notifications", &feed).expect(422)["code"], "idempotency_key_reused");
    assert_eq!(Rest::user(&server, 2).titles(), ["shipped"]);
    assert_eq!(Rest::user(&server, 3).titles(), [] as [&str; 0]);
}

#[test]
fn keys_of_other_senders_and_tenants_are_other_keys() {
    let server = Server::start();
    let sender = |name: &str, tenant: &str| {
        let claims = json!({"sub": name, "scope": "notifications:send", "tenant_id": tenant});
        Rest::claiming(&server, claims).keyed("same key")
    };
    let mut ids = std::collections::HashSet::new();
    for (name, tenant) in [("shop", "north"), ("shop", "south"), ("school", "north")] {
        // Another body, too: if keys were shared, it would be refused.
        let sent = sender(name, tenant).send(&note(2, &format!("{name} {tenant}")));
        assert!(ids.insert(sent["id"].to_string()));
    }
    let two = Rest::claiming(&server, json!({"sub": "2", "tenant_id": "south"}));
    assert_eq!(two.titles(), ["shop south"]);
}

#[test]
fn a_person_cannot_take_a_back_ends_keys() {
    let server = Server::start();
    for person in [json!({"sub": "2"}), json!({"facilitator_id": 2})] {
        Rest::claiming(&server, person)
            .keyed("order 5")
            .send(&json!({"type": "note", "title": "mine first"}));
    }
    Rest::backend(&server).keyed("order 5").send(&note(2, "shipped"));
    assert_eq!(Rest::user(&server, 2).titles(), ["shipped", "mine first"], "two names of one person");
}

#[test]
fn twenty_at_once_are_one() {
    let server = Server::start();
    let backend = Rest::backend(&server).keyed("at once");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..20).map(|_| scope.spawn(|| backend.send(&note(2, "once"))["id"].clone())).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(Rest::user(&server, 2).titles(), ["once"]);
}
