//! What was answered with 201 is durable, listed by every door in its own words, and stays as it was marked.

use serde_json::{Value, json};

use crate::support::{Rest, Server, eventually, in_seconds, note};

#[test]
fn a_notification_survives_a_crash_and_is_listed_in_every_dialect() {
    let mut server = Server::start();
    let sent = Rest::backend(&server).post(
        "/api/v1/notifications",
        &json!({
            "user_id": "2", "notification_type": "iep_update", "topic": "iep", "priority": "normal",
            "title": "IEP updated", "message": "Please review.\nToday.", "action_url": "/iep/5/review",
            "metadata": {"iep": 5}, "channels": ["websocket", "push", "in_app"],
            "expires_at": "2099-01-15T10:00:00+01:00",
        }),
    );
    let receipt = sent.expect(201);
    let (id, uuid) = (receipt["id"].clone(), receipt["uuid"].as_str().expect("a UUID").to_owned());
    let location = format!("/api/v1/notifications/{id}/timeline");
    assert_eq!(sent.header("location"), Some(location.as_str()), "it is in no inbox of the sender's");
    assert_eq!((&receipt["status"], &receipt["sent_at"]), (&json!("pending"), &Value::Null));
    assert_eq!(receipt["channels"], json!(["in_app", "push"]), "where it goes, each once");
    server.kill();
    server.restart();

    let two = Rest::user(&server, 2);
    let page = two.get("/api/v1/notifications").expect(200);
    let entry = json!({
        "id": id, "uuid": uuid, "type": "iep_update", "notification_type": "iep_update", "title": "IEP updated",
        "message": "Please review.\nToday.", "data": {"iep": 5}, "topic": "iep", "priority": "normal",
        "action_url": "/iep/5/review", "status": "pending", "is_read": false,
        "created_at": receipt["created_at"], "delivered_at": null, "read_at": null,
        "expires_at": "2099-01-15T09:00:00.000Z",
    });
    let expected = json!({
        "notifications": [entry], "total_count": 1, "unread_count": 1, "has_more": false, "next_cursor": null,
    });
    assert_eq!(page, expected);
    let campus = two.get("/api/v1/notifications/?skip=0&limit=10").expect(200);
    assert_eq!(campus, json!({"items": [entry], "total": 1, "unread_count": 1}));
    for name in [id.to_string(), uuid.clone(), uuid.to_uppercase()] {
        assert_eq!(two.get(&format!("/api/v1/notifications/{name}")).expect(200), entry, "{name}");
    }
    let feed = two.get("/api/notifications").expect(200);
    assert_eq!(feed["pagination"], json!({"page": 1, "limit": 20, "total": 1}));
    assert_eq!(
        feed["notifications"],
        json!([{
            "id": uuid, "number": id, "type": "iep_update", "title": "IEP updated",
            "message": "Please review.\nToday.", "channel": "iep", "priority": "medium", "status": "pending",
            "data": {"iep": 5}, "actionUrl": "/iep/5/review", "createdAt": receipt["created_at"],
            "deliveredAt": null, "readAt": null, "expiresAt": "2099-01-15T09:00:00.000Z",
        }])
    );
    assert_eq!(Rest::user(&server, 3).titles(), [] as [String; 0]);
}

