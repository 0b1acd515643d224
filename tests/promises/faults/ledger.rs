//! What was answered, and what arrived: written down by those who sent and those who received, and compared in the end.
//! The servers' own numbers are not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::{
    Clients, Kind, Library, PendingList, Route, Socket, backend_hello, booking, facilitator_hello,
};

/// All is well again by then.
const PROMISE: Duration = Duration::from_secs(30);
/// A back end that has no receipt by then asks again, at the other node.
const TRY: Duration = Duration::from_secs(2);
/// Between two bookings of one back end to one facilitator.
const PAUSE: Duration = Duration::from_millis(60);
/// Each back end numbers its bookings to each facilitator from a multiple of this on.
const LANE: u64 = 1_000_000;
const LIVE: &str = "new_booking_notification";
const LISTS: &str = "pending_notifications";

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

struct Receipt {
    lane: usize,
    booking: u64,
    id: u64,
    text: String,
}

/// The verdict on one run.
#[derive(Default)]
pub struct Outcome {
    pub receipts: usize,
    pub lost: usize,
    pub misdelivered: usize,
    pub disordered: usize,
    /// The same booking under two ids.
    pub doubled: usize,
    /// `None`: not within the time that was promised.
    pub recovery: Option<Duration>,
    /// From the end of the fault until those online had all that was answered.
    pub complete: Option<Duration>,
    pub complaints: Vec<String>,
}

impl Outcome {
    /// The run could not be finished.
    pub fn broken() -> Self {
        Self { complaints: vec!["the run broke off; see above".to_owned()], ..Self::default() }
    }

    pub fn is_kept(&self) -> bool {
        self.complaints.is_empty() && self.recovery.is_some_and(|time| time <= PROMISE)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receipts, lost, misdelivered, disordered, doubled, .. } = self;
        write!(f, "{receipts:>5} receipts, {lost} lost, {misdelivered} misdelivered, ")?;
        write!(f, "{disordered} out of order, {doubled} doubled, well after ")?;
        match self.recovery {
            Some(time) => write!(f, "{:.2} s", time.as_secs_f64()),
            None => write!(f, "more than {} s", PROMISE.as_secs()),
        }?;
        self.complete.map_or(Ok(()), |time| write!(f, ", all there after {:.2} s", time.as_secs_f64()))
    }
}

/// Nobody waits for long between two attempts to connect.
fn hasty(kind: Kind) -> Value {
    match kind.library {
        Library::Python => json!({"reconnection_delay": 0.1, "reconnection_delay_max": 1}),
        Library::Npm41 | Library::Npm48 => json!({"reconnectionDelay": 100, "reconnectionDelayMax": 1000}),
    }
}

fn lane_of(booking: u64) -> usize {
    (booking / LANE) as usize - 1
}

/// The person whom the bookings of a lane are for.
fn person_of(lane: usize) -> usize {
    lane % PEOPLE
}

impl Person {
    fn live(&self) -> Vec<Value> {
        self.page.as_ref().map(|page| page.heard(LIVE)).unwrap_or_default()
    }

    /// Everything that came, live and in lists.
    fn received(&self) -> Vec<Value> {
        let lists = self.page.as_ref().map(|page| page.heard(LISTS)).unwrap_or_default();
        let listed = lists.into_iter().flat_map(|list| PendingList(list).notifications().to_vec());
        listed.chain(self.live()).collect()
    }
}

