//! What one run left behind, and the verdict on it: what was answered is held against what arrived. Nobody is asked
//! anything here, so the same evidence gives the same verdict, and tampered evidence must give another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ledger::{LANE, lane_of, person_of};

/// All is well again by then.
pub const PROMISE: Duration = Duration::from_secs(30);
/// A server may not know for so long that a socket is gone: a ping's interval and the wait for its answer.
const UNNOTICED: Duration = Duration::from_secs(45);
/// Two who write down the same moment may differ by this, on a busy machine.
const TELLING: Duration = Duration::from_secs(3);
/// A socket that has been welcome for so long has had its list, on a busy machine too: what is new comes live.
const SETTLED: Duration = Duration::from_secs(6);

/// A booking was answered.
#[derive(Clone)]
pub struct Receipt {
    pub booking: u64,
    pub id: u64,
    /// Whether it says `delivered`.
    pub is_delivered: bool,
    /// When it was asked for the first time, and answered.
    pub tried: Instant,
    pub answered: Instant,
    pub text: String,
}

/// A page's connection, as the page saw it.
#[derive(Clone)]
pub struct Stay {
    pub came: Instant,
    /// When it was told that it is known.
    pub welcome: Option<Instant>,
    /// `None`: it is still there.
    pub left: Option<Instant>,
}

/// One person: the receipts for what was booked for them, and what their page heard.
#[derive(Clone)]
pub struct Record {
    pub name: String,
    pub number: usize,
    /// Whether the order in which events are told is the order in which they arrived.
    pub is_ordered: bool,
    pub receipts: Vec<Receipt>,
    pub live: Vec<Value>,
    pub listed: Vec<Value>,
    pub stays: Vec<Stay>,
}

/// What one run left behind.
#[derive(Clone)]
pub struct Evidence {
    pub records: Vec<Record>,
    /// `None`: not within the time that was promised.
    pub recovery: Option<Duration>,
    /// From the end of the fault until those online had all that was answered.
    pub complete: Option<Duration>,
}

/// The verdict on one run.
#[derive(Default)]
pub struct Outcome {
    pub receipts: usize,
    pub lost: usize,
    pub misdelivered: usize,
    pub disordered: usize,
    /// The same booking under two ids, or two under one.
    pub doubled: usize,
    /// `delivered` was said of what nobody was there to hear.
    pub untrue: usize,
    pub recovery: Option<Duration>,
    pub complete: Option<Duration>,
    pub complaints: Vec<String>,
}

impl Outcome {
    pub fn of(evidence: &Evidence) -> Self {
        let Evidence { records, recovery, complete } = evidence;
        let mut outcome = Self { recovery: *recovery, complete: *complete, ..Self::default() };
        records.iter().for_each(|record| outcome.judge(record));
        outcome.judge_ids(records);
        if recovery.is_none() {
            outcome.complaints.push(format!("not everybody heard again within {PROMISE:?}"));
        }
        outcome
    }

    /// The run could not be finished.
    pub fn broken() -> Self {
        Self { complaints: vec!["the run broke off; see above".to_owned()], ..Self::default() }
    }

    pub fn is_kept(&self) -> bool {
        self.complaints.is_empty() && self.recovery.is_some_and(|time| time <= PROMISE)
    }

    fn judge(&mut self, record: &Record) {
        let Record { name, number, receipts, .. } = record;
        let received: BTreeSet<u64> = record.received().map(booking_of).collect();
        let live: BTreeSet<u64> = record.live.iter().map(booking_of).collect();
        self.receipts += receipts.len();
        for receipt in receipts {
            if !received.contains(&receipt.booking) {
                self.lost += 1;
                self.complaints.push(format!("lost by {name}: {}", receipt.text));
            }
            if receipt.is_delivered && !record.may_be_delivered(receipt, live.contains(&receipt.booking)) {
                self.untrue += 1;
                self.complaints.push(format!("{name} was not there to be handed it: {}", receipt.text));
            }
        }
        for told in record.received() {
            let booking = booking_of(told);
            if booking < LANE || person_of(lane_of(booking)) != *number {
                self.misdelivered += 1;
                self.complaints.push(format!("{name} got somebody else's: {told}"));
            }
        }
        if record.is_ordered {
            self.judge_order(record);
        }
    }

