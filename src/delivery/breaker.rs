//! Providers that fail again and again are left alone for a while, so that they can recover, and what waits for them does
//! not use up its attempts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::channel::{Fault, Taken};

/// Faults in a row before a provider is left alone.
const FAULTS: u32 = 5;
/// For how long at first; twice as long each time, up to the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);
/// Who comes while somebody looks whether it works again waits so long.
const LOOKING: Duration = Duration::from_secs(1);
/// Providers that are remembered: those that work are not.
const MOST: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Breaker {
    faults: u32,
    opened: u32,
    until: Option<Instant>,
    /// Whether somebody looks whether it works again, and since when.
    looking: Option<Instant>,
}

/// How providers have done lately, by their names.
#[derive(Default)]
pub struct Breakers {
    all: Mutex<HashMap<String, Breaker>>,
}

impl Breakers {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Breaker>> {
        self.all.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many may go to `name` at once, of `most`: none while it is left alone, one while it fails.
    pub fn places(&self, name: &str, most: usize) -> usize {
        match self.all().get(name) {
            None => most,
            Some(breaker) if breaker.until.is_some_and(|until| until > Instant::now()) => 0,
            Some(_) => 1,
        }
    }

    /// Whether `name` may be asked; if not, how long to wait.
    ///
    /// # Errors
    /// When it is left alone.
    pub fn ask(&self, name: &str) -> Result<(), Duration> {
        let mut all = self.all();
        let Some(breaker) = all.get_mut(name) else { return Ok(()) };
        let Some(until) = breaker.until else { return Ok(()) };
        let now = Instant::now();
        if until > now {
            return Err(until - now);
        }
        if breaker.looking.is_some_and(|since| now - since < LONGEST) {
            return Err(LOOKING);
        }
        breaker.looking = Some(now);
        Ok(())
    }

    /// Notes how it did.
    pub fn note(&self, name: &str, sent: &Result<Taken, Fault>) {
        let mut all = self.all();
        let (asked, is_away) = match sent {
            Err(Fault::Retry { after, .. }) => (*after, true),
            // It answered: it works.
            _ => (None, false),
        };
        if !is_away {
            all.remove(name);
            return;
        }
        if all.len() >= MOST && !all.contains_key(name) {
            all.retain(|_, breaker| breaker.until.is_some());
        }
        let fresh = Breaker { faults: 0, opened: 0, until: None, looking: None };
        let breaker = all.entry(name.to_owned()).or_insert(fresh);
        breaker.faults += 1;
        breaker.looking = None;
        if breaker.faults >= FAULTS || breaker.opened > 0 || asked.is_some() {
            let usual = (FIRST * (1 << breaker.opened.min(5))).min(LONGEST);
            let pause = asked.map_or(usual, |asked| asked.min(LONGEST));
            breaker.until = Some(Instant::now() + pause);
            breaker.opened += 1;
            if breaker.faults == FAULTS {
                tracing::warn!(
                    provider = name,
                    "a provider fails again and again; it is left alone for a while"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Result<Taken, Fault> {
        Err(Fault::Retry { after: None, reason: "no answer".to_owned() })
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_again_and_again_is_left_alone_and_asked_once_then() {
        let breakers = Breakers::default();
        for _ in 0..FAULTS {
            assert!(breakers.ask("smtp").is_ok());
            breakers.note("smtp", &fault());
        }
        assert!(breakers.ask("smtp").is_err());
        assert!(breakers.ask("twilio").is_ok());
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_ok());
        assert_eq!(breakers.ask("smtp"), Err(LOOKING));
        breakers.note("smtp", &fault());
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_err());
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_ok());
        breakers.note("smtp", &Ok(Taken::default()));
        assert!(breakers.ask("smtp").is_ok() && breakers.ask("smtp").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_to_be_left_alone_is() {
        let breakers = Breakers::default();
        let asked = Some(Duration::from_secs(7));
        breakers.note("push", &Err(Fault::Retry { after: asked, reason: "429".to_owned() }));
        assert_eq!(breakers.ask("push"), Err(Duration::from_secs(7)));
        let refused = Err(Fault::Reject { reason: "413".to_owned() });
        breakers.note("push", &refused);
        assert!(breakers.ask("push").is_ok());
    }
}
