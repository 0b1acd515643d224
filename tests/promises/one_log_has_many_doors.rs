//! One inbox behind every door: whoever stops on one protocol goes on with another, by the same ids, without a gap and in
//! order, even while new ones come.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Events, Library, Rest, Server, Socket, in_seconds, note, sign, user_token,
};

fn raw(clients: &Clients, library: Library, user: u64, more: &str) -> Socket {
    clients.raw(library, &format!("/ws/notify?token={}{more}", user_token(user)))
}

/// Sends three, and tells their numbers.
fn three(backend: &Rest) -> Vec<String> {
    (0..3).map(|number| backend.send(&note(2, &format!("{number}")))["id"].to_string()).collect()
}

#[test]
fn who_stops_on_one_goes_on_with_another() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));

    let feed = clients.feed(2);
    let sent = three(&backend);
    let heard = feed.hear_many("notification", 3);
    assert_eq!(heard.iter().map(|one| one["number"].to_string()).collect::<Vec<_>>(), sent);
    feed.disconnect();

    // By its number, then by its second name.
    for (library, name) in Library::RAW.into_iter().zip(["replay_id", "id"]) {
        let last = match name {
            "replay_id" => heard[2]["number"].to_string(),
            _ => heard[2]["id"].as_str().expect("a name").to_owned(),
        };
        let sent = three(&backend);
        let page = raw(&clients, library, 2, &format!("&replay_from={last}"));
        let missed = page.hear_many("notification", sent.len());
        let first = missed.iter().map(|one| one["replay_id"].as_str().expect("a number").to_owned());
        assert_eq!(first.take(3).collect::<Vec<_>>()[..], three_after(&server, &heard[2]["number"])[..]);
        page.disconnect();
    }

    let all = numbers(&server);
    let last = &all[all.len() - 4];
    let sent = three(&backend);
    let mut events = Events::open(&server, &user_token(2), last);
    let told: Vec<_> = (0..6).map(|_| events.next().0).collect();
    assert_eq!(told, numbers(&server)[all.len() - 3..]);
    let live = backend.send(&note(2, "live"));
    let (id, data) = events.next();
    assert_eq!((id, &data["id"], &data["title"]), (live["id"].to_string(), &live["uuid"], &json!("live")));
    drop(events);

    let after = three(&backend);
    let feed = clients.feed(2);
    let asked = json!({"since": live["uuid"]});
    assert_eq!(feed.call("requestMissedNotifications", asked)["count"], 3);
    let heard: Vec<_> = feed.heard("notification").iter().map(|one| one["number"].to_string()).collect();
    assert!(heard.ends_with(&after), "{heard:?} {after:?} {sent:?}");
}

#[test]
fn a_stream_shows_its_own_persons_only() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let theirs = backend.send(&note(2, "theirs"));
    let number = theirs["id"].to_string();
    // Another person, whatever they say they had; and a namesake of another tenant.
    let mut all: Vec<Events> = ["", "0", &number, theirs["uuid"].as_str().expect("a name")]
        .into_iter()
        .map(|last| Events::open(&server, &user_token(3), last))
        .collect();
    backend.send(&note(2, "theirs, too"));
    backend.send(&note(3, "the other's"));
    for events in &mut all {
        let mut next = events.next();
        while next.1["type"] == "replay_truncated" {
            next = events.next();
        }
        assert_eq!(next.1["title"], "the other's");
    }
    let elsewhere = sign(&json!({"sub": "2", "tenant_id": "elsewhere", "exp": in_seconds(600)}));
    let mut namesake = Events::open(&server, &elsewhere, "0");
    Rest::by(&server, &elsewhere).send(&json!({"type": "note", "title": "their own"}));
    assert_eq!(namesake.next().1["title"], "their own");
}

/// Everything in the inbox, oldest first, as a client of the REST API reads it.
fn numbers(server: &Server) -> Vec<String> {
    let person = Rest::user(server, 2);
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = person.get(&format!("/api/v1/notifications?limit=100{cursor}")).expect(200);
        let these = page["notifications"].as_array().expect("a list");
        all.extend(these.iter().map(|one| one["id"].to_string()));
        if page["has_more"] == false {
            all.reverse();
            return all;
        }
        cursor = format!("&cursor={}", all.last().expect("one"));
    }
}

fn three_after(server: &Server, number: &Value) -> Vec<String> {
    let (all, number) = (numbers(server), number.to_string());
    let place = all.iter().position(|one| *one == number).expect("it is there");
    all[place + 1..place + 4].to_vec()
}

#[test]
fn what_is_not_known_is_told_before_what_is_left() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let sent = three(&backend);
    for unknown in ["999999", "123e4567-e89b-12d3-a456-426614174000", "what"] {
        let page = raw(&clients, Library::Ws, 2, &format!("&replay_from={unknown}"));
        assert_eq!(page.hear("replay_truncated")["replay_from"], unknown);
        let left: Vec<_> =
            page.hear_many("notification", 3).iter().map(|one| one["replay_id"].clone()).collect();
        assert_eq!(left, sent.iter().map(|id| json!(id)).collect::<Vec<_>>());
        assert!(page.place_of("replay_truncated") < page.place_of("notification"));
        page.disconnect();
    }
    // A number of somebody else's is a place in the sequence.
    let others = backend.send(&note(3, "another's"))["id"].to_string();
    let next = backend.send(&note(2, "next"));
    let page = raw(&clients, Library::Ws, 2, &format!("&replay_id={others}"));
    assert_eq!(page.hear("notification")["id"], next["uuid"]);
    assert!(page.heard("replay_truncated").is_empty());
}

/// What is stored before anybody comes, and how many come, one after another, while more is sent.
const STORED: usize = 600;
const COMERS: usize = 6;

/// Whoever comes while notifications flow hears all of them, each once, in the order of the inbox.
fn meets(sender: &Server, door: &Server) {
    let (clients, backend) = (Clients::of(door), Rest::backend(sender));
    for number in 0..STORED {
        backend.send(&note(2, &format!("{number}")));
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|all| {
        let flow = all.spawn(|| {
            let backend = Rest::backend(sender);
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                backend.send(&note(2, "live"));
                sent += 1;
            }
            sent
        });
        let comers: Vec<_> =
            (0..COMERS).map(|number| raw(&clients, Library::RAW[number % 2], 2, "&replay_from=0")).collect();
        for comer in &comers {
            comer.hear_many("notification", STORED + 5);
        }
        is_over.store(true, Ordering::Relaxed);
        let many = STORED + flow.join().expect("the flow");
        let expected = numbers(door);
        assert_eq!(expected.len(), many);
        for comer in &comers {
            comer.hear_many("notification", many - STORED - 5);
            let heard: Vec<_> = comer
                .heard("notification")
                .iter()
                .map(|one| one["replay_id"].as_str().expect("a number").to_owned())
                .collect();
            assert_eq!(heard, expected);
        }
    });
}

#[test]
fn replay_and_live_meet_without_a_gap() {
    let server = Server::start();
    meets(&server, &server);
}

#[test]
fn they_meet_on_another_node_too() {
    let Some(cluster) = Cluster::start(2) else { return };
    meets(cluster.node(0), cluster.node(1));
}
