//! Takes deliveries whose turn has come, hands them to their providers, and notes what those said.
//!
//! Promises: each channel has its own loop and its own places, so that a provider that hangs holds up its own deliveries
//! only. A delivery is this process's for half a minute: whoever dies with it has lost nothing, another one goes on, and what
//! comes of the earlier attempt then counts no more. What a provider took just before a crash may go out a second time, under
//! the same key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::Breakers;
use super::channel::{Channel as Provider, Fault, Letter, Parcel, Taken};
use super::letter::Letters;
use super::noting;
use crate::domain::{Channel, Clock, MOST_UNANSWERED, Recipient, Until, pause};
use crate::store::{
    Claimed, HELD_SECONDS, Outcome, RETRACTED_TOGETHER, SmsCaps, State, Store, StoreError, Tried, Write,
    Written,
};
use crate::telemetry::Metrics;
use crate::telemetry::traces::Span;

/// Deliveries that are taken in one commit.
const TOGETHER: usize = 256;
/// How often it is looked for what somebody left who died, or another node made.
const LOOK: Duration = Duration::from_secs(1);
/// After a fault of the database.
const RESPITE: Duration = Duration::from_secs(1);
/// Why a push that was read elsewhere is still shown, perhaps.
const NOT_TAKEN_BACK: &str = "it could not be taken back";
/// When all that is due was somebody else's.
const BRIEFLY: Duration = Duration::from_millis(20);
/// A provider's time, whatever is set: less than a delivery is held for.
pub(super) const LONGEST: Duration = Duration::from_secs(20);
/// What comes before that may take so long: then the rest of the time for which it is held is the provider's, but for what it
/// takes to note what they said.
pub(super) const READY: Duration = Duration::from_secs(HELD_SECONDS as u64 - LONGEST.as_secs() - 2);
/// Why somebody else may have it by now, so that nobody is asked.
pub(super) const TOO_LATE: &str = "this process or the database was too slow; nobody was asked";

/// A provider, and how much may be asked of it.
#[derive(Clone)]
pub struct Way {
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// How many deliveries may be under way at once.
    pub at_once: usize,
    /// How many may begin in a second; 0: as many as there are.
    pub per_second: u32,
}

/// How a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nobody is set up to take what goes it.
    Unset,
    /// A file takes it.
    Sink,
    /// Its provider fails again and again, and is left alone for now.
    Failing,
    /// Nothing is known against it.
    Well,
}

/// What is due.
enum Turn {
    /// These, of so many that were looked at; they are held since then, at least.
    Taken(Arc<[Claimed]>, usize, Instant),
    /// Nothing, for so long.
    Idle(Duration),
}

/// Sends what is due.
pub struct Dispatch {
    store: Arc<Store>,
    letters: Letters,
    ways: HashMap<Channel, Way>,
    caps: SmsCaps,
    pauses: Vec<Duration>,
    breakers: Breakers,
    something_new: [Notify; 4],
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Dispatch {
    /// Takes from `store` what goes by one of `ways`, written as `letters` say; what fails is tried again after each of
    /// `pauses`.
    pub fn new(
        store: Arc<Store>,
        letters: Letters,
        ways: HashMap<Channel, Way>,
        caps: SmsCaps,
        pauses: Vec<Duration>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let (breakers, something_new) = (Breakers::default(), Default::default());
        Arc::new(Self { store, letters, ways, caps, pauses, breakers, something_new, clock, metrics })
    }

    /// How `channel` is. Push services are many, and anybody's browser names one: what they do says nothing of pushes.
    pub fn condition(&self, channel: Channel) -> Condition {
        match self.ways.get(&channel).map(|way| way.provider.name()) {
            None => Condition::Unset,
            Some("sink") => Condition::Sink,
            Some(name) if channel != Channel::Push && self.breakers.is_failing(name) => Condition::Failing,
            Some(_) => Condition::Well,
        }
    }

    /// Something new may be due.
    pub fn wake(&self) {
        self.something_new.iter().for_each(Notify::notify_one);
    }

    /// Takes back what was pushed to `recipient` of what they have read or removed since, soon. Should this be lost, such pushes
    /// stay where they are.
    pub fn retract(self: &Arc<Self>, recipient: Recipient) {
        if !self.ways.contains_key(&Channel::Push) {
            return;
        }
        let (dispatch, whose) = (self.clone(), recipient.clone());
        let done = move |written| {
            let Ok(Written::Changed(many)) = written else { return };
            if many > 0 {
                dispatch.wake();
            }
            if many >= RETRACTED_TOGETHER {
                dispatch.retract(whose);
            }
        };
        self.store.submit(Write::Retract(recipient), Box::new(done));
    }

    /// Sends until `stop`; what is under way then is brought to an end.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (report, reports) = mpsc::unbounded_channel();
        let always = |channel: Channel| self.clone().always(channel, report.clone(), stop.clone());
        let loops: Vec<_> = Channel::BEYOND.into_iter().map(always).collect();
        drop(report);
        tokio::join!(futures_util::future::join_all(loops), self.note(reports));
    }

