//! Whoever takes something back is told that it was done, though the line to PostgreSQL was cut between the commit and
//! its answer; and it is done once.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Proxy, Rest, Server, Shared, Upstream, in_seconds, instant, note, on_postgres};

/// How long each piece takes over the line, so that it can be cut between any two.
const DELAY: Duration = Duration::from_millis(10);
const STEP: Duration = Duration::from_millis(7);

fn log(boss: &Rest, action: &str) -> Vec<Value> {
    let page = boss.get(&format!("/api/v1/audit?limit=100&action={action}")).expect(200);
    page["entries"].as_array().expect("a list").clone()
}

#[test]
fn though_the_answer_of_the_commit_was_lost() {
    const ROUNDS: u32 = 40;
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let proxy = Proxy::to(Upstream::Unix(shared.database.socket()));
    let url = shared.database.url_at(proxy.address);
    let cut_off = Server::on(&shared.clone().reached_at(&url).into(), &[]);
    let well = Server::on(&shared.into(), &[]);
    let (backend, boss) =
        (Rest::backend(&cut_off), Rest::claiming(&well, json!({"sub": "b", "role": "admin"})));
    let mut later = note(2, "later");
    later["scheduled_at"] = json!(instant(in_seconds(3_600)));
    let mut often = note(2, "often");
    (often["cron"], often["time_zone"]) = (json!("0 9 1 1 *"), json!("UTC"));
    for round in 0..ROUNDS {
        let waiting = Rest::backend(&well).send(&later)["id"].clone();
        let recurring = Rest::backend(&well).post("/api/v1/recurring", &often).expect(201)["id"].clone();
        proxy.delay(DELAY);
        for path in
            [format!("/api/v1/notifications/{waiting}/schedule"), format!("/api/v1/recurring/{recurring}")]
        {
            thread::scope(|scope| {
                // A question before the deed may be cut, too: then nothing was done, and whoever asks again does it.
                let taking_back = scope
                    .spawn(|| (0..20).map(|_| backend.delete(&path).status).find(|status| *status != 503));
                thread::sleep(STEP * (round + 1));
                proxy.reset();
                let status = taking_back.join().expect("an answer");
                let is_done = status.is_some_and(|status| [200, 204].contains(&status));
                assert!(is_done, "cut after {:?}: {path}: {status:?}", STEP * (round + 1));
            });
        }
        proxy.heal();
    }
    assert_eq!(log(&boss, "schedule.cancel").len(), ROUNDS as usize, "each once");
    assert_eq!(log(&boss, "recurring.delete").len(), ROUNDS as usize, "each once");
}
