//! Raw WebSockets, by real clients: the frames of the seeds, each answer, and each close code.

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Ground, Library, Redis, Rest, Server, Shared, Socket, eventually, in_seconds, instant,
    on_postgres, sign, user_token,
};

const NOTIFY: &str = "/ws/notify";
const CAMPUS: &str = "/api/v1/notifications/ws";

fn path(door: &str, token: &str) -> String {
    format!("{door}?token={token}")
}

/// A raw WebSocket of `id`, which is open.
fn open(clients: &Clients, library: Library, door: &str, id: u64) -> Socket {
    let socket = clients.raw(library, &path(door, &user_token(id)));
    socket.next_change("connected");
    socket
}

fn closed(socket: &Socket) -> Value {
    socket.next_change("disconnected")["code"].clone()
}

#[test]
fn a_notification_looks_as_its_clients_know_it() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    for (user, library) in (2..).zip(Library::RAW) {
        let pages = [NOTIFY, CAMPUS].map(|door| open(&clients, library, door, user));
        let given = json!({
            "user_id": user, "type": "grade_update", "title": "Grade", "message": "It is an A.", "priority": "high",
            "action_url": "/grades", "data": {"grade": 85, "deep": {"a": [1, null]}},
        });
        let sent = backend.send(&given);
        for (page, kind) in pages.iter().zip(["notification", "grade_update"]) {
            let mut heard = page.hear(kind);
            assert!(heard["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{heard}");
            heard["timestamp"] = Value::Null;
            let expected = json!({
                "id": sent["uuid"], "type": kind, "title": "Grade", "message": "It is an A.", "timestamp": null,
                "replay_id": sent["id"].to_string(), "user_id": user.to_string(),
                "data": {
                    "id": sent["uuid"], "title": "Grade", "message": "It is an A.", "notification_type": "grade_update",
                    "priority": "high", "action_url": "/grades", "grade": 85, "deep": {"a": [1, null]},
                },
            });
            assert_eq!(heard, expected, "{library:?}");
        }
    }
}

/// Pages switch on it: live, from another node, found in the database, and missed.
#[test]
fn what_a_template_says_is_known_by_the_template() {
    let mut redis = on_postgres().then(Redis::private);
    let ground = redis.as_ref().map(|redis| Shared::fresh().with_redis(&redis.url()).into());
    let servers =
        Cluster::on(&ground.unwrap_or_else(Ground::usual), if redis.is_some() { 2 } else { 1 }, &[]);
    let (backend, clients) =
        (Rest::backend(servers.node(0)), Clients::of(&servers.nodes()[servers.nodes().len() - 1]));
    let pages = [NOTIFY, CAMPUS].map(|door| open(&clients, Library::Ws, door, 2));
    let data = json!({"student_name": "Sarah", "meeting_date": "2025-09-15T14:00:00Z"});
    let send = || {
        for kind in ["iep_reminder", "mine"] {
            let body = json!({"user_id": "2", "template_id": "iep_meeting_reminder", "notification_type": kind, "channels": ["websocket"], "data": data});
            backend.post("/notify", &body).expect(200);
        }
        backend.send(&json!({"user_id": 2, "type": "grade_update", "title": "no template"}));
    };
    let check = |page: &Socket, own: &str| {
        for kind in ["iep_reminder", "mine"] {
            let heard = page.hear("iep_meeting_reminder");
            assert_eq!(heard["data"]["notification_type"], kind, "{heard}");
        }
        assert_eq!(page.hear(own)["title"], "no template");
    };
    let check_all = |pages: &[Socket; 2]| {
        pages.iter().zip(["notification", "grade_update"]).for_each(|(page, own)| check(page, own))
    };
    send();
    check_all(&pages);
    if let Some(redis) = &mut redis {
        redis.kill();
        servers.nodes().iter().for_each(|node| node.wait_for_health("degraded"));
        send();
        check_all(&pages);
    }
    let missed = [NOTIFY, CAMPUS]
        .map(|door| clients.raw(Library::Ws, &format!("{}&replay_from=0", path(door, &user_token(2)))));
    check_all(&missed);
}