    async fn always(
        self: Arc<Self>,
        channel: Channel,
        report: mpsc::UnboundedSender<Tried>,
        stop: CancellationToken,
    ) {
        // What has nobody to take it is told so.
        let way = self.ways.get(&channel).cloned();
        let (at_once, per_second) = way.as_ref().map_or((1, 0), |way| (way.at_once, way.per_second));
        let provider = way.map(|way| way.provider);
        // A browser's push service is known only when its turn has come.
        let whom = provider.as_ref().filter(|_| channel != Channel::Push).map(|provider| provider.name());
        let places = Arc::new(Semaphore::new(at_once.max(1)));
        let mut allowance = Allowance::new(per_second);
        let room = async |allowance: &mut Allowance| {
            // Whoever takes a delivery must have a place for it: the time it is held for runs.
            drop(places.clone().acquire_owned().await);
            allowance.wait().await.min(places.available_permits()).clamp(1, TOGETHER)
        };
        while let Some(most) = stop.run_until_cancelled(room(&mut allowance)).await {
            let rest = match self.claim(channel, whom, most).await {
                Ok(Turn::Taken(claimed, looked, since)) => {
                    allowance.take(claimed.len());
                    if claimed.len() < looked {
                        // What was passed over may have brought the next step forward.
                        self.wake();
                    }
                    for one in claimed.iter() {
                        let Ok(place) = places.clone().acquire_owned().await else { return };
                        tokio::spawn(self.clone().deliver(
                            provider.clone(),
                            one.clone(),
                            since,
                            place,
                            report.clone(),
                        ));
                    }
                    // All that is due is somebody else's.
                    if claimed.is_empty() { BRIEFLY } else { Duration::ZERO }
                }
                Ok(Turn::Idle(idle)) => {
                    let new = self.something_new[channel as usize].notified();
                    stop.run_until_cancelled(tokio::time::timeout(idle, new)).await;
                    Duration::ZERO
                }
                Err(fault) => {
                    tracing::warn!(%fault, channel = channel.name(), "the database does not tell what is to be sent; asking again");
                    RESPITE
                }
            };
            if !rest.is_zero() {
                stop.run_until_cancelled(tokio::time::sleep(rest)).await;
            }
        }
    }

    /// Takes what is due, unless `whom` it would go to is left alone: it would only be put back.
    async fn claim(&self, channel: Channel, whom: Option<&str>, most: usize) -> Result<Turn, StoreError> {
        let most = match whom.map_or(Ok(most), |whom| self.breakers.room(whom, most)) {
            Ok(most) => most,
            Err(left) => return Ok(Turn::Idle(left.min(LOOK))),
        };
        match self.store.next_delivery(channel).await? {
            None => return Ok(Turn::Idle(LOOK)),
            Some(left) if !left.is_zero() => return Ok(Turn::Idle(left.min(LOOK))),
            Some(_) => {}
        }
        let (most, since) = (i64::try_from(most).unwrap_or(1), Instant::now());
        match self.store.write(Write::Claim { channel, most, caps: self.caps }).await? {
            Written::Claimed { claimed, looked } => Ok(Turn::Taken(claimed, looked, since)),
            _ => Err(StoreError::Closed),
        }
    }

