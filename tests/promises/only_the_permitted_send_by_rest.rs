//! Who sends to others shows that they may; nothing crosses from one tenant to another.

use serde_json::{Value, json};

use crate::support::{Rest, Server, eventually, in_seconds, instant, note};

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
    forbidden(&three, INTERNAL, &note(3, "to myself, where services call"));
    for to in [json!({}), json!({"all": true}), json!({"user_ids": [3]}), json!({"role_filter": "admin"})] {
        let mut body = json!({"title": "x"});
        body.as_object_mut().expect("an object").extend(to.as_object().expect("an object").clone());
        forbidden(&three, BROADCAST, &body);
    }
    assert_eq!(Rest::user(&server, 2).titles(), [] as [&str; 0]);
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn a_person_says_not_where_it_goes() {
    let server = Server::start();
    let three = Rest::user(&server, 3);
    for contact in [json!({"email": "eve@example.com"}), json!({"phone_number": "+14155550123"})] {
        for to in [json!({}), json!({"user_id": 3}), json!({"channels": ["email", "sms"]})] {
            let mut body = json!({"type": "note", "title": "x", "priority": "high"});
            for members in [&contact, &to] {
                body.as_object_mut().expect("an object").extend(members.as_object().expect("one").clone());
            }
            forbidden(&three, "/notify", &body);
        }
    }
    assert_eq!(server.stats()["total_notifications"], 0);
    three.post("/notify", &json!({"type": "note", "title": "to myself"})).expect(200);
    let sender = Rest::claiming(&server, json!({"sub": "3", "scope": "notifications:send"}));
    let body = json!({"title": "mine", "email": "three@example.com", "channels": ["email"]});
    sender.post("/notify", &body).expect(200);
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
fn who_may_not_send_to_all_takes_nothing_of_it_back() {
    let server = Server::start();
    let sender = Rest::claiming(&server, json!({"sub": "shop", "scope": "notifications:send"}));
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    let later = instant(in_seconds(3_600));
    for whom in [json!({"everyone": true}), json!({"topic": "orders"}), json!({"role": "student"})] {
        let with = |more: Value| {
            let mut body = json!({"type": "note", "title": "for all"});
            for members in [&whom, &more] {
                body.as_object_mut().expect("an object").extend(members.as_object().expect("one").clone());
            }
            body
        };
        let sent = admin.send(&with(json!({"scheduled_at": later})));
        let schedule = format!("{SEND}/{}/schedule", sent["id"]);
        let refusal = sender.delete(&schedule).expect(403);
        assert_eq!(refusal["code"], "forbidden", "{refusal}");
        assert!(refusal["detail"].as_str().is_some_and(|said| said.contains("notifications:broadcast")));
        sender.put(&schedule, &json!({"scheduled_at": instant(in_seconds(60))})).expect(403);

        let again = with(json!({"cron": "0 9 1 1 *", "time_zone": "UTC"}));
        let kept = admin.post("/api/v1/recurring", &again).expect(201);
        let recurring = format!("/api/v1/recurring/{}", kept["id"]);
        sender.delete(&recurring).expect(403);
        let mut other = note(2, "in its place");
        (other["cron"], other["time_zone"]) = (json!("0 9 1 1 *"), json!("UTC"));
        sender.put(&recurring, &other).expect(403);
        assert_eq!(admin.get(&recurring).expect(200)["title"], "for all");

        admin.delete(&recurring).expect(200);
        admin.delete(&schedule).expect(200);
    }
    // What is for people by name is any sender's of the tenant.
    let mut named = note(2, "later");
    named["scheduled_at"] = json!(later);
    let sent = admin.send(&named);
    sender.delete(&format!("{SEND}/{}/schedule", sent["id"])).expect(200);
}

#[test]
fn not_for_everybody_does_not_say_for_whom() {
    let server = Server::start();
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    admin.send(&note(2, "hello"));
    for (path, body, field) in [
        (BROADCAST, json!({"all": false}), "everyone"),
        (BROADCAST, json!({"everyone": false, "topic": "orders"}), "everyone"),
        (SEND, json!({"everyone": false}), "everyone"),
        (SEND, json!({"tenant_id": "default", "everyone": false}), "everyone"),
        (INTERNAL, json!({"broadcast_to_tenant": false}), "user_id"),
        (SEND, json!({"everyone": null}), "everyone"),
    ] {
        let mut whole = json!({"type": "note", "title": "x"});
        whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        let refusal = admin.post(path, &whole).expect(422);
        assert_eq!(refusal["field"], field, "{path} {body}: {refusal}");
    }
    assert_eq!(server.stats()["total_notifications"], 1);
    // Beside somebody who is named it says nothing new.
    let mut named = note(2, "named");
    named["broadcast_to_tenant"] = json!(false);
    assert_eq!(admin.post(INTERNAL, &named).expect(200)["total_users"], 1);
    assert_eq!(Rest::user(&server, 2).titles(), ["named", "hello"]);
}

#[test]
fn a_broadcast_reaches_everybody_and_says_how_many() {
    let server = Server::start();
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    for user in [2, 3, 4] {
        admin.send(&note(user, "hello"));
    }
    let told = admin.post(BROADCAST, &json!({"title": "all", "message": "Maintenance at 2"})).expect(200);
    assert_eq!(told["total_users"], 3);
    for user in [2, 3, 4] {
        assert_eq!(Rest::user(&server, user).titles(), ["all", "hello"]);
    }
    let told = admin.post(BROADCAST, &json!({"title": "two", "user_ids": [2, "2", 3]})).expect(200);
    assert_eq!((&told["total_users"], &told["sent_count"]), (&json!(2), &json!(2)));
    let told = admin.post(BROADCAST, &json!({"title": "none", "role_filter": "nobody"})).expect(200);
    assert_eq!((&told["total_users"], &told["sent_count"]), (&json!(0), &json!(0)));
    let backend = Rest::backend(&server);
    let whole = json!({"title": "tenant", "type": "t", "broadcast_to_tenant": true, "tenant_id": "default"});
    assert_eq!(backend.post(INTERNAL, &whole).expect(200)["total_users"], 3);
    assert_eq!(Rest::user(&server, 2).titles(), ["tenant", "two", "all", "hello"]);
    assert_eq!(Rest::user(&server, 4).titles(), ["tenant", "all", "hello"]);
    // It is answered after a second at most: a busy machine may not have reached all of them by then.
    for (path, body) in [(BROADCAST, json!({"title": "again"})), (INTERNAL, whole)] {
        eventually("all three are counted", || {
            let told = admin.post(path, &body).expect(200);
            let sent = told["sent_count"].as_u64().expect("a number");
            assert!(sent <= 3, "{told}");
            (sent == 3).then_some(())
        });
    }
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
