//! Who was booked, what was answered, what arrived. Promises: an answer or arrival that is unknown, repeated, of
//! the wrong kind or for the wrong facilitator is a fault, and a fault fails the round.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::client::Event;

/// Shared by the tasks of a round; the load tool has one thread, so nobody ever waits for it.
pub type SharedLedger = Arc<Mutex<Ledger>>;

pub struct Ledger {
    facilitators: u64,
    expected: Expected,
    bookings: Vec<Booking>,
    notification_ids: HashSet<i64>,
    answered: usize,
    arrived: usize,
    fault: Option<String>,
}

/// What a booking must be answered by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Stored,
    Delivered,
    /// It must arrive, but whoever answers may not know of that.
    Any,
}

struct Booking {
    due: Instant,
    /// Whichever of answer and arrival came first told it.
    id: Option<i64>,
    answered: Option<Duration>,
    arrived: Option<Duration>,
}

#[derive(Deserialize)]
struct Answer {
    booking_id: u64,
    facilitator_id: u64,
    notification_id: i64,
}

#[derive(Deserialize)]
struct Arrival {
    booking_id: u64,
    notification_id: i64,
}

impl Ledger {
    /// A ledger of bookings that go round `facilitators` (numbered from 1).
    pub fn shared(facilitators: u64, expected: Expected) -> SharedLedger {
        Arc::new(Mutex::new(Self {
            facilitators,
            expected,
            bookings: Vec::new(),
            notification_ids: HashSet::new(),
            answered: 0,
            arrived: 0,
            fault: None,
        }))
    }

    /// Writes down a booking that is due at `due` and gives its event data, the size and shape of the seed's example.
    pub fn issue(&mut self, due: Instant) -> String {
        self.bookings.push(Booking { due, id: None, answered: None, arrived: None });
        let id = self.bookings.len() as u64;
        let facilitator = self.facilitator_of(id);
        format!(
            r#"{{"booking_id":{id},"user":{{"id":{user},"name":"Jane Smith","email":"jane{user}@example.com"}},"session":{{"id":{facilitator},"title":"Morning Meditation","start_time":"2030-01-15T09:00:00"}},"facilitator_id":{facilitator}}}"#,
            user = id % 977 + 1,
        )
    }

    /// Takes one event of a back end.
    pub fn answer(&mut self, event: &Event) -> Result<()> {
        let (stored, delivered) = (event.name() == b"notification_stored", event.name() == b"notification_delivered");
        let expected = match self.expected {
            Expected::Stored => stored,
            Expected::Delivered => delivered,
            Expected::Any => stored || delivered,
        };
        ensure!(expected, "unexpected answer {event}");
        let Answer { booking_id, facilitator_id, notification_id } = event.data()?;
        ensure!(self.facilitator_of(booking_id) == facilitator_id, "answer for the wrong facilitator: {event}");
        let booking = self.booking(booking_id)?;
        ensure!(booking.answered.is_none(), "booking {booking_id} was answered twice");
        booking.answered = Some(booking.due.elapsed());
        ensure!(*booking.id.get_or_insert(notification_id) == notification_id, "it arrived by another id: {event}");
        self.answered += 1;
        ensure!(self.notification_ids.insert(notification_id), "notification id {notification_id} came twice");
        Ok(())
    }

    /// Takes one event of a facilitator.
    pub fn arrival(&mut self, facilitator: u64, event: &Event) -> Result<()> {
        if event.name() != b"new_booking_notification" {
            return Ok(());
        }
        let Arrival { booking_id, notification_id } = event.data()?;
        ensure!(notification_id != 0, "an arrival without an id: {event}");
        ensure!(
            self.facilitator_of(booking_id) == facilitator,
            "facilitator {facilitator} got somebody else's {event}"
        );
        let booking = self.booking(booking_id)?;
        ensure!(booking.arrived.is_none(), "booking {booking_id} arrived twice");
        booking.arrived = Some(booking.due.elapsed());
        ensure!(
            *booking.id.get_or_insert(notification_id) == notification_id,
            "it was answered by another id: {event}"
        );
        self.arrived += 1;
        Ok(())
    }

    /// Remembers what went wrong in a task that nobody waits for.
    pub fn fail(&mut self, fault: &anyhow::Error) {
        self.fault.get_or_insert(format!("{fault:#}"));
    }

    /// Whether every answer, and every arrival where one is due, is in.
    pub fn complete(&self) -> Result<bool> {
        if let Some(fault) = &self.fault {
            bail!("{fault}");
        }
        let sent = self.sent();
        Ok(self.answered == sent && (self.expected == Expected::Stored || self.arrived == sent))
    }

    /// Expects something else from now on.
    pub fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// When each booking after the first `skip` was answered, and when it arrived.
    pub fn moments(&self, skip: usize) -> Vec<(Instant, Instant)> {
        let both = |booking: &Booking| Some((booking.due + booking.answered?, booking.due + booking.arrived?));
        self.bookings[skip..].iter().filter_map(both).collect()
    }

    pub fn sent(&self) -> usize {
        self.bookings.len()
    }

    /// The state in words, for when a round is given up.
    pub fn state(&self) -> String {
        format!("{} bookings, {} answers, {} arrivals", self.sent(), self.answered, self.arrived)
    }

    /// Times from due to answered, and from due to arrived, in µs and sorted, of the bookings after the first `skip`.
    pub fn latencies(&self, skip: usize) -> (Vec<f64>, Vec<f64>) {
        let sorted = |pick: fn(&Booking) -> Option<Duration>| {
            let times = self.bookings[skip..].iter().filter_map(pick);
            let mut micros: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e6).collect();
            micros.sort_by(f64::total_cmp);
            micros
        };
        (sorted(|booking| booking.answered), sorted(|booking| booking.arrived))
    }

    fn facilitator_of(&self, booking_id: u64) -> u64 {
        booking_id % self.facilitators + 1
    }

    fn booking(&mut self, id: u64) -> Result<&mut Booking> {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        index.and_then(|index| self.bookings.get_mut(index)).with_context(|| format!("unknown booking {id}"))
    }
}

/// The ledger, also after a panic elsewhere.
pub fn open(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
