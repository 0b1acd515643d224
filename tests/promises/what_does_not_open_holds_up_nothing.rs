//! One value that does not open, because its key is missing or it was damaged, holds up nothing else: it is given up with a reason that
//! names the key, and may be tried again. A server that lacks a key by which others encrypt is not ready, and says so; nobody
//! encrypts by a key that a running node lacks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, messages, tell};
use crate::support::{
    BACKEND_TOKEN, Ground, JWT_SECRET, METRICS_TOKEN, Peers, Rest, Server, Shared, SinkFile, eventually,
    note, on_postgres, run_command, run_command_in,
};

const FAILED: &str = "/api/v1/deliveries/failed";

fn key() -> String {
    let output = run_command(&["keys", "new"], &[]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Puts what no key of ours has sealed into a column.
fn shut(server: &Server, table: &str, column: &str, which: &str) {
    let put =
        |mark: &str| format!("UPDATE {table} SET {column} = {mark} || 'sealed:deadbeef:QUJD' WHERE {which}");
    server.sql(&put("char(1)"), &put("chr(1)"));
}

fn mail(user: u64, title: &str) -> Value {
    json!({"user_id": user, "type": "note", "title": title, "channels": ["in_app", "email"]})
}

#[test]
fn one_value_fails_alone_and_may_be_tried_again() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("ENCRYPTION_KEYS", &key())]);
    let (backend, boss) = (Rest::backend(&server), admin(&server));
    for user in [2, 3, 4] {
        let contacts = json!({"email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
    }
    shut(&server, "recipients", "contacts", "user_id = '2'");
    let sent = backend.send(&mail(2, "shut"));
    for number in 0..3 {
        backend.send(&mail(3, &format!("open {number}")));
    }
    eventually("others go on", || (sink.by("email").len() == 3).then_some(()));
    let failed = eventually("it is given up", || boss.get(FAILED).expect(200)["deliveries"].get(0).cloned());
    assert!(failed.to_string().contains("deadbeef"), "{failed}");
    let timeline = format!("/api/v1/notifications/{}/timeline?user_id=2", sent["id"]);
    let timeline = boss.get(&timeline).expect(200).to_string();
    assert!(timeline.contains("`deadbeef`"), "{timeline}");
    // Its contacts are there again.
    let again = "UPDATE recipients SET contacts = (SELECT contacts FROM recipients WHERE user_id = '4') WHERE user_id = '2'";
    server.sql(again, again);
    boss.post(&format!("/api/v1/deliveries/{}/retry", failed["id"]), &json!({})).expect(200);
    eventually("it goes out", || {
        sink.by("email").iter().any(|mail| mail["to"] == "user4@example.com").then_some(())
    });
    // A title, too.
    backend.send(&json!({"user_id": 3, "type": "note", "title": "x"}));
    shut(&server, "notifications", "title", "id = (SELECT max(id) FROM notifications)");
    let refused = Rest::user(&server, 3).get("/api/v1/notifications");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("stored_unreadable") && refused.body.contains("deadbeef"), "{refused:?}");
    server.wait_for_line("the log names it", |line| line.contains("deadbeef"));
    assert_eq!(server.get("/health/ready").status, 200, "no other server has that key");
}

#[test]
fn one_webhook_fails_alone() {
    let mut peers = Peers::start();
    let server = Server::with(&[&HOOKED[..], &[("ENCRYPTION_KEYS", key().as_str())]].concat());
    let boss = admin(&server);
    let lost = tell(&mut peers, &boss, "200/lost", &["notification.read"]);
    tell(&mut peers, &boss, "200/kept", &["notification.read"]);
    shut(&server, "webhooks", "secret", &format!("id = {}", lost["id"]));
    let two = Rest::user(&server, 2);
    let page = crate::support::Clients::of(&server).feed(2);
    let sent = Rest::backend(&server).send(&note(2, "x"));
    page.hear("notification");
    two.post(&format!("/api/v1/notifications/{}/read", sent["id"]), &json!({})).expect(200);
    hear_at(&peers, "200/kept", 1);
    let told = eventually("it is given up", || messages(&boss, &lost, "&state=failed").pop());
    assert!(told.to_string().contains("deadbeef"), "{told}");
}

#[test]
fn a_server_that_lacks_a_key_is_not_ready() {
    let server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    assert_eq!(server.get("/health/ready").status, 200);
    // As a server does that starts with another one.
    let known = "INSERT INTO sealing (name, value) VALUES ('key:feedbeef', 'x')";
    server.sql(known, known);
    let ready =
        eventually("it is not ready", || Some(server.get("/health/ready")).filter(|one| one.status == 503));
    assert!(ready.body.contains("`feedbeef`") && ready.body.contains("ENCRYPTION_KEYS"), "{ready:?}");
    server.wait_for_line("the log names it", |line| line.contains("feedbeef") && line.contains("ERROR"));
    let gone = "DELETE FROM sealing WHERE name = 'key:feedbeef'";
    server.sql(gone, gone);
    eventually("it is ready again", || (server.get("/health/ready").status == 200).then_some(()));
}

#[test]
fn nobody_encrypts_by_a_key_that_a_node_lacks() {
    if !on_postgres() {
        return;
    }
    let ground: Ground = Shared::fresh().into();
    let (old, new) = (key(), key());
    let first = Server::on(&ground, &[("ENCRYPTION_KEYS", &old)]);
    let url =
        ground.settings(first.home()).into_iter().find(|(name, _)| *name == "database.url").expect("one").1;
    let both = format!("{new},{old}");
    let variables = [
        ("CARILLON_ENV", "production"),
        ("JWT_SECRET_KEY", JWT_SECRET),
        ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN),
        ("CARILLON_METRICS_TOKEN", METRICS_TOKEN),
        ("DATABASE_URL", url.as_str()),
        ("ENCRYPTION_KEYS", both.as_str()),
    ];
    let started = std::time::Instant::now();
    let output = run_command_in(first.home(), &["serve", "--host", "127.0.0.1", "--port", "0"], &variables);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("do not have the key"), "{said}");
    assert!(started.elapsed() > Duration::from_secs(20), "who was killed a moment ago is waited for");
    // Nor does a rotation, whatever the database remembers.
    let output = run_command_in(first.home(), &["keys", "rotate"], &variables[4..]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("key"), "{said}");
    assert_eq!(first.get("/health/ready").status, 200, "who serves is left alone");
    Rest::backend(&first).send(&note(2, "x"));
    assert_eq!(Rest::user(&first, 2).titles(), ["x"]);
}
