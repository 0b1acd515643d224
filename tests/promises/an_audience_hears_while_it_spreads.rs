//! What is for very many reaches those who are connected first, and whoever asks has it at once, though it has not come
//! to everybody yet. In the end everybody has it, once.

use serde_json::{Value, json};

use crate::support::{Clients, Cluster, Rest, Server, Socket, eventually};

/// People who never connected, and from which of them on nobody gets anything while it is stopped.
const PEOPLE: usize = 20_000;
const STOP: usize = 10_000;

/// Heartbeats come soon, so that what arrived is soon confirmed.
const SETTINGS: [(&str, &str); 2] =
    [("realtime.ping_interval_ms", "500"), ("realtime.ping_timeout_ms", "5000")];

fn seed(server: &Server) {
    server.sql(
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PEOPLE}) \
             INSERT INTO recipients (tenant, user_id) SELECT 'default', 'p' || i FROM n"
        ),
        &format!(
            "INSERT INTO recipients (tenant, user_id) SELECT 'default', 'p' || i \
             FROM generate_series(1, {PEOPLE}) AS i ORDER BY i"
        ),
    );
}

/// From now on the database takes nothing for one person in the middle, so no chunk behind them comes.
fn stop(server: &Server) {
    server.sql(
        &format!(
            "CREATE TRIGGER stop AFTER INSERT ON inbox \
             WHEN NEW.recipient_id = (SELECT id FROM recipients WHERE user_id = 'p{STOP}') \
             BEGIN INSERT INTO deployment (name) VALUES (NULL); END"
        ),
        &format!(
            "DO $$ BEGIN EXECUTE format('ALTER TABLE inbox ADD CONSTRAINT stop CHECK (recipient_id <> %s)', \
             (SELECT id FROM recipients WHERE user_id = 'p{STOP}')); END $$"
        ),
    );
}

fn go_on(server: &Server) {
    server.sql("DROP TRIGGER stop", "ALTER TABLE inbox DROP CONSTRAINT stop");
}

fn person(server: &Server, number: usize) -> Rest {
    Rest::claiming(server, json!({"sub": format!("p{number}")}))
}

fn pending(server: &Server) -> u64 {
    server.stats()["pending_notifications"].as_u64().expect("a number")
}

fn counts(person: &Rest) -> (Value, Value) {
    let page = person.get("/api/v1/notifications").expect(200);
    (page["total_count"].clone(), page["unread_count"].clone())
}

#[test]
fn who_is_connected_hears_first() {
    // Where there are several nodes, wherever they are connected.
    let cluster = Cluster::start_with(2, &SETTINGS);
    let alone = cluster.is_none().then(|| Server::with(&SETTINGS));
    let node = |number| match (&cluster, &alone) {
        (Some(cluster), _) => cluster.node(number),
        (None, alone) => alone.as_ref().expect("one server"),
    };
    seed(node(0));
    let clients = [Clients::of(node(0)), Clients::of(node(1))];
    // Their rows are the last ones.
    let sockets: Vec<Socket> = (1..=4_usize).map(|id| clients[id % 2].feed(id as u64)).collect();
    node(0).wait_for_stat("facilitator_sessions", 4);
    stop(node(0));
    Rest::backend(node(0)).send(&json!({"everyone": true, "type": "news", "title": "hear"}));
    for socket in &sockets {
        assert_eq!(socket.hear("notification")["title"], "hear");
    }
    assert!(pending(node(0)) < STOP as u64, "it has not come to everybody");
    go_on(node(0));
    eventually("everybody else has it, once", || (pending(node(0)) == PEOPLE as u64).then_some(()));
    for (socket, id) in sockets.iter().zip(1..) {
        assert_eq!(socket.heard("notification").len(), 1);
        assert_eq!(counts(&Rest::user(node(0), id)).0, 1);
    }
    for number in [1, STOP, PEOPLE] {
        assert_eq!(counts(&person(node(1), number)), (json!(1), json!(1)));
    }
}

#[test]
fn who_asks_has_it() {
    let mut server = Server::start();
    seed(&server);
    stop(&server);
    let sent = Rest::backend(&server).send(&json!({"everyone": true, "type": "news", "title": "hear"}));
    let (id, uuid) = (&sent["id"], sent["uuid"].as_str().expect("a UUID"));
    // Nobody behind the one in the middle has it: they have what they ask for all the same.
    let last = |before: usize| person(&server, PEOPLE - before);
    assert_eq!(last(0).get("/api/v1/notifications/unread-count").expect(200)["unread_count"], 1);
    assert_eq!(last(1).titles(), ["hear"]);
    assert_eq!(last(2).get(&format!("/api/v1/notifications/{id}")).expect(200)["title"], "hear");
    assert_eq!(last(3).get(&format!("/api/v1/notifications/{uuid}")).expect(200)["status"], "pending");
    let read = last(4).post(&format!("/api/v1/notifications/{id}/read"), &json!({})).expect(200);
    assert_eq!(read["status"], "read");
    last(5).delete(&format!("/api/v1/notifications/{uuid}")).expect(200);
    assert!(pending(&server) < STOP as u64, "it has not come to everybody");

    server.kill();
    server.restart();
    let last = |before: usize| person(&server, PEOPLE - before);
    assert_eq!(counts(&last(4)), (json!(1), json!(0)));
    assert_eq!(counts(&last(5)), (json!(0), json!(0)));
    go_on(&server);
    // One has read it, and one has deleted it.
    eventually("everybody else has it, once", || (pending(&server) == PEOPLE as u64 - 2).then_some(()));
    for before in 0..4 {
        assert_eq!(counts(&last(before)), (json!(1), json!(1)));
    }
    assert_eq!(counts(&last(4)), (json!(1), json!(0)));
    assert_eq!(counts(&last(5)), (json!(0), json!(0)));
}

#[test]
fn who_asks_for_what_is_others_has_nothing() {
    let server = Server::start();
    seed(&server);
    stop(&server);
    for number in [STOP, PEOPLE] {
        person(&server, number).post("/api/v1/subscriptions", &json!({"topics": ["theirs"]})).expect(200);
    }
    let sent = Rest::backend(&server).send(&json!({"topic": "theirs", "type": "news", "title": "hear"}));
    let path = format!("/api/v1/notifications/{}", sent["id"]);
    let stranger = person(&server, 5);
    stranger.get(&path).expect(404);
    stranger.post(&format!("{path}/read"), &json!({})).expect(404);
    assert_eq!(counts(&stranger), (json!(0), json!(0)));
    let elsewhere = Rest::claiming(&server, json!({"sub": format!("p{PEOPLE}"), "tenant_id": "another"}));
    elsewhere.get(&path).expect(404);
    assert_eq!(counts(&elsewhere), (json!(0), json!(0)));
    assert_eq!(person(&server, PEOPLE).get(&path).expect(200)["title"], "hear");
}
