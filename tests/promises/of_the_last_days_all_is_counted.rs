//! `/api/v1/notifications/stats` counts what came to its caller in the last days, and nothing else.

use serde_json::{Value, json};

use crate::support::{Rest, Server, in_seconds, instant, note};

const A_DAY: i64 = 24 * 60 * 60;

/// What was sent now was sent so many days ago.
fn date_back(server: &Server, id: &Value, days: i64) {
    let seconds = days * A_DAY;
    server.sql(
        &format!("UPDATE notifications SET created_at = created_at - {seconds}000000 WHERE id = {id}"),
        &format!("UPDATE notifications SET created_at = created_at - INTERVAL '{seconds} s' WHERE id = {id}"),
    );
}

fn stats(who: &Rest, query: &str) -> Value {
    who.get(&format!("/api/v1/notifications/stats{query}")).expect(200)
}

/// Waits for the next day, if this one is nearly over: what was sent before midnight was sent yesterday.
fn early_enough() {
    while in_seconds(60) / A_DAY > in_seconds(0) / A_DAY {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

#[test]
fn by_type_priority_and_day() {
    early_enough();
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let empty = stats(&two, "?days=2");
    assert_eq!(empty["total"], 0);
    assert_eq!(empty["by_type"], json!({}));
    assert_eq!(empty["by_day"].as_array().map(Vec::len), Some(2));

    let urgent = json!({"user_id": 2, "type": "alarm", "title": "fire", "priority": "critical"});
    let mut sent: Vec<_> = [note(2, "a"), note(2, "b"), note(2, "deleted"), urgent]
        .map(|one| backend.send(&one)["id"].clone())
        .into();
    let expired = json!({"user_id": 2, "type": "note", "title": "e", "expires_at": instant(in_seconds(60))});
    sent.push(backend.send(&expired)["id"].clone());
    server.sql(
        &format!("UPDATE notifications SET expires_at = created_at WHERE id = {}", sent[4]),
        &format!("UPDATE notifications SET expires_at = created_at WHERE id = {}", sent[4]),
    );
    backend.send(&note(3, "somebody else's"));
    two.delete(&format!("/api/v1/notifications/{}", sent[2])).expect(200);
    two.post(&format!("/api/v1/notifications/{}/read", sent[0]), &Value::Null).expect(200);
    // What is older may stand among what is new.
    date_back(&server, &sent[0], 1);
    date_back(&server, &sent[1], 40);

    let today = instant(in_seconds(0))[..10].to_owned();
    let yesterday = instant(in_seconds(-A_DAY))[..10].to_owned();
    let day = |date: &str, total: u64, unread: u64| json!({"date": date, "total": total, "unread": unread, "read": total - unread});
    let expected = json!({
        "days": 2, "since": format!("{yesterday}T00:00:00.000Z"), "total": 2, "unread": 1, "read": 1,
        "by_type": {"alarm": 1, "note": 1},
        "by_priority": {"low": 0, "normal": 1, "high": 0, "urgent": 1},
        "by_day": [day(&yesterday, 1, 0), day(&today, 1, 1)]
    });
    assert_eq!(stats(&two, "?days=2"), expected);
    assert_eq!(stats(&two, "")["total"], 2);
    assert_eq!(stats(&two, "")["days"], 30);
    assert_eq!(stats(&two, "?days=365")["total"], 3);
    assert_eq!(stats(&Rest::user(&server, 3), "?days=1")["total"], 1);
    let namesake = Rest::claiming(&server, json!({"sub": "2", "tenant_id": "elsewhere"}));
    assert_eq!(stats(&namesake, "?days=365")["total"], 0);
    for odd in ["0", "366", "-1", "x", "1.5", ""] {
        let refused = two.get(&format!("/api/v1/notifications/stats?days={odd}")).expect(422);
        assert_eq!(refused["field"], "days", "{odd}");
    }
}

#[test]
fn more_than_one_page() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    two.send(&json!({"type": "note", "title": "first"}));
    // 4,999 more like it, at positions and numbers of their own.
    let copied = |numbers: &str, uuid: &str| {
        format!(
            "INSERT INTO notifications (id, uuid, tenant, kind, topic, title, message, data, created_at, priority)
               SELECT n, {uuid}, tenant, CASE WHEN n % 3 = 0 THEN 'third' ELSE kind END, topic, title, message, data,
               created_at, priority FROM notifications, {numbers} WHERE id = 1;
             INSERT INTO inbox (recipient_id, position, notification_id, read_at)
               SELECT recipient_id, n, n, CASE WHEN n % 2 = 0 THEN created_at END FROM inbox
               JOIN notifications ON notifications.id = inbox.notification_id, {numbers} WHERE inbox.position = 1;"
        )
    };
    let counted = "(WITH RECURSIVE c (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) SELECT n FROM c) AS c";
    server.sql(
        &copied(counted, "randomblob(16)"),
        &copied("generate_series(2, 5000) AS c (n)", "gen_random_uuid()"),
    );
    let found = stats(&two, "?days=7");
    assert_eq!((&found["total"], &found["unread"]), (&json!(5000), &json!(2500)));
    assert_eq!(found["by_type"], json!({"note": 3334, "third": 1666}));
}
