//! Asked to stop, the server finishes what it has begun, exits with success within ten seconds, and its clients
//! come back to the next one by themselves.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Clients, Kind, PendingList, Server, Socket, backend_hello, booking, eventually};

/// What the server promises, and a little for a busy machine.
const TIME_TO_STOP: Duration = Duration::from_secs(20);

/// Every booking that was stored was answered, every answered one is stored, and an SQLite
/// database is one file, which is all there is to copy.
#[test]
fn everything_answered_is_there_after_a_stop_under_load() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let backends = [Kind::WEBSOCKET, Kind::POLLING].map(|kind| clients.backend_by(kind));
    let load = |backend: usize| json!({"booking": booking(0, 2 + backend as u64), "first": 1, "count": 99_999, "acks": true, "window": 64});
    let bursts = [backends[0].burst(load(0)), backends[1].burst(load(1))];
    bursts.iter().for_each(|burst| burst.wait_for_answers(100));

    let start = Instant::now();
    let status = server.stop();
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < TIME_TO_STOP, "it took {:?}", start.elapsed());
    let receipts = bursts.map(|burst| burst.wait());
    if server.is_on_sqlite() {
        server.keep_only_the_database();
    }
    server.restart();

    let heard = page.heard("new_booking_notification");
    let mut arrived: BTreeSet<u64> = heard.iter().filter_map(|n| n["booking_id"].as_u64()).collect();
    arrived.extend(PendingList(page.hear("pending_notifications")).booking_ids());
    let stored = PendingList(clients.facilitator(3).hear("pending_notifications")).booking_ids();
    let doors = ["by WebSocket", "by polling"].into_iter();
    for ((kept, receipts), door) in
        [arrived, stored.into_iter().collect()].into_iter().zip(&receipts).zip(doors)
    {
        let answered = ids(receipts);
        let lost: Vec<_> = answered.difference(&kept).collect();
        assert!(lost.is_empty(), "answered {door} and lost: {lost:?}");
        let unanswered: Vec<_> = kept.difference(&answered).collect();
        assert!(unanswered.is_empty(), "{} stored, and {unanswered:?} never answered {door}", kept.len());
    }
}

fn ids(answers: &[Value]) -> BTreeSet<u64> {
    let id = |answer: &Value| answer["booking_id"].as_u64().filter(|_| answer["notification_id"].is_u64());
    answers.iter().filter_map(id).collect()
}

#[test]
fn every_client_comes_back_by_itself() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let pages: Vec<Socket> =
        (1..).zip(Kind::all()).map(|(id, kind)| clients.facilitator_by(kind, id)).collect();
    let backend = clients.open_with(Kind::PYTHON, &[backend_hello()], json!({}));
    backend.hear("backend_auth_success");

    assert!(server.stop().success());
    for page in &pages {
        page.next_change("disconnected"); // told at once, not found out by a missing heartbeat
    }
    server.restart();
    backend.hear("backend_auth_success");
    for (id, page) in (1..).zip(&pages) {
        page.hear("facilitator_auth_success");
        backend.call("booking_notification", booking(1, id));
        page.hear("new_booking_notification");
    }
    assert_eq!(server.stats()["online_facilitators"], pages.len());
}

#[test]
fn readiness_fails_first_while_everybody_is_still_served() {
    let mut server =
        Server::with(&[("server.shutdown_delay_ms", "8000"), ("server.shutdown_timeout_ms", "16000")]);
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let backend = clients.backend();
    assert_eq!(server.get("/health/ready").status, 200);
    server.signal(Signal::SIGTERM);
    eventually("readiness fails", || (server.get("/health/ready").status == 503).then_some(()));
    assert_eq!(server.get("/health/live").status, 200);
    backend.call("booking_notification", booking(1, 2));
    page.hear("new_booking_notification");
    assert!(server.wait_for_exit().success());
}

#[test]
fn newcomers_are_turned_away() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let _page = clients.facilitator(2);
    let address = server.address;
    server.signal(Signal::SIGTERM);
    let turned_away = || std::net::TcpStream::connect(address).is_err();
    eventually("newcomers are turned away", || turned_away().then_some(()));
    assert!(server.wait_for_exit().success());
}

#[test]
fn an_idle_server_stops_at_once_on_either_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start();
        let start = Instant::now();
        server.signal(signal);
        assert!(server.wait_for_exit().success(), "{signal}");
        assert!(start.elapsed() < TIME_TO_STOP);
    }
}

/// SIGHUP asks for a look at the certificate: where there is none, nothing happens.
#[test]
fn a_hangup_ends_nothing() {
    let mut server = Server::start();
    server.signal(Signal::SIGHUP);
    server.wait_for_line("it is told", |line| line.contains("SIGHUP"));
    assert_eq!(server.get("/health/ready").status, 200);
    assert!(server.stop().success());
}
