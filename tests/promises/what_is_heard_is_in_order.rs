//! Whatever happens at the same time: what somebody hears comes in the order of their inbox. Who resumes at the last one
//! heard misses nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

use serde_json::{Value, json};

use crate::support::{Clients, Rest, Server, eventually, note, quiet_now};

const MINE: &str = "/api/v1/notifications/preferences";
const ROUNDS: usize = 12;
const SENDERS: usize = 6;

/// The numbers of the whole inbox, oldest first.
fn inbox(person: &Rest) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = person.get(&format!("/api/v1/notifications?limit=100{cursor}")).expect(200);
        all.extend(page["notifications"].as_array().expect("a list").iter().map(|one| one["id"].clone()));
        if page["has_more"] != true {
            all.reverse();
            return all;
        }
        cursor = format!("&cursor={}", page["next_cursor"]);
    }
}

#[test]
fn what_waited_for_the_end_of_quiet_hours_overtakes_nothing() {
    let server = Server::start();
    let (page, three) = (Clients::of(&server).feed(3), Rest::user(&server, 3));
    let is_over = AtomicBool::new(false);
    let heard = |title: &str| page.heard("notification").iter().any(|one| one["title"] == title);
    scope(|all| {
        for _ in 0..SENDERS {
            let (backend, is_over) = (Rest::backend(&server), &is_over);
            all.spawn(move || {
                let urgent = json!({"user_id": 3, "type": "note", "title": "urgent", "priority": "urgent"});
                while !is_over.load(Ordering::Relaxed) {
                    backend.send(&urgent);
                }
            });
        }
        let rounds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..ROUNDS {
                three.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
                let title = format!("round {round}");
                Rest::backend(&server).send(&note(3, &title));
                three.put(MINE, &json!({"quiet_hours": null})).expect(200);
                eventually("what waited is told", || heard(&title).then_some(()));
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        rounds.expect("twelve rounds");
    });
    let inbox = inbox(&three);
    eventually("all is heard", || (page.heard("notification").len() >= inbox.len()).then_some(()));
    let heard: Vec<Value> = page.heard("notification").iter().map(|one| one["number"].clone()).collect();
    let odd = heard.iter().zip(&inbox).position(|(heard, there)| heard != there);
    assert_eq!(heard.len(), inbox.len(), "each once");
    let around = |all: &[Value], at: usize| all[at.saturating_sub(3)..(at + 4).min(all.len())].to_vec();
    assert!(odd.is_none(), "{:?}", odd.map(|at| (at, around(&heard, at), around(&inbox, at))));
}
