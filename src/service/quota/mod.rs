//! How many requests somebody may make: so many at once as in a minute, and then one after another as the minute goes
//! by (GCRA: of each caller one number is kept, the debt). Whoever is a caller is known by the token alone.
//!
//! With Redis the nodes count together; without it, or while it is away or slow, each counts for itself.

mod local;
mod shared;

use std::time::Duration;

use self::local::Local;
pub use self::shared::Shared;
use crate::access::Principal;
use crate::domain::{Tenant, UserId};

/// The time in which a limit is given.
const MINUTE: Duration = Duration::from_secs(60);

/// Requests per minute; 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Of a person.
    pub user: u32,
    /// Of a service.
    pub service: u32,
    /// Of all people and services of a tenant together.
    pub tenant: u32,
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(Tenant, Option<UserId>),
    Service(Tenant, Option<UserId>),
    Tenant(Tenant),
}

/// Who is counted, and their limit.
struct Account {
    who: Who,
    limit: u32,
}

impl Account {
    /// What one request costs.
    const fn cost(&self) -> Duration {
        // Limits are at most one in a microsecond.
        Duration::from_nanos(MINUTE.as_nanos() as u64 / self.limit as u64)
    }

    /// Whether another request fits, with this debt.
    fn has_room(&self, debt: Duration) -> bool {
        debt + self.cost() <= self.cost() * self.limit
    }

    /// How it stands, with this debt.
    fn standing(&self, debt: Duration) -> Standing {
        let most = self.cost() * self.limit;
        let remaining = most.saturating_sub(debt).as_nanos() / self.cost().as_nanos().max(1);
        Standing {
            limit: self.limit,
            remaining: u32::try_from(remaining).unwrap_or(self.limit),
            reset: whole(debt),
            wait: None,
        }
    }

    /// How it stands when there was no room.
    fn refusal(&self, debt: Duration) -> Standing {
        let wait = (debt + self.cost()).saturating_sub(self.cost() * self.limit);
        Standing { wait: Some(whole(wait).max(1)), ..self.standing(debt) }
    }
}

/// Seconds, the begun one too.
fn whole(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What is left to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests per minute.
    pub limit: u32,
    /// How many could be made now.
    pub remaining: u32,
    /// Seconds until all could be made again.
    pub reset: u64,
    /// Seconds to wait, if this one was too many.
    pub wait: Option<u64>,
}

/// What the debts of all accounts mean for the caller: the tightest of them.
fn tightest(accounts: &[Account], debts: &[Duration], is_taken: bool) -> Option<Standing> {
    let both = accounts.iter().zip(debts.iter().copied());
    match is_taken {
        true => both.map(|(account, debt)| account.standing(debt)).min_by_key(|standing| standing.remaining),
        false => both
            .filter(|(account, debt)| !account.has_room(*debt))
            .map(|(account, debt)| account.refusal(debt))
            .max_by_key(|standing| standing.wait),
    }
}

/// Counts requests.
pub struct Quota {
    limits: Limits,
    local: Local,
    shared: Option<Shared>,
}

impl Quota {
    /// Counts on this node, or with others.
    pub fn new(limits: Limits, shared: Option<Shared>) -> Self {
        Self { limits, local: Local::default(), shared }
    }

    /// Counts one request of `who`; nothing, if there is no limit.
    pub async fn take(&self, who: &Principal) -> Option<Standing> {
        let accounts = self.accounts(who);
        if accounts.is_empty() {
            return None;
        }
        // It is counted here, too, so that nobody begins anew when Redis goes away.
        let here = self.local.take(&accounts);
        match &self.shared {
            Some(shared) => shared.take(&accounts).await.or(here),
            None => here,
        }
    }

    fn accounts(&self, who: &Principal) -> Vec<Account> {
        let Limits { user, service, tenant } = self.limits;
        let subject = || who.user.clone().or_else(|| who.facilitator.clone());
        let is_person = !who.can_send && !who.can_broadcast;
        let own = if is_person { user } else { service };
        let mut accounts = Vec::new();
        if own > 0 {
            let whose = who.tenant.clone();
            let who = if is_person { Who::User(whose, subject()) } else { Who::Service(whose, subject()) };
            accounts.push(Account { who, limit: own });
        }
        if tenant > 0 {
            accounts.push(Account { who: Who::Tenant(who.tenant.clone()), limit: tenant });
        }
        accounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_are_told_in_requests_and_seconds() {
        let account = Account { who: Who::Tenant(Tenant::default()), limit: 600 };
        let standing = |millis| {
            let standing = account.standing(Duration::from_millis(millis));
            (standing.remaining, standing.reset)
        };
        assert_eq!(standing(0), (600, 0));
        assert_eq!(standing(100), (599, 1));
        assert_eq!(standing(59_950), (0, 60));
        assert!(account.has_room(Duration::from_millis(59_900)));
        assert!(!account.has_room(Duration::from_millis(59_901)));
        assert_eq!(account.refusal(Duration::from_millis(60_000)).wait, Some(1));
        let slow = Account { limit: 1, ..account };
        assert_eq!(slow.refusal(Duration::from_secs(40)).wait, Some(40));
        // The fastest that may be set, and one that does not divide a minute.
        for limit in [60_000_000, 7] {
            let account = Account { who: Who::Tenant(Tenant::default()), limit };
            assert_eq!(account.standing(Duration::ZERO).remaining, limit);
        }
    }
}
