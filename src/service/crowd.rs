//! How many requests may be under way at once, and how many bytes of their bodies may be held: of one caller, of one tenant
//! and in all. Whoever finds no place is told so at once. Of those who have one, so many are worked on at once, and the others
//! wait for their turn: nobody waits in a queue that others fill.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use super::turns::{InTurn, Turns};
use crate::access::{Principal, address_key};
use crate::domain::Tenant;
use crate::telemetry::{Metrics, Refusal};

/// A body that is no longer than this is not counted: the request is.
const SMALL: usize = 16 * 1024;

/// How many at once; bodies in bytes, of which a tenant may have half and a caller a quarter.
#[derive(Clone, Copy, Debug)]
pub struct CrowdLimits {
    /// Requests of a person.
    pub user: usize,
    /// Of a service: whoever may send to others.
    pub service: usize,
    /// Of all people and services of a tenant.
    pub tenant: usize,
    /// In all.
    pub all: usize,
    /// Bytes of all bodies.
    pub bodies: usize,
    /// Bytes of the longest body.
    pub longest: usize,
    /// Writes that may wait for their commit before another one is refused.
    pub writes: i64,
    /// Requests that are worked on at once: those that only read, and those that may write. Beyond them, callers are let in by
    /// turns.
    pub at_work: [usize; 2],
}

/// Of each kind, so many of one caller's are worked on whatever others do.
const FEW: [usize; 2] = [2, 8];

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The caller has as many requests under way as they may.
    Caller(usize),
    /// So does their tenant.
    Tenant(usize),
    /// Bodies of the caller's requests hold as many bytes as they may.
    CallerBodies(usize),
    /// So do those of their tenant's.
    TenantBodies(usize),
    /// All whom nobody knows have together as many requests under way, or bytes of their bodies, as they may.
    Strangers,
    /// All callers have as many requests under way as there may be.
    Everybody,
    /// Bodies of all requests hold as many bytes as there is memory for.
    Bodies,
    /// More writes wait for the database than may.
    Behind,
}

/// What somebody has under way.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    requests: usize,
    bytes: usize,
}

/// A caller: of which tenant, by which name, and whether as a service. Strangers have no tenant, and are known by their address.
type Caller = (Option<Tenant>, Box<str>, bool);

#[derive(Default)]
struct Here {
    all: Load,
    tenants: HashMap<Option<Tenant>, Load>,
    callers: HashMap<Caller, Load>,
}

/// Everybody who is being answered.
pub struct Crowd {
    limits: CrowdLimits,
    here: Mutex<Here>,
    /// For reading, and for writing.
    turns: [Arc<Turns<Caller>>; 2],
    metrics: Arc<Metrics>,
}

/// The right to be worked on; given back when dropped.
pub struct Turn {
    _held: InTurn<Caller>,
}

/// The right to be answered; given back when dropped.
pub struct Place {
    crowd: Arc<Crowd>,
    caller: Caller,
    bytes: Mutex<usize>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(limits: CrowdLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        let turns = [0, 1].map(|kind| Turns::new(limits.at_work[kind], FEW[kind]));
        Arc::new(Self { limits, here: Mutex::default(), turns, metrics })
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// One more request of `who`; `writes` says whether it changes anything.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn enter(self: &Arc<Self>, who: &Principal, writes: bool) -> Result<Place, Crowded> {
        let is_service = who.can_send || who.can_broadcast;
        let name = who.user.as_ref().or(who.facilitator.as_ref()).map_or("", |user| user.as_str());
        let is_behind = writes && self.metrics.write_queue.get() >= self.limits.writes;
        self.counted(match is_behind {
            true => Err(Crowded::Behind),
            false => self.place((Some(who.tenant.clone()), Box::from(name), is_service)),
        })
    }

    /// One more body of somebody at `address` whom nobody knows yet: all of them together are as one tenant.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn admit_stranger(self: &Arc<Self>, address: IpAddr) -> Result<Place, Crowded> {
        self.counted(self.place((None, address_key(address).to_string().into(), false)))
    }

    fn counted(&self, place: Result<Place, Crowded>) -> Result<Place, Crowded> {
        place.inspect_err(|_| self.metrics.refused(Refusal::Busy))
    }

    fn place(self: &Arc<Self>, caller: Caller) -> Result<Place, Crowded> {
        let own = if caller.2 { self.limits.service } else { self.limits.user };
        let mut here = self.lock();
        if here.callers.get(&caller).is_some_and(|load| load.requests >= own) {
            return Err(Crowded::Caller(own));
        }
        if here.tenants.get(&caller.0).is_some_and(|load| load.requests >= self.limits.tenant) {
            return Err(match caller.0 {
                Some(_) => Crowded::Tenant(self.limits.tenant),
                None => Crowded::Strangers,
            });
        }
        if here.all.requests >= self.limits.all {
            return Err(Crowded::Everybody);
        }
        here.all.requests += 1;
        here.tenants.entry(caller.0.clone()).or_default().requests += 1;
        here.callers.entry(caller.clone()).or_default().requests += 1;
        self.metrics.requests.inc();
        Ok(Place { crowd: self.clone(), caller, bytes: Mutex::default() })
    }
}

impl Place {
    /// Waits until this request may be worked on, which `writes` or not.
    pub async fn turn(&self, writes: bool) -> Turn {
        Turn { _held: self.crowd.turns[usize::from(writes)].take(self.caller.clone()).await }
    }