/// Pages know the members of `data` by their names, so these keep their meaning; nothing that was given is lost by that.
#[test]
fn what_the_sender_gave_is_told_whole() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let pages = [NOTIFY, CAMPUS].map(|door| open(&clients, Library::Ws, door, 2));
    let expires_at = instant(in_seconds(600));
    let given = json!({
        "id": 5, "title": "theirs", "message": ["m"], "priority": {"a": 1}, "notification_type": null, "action_url": "javascript:x",
        "topic": "their topic", "metadata": {"deep": true}, "grade": 85,
    });
    let sent = json!({
        "user_id": 2, "type": "t", "title": "ours", "message": "m", "topic": "grades", "expires_at": expires_at, "data": given,
    });
    let sent = backend.send(&sent);
    for (page, kind) in pages.iter().zip(["notification", "t"]) {
        let heard = page.hear(kind);
        assert_eq!(heard["metadata"], given, "{heard}");
        assert_eq!(
            (&heard["topic"], &heard["expires_at"]),
            (&json!("grades"), &json!(expires_at)),
            "{heard}"
        );
        let data = json!({
            "id": sent["uuid"], "title": "ours", "message": "m", "notification_type": "t", "priority": "normal",
            "topic": "their topic", "metadata": {"deep": true}, "grade": 85,
        });
        assert_eq!(heard["data"], data);
        for absent in ["topic", "expires_at", "metadata"] {
            backend.send(&json!({"user_id": 2, "type": "t", "title": absent, "data": {"grade": 85}}));
            assert_eq!(page.hear(kind).get(absent), None);
        }
    }
}

#[test]
fn each_message_is_answered() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    for (user, library) in (2..).zip(Library::RAW) {
        let page = open(&clients, library, NOTIFY, user);
        page.emit("ping", json!({"timestamp": "2025-01-15T14:30:00Z"}));
        assert!(page.hear("pong")["timestamp"].is_string());
        let sent = backend.send(&json!({"user_id": user, "type": "t", "title": "x"}));
        let heard = page.hear("notification");
        for name in [heard["id"].clone(), heard["replay_id"].clone(), sent["id"].clone()] {
            page.emit("mark_read", json!({"notification_id": name}));
            assert_eq!(page.hear("read_confirmation")["notification_id"], name);
        }
        let person = Rest::user(&server, user);
        assert_eq!(person.get("/api/v1/notifications/unread-count").expect(200)["unread_count"], 0);

        page.emit("subscribe_channel", json!({"channel": "iep_updates"}));
        assert_eq!(
            page.hear("subscription_confirmed"),
            json!({"type": "subscription_confirmed", "channel": "iep_updates"})
        );
        backend.send(&json!({"topic": "iep_updates", "type": "t", "title": "to all of it"}));
        assert_eq!(page.hear("notification")["title"], "to all of it");
        page.emit("unsubscribe_channel", json!({"channel": "iep_updates"}));
        assert_eq!(page.hear("unsubscription_confirmed")["channel"], "iep_updates");

        for (event, payload) in [
            ("mark_read", json!({"notification_id": 999_999})),
            ("ack", json!({"message_id": "123e4567-e89b-12d3-a456-426614174000"})),
            ("ack", json!({})),
            ("subscribe_channel", json!({"channel": "a\nb"})),
            ("no_such_thing", json!({})),
            ("$text", json!("no JSON")),
        ] {
            page.emit(event, payload.clone());
            let told = page.hear("error");
            assert!(told["error"].is_string() && told["detail"].is_string(), "{event} {payload}: {told}");
        }
        page.emit("authenticate", json!({"token": user_token(user)}));
        page.hear("authenticated");
        page.emit("authenticate", json!({"token": user_token(user + 100)}));
        assert_eq!(page.hear("error")["error"], "Invalid token");
        page.disconnect();
    }
}

#[test]
fn marks_are_made_in_their_order_by_either_name() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    for (user, library) in (2..).zip(Library::RAW) {
        let page = open(&clients, library, NOTIFY, user);
        let sent: Vec<_> = (0..12)
            .map(|number| backend.send(&json!({"user_id": user, "type": "t", "title": format!("{number}")})))
            .collect();
        page.hear_many("notification", sent.len());
        // What is called by its UUID is looked up first, and must not be overtaken by what is called by its number.
        let called = |number: usize| sent[number][["uuid", "id"][number % 2]].clone();
        for number in 0..sent.len() {
            page.emit("mark_read", json!({"notification_id": called(number)}));
        }
        let answers = page.hear_many("read_confirmation", sent.len());
        let answered: Vec<_> = answers.iter().map(|one| one["notification_id"].clone()).collect();
        assert_eq!(answered, (0..sent.len()).map(called).collect::<Vec<_>>(), "{library:?}");
        // Of two marks of one, the later one holds: what was read is not merely delivered.
        let last = backend.send(&json!({"user_id": user, "type": "t", "title": "both"}));
        page.hear("notification");
        page.emit("mark_read", json!({"notification_id": last["uuid"]}));
        page.emit("ack", json!({"message_id": last["id"]}));
        page.hear("read_confirmation");
        let person = Rest::user(&server, user);
        assert_eq!(
            person.get(&format!("/api/v1/notifications/{}", last["id"])).expect(200)["status"],
            "read"
        );
        page.disconnect();
    }
}

