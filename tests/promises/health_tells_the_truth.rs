//! `/health` has the fields that monitors of the old service read, and says what is so.

use serde_json::json;

use crate::support::{Clients, Server};

#[test]
fn health_has_the_seeds_fields() {
    let server = Server::start();
    let health = server.get("/health");
    assert_eq!(health.status, 200);
    assert!(
        health.headers.to_ascii_lowercase().contains("content-type: application/json"),
        "{}",
        health.headers
    );
    let health = health.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "notification_service");
    assert!(health["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "{health}");
    assert_eq!(health["online_facilitators"], 0);
    assert_eq!(health["backend_connected"], false);
    assert!(health["version"].is_string(), "{health}");
}

#[test]
fn health_follows_who_is_there() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    let health = server.get("/health").json();
    assert_eq!((&health["online_facilitators"], &health["backend_connected"]), (&json!(1), &json!(true)));
    page.disconnect();
    backend.disconnect();
    server.wait_for_stat("online_facilitators", 0);
    server.wait_for_stat("backend_connected", false);
    let health = server.get("/health").json();
    assert_eq!((&health["online_facilitators"], &health["backend_connected"]), (&json!(0), &json!(false)));
}

#[test]
fn a_running_server_is_alive_and_ready() {
    let server = Server::start();
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/health/ready").status, 200);
    assert_eq!(server.get("/no/such/page").status, 404);
}
