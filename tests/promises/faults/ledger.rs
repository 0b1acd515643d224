//! What was answered, and what arrived: written down by those who sent and those who received, to be judged in the end
//! (`verdict.rs`). The servers' own numbers are not asked.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::Stage;
use super::verdict::{Evidence, PROMISE, Receipt, Record, Stay, booking_of};
use crate::support::{
    Clients, Kind, Library, PendingList, Route, Socket, backend_hello, booking, in_seconds, sign,
};

/// A back end that has no receipt by then asks again, at the other node.
const TRY: Duration = Duration::from_secs(2);
/// Between two bookings of one back end to one facilitator.
const PAUSE: Duration = Duration::from_millis(60);
/// Each back end numbers its bookings to each facilitator from a multiple of this on.
pub const LANE: u64 = 1_000_000;
const LIVE: &str = "new_booking_notification";
const LISTS: &str = "pending_notifications";
const WELCOME: &str = "facilitator_auth_success";

/// Who is at which node, by which client.
const ONLINE: [(usize, Kind); 5] = [
    (0, Kind::WEBSOCKET),
    (1, Kind::USUAL),
    (0, Kind::POLLING),
    (1, Kind { library: Library::Npm41, route: Route::WebSocket }),
    (0, Kind { library: Library::Python, route: Route::WebSocket }),
];
/// Who comes only in the end.
const OFFLINE: [(usize, Kind); 2] = [(0, Kind::USUAL), (1, Kind::WEBSOCKET)];
const PEOPLE: usize = ONLINE.len() + OFFLINE.len();
const BACK_ENDS: usize = 2;
/// The lanes of those who ask whether all is well again come after those of the load.
const PROBES: usize = BACK_ENDS * PEOPLE;

pub struct Ledger {
    clients: Vec<Clients>,
    back_ends: Vec<Socket>,
    people: Vec<Person>,
    healed: OnceLock<Instant>,
}

struct Person {
    id: u64,
    door: usize,
    kind: Kind,
    page: Option<Socket>,
}

/// Nobody waits for long between two attempts to connect.
fn hasty(kind: Kind) -> Value {
    match kind.library {
        Library::Python => json!({"reconnection_delay": 0.1, "reconnection_delay_max": 1}),
        Library::Npm41 | Library::Npm48 => json!({"reconnectionDelay": 100, "reconnectionDelayMax": 1000}),
        // They do not come back by themselves.
        Library::Ws | Library::Websockets => json!({}),
    }
}

pub fn lane_of(booking: u64) -> usize {
    (booking / LANE) as usize - 1
}

/// The person whom the bookings of a lane are for.
pub fn person_of(lane: usize) -> usize {
    lane % PEOPLE
}

/// It outlasts a clock that jumps.
fn lasting_token(id: u64) -> String {
    sign(&json!({"sub": id.to_string(), "type": "access", "exp": in_seconds(24 * 3_600)}))
}

impl Person {
    fn live(&self) -> Vec<Value> {
        self.page.as_ref().map(|page| page.heard(LIVE)).unwrap_or_default()
    }

    fn listed(&self) -> Vec<Value> {
        let lists = self.page.as_ref().map(|page| page.heard(LISTS)).unwrap_or_default();
        lists.into_iter().flat_map(|list| PendingList(list).notifications().to_vec()).collect()
    }

    /// When its page was connected.
    fn stays(&self) -> Vec<Stay> {
        let moments = |kind: &str| self.page.as_ref().map(|page| page.moments(kind)).unwrap_or_default();
        let (left, welcomes) = (moments("disconnected"), moments(&format!("event {WELCOME}")));
        let came = moments("connected").into_iter().enumerate();
        let stay = |(number, came): (usize, Instant)| {
            let left = left.get(number).copied();
            let its = |welcome: &&Instant| **welcome >= came && left.is_none_or(|left| **welcome <= left);
            Stay { came, welcome: welcomes.iter().find(its).copied(), left }
        };
        came.map(stay).collect()
    }

    fn record(&self, number: usize, receipts: Vec<Receipt>) -> Record {
        Record {
            name: format!("{} ({:?})", self.id, self.kind),
            number,
            // The Python library handles each event on a thread of its own, so its order is not the line's.
            is_ordered: self.kind.library != Library::Python,
            receipts,
            live: self.live(),
            listed: self.listed(),
            stays: self.stays(),
        }
    }
}

impl Ledger {
    /// Everybody who is online connects, through the stage's doors.
    pub fn open(stage: &Stage) -> Self {
        let url = |door: &crate::support::Proxy| format!("http://{}", door.address);
        let clients: Vec<Clients> = stage.doors.iter().map(|door| Clients::at(&url(door))).collect();
        let kinds = [Kind::WEBSOCKET, Kind::USUAL];
        let back_ends: Vec<Socket> = (0..BACK_ENDS)
            .map(|number| clients[number].open_with(kinds[number], &[backend_hello()], hasty(kinds[number])))
            .collect();
        let first = stage.newcomers(PEOPLE as u64);
        let mut people: Vec<Person> = (first..)
            .zip(ONLINE.into_iter().chain(OFFLINE))
            .map(|(id, (door, kind))| Person { id, door, kind, page: None })
            .collect();
        people[..ONLINE.len()].iter_mut().for_each(|person| person.come(&clients));
        back_ends.iter().for_each(|back_end| drop(back_end.hear("backend_auth_success")));
        people[..ONLINE.len()].iter().for_each(Person::is_welcome);
        Self { clients, back_ends, people, healed: OnceLock::new() }
    }

