//! Logs tell what happened and to which numbers, and never a name, an address, a message or a secret.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{BACKEND_TOKEN, Clients, JWT_SECRET, METRICS_TOKEN, Server, booking, user_token};

#[test]
fn nothing_personal_and_nothing_secret_is_logged() {
    let mut server = Server::with(&[("log.level", "debug")]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    backend.call("booking_notification", booking(1, 2));
    backend.call("booking_notification", booking(1, 3));
    let mut wrong = booking(1, 2);
    wrong["user"]["name"] = json!({"first": "Jane Smith"});
    backend.call("booking_notification", wrong);
    let stranger = clients.stranger();
    stranger.emit("facilitator_connect", json!({"facilitator_id": 3, "token": user_token(2)}));
    stranger.hear("auth_error");
    stranger.emit("backend_connect", json!({"token": "a guess that nobody should read"}));
    stranger.hear("auth_error");
    page.disconnect();
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();

    let log = server.log().join("\n");
    let signature = user_token(2).rsplit('.').next().expect("a signature").to_owned();
    let secrets = [BACKEND_TOKEN, JWT_SECRET, METRICS_TOKEN, "a guess that nobody", "eyJ", &signature];
    for unwanted in ["jane@example.com", "Jane Smith", "Morning Meditation"].iter().chain(&secrets) {
        assert!(!log.contains(unwanted), "{unwanted:?} is in the log:\n{log}");
    }
}

#[test]
fn every_line_is_an_object_with_the_seeds_facts() {
    let mut server = Server::with(&[("log.level", "debug")]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    backend.call("booking_notification", booking(1, 2));
    backend.call("booking_notification", booking(1, 5));
    page.disconnect();
    server.wait_for_stat("facilitator_sessions", 0);
    assert!(server.stop().success());

    let lines: Vec<Value> = server
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}")))
        .collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    let facts = [
        ("Facilitator connected", "2"),
        ("Real-time notification sent to facilitator", "2"),
        ("Notification stored for offline facilitator", "5"),
        ("Facilitator disconnected", "2"),
    ];
    for (message, user) in facts {
        let told = |line: &&Value| line["message"] == message && line["user.id"] == user;
        assert!(lines.iter().any(|line| told(&line)), "nothing says {message:?} of {user}");
    }
}
