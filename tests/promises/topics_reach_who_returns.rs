//! Who subscribes to a topic has what is sent to it, though they were away; who does not, does not. Some topics are kept for
//! some.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Rest, Server, eventually, in_seconds, sign};

#[test]
fn a_subscriber_who_is_away_has_it_on_return() {
    let mut server = Server::start();
    let backend = Rest::backend(&server);
    let (two, three) = (Rest::user(&server, 2), Rest::user(&server, 3));
    let topics =
        two.post("/api/v1/subscriptions", &json!({"topics": ["orders", "news", "orders"]})).expect(200);
    assert_eq!(topics, json!({"topics": ["news", "orders"]}));
    three.post("/api/v1/subscriptions", &json!({"channels": ["news"]})).expect(200);
    server.kill();
    server.restart();
    assert_eq!(two.get("/api/v1/subscriptions").expect(200), topics);

    backend.send(&json!({"topic": "orders", "type": "order", "title": "shipped"}));
    let sent = backend
        .post("/api/notifications", &json!({"channel": "news", "type": "n", "title": "read all about it"}));
    assert!(sent.expect(201)["id"].is_string());
    eventually("both have come", || (two.titles() == ["read all about it", "shipped"]).then_some(()));
    eventually("one has come", || (three.titles() == ["read all about it"]).then_some(()));

    let left = two.delete("/api/v1/subscriptions?topic=orders").expect(200);
    assert_eq!(left, json!({"topics": ["news"]}));
    backend.send(&json!({"topic": "orders", "type": "order", "title": "lost"}));
    backend.send(&json!({"topic": "news", "type": "n", "title": "again"}));
    eventually("what is still wanted has come", || {
        (two.titles() == ["again", "read all about it", "shipped"]).then_some(())
    });
}

#[test]
fn a_topic_beside_a_recipient_is_only_a_word() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let (two, three) = (Rest::user(&server, 2), Rest::user(&server, 3));
    three.post("/api/v1/subscriptions", &json!({"topics": ["orders"]})).expect(200);
    backend.send(&json!({"user_id": 2, "topic": "orders", "type": "order", "title": "yours"}));
    backend.send(&json!({"user_id": 3, "type": "order", "title": "after it"}));
    assert_eq!(two.titles(), ["yours"]);
    assert_eq!(three.titles(), ["after it"]);
}

#[test]
fn odd_topics_are_refused() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for odd in
        [json!([""]), json!([" "]), json!(["a\nb"]), json!(["a\u{0}"]), json!(["x".repeat(129)]), json!(many)]
    {
        let refusal = two.post("/api/v1/subscriptions", &json!({"topics": odd})).expect(422);
        assert_eq!(refusal["field"], "topics", "{refusal}");
    }
    assert_eq!(two.get("/api/v1/subscriptions").expect(200), json!({"topics": Vec::<Value>::new()}));
    assert_eq!(two.delete("/api/v1/subscriptions").expect(422)["field"], "topic");
}

#[test]
fn kept_topics_are_for_whom_they_are_kept() {
    let server =
        Server::with(&[("topics.restricted", "staff-* role:staff, board tenant:acme, board role:board")]);
    let clients = Clients::of(&server);
    let guest = json!({"sub": "2"});
    let staff = json!({"sub": "3", "roles": ["staff", "other"]});
    let acme = json!({"sub": "2", "tenant_id": "acme"});
    let may = [
        (&guest, "orders", true),
        (&guest, "staff", true),
        (&guest, "staff-rota", false),
        (&guest, "board", false),
        (&staff, "staff-rota", true),
        (&staff, "board", false),
        (&acme, "board", true),
        (&acme, "staff-rota", false),
    ];
    for (claims, topic, may) in may {
        let mut claims = claims.clone();
        claims["exp"] = in_seconds(3600).into();
        let rest = Rest::claiming(&server, claims.clone());
        let before = rest.get("/api/v1/subscriptions").expect(200);
        let feed = clients.feed_by(Kind::WEBSOCKET, &sign(&claims));
        let by_socket = feed.call("subscribe", json!({"channels": [topic, "news"]}));
        let by_rest = rest.post("/api/v1/subscriptions", &json!({"topics": ["news", topic]}));
        if may {
            assert_eq!(
                by_socket["channels"],
                json!(if topic < "news" { [topic, "news"] } else { ["news", topic] })
            );
            by_rest.expect(200);
        } else {
            assert_eq!(by_socket["error"], "Unauthorized", "{topic}");
            assert_eq!(by_rest.expect(403)["code"], "forbidden", "{topic}");
            assert_eq!(rest.get("/api/v1/subscriptions").expect(200), before, "nothing was changed");
        }
        // To leave is always allowed.
        rest.delete(&format!("/api/v1/subscriptions?topic={topic}")).expect(200);
        assert!(feed.call("unsubscribe", json!({"channels": [topic]}))["channels"].is_array());
    }
}
