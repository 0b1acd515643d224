//! Counting on this node alone.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{Account, Standing, Who, tightest};

/// Callers remembered; with more of them in debt at once, the others are not counted.
const MOST: usize = 200_000;
/// Fewer are not worth a look at who can be forgotten.
const FEW: usize = 1_024;

/// When each caller is without debt.
pub struct Local(Mutex<Debts>);

struct Debts {
    free_at: HashMap<Who, Instant>,
    /// At this size it is looked who can be forgotten.
    full: usize,
}

impl Default for Local {
    fn default() -> Self {
        Self(Mutex::new(Debts { free_at: HashMap::new(), full: FEW }))
    }
}

impl Local {
    /// Counts one request to all of `accounts`, or, if one has no room, to none.
    pub(super) fn take(&self, accounts: &[Account]) -> Option<Standing> {
        self.take_at(accounts, Instant::now())
    }

    fn take_at(&self, accounts: &[Account], now: Instant) -> Option<Standing> {
        let mut debts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut owed: Vec<Duration> = accounts
            .iter()
            .map(|account| {
                debts.free_at.get(&account.who).map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
            })
            .collect();
        let is_taken = accounts.iter().zip(&owed).all(|(account, debt)| account.has_room(*debt));
        if is_taken {
            debts.make_room(now);
            for (account, debt) in accounts.iter().zip(&mut owed) {
                *debt += account.cost();
                debts.note(&account.who, now + *debt);
            }
        }
        drop(debts);
        tightest(accounts, &owed, is_taken)
    }
}

impl Debts {
    fn note(&mut self, who: &Who, free_at: Instant) {
        if let Some(at) = self.free_at.get_mut(who) {
            *at = free_at;
        } else if self.free_at.len() < MOST {
            self.free_at.insert(who.clone(), free_at);
        }
    }

    /// Who owes nothing is as one who never came.
    fn make_room(&mut self, now: Instant) {
        if self.free_at.len() >= self.full {
            self.free_at.retain(|_, at| *at > now);
            self.full = (self.free_at.len() * 2).clamp(FEW, MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{Tenant, UserId};

    fn user(name: &str, limit: u32) -> Account {
        Account { who: Who::User(Tenant::default(), UserId::new(name).ok()), limit }
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_then_one_by_one() {
        let (local, start) = (Local::default(), Instant::now());
        let (one, other) = ([user("1", 60)], [user("2", 60)]);
        for left in (0..60).rev() {
            let standing = local.take_at(&one, start).unwrap();
            assert_eq!((standing.remaining, standing.wait), (left, None));
        }
        let refused = local.take_at(&one, start).unwrap();
        assert_eq!((refused.remaining, refused.reset, refused.wait), (0, 60, Some(1)));
        assert_eq!(local.take_at(&other, start).unwrap().remaining, 59);
        let later = start + Duration::from_secs(1);
        assert_eq!(local.take_at(&one, later).unwrap().wait, None);
        assert_eq!(local.take_at(&one, later).unwrap().wait, Some(1));
        assert_eq!(local.take_at(&one, start + Duration::from_secs(3600)).unwrap().remaining, 59);
    }

    #[test]
    fn what_is_refused_to_one_costs_the_tenant_nothing() {
        let (local, now) = (Local::default(), Instant::now());
        let tenant = || Account { who: Who::Tenant(Tenant::default()), limit: 10 };
        let take = |name: &str| local.take_at(&[user(name, 2), tenant()], now).unwrap();
        assert_eq!([take("1").remaining, take("1").remaining], [1, 0]);
        assert!((0..20).all(|_| take("1").wait.is_some()));
        let rest: Vec<_> = ["2", "3", "4", "5"].iter().flat_map(|name| [take(name), take(name)]).collect();
        assert!(rest.iter().all(|standing| standing.wait.is_none()));
        // The tenant's are used up: nobody has any.
        assert_eq!((take("6").limit, take("6").wait), (10, Some(6)));
    }

    #[test]
    fn those_without_debt_are_forgotten() {
        let (local, start) = (Local::default(), Instant::now());
        for round in 0..20_u64 {
            let now = start + Duration::from_secs(10 * round);
            for name in 0..1_000 {
                local.take_at(&[user(&format!("{round} {name}"), 600)], now);
            }
        }
        assert!(local.0.lock().unwrap().free_at.len() <= 2 * FEW);
    }
}
