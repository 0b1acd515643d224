//! A tenant that is told what becomes of its notifications, and the program that hears it.

use serde_json::{Value, json};

use super::{Peers, Rest, Server, eventually};

/// What servers need to call programs on this machine, and to be quick about it.
pub const HOOKED: [(&str, &str); 3] = [
    ("CARILLON_ENV", "development"),
    ("delivery.allow_loopback", "true"),
    ("webhooks.retry_ms", "200, 200, 200, 200"),
];

/// An administrator of the default tenant.
pub fn admin(server: &Server) -> Rest {
    Rest::claiming(server, json!({"sub": "boss", "role": "admin"}))
}

/// Has the peers told at an address that answers like this, of these events; what was answered.
pub fn tell(peers: &mut Peers, who: &Rest, how: &str, events: &[&str]) -> Value {
    let new = json!({"url": format!("{}/{how}", peers.url("hooks")), "events": events});
    let made = who.post("/api/v1/webhooks", &new).expect(201);
    peers.know(made["secret"].as_str().expect("a secret"));
    made
}

/// All that came at this address so far: each was signed.
#[track_caller]
pub fn told_at(peers: &Peers, how: &str) -> Vec<Value> {
    let path = format!("/{how}");
    let all: Vec<Value> = peers.told("hooks").into_iter().filter(|told| told["path"] == *path).collect();
    for one in &all {
        assert!(one["by"].as_array().is_some_and(|by| !by.is_empty()), "nobody signed it: {one}");
        assert_eq!(one["kind"], "application/json");
    }
    all
}

/// Waits until so many messages came at this address.
#[track_caller]
pub fn hear_at(peers: &Peers, how: &str, many: usize) -> Vec<Value> {
    eventually(&format!("{many} come at {how}: {:?}", peers.told("hooks")), || {
        let all = told_at(peers, how);
        (all.len() >= many).then_some(all)
    })
}

/// The messages of a webhook, the latest first.
#[track_caller]
pub fn messages(who: &Rest, webhook: &Value, query: &str) -> Vec<Value> {
    let page = who.get(&format!("/api/v1/webhooks/{}/messages?limit=100{query}", webhook["id"])).expect(200);
    page["messages"].as_array().expect("a list").clone()
}
