//! `ack` and `read` are durable when they are answered, and told to whom they concern: the person's other sockets, of
//! either protocol and on any node, and the sender.

use serde_json::{Value, json};

use crate::support::{Clients, Cluster, Kind, Rest, Server, Socket, booking, note, user_token};

/// Without its time.
fn stands(mut told: Value) -> Value {
    let at = told["timestamp"].take();
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    told.as_object_mut().expect("an object").remove("timestamp");
    told
}

fn sender(server: &Server) -> Rest {
    Rest::claiming(server, json!({"sub": "9", "scope": "notifications:send"}))
}

/// The next notification, by its UUID and its number.
fn hear(socket: &Socket) -> (Value, Value) {
    let told = socket.hear("notification");
    (told["id"].clone(), told["number"].clone())
}

#[test]
fn every_client_may_confirm_and_read_by_either_name() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for (id, kind) in (10..).zip(Kind::all()) {
        let socket = clients.feed_by(kind, &user_token(id));
        for by_number in [false, true] {
            sender(&server).send(&note(id, "x"));
            let (uuid, number) = hear(&socket);
            let name = if by_number { &number } else { &uuid };
            let delivered = json!({"notificationId": uuid, "number": number, "status": "delivered"});
            let read = json!({"notificationId": uuid, "number": number, "status": "read"});
            for (event, stand) in
                [("ack", &delivered), ("ack", &delivered), ("read", &read), ("read", &read), ("ack", &read)]
            {
                let answer = stands(socket.call(event, json!({"notificationId": name})));
                assert_eq!(&answer, stand, "{kind:?}: {event}, once or once more; what is read stays read");
                assert_eq!(&stands(socket.hear("notificationStatus")), stand, "{kind:?}: {event}");
            }
        }
        assert!(socket.heard("error").is_empty(), "{kind:?}");
    }
    server.wait_for_stat("pending_notifications", 0);
}

#[test]
fn what_was_confirmed_or_read_is_not_missed() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let socket = clients.feed(2);
    for title in ["acked", "read", "neither"] {
        sender(&server).send(&note(2, title));
    }
    let [acked, read, _] = [0, 1, 2].map(|_| hear(&socket).0);
    socket.call("ack", json!({"notificationId": acked}));
    socket.call("read", json!({"notificationId": read}));
    server.kill();
    server.restart();
    let again = clients.feed(2);
    assert_eq!(again.call("requestMissedNotifications", json!({})), json!({"count": 1}));
    assert_eq!(again.hear("notification")["title"], "neither");
}

/// Everybody hears of it once.
fn told_to_all(here: (&Server, &Clients), there: (&Server, &Clients)) {
    let (desk, phone) = (here.1.feed(2), there.1.feed(2));
    let page = there.1.facilitator(2);
    let (author, author_elsewhere) = (here.1.feed(9), there.1.feed(9));
    let stranger = there.1.feed(3);
    sender(here.0).send(&note(2, "x"));
    let (uuid, number) = hear(&desk);
    hear(&phone);
    assert_eq!(page.hear("notification")["id"], uuid, "a booking page hears other kinds so");
    for (event, status) in [("ack", "delivered"), ("read", "read")] {
        let own = json!({"notificationId": uuid, "number": number, "status": status});
        let of_sender = json!({"notificationId": uuid, "number": number, "status": status, "userId": "2"});
        assert_eq!(stands(desk.call(event, json!({"notificationId": uuid}))), own);
        for socket in [&desk, &phone] {
            assert_eq!(stands(socket.hear("notificationStatus")), own, "{}", socket.name);
        }
        for socket in [&author, &author_elsewhere] {
            assert_eq!(stands(socket.hear("notificationStatus")), of_sender, "{}", socket.name);
        }
    }
    assert_eq!(page.hear("notification_marked_read"), json!({"notification_id": number}));
    assert!(page.heard("notificationStatus").is_empty(), "a booking page does not know it");
    stranger.call("requestMissedNotifications", json!({}));
    assert!(stranger.heard("notificationStatus").is_empty());
    assert!(desk.heard("notification_marked_read").is_empty());
}

