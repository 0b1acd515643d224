//! Guessing back-end tokens gets slower and slower, and never slows a good token from the same address: a Python
//! back end checks one second after it connected.

use serde_json::json;

use crate::support::{BACKEND_TOKEN, Clients, Kind, Raw, Server, booking};

#[test]
fn many_guesses_do_not_slow_a_good_token() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let guessers: Vec<_> = (0..10).map(|_| clients.stranger()).collect();
    for guess in 0..200 {
        guessers[guess % 10].emit("backend_connect", json!({"token": format!("guess {guess}")}));
    }
    guessers.iter().for_each(|guesser| drop(guesser.hear("auth_error")));
    // Good ones come in over every transport while most guesses still wait to be looked at.
    for kind in Kind::all() {
        clients.backend_by(kind);
    }
    let answered: usize = guessers.iter().map(|guesser| guesser.heard("auth_error").len()).sum();
    assert!(answered < 200, "two hundred guesses were answered before nine good tokens");
}

#[test]
fn a_back_ends_own_mistakes_do_not_hold_its_bookings() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for number in 0..20 {
        let odd = if number % 2 == 0 { json!("no object") } else { json!({"token": "old"}) };
        backend.emit("authenticate", odd);
    }
    let receipt = backend.call("booking_notification", booking(1, 2));
    assert!(receipt["stored_at"].is_string(), "{receipt}");
    assert_eq!(backend.hear_many("auth_error", 20).len(), 20);
}

#[test]
fn failures_count_for_an_address_whatever_socket_they_come_by() {
    let server = Server::with(&[("server.trusted_proxies", "127.0.0.1")]);
    let from = |address: &str| {
        let mut raw = Raw::dial_with(server.address, &[("X-Forwarded-For", address)]).expect("a socket");
        raw.say("40");
        raw.wait_for("40");
        raw
    };
    let guess = |raw: &mut Raw| raw.emit("backend_connect", &json!({"token": "a guess"}));
    // Each guess from a socket of its own: the last of them are told seconds later.
    let mut guessers: Vec<_> = (0..12).map(|_| from("203.0.113.9")).collect();
    guessers.iter_mut().for_each(guess);
    guessers[0].wait_for(r#"42["auth_error""#);
    let mut guesser = from("203.0.113.9");
    guess(&mut guesser);
    let mut good = from("203.0.113.9");
    good.emit("backend_connect", &json!({"token": BACKEND_TOKEN}));
    assert_eq!(good.hear_event("backend_auth_success"), json!({"status": "authenticated"}));
    let is_told = guesser.heard().iter().any(|packet| packet.contains("auth_error"));
    assert!(!is_told, "a guess by a new socket was answered as fast as a good token");
    guesser.wait_for(r#"42["auth_error""#);
}
