//! What was sent into a dead socket was not delivered: it comes again when its facilitator returns.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{
    Agent, Clients, Connect, Kind, PendingList, Server, Socket, booking, facilitator_hello,
};

/// A heartbeat round of a few seconds.
const SHORT: [(&str, &str); 4] = [
    ("realtime.ping_interval_ms", "500"),
    ("realtime.ping_timeout_ms", "4000"),
    ("realtime.tcp_user_timeout_ms", "2000"),
    ("realtime.confirm_margin_ms", "300"),
];

const ROUTES: [Kind; 3] = [Kind::WEBSOCKET, Kind::POLLING, Kind::USUAL];

/// A page in a process of its own, which can be frozen or killed.
fn page_of(agent: &std::sync::Arc<Agent>, server: &Server, kind: Kind, id: u64) -> Socket {
    let hello = vec![facilitator_hello(id)];
    let page = Socket::open(
        agent,
        &Connect { name: format!("{kind:?}"), url: server.url(), kind, hello, options: json!({}) },
    );
    page.hear("facilitator_auth_success");
    page
}

#[test]
fn a_killed_page_hears_it_again() {
    let server = Server::with(&SHORT);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, kind) in (1..).zip(ROUTES) {
        let agent = Agent::node();
        let page = page_of(&agent, &server, kind, id);
        let receipt = backend.call("booking_notification", booking(1, id));
        assert!(receipt["delivered_at"].is_string(), "{receipt}");
        page.hear("new_booking_notification");
        agent.signal(Signal::SIGKILL);
        let list = PendingList(clients.facilitator(id).hear("pending_notifications"));
        assert_eq!(list.booking_ids(), [1], "{kind:?}");
        assert_eq!(list.notifications()[0]["notification_id"], receipt["notification_id"], "the same one");
    }
}

/// A server that stood still for a whole round has seen no heartbeat in it.
#[test]
fn a_server_that_stood_still_confirms_nothing() {
    for kind in [Kind::WEBSOCKET, Kind::POLLING] {
        let server = Server::with(&SHORT);
        let clients = Clients::of(&server);
        let agent = Agent::node();
        // Before the page freezes: to start a process takes longer than its heartbeat on a busy machine.
        let backend = clients.backend();
        page_of(&agent, &server, kind, 2);
        agent.signal(Signal::SIGSTOP);
        let receipt = backend.call("booking_notification", booking(1, 2));
        assert!(receipt["delivered_at"].is_string(), "{receipt}");
        server.signal(Signal::SIGSTOP);
        std::thread::sleep(std::time::Duration::from_secs(8));
        server.signal(Signal::SIGCONT);
        server.wait_for_stat("online_facilitators", 0);
        let list = PendingList(clients.facilitator(2).hear("pending_notifications"));
        assert_eq!(list.booking_ids(), [1], "{kind:?}");
    }
}

#[test]
fn a_frozen_page_is_noticed_and_hears_it_again() {
    let server = Server::with(&SHORT);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let agent = Agent::node();
    let pages: Vec<_> =
        (1..).zip(ROUTES).map(|(id, kind)| (id, page_of(&agent, &server, kind, id))).collect();
    agent.signal(Signal::SIGSTOP);
    for (id, _) in &pages {
        for number in [1, 2, 3] {
            backend.call("booking_notification", booking(number, *id));
        }
    }
    server.wait_for_stat("online_facilitators", 0); // found dead by the heartbeat
    server.wait_for_stat("pending_notifications", 9);
    for (id, page) in &pages {
        let returned = clients.facilitator(*id);
        let list = PendingList(returned.hear("pending_notifications"));
        assert_eq!(list.booking_ids(), [3, 2, 1], "{}", page.name);
        returned.disconnect();
    }
    // The frozen ones wake up, come back by themselves, and hear them too.
    agent.signal(Signal::SIGCONT);
    for (_, page) in &pages {
        assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [3, 2, 1], "{}", page.name);
    }
}

#[test]
fn one_living_tab_is_enough() {
    let server = Server::with(&SHORT);
    let clients = Clients::of(&server);
    let agent = Agent::node();
    let _frozen = page_of(&agent, &server, Kind::WEBSOCKET, 2);
    agent.signal(Signal::SIGSTOP);
    let living = clients.facilitator(2);
    clients.backend().call("booking_notification", booking(1, 2));
    living.hear("new_booking_notification");
    server.wait_for_stat("pending_notifications", 0); // confirmed on one device
    server.wait_for_stat("facilitator_sessions", 1);
}