    fn judge_order(&mut self, record: &Record) {
        let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for booking in record.live.iter().map(booking_of) {
            // A second copy has the same id, and is known by it.
            if !seen.insert(booking) {
                continue;
            }
            let before = last.insert(booking / LANE, booking);
            if let Some(before) = before.filter(|before| *before > booking) {
                self.disordered += 1;
                self.complaints.push(format!("{} heard {booking} after {before}", record.name));
            }
        }
    }

    fn judge_ids(&mut self, records: &[Record]) {
        let mut ids: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let mut bookings: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let answered = records.iter().flat_map(|record| &record.receipts);
        let answered = answered.map(|receipt| (receipt.booking, receipt.id));
        let told = records.iter().flat_map(Record::received).map(|told| (booking_of(told), id_of(told)));
        for (booking, id) in answered.chain(told) {
            ids.entry(booking).or_default().insert(id);
            bookings.entry(id).or_default().insert(booking);
        }
        for (booking, ids) in ids.iter().filter(|(_, ids)| ids.len() > 1) {
            self.doubled += 1;
            self.complaints.push(format!("booking {booking} has several ids: {ids:?}"));
        }
        for (id, bookings) in bookings.iter().filter(|(_, bookings)| bookings.len() > 1) {
            self.doubled += 1;
            self.complaints.push(format!("id {id} stands for several bookings: {bookings:?}"));
        }
    }
}

impl Record {
    /// Everything that came, live and in lists.
    fn received(&self) -> impl Iterator<Item = &Value> {
        self.listed.iter().chain(&self.live)
    }

    /// Whether a receipt may say `delivered`: a socket of this person was there, for all that the server could know,
    /// and heard it live, or ended before it did.
    fn may_be_delivered(&self, receipt: &Receipt, was_live: bool) -> bool {
        let was_there = |stay: &&Stay| {
            stay.came <= receipt.answered + TELLING
                && stay.left.is_none_or(|left| left + UNNOTICED >= receipt.tried)
        };
        let there: Vec<&Stay> = self.stays.iter().filter(was_there).collect();
        if was_live || there.is_empty() {
            return was_live && !there.is_empty();
        }
        let is_settled = |stay: &&Stay| stay.welcome.is_some_and(|since| since + SETTLED <= receipt.tried);
        let lasting = there.iter().copied().filter(|stay| stay.left.is_none());
        if lasting.clone().any(|stay| is_settled(&stay)) {
            return false;
        }
        let was_listed = self.listed.iter().any(|told| booking_of(told) == receipt.booking);
        lasting.count() < there.len() || was_listed
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receipts, lost, misdelivered, disordered, doubled, untrue, .. } = self;
        write!(f, "{receipts:>5} receipts, {lost} lost, {misdelivered} misdelivered, ")?;
        write!(f, "{disordered} out of order, {doubled} doubled, {untrue} untrue, well after ")?;
        match self.recovery {
            Some(time) => write!(f, "{:.2} s", time.as_secs_f64()),
            None => write!(f, "more than {} s", PROMISE.as_secs()),
        }?;
        self.complete.map_or(Ok(()), |time| write!(f, ", all there after {:.2} s", time.as_secs_f64()))
    }
}

pub fn booking_of(notification: &Value) -> u64 {
    notification["booking_id"].as_u64().unwrap_or_default()
}

fn id_of(notification: &Value) -> u64 {
    notification["notification_id"].as_u64().unwrap_or_default()
}

