//! Who sends to others shows that they may; nothing crosses from one tenant to another.

use serde_json::{Value, json};

use crate::support::{Rest, Server, note};

#[track_caller]
fn forbidden(who: &Rest, path: &str, body: &Value) {
    let reply = who.post(path, body);
    let refusal = reply.expect(403);
    assert_eq!(refusal["code"], "forbidden", "{refusal}");
    assert!(reply.header("www-authenticate").is_some_and(|said| said.contains("insufficient_scope")));
}

const SEND: &str = "/api/v1/notifications";
const FEED: &str = "/api/notifications";
const BROADCAST: &str = "/api/v1/notifications/broadcast";
const INTERNAL: &str = "/internal/broadcast";

#[test]
fn a_person_sends_to_nobody_else() {
    let server = Server::start();
    let three = Rest::user(&server, 3);
    for to in [
        json!({"user_id": 2}),
        json!({"user_ids": [2]}),
        json!({"user_ids": [3, 2]}),
        json!({"role": "student"}),
        json!({"everyone": true}),
        json!({"topic": "orders"}),
        json!({"tenant_id": "default"}),
    ] {
        let mut body = json!({"type": "note", "title": "x"});
        body.as_object_mut().expect("an object").extend(to.as_object().expect("an object").clone());
        forbidden(&three, SEND, &body);
    }
    forbidden(&three, FEED, &json!({"type": "note", "title": "x", "recipients": ["2"]}));
    forbidden(&three, FEED, &json!({"type": "note", "title": "x", "channel": "orders"}));
    forbidden(&three, INTERNAL, &note(2, "x"));
    for to in [json!({}), json!({"all": true}), json!({"user_ids": [3]}), json!({"role_filter": "admin"})] {
        let mut body = json!({"title": "x"});
        body.as_object_mut().expect("an object").extend(to.as_object().expect("an object").clone());
        forbidden(&three, BROADCAST, &body);
    }
    assert_eq!(Rest::user(&server, 2).titles(), [] as [&str; 0]);
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn sending_to_some_is_not_sending_to_all() {
    let server = Server::start();
    let sender = Rest::claiming(&server, json!({"sub": "shop", "scope": "notifications:send"}));
    sender.send(&note(2, "one"));
    sender.post(FEED, &json!({"type": "note", "title": "feed", "recipients": [2, 3]})).expect(201);
    let reply = sender.post(INTERNAL, &note(2, "internal")).expect(200);
    assert_eq!((&reply["total_users"], &reply["sent_count"]), (&json!(1), &json!(1)));
    forbidden(&sender, SEND, &json!({"everyone": true, "type": "note", "title": "x"}));
    forbidden(&sender, SEND, &json!({"topic": "orders", "type": "note", "title": "x"}));
    forbidden(&sender, FEED, &json!({"channel": "orders", "type": "note", "title": "x"}));
    forbidden(&sender, INTERNAL, &json!({"broadcast_to_tenant": true, "type": "note", "title": "x"}));
    forbidden(&sender, BROADCAST, &json!({"title": "x"}));
    assert_eq!(Rest::user(&server, 2).titles(), ["internal", "feed", "one"]);
    assert_eq!(Rest::user(&server, 3).titles(), ["feed"]);
}

#[test]
fn a_broadcast_reaches_everybody_and_says_how_many() {
    let server = Server::start();
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    for user in [2, 3, 4] {
        admin.send(&note(user, "hello"));
    }
    let told = admin.post(BROADCAST, &json!({"title": "all", "message": "Maintenance at 2"})).expect(200);
    assert_eq!((&told["total_users"], &told["sent_count"]), (&json!(3), &json!(3)));
    let told = admin.post(BROADCAST, &json!({"title": "two", "user_ids": [2, "2", 3]})).expect(200);
    assert_eq!((&told["total_users"], &told["sent_count"]), (&json!(2), &json!(2)));
    let told = admin.post(BROADCAST, &json!({"title": "none", "role_filter": "nobody"})).expect(200);
    assert_eq!((&told["total_users"], &told["sent_count"]), (&json!(0), &json!(0)));
    let backend = Rest::backend(&server);
    let told = backend
        .post(
            INTERNAL,
            &json!({"title": "tenant", "type": "t", "broadcast_to_tenant": true, "tenant_id": "default"}),
        )
        .expect(200);
    assert_eq!(told["sent_count"], 3);
    assert_eq!(Rest::user(&server, 2).titles(), ["tenant", "two", "all", "hello"]);
    assert_eq!(Rest::user(&server, 4).titles(), ["tenant", "all", "hello"]);
}

#[test]
fn nothing_crosses_tenants() {
    let server = Server::start();
    let of = |tenant: &str, claims: Value| {
        let mut claims = claims;
        claims["tenant_id"] = json!(tenant);
        Rest::claiming(&server, claims)
    };
    let north = of("north", json!({"sub": "9", "role": "admin"}));
    north.send(&note(2, "north"));
    of("south", json!({"sub": "9", "role": "admin"})).send(&note(2, "south"));
    for path in [SEND, BROADCAST, INTERNAL] {
        for to in [json!({"tenant_id": "south"}), json!({"tenant_id": "south", "everyone": true})] {
            let mut body = json!({"type": "note", "title": "x"});
            body.as_object_mut().expect("an object").extend(to.as_object().expect("an object").clone());
            forbidden(&north, path, &body);
        }
    }
    let told = north.post(BROADCAST, &json!({"title": "all", "tenant_id": "north"})).expect(200);
    assert_eq!(told["total_users"], 1);
    assert_eq!(of("north", json!({"sub": "2"})).titles(), ["all", "north"]);
    let south = of("south", json!({"sub": "2"}));
    assert_eq!(south.titles(), ["south"]);
    let id = north.send(&note(2, "later"))["id"].clone();
    assert_eq!(south.get(&format!("/api/v1/notifications/{id}")).status, 404);
}

#[test]
fn a_token_without_a_user_has_no_inbox_and_a_facilitators_claim_has_one() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    assert_eq!(backend.get(SEND).expect(403)["code"], "forbidden");
    let refusal = backend.post(SEND, &json!({"type": "note", "title": "for whom?"})).expect(403);
    assert!(refusal["detail"].as_str().is_some_and(|detail| detail.contains("user_id")), "{refusal}");
    let by_claim = Rest::claiming(&server, json!({"facilitator_id": 2}));
    backend.send(&note(2, "hello"));
    assert_eq!(by_claim.titles(), ["hello"]);
}
