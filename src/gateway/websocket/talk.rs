//! What a raw WebSocket does about what happens to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::House;
use super::state::{Input, Output, State};
use super::wire::{Told, Which};
use crate::domain::Recipient;
use crate::gateway::frames::{Dismissal, Ended, Kind, Outbox, Pace, Sid, Talk, frame};
use crate::realtime::{Close, Connection, Encoded, Line, Outlet, PushError, Transport};
use crate::service::Error;
use crate::store::Mark;
use crate::telemetry::Refusal;

/// The close codes of this protocol.
pub mod close {
    /// The token does not do: get another one.
    pub const POLICY: u16 = 1008;
    /// Nobody is there, or the server goes: connect again.
    pub const GOING_AWAY: u16 = 1001;
    /// Too slow, or too many: connect again later.
    pub const TRY_LATER: u16 = 1013;
    /// The token names no tenant, and one is required.
    pub const NO_TENANT: u16 = 4001;
}

/// A connection's share of its outbox.
pub struct Wire {
    pub outbox: Arc<Outbox>,
    pub beat: Arc<Beat>,
}

/// What the writing end and the session's task tell each other.
#[derive(Default)]
pub struct Beat {
    /// Pings asked.
    asked: AtomicU64,
    /// Something that is to be confirmed was pushed since it was last looked.
    pushed: AtomicBool,
}

impl Wire {
    fn dismiss(&self, code: u16, reason: &'static str, instead: bool) {
        self.outbox.dismiss(Dismissal { code, reason, instead });
    }
}

impl Outlet for Wire {
    fn push(&self, _: &str, payload: &RawValue) -> Result<(), PushError> {
        self.outbox.push(frame(Kind::Text, payload.get().as_bytes()))
    }

    fn push_encoded(&self, encoded: &Encoded) -> Result<(), PushError> {
        // Of all that is said, only notifications are to be confirmed.
        self.beat.pushed.store(true, Ordering::Release);
        let frame = encoded.frame.get_or_init(|| frame(Kind::Text, encoded.payload.get().as_bytes()));
        self.outbox.push(frame.clone())
    }

    fn line(&self) -> &Line {
        self.outbox.line()
    }

    fn close(&self, how: Close) {
        match how {
            Close::AfterFlush => self.line().close(),
            Close::Expired => self.dismiss(close::POLICY, "the token has expired", false),
            // Whoever does not read may still hear why.
            Close::Now if self.line().is_closed() => self.line().cut(),
            Close::Now => self.dismiss(close::TRY_LATER, "the client reads too slowly", true),
        }
    }

    fn transport(&self) -> Transport {
        Transport::Stream
    }

    fn pings(&self) -> Option<u64> {
        // What is sent to a socket that has ended waits for no pong of its.
        (!self.line().is_cut()).then(|| self.beat.asked.load(Ordering::Acquire))
    }
}

/// One raw WebSocket, whose person is known.
pub struct Raw {
    house: Arc<House>,
    sid: Sid,
    outbox: Arc<Outbox>,
    beat: Arc<Beat>,
    connection: Arc<Connection>,
    state: State,
    pace: Pace,
}

impl Raw {
    /// A session that begins.
    pub fn new(
        house: Arc<House>,
        sid: Sid,
        outbox: Arc<Outbox>,
        beat: Arc<Beat>,
        connection: Arc<Connection>,
        state: State,
    ) -> Self {
        let pace = Pace::new(std::time::Instant::now());
        Self { house, sid, outbox, beat, connection, state, pace }
    }

    /// Its connection.
    pub fn connection(&self) -> Arc<Connection> {
        self.connection.clone()
    }

    fn on(&mut self, input: Input<'_>) -> Result<(), Ended> {
        let mut out = self.state.on(input, std::time::Instant::now());
        while let Some(output) = out.pop_front() {
            self.act_on(output)?;
        }
        Ok(())
    }

    fn act_on(&mut self, output: Output) -> Result<(), Ended> {
        match output {
            Output::Heartbeat => self.tell(&Told::Heartbeat { timestamp: self.house.clock.now() })?,
            Output::Pong => self.tell(&Told::Pong { timestamp: self.house.clock.now() })?,
            Output::Ping(said) => {
                // Known before it can be answered: what is pushed meanwhile waits for the next one.
                self.beat.asked.store(self.state.asked(), Ordering::Release);
                self.outbox.add_own(frame(Kind::Ping, &said));
            }
            Output::Confirmed(pings) => self.house.confirmations.answered(self.connection.id, pings),
            Output::Ack(which) => self.mark(which, Mark::Confirmed),
            Output::MarkRead(which) => self.mark(which, Mark::Read),
            Output::Subscribe { channel, wanted } => self.subscribe(channel, wanted),
            Output::Authenticate { token } => self.authenticate(&token),
            Output::Unclear(detail) => self.tell(&Told::Error { error: "Message not understood", detail })?,
            Output::Silent => return Err(Ended::Because(close::GOING_AWAY, "no word came for too long")),
        }
        Ok(())
    }

    fn tell(&self, told: &Told<'_>) -> Result<(), Ended> {
        self.outbox.push(written(told)).map_err(|_| Ended::Full)
    }

    fn whose(&self) -> Option<Recipient> {
        self.connection.identity(|who| who.recipient.clone())
    }

