//! Writes down what came of attempts, many in one commit, for those who try.
//!
//! Promise: what cannot be written down holds up nothing else. What a provider said is the only thing in a report that is not
//! ours; if a report is refused again and again, it is written down without that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::store::{StoreError, Tried, WebhookTried, Written};

/// Reports that are written down in one commit.
const TOGETHER: usize = 256;
/// After a fault of the database.
const RESPITE: Duration = Duration::from_secs(1);
/// A report that was refused so often, alone, is written down without what somebody else said.
const MOST_REFUSALS: u32 = 5;

/// What came of an attempt.
pub trait Report: Clone {
    /// The same, without what somebody else said.
    fn bare(&mut self);
}

impl Report for Tried {
    fn bare(&mut self) {
        self.outcome = self.outcome.clone().bare();
    }
}

impl Report for WebhookTried {
    fn bare(&mut self) {
        self.outcome = self.outcome.clone().bare();
    }
}

/// The next reports, as far as there are any; nothing, when nobody reports any more.
pub async fn next<R>(reports: &mut UnboundedReceiver<R>) -> Option<Arc<[R]>> {
    let mut all = Vec::new();
    (reports.recv_many(&mut all, TOGETHER).await > 0).then(|| all.into())
}

/// Writes down `all` by `write`, however long that takes. What is refused together is written down in halves.
pub async fn note<R, F>(all: Arc<[R]>, of: &'static str, write: impl Fn(Arc<[R]>) -> F)
where
    R: Report,
    F: Future<Output = Result<Written, StoreError>>,
{
    let mut parts = VecDeque::from([(all, 0)]);
    while let Some((mut part, refusals)) = parts.pop_front() {
        let Err(fault) = write(part.clone()).await else { continue };
        tracing::warn!(%fault, attempts = part.len(), of, "what came of attempts could not be noted; trying again");
        tokio::time::sleep(RESPITE).await;
        if part.len() > 1 {
            let (one, other) = part.split_at(part.len() / 2);
            parts.extend([(one.into(), 0), (other.into(), 0)]);
            continue;
        }
        if refusals + 1 == MOST_REFUSALS {
            part = part
                .iter()
                .cloned()
                .map(|mut one| {
                    one.bare();
                    one
                })
                .collect();
        }
        parts.push_back((part, refusals + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Said(&'static str);

    impl Report for Said {
        fn bare(&mut self) {
            self.0 = "";
        }
    }

    /// A database that refuses everything in a commit in which one is at fault.
    async fn noted(said: &[&'static str]) -> Vec<&'static str> {
        let kept = Mutex::new(Vec::new());
        let write = |part: Arc<[Said]>| {
            let is_odd = part.iter().any(|one| one.0 == "odd");
            if let (false, Ok(mut kept)) = (is_odd, kept.lock()) {
                kept.extend(part.iter().map(|one| one.0));
            }
            async move {
                if is_odd { Err(StoreError::Commit("refused".to_owned())) } else { Ok(Written::Changed(0)) }
            }
        };
        note(said.iter().map(|one| Said(one)).collect(), "tests", write).await;
        kept.into_inner().unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_down_holds_up_nothing_else() {
        assert_eq!(noted(&["one", "two"]).await, ["one", "two"]);
        assert_eq!(noted(&["one", "odd", "two", "three"]).await, ["two", "three", "one", ""]);
        assert_eq!(noted(&["odd"]).await, [""]);
    }
}
