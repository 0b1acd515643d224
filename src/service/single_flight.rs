//! One look for everybody who asks at the same time: however many do, the database is asked once, and then once more for
//! those who came meanwhile.

use std::time::Instant;

use tokio::sync::Mutex;

/// What was seen, and when that was asked for.
struct Seen<T, E> {
    begun: Instant,
    ended: Instant,
    what: Result<T, E>,
}

/// Looks at something, one after another.
pub(super) struct SingleFlight<T, E> {
    last: Mutex<Option<Seen<T, E>>>,
}

impl<T, E> Default for SingleFlight<T, E> {
    fn default() -> Self {
        Self { last: Mutex::default() }
    }
}

impl<T: Clone, E: Clone> SingleFlight<T, E> {
    /// What `look` sees; or what another look saw that began after this was asked for, or failed since.
    ///
    /// # Errors
    /// Those of `look`.
    pub async fn at(&self, look: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(seen) = &*last
            && (seen.begun >= asked || (seen.what.is_err() && seen.ended >= asked))
        {
            return seen.what.clone();
        }
        let begun = Instant::now();
        let what = look().await;
        *last = Some(Seen { begun, ended: Instant::now(), what: what.clone() });
        what
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_are_two_looks() {
        let (look, looks) = (Arc::new(SingleFlight::<u32, ()>::default()), Arc::new(AtomicU32::new(0)));
        let ask = || {
            let (look, looks) = (look.clone(), looks.clone());
            async move {
                look.at(async || {
                    let nth = looks.fetch_add(1, Ordering::Relaxed) + 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(nth)
                })
                .await
            }
        };
        let all = futures_util::future::join_all((0..1_000).map(|_| ask())).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(looks.load(Ordering::Relaxed), 2, "who came while the first was under way see the second");
        assert_eq!(ask().await, Ok(3), "nobody is told what was so before they asked");
    }
}