    /// Tries one. Should this panic, it is another one's when its time has run out.
    async fn deliver(
        self: Arc<Self>,
        provider: Option<Arc<dyn Provider>>,
        claimed: Claimed,
        since: Instant,
        place: OwnedSemaphorePermit,
        report: mpsc::UnboundedSender<Tried>,
    ) {
        let (at, started) = (self.clock.now(), Instant::now());
        let (outcome, is_asked) = match &provider {
            Some(provider) => self.outcome(&**provider, &claimed, since).await,
            None => (Outcome::Nowhere("no_provider: nobody is set up to take it"), false),
        };
        let outcome = outcome.kept();
        let provider = provider.as_ref().map_or("none", |provider| provider.name());
        if is_asked || outcome.state() != State::Waiting {
            self.metrics.delivery(claimed.channel.name(), outcome.state().name(), is_asked);
        }
        let took_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
        let Claimed { id, attempt, device_id: device, step, .. } = claimed;
        let (notification, row) = (claimed.notification.id, claimed.place.recipient);
        self.metrics.traces.note(|| Span {
            notification: notification.0,
            accepted: None,
            name: "send",
            start: at.as_micros(),
            end: at.as_micros() + i64::from(took_ms) * 1_000,
            facts: vec![
                ("channel", claimed.channel.name().to_owned()),
                ("provider", provider.to_owned()),
                ("attempt", attempt.to_string()),
                ("outcome", outcome.state().name().to_owned()),
            ],
            is_failed: outcome.state() == State::Failed,
        });
        let tried =
            Tried { id, notification, row, step, device, attempt, at, took_ms, provider, is_asked, outcome };
        report.send(tried).ok();
        drop(place);
    }

    /// What is to be handed over; or what came of it, if nothing is.
    async fn ready(&self, claimed: &Claimed) -> Result<Parcel, Outcome> {
        let parcel = self.letters.parcel(claimed).await?;
        // Whoever it is for may have been forgotten.
        if !self.store.is_under_way(claimed.id, claimed.attempt).await.unwrap_or(true) {
            return Err(Outcome::Settled("it was taken back before it went out"));
        }
        match self.is_settled(claimed).await {
            true => Err(Outcome::Settled("it was confirmed or read just before it went out")),
            false => Ok(parcel),
        }
    }

    /// What comes of it, and whether the provider was asked.
    async fn outcome(&self, provider: &dyn Provider, claimed: &Claimed, since: Instant) -> (Outcome, bool) {
        let parcel = match tokio::time::timeout_at(since + READY, self.ready(claimed)).await {
            // A process that was stopped meanwhile has not seen the time pass.
            Ok(Ok(parcel)) if since.elapsed() < READY => parcel,
            Ok(Err(outcome)) => return (outcome, false),
            Ok(Ok(_)) | Err(_) => return (Outcome::Later(RESPITE, TOO_LATE.to_owned()), false),
        };
        let whom = match &parcel.letter {
            Letter::Push { to, .. } => format!("{} {}", provider.name(), origin(&to.endpoint)),
            _ => provider.name().to_owned(),
        };
        if let Err(left) = self.breakers.ask(&whom) {
            return (
                Outcome::Later(left, format!("{whom} has failed again and again; it is left alone")),
                false,
            );
        }
        let sent = tokio::time::timeout(LONGEST, provider.send(&parcel)).await;
        let sent = sent.unwrap_or_else(|_| {
            Err(Fault::Unsure { reason: format!("no answer within {} s", LONGEST.as_secs()) })
        });
        self.breakers.note(&whom, claimed.device_id, &sent);
        let is_asked = !matches!(sent, Err(Fault::Unfit { .. }));
        (self.followed(claimed, sent), is_asked)
    }

    /// What follows from what the provider said.
    fn followed(&self, claimed: &Claimed, sent: Result<Taken, Fault>) -> Outcome {
        match sent {
            Ok(taken) => Outcome::Sent(taken.provider_id),
            // Nobody is to look into it.
            Err(Fault::Reject { .. } | Fault::Unfit { .. }) if claimed.is_retraction => {
                Outcome::Settled(NOT_TAKEN_BACK)
            }
            Err(Fault::Reject { reason } | Fault::Unfit { reason }) => Outcome::Failed(reason),
            Err(Fault::Gone { .. }) if claimed.is_retraction => Outcome::Moot(NOT_TAKEN_BACK),
            Err(Fault::Gone { reason }) => Outcome::Gone(reason),
            Err(Fault::Unsure { reason }) if claimed.channel == Channel::Sms => {
                self.once_more(claimed, reason)
            }
            Err(Fault::Retry { after: asked, reason } | Fault::Slow { after: asked, reason }) => {
                self.again(claimed, asked, reason)
            }
            Err(Fault::Later { reason } | Fault::Unsure { reason }) => self.again(claimed, None, reason),
        }
    }

