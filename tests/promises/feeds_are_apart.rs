//! On every feed event, what is somebody else's answers as what does not exist; and nothing crosses from tenant to
//! tenant, whatever it is called.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Rest, Server, Socket, eventually, in_seconds, note, sign};

fn in_tenant(clients: &Clients, tenant: &str, user: &str) -> Socket {
    let token = sign(&json!({"sub": user, "tenant_id": tenant, "exp": in_seconds(60)}));
    clients.feed_by(Kind::WEBSOCKET, &token)
}

fn sender_of(server: &Server, tenant: &str) -> Rest {
    let scope = "notifications:send notifications:broadcast";
    Rest::claiming(server, json!({"sub": "s", "scope": scope, "tenant_id": tenant}))
}

#[test]
fn anothers_notification_answers_as_an_unknown_one() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let owner = clients.feed(2);
    Rest::backend(&server).send(&note(2, "private"));
    let told = owner.hear("notification");
    let namesake = in_tenant(&clients, "north", "2");
    for thief in [clients.feed(3), namesake] {
        for event in ["ack", "read"] {
            let answer = |name: Value| {
                let mut answer = thief.call(event, json!({"notificationId": name}));
                assert_eq!(answer["notificationId"].take(), name);
                assert_eq!(thief.hear("error")["error"], answer["error"]);
                answer
            };
            let unknown = answer(json!("01890a5d-ac96-774b-bcce-b302099a8057"));
            assert_eq!(unknown["error"], "Notification not found");
            for name in
                [told["id"].clone(), told["number"].clone(), json!(987_654), json!(-1), json!("rubbish")]
            {
                assert_eq!(answer(name), unknown, "{event}");
            }
        }
        for event in ["subscribe", "unsubscribe"] {
            let foreign = json!({"userId": 5, "channels": ["orders"]});
            assert_eq!(thief.call(event, foreign)["error"], "Unauthorized");
        }
        assert!(thief.heard("notificationStatus").is_empty());
        assert!(thief.heard("notification").is_empty());
    }
    assert!(owner.heard("notificationStatus").is_empty(), "nothing became of it");
    assert_eq!(owner.call("requestMissedNotifications", json!({})), json!({"count": 1}));
}

#[test]
fn a_topic_of_the_same_name_is_another_tenants() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let (north, south) = (in_tenant(&clients, "north", "2"), in_tenant(&clients, "south", "2"));
    for socket in [&north, &south] {
        socket.call("subscribe", json!({"channels": ["orders"]}));
    }
    sender_of(&server, "north").send(&json!({"topic": "orders", "type": "order", "title": "north's"}));
    assert_eq!(north.hear("notification")["title"], "north's");
    sender_of(&server, "south").send(&json!({"topic": "orders", "type": "order", "title": "south's"}));
    assert_eq!(south.hear("notification")["title"], "south's");
    assert_eq!(north.heard("notification").len(), 1);
    // A sender of the same name in the other tenant is not told either.
    let namesake = in_tenant(&clients, "south", "s");
    let author = in_tenant(&clients, "north", "s");
    north.call("read", json!({"notificationId": north.heard("notification")[0]["id"]}));
    assert_eq!(author.hear("notificationStatus")["userId"], "2");
    namesake.call("requestMissedNotifications", json!({}));
    assert!(namesake.heard("notificationStatus").is_empty());
}

#[test]
fn subscribers_hear_live_and_what_they_missed() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    for (id, kind) in (2..).zip(Kind::all()) {
        let socket = clients.feed_by(kind, &crate::support::user_token(id));
        let answer =
            socket.call("subscribe", json!({"userId": id, "channels": ["orders", "news", "orders"]}));
        assert_eq!(answer, json!({"channels": ["news", "orders"]}), "{kind:?}");
        assert_eq!(socket.hear("subscribed"), answer, "{kind:?}");
        let left = socket.call("unsubscribe", json!({"userId": id.to_string(), "channels": ["news"]}));
        assert_eq!(left, json!({"channels": ["news"]}), "{kind:?}");
        assert_eq!(socket.hear("unsubscribed"), left, "{kind:?}");
        backend.send(&json!({"topic": "orders", "type": "order", "title": format!("live {id}")}));
        let told = socket.hear("notification");
        assert_eq!((&told["channel"], &told["title"]), (&json!("orders"), &json!(format!("live {id}"))));
        socket.call("read", json!({"notificationId": told["id"]}));
        socket.disconnect();
    }
    // A subscriber who was away, and a server too.
    backend.send(&json!({"topic": "news", "type": "n", "title": "nobody's"}));
    backend.send(&json!({"topic": "orders", "type": "order", "title": "missed"}));
    server.kill();
    server.restart();
    let hope = "the subscriber hears what was sent meanwhile";
    let returned = clients.feed(2);
    eventually(hope, || (returned.heard("notification").last()?["title"] == "missed").then_some(()));
    assert!(returned.heard("notification").iter().all(|one| one["title"] != "nobody's"));
}

#[test]
fn odd_channels_are_refused() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let socket = clients.feed(2);
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for odd in
        [json!("orders"), json!([1]), json!([""]), json!(["a\nb"]), json!(["x".repeat(129)]), json!(many)]
    {
        for event in ["subscribe", "unsubscribe"] {
            let answer = socket.call(event, json!({"channels": odd}));
            assert_eq!(answer["error"], "Invalid field: channels", "{odd}");
            assert_eq!(socket.hear("error"), answer);
        }
    }
    assert_eq!(socket.call("subscribe", json!({}))["error"], "Missing field: channels");
    assert_eq!(socket.call("subscribe", json!({"channels": []})), json!({"channels": []}));
}