/// The checker is checked: evidence that is right passes, and each thing that is changed in it is found.
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ledger::Ledger;
    use super::super::stage::{Scene, Stage};
    use super::*;
    use crate::support::on_postgres;

    const SECOND: Duration = Duration::from_secs(1);

    /// What the verdict counts, in the order of the table.
    fn counts(evidence: &Evidence) -> [usize; 5] {
        let outcome = Outcome::of(evidence);
        let Outcome { lost, misdelivered, disordered, doubled, untrue, .. } = outcome;
        let counts = [lost, misdelivered, disordered, doubled, untrue];
        assert_eq!(outcome.complaints.is_empty(), counts == [0; 5], "{:?}", outcome.complaints);
        assert_eq!(outcome.is_kept(), counts == [0; 5]);
        counts
    }

    fn told(booking: u64, id: u64) -> Value {
        json!({"booking_id": booking, "notification_id": id})
    }

    /// Two people who were there from the start to the end, and heard three bookings each.
    fn calm(start: Instant) -> Evidence {
        let record = |number: usize| {
            let booking = |count: u64| (number as u64 + 1) * LANE + count;
            let id = |count: u64| 10 * number as u64 + count + 1;
            let receipt = |count| Receipt {
                booking: booking(count),
                id: id(count),
                is_delivered: true,
                tried: start + 20 * SECOND,
                answered: start + 21 * SECOND,
                text: format!("booking {}", booking(count)),
            };
            Record {
                name: format!("person {number}"),
                number,
                is_ordered: true,
                receipts: (0..3).map(receipt).collect(),
                live: (0..3).map(|count| told(booking(count), id(count))).collect(),
                listed: Vec::new(),
                stays: vec![Stay { came: start, welcome: Some(start), left: None }],
            }
        };
        Evidence {
            records: (0..2).map(record).collect(),
            recovery: Some(Duration::ZERO),
            complete: Some(Duration::ZERO),
        }
    }

    /// What is counted when the first person's record was changed in this way.
    fn found(change: impl FnOnce(&mut Record, Instant)) -> [usize; 5] {
        let start = Instant::now();
        let mut evidence = calm(start);
        change(&mut evidence.records[0], start);
        counts(&evidence)
    }

    fn stay(came: Instant, left: Instant) -> Stay {
        Stay { came, welcome: Some(came), left: Some(left) }
    }

    #[test]
    fn what_is_wrong_is_found() {
        assert_eq!(found(|_, _| ()), [0; 5]);
        let a_second_copy = found(|record, _| record.live.push(record.live[0].clone()));
        assert_eq!(a_second_copy, [0; 5]);
        assert_eq!(found(|record, _| drop(record.live.remove(1))), [1, 0, 0, 0, 1]);
        assert_eq!(found(|record, _| record.live.push(told(2 * LANE + 7, 99))), [0, 1, 0, 0, 0]);
        assert_eq!(found(|record, _| record.live.push(told(7, 99))), [0, 1, 0, 0, 0], "nobody's");
        assert_eq!(found(|record, _| record.live.swap(1, 2)), [0, 0, 1, 0, 0]);
        assert_eq!(found(|record, _| record.live[1] = told(LANE + 1, 99)), [0, 0, 0, 1, 0]);
        assert_eq!(found(|record, _| record.live.push(told(LANE + 1, 99))), [0, 0, 0, 1, 0]);
        assert_eq!(found(|record, _| record.receipts[1].id = 99), [0, 0, 0, 1, 0]);
        let anothers = found(|record, _| record.live.push(told(LANE + 3, 2)));
        assert_eq!(anothers, [0, 0, 0, 1, 0], "one id for two bookings");
        let start = Instant::now();
        let late = Evidence { recovery: None, ..calm(start) };
        assert!(!Outcome::of(&late).is_kept());
    }

    #[test]
    fn delivered_must_be_true() {
        let listed = |record: &mut Record| record.listed.push(record.live.remove(1));
        let never_live = found(|record, _| listed(record));
        assert_eq!(never_live, [0, 0, 0, 0, 1], "its page was there all the time, and was told later");
        let stored = found(|record, _| {
            listed(record);
            record.receipts[1].is_delivered = false;
        });
        assert_eq!(stored, [0; 5]);
        let not_yet_here = |record: &mut Record, start: Instant| record.stays[0].came = start + 25 * SECOND;
        assert_eq!(found(not_yet_here), [0, 0, 0, 0, 3]);
        let nobody = |record: &mut Record, _: Instant| record.stays.clear();
        assert_eq!(found(nobody), [0, 0, 0, 0, 3]);

        // A line that broke at that time may have swallowed it; one that had come back may not.
        let broke = |back: Duration| {
            found(|record, start| {
                listed(record);
                let back = start + back;
                record.stays = vec![
                    stay(start, start + 5 * SECOND),
                    Stay { came: back, welcome: Some(back), left: None },
                ];
            })
        };
        assert_eq!(broke(22 * SECOND), [0; 5]);
        assert_eq!(broke(14 * SECOND), [0, 0, 0, 0, 1]);
        let long_gone = found(|record, start| {
            listed(record);
            record.receipts.iter_mut().for_each(|receipt| receipt.tried += 90 * SECOND);
            record.stays = vec![stay(start, start + 5 * SECOND)];
        });
        assert_eq!(long_gone, [0, 0, 0, 0, 3], "every server knows after its heartbeat");
    }

    /// A person's record in which the first notification that fits can be changed.
    fn changed(evidence: &Evidence, number: usize, change: impl FnOnce(&mut Record)) -> [usize; 5] {
        let mut evidence = evidence.clone();
        change(&mut evidence.records[number]);
        counts(&evidence)
    }

    #[test]
    fn what_is_changed_in_a_real_record_is_found() {
        if !on_postgres() {
            return;
        }
        let stage = Stage::set(Scene::Usual, false).expect("the usual stage");
        let real = Ledger::open(&stage).book_while(|| std::thread::sleep(10 * SECOND));
        let outcome = Outcome::of(&real);
        assert!(outcome.is_kept(), "{:?}", outcome.complaints);
        let [online, offline] = [0, real.records.len() - 1];
        assert!(real.records[online].receipts.iter().all(|receipt| receipt.is_delivered));
        assert!(real.records[offline].receipts.iter().all(|receipt| !receipt.is_delivered));

        // The last: by then every page had been there for long enough.
        let last = |record: &Record| record.receipts[record.receipts.len() - 1].booking;
        let is = |booking: u64| move |told: &Value| booking_of(told) == booking;
        let place = |record: &Record, booking: u64| record.live.iter().position(is(booking)).expect("heard");
        let lost = changed(&real, offline, |record| {
            let booking = last(record);
            record.listed.retain(|told| !is(booking)(told));
        });
        assert_eq!(lost, [1, 0, 0, 0, 0]);
        let never_heard = changed(&real, online, |record| {
            let of_it = place(record, last(record));
            let told = record.live.remove(of_it);
            record.listed.push(told);
        });
        assert_eq!(never_heard, [0, 0, 0, 0, 1]);
        let claimed = changed(&real, offline, |record| record.receipts[0].is_delivered = true);
        assert_eq!(claimed, [0, 0, 0, 0, 1]);
        let foreign = real.records[1].live[0].clone();
        assert_eq!(changed(&real, online, |record| record.live.push(foreign)), [0, 1, 0, 0, 0]);
        let swapped = changed(&real, online, |record| {
            let first = record.receipts[0].booking;
            let (one, other) = (place(record, first), place(record, first + 1));
            record.live.swap(one, other);
        });
        assert_eq!(swapped, [0, 0, 1, 0, 0]);
        let doubled = changed(&real, online, |record| record.live[0]["notification_id"] = json!(999_999));
        assert_eq!(doubled, [0, 0, 0, 1, 0]);
    }
}
