//! `docs/openapi.json` tells the truth: whatever is sent to whatever operation is answered as it says, never by 5xx.
//! Schemathesis makes the requests: good ones, wrong ones, and chains of them.

use std::process::Command;

use serde_json::json;

use crate::support::{Rest, Server, in_seconds, instant, note, run_command, sign};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
/// Another seed makes other requests.
const SEED: &str = "CARILLON_SCHEMATHESIS_SEED";

/// A server with notifications to be found, some of them for later. `schemathesis.toml` knows their numbers.
fn stocked() -> Server {
    // Without keys there are no pushes, and that is told by 503.
    let made = run_command(&["vapid"], &[]).stdout;
    let made = String::from_utf8(made).expect("a text");
    let keys: Vec<(&str, &str)> = made.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(keys.len(), 2, "{made}");
    let server = Server::with(&keys);
    let backend = Rest::backend(&server);
    for number in 1..=9 {
        let mut notification = note(2, "hello");
        if number % 3 == 0 {
            notification["scheduled_at"] = instant(in_seconds(86_400)).into();
        }
        assert_eq!(backend.send(&notification)["id"], number);
    }
    server
}

/// What Python 3.11 says when its own parser loses count. It has nothing to do with what was asked, and comes now and then.
const LOST_COUNT: &str = "AST constructor recursion depth mismatch";

/// Makes requests to every operation with this token.
fn hold_against_the_description(server: &Server, token: &str, more: &[&str]) {
    let seed = std::env::var(SEED).unwrap_or_else(|_| "1".to_owned());
    let mut asked = ask(server, token, more, &seed);
    for again in 0..4 {
        if !asked.1.contains(LOST_COUNT) {
            break;
        }
        asked = ask(server, token, more, &format!("{seed}{again}"));
    }
    let (is_well, said, unheard) = asked;
    println!("{said}");
    assert!(is_well, "{SEED}={seed} shows it again.\n{unheard}");
    assert!(said.contains("Tested: "), "nothing was tested:\n{unheard}");
}

/// Whether all was answered as described, and what was said of it.
fn ask(server: &Server, token: &str, more: &[&str], seed: &str) -> (bool, String, String) {
    let home = tempfile::tempdir().expect("a folder");
    let output = Command::new(format!("{CLIENTS}/.venv/bin/schemathesis"))
        .current_dir(home.path())
        .args(["--config-file", &format!("{CLIENTS}/schemathesis.toml"), "run", DESCRIPTION])
        .args(["--url", &server.url(), "--seed", seed])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(more)
        .output()
        .unwrap_or_else(|e| panic!("schemathesis: {e}; the clients are installed by `make clients`"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn other_names_and_all_refusals_are_described() {
    let description: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON");
    let schemas = &description["components"]["schemas"];
    for document in ["Send", "SendAgainAndAgain"] {
        for name in ["all", "broadcast_to_tenant", "role_filter", "notification_type", "metadata"] {
            assert!(schemas[document]["properties"][name].is_object(), "{document} has no {name}");
        }
    }
    for name in ["inApp", "realtime", "websocket"] {
        assert!(schemas["SwitchesChange"]["properties"][name].is_object(), "{name}");
    }
    let begin = &description["paths"]["/api/v1/recurring"]["post"]["responses"];
    assert!(begin["409"].is_object(), "{begin}");
}

#[test]
fn to_whoever_may_do_everything() {
    let server = stocked();
    let claims = json!({"sub": "2", "role": "admin", "exp": in_seconds(86_400)});
    hold_against_the_description(&server, &sign(&claims), &[]);
    let failed = server.log().into_iter().filter(|line| line.contains("\"ERROR\"")).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn to_whoever_may_do_little() {
    let server = stocked();
    let claims = json!({"sub": "3", "exp": in_seconds(86_400)});
    let more = ["--exclude-checks", "positive_data_acceptance", "--phases", "coverage"];
    hold_against_the_description(&server, &sign(&claims), &more);
}