    /// Books without a pause while the script does its fault, and until everybody hears again; then tells what there is to judge by.
    pub fn book_while(mut self, script: impl FnOnce()) -> Evidence {
        let is_over = AtomicBool::new(false);
        let (ledger, is_over) = (&self, &is_over);
        let (receipts, recovery) = scope(|all| {
            let lanes = (0..PROBES).map(|lane| all.spawn(move || ledger.book_on(lane, is_over)));
            let lanes: Vec<_> = lanes.collect();
            let staged = catch_unwind(AssertUnwindSafe(script));
            ledger.healed.get_or_init(Instant::now);
            if let Err(fault) = staged {
                is_over.store(true, Ordering::Relaxed);
                resume_unwind(fault);
            }
            let probes = (0..ONLINE.len()).map(|person| all.spawn(move || ledger.probe(person)));
            let probes: Vec<_> = probes.collect();
            let mut receipts = Vec::new();
            let mut recovery = Some(Duration::ZERO);
            for probe in probes {
                let (some, time) = probe.join().expect("a probe");
                receipts.extend(some);
                recovery = recovery.zip(time).map(|(longest, time)| longest.max(time));
            }
            is_over.store(true, Ordering::Relaxed);
            for lane in lanes {
                receipts.extend(lane.join().expect("a back end"));
            }
            (receipts, recovery)
        });
        self.evidence(receipts, recovery)
    }

    fn is_too_late(&self) -> bool {
        self.healed.get().is_some_and(|healed| healed.elapsed() > PROMISE)
    }

    /// One booking, again and again until there is a receipt.
    fn book(&self, lane: usize, number: u64) -> Option<Receipt> {
        let person = &self.people[person_of(lane)];
        let booking_id = (lane as u64 + 1) * LANE + number;
        let tried = Instant::now();
        for attempt in lane / PEOPLE.. {
            let back_end = &self.back_ends[attempt % BACK_ENDS];
            let answer = back_end.try_call("booking_notification", booking(booking_id, person.id), TRY);
            if let Some(answer) = answer {
                if let Some(id) = answer["notification_id"].as_u64() {
                    return Some(Receipt {
                        booking: booking_id,
                        id,
                        is_delivered: answer["delivered_at"].is_string(),
                        tried,
                        answered: Instant::now(),
                        text: answer.to_string(),
                    });
                }
                sleep(Duration::from_millis(100)); // refused
            }
            if self.is_too_late() {
                return None;
            }
        }
        None
    }

    fn book_on(&self, lane: usize, is_over: &AtomicBool) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let Some(receipt) = self.book(lane, receipts.len() as u64) else { break };
            receipts.push(receipt);
            sleep(PAUSE);
        }
        receipts
    }

    /// Books until one of these bookings is heard live; tells when that was.
    fn probe(&self, person: usize) -> (Vec<Receipt>, Option<Duration>) {
        let lane = PROBES + person;
        let healed = self.healed.get().expect("the fault to be over");
        let mut receipts = Vec::new();
        while let Some(receipt) = self.book(lane, receipts.len() as u64) {
            receipts.push(receipt);
            let patience = Instant::now() + Duration::from_secs(1);
            while Instant::now() < patience {
                let live = self.people[person].live();
                if live.iter().rev().any(|told| lane_of(booking_of(told)) == lane) {
                    return (receipts, Some(healed.elapsed()));
                }
                sleep(Duration::from_millis(25));
            }
            if self.is_too_late() {
                break;
            }
        }
        (receipts, None)
    }

    /// What there is to judge by: for what has not arrived there is time until the end of the promise.
    fn evidence(&mut self, mut receipts: Vec<Receipt>, recovery: Option<Duration>) -> Evidence {
        let mut evidence = Evidence { records: Vec::new(), recovery, complete: Some(Duration::ZERO) };
        receipts.sort_by_key(|receipt| receipt.booking);
        for number in 0..PEOPLE {
            let is_online = number < ONLINE.len();
            if !is_online {
                self.people[number].come(&self.clients);
                self.people[number].is_welcome();
            }
            let person = &self.people[number];
            let its = |receipt: &&Receipt| person_of(lane_of(receipt.booking)) == number;
            let expected: Vec<Receipt> = receipts.iter().filter(its).cloned().collect();
            let has_all = || {
                let received: BTreeSet<u64> =
                    person.live().iter().chain(&person.listed()).map(booking_of).collect();
                expected.iter().all(|receipt| received.contains(&receipt.booking))
            };
            let list_until = Instant::now() + Duration::from_secs(5);
            let is_in_time = || !self.is_too_late() || (!is_online && Instant::now() < list_until);
            let mut is_complete = has_all();
            while !is_complete && is_in_time() {
                sleep(Duration::from_millis(50));
                is_complete = has_all();
            }
            if is_online {
                let time = self.healed.get().filter(|_| is_complete).map(Instant::elapsed);
                evidence.complete = evidence.complete.zip(time).map(|(longest, time)| longest.max(time));
            }
            evidence.records.push(person.record(number, expected));
        }
        evidence
    }
}

impl Person {
    fn come(&mut self, clients: &[Clients]) {
        let hello =
            [json!(["facilitator_connect", {"facilitator_id": self.id, "token": lasting_token(self.id)}])];
        self.page = Some(clients[self.door].open_with(self.kind, &hello, hasty(self.kind)));
    }

    fn is_welcome(&self) {
        self.page.as_ref().expect("a page").hear(WELCOME);
    }
}
