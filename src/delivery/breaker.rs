//! Providers that fail again and again are left alone for a while, so that they can recover, and what waits for them does
//! not use up its attempts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::channel::{Fault, Taken};

/// Faults in a row before a provider is left alone.
const FAULTS: u32 = 5;
/// For how long at first; twice as long each time, up to the longest: one that works again is noticed within half a minute.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(20);
/// For how long if it names a time itself.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// Who comes while somebody looks whether it works again waits so long.
const LOOKING: Duration = Duration::from_secs(1);
/// Providers that are remembered: those that work are not.
const MOST: usize = 10_000;

#[derive(Clone, Debug, Default)]
struct Breaker {
    faults: u32,
    /// Devices that it wants fewer pushes for, some of them: each is one reason, however often it is said.
    slowed: Vec<i64>,
    opened: u32,
    until: Option<Instant>,
    /// Whether somebody looks whether it works again, and since when.
    looking: Option<Instant>,
}

impl Breaker {
    /// How long it is left alone, or somebody else looks whether it works again.
    fn left(&self, until: Instant, now: Instant) -> Option<Duration> {
        match self.looking {
            _ if until > now => Some(until - now),
            Some(since) if now - since < LONGEST => Some(LOOKING),
            _ => None,
        }
    }
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

    /// Whether `name` fails again and again.
    pub fn is_failing(&self, name: &str) -> bool {
        self.all().get(name).is_some_and(|breaker| breaker.until.is_some())
    }

