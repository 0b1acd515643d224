//! What dead nodes leave behind is cleared away, what is for many spreads, and what recurs goes out: by each server, or by
//! `carillon worker`, if servers are told to leave it to that.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::{Clients, Cluster, Keeper, Rest, Shared, eventually, home_of, on_postgres, run_command};

/// How many rows of connections the database holds, whoever they belong to.
fn rows(url: &str) -> String {
    let counted = Command::new("psql")
        .args([url, "--no-psqlrc", "--tuples-only", "--no-align"])
        .args(["--command", "SELECT count(*) FROM connections"])
        .output()
        .expect("psql");
    assert!(counted.status.success(), "{}", String::from_utf8_lossy(&counted.stderr));
    String::from_utf8_lossy(&counted.stdout).trim().to_owned()
}

#[test]
fn a_worker_does_what_servers_leave_to_it() {
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let url = shared.database.url();
    let mut cluster = Cluster::on(&shared.into(), 2, &[("worker.enabled", "false")]);
    let _page = Clients::of(cluster.node(1)).facilitator(2);
    cluster.node(0).wait_for_stat("facilitator_sessions", 1);
    cluster.kill(1);
    // Nobody counts it any more, and nobody has cleared it away.
    cluster.node(0).wait_for_stat("facilitator_sessions", 0);
    assert_eq!(rows(&url), "1");

    let arguments = ["worker", "--set", "server.environment=production", "--database-url", &url];
    let program = Path::new(env!("CARGO_BIN_EXE_carillon"));
    let mut worker = Keeper::of(home_of(None), None, program, &arguments.map(str::to_owned), "TERM");
    worker.start();
    eventually("the dead node's connection is cleared away", || (rows(&url) == "0").then_some(()));

    // What is for everybody spreads, and who is connected to a server hears of it.
    let page = Clients::of(cluster.node(0)).facilitator(3);
    let sent = Rest::backend(cluster.node(0))
        .post("/api/v1/notifications", &json!({"type": "note", "title": "x", "everyone": true}));
    assert_eq!(page.hear("notification")["number"], sent.expect(201)["id"]);

    // So does what recurs.
    let often =
        json!({"type": "note", "title": "tick", "user_id": 3, "cron": "* * * * * *", "time_zone": "UTC"});
    Rest::backend(cluster.node(0)).post("/api/v1/recurring", &often).expect(201);
    eventually("it goes out", || (page.heard("notification").len() > 3).then_some(()));
}

#[test]
fn a_worker_for_a_file_is_refused() {
    let refused = run_command(&["worker"], &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("the server does everything itself"), "{said}");
}
