//! Honest clients, at work while somebody floods: a service sends, a page hears, somebody looks at their inbox.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::caller::{Answer, Caller};
use crate::support::{BACKEND_TOKEN, Raw, Server, user_token};

/// The first of those whose pages these are.
const ADA: u64 = 4711;
/// Somebody who is slow for so long is not served any more.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// What all honest clients of a test have done so far.
#[derive(Default)]
pub struct Honest {
    sent: AtomicU64,
    people: AtomicU64,
}

/// A service, a page and a reader.
pub struct Worker<'a> {
    sent: &'a AtomicU64,
    service: Caller,
    reader: Caller,
    page: Raw,
    user: u64,
}

/// Asks until it is done, as often as it is told to come again.
fn served(caller: &mut Caller, method: &str, path: &str, body: &str) -> Answer {
    let since = Instant::now();
    loop {
        let answer = caller.ask(method, path, body);
        match answer {
            Some(answer) if matches!(answer.status, 200 | 201) => return answer,
            Some(answer) if matches!(answer.status, 429 | 503) => {
                sleep(Duration::from_secs(answer.retry_after.expect("when to come again")));
            }
            // A connection that was kept too long, perhaps.
            None => sleep(Duration::from_millis(50)),
            Some(answer) => panic!("{method} {path}: {answer:?}"),
        }
        assert!(since.elapsed() < SERVED_WITHIN, "{method} {path} is not served");
    }
}

impl Honest {
    /// They come, and all goes well.
    pub fn begin(&self, server: &Server) -> Worker<'_> {
        let by = |token: &str| {
            let bearer = format!("Bearer {token}");
            Caller::new(server.address, &[("Authorization", &bearer)])
        };
        // Somebody else each time, who has missed nothing.
        let user = ADA + self.people.fetch_add(1, Ordering::Relaxed);
        let page = Raw::facilitator(server.address, user);
        let (service, reader) = (by(BACKEND_TOKEN), by(&user_token(user)));
        let mut worker = Worker { sent: &self.sent, service, reader, page, user };
        worker.work(&AtomicBool::new(true));
        worker
    }
}

impl Worker<'_> {
    /// Works until `stop`, and a little longer; everything that was accepted must have been heard, once and in order, and
    /// must stand in the inbox.
    pub fn work(&mut self, stop: &AtomicBool) -> u64 {
        let Self { sent, service, reader, page, user } = self;
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) || done < 3 {
            let title = format!("honest {}", sent.fetch_add(1, Ordering::Relaxed));
            let body = json!({"user_id": *user, "type": "note", "title": title}).to_string();
            let accepted = served(service, "POST", "/api/v1/notifications", &body);
            let accepted: Value = serde_json::from_str(&accepted.body).expect("a receipt");
            let heard = page.hear_event("notification");
            assert_eq!(heard["title"], title.as_str(), "once, and in order");
            let inbox = served(reader, "GET", "/api/v1/notifications?limit=1", "");
            let inbox: Value = serde_json::from_str(&inbox.body).expect("a page");
            assert_eq!(inbox["notifications"][0]["title"], title.as_str(), "{accepted}");
            done += 1;
            sleep(Duration::from_millis(5));
        }
        done
    }
}

/// What the kernel and the metrics say of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// KB that are resident.
    pub memory: u64,
    pub descriptors: usize,
    pub threads: u64,
    /// Open TCP connections, requests under way, and writes that wait; as far as they could be asked.
    pub connections: u64,
    pub requests: u64,
    pub writes: u64,
}

impl Load {
    /// What the kernel says now.
    pub fn of(server: &Server) -> Self {
        let descriptors = server.descriptors();
        Self { memory: server.memory("RssAnon"), descriptors, threads: server.threads(), ..Self::default() }
    }

    /// The same, with what the metrics say.
    pub fn told(server: &Server, metrics: &mut Caller) -> Self {
        let now = Self::of(server);
        let Some(answer) = metrics.ask("GET", "/metrics", "").filter(|answer| answer.status == 200) else {
            return now;
        };
        let samples: BTreeMap<&str, f64> = answer
            .body
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let number = |name: &str| samples.get(name).map_or(0, |number| *number as u64);
        Self {
            connections: number("carillon_tcp_connections"),
            requests: number("carillon_requests_under_way"),
            writes: number("carillon_write_queue"),
            ..now
        }
    }

    /// The most of both.
    pub fn most(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            connections: self.connections.max(other.connections),
            requests: self.requests.max(other.requests),
            writes: self.writes.max(other.writes),
        }
    }
}
