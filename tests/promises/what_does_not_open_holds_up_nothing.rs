//! One value that does not open, because its key is missing or it was damaged, holds up nothing else: it is given up with a reason that
//! names the key, and may be tried again. A server that lacks a key by which others encrypt is not ready, and says so; nobody
//! encrypts by a key that a running node lacks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, messages, tell};
use crate::support::{
    BACKEND_TOKEN, Clients, Ground, JWT_SECRET, METRICS_TOKEN, Peers, Rest, Server, Shared, SinkFile,
    eventually, in_seconds, instant, note, on_postgres, run_command, run_command_in,
};

/// Of some browser.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
const FAILED: &str = "/api/v1/deliveries/failed";

fn key() -> String {
    let output = run_command(&["keys", "new"], &[]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Puts what no key of ours has sealed into a column.
fn shut(server: &Server, table: &str, column: &str, which: &str) {
    shut_by(server, table, column, which, "deadbeef");
}

fn shut_by(server: &Server, table: &str, column: &str, which: &str, key: &str) {
    let put =
        |mark: &str| format!("UPDATE {table} SET {column} = {mark} || 'sealed:{key}:QUJD' WHERE {which}");
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
}

fn shut_last(server: &Server, column: &str) {
    shut(server, "notifications", column, "id = (SELECT max(id) FROM notifications)");
}

/// The titles of a page of somebody's list, and whether there is more.
fn page(who: &Rest, query: &str) -> (Vec<String>, bool) {
    let page = who.get(&format!("/api/v1/notifications?{query}")).expect(200);
    let all = page["notifications"].as_array().expect("a list").iter();
    let titles = all.map(|one| one["title"].as_str().expect("a title").to_owned()).collect();
    (titles, page["has_more"] == true)
}

#[test]
fn a_damaged_notification_is_passed_over() {
    let server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    backend.send(&note(3, "1"));
    let damaged: Vec<Value> = ["title", "message", "data"]
        .map(|column| {
            let sent = backend.send(&note(3, "damaged"));
            shut_last(&server, column);
            sent
        })
        .into();
    backend.send(&note(3, "2"));
    // Who comes back hears the others, and what comes live.
    let socket = Clients::of(&server).feed(3);
    let hear = || socket.hear("notification")["title"].as_str().expect("a title").to_owned();
    assert_eq!([hear(), hear()], ["1", "2"]);
    backend.send(&note(3, "3"));
    assert_eq!(hear(), "3");
    server.wait_for_line("the log names it", |line| {
        line.contains(&format!("\"notification.id\":{}", damaged[0]["id"])) && line.contains("deadbeef")
    });
    // No page ends early, nor shows anything twice.
    assert_eq!(page(&three, "").0, ["3", "2", "1"]);
    let numbered = |skip: usize| page(&three, &format!("limit=2&offset={skip}")).0;
    assert_eq!([numbered(0), numbered(2), numbered(4)].concat(), ["3", "2", "1"]);
    let first = three.get("/api/v1/notifications?limit=2").expect(200);
    assert_eq!(first["has_more"], true);
    let before = &first["notifications"][1]["id"];
    assert_eq!(page(&three, &format!("limit=2&before={before}")), (vec!["1".to_owned()], false));
    // Who asks for it by its number hears why, without a word on keys.
    let refused = three.get(&format!("/api/v1/notifications/{}", damaged[0]["id"]));
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("stored_unreadable") && !refused.body.contains("deadbeef"), "{refused:?}");
    assert_eq!(server.get("/health/ready").status, 200, "no other server has that key");
}

#[test]
fn bytes_that_are_no_text_fail_alone() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("ENCRYPTION_KEYS", &key())]);
    // PostgreSQL takes no such text.
    if !server.is_on_sqlite() {
        return;
    }
    let backend = Rest::backend(&server);
    for user in [2, 3] {
        let contacts = json!({"email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
    }
    let spoil = |table: &str, column: &str, which: &str| {
        let put =
            format!("UPDATE {table} SET {column} = CAST(x'017365616c65643aff3a' AS TEXT) WHERE {which}");
        server.sql(&put, &put);
    };
    spoil("recipients", "contacts", "user_id = '2'");
    backend.send(&mail(2, "shut"));
    backend.send(&mail(3, "open"));
    eventually("others go on", || (sink.by("email").len() == 1).then_some(()));
    backend.send(&note(3, "spoilt"));
    spoil("notifications", "title", "id = (SELECT max(id) FROM notifications)");
    assert_eq!(Rest::user(&server, 3).titles(), ["open"]);
}

#[test]
fn what_spreads_and_what_recurs_holds_up_no_other() {
    let server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    backend.send(&note(2, "before"));
    let later = |title: &str| {
        let all = json!({"title": title, "scheduled_at": instant(in_seconds(4))});
        backend.post("/api/v1/notifications/broadcast", &all).expect(200)["id"].clone()
    };
    for column in ["title", "message", "data", "wish"] {
        later("damaged");
        shut_last(&server, column);
    }
    let last = later("whole");
    let again = |title: &str| {
        let mut one = note(2, title);
        one["cron"] = json!("* * * * * *");
        one["time_zone"] = json!("UTC");
        backend.post("/api/v1/recurring", &one).expect(201)
    };
    let damaged = again("damaged round");
    shut(&server, "recurring", "message", &format!("id = {}", damaged["id"]));
    again("round");
    let has = |title: &str| two.titles().iter().any(|one| one == title);
    eventually("what is whole goes out", || (has("whole") && has("round")).then_some(()));
    assert!(!two.titles().iter().any(|title| title == "damaged"));
    let named = format!("\"recurring.id\":{}", damaged["id"]);
    server.wait_for_line("the log names it", |line| line.contains(&named));
    let open = format!("SELECT 1 FROM expansions WHERE finished_at IS NULL AND notification_id <= {last}");
    eventually("what is damaged is over", || (server.rows(&open) == 0).then_some(()));
    let listed = backend.get("/api/v1/recurring").expect(200);
    assert!(listed.to_string().contains("cannot be read"), "{listed}");
    assert_eq!(listed["recurring"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[test]
fn who_cannot_be_reached_can_be_forgotten() {
    let server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    let (backend, boss) = (Rest::backend(&server), admin(&server));
    for user in [2, 3] {
        let contacts = json!({"email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
        backend.send(&note(user, "x"));
    }
    backend.send(&note(2, "damaged"));
    shut_last(&server, "data");
    shut(&server, "recipients", "contacts", "user_id = '2'");
    let two = Rest::user(&server, 2);
    let consent = "/api/v1/recipients/me/consent";
    two.put(consent, &json!({"email": false})).expect(200);
    assert_eq!(two.get(consent).expect(200)["channels"]["email"]["status"], "withdrawn");
    let keys = json!({"p256dh": P256DH, "auth": AUTH});
    two.post("/push/subscribe", &json!({"endpoint": "https://push.example.com/send/lost", "keys": keys}))
        .expect(201);
    let put = |mark: &str| format!("UPDATE push_subscriptions SET auth = {mark}");
    server.sql(
        &put("CAST(char(1) || 'sealed:deadbeef:QUJD' AS BLOB)"),
        &put("convert_to(chr(1) || 'sealed:deadbeef:QUJD', 'UTF8')"),
    );
    let devices = two.get("/api/v1/push/subscriptions").expect(200).to_string();
    assert!(devices.contains("lost"), "its owner can remove it: {devices}");
    let asked = json!({"user_ids": [2, 3], "type": "note", "title": "x", "channels": ["email"]});
    backend.post("/api/v1/notifications/preview", &asked).expect(200);
    let data = "/api/v1/recipients/2/data";
    let export = boss.get(data).expect(200);
    let told = export.to_string();
    assert!(told.contains("cannot be read") && !told.contains("deadbeef"), "{told}");
    assert_eq!(export["notifications"].as_array().map(Vec::len), Some(2), "{told}");
    boss.delete(data).expect(200);
    assert_eq!(server.rows("SELECT 1 FROM recipients WHERE contacts IS NOT NULL"), 1);
}

#[test]
fn what_is_given_up_is_written_down() {
    let server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    let (backend, boss, two) = (Rest::backend(&server), admin(&server), Rest::user(&server, 2));
    let contacts = json!({"email": "user2@example.com", "is_minor": true, "guardian": {"email": "guardian@example.com"}});
    backend.put("/api/v1/recipients/2", &contacts).expect(200);
    backend.put("/api/v1/recipients/2/consent", &json!({"email": false})).expect(200);
    backend.send(&note(2, "lost"));
    let of_row = "id = (SELECT max(id) FROM notifications)";
    shut(&server, "notifications", "title", of_row);
    shut(&server, "recipients", "contacts", "user_id = '2'");
    let check = |arguments: &[&str]| {
        let output = server.command(&[&["keys", "check"], arguments].concat());
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (is_well, said) = check(&[]);
    assert!(!is_well && said.contains("2 do not open") && said.contains("of contacts"), "{said}");
    assert!(said.contains("--give-up"), "{said}");
    let (is_well, said) = check(&["--give-up"]);
    assert!(is_well && said.contains("2 were given up"), "{said}");
    let (is_well, said) = check(&[]);
    assert!(is_well && said.contains("0 do not open"), "{said}");
    assert!(two.titles()[0].contains("given up"), "{:?}", two.titles());
    // What they agreed to is kept elsewhere, too.
    let me = two.get("/api/v1/recipients/me").expect(200);
    assert_eq!((&me["email"], &me["is_minor"]), (&Value::Null, &json!(false)), "{me}");
    let consents = two.get("/api/v1/recipients/me/consent").expect(200);
    assert!(consents["channels"]["email"]["status"] == "withdrawn", "{consents}");
    let written = boss.get("/api/v1/audit?action=database.give_up").expect(200).to_string();
    assert!(written.contains("contacts") && written.contains("title"), "{written}");
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
    let page = Clients::of(&server).feed(2);
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
    // What another server can open is passed over by nobody.
    Rest::backend(&server).send(&note(2, "elsewhere"));
    shut_by(&server, "notifications", "title", "title IS NOT NULL", "feedbeef");
    let two = Rest::user(&server, 2);
    assert_eq!(two.get("/api/v1/notifications").expect(503)["code"], "stored_unreadable");
    let gone = "DELETE FROM sealing WHERE name = 'key:feedbeef'";
    server.sql(gone, gone);
    eventually("it is ready again", || (server.get("/health/ready").status == 200).then_some(()));
    two.get("/api/v1/notifications").expect(200);
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
