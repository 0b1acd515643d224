//! What was given up is tried again when somebody says so, however much it is, and holds up nobody meanwhile.

use serde_json::{Value, json};

use crate::support::{Rest, Server, eventually};

const FAILED: &str = "/api/v1/deliveries/failed";
const RETRY: &str = "/api/v1/deliveries/failed/retry";

/// One that has failed, and `many` more of its kind.
fn given_up(server: &Server, backend: &Rest, many: i64) {
    let lost = json!({"user_id": 2, "title": "Lost", "channels": ["websocket", "email"], "email": "two@example.com"});
    backend.post("/notify", &lost).expect(200);
    let skipped = "SELECT id FROM deliveries WHERE state = 5";
    eventually("nobody is set up to take it", || (server.rows(skipped) == 1).then_some(()));
    let columns = "notification_id, recipient_id, position, tenant, channel, step, due_at, created_at";
    let all = format!("INSERT INTO deliveries ({columns}, state) SELECT {columns}, 4 FROM deliveries, ");
    server.sql(
        &format!(
            "WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some WHERE n < {many}) {all} some",
        ),
        &format!("{all} generate_series(1, {many})"),
    );
}

#[test]
fn however_much_it_is() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    given_up(&server, &backend, 1_203);
    let mut path = RETRY.to_owned();
    let mut retried = 0;
    loop {
        let told = admin.post(&path, &json!({})).expect(200);
        retried += told["retried"].as_u64().expect("a number");
        match &told["next_cursor"] {
            Value::Null => break,
            next => path = format!("{RETRY}?cursor={next}"),
        }
    }
    assert_eq!(retried, 1_203);
    assert_eq!(admin.get(FAILED).expect(200)["deliveries"], json!([]));
    // It is written down who had it done, once for all that were tried again by one request.
    if path == RETRY {
        let noted = admin.get("/api/v1/audit?action=delivery.retry").expect(200);
        assert_eq!(noted["entries"].as_array().map(Vec::len), Some(1), "{noted}");
    }
    // Those before a number are tried again, and no others.
    server.sql("UPDATE deliveries SET state = 4", "UPDATE deliveries SET state = 4");
    let latest = admin.get(&format!("{FAILED}?limit=100")).expect(200)["next_cursor"].clone();
    let told = admin.post(&format!("{RETRY}?cursor={latest}"), &json!({})).expect(200);
    assert_eq!(told, json!({"retried": 1_104, "next_cursor": null}));
    assert_eq!(server.rows("SELECT id FROM deliveries WHERE state = 4"), 100);
    for wrong in ["cursor=x", "before=3"] {
        admin.post(&format!("{RETRY}?{wrong}"), &json!({})).expect(422);
    }
}

#[test]
fn what_everything_gave_up_is_called_failed_until_somebody_has_it() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    given_up(&server, &backend, 1);
    let status = || {
        let list = |path: &str| two.get(path).expect(200)["notifications"][0].clone();
        let (hub, feed) = (list("/api/v1/notifications"), list("/api/notifications"));
        assert_eq!(hub["status"], feed["status"]);
        let id = hub["id"].as_i64().expect("a number");
        assert_eq!(two.get(&format!("/api/v1/notifications/{id}")).expect(200)["status"], hub["status"]);
        (id, hub["status"].clone())
    };
    let (id, failed) = status();
    assert_eq!(failed, "failed");
    // While one way is open, it may yet arrive.
    let later = "UPDATE deliveries SET state = 0, due_at =";
    let anew = |at: &str| format!("{later} {at} WHERE state = 5");
    server.sql(&anew("9223372036854775"), &anew("now() + interval '1 day'"));
    assert_eq!(status().1, "pending");
    server.sql(
        "UPDATE deliveries SET state = 5 WHERE state = 0",
        "UPDATE deliveries SET state = 5 WHERE state = 0",
    );
    assert_eq!(status().1, "failed");
    two.post(&format!("/api/v1/notifications/{id}/read"), &json!({})).expect(200);
    assert_eq!(status().1, "read");
}