    /// The body of this request has come to so many bytes.
    ///
    /// # Errors
    /// When bodies hold as many as they may.
    pub fn holds(&self, bytes: usize) -> Result<(), Crowded> {
        let mut held = self.bytes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if bytes <= SMALL || bytes <= *held {
            return Ok(());
        }
        let more = bytes - *held;
        let CrowdLimits { bodies, longest, .. } = self.crowd.limits;
        let mut here = self.crowd.lock();
        let is_over =
            |load: Option<&Load>, most: usize| load.map_or(0, |load| load.bytes) + more > most.max(longest);
        let (of_caller, of_tenant) = (bodies / 4, bodies / 2);
        let full = if is_over(here.callers.get(&self.caller), of_caller) {
            Some(Crowded::CallerBodies(of_caller.max(longest)))
        } else if is_over(here.tenants.get(&self.caller.0), of_tenant) {
            Some(match self.caller.0 {
                Some(_) => Crowded::TenantBodies(of_tenant.max(longest)),
                None => Crowded::Strangers,
            })
        } else {
            is_over(Some(&here.all), bodies).then_some(Crowded::Bodies)
        };
        if let Some(full) = full {
            drop(here);
            self.crowd.metrics.refused(Refusal::Busy);
            return Err(full);
        }
        here.all.bytes += more;
        here.tenants.entry(self.caller.0.clone()).or_default().bytes += more;
        here.callers.entry(self.caller.clone()).or_default().bytes += more;
        *held = bytes;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bytes = *self.bytes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut here = self.crowd.lock();
        here.all.requests -= 1;
        here.all.bytes -= bytes;
        leave(&mut here.tenants, &self.caller.0, bytes);
        leave(&mut here.callers, &self.caller, bytes);
        self.crowd.metrics.requests.dec();
    }
}

/// One less; who has nothing under way is not remembered.
fn leave<K: Hash + Eq>(loads: &mut HashMap<K, Load>, who: &K, bytes: usize) {
    if let Some(load) = loads.get_mut(who) {
        load.requests = load.requests.saturating_sub(1);
        load.bytes = load.bytes.saturating_sub(bytes);
        if load.requests == 0 {
            loads.remove(who);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::UserId;

    fn who(tenant: &str, user: &str, can_send: bool) -> Principal {
        Principal {
            tenant: Tenant::new(tenant).unwrap(),
            user: UserId::new(user).ok(),
            facilitator: None,
            roles: Vec::new(),
            can_send,
            can_broadcast: false,
            can_write_templates: false,
            can_manage_webhooks: false,
            can_manage_privacy: false,
            expires_at: None,
        }
    }

    fn crowd() -> Arc<Crowd> {
        let limits = CrowdLimits {
            user: 2,
            service: 4,
            tenant: 5,
            all: 7,
            bodies: 400_000,
            longest: 50_000,
            writes: 10,
            at_work: [4, 4],
        };
        Crowd::new(limits, Arc::default())
    }

    #[test]
    fn one_caller_leaves_room_for_others_and_one_tenant_for_the_next() {
        let crowd = crowd();
        let enter = |who: &Principal| crowd.enter(who, false);
        let (ada, bea, shop) = (who("a", "1", false), who("a", "2", false), who("a", "shop", true));
        let mut held = vec![enter(&ada).unwrap(), enter(&ada).unwrap()];
        assert_eq!(enter(&ada).err(), Some(Crowded::Caller(2)));
        held.extend([enter(&bea).unwrap(), enter(&shop).unwrap(), enter(&shop).unwrap()]);
        assert_eq!(enter(&shop).err(), Some(Crowded::Tenant(5)));
        held.extend([enter(&who("b", "1", false)).unwrap(), enter(&who("b", "2", false)).unwrap()]);
        assert_eq!(enter(&who("c", "1", false)).err(), Some(Crowded::Everybody));
        held.remove(0);
        held.push(enter(&who("c", "1", false)).unwrap());
        drop(held);
        let here = crowd.lock();
        assert_eq!((here.all.requests, here.tenants.len(), here.callers.len()), (0, 0, 0));
        assert_eq!(crowd.metrics.requests.get(), 0);
    }

    #[test]
    fn bodies_share_what_memory_there_is() {
        let crowd = crowd();
        let ada = crowd.enter(&who("a", "1", false), true).unwrap();
        assert_eq!(ada.holds(SMALL), Ok(()));
        assert_eq!(crowd.lock().all.bytes, 0, "what is small is not counted");
        assert_eq!((ada.holds(60_000), ada.holds(100_000)), (Ok(()), Ok(())));
        assert_eq!(ada.holds(100_001), Err(Crowded::CallerBodies(100_000)), "a quarter for one caller");
        let others: Vec<_> =
            (2..=4).map(|user| crowd.enter(&who("a", &user.to_string(), false), true).unwrap()).collect();
        assert_eq!(others[0].holds(100_000), Ok(()));
        assert_eq!(others[1].holds(20_000), Err(Crowded::TenantBodies(200_000)), "half for one tenant");
        let elsewhere = crowd.enter(&who("b", "1", false), true).unwrap();
        assert_eq!(elsewhere.holds(100_000), Ok(()));
        let strangers: Vec<_> =
            (0..2).map(|last| crowd.admit_stranger(IpAddr::from([192, 0, 2, last])).unwrap()).collect();
        assert_eq!(strangers[0].holds(100_000), Ok(()));
        assert_eq!(strangers[1].holds(20_000), Err(Crowded::Bodies), "all memory is in use");
        drop((ada, others, elsewhere, strangers));
        assert_eq!(crowd.lock().all.bytes, 0);
    }

    #[test]
    fn nothing_more_is_written_while_the_database_is_behind() {
        let crowd = crowd();
        crowd.metrics.write_queue.set(10);
        let ada = who("a", "1", false);
        assert_eq!(crowd.enter(&ada, true).err(), Some(Crowded::Behind));
        assert!(crowd.enter(&ada, false).is_ok(), "who only reads is answered");
    }
}
