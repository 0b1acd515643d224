//! A facilitator sees and changes only what is their own; what is another's answers as if it did not exist.

use serde_json::{Value, json};

use crate::support::{
    Clients, Kind, PendingList, Rest, Server, booking, in_seconds, instant, note, sign, user_token,
};

#[test]
fn a_token_for_someone_else_is_refused() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    backend.call("booking_notification", booking(1, 2));
    for kind in Kind::all() {
        let thief = clients.stranger_by(kind);
        for id in [json!(2), json!("2"), json!([2]), json!({"id": 2})] {
            thief.emit("facilitator_connect", json!({"facilitator_id": id, "token": user_token(3)}));
            let refusal = thief.hear("auth_error");
            assert!(refusal["error"].is_string(), "{kind:?} {id}: {refusal}");
        }
        thief.emit("get_pending_notifications", json!({"facilitator_id": 2}));
        assert!(thief.hear("error")["error"].is_string());
        backend.call("booking_notification", booking(2, 2));
        thief.emit("mark_notification_read", json!({"facilitator_id": 2, "notification_id": 1}));
        thief.hear("error");
        for event in ["facilitator_auth_success", "pending_notifications", "new_booking_notification"] {
            assert!(thief.heard(event).is_empty(), "{kind:?}: {event}");
        }
    }
    assert_eq!(server.stats()["online_facilitators"], 0);
}

/// Whoever shows the static token is written down as `backend`; a person may be called so, too.
#[test]
fn a_person_called_backend_is_no_back_end() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let token = sign(&json!({"sub": "backend", "exp": in_seconds(3_600)}));
    let namesake = Rest::by(&server, &token);
    let feed = clients.feed_by(Kind::WEBSOCKET, &token);
    let sent = backend.send(&note(2, "for another"));
    let mut later = note(2, "later");
    later["scheduled_at"] = json!(instant(in_seconds(3_600)));
    let later = backend.send(&later);
    let person = Rest::user(&server, 2);
    person.post(&format!("/api/v1/notifications/{}/read", sent["id"]), &json!({})).expect(200);
    namesake.get(&format!("/api/v1/notifications/{}/timeline", sent["id"])).expect(404);
    let waiting = namesake.get("/api/v1/notifications/scheduled").expect(200);
    assert_eq!(waiting["scheduled"], json!([]));
    namesake.delete(&format!("/api/v1/notifications/{}/schedule", later["id"])).expect(404);
    namesake.post("/api/v1/notifications", &note(2, "x")).expect(403);
    feed.emit("booking_notification", booking(1, 2));
    assert_eq!(feed.hear("error")["error"], "Unauthorized");
    // Their own comes to them, and to no back end.
    let service = clients.backend();
    let mut own = booking(2, 2);
    own["facilitator_id"] = json!("backend");
    service.call("booking_notification", own);
    assert_eq!(feed.hear("notification")["type"], "new_booking");
    namesake.send(&json!({"type": "note", "title": "their own"}));
    assert_eq!(feed.hear("notification")["title"], "their own");
    for event in ["notificationStatus", "new_booking_notification", "notification"] {
        assert!(service.heard(event).is_empty(), "{event}");
    }
    assert!(feed.heard("notificationStatus").is_empty(), "what others did is not theirs to know");
}

#[test]
fn an_id_is_a_number_or_its_text_and_a_claim_proves_it() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let by_claim = sign(&json!({"sub": "auth0|x", "facilitator_id": 2, "exp": in_seconds(60)}));
    let by_number = sign(&json!({"sub": 2, "exp": in_seconds(60)}));
    let by_user_id = sign(&json!({"user_id": 2, "exp": in_seconds(60)}));
    for token in [by_claim, by_number, by_user_id, user_token(2)] {
        for id in [json!(2), json!("2")] {
            let page = clients.stranger();
            page.emit("facilitator_connect", json!({"facilitator_id": id, "token": token}));
            page.hear("facilitator_auth_success");
        }
    }
    server.wait_for_stat("online_facilitators", 1);
}

#[test]
fn a_payload_that_differs_from_the_token_is_refused_on_every_verb() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let id = backend.call("booking_notification", booking(1, 2))["notification_id"].clone();
    let three = clients.facilitator(3);
    for foreign in [json!(2), json!("2"), json!([3, 2])] {
        three.emit("get_pending_notifications", json!({"facilitator_id": foreign}));
        assert!(three.hear("error")["error"].is_string(), "{foreign}");
        three.emit("mark_notification_read", json!({"facilitator_id": foreign, "notification_id": id}));
        assert!(three.hear("error")["error"].is_string(), "{foreign}");
    }
    assert!(three.heard("pending_notifications").is_empty());
    assert!(three.heard("notification_marked_read").is_empty());
    let list = PendingList(clients.facilitator(2).hear("pending_notifications"));
    assert_eq!(list.booking_ids(), [1], "still unread");
}

#[test]
fn anothers_notification_answers_as_an_unknown_one() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let id = backend.call("booking_notification", booking(1, 2))["notification_id"].clone();
    let three = clients.facilitator(3);
    let mut answers: Vec<Value> = Vec::new();
    for notification_id in [id, json!(987_654_321), json!(0), json!(-1)] {
        three
            .emit("mark_notification_read", json!({"facilitator_id": 3, "notification_id": notification_id}));
        let mut answer = three.hear("error");
        answer.as_object_mut().expect("an object").remove("notification_id");
        answers.push(answer);
    }
    assert!(answers[0]["error"].is_string());
    assert_eq!(answers[0], answers[1], "foreign and unknown can be told apart");
    assert!(three.heard("notification_marked_read").is_empty());
    assert_eq!(PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids(), [1]);
}

#[test]
fn a_socket_that_becomes_someone_else_leaves_the_first_behind() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    page.emit("facilitator_connect", json!({"facilitator_id": 3, "token": user_token(3)}));
    // Whether the change is allowed or refused, the page is one person and never two.
    page.emit("get_pending_notifications", json!({"facilitator_id": 3}));
    let is_three = page.call("get_pending_notifications", json!({"facilitator_id": 3}))["count"].is_u64();
    let (mine, foreign) = if is_three { (3, 2) } else { (2, 3) };
    let sent = backend.call("booking_notification", booking(1, foreign));
    assert!(sent["stored_at"].is_string(), "{foreign} is not there: {sent}");
    backend.call("booking_notification", booking(2, mine));
    assert_eq!(page.hear("new_booking_notification")["booking_id"], 2);
}
