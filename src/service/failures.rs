//! Failed attempts to prove who one is, gathered for the audit log: a flood of them must not fill the disk.
//!
//! Attempts that are alike (the same door, reason and address) are counted for a minute. The first is written within a
//! second, all others of that minute as one row at its end. Of many addresses only some are kept apart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;

use super::Alarms;
use crate::access::{TokenError, address_key};
use crate::domain::{Action, Clock, Deed, Tenant, Timestamp};
use crate::store::{Store, Write};

/// How often it is written down what is new.
const TICK: Duration = Duration::from_secs(1);
/// For so many ticks attempts are counted together.
const TICKS: u32 = 60;
/// Attempts that are kept apart within that time.
const APART: usize = 50;

/// Where somebody failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entrance {
    /// A request of the API.
    Rest,
    /// The handshake of a feed socket.
    Handshake,
    /// `backend_connect`.
    Backend,
    /// `facilitator_connect`.
    Facilitator,
    /// `authenticate`.
    Authenticate,
    /// The dashboard.
    Dashboard,
}

impl Entrance {
    const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Handshake => "handshake",
            Self::Backend => "backend_connect",
            Self::Facilitator => "facilitator_connect",
            Self::Authenticate => "authenticate",
            Self::Dashboard => "dashboard",
        }
    }
}

/// What is counted together; nothing: all that is not kept apart.
type Alike = Option<(Entrance, TokenError, Option<IpAddr>)>;

#[derive(Default)]
struct Count {
    /// Not written yet.
    waiting: u64,
    /// Whether this minute has a row of them.
    is_written: bool,
}

#[derive(Default)]
struct Minute {
    counts: HashMap<Alike, Count>,
    ticks: u32,
}

impl Minute {
    fn note(&mut self, entrance: Entrance, refusal: TokenError, address: Option<IpAddr>) {
        let mut alike = Some((entrance, refusal, address.map(address_key)));
        if self.counts.len() >= APART && !self.counts.contains_key(&alike) {
            alike = None;
        }
        self.counts.entry(alike).or_default().waiting += 1;
    }

    /// What is to be written now: what is new; when the minute is over (or `everything` is wanted), the rest of it.
    fn take(&mut self, everything: bool) -> Vec<(Alike, u64)> {
        self.ticks += 1;
        let is_over = everything || self.ticks >= TICKS;
        let mut taken = Vec::new();
        for (alike, count) in &mut self.counts {
            if count.waiting > 0 && (is_over || !count.is_written) {
                taken.push((*alike, std::mem::take(&mut count.waiting)));
                count.is_written = true;
            }
        }
        if is_over {
            *self = Self::default();
        }
        taken
    }
}

/// Gathers failed attempts.
pub struct Failures {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    alarms: Arc<Alarms>,
    minute: Mutex<Minute>,
}

impl Failures {
    /// Written down in `store`; `alarms` hears of each.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, alarms: Arc<Alarms>) -> Arc<Self> {
        Arc::new(Self { store, clock, alarms, minute: Mutex::default() })
    }

    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.minute.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Somebody at `address` has shown this token, which was refused.
    pub fn note(&self, entrance: Entrance, refusal: TokenError, token: &str, address: Option<IpAddr>) {
        self.alarms.failed(refusal, token, address);
        self.minute().note(entrance, refusal, address);
    }

    /// `caller` of `tenant` asked for what their token does not allow.
    pub fn denied(&self, tenant: &Tenant, caller: &str) {
        self.alarms.denied(tenant, caller);
    }

    /// Writes them down, without end.
    pub async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            self.write(false).await;
        }
    }

    /// Writes down what is to be written now, or everything.
    pub async fn write(&self, everything: bool) {
        let taken = self.minute().take(everything);
        if taken.is_empty() {
            return;
        }
        let now = self.clock.now();
        let deeds = taken.into_iter().map(|(alike, count)| deed(now, alike, count)).collect();
        if let Err(fault) = self.store.write(Write::Audit(deeds)).await {
            tracing::error!(%fault, "failed attempts could not be written into the audit log");
        }
    }
}

/// Nobody knows whose tenant somebody is who proves nothing: such rows are the default tenant's.
fn deed(at: Timestamp, alike: Alike, count: u64) -> Deed {
    let (detail, address) = match alike {
        Some((entrance, refusal, address)) => {
            (json!({"door": entrance.name(), "reason": refusal.code(), "attempts": count}), address)
        }
        None => (json!({"door": "others", "attempts": count}), None),
    };
    Deed {
        at,
        tenant: Tenant::default(),
        actor: None,
        action: Action::AuthFailure,
        subject: None,
        detail: detail.to_string(),
        address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_flood_is_two_rows_a_minute() {
        let mut minute = Minute::default();
        let mut rows = Vec::new();
        for _ in 0..TICKS {
            for _ in 0..1_000 {
                minute.note(Entrance::Rest, TokenError::Invalid, from(1));
            }
            rows.extend(minute.take(false));
        }
        let counts: Vec<u64> = rows.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1_000, 59_000], "the first at once, the others together, none is left out");
    }

    #[test]
    fn many_addresses_are_bounded_and_none_is_left_out() {
        let mut minute = Minute::default();
        let mut rows = Vec::new();
        for tick in 0..TICKS {
            for last in 0..=255 {
                minute.note(Entrance::Backend, TokenError::Invalid, from(last));
                minute.note(Entrance::Rest, TokenError::Expired, from(last));
            }
            rows.extend(minute.take(tick == TICKS - 1));
        }
        assert!(rows.len() <= 2 * (APART + 1), "{}", rows.len());
        let all: u64 = rows.iter().map(|(_, count)| count).sum();
        assert_eq!(all, u64::from(TICKS) * 512);
        minute.note(Entrance::Rest, TokenError::Missing, None);
        assert_eq!(minute.take(false).len(), 1, "the next minute begins anew");
    }
}
