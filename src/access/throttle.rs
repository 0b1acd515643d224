//! Makes guessing slow without making anybody honest wait.
//!
//! A good token is never refused, and on a socket of its own it is answered at once. Failures are
//! counted per address; after a few, a socket that fails is not read for longer and longer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Failures an address has before it is held back.
const FREE: u32 = 5;
/// The first hold; it doubles with each failure.
const FIRST_HOLD: Duration = Duration::from_millis(250);
/// The longest hold: a held socket answers no ping, and must not die of it.
const LONGEST_HOLD: Duration = Duration::from_secs(10);
/// A failure is forgotten after this long.
const MEMORY: Duration = Duration::from_secs(60);
/// Addresses remembered; beyond them the forgotten are swept out.
const ADDRESSES: usize = 10_000;

/// Whom limits count as one: an IPv4 address, or an IPv6 /64 (one customer has that many).
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

struct Failures {
    count: u32,
    last: Instant,
}

/// Failed attempts by address.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

impl Throttle {
    /// Notes a failed attempt from `address` at `now`; returns how long the socket that made it must
    /// wait before its next one is looked at.
    pub fn failed(&self, address: IpAddr, now: Instant) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if failures.len() >= ADDRESSES {
            failures.retain(|_, seen| now.duration_since(seen.last) < MEMORY);
        }
        if failures.len() >= ADDRESSES {
            return LONGEST_HOLD;
        }
        let seen = failures.entry(address_key(address)).or_insert(Failures { count: 0, last: now });
        if now.duration_since(seen.last) >= MEMORY {
            seen.count = 0;
        }
        seen.count = seen.count.saturating_add(1);
        seen.last = now;
        hold(seen.count)
    }
}

/// How long somebody with `failures` wrong tokens is held back.
pub fn hold(failures: u32) -> Duration {
    match failures.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => (FIRST_HOLD * 2_u32.saturating_pow(doublings.min(10))).min(LONGEST_HOLD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_grow_and_are_forgotten() {
        let throttle = Throttle::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let start = Instant::now();
        let holds: Vec<_> = (0..20).map(|_| throttle.failed(address, start)).collect();
        assert!(holds[..5].iter().all(Duration::is_zero));
        assert_eq!(holds[5], FIRST_HOLD);
        assert_eq!(holds[6], FIRST_HOLD * 2);
        assert_eq!(holds[19], LONGEST_HOLD);
        assert!(throttle.failed(IpAddr::from([192, 0, 2, 2]), start).is_zero());
        assert!(throttle.failed(address, start + MEMORY).is_zero());
    }

    #[test]
    fn one_ipv6_customer_is_one_address() {
        let one: IpAddr = IpAddr::from([0x2001, 0xdb8, 0, 1, 1, 2, 3, 4]);
        let other: IpAddr = IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]);
        assert_eq!(address_key(one), address_key(other));
        let mapped: IpAddr = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]);
        assert_eq!(address_key(mapped), IpAddr::from([192, 0, 2, 1]));
    }
}
