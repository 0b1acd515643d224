//! Only a back end that has proved itself may book: by the shared token, or by a service's token with the scope.

use serde_json::{Value, json};

use crate::support::{
    BACKEND_TOKEN, Clients, Kind, Server, booking, in_seconds, service_token, sign, user_token,
};

#[test]
fn who_is_not_a_back_end_cannot_book() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let stranger = clients.stranger();
    let facilitator = clients.facilitator(2);
    for socket in [&stranger, &facilitator] {
        socket.emit("booking_notification", booking(1, 2));
        assert_eq!(socket.hear("error")["error"], "Unauthorized", "{}", socket.name);
        let answer = socket.call("booking_notification", booking(2, 2));
        assert_eq!(answer["error"], "Unauthorized", "{}", socket.name);
    }
    assert_eq!(server.stats()["total_notifications"], 0);
    assert_eq!(server.stats()["backend_connected"], false);
    facilitator.emit("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(facilitator.hear("pending_notifications")["count"], 0);
    assert!(facilitator.heard("new_booking_notification").is_empty());
}

#[test]
fn a_wrong_token_opens_nothing() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let nearly = &BACKEND_TOKEN[..BACKEND_TOKEN.len() - 1];
    let longer = format!("{BACKEND_TOKEN}x");
    let user = user_token(2);
    let reader = service_token("notifications:read");
    let expired = sign(&json!({"sub": "s", "scope": "notifications:send", "exp": in_seconds(-3600)}));
    let tokens = [nearly, &longer, &user, &reader, &expired, "", "backend-service-token-here"];
    for token in
        tokens.map(Value::from).into_iter().chain([Value::Null, json!(1), json!([BACKEND_TOKEN]), json!({})])
    {
        let socket = clients.stranger();
        socket.emit("backend_connect", json!({"token": token}));
        assert_eq!(socket.hear("auth_error")["error"], "Invalid token", "{token}");
        socket.emit("booking_notification", booking(1, 2));
        assert_eq!(socket.hear("error")["error"], "Unauthorized", "{token}");
    }
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn a_services_token_with_the_scope_books() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let scope = service_token("profile notifications:send");
    let scopes = sign(&json!({"sub": "s", "scopes": ["notifications:send"], "exp": in_seconds(60)}));
    let role = sign(&json!({"sub": "s", "role": "service", "exp": in_seconds(60)}));
    for (number, token) in (1..).zip([scope, scopes, role]) {
        let socket = clients.stranger();
        socket.emit("backend_connect", json!({"token": token}));
        socket.hear("backend_auth_success");
        assert_eq!(socket.call("booking_notification", booking(number, 2))["booking_id"], number);
    }
}

#[test]
fn a_refused_socket_may_try_again() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for kind in Kind::all() {
        let socket = clients.stranger_by(kind);
        socket.emit("backend_connect", json!({"token": "wrong"}));
        assert_eq!(socket.hear("auth_error")["error"], "Invalid token", "{kind:?}");
        socket.emit("backend_connect", json!({"token": BACKEND_TOKEN}));
        socket.hear("backend_auth_success");
        assert!(socket.call("booking_notification", booking(1, 2))["notification_id"].is_u64(), "{kind:?}");
    }
}
