//! Pages of other origins, older protocols and unknown namespaces are turned away at once, and clearly.

use serde_json::json;

use crate::support::{Clients, Connect, Kind, Library, Raw, Route, Server, Socket, get_with};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const OURS: &str = "https://app.example.com";

#[test]
fn only_listed_origins_connect() {
    let server = Server::with(&[("server.allowed_origins", OURS)]);
    let foreign = [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:444",
        "https://sub.app.example.com",
        "null",
    ];
    for origin in foreign {
        let header = [("Origin", origin)];
        assert_eq!(Raw::dial_with(server.address, &header).err(), Some(403), "{origin}");
        let reply = get_with(server.address, POLLING, &header);
        assert_eq!(reply.status, 403, "{origin}");
        assert!(
            !reply.headers.to_ascii_lowercase().contains("access-control-allow-origin"),
            "{}",
            reply.headers
        );
    }
    let header = [("Origin", OURS)];
    assert!(Raw::dial_with(server.address, &header).is_ok());
    let reply = get_with(server.address, POLLING, &header);
    assert_eq!(reply.status, 200);
    let allowed = format!("access-control-allow-origin: {OURS}");
    assert!(reply.headers.to_ascii_lowercase().contains(&allowed), "{}", reply.headers);
    // Back ends are no browsers: they send no origin.
    Raw::dial(server.address);
    assert_eq!(server.get(POLLING).status, 200);
}

/// python-socketio opens its WebSockets with the server's own address as origin; refused, it would stay on polling
/// without a word.
#[test]
fn python_back_ends_are_no_foreign_pages() {
    let server = Server::with(&[("server.allowed_origins", OURS)]);
    let clients = Clients::of(&server);
    for route in [Route::WebSocket, Route::Upgrade] {
        let kind = Kind { library: Library::Python, route };
        let socket = clients.open_with(kind, &[], json!({}));
        assert_eq!(socket.next_change("connected")["transport"], "websocket", "{route:?}");
    }
    let own = format!("http://{}", server.address);
    let evil = format!("http://{}.evil.example", server.address);
    assert!(Raw::dial_with(server.address, &[("Origin", &own)]).is_ok());
    assert_eq!(get_with(server.address, POLLING, &[("Origin", &own)]).status, 200);
    assert_eq!(Raw::dial_with(server.address, &[("Origin", &evil)]).err(), Some(403));
}

#[test]
fn any_origin_is_welcome_by_default_but_never_with_credentials() {
    let server = Server::start();
    let header = [("Origin", "https://anywhere.example")];
    assert!(Raw::dial_with(server.address, &header).is_ok());
    let reply = get_with(server.address, POLLING, &header);
    assert_eq!(reply.status, 200);
    let headers = reply.headers.to_ascii_lowercase();
    assert!(headers.contains("access-control-allow-origin: *"), "{headers}");
    assert!(!headers.contains("access-control-allow-credentials"), "{headers}");
}

#[test]
fn an_older_protocol_is_told_so_at_once() {
    let server = Server::start();
    for path in [
        "/socket.io/?EIO=3&transport=polling",
        "/socket.io/?EIO=3&transport=websocket",
        "/socket.io/?transport=polling",
    ] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    for path in ["/socket.io/?EIO=4&transport=flash", "/socket.io/?EIO=4&transport=polling&sid=nobody"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
}

#[test]
fn an_unknown_namespace_is_refused() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let connect = Connect {
        name: "elsewhere".into(),
        url: format!("{}/elsewhere", server.url()),
        kind: Kind::USUAL,
        hello: vec![],
        options: json!({}),
    };
    let socket = Socket::open(clients.node(), &connect);
    assert_eq!(socket.next_change("connect_error")["message"], "Invalid namespace");

    let mut raw = Raw::join(server.address);
    for number in 0..200 {
        raw.try_to_say(&format!("40/n{number},"));
    }
    assert!(raw.wait_for("44/n0,").contains("Invalid namespace"));
    clients.backend();
}
