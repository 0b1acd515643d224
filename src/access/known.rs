//! Tokens that were found good before: whoever calls again and again shows the same one.
//!
//! Promise: no longer than it is valid, and not a moment longer than the keys that it was checked with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Principal;
use super::jwks::Set;
use crate::domain::Timestamp;

/// Tokens remembered at most; beyond them it starts anew.
const MOST: usize = 10_000;

/// A token's SHA-256: what is remembered opens nothing.
pub type Fingerprint = [u8; 32];

/// Who showed which token.
#[derive(Default)]
pub struct Known(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// The keys they were checked with.
    set: Option<Arc<Set>>,
    principals: HashMap<Fingerprint, Principal>,
}

impl Known {
    /// Whom the token speaks for, if it was found good by this `set` of keys and has not expired `now`.
    pub fn find(&self, set: &Arc<Set>, token: &Fingerprint, now: Timestamp) -> Option<Principal> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.set.as_ref().is_some_and(|before| Arc::ptr_eq(before, set)) {
            return None;
        }
        let principal = known.principals.get(token)?;
        if principal.expires_at.is_some_and(|at| now < at) {
            return Some(principal.clone());
        }
        known.principals.remove(token);
        None
    }

    /// Remembers that this `set` found it good.
    pub fn keep(&self, set: &Arc<Set>, token: Fingerprint, principal: &Principal) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = known.set.as_ref().is_some_and(|before| Arc::ptr_eq(before, set));
        if !is_same || known.principals.len() >= MOST {
            known.principals.clear();
            known.set = Some(set.clone());
        }
        known.principals.insert(token, principal.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Tenant;

    fn principal(expires_at: i64) -> Principal {
        Principal {
            tenant: Tenant::default(),
            user: None,
            facilitator: None,
            roles: Vec::new(),
            can_send: true,
            can_broadcast: false,
            can_write_templates: false,
            can_manage_webhooks: false,
            can_manage_privacy: false,
            expires_at: Some(Timestamp::from_micros(expires_at)),
        }
    }

    #[test]
    fn it_is_forgotten_in_time() {
        let (known, keys) = (Known::default(), Set::of(Vec::new()));
        let at = Timestamp::from_micros;
        assert_eq!(known.find(&keys, &[1; 32], at(0)), None);
        known.keep(&keys, [1; 32], &principal(100));
        assert_eq!(known.find(&keys, &[1; 32], at(99)), Some(principal(100)));
        assert_eq!(known.find(&keys, &[2; 32], at(99)), None);
        assert_eq!(known.find(&keys, &[1; 32], at(100)), None, "it has expired");
        assert_eq!(known.find(&keys, &[1; 32], at(99)), None, "and is forgotten");
    }

    #[test]
    fn other_keys_check_anew() {
        let (known, keys, others) = (Known::default(), Set::of(Vec::new()), Set::of(Vec::new()));
        known.keep(&keys, [1; 32], &principal(100));
        assert_eq!(known.find(&others, &[1; 32], Timestamp::from_micros(0)), None);
        known.keep(&others, [2; 32], &principal(100));
        assert_eq!(known.find(&others, &[1; 32], Timestamp::from_micros(0)), None);
    }

    #[test]
    fn no_more_than_so_many() {
        let (known, keys) = (Known::default(), Set::of(Vec::new()));
        for number in 0..=MOST as u64 {
            let mut token = [0; 32];
            token[..8].copy_from_slice(&number.to_be_bytes());
            known.keep(&keys, token, &principal(100));
        }
        assert_eq!(known.0.lock().unwrap_or_else(PoisonError::into_inner).principals.len(), 1);
    }
}