#[test]
fn what_is_sent_is_confirmed_by_the_pong() {
    // No heartbeat is due while this lasts.
    let server = Server::with(&[("websocket.confirm_ms", "100")]);
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    for (user, library) in (2..).zip(Library::RAW) {
        let page = open(&clients, library, CAMPUS, user);
        let person = Rest::user(&server, user);
        for number in 0..3 {
            let sent = backend.send(&json!({"user_id": user, "type": "t", "title": format!("{number}")}));
            page.hear("t");
            let one = format!("/api/v1/notifications/{}", sent["id"]);
            eventually("it is confirmed", || {
                (person.get(&one).expect(200)["status"] == "delivered").then_some(())
            });
        }
        page.disconnect();
        let again = open(&clients, library, CAMPUS, user);
        backend.send(&json!({"user_id": user, "type": "t", "title": "new"}));
        assert_eq!(again.hear("t")["title"], "new", "what was confirmed does not come again");
    }
}

#[test]
fn an_ack_confirms_at_once() {
    let server = Server::with(&[("websocket.confirm_ms", "60000")]);
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let page = open(&clients, Library::Ws, NOTIFY, 2);
    let sent = backend.send(&json!({"user_id": 2, "type": "t", "title": "x"}));
    page.emit("ack", json!({"message_id": page.hear("notification")["id"]}));
    let one = format!("/api/v1/notifications/{}", sent["id"]);
    eventually("it is confirmed", || {
        (Rest::user(&server, 2).get(&one).expect(200)["status"] == "delivered").then_some(())
    });
}

#[test]
fn hearts_beat_where_pages_expect_it() {
    let server = Server::with(&[("websocket.heartbeat_ms", "500"), ("websocket.silence_ms", "5000")]);
    let clients = Clients::of(&server);
    for (user, library) in (2..).zip(Library::RAW) {
        let pages = [NOTIFY, CAMPUS].map(|door| open(&clients, library, door, user));
        for _ in 0..14 {
            assert!(pages[0].hear("heartbeat")["timestamp"].is_string());
        }
        // Its client answers pings by itself: that is a word.
        assert_eq!(pages[1].changes("disconnected"), 0);
        assert!(pages[1].heard_of_all().is_empty(), "its page shows every message as a notification");
    }
}

#[test]
fn whoever_shows_no_good_token_is_told_and_closed() {
    let expired = sign(&json!({"sub": "2", "exp": in_seconds(-100)}));
    for (library, door) in Library::RAW.into_iter().zip([NOTIFY, CAMPUS]) {
        let server = Server::start();
        let clients = Clients::of(&server);
        for query in [String::new(), "?token=nonsense".to_owned(), format!("?token={expired}")] {
            let stranger = clients.raw(library, &format!("{door}{query}"));
            stranger.next_change("connected");
            let told = stranger.next_change("disconnected");
            assert_eq!(told["code"], 1008, "{query}: {told}");
            assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("token")), "{told}");
        }
    }
}

#[test]
fn a_token_may_come_as_a_header() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let kind = crate::support::Kind { library: Library::Ws, route: crate::support::Route::WebSocket };
    let options = json!({"path": NOTIFY, "headers": {"Authorization": format!("Bearer {}", user_token(2))}});
    let page = clients.open_with(kind, &[], options);
    page.next_change("connected");
    page.emit("ping", json!({}));
    page.hear("pong");
}

