//! Whatever bytes come to a door, nothing breaks: it answers or ends that connection, in time and without a fault of its own;
//! no forged token is let in, and nothing of another tenant changes.
//!
//! What is thrown is what stands in `tests/corpora`, as it is and then mutilated, for `CARILLON_FUZZ_SECONDS` at each door (an
//! ordinary run: half a second). What breaks a door is kept there as `found-…`, and thrown first from then on.
//! `CARILLON_TEST_SEED` repeats a run.

mod doors;
mod mutilation;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::mutilation::mutilated;
use crate::support::{Dice, Rest, Server, note};

/// What a run at one door takes, if nothing is said.
const BRIEFLY: f64 = 0.5;
/// A case that takes longer than this has stalled the door.
const SLOW: Duration = Duration::from_secs(8);
/// Kilobytes that a server under fire may hold.
const MOST_MEMORY: u64 = 800_000;

/// A server whose other tenant has something to lose.
pub struct Target {
    pub server: Server,
    before: Value,
}

impl Target {
    fn with(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            // Each case comes from another address, so that wrong tokens are not held back.
            ("server.trusted_proxies", "127.0.0.1"),
            ("limits.events_per_second", "1000000"),
            ("limits.bytes_per_second", "1000000000"),
        ];
        all.extend(settings);
        let server = Server::with(&all);
        Rest::backend(&server).send(&note(2, "kept"));
        Rest::backend(&server).put("/api/v1/recipients/2", &json!({"email": "two@example.com"})).expect(200);
        let before = Self::witnessed(&server);
        Self { server, before }
    }

    /// All that a person of the other tenant sees.
    fn witnessed(server: &Server) -> Value {
        let two = Rest::user(server, 2);
        let seen = |path: &str| two.get(path).expect(200);
        json!([
            seen("/api/v1/notifications"),
            seen("/api/v1/notifications/preferences"),
            seen("/api/v1/recipients/me"),
            seen("/api/v1/push/subscriptions"),
            Rest::backend(server).get("/api/v1/templates").expect(200),
            Rest::backend(server).get("/api/v1/recurring").expect(200),
        ])
    }

    /// A caller of the tenant from which everything is thrown; it may do all that a tenant may.
    pub fn attacker(&self, is_person: bool) -> String {
        let scope = "notifications:send notifications:broadcast";
        let exp = crate::support::in_seconds(86_400);
        crate::support::sign(&match is_person {
            true => json!({"sub": "7", "tenant_id": "fuzz", "exp": exp}),
            false => {
                json!({"sub": "fuzzer", "tenant_id": "fuzz", "scope": scope, "role": "admin", "exp": exp})
            }
        })
    }

    /// Whether all is as it should be.
    fn check(&self) -> Result<(), String> {
        // A line that is no JSON was put there by somebody, or is a panic's.
        let fault = self.server.log().into_iter().find(|line| {
            serde_json::from_str::<Value>(line).is_err()
                || line.contains("panicked")
                || line.contains("\"level\":\"ERROR\"")
                || line.contains("overflow")
        });
        if let Some(line) = fault {
            return Err(format!("the server says: {line}"));
        }
        let memory = self.server.memory("VmRSS");
        if memory > MOST_MEMORY {
            return Err(format!("the server holds {memory} KB"));
        }
        match self.server.get("/health/ready").status {
            200 => Ok(()),
            status => Err(format!("it is not ready: {status}")),
        }
    }
}

fn corpus(door: &str) -> Vec<(String, Vec<u8>)> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "corpora", door].iter().collect();
    let entries = fs::read_dir(&folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            (name, fs::read(path).expect("a case"))
        })
        .collect();
    // What was found first.
    all.sort_by_key(|(name, _)| (!name.starts_with("found-"), name.clone()));
    all
}

/// Throws the corpus of this door, as it is and mutilated, at `target` by `throw`, which tells what went wrong.
fn bombard(door: &str, target: &Target, mut throw: impl FnMut(&[u8], &mut Dice) -> Result<(), String>) {
    let seconds = std::env::var("CARILLON_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs_f64(seconds.unwrap_or(BRIEFLY));
    let mut dice = Dice::thrown();
    let corpus = corpus(door);
    let cases: Vec<Vec<u8>> = corpus.iter().map(|(_, case)| case.clone()).collect();
    assert!(!cases.is_empty(), "tests/corpora/{door} is empty");
    let mut thrown = 0;
    let mut once = |case: &[u8], dice: &mut Dice| {
        thrown += 1;
        let begun = Instant::now();
        let mut told = throw(case, dice);
        if told.is_ok() && begun.elapsed() > SLOW {
            told = Err(format!("it took {:?}", begun.elapsed()));
        }
        if told.is_ok() && thrown % 500 == 0 {
            told = target.check();
        }
        if let Err(why) = told {
            let name = format!("tests/corpora/{door}/found-{:016x}", dice.below(u64::MAX));
            fs::write(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&name), case).expect("a file");
            panic!("{door}: {why}\n{name}:\n{}", String::from_utf8_lossy(case));
        }
    };
    for case in &cases {
        once(case, &mut dice);
    }
    let begun = Instant::now();
    while begun.elapsed() < time {
        let case = mutilated(&cases, &mut dice);
        once(&case, &mut dice);
    }
    target.check().unwrap_or_else(|why| panic!("{door}: {why}"));
    println!("{door}: {thrown} cases");
    // Whoever may write to Redis speaks for every tenant.
    if door != "letters" {
        assert_eq!(Target::witnessed(&target.server), target.before, "{door}: another tenant is touched");
    }
    Rest::backend(&target.server).send(&note(2, "after"));
    assert_eq!(Rest::user(&target.server, 2).titles()[0], "after", "{door}");
}