fn number_of(notification: &Value) -> (u64, u64) {
    let number = |field: &str| notification[field].as_u64().unwrap_or_default();
    (number("booking_id"), number("notification_id"))
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

    /// Books without a pause while the script does its fault, and until everybody hears again; then gives the verdict.
    pub fn book_while(mut self, script: impl FnOnce()) -> Outcome {
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
        self.verdict(&receipts, recovery)
    }

    fn is_too_late(&self) -> bool {
        self.healed.get().is_some_and(|healed| healed.elapsed() > PROMISE)
    }

    /// One booking, again and again until there is a receipt.
    fn book(&self, lane: usize, number: u64) -> Option<Receipt> {
        let person = &self.people[person_of(lane)];
        let booking_id = (lane as u64 + 1) * LANE + number;
        for attempt in lane / PEOPLE.. {
            let back_end = &self.back_ends[attempt % BACK_ENDS];
            let answer = back_end.try_call("booking_notification", booking(booking_id, person.id), TRY);
            if let Some(answer) = answer {
                if let Some(id) = answer["notification_id"].as_u64() {
                    return Some(Receipt { lane, booking: booking_id, id, text: answer.to_string() });
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
                if live.iter().rev().any(|told| lane_of(number_of(told).0) == lane) {
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

    /// Compares receipts with what arrived, for which there is time until the end of the promise.
    fn verdict(&mut self, receipts: &[Receipt], recovery: Option<Duration>) -> Outcome {
        let complete = Some(Duration::ZERO);
        let mut outcome = Outcome { receipts: receipts.len(), recovery, complete, ..Outcome::default() };
        let mut expected: Vec<BTreeMap<u64, &Receipt>> = vec![BTreeMap::new(); PEOPLE];
        for receipt in receipts {
            expected[person_of(receipt.lane)].insert(receipt.booking, receipt);
        }
        for (number, expected) in expected.iter().enumerate() {
            let is_online = number < ONLINE.len();
            if !is_online {
                self.people[number].come(&self.clients);
                self.people[number].is_welcome();
            }
            let person = &self.people[number];
            let missing = || {
                let received: BTreeSet<u64> =
                    person.received().iter().map(|told| number_of(told).0).collect();
                let missing = expected.values().filter(|receipt| !received.contains(&receipt.booking));
                missing.copied().collect::<Vec<_>>()
            };
            let list_until = Instant::now() + Duration::from_secs(5);
            let mut lost = missing();
            while !lost.is_empty() && (!self.is_too_late() || (!is_online && Instant::now() < list_until)) {
                sleep(Duration::from_millis(50));
                lost = missing();
            }
            if is_online {
                let time = self.healed.get().filter(|_| lost.is_empty()).map(Instant::elapsed);
                outcome.complete = outcome.complete.zip(time).map(|(longest, time)| longest.max(time));
            }
            outcome.lost += lost.len();
            let complaint =
                |lost: &&Receipt| format!("lost by {} ({:?}): {}", person.id, person.kind, lost.text);
            outcome.complaints.extend(lost.iter().map(complaint));
            outcome.judge(
                number,
                person.kind.library != Library::Python,
                expected,
                &person.received(),
                &person.live(),
            );
        }
        if recovery.is_none() {
            outcome.complaints.push(format!("not everybody heard again within {PROMISE:?}"));
        }
        outcome
    }
}

impl Outcome {
    /// What arrived at one person that should not have, or not so.
    fn judge(
        &mut self,
        number: usize,
        is_ordered: bool,
        expected: &BTreeMap<u64, &Receipt>,
        received: &[Value],
        live: &[Value],
    ) {
        let mut ids: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for told in received {
            let (booking, id) = number_of(told);
            if booking < LANE || person_of(lane_of(booking)) != number {
                self.misdelivered += 1;
                self.complaints.push(format!("person {number} got somebody else's: {told}"));
            }
            ids.entry(booking).or_default().insert(id);
        }
        for (booking, ids) in &mut ids {
            ids.extend(expected.get(booking).map(|receipt| receipt.id));
            if ids.len() > 1 {
                self.doubled += 1;
                self.complaints.push(format!("booking {booking} has several ids: {ids:?}"));
            }
        }
        // The Python library handles each event on a thread of its own, so its order is not the line's.
        if !is_ordered {
            return;
        }
        let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for booking in live.iter().map(|told| number_of(told).0) {
            // A second copy has the same id, and is known by it.
            if !seen.insert(booking) {
                continue;
            }
            let before = last.insert(lane_of(booking), booking);
            if let Some(before) = before.filter(|before| *before > booking) {
                self.disordered += 1;
                self.complaints.push(format!("person {number} heard {booking} after {before}"));
            }
        }
    }
}

impl Person {
    fn come(&mut self, clients: &[Clients]) {
        let hello = [facilitator_hello(self.id)];
        self.page = Some(clients[self.door].open_with(self.kind, &hello, hasty(self.kind)));
    }

    fn is_welcome(&self) {
        self.page.as_ref().expect("a page").hear("facilitator_auth_success");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(booking: u64, id: u64) -> Value {
        json!({"booking_id": booking, "notification_id": id})
    }

    /// What is found when the first person hears this.
    fn found(live: &[Value]) -> (usize, usize, usize) {
        let receipt = Receipt { lane: 0, booking: LANE, id: 7, text: String::new() };
        let mut outcome = Outcome::default();
        outcome.judge(0, true, &BTreeMap::from([(LANE, &receipt)]), live, live);
        assert_eq!(
            outcome.complaints.is_empty(),
            outcome.misdelivered + outcome.disordered + outcome.doubled == 0
        );
        (outcome.misdelivered, outcome.disordered, outcome.doubled)
    }

    #[test]
    fn it_finds_what_is_wrong() {
        let second_copy = [told(LANE, 7), told(LANE + 1, 8), told(LANE, 7)];
        assert_eq!(found(&second_copy), (0, 0, 0));
        assert_eq!(found(&[told(2 * LANE, 7)]), (1, 0, 0), "it is the second person's");
        assert_eq!(found(&[told(LANE + 1, 8), told(LANE, 7)]), (0, 1, 0));
        assert_eq!(found(&[told(LANE, 9)]), (0, 0, 1), "not the id of the receipt");
        assert_eq!(found(&[told(LANE + 1, 8), told(LANE + 1, 9)]), (0, 0, 1));
    }
}