#[test]
fn a_token_ends_on_a_live_socket_unless_it_is_renewed() {
    let server = Server::with(&[("auth.jwt_leeway_seconds", "0")]);
    let clients = Clients::of(&server);
    let token = || sign(&json!({"sub": "2", "exp": in_seconds(8)}));
    let pages = [
        clients.raw(Library::Ws, &path(NOTIFY, &token())),
        clients.raw(Library::Ws, &path(NOTIFY, &token())),
    ];
    pages.iter().for_each(|page| drop(page.next_change("connected")));
    pages[1].emit("authenticate", json!({"token": user_token(2)}));
    pages[1].hear("authenticated");
    assert_eq!(closed(&pages[0]), 1008);
    pages[1].emit("ping", json!({}));
    pages[1].hear("pong");
}

#[test]
fn a_tenant_may_be_required() {
    let server = Server::with(&[("websocket.require_tenant", "true")]);
    let clients = Clients::of(&server);
    assert_eq!(closed(&clients.raw(Library::Ws, &path(NOTIFY, &user_token(2)))), 4001);
    let of_acme = sign(&json!({"sub": "2", "tenant_id": "acme", "exp": in_seconds(600)}));
    let page = clients.raw(Library::Ws, &path(NOTIFY, &of_acme));
    page.next_change("connected");
    page.emit("ping", json!({}));
    page.hear("pong");
}

#[test]
fn a_person_has_so_many_and_no_more() {
    let server = Server::with(&[("limits.sockets_per_user", "2")]);
    let clients = Clients::of(&server);
    // Whoever is answered has been let in; whoever has not is told so, and answered nothing.
    let come = || {
        let page = open(&clients, Library::Ws, NOTIFY, 2);
        page.emit("ping", json!({}));
        eventually("it is let in or not", || {
            let is_in = !page.heard("pong").is_empty();
            (is_in || page.changes("disconnected") > 0).then_some(is_in)
        })
        .then_some(page)
    };
    let mut held = vec![come().expect("the first"), come().expect("the second")];
    for _ in 0..3 {
        assert_eq!(closed(&open(&clients, Library::Ws, CAMPUS, 2)), 1013);
        held.pop().expect("one of them").disconnect();
        held.push(eventually("there is room again", come));
        assert!(come().is_none(), "and no more than that");
    }
    assert!(held.iter().all(|page| page.changes("disconnected") == 0), "those who are in stay");
}

#[test]
fn who_comes_again_and_again_with_a_bad_token_is_turned_away_at_the_door() {
    let server = Server::with(&[("server.trusted_proxies", "127.0.0.1")]);
    let clients = Clients::of(&server);
    let kind = crate::support::Kind { library: Library::Ws, route: crate::support::Route::WebSocket };
    let from = |address: &str, path: &str| {
        clients.open_with(kind, &[], json!({"path": path, "headers": {"X-Forwarded-For": address}}))
    };
    let bad = path(NOTIFY, &sign(&json!({"sub": "2", "exp": in_seconds(-100)})));
    for _ in 0..5 {
        assert_eq!(closed(&from("198.51.100.7", &bad)), 1008);
    }
    let refused = from("198.51.100.7", &bad).next_change("connect_error");
    assert_eq!(refused["status"], 429);
    assert!(refused["headers"]["retry-after"].is_string());
    // A good token is good from there, and others are not concerned.
    from("198.51.100.7", &path(NOTIFY, &user_token(2))).next_change("connected");
    assert_eq!(closed(&from("198.51.100.8", &bad)), 1008);
}

#[test]
fn a_stop_sends_everybody_back() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let pages = Library::RAW.map(|library| open(&clients, library, NOTIFY, 2));
    server.stop();
    assert!(pages.iter().all(|page| closed(page) == 1001));
}

#[test]
fn they_are_counted() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let pages = [open(&clients, Library::Ws, NOTIFY, 2), open(&clients, Library::Ws, CAMPUS, 2)];
    clients.feed(3);
    for path in ["/ws/status", "/health"] {
        let told = server.get(path).json();
        assert_eq!(
            (&told["total_connections"], &told["active_users"]),
            (&json!(3), &json!(2)),
            "{path}: {told}"
        );
        assert!(told["average_duration_seconds"].is_u64(), "{path}: {told}");
    }
    pages.iter().for_each(Socket::disconnect);
    eventually("they have left", || {
        (server.get("/ws/status").json()["total_connections"] == 1).then_some(())
    });
}

#[test]
fn without_a_websocket_there_is_advice() {
    let server = Server::start();
    for door in [NOTIFY, CAMPUS] {
        let answer = server.get(door);
        assert_eq!(answer.status, 426);
        assert!(answer.json()["message"].as_str().is_some_and(|advice| advice.contains("WebSocket")));
    }
}