    fn mark(&self, which: Which, mark: Mark) {
        let Some(recipient) = self.whose() else { return };
        let (house, connection) = (self.house.clone(), self.connection.clone());
        connection.begin_request(house.in_flight);
        let name = which.name.clone();
        let done = move |outcome: Result<crate::service::Marked, Error>| {
            match outcome {
                Ok(marked) if mark == Mark::Read => {
                    let timestamp = marked.standing.at;
                    house.tell(&connection, &Told::ReadConfirmation { notification_id: &which, timestamp });
                }
                Ok(_) => {}
                Err(error) => {
                    let word = match error {
                        Error::NotFound => "Notification not found",
                        _ => "Notification not marked",
                    };
                    house.tell(&connection, &Told::Error { error: word, detail: &error.to_string() });
                }
            }
            connection.end_request(house.in_flight);
        };
        self.house.inbox.mark_named_then(&self.connection, recipient, name, mark, Box::new(done));
    }

    fn subscribe(&self, channel: String, wanted: bool) {
        let Some(recipient) = self.whose() else { return };
        let (house, connection) = (self.house.clone(), self.connection.clone());
        connection.begin_request(house.in_flight);
        let roles = connection.identity(|who| who.roles.clone());
        let names = vec![channel.clone()];
        let done = move |outcome| {
            match outcome {
                Ok(_) if wanted => {
                    house.tell(&connection, &Told::SubscriptionConfirmed { channel: &channel });
                }
                Ok(_) => house.tell(&connection, &Told::UnsubscriptionConfirmed { channel: &channel }),
                Err(Error::Broken(broken)) => {
                    let detail = format!("channel: {}.", broken.expected);
                    house.tell(&connection, &Told::Error { error: "Channel not changed", detail: &detail });
                }
                Err(Error::Forbidden(why)) => {
                    house.session.denied(&connection);
                    let detail = Error::Forbidden(why).to_string();
                    house.tell(&connection, &Told::Error { error: "Unauthorized", detail: &detail });
                }
                Err(error) => {
                    let detail = error.to_string();
                    house.tell(&connection, &Told::Error { error: "Channel not changed", detail: &detail });
                }
            }
            connection.end_request(house.in_flight);
        };
        self.house.topics.subscribe_then(&recipient, &roles, names, wanted, Box::new(done));
    }

    fn authenticate(&self, token: &str) {
        match self.house.session.renew(&self.connection, token) {
            Ok(()) => {
                let (house, connection) = (self.house.clone(), self.connection.clone());
                self.house.tasks.spawn(async move {
                    house.session.settled().await;
                    house.tell(&connection, &Told::Authenticated);
                });
            }
            Err(refused) => {
                let (house, connection) = (self.house.clone(), self.connection.clone());
                self.house.tasks.spawn(async move {
                    tokio::time::sleep(refused.after).await;
                    let detail = refused.error.to_string();
                    house.tell(&connection, &Told::Error { error: "Invalid token", detail: &detail });
                });
            }
        }
    }

    /// Counts one message; the next ones are read later if they come too fast.
    fn meter(&mut self) {
        if let Some(pause) = self.pace.count(self.house.events_per_second, std::time::Instant::now()) {
            self.house.metrics.refused(Refusal::Events);
            self.outbox.line().hold(pause);
        }
    }
}

impl Talk for Raw {
    fn name(&self) -> &str {
        self.sid.as_str()
    }

    fn awake(&mut self) {
        if self.beat.pushed.swap(false, Ordering::AcqRel) {
            // Nothing is to be done at once.
            self.state.on(Input::Pushed, std::time::Instant::now());
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Ended> {
        self.meter();
        self.on(Input::Text(text))
    }

    fn binary(&mut self, _: usize) -> Result<(), Ended> {
        self.meter();
        self.on(Input::Binary)
    }

    fn ping(&mut self) {
        self.meter();
        self.on(Input::Ping).ok();
    }

    fn pong(&mut self, said: &[u8]) {
        self.on(Input::Pong(said)).ok();
    }

    fn is_busy(&self) -> bool {
        self.connection.is_busy()
    }

    fn due(&self) -> Instant {
        Instant::from_std(self.state.due())
    }

    fn act(&mut self, _: Instant) -> Result<(), Ended> {
        self.on(Input::Time)
    }

    fn leave(&mut self) {
        self.house.hub.leave(self.connection.id);
        self.house.confirmations.left(self.connection.id);
    }
}

/// However it ends, and if it never began.
impl Drop for Raw {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Somebody who was let in only to hear why they may not stay.
pub struct TurnedAway {
    pub sid: Sid,
    pub told_at: Instant,
    pub code: u16,
    pub reason: &'static str,
}

impl Talk for TurnedAway {
    fn name(&self) -> &str {
        self.sid.as_str()
    }

    fn text(&mut self, _: &str) -> Result<(), Ended> {
        Ok(())
    }

    fn binary(&mut self, _: usize) -> Result<(), Ended> {
        Ok(())
    }

    fn is_deaf(&self) -> bool {
        true
    }

    fn due(&self) -> Instant {
        self.told_at
    }

    fn act(&mut self, now: Instant) -> Result<(), Ended> {
        if now < self.told_at { Ok(()) } else { Err(Ended::Because(self.code, self.reason)) }
    }

    fn leave(&mut self) {}
}

/// One message as a frame.
pub fn written(told: &Told<'_>) -> Bytes {
    frame(Kind::Text, told.raw().get().as_bytes())
}

/// What could not be read is tried again after this long, and then less and less often.
pub const AGAIN: Duration = Duration::from_millis(500);
