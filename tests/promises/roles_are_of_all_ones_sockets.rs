//! What is for a role reaches whoever has it by one of their sockets, whatever the tokens of the others say; who is away has
//! the roles they left with.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Rest, Server, Socket, in_seconds, sign};

/// A feed socket of user 3 with these roles.
fn socket(clients: &Clients, roles: &[&str]) -> Socket {
    clients.feed_by(Kind::WEBSOCKET, &sign(&json!({"sub": "3", "roles": roles, "exp": in_seconds(3_600)})))
}

/// How many people have this role, when so many sockets are connected.
#[track_caller]
fn reached(server: &Server, sockets: u64, role: &str) -> Value {
    server.wait_for_stat("facilitator_sessions", sockets);
    let admin = Rest::claiming(server, json!({"sub": "9", "role": "admin"}));
    let message = json!({"title": format!("for {role}"), "role_filter": role});
    admin.post("/api/v1/notifications/broadcast", &message).expect(200)["total_users"].clone()
}

#[test]
fn one_socket_is_enough() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let teacher = socket(&clients, &["teacher", "staff"]);
    assert_eq!(reached(&server, 1, "teacher"), 1);
    // The booking page's own token knows of no roles.
    let page = clients.facilitator(3);
    assert_eq!(reached(&server, 2, "teacher"), 1);
    let parent = socket(&clients, &["parent", "staff", "staff"]);
    assert_eq!(reached(&server, 3, "teacher"), 1);
    assert_eq!(reached(&server, 3, "parent"), 1);
    assert_eq!(teacher.hear_many("notification", 4)[3]["title"], "for parent");
    assert_eq!(page.hear_many("notification", 3).len(), 3);
    // It goes with the last socket that has it, but the last of all takes none away.
    teacher.disconnect();
    assert_eq!(reached(&server, 2, "teacher"), 0);
    assert_eq!(reached(&server, 2, "staff"), 1);
    page.disconnect();
    parent.disconnect();
    assert_eq!(reached(&server, 0, "parent"), 1);
    assert_eq!(reached(&server, 0, "teacher"), 0);
    // Whoever comes back has what they come with.
    let page = clients.facilitator(3);
    assert_eq!(reached(&server, 1, "parent"), 0);
    page.disconnect();
    assert_eq!(reached(&server, 0, "parent"), 0);
}

#[test]
fn sockets_that_come_at_once_are_all_heeded() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for round in 0..6 {
        let names: Vec<String> = (0..4).map(|number| format!("role-{round}-{number}")).collect();
        let sockets: Vec<_> = names.iter().map(|name| socket(&clients, &[name])).collect();
        for name in &names {
            assert_eq!(reached(&server, 4, name), 1, "{name}");
        }
        drop(sockets.iter().map(Socket::disconnect).collect::<Vec<_>>());
        server.wait_for_stat("facilitator_sessions", 0);
    }
}

#[test]
fn a_newer_token_changes_its_own_socket_only() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let (one, _other) = (socket(&clients, &["teacher"]), socket(&clients, &["parent"]));
    assert_eq!(reached(&server, 2, "teacher"), 1);
    let newer = sign(&json!({"sub": "3", "roles": ["head"], "exp": in_seconds(3_600)}));
    assert_eq!(one.call("authenticate", json!({"token": newer}))["status"], "authenticated");
    assert_eq!(reached(&server, 2, "teacher"), 0);
    assert_eq!((reached(&server, 2, "head"), reached(&server, 2, "parent")), (json!(1), json!(1)));
}

#[test]
fn they_outlive_a_crash() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let teacher = socket(&clients, &["teacher"]);
    assert_eq!(reached(&server, 1, "teacher"), 1);
    server.kill();
    drop((teacher, clients));
    server.restart();
    assert_eq!(reached(&server, 0, "teacher"), 1);
}

#[test]
fn who_has_been_welcomed_is_among_those_of_their_role() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    for number in 0..10 {
        let role = format!("role {number}");
        let token = sign(&json!({"sub": format!("u{number}"), "roles": [role], "exp": in_seconds(600)}));
        let page = clients.feed_by(Kind::WEBSOCKET, &token);
        backend.send(&json!({"role": role, "type": "t", "title": "to the role"}));
        assert_eq!(page.hear("notification")["title"], "to the role");
        let next = sign(&json!({"sub": format!("u{number}"), "roles": ["other"], "exp": in_seconds(600)}));
        page.call("authenticate", json!({"token": next}));
        backend.send(&json!({"role": "other", "type": "t", "title": "to the other role"}));
        assert_eq!(page.hear("notification")["title"], "to the other role");
        page.disconnect();
    }
}