    /// When it is tried again, if it may be.
    fn again(&self, claimed: &Claimed, asked: Option<Duration>, reason: String) -> Outcome {
        match pause(&self.pauses, claimed.attempt - claimed.since, chance()) {
            Some(usual) => Outcome::Again(usual.max(asked.unwrap_or_default()), reason),
            None if claimed.is_retraction => Outcome::Settled(NOT_TAKEN_BACK),
            None => Outcome::Failed(format!("{reason}; it was tried as often as it may be")),
        }
    }

    /// When it is handed over once more, though it may have been taken: once, since nothing tells whoever gets both that they
    /// are one.
    fn once_more(&self, claimed: &Claimed, reason: String) -> Outcome {
        if claimed.unanswered + 1 >= MOST_UNANSWERED {
            return Outcome::Failed(format!(
                "{reason}; nobody said the last time, either, and it may have arrived"
            ));
        }
        match self.again(claimed, None, reason) {
            Outcome::Again(pause, reason) => Outcome::Unsure(pause, reason),
            other => other,
        }
    }

    /// Whether what would end the escalation has happened since this was taken. Asked where a message costs money and cannot
    /// be taken back.
    async fn is_settled(&self, claimed: &Claimed) -> bool {
        if claimed.channel != Channel::Sms || claimed.step == 0 {
            return false;
        }
        let found = self.store.find(&claimed.recipient, claimed.notification.id).await;
        found.ok().flatten().is_some_and(|held| match claimed.wish.escalation.until {
            Until::Confirmed => held.confirmed_at.or(held.read_at).is_some(),
            Until::Read => held.read_at.is_some(),
        })
    }

    /// Writes down what came of attempts, many in one commit.
    async fn note(self: &Arc<Self>, mut reports: mpsc::UnboundedReceiver<Tried>) {
        while let Some(all) = noting::next(&mut reports).await {
            noting::note(all.clone(), "deliveries", |some| self.store.write(Write::Tried(some))).await;
            self.recall(&all).await;
            // What failed may have brought the next step forward.
            if all.iter().any(|one| !matches!(one.outcome, Outcome::Sent(_))) {
                self.wake();
            }
        }
    }

    /// Takes back what was read while it was pushed. Whoever reads it from now on takes it back by that.
    async fn recall(self: &Arc<Self>, all: &[Tried]) {
        let is_push = |one: &&Tried| one.device.is_some() && one.outcome.state() == State::Sent;
        let pushed: Vec<i64> = all.iter().filter(is_push).map(|one| one.id).collect();
        if pushed.is_empty() {
            return;
        }
        match self.store.pushed_too_late(&pushed).await {
            Ok(people) => people.into_iter().for_each(|recipient| self.retract(recipient)),
            Err(fault) => {
                tracing::warn!(%fault, "what was read while it was pushed is shown until its reader reads something else");
            }
        }
    }
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    address[host..].find('/').map_or(address, |end| &address[..host + end])
}

/// From 0 to 1.
pub(super) fn chance() -> f64 {
    let mut byte = [0];
    getrandom::fill(&mut byte).ok();
    f64::from(byte[0]) / 255.0
}

/// How many may begin.
struct Allowance {
    per_second: u32,
    left: f64,
    since: Instant,
}

impl Allowance {
    fn new(per_second: u32) -> Self {
        Self { per_second, left: f64::from(per_second), since: Instant::now() }
    }

    /// Waits until at least one may; tells how many.
    async fn wait(&mut self) -> usize {
        if self.per_second == 0 {
            return usize::MAX;
        }
        let rate = f64::from(self.per_second);
        loop {
            self.left = (self.left + self.since.elapsed().as_secs_f64() * rate).min(rate);
            self.since = Instant::now();
            if self.left >= 1.0 {
                return self.left as usize;
            }
            tokio::time::sleep(Duration::from_secs_f64((1.0 - self.left) / rate)).await;
        }
    }

    fn take(&mut self, many: usize) {
        self.left -= many as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_comes_before_the_path() {
        assert_eq!(origin("https://push.example/a/b"), "https://push.example");
        assert_eq!(origin("https://push.example:8443/a"), "https://push.example:8443");
        assert_eq!(origin("https://push.example"), "https://push.example");
        assert_eq!(origin("nonsense"), "nonsense");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_begin_in_a_second_than_may() {
        let mut allowance = Allowance::new(10);
        let mut begun = 0;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            let most = allowance.wait().await;
            assert!(most <= 10);
            allowance.take(most);
            begun += most;
        }
        assert!((100..=111).contains(&begun), "{begun}");
    }
}
