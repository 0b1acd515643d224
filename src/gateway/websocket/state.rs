//! The protocol of raw WebSockets as a state machine: what happens goes in, what is to be done comes out. No I/O, no
//! clock of its own; no input makes it panic.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::wire::{Said, Unclear, Which};

/// When things are due.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Between two heartbeats that the page can hear; none are sent where it would show them.
    pub heartbeat: Option<Duration>,
    /// Between two pings of the WebSocket.
    pub ping: Duration,
    /// A ping follows so long after something was pushed: its pong confirms that.
    pub confirm: Duration,
    /// No word for so long: nobody is there.
    pub silence: Duration,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A text message came.
    Text(&'a str),
    /// A binary message came.
    Binary,
    /// A ping came; whoever reads frames has answered it.
    Ping,
    /// A pong came.
    Pong(&'a [u8]),
    /// A notification was pushed.
    Pushed,
    /// Time has passed.
    Time,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell the page that the server is alive.
    Heartbeat,
    /// Ask this ping.
    Ping([u8; 8]),
    /// What was pushed before the ping of this number has arrived.
    Confirmed(u64),
    /// Answer a `ping`.
    Pong,
    /// A device has this one.
    Ack(Which),
    /// Somebody has looked at this one.
    MarkRead(Which),
    /// The person wants to hear of this topic, or no longer.
    Subscribe {
        /// Its name.
        channel: String,
        /// Whether it is wanted.
        wanted: bool,
    },
    /// A newer token.
    Authenticate {
        /// The token.
        token: String,
    },
    /// Say that a message was not understood.
    Unclear(&'static str),
    /// Nobody is there: end it.
    Silent,
}

/// Where one session stands.
#[derive(Debug)]
pub struct State {
    terms: Terms,
    heard_at: Instant,
    next_heartbeat: Option<Instant>,
    next_ping: Instant,
    /// How many pings were asked, and up to which one they were answered.
    asked: u64,
    answered: u64,
    /// Whether something was pushed since the last ping.
    is_owed: bool,
}

impl State {
    /// A session that begins.
    pub fn new(terms: Terms, now: Instant) -> Self {
        Self {
            terms,
            heard_at: now,
            next_heartbeat: terms.heartbeat.map(|pause| now + pause),
            next_ping: now + terms.ping,
            asked: 0,
            answered: 0,
            is_owed: false,
        }
    }

    /// How many pings were asked.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// When [`Input::Time`] is to come, whatever else does.
    pub fn due(&self) -> Instant {
        let due = self.next_ping.min(self.heard_at + self.terms.silence);
        self.next_heartbeat.map_or(due, |heartbeat| due.min(heartbeat))
    }

    /// What is to be done because of `input`, in this order.
    pub fn on(&mut self, input: Input<'_>, now: Instant) -> VecDeque<Output> {
        let mut out = VecDeque::new();
        match input {
            Input::Time => self.pass(now, &mut out),
            Input::Pushed => {
                if !self.is_owed {
                    self.is_owed = true;
                    self.next_ping = self.next_ping.min(now + self.terms.confirm);
                }
            }
            Input::Ping => self.heard_at = now,
            Input::Pong(said) => {
                self.heard_at = now;
                // Clients may send pongs that answer nothing.
                if let Ok(number) = <[u8; 8]>::try_from(said).map(u64::from_be_bytes)
                    && (self.answered + 1..=self.asked).contains(&number)
                {
                    self.answered = number;
                    out.push_back(Output::Confirmed(number));
                }
            }
            Input::Binary => {
                self.heard_at = now;
                out.push_back(Output::Unclear("A message is JSON text; this one was binary."));
            }
            Input::Text(text) => {
                self.heard_at = now;
                out.extend(match Said::parse(text) {
                    Ok(Said::Pong) => None,
                    Ok(Said::Ping) => Some(Output::Pong),
                    Ok(Said::Ack(which)) => Some(Output::Ack(which)),
                    Ok(Said::MarkRead(which)) => Some(Output::MarkRead(which)),
                    Ok(Said::Subscribe { channel, wanted }) => Some(Output::Subscribe { channel, wanted }),
                    Ok(Said::Authenticate { token }) => Some(Output::Authenticate { token }),
                    Err(Unclear(expected)) => Some(Output::Unclear(expected)),
                });
            }
        }
        out
    }

    fn pass(&mut self, now: Instant, out: &mut VecDeque<Output>) {
        if now >= self.heard_at + self.terms.silence {
            out.push_back(Output::Silent);
            return;
        }
        if let (Some(due), Some(pause)) = (self.next_heartbeat, self.terms.heartbeat)
            && due <= now
        {
            out.push_back(Output::Heartbeat);
            self.next_heartbeat = Some(now + pause);
        }
        if self.next_ping <= now {
            self.asked += 1;
            self.is_owed = false;
            self.next_ping = now + self.terms.ping;
            out.push_back(Output::Ping(self.asked.to_be_bytes()));
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
