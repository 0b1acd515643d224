//! Whoever asks gets all that is kept of them, as one JSON object; however much it is, the server has little of it in memory.
//! That it was handed out is written down.

use serde_json::{Value, json};

use crate::support::hooks::admin;
use crate::support::{Rest, Server, SinkFile, call, eventually, user_token};

const ME: &str = "/api/v1/recipients/me/data";
/// Entries of a large inbox, and what the server's memory may grow by while it hands out 200 MB of them, in KB: the database's own
/// caches are most of it.
const MANY: usize = 100_000;
const GROWTH: u64 = 96 * 1024;

#[test]
fn all_of_it_is_there() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path)]);
    let (service, boss, person) = (Rest::backend(&server), admin(&server), Rest::user(&server, 2));
    person.put("/api/v1/recipients/me", &json!({"email": "two@example.com", "locale": "el"})).expect(200);
    person.put("/api/v1/recipients/me/consent", &json!({"email": true, "sms": false})).expect(200);
    person.post("/api/v1/subscriptions", &json!({"topics": ["news"]})).expect(200);
    person.put("/api/v1/notifications/preferences", &json!({"time_zone": "Europe/Athens"})).expect(200);
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let auth = "BTBZMqHH6r4Tts7J_aSIgg";
    let device = json!({"endpoint": "https://push.example.com/one", "p256dh_key": p256dh, "auth_key": auth});
    person.post("/api/v1/push/subscribe", &device).expect(201);
    let mail = json!({
        "user_id": 2, "type": "note", "title": "mailed", "message": "m", "data": {"a": 1}, "channels": ["in_app", "email"],
    });
    service.send(&mail);
    eventually("it goes out", || (sink.by("email").len() == 1).then_some(()));
    let yearly =
        json!({"user_id": 2, "type": "note", "title": "yearly", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    person.post("/api/v1/recurring", &yearly).expect(201);
    boss.get("/api/v1/recipients/2").expect(200);
    let sent_away = json!({"user_id": 3, "type": "note", "title": "x", "data": {"student_id": "2"}});
    service.send(&sent_away);

    let is_sent = |all: &Value| all["notifications"][0]["deliveries"][0]["state"] == "sent";
    let all = eventually("the delivery is noted", || Some(person.get(ME).expect(200)).filter(is_sent));
    let one = &all["person"][0];
    assert_eq!((&one["user_id"], &one["contacts"]["email"]), (&json!("2"), &json!("two@example.com")));
    assert_eq!(
        (&one["topics"], &one["preferences"]["time_zone"]),
        (&json!(["news"]), &json!("Europe/Athens"))
    );
    let entry = &all["notifications"][0];
    assert_eq!((&entry["title"], &entry["data"]["a"]), (&json!("mailed"), &json!(1)));
    assert_eq!(entry["deliveries"][0]["attempts"][0]["state"], "sent");
    assert_eq!(all["push_subscriptions"][0]["auth"], "***");
    assert!(!all.to_string().contains(auth), "keys are not told");
    assert_eq!(all["consents"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["recurring"][0]["cron"], "0 9 1 1 *");
    let seen: Vec<&Value> =
        all["disclosures"].as_array().expect("a list").iter().map(|one| &one["action"]).collect();
    assert!(seen.contains(&&json!("contacts.read")) && seen.contains(&&json!("send")), "{seen:?}");
    assert!(
        all["audit"].as_array().is_some_and(|rows| rows.iter().any(|row| row["action"] == "data.export"))
    );
    let whole = boss.get("/api/v1/recipients/2/data").expect(200);
    assert_eq!(whole["notifications"], all["notifications"]);
    let audit = boss.get("/api/v1/audit?action=data.export&subject=2").expect(200);
    assert_eq!(audit["entries"][0]["actor"], "boss");
    // Of whom nothing is kept, nothing is told, and nobody is made by asking.
    let nobody = boss.get("/api/v1/recipients/nobody/data").expect(200);
    assert_eq!((&nobody["notifications"], &nobody["consents"]), (&json!([]), &json!([])));
    assert_eq!(server.rows("SELECT 1 FROM recipients WHERE user_id = 'nobody'"), 0);
}

/// A server where user 2 has an inbox of so many.
fn with_an_inbox_of(many: usize) -> Server {
    let mut server = Server::start();
    fill(&mut server, many);
    server
}

fn fill(server: &mut Server, many: usize) {
    Rest::backend(server)
        .send(&json!({"user_id": 2, "type": "note", "title": "1", "data": {"more": "x".repeat(1_000)}}));
    server.stop();
    server.sql(
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) \
             INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at) \
             SELECT randomblob(16), tenant, kind, topic, i, message, data, created_at FROM n, notifications; \
             INSERT INTO inbox (recipient_id, position, notification_id) \
             SELECT recipient_id, n.id, n.id FROM notifications AS n, inbox WHERE n.id > 1;"
        ),
        &format!(
            "INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at) \
             SELECT gen_random_uuid(), tenant, kind, topic, i, message, data, created_at \
             FROM notifications, generate_series(2, {many}) AS i ORDER BY i; \
             INSERT INTO inbox (recipient_id, position, notification_id) \
             SELECT recipient_id, n.id, n.id FROM notifications AS n, inbox WHERE n.id > 1; \
             UPDATE recipients SET last_position = {many}; ANALYZE"
        ),
    );
    server.restart();
}

#[test]
fn much_of_it_takes_little_memory() {
    let server = with_an_inbox_of(MANY);
    let person = Rest::user(&server, 2);
    person.titles();
    let before = server.memory("VmRSS");
    let all = person.get(ME).expect(200);
    assert_eq!(all["notifications"].as_array().map(Vec::len), Some(MANY));
    let grown = server.memory("VmHWM").saturating_sub(before);
    assert!(grown < GROWTH, "its memory grew by {grown} KB");
    // And so does forgetting them.
    let erased = person.delete(ME).expect(200);
    assert_eq!(erased["removed"]["inbox"], MANY);
    assert_eq!(server.rows("SELECT 1 FROM notifications WHERE length(data) > 200"), 0);
}

/// An erasure that a power cut ended goes on when it is asked for again.
#[test]
fn what_was_interrupted_goes_on() {
    let mut server = with_an_inbox_of(20_000);
    let left = "SELECT 1 FROM inbox";
    for _ in 0..2 {
        let address = server.address;
        let bearer = format!("Bearer {}", user_token(2));
        let asking =
            std::thread::spawn(move || call(address, "DELETE", ME, &[("Authorization", &bearer)], None));
        eventually("it has begun", || (server.rows(left) < 20_000).then_some(()));
        server.kill();
        assert!(asking.join().is_err(), "it was not answered");
        server.restart();
    }
    let removed = Rest::user(&server, 2).delete(ME).expect(200);
    assert_eq!(server.rows(left), 0, "{removed}");
    assert_eq!(server.rows("SELECT 1 FROM notifications WHERE length(data) > 200"), 0);
    assert_eq!(server.rows("SELECT 1 FROM recipients"), 0);
    assert_eq!(server.rows("SELECT 1 FROM audit_people WHERE name = '2'"), 0);
}
