//! `carillon doctor`: looks at everything a server needs, and says what to mend. Changes nothing, and prints no secret.

mod files;
mod places;
mod providers;
mod trust;

use std::fmt;

use crate::config::{Config, Environment, Loaded};
use crate::{parts, secrets};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Ok,
    /// It works, and may not as one wants.
    Warn,
    /// It does not work.
    Fail,
}

/// What was found of one thing.
pub struct Finding {
    level: Level,
    /// Of which thing.
    of: &'static str,
    /// What it is.
    is: String,
    /// What to do.
    mend: String,
}

impl Finding {
    fn ok(of: &'static str, is: impl Into<String>) -> Self {
        Self { level: Level::Ok, of, is: is.into(), mend: String::new() }
    }

    fn warn(of: &'static str, is: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Warn, of, is: is.into(), mend: mend.into() }
    }

    fn fail(of: &'static str, is: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Fail, of, is: is.into(), mend: mend.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{level:<5} {:<10} {}", self.of, self.is)?;
        if !self.mend.is_empty() {
            write!(f, "\n{:16} → {}", "", self.mend)?;
        }
        Ok(())
    }
}

/// So many of these.
fn counted(many: usize, of: &str) -> String {
    if many == 1 { format!("1 {of}") } else { format!("{many} {of}s") }
}

/// What to say when the settings cannot be read at all.
pub fn unreadable(fault: &anyhow::Error) -> Finding {
    Finding::fail(
        "settings",
        format!("{fault:#}"),
        "correct it; `carillon config` shows each setting and where it came from",
    )
}

/// Looks at everything, and prints each finding as it comes; false, if something fails.
pub async fn run(loaded: &Loaded) -> bool {
    let mut worst = Level::Ok;
    let mut tell = |findings: Vec<Finding>| {
        for finding in findings {
            println!("{finding}");
            worst = worst.max(finding.level);
        }
    };
    let mut config = loaded.config.clone();
    tell(settings(&mut config));
    let (found, clock, is_current) = places::database(&config).await;
    // Of one that cannot be reached nothing else is known.
    let is_there = found.len() > 1;
    tell(found);
    if is_there {
        tell(trust::keys(&config).await);
        tell(trust::audit(&config, is_current).await);
    }
    let (found, others) = places::redis(&config).await;
    tell(found);
    tell(places::clock(clock, others));
    tell(places::limits(&config));
    tell(files::all(loaded));
    tell(trust::tokens(&config).await);
    tell(trust::collector(&config).await);
    tell(providers::all(&config).await);
    match worst {
        Level::Ok => println!("\nAll is well."),
        Level::Warn => println!("\nIt works; see what is marked warn."),
        Level::Fail => println!("\nSomething does not work; mend what is marked FAIL first."),
    }
    worst < Level::Fail
}

fn settings(config: &mut Config) -> Vec<Finding> {
    const OF: &str = "settings";
    let mut found = Vec::new();
    let is_production = config.server.environment == Environment::Production;
    // Secrets that a start would make are not made here.
    if is_production || secrets::kept(config) {
        if let Err(fault) = secrets::ensure(config) {
            let words: Vec<_> = format!("{fault:#}").lines().map(|line| line.trim().to_owned()).collect();
            found.push(Finding::fail(OF, words.join(" "), "set them; a server refuses to start without"));
        }
    } else if config.auth.backend_token.is_empty() {
        found.push(Finding::ok(
            OF,
            "secrets for development will be made beside the database by the first start",
        ));
    }
    match is_production {
        true => found.push(Finding::ok(OF, "can be read; this is production")),
        false => found.push(Finding::warn(
            OF,
            "can be read; this is development: the demo is open, and secrets are made when missing",
            "set CARILLON_ENV=production where people rely on it",
        )),
    }
    if is_production && config.server.allowed_origins.iter().any(|origin| origin == "*") {
        found.push(Finding::warn(
            OF,
            "server.allowed_origins is *: pages of any origin may connect",
            "name your own, such as https://app.example.com",
        ));
    }
    if is_production && config.delivery.allow_loopback {
        found.push(Finding::fail(
            OF,
            "delivery.allow_loopback is for tests: it lets callers reach this machine itself",
            "remove it",
        ));
    }
    for fault in [
        config.server.proxies().err(),
        config.topics.restrictions().err().map(Into::into),
        parts::usual(config).err(),
    ]
    .into_iter()
    .flatten()
    {
        found.push(Finding::fail(OF, format!("{fault:#}"), "correct it"));
    }
    match crate::access::Keyring::new(&config.auth) {
        Ok(_) => found.push(Finding::ok("tokens", format!("are checked by {}", config.auth.jwt_algorithm))),
        // What the first start makes is not there yet.
        Err(_) if !is_production && !secrets::kept(config) => {}
        Err(fault) => {
            found.push(Finding::fail("tokens", fault.to_string(), "correct [auth]; nobody can connect"))
        }
    }
    found
}
