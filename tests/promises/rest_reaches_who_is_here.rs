//! What is sent by REST is handed at once to whoever is connected, and its sender is told so.

use serde_json::json;

use crate::support::{Clients, Rest, Server, eventually, note};

#[test]
fn who_is_here_hears_and_who_is_not_has_it_listed() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let backend = Rest::backend(&server);
    let sent = backend.send(&note(2, "hello"));
    assert!(sent["sent_at"].is_string(), "{sent}");
    // Whichever event the page's dialect has for it.
    let heard = || page.heard("new_booking_notification").len() + page.heard("notification").len();
    eventually("the page hears it", || (heard() == 1).then_some(()));
    let sent = backend.send(&json!({"user_ids": [2, 3], "type": "note", "title": "both"}));
    assert!(sent["sent_at"].is_string(), "{sent}");
    eventually("the page hears both", || (heard() == 2).then_some(()));
    assert!(backend.send(&note(3, "nobody is there"))["sent_at"].is_null());
    assert_eq!(Rest::user(&server, 3).titles(), ["nobody is there", "both"]);
}
