//! Whoever outgrows one file moves it to PostgreSQL: numbers, order and what was read stay, an interrupted move goes on,
//! and a database of another origin is left alone.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::{
    BACKEND_TOKEN, Clients, JWT_SECRET, PendingList, Rest, Server, Shared, booking, eventually,
    notification_ids, on_postgres, program, run_command,
};

/// A move to this database that has begun.
fn move_to(from: &Server, to: &Shared) -> Child {
    let mut moving = program();
    moving
        .current_dir(from.home())
        .args(["migrate", "--database-url", "carillon.db", "--to", &to.database.url()])
        .envs([("JWT_SECRET_KEY", JWT_SECRET), ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    moving.spawn().expect("the program")
}

/// The words of a move to this database.
fn moved(from: &Server, to: &Shared) -> String {
    words_of(move_to(from, to))
}

fn words_of(moving: Child) -> String {
    let output = moving.wait_with_output().expect("its words");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A move that is killed while it fills the inboxes, however fast the machine is: each of its rows waits there.
fn half_moved(from: &Server, to: &Shared) {
    let tell = |statements: &str| to.database.tell(statements).expect("an answer");
    tell(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.003); RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let mut moving = move_to(from, to);
    eventually("the inboxes are being filled", || {
        (tell("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO \"inbox\"%'")[0] != "0")
            .then_some(())
    });
    moving.kill().expect("a child");
    words_of(moving);
    tell("DROP TRIGGER slow ON inbox; DROP FUNCTION wait()");
}

#[test]
fn numbers_order_and_read_states_stay() {
    if !on_postgres() {
        return;
    }
    let mut file = Server::on_sqlite();
    let clients = Clients::of(&file);
    let backend = clients.backend();
    let order = json!({"booking": booking(0, 2), "first": 1, "count": 3_000, "acks": true, "window": 128});
    let first = backend.burst(order).wait();
    backend.call("booking_notification", booking(1, 3));
    let page = clients.facilitator(2);
    let before = PendingList(page.hear("pending_notifications"));
    assert_eq!(before.count(), 3_000);
    let read = &before.notifications()[1_000]["notification_id"];
    page.call("mark_notification_read", json!({"facilitator_id": 2, "notification_id": read}));
    let mut expected = notification_ids(before.notifications());
    expected.retain(|id| Some(*id) != read.as_u64());
    page.disconnect();
    let yearly = json!({"user_id": 2, "type": "x", "title": "x", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    let kept = Rest::backend(&file).post("/api/v1/recurring", &yearly).expect(201);
    let (devices, contacts) = ("/api/v1/push/subscriptions", "/api/v1/recipients/me");
    let ana = Rest::user(&file, 2);
    let keys = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    ana.post("/push/subscribe", &json!({"endpoint": "https://push.example.com/x", "keys": keys})).expect(201);
    ana.put(contacts, &json!({"email": "ana@example.com", "phone": "+14155550123"})).expect(200);
    let digest = "/api/v1/digest/subscription";
    ana.put(digest, &json!({"delivery_time": "23:59"})).expect(200);
    file.sql("UPDATE digest_subscriptions SET next_at = next_at - 8 * 86400000000, reached = 0", "");
    eventually("a digest is sent", || {
        let all = ana.get("/api/v1/digests").expect(200);
        (all["digests"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    let digests = |ana: &Rest| (ana.get(digest).expect(200), ana.get("/api/v1/digests").expect(200));
    let told = digests(&ana);
    let reached_by = (ana.get(devices).expect(200), ana.get(contacts).expect(200));
    let admin = json!({"sub": "boss", "role": "admin"});
    let (hooks, hook) = ("/api/v1/webhooks", json!({"url": "https://app.example.com/x"}));
    let hooked = Rest::claiming(&file, admin.clone()).post(hooks, &hook).expect(201);
    let log = |server: &Server| {
        let page =
            Rest::claiming(server, admin.clone()).get("/api/v1/audit?actor=backend&limit=100").expect(200);
        page["entries"].clone()
    };
    let written = log(&file);
    assert!(moved(&file, &Shared::fresh()).contains("another Carillon"), "a server is using it");
    assert!(file.stop().success());

    let shared = Shared::fresh();
    for patience in [40, 80] {
        let mut moving = move_to(&file, &shared);
        std::thread::sleep(Duration::from_millis(patience));
        moving.kill().expect("a child");
        words_of(moving);
    }
    let url = shared.database.url();
    assert!(run_command(&["migrate"], &[("DATABASE_URL", &url)]).status.success(), "its tables are there");
    half_moved(&file, &shared);
    // Half of it is no database to serve.
    let served = run_command(&["serve", "--port", "0"], &[("DATABASE_URL", &url)]);
    let said = String::from_utf8_lossy(&served.stderr).into_owned();
    assert!(!served.status.success() && said.contains("a move to this database was interrupted"), "{said}");

    let words = moved(&file, &shared);
    assert!(
        words.contains("Moved and compared: 3002 notifications, 2 people, 3002 inbox entries"),
        "{words}"
    );
    let words = moved(&file, &shared);
    assert!(words.contains("Moved and compared: 3002"), "once more changes nothing: {words}");

    let mut there = Server::on(&shared.clone().into(), &[]);
    let ana = Rest::user(&there, 2);
    assert_eq!((ana.get(devices).expect(200), ana.get(contacts).expect(200)), reached_by);
    assert_eq!(digests(&ana), told, "no digest comes twice");
    let clients = Clients::of(&there);
    let page = clients.facilitator(2);
    let list = PendingList(page.hear("pending_notifications"));
    assert_eq!(notification_ids(list.notifications()), expected);
    assert_eq!(log(&there), written, "what was done stays as it was");
    let recurring = Rest::backend(&there).get("/api/v1/recurring").expect(200)["recurring"].clone();
    assert_eq!((&recurring[0]["id"], &recurring[0]["next_at"]), (&kept["id"], &kept["next_at"]));
    let boss = Rest::claiming(&there, admin.clone());
    let listed = boss.get(hooks).expect(200)["webhooks"][0].clone();
    assert_eq!((&listed["id"], &listed["created_at"]), (&hooked["id"], &hooked["created_at"]));
    assert_ne!(boss.post(hooks, &hook).expect(201)["id"], hooked["id"]);
    assert_ne!(Rest::backend(&there).post("/api/v1/recurring", &yearly).expect(201)["id"], kept["id"]);
    let backend = clients.backend();
    let again = backend.call("booking_notification", booking(1, 2));
    assert_eq!(again["notification_id"], first[0]["notification_id"], "a resend is still recognised");
    let new = backend.call("booking_notification", booking(9_999, 2));
    assert!(new["notification_id"].as_u64() > Some(3_001), "{new}");
    assert_eq!(page.hear("new_booking_notification")["booking_id"], 9_999);

    let words = moved(&Server::on_sqlite(), &shared);
    assert!(words.contains("another Carillon"), "{words}");
    let words = moved(&file, &shared);
    assert!(words.contains("a server is using the PostgreSQL database"), "{words}");
    assert!(there.stop().success());
    let mut other = Server::on_sqlite();
    Clients::of(&other).backend().call("booking_notification", booking(1, 2));
    assert!(other.stop().success());
    let words = moved(&other, &shared);
    assert!(words.contains("not from this file"), "{words}");
}