#[test]
fn all_sockets_and_the_sender_are_told() {
    let server = Server::start();
    let clients = Clients::of(&server);
    told_to_all((&server, &clients), (&server, &clients));
}

#[test]
fn on_another_node_too() {
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    told_to_all((cluster.node(0), &here), (cluster.node(1), &there));
}

/// What is done to an inbox by REST is seen on its sockets, and not by others.
fn tidied_up((here, there): (&Server, &Server)) {
    let (desk, phone) = (Clients::of(here), Clients::of(there));
    let (desk, phone, author) = (desk.feed(2), phone.feed(2), phone.feed(9));
    sender(here).send(&note(2, "one"));
    let (uuid, number) = hear(&desk);
    hear(&phone);
    let two = Rest::user(here, 2);
    let all = json!({"notificationId": null, "number": null, "status": "read"});
    let gone = json!({"notificationId": uuid, "number": number, "status": "deleted"});
    let marked = two.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    assert_eq!(marked["marked_count"], 1);
    for socket in [&desk, &phone] {
        assert_eq!(stands(socket.hear("notificationStatus")), all, "{}", socket.name);
    }
    assert_eq!(two.post("/api/v1/notifications/read-all", &json!({})).expect(200)["marked_count"], 0);
    two.delete(&format!("/api/v1/notifications/{number}")).expect(200);
    for socket in [&desk, &phone] {
        assert_eq!(
            stands(socket.hear("notificationStatus")),
            gone,
            "what is no news is not told: {}",
            socket.name
        );
    }
    author.call("requestMissedNotifications", json!({}));
    assert!(author.heard("notificationStatus").is_empty(), "that is the recipient's business");
}

#[test]
fn reading_all_and_removing_are_told() {
    let server = Server::start();
    tidied_up((&server, &server));
}

#[test]
fn reading_all_and_removing_are_told_on_another_node() {
    let Some(cluster) = Cluster::start(2) else { return };
    tidied_up((cluster.node(0), cluster.node(1)));
}

#[test]
fn a_booking_read_on_a_page_is_read_in_the_feed_and_the_other_way_round() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let (page, socket) = (clients.facilitator(2), clients.feed(2));
    for (number, by_page) in [(1, true), (2, false)] {
        let id = backend.call("booking_notification", booking(number, 2))["notification_id"].clone();
        assert_eq!(page.hear("new_booking_notification")["notification_id"], id);
        let (uuid, feed_number) = hear(&socket);
        assert_eq!(feed_number, id);
        if by_page {
            page.call("mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));
        } else {
            socket.call("read", json!({"notificationId": uuid}));
        }
        assert_eq!(page.hear("notification_marked_read"), json!({"notification_id": id}));
        let expected = json!({"notificationId": uuid, "number": id, "status": "read"});
        assert_eq!(stands(socket.hear("notificationStatus")), expected);
    }
    // By REST, too.
    let id = backend.call("booking_notification", booking(3, 2))["notification_id"].clone();
    Rest::user(&server, 2).post(&format!("/api/v1/notifications/{id}/read"), &json!({})).expect(200);
    assert_eq!(page.hear("notification_marked_read"), json!({"notification_id": id}));
    assert_eq!(socket.hear("notificationStatus")["status"], "read");
    let list = page.call("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(list["count"], 0);
}

#[test]
fn marks_by_either_name_keep_their_order() {
    let server = Server::start();
    let socket = Clients::of(&server).feed(2);
    for round in 0..20 {
        sender(&server).send(&note(2, "x"));
        let (uuid, number) = hear(&socket);
        socket.emit("ack", json!({"notificationId": uuid}));
        socket.emit("read", json!({"notificationId": number}));
        let told: Vec<_> =
            socket.hear_many("notificationStatus", 2).iter().map(|told| told["status"].clone()).collect();
        assert_eq!(told, ["delivered", "read"], "round {round}");
    }
}
