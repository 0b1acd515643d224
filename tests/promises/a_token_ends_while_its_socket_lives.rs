//! A token that expires while its socket lives ends what it allowed, unless it is renewed in place.

use serde_json::json;

use crate::support::{
    Clients, Kind, PendingList, Rest, Server, Socket, booking, in_seconds, note, sign, user_token,
};

fn strict() -> Server {
    Server::with(&[("auth.jwt_leeway_seconds", "0")])
}

fn facilitator_for_seconds(clients: &Clients, id: u64, seconds: i64) -> Socket {
    let page = clients.stranger();
    let token = sign(&json!({"sub": id.to_string(), "exp": in_seconds(seconds)}));
    page.emit("facilitator_connect", json!({"facilitator_id": id, "token": token}));
    page.hear("facilitator_auth_success");
    page
}

#[test]
fn an_expired_facilitator_hears_no_more() {
    let server = strict();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = facilitator_for_seconds(&clients, 2, 6);
    assert!(page.hear("auth_error")["error"].is_string());
    server.wait_for_stat("online_facilitators", 0);
    let receipt = backend.call("booking_notification", booking(1, 2));
    assert!(receipt["stored_at"].is_string(), "{receipt}");
    page.emit("get_pending_notifications", json!({"facilitator_id": 2}));
    if page.changes("disconnected") == 0 {
        assert!(page.hear("error")["error"].is_string());
    }
    assert!(page.heard("new_booking_notification").is_empty());
    assert!(page.heard("pending_notifications").is_empty());
    assert_eq!(PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids(), [1]);
}

#[test]
fn an_expired_back_end_books_no_more() {
    let server = strict();
    let clients = Clients::of(&server);
    let backend = clients.stranger();
    let claims = json!({"sub": "booking-system", "scope": "notifications:send", "exp": in_seconds(6)});
    backend.emit("backend_connect", json!({"token": sign(&claims)}));
    backend.hear("backend_auth_success");
    assert!(backend.hear("auth_error")["error"].is_string());
    server.wait_for_stat("backend_connected", false);
    backend.emit("booking_notification", booking(1, 2));
    if backend.changes("disconnected") == 0 {
        assert_eq!(backend.hear("error")["error"], "Unauthorized");
    }
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn a_renewed_token_goes_on_without_a_break() {
    let server = strict();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let renewed = facilitator_for_seconds(&clients, 2, 6);
    renewed.call("authenticate", json!({"token": user_token(2)}));
    let witness = facilitator_for_seconds(&clients, 3, 6);
    witness.hear("auth_error"); // as much time, and more, has passed for the other
    let receipt = backend.call("booking_notification", booking(1, 2));
    assert!(receipt["delivered_at"].is_string(), "{receipt}");
    renewed.hear("new_booking_notification");
    assert!(renewed.heard("auth_error").is_empty());
    assert_eq!(renewed.changes("disconnected"), 0);
}

#[test]
fn a_renewal_must_be_for_the_same_person() {
    let server = strict();
    let clients = Clients::of(&server);
    let page = facilitator_for_seconds(&clients, 2, 3600);
    for token in [user_token(3), "rubbish".to_owned(), sign(&json!({"sub": "2", "exp": in_seconds(-60)}))] {
        page.emit("authenticate", json!({"token": token}));
        assert!(page.hear("auth_error")["error"].is_string());
    }
    // What it had, it keeps; and it did not become somebody else.
    let receipt = clients.backend().call("booking_notification", booking(1, 3));
    assert!(receipt["stored_at"].is_string(), "{receipt}");
}

fn feed_for_seconds(clients: &Clients, id: u64, seconds: i64) -> Socket {
    clients.feed_by(Kind::WEBSOCKET, &sign(&json!({"sub": id.to_string(), "exp": in_seconds(seconds)})))
}

#[test]
fn an_expired_feed_hears_no_more_until_it_authenticates() {
    let server = strict();
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    clients.stranger().disconnect(); // the process of the clients is there before the first token is made
    let renewed = feed_for_seconds(&clients, 3, 6);
    let welcome = renewed.call("authenticate", json!({"token": user_token(3)}));
    assert_eq!(welcome["status"], "authenticated");
    let feed = feed_for_seconds(&clients, 2, 6);
    assert_eq!(feed.hear("auth_error")["error"], "Token expired");
    server.wait_for_stat("online_facilitators", 1);
    backend.send(&note(2, "meanwhile"));
    assert_eq!(feed.call("requestMissedNotifications", json!({}))["error"], "Unauthorized");
    assert_eq!(feed.call("authenticate", json!({"token": "rubbish"}))["error"], "Invalid token");
    assert!(feed.heard("notification").is_empty());
    assert_eq!(feed.call("authenticate", json!({"token": user_token(2)}))["userId"], "2");
    assert_eq!(feed.hear("notification")["title"], "meanwhile", "what it missed");
    backend.send(&note(2, "live"));
    assert_eq!(feed.hear("notification")["title"], "live");
    // The other one, whose first token has expired before, went on without a break.
    backend.send(&note(3, "live"));
    renewed.hear("notification");
    assert!(renewed.heard("auth_error").is_empty());
    for socket in [&feed, &renewed] {
        assert_eq!(socket.changes("disconnected"), 0, "{}", socket.name);
    }
}

#[test]
fn a_feed_is_renewed_by_the_same_person_only() {
    let server = strict();
    let clients = Clients::of(&server);
    let feed = clients.feed(2);
    let elsewhere = sign(&json!({"sub": "2", "tenant_id": "north", "exp": in_seconds(60)}));
    for token in [user_token(3), elsewhere, "rubbish".to_owned()] {
        assert_eq!(feed.call("authenticate", json!({"token": token}))["error"], "Invalid token");
    }
    Rest::backend(&server).send(&note(2, "mine"));
    assert_eq!(feed.hear("notification")["title"], "mine");
}
