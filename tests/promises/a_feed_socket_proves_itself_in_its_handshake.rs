//! A feed socket shows its token in the handshake: with a good one it is that person, with a bad one it is refused,
//! with none it is nobody until it authenticates.

use serde_json::{Value, json};

use crate::support::{
    Clients, Kind, Library, Route, Server, Socket, booking, facilitator_hello, in_seconds, sign, sign_with,
    user_token,
};

fn open_with(clients: &Clients, kind: Kind, auth: &Value) -> Socket {
    clients.open_with(kind, &[], json!({"auth": auth, "reconnection": false}))
}

#[test]
fn a_good_token_is_that_person_by_every_client() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, kind) in (2..).zip(Kind::all()) {
        let socket = clients.feed_by(kind, &user_token(id));
        assert_eq!(
            socket.heard("authenticated"),
            [json!({"status": "authenticated", "userId": id.to_string()})]
        );
        let receipt = backend.call("booking_notification", booking(1, id));
        assert!(receipt["delivered_at"].is_string(), "{kind:?}: {receipt}");
        let told = socket.hear("notification");
        assert_eq!(told["number"], receipt["notification_id"], "{kind:?}");
        assert_eq!(told["type"], "new_booking");
        assert_eq!(told["channel"], "bookings");
        assert_eq!(told["priority"], "medium");
        assert_eq!(told["data"]["booking_id"], 1);
        assert_eq!(told["id"].as_str().map(str::len), Some(36), "{told}");
        assert!(told["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
        assert!(socket.heard("new_booking_notification").is_empty());
        socket.disconnect();
    }
}

#[test]
fn a_bad_token_is_refused_by_every_client() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let expired = sign(&json!({"sub": "2", "exp": in_seconds(-60)}));
    let forged = sign_with(
        &json!({"sub": "2", "exp": in_seconds(60)}),
        "another-secret-that-nobody-knows",
        jsonwebtoken::Algorithm::HS256,
    );
    let nobody = sign(&json!({"sub": [], "exp": in_seconds(60)}));
    for kind in Kind::all() {
        for token in [json!(expired), json!(forged), json!(nobody), json!("rubbish"), json!(""), json!(5)] {
            let socket = open_with(&clients, kind, &json!({"token": token}));
            let refusal = socket.next_change("connect_error");
            // python-socketio gives its handlers the object, the npm clients the text.
            assert_eq!(refusal["message"], "Authentication failed", "{kind:?} {token:.20}: {refusal}");
            // A session that begins by polling hears the words only.
            match kind.route {
                Route::WebSocket => {
                    let code = if token == expired { "token_expired" } else { "token_invalid" };
                    assert_eq!(refusal["data"]["code"], code, "{kind:?} {token:.20}: {refusal}");
                    assert!(refusal["data"]["detail"].is_string(), "{kind:?} {token:.20}: {refusal}");
                }
                Route::Polling | Route::Upgrade => assert!(refusal["data"].is_null(), "{refusal}"),
            }
            assert_eq!(socket.changes("connected"), 0, "{kind:?} {token:.20}");
            assert!(socket.heard("connection_response").is_empty(), "{kind:?}");
        }
    }
    assert_eq!(server.stats()["online_facilitators"], 0);
    assert!(server.log().iter().all(|line| !line.contains(&forged)), "no token in the log");
}

#[test]
fn without_a_token_it_is_nobody_until_it_authenticates() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, auth) in (2..).zip([json!({}), json!({"token": null}), json!({"other": 1})]) {
        let socket = open_with(&clients, Kind::WEBSOCKET, &auth);
        socket.hear("connection_response");
        for event in
            ["ack", "read", "subscribe", "unsubscribe", "requestMissedNotifications", "updatePreferences"]
        {
            let refusal = socket.call(event, json!({"notificationId": 1, "channels": ["orders"]}));
            assert_eq!(refusal["error"], "Unauthorized", "{event}");
            assert_eq!(socket.hear("error"), refusal, "{event}");
        }
        let receipt = backend.call("booking_notification", booking(1, id));
        assert!(receipt["stored_at"].is_string(), "{receipt}");
        let refusal = socket.call("authenticate", json!({"token": "rubbish"}));
        assert_eq!(refusal["error"], "Invalid token");
        let welcome = socket.call("authenticate", json!({"token": user_token(id)}));
        assert_eq!(welcome, json!({"status": "authenticated", "userId": id.to_string()}));
        assert_eq!(socket.hear("authenticated"), welcome);
        assert_eq!(socket.hear("notification")["number"], receipt["notification_id"], "what it missed");
    }
}

#[test]
fn a_person_has_so_many_sockets_and_no_more() {
    let server = Server::with(&[("limits.sockets_per_user", "2")]);
    let clients = Clients::of(&server);
    let _two = [clients.feed(2), clients.feed(2)];
    let third = open_with(&clients, Kind::USUAL, &json!({"token": user_token(2)}));
    assert_eq!(third.next_change("connect_error")["message"], "Too many connections");
    let third = open_with(&clients, Kind::WEBSOCKET, &json!({"token": user_token(2)}));
    let refusal = third.next_change("connect_error");
    assert_eq!(refusal["message"], "Too many connections");
    assert_eq!(refusal["data"]["code"], "too_many_connections", "{refusal}");
    clients.feed(3);
}

#[test]
fn a_page_that_connects_as_a_facilitator_speaks_the_booking_protocol() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, library) in (2..).zip([Library::Npm48, Library::Python]) {
        backend.call("booking_notification", booking(1, id));
        let kind = Kind { library, ..Kind::WEBSOCKET };
        let page =
            clients.open_with(kind, &[facilitator_hello(id)], json!({"auth": {"token": user_token(id)}}));
        page.hear("facilitator_auth_success");
        let list = page.hear("pending_notifications");
        assert_eq!(list["notifications"][0]["booking_id"], 1, "{list}");
        backend.call("booking_notification", booking(2, id));
        let live = page.hear("new_booking_notification");
        assert_eq!(live["booking_id"], 2);
        page.call(
            "mark_notification_read",
            json!({"facilitator_id": id, "notification_id": live["notification_id"]}),
        );
        assert!(page.heard("notification").is_empty());
    }
}
