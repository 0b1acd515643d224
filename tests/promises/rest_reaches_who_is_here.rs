//! What is sent by REST is handed at once to whoever is connected, and its sender is told so.

use serde_json::json;

use crate::support::{Clients, Rest, Server, note};

#[test]
fn who_is_here_hears_and_who_is_not_has_it_listed() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let backend = Rest::backend(&server);
    let sent = backend.send(&note(2, "hello"));
    assert!(sent["sent_at"].is_string(), "{sent}");
    assert_eq!(page.hear("notification")["number"], sent["id"]);
    let sent = backend.send(&json!({"user_ids": [2, 3], "type": "note", "title": "both"}));
    assert!(sent["sent_at"].is_string(), "{sent}");
    assert_eq!(page.hear("notification")["number"], sent["id"]);
    assert!(backend.send(&note(3, "nobody is there"))["sent_at"].is_null());
    assert_eq!(Rest::user(&server, 3).titles(), ["nobody is there", "both"]);
}