#[test]
fn marks_are_kept_whichever_door_sets_them() {
    let mut server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let ids: Vec<Value> = ["a", "b", "c", "d", "e"].map(|title| backend.send(&note(2, title))).to_vec();
    let path = |index: usize| format!("/api/v1/notifications/{}", ids[index]["id"]);
    let read = two.call("POST", &format!("{}/read", path(0)), None).expect(200);
    assert_eq!((&read["status"], &read["is_read"]), (&json!("read"), &json!(true)));
    let uuid = ids[1]["uuid"].as_str().expect("a UUID");
    let read = two.call("PUT", &format!("/api/notifications/{uuid}/read"), None).expect(200);
    assert_eq!((&read["id"], &read["status"]), (&json!(uuid), &json!("read")));
    assert!(read["readAt"].is_string());
    assert_eq!(two.put(&path(2), &json!({"is_read": true})).expect(200)["is_read"], true);
    let unread = two.put(&path(2), &json!({"is_read": false})).expect(200);
    assert_eq!((&unread["is_read"], &unread["status"]), (&json!(false), &json!("delivered")));
    assert!(two.delete(&path(3)).expect(200)["detail"].is_string());
    assert_eq!(two.delete(&path(3)).status, 404, "it is gone");
    let uuid = ids[4]["uuid"].as_str().expect("a UUID");
    assert_eq!(two.delete(&format!("/api/notifications/{uuid}")).status, 204);

    server.kill();
    server.restart();
    assert_eq!(two.titles(), ["c", "b", "a"]);
    assert_eq!(two.get("/api/v1/notifications/unread-count").expect(200), json!({"unread_count": 1}));
    assert_eq!(two.get("/api/notifications/unread-count").expect(200), json!({"unreadCount": 1}));
    let all = two.call("POST", "/api/v1/notifications/read-all", None).expect(200);
    assert_eq!((&all["status"], &all["marked_count"]), (&json!("success"), &json!(1)));
    let again = two.call("POST", "/api/v1/notifications/read-all", None).expect(200);
    assert_eq!(again["marked_count"], 0);
    assert_eq!(two.get("/api/v1/notifications/unread-count").expect(200), json!({"unread_count": 0}));
}

#[test]
fn lists_are_narrowed_and_their_totals_with_them() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    for (kind, topic, priority) in
        [("order", "orders", "low"), ("order", "orders", "high"), ("grade", "school", "critical")]
    {
        let title = format!("{kind} {priority}");
        backend
            .send(&json!({"user_id": 2, "type": kind, "topic": topic, "priority": priority, "title": title}));
    }
    let newest = two.get("/api/v1/notifications?limit=1").expect(200);
    two.call("POST", &format!("/api/v1/notifications/{}/read", newest["notifications"][0]["id"]), None)
        .expect(200);
    let found = |query: &str| {
        let page = two.get(&format!("/api/v1/notifications?{query}")).expect(200);
        let list = page["notifications"].as_array().expect("a list").len();
        (list, page["total_count"].clone(), page["unread_count"].clone(), page["has_more"].clone())
    };
    assert_eq!(found(""), (3, json!(3), json!(2), json!(false)));
    assert_eq!(found("unread_only=true"), (2, json!(2), json!(2), json!(false)));
    assert_eq!(found("type=order&limit=1"), (1, json!(2), json!(2), json!(true)));
    assert_eq!(found("notification_type=grade"), (1, json!(1), json!(0), json!(false)));
    assert_eq!(found("topic=school&priority=urgent"), (1, json!(1), json!(0), json!(false)));
    assert_eq!(found("topic=nowhere"), (0, json!(0), json!(0), json!(false)));
    let feed = two.get("/api/notifications?channel=orders&priority=high&unreadOnly=true").expect(200);
    assert_eq!(feed["pagination"]["total"], 1);
    assert_eq!(feed["notifications"][0]["title"], "order high");
}

#[test]
fn one_without_a_recipient_is_for_its_sender_and_what_has_expired_is_not_listed() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    two.send(&json!({"type": "note", "title": "to myself"}));
    two.send(&json!({"user_ids": [2, "2"], "type": "note", "message": "only a message", "topic": "mine"}));
    assert_eq!(two.titles(), ["", "to myself"]);
    let soon = chrono::DateTime::from_timestamp(in_seconds(8), 0).expect("a time").to_rfc3339();
    two.send(&json!({"type": "note", "title": "soon over", "expires_at": soon}));
    eventually("what has expired leaves the list", || (two.titles() == ["", "to myself"]).then_some(()));
    assert_eq!(two.get("/api/v1/notifications/unread-count").expect(200), json!({"unread_count": 2}));
}