    /// How many may be begun with `name` now, of `most`: one, to see whether it works again.
    ///
    /// # Errors
    /// How long to wait, when none may.
    pub fn room(&self, name: &str, most: usize) -> Result<usize, Duration> {
        let all = self.all();
        let Some((breaker, until)) = all.get(name).and_then(|breaker| Some((breaker, breaker.until?))) else {
            return Ok(most);
        };
        match breaker.left(until, Instant::now()) {
            Some(left) => Err(left),
            None => Ok(most.min(1)),
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
        if let Some(left) = breaker.left(until, now) {
            return Err(left);
        }
        breaker.looking = Some(now);
        Ok(())
    }

    /// Notes how it did; with what was for this device, if it was for one.
    pub fn note(&self, name: &str, device: Option<i64>, sent: &Result<Taken, Fault>) {
        let mut all = self.all();
        let (asked, is_away, is_certain) = match sent {
            Err(Fault::Retry { after, .. }) => (*after, true, after.is_some()),
            Err(Fault::Slow { after, .. }) => (*after, true, false),
            Err(Fault::Unsure { .. }) => (None, true, false),
            // Nobody was asked: whoever comes next looks whether it works.
            Err(Fault::Unfit { .. }) => {
                all.entry(name.to_owned()).and_modify(|breaker| breaker.looking = None);
                return;
            }
            // It answered: it works.
            Ok(_) | Err(Fault::Later { .. } | Fault::Reject { .. } | Fault::Gone { .. }) => {
                (None, false, false)
            }
        };
        if !is_away {
            all.remove(name);
            return;
        }
        let now = Instant::now();
        if all.len() >= MOST && !all.contains_key(name) {
            all.retain(|_, breaker| breaker.until.is_some_and(|until| until + LONGEST > now));
        }
        let breaker = all.entry(name.to_owned()).or_default();
        if let (Err(Fault::Slow { .. }), Some(device)) = (sent, device) {
            if breaker.slowed.contains(&device) {
                // This says nothing new: whoever comes next looks whether it works for others.
                breaker.looking = None;
                return;
            }
            if breaker.slowed.len() < FAULTS as usize {
                breaker.slowed.push(device);
            }
        }
        breaker.faults += 1;
        if let Some(until) = breaker.until.filter(|until| *until > now) {
            // What was under way when it was left alone says nothing new, unless it names a time.
            let asked = asked.map_or(until, |asked| now + asked.min(LONGEST_ASKED));
            breaker.until = Some(until.max(asked));
            return;
        }
        breaker.looking = None;
        if breaker.faults >= FAULTS || breaker.opened > 0 || is_certain {
            let usual = (FIRST * (1 << breaker.opened.min(5))).min(LONGEST);
            let pause = asked.map_or(usual, |asked| asked.min(LONGEST_ASKED));
            breaker.until = Some(now + pause);
            breaker.opened += 1;
            if breaker.opened == 1 {
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
            breakers.note("smtp", None, &fault());
        }
        assert!(breakers.ask("smtp").is_err());
        assert!(breakers.ask("twilio").is_ok());
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_ok());
        assert_eq!(breakers.ask("smtp"), Err(LOOKING));
        breakers.note("smtp", None, &fault());
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_err());
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_ok());
        breakers.note("smtp", None, &Ok(Taken::default()));
        assert!(breakers.ask("smtp").is_ok() && breakers.ask("smtp").is_ok());
    }

    /// Many that were under way together are one reason to leave a provider alone, not many.
    #[tokio::test(start_paused = true)]
    async fn who_works_again_is_noticed_within_half_a_minute() {
        let breakers = Breakers::default();
        (0..64).for_each(|_| breakers.note("smtp", None, &fault()));
        assert_eq!(breakers.ask("smtp"), Err(FIRST));
        assert_eq!(breakers.room("smtp", 9), Err(FIRST));
        tokio::time::advance(FIRST).await;
        assert_eq!(breakers.room("smtp", 9), Ok(1));
        for _ in 0..20 {
            assert!(breakers.ask("smtp").is_ok());
            assert_eq!(breakers.room("smtp", 9), Err(LOOKING), "somebody looks");
            breakers.note("smtp", None, &fault());
            let left = breakers.ask("smtp").err().unwrap_or_default();
            assert!(left <= Duration::from_secs(20), "{left:?}");
            tokio::time::advance(left).await;
        }
        assert!(breakers.ask("smtp").is_ok());
        breakers.note("smtp", None, &Ok(Taken::default()));
        assert_eq!(breakers.room("smtp", 9), Ok(9));
    }

    /// What was refused here says nothing of the provider.
    #[tokio::test(start_paused = true)]
    async fn what_was_asked_of_nobody_opens_no_door() {
        let breakers = Breakers::default();
        let unfit = Err(Fault::Unfit { reason: "its address is none".to_owned() });
        (0..FAULTS).for_each(|_| breakers.note("smtp", None, &fault()));
        breakers.note("smtp", None, &unfit);
        assert!(breakers.ask("smtp").is_err(), "it is left alone still");
        tokio::time::advance(FIRST).await;
        assert!(breakers.ask("smtp").is_ok());
        breakers.note("smtp", None, &unfit);
        assert_eq!(breakers.room("smtp", 9), Ok(1), "one more may look, and no more than one");
        breakers.note("twilio", None, &unfit);
        assert_eq!(breakers.room("twilio", 9), Ok(9));
    }

    /// One device that gets too much says nothing of others, however often; several do.
    #[tokio::test(start_paused = true)]
    async fn one_that_is_slowed_holds_up_no_other() {
        let breakers = Breakers::default();
        let slow = Err(Fault::Slow { after: Some(Duration::from_secs(600)), reason: "429".to_owned() });
        for _ in 0..9 * FAULTS {
            breakers.note("push", Some(1), &slow);
            assert!(breakers.ask("push").is_ok());
        }
        let others = 2..=i64::from(FAULTS);
        others.clone().for_each(|device| breakers.note("push", Some(device), &slow));
        assert_eq!(breakers.ask("push"), Err(LONGEST_ASKED), "no longer than this, whatever it says");
        tokio::time::advance(LONGEST_ASKED).await;
        assert!(breakers.ask("push").is_ok());
        breakers.note("push", Some(2), &slow);
        assert_eq!(breakers.room("push", 9), Ok(1), "one that is known says nothing; another may look");
        breakers.note("push", Some(99), &slow);
        assert_eq!(breakers.ask("push"), Err(LONGEST_ASKED));
        breakers.note("push", Some(3), &Ok(Taken::default()));
        others.for_each(|device| breakers.note("push", Some(device), &slow));
        assert!(breakers.ask("push").is_ok(), "they are counted anew");
    }

    /// Who was left alone long ago is forgotten when there are many.
    #[tokio::test(start_paused = true)]
    async fn what_matters_no_more_is_not_kept() {
        let breakers = Breakers::default();
        let asked = Err(Fault::Retry { after: Some(FIRST), reason: "429".to_owned() });
        (0..MOST).for_each(|number| breakers.note(&format!("push {number}"), None, &asked));
        tokio::time::advance(LONGEST).await;
        breakers.note("smtp", None, &asked);
        assert_eq!(breakers.all().len(), MOST + 1, "they may fail again at once");
        tokio::time::advance(FIRST).await;
        breakers.note("twilio", None, &asked);
        assert_eq!(breakers.all().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_to_be_left_alone_is() {
        let breakers = Breakers::default();
        let asked = Some(Duration::from_secs(7));
        breakers.note("push", None, &Err(Fault::Retry { after: asked, reason: "429".to_owned() }));
        assert_eq!(breakers.ask("push"), Err(Duration::from_secs(7)));
        let refused = Err(Fault::Reject { reason: "413".to_owned() });
        breakers.note("push", None, &refused);
        assert!(breakers.ask("push").is_ok());
    }
}
