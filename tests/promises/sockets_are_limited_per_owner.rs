//! One address and one person may hold so many sockets and no more; where a request comes from is believed only
//! from a trusted proxy.

use crate::support::{Clients, Raw, Server, booking, eventually, facilitator_hello, get_with};

fn from(server: &Server, forwarded_for: &str) -> Result<Raw, u16> {
    Raw::dial_with(server.address, &[("X-Forwarded-For", forwarded_for)])
}

#[test]
fn one_person_has_so_many_sockets() {
    let server = Server::with(&[("limits.sockets_per_user", "3")]);
    let clients = Clients::of(&server);
    let tabs: Vec<_> = (0..3).map(|_| clients.facilitator(2)).collect();
    let fourth = clients.stranger();
    fourth.emit("facilitator_connect", facilitator_hello(2)[1].clone());
    assert!(fourth.hear("auth_error")["error"].is_string());
    clients.backend().call("booking_notification", booking(1, 2));
    tabs.iter().for_each(|tab| drop(tab.hear("new_booking_notification")));
    assert!(fourth.heard("new_booking_notification").is_empty());
    clients.facilitator(3); // somebody else is not concerned
    tabs[0].disconnect();
    server.wait_for_stat("facilitator_sessions", 3);
    clients.facilitator(2);
}

#[test]
fn one_server_has_so_many_sockets() {
    let server = Server::with(&[("limits.sockets", "3")]);
    let mut held: Vec<Raw> = (0..3).map(|_| Raw::dial(server.address)).collect();
    assert_eq!(Raw::dial_with(server.address, &[]).err(), Some(503));
    assert_eq!(server.get("/socket.io/?EIO=4&transport=polling").status, 503);
    assert_eq!(server.get("/health").status, 200, "who asks how it is has a place");
    held.pop();
    eventually("a place is free again", || Raw::dial_with(server.address, &[]).ok());
}

#[test]
fn one_address_has_so_many_sockets() {
    let server =
        Server::with(&[("limits.sockets_per_address", "3"), ("server.trusted_proxies", "127.0.0.1")]);
    let mut held: Vec<Raw> = (0..3).map(|_| from(&server, "203.0.113.9").expect("a socket")).collect();
    assert_eq!(from(&server, "203.0.113.9").err(), Some(429));
    // What the client itself wrote before the proxy does not make it another address.
    for spoofed in
        ["198.51.100.1, 203.0.113.9", "203.0.113.9, 127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9:4711"]
    {
        assert_eq!(from(&server, spoofed).err(), Some(429), "{spoofed}");
    }
    let polling = "/socket.io/?EIO=4&transport=polling";
    assert_eq!(get_with(server.address, polling, &[("X-Forwarded-For", "203.0.113.9")]).status, 429);
    from(&server, "203.0.113.10").expect("another address is not concerned");
    Raw::dial(server.address); // nor is the proxy itself

    held.pop();
    eventually("a place is free again", || from(&server, "203.0.113.9").ok());
}

#[test]
fn one_ipv6_network_counts_as_one_address() {
    let server =
        Server::with(&[("limits.sockets_per_address", "2"), ("server.trusted_proxies", "127.0.0.1")]);
    let _held = [
        from(&server, "2001:db8:1:2::1").expect("a socket"),
        from(&server, "2001:db8:1:2:ffff::7").expect("a socket"),
    ];
    assert_eq!(from(&server, "2001:db8:1:2:3:4:5:6").err(), Some(429));
    from(&server, "2001:db8:1:3::1").expect("another network is not concerned");
}

#[test]
fn nobody_is_believed_without_a_trusted_proxy() {
    // Loopback is not counted; were the header believed, the second of these would be refused.
    let server = Server::with(&[("limits.sockets_per_address", "1")]);
    let held: Vec<_> = (0..5).map(|_| from(&server, "203.0.113.9")).collect();
    assert!(held.iter().all(Result::is_ok));
}
