//! What a client says by packets, and what follows from it.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::House;
use super::outlet::{Wire, ack};
use super::packet::{self, Malformed, Packet};
use super::state::{Incomplete, Refused, Standing};
use crate::gateway::frames::{Ended, LAST_WORD, Outbox, Pace, Sid, Talk};
use crate::gateway::socketio::{Ack, Event, Unwelcome, wire};
use crate::realtime::Connection;
use crate::telemetry::Refusal;

/// Engine.IO and Socket.IO over one WebSocket.
pub struct Packets {
    house: Arc<House>,
    sid: Sid,
    address: IpAddr,
    outbox: Arc<Outbox>,
    standing: Standing,
    incomplete: Option<Box<Incomplete>>,
    pace: Pace,
    next_ping: Instant,
    pong_until: Option<Instant>,
}

impl From<Malformed> for Ended {
    fn from(_: Malformed) -> Self {
        Self::Because(1002, "a packet that is malformed")
    }
}

/// Attachments that are too many or too big.
const ATTACHMENTS: Ended = Ended::Because(1009, "attachments that are too many or too big");

impl Packets {
    /// A session, whose first packet waits in `outbox` now.
    pub fn new(sid: Sid, address: IpAddr, outbox: Arc<Outbox>, house: Arc<House>) -> Self {
        let now = Instant::now();
        outbox.add_own(packet::open(sid.as_str(), &house.terms));
        Self {
            sid,
            address,
            outbox,
            standing: Standing::Outside(now + house.connect_timeout),
            incomplete: None,
            pace: Pace::new(now.into_std()),
            next_ping: now + house.terms.ping_interval,
            pong_until: None,
            house,
        }
    }
}

impl Talk for Packets {
    fn name(&self) -> &str {
        self.sid.as_str()
    }

    fn text(&mut self, text: &str) -> Result<(), Ended> {
        let packet = Packet::parse(text)?;
        match packet {
            Packet::Close => return Err(Ended::Left),
            Packet::Pong => self.pong_until = None,
            // Attachments directly follow their event.
            _ if self.incomplete.is_some() => return Err(Malformed.into()),
            Packet::Connect { namespace, auth } => self.connect(namespace, auth)?,
            Packet::Disconnect { namespace } => self.disconnect(namespace)?,
            Packet::Event { namespace, ack, attachments, data } => {
                let is_ours = Packet::is_default(namespace);
                match attachments {
                    None | Some(0) if is_ours => self.event(data, ack)?,
                    None | Some(0) => {}
                    Some(missing) => self.announced(missing, is_ours.then(|| (data.to_owned(), ack)))?,
                }
            }
            Packet::Ack { attachments: None | Some(0) } => {}
            Packet::Ack { attachments: Some(missing) } => self.announced(missing, None)?,
        }
        Ok(())
    }

    fn binary(&mut self, length: usize) -> Result<(), Ended> {
        let mut incomplete = self.incomplete.take().ok_or(Malformed)?;
        incomplete.bytes += length;
        incomplete.missing -= 1;
        if incomplete.bytes > self.house.inside.max_message_bytes {
            return Err(ATTACHMENTS);
        }
        if incomplete.missing > 0 {
            self.incomplete = Some(incomplete);
        } else if let Some((data, ack)) = incomplete.event {
            self.event(&data, ack)?;
        }
        Ok(())
    }

    fn is_deaf(&self) -> bool {
        matches!(self.standing, Standing::Refused(_))
    }

    fn is_busy(&self) -> bool {
        matches!(&self.standing, Standing::Joined(connection) if connection.is_busy())
    }

    fn due(&self) -> Instant {
        let beat = self.pong_until.unwrap_or(self.next_ping);
        match self.standing {
            Standing::Outside(until) => beat.min(until),
            Standing::Refused(ref refused) => refused.told_at,
            Standing::Joined(_) => beat,
        }
    }

    fn act(&mut self, now: Instant) -> Result<(), Ended> {
        match &self.standing {
            Standing::Outside(until) if *until <= now => {
                return Err(Ended::Because(1001, "the client joined no namespace in time"));
            }
            // Nothing is read meanwhile, so no pong either.
            Standing::Refused(refused) if refused.told_at > now => return Ok(()),
            Standing::Refused(refused) => {
                self.outbox.add_own(refused.answer.clone());
                self.standing = Standing::Outside(refused.until.max(now + LAST_WORD));
                self.pong_until = self.pong_until.map(|_| now + self.house.terms.ping_timeout);
            }
            _ => {}
        }
        match self.pong_until {
            Some(until) if until <= now => {
                return Err(Ended::Because(1001, "no answer to a ping came in time"));
            }
            None if self.next_ping <= now => {
                self.outbox.add_own(packet::PING);
                self.pong_until = Some(now + self.house.terms.ping_timeout);
                self.next_ping = now + self.house.terms.ping_interval;
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Standing::Joined(connection) = &self.standing {
            self.house.inside.hub.leave(connection.id);
        }
    }
}

impl Packets {
    fn answer(&self, frame: Bytes) -> Result<(), Ended> {
        self.outbox.push(frame).map_err(|_| Ended::Full)
    }

    fn announced(&mut self, missing: usize, event: Option<(String, Option<u64>)>) -> Result<(), Ended> {
        if missing > self.house.max_attachments {
            return Err(ATTACHMENTS);
        }
        self.incomplete = Some(Box::new(Incomplete { event, missing, bytes: 0 }));
        Ok(())
    }

    fn connect(&mut self, namespace: &str, auth: Option<&str>) -> Result<(), Ended> {
        if !Packet::is_default(namespace) {
            return self.answer(packet::no_namespace(namespace));
        }
        let Standing::Outside(until) = self.standing else { return Ok(()) };
        match self.house.inside.protocol.admit(auth, self.address, self.sid.as_str()) {
            Ok(proved) => {
                self.answer(packet::joined(self.sid.as_str()))?;
                let outlet = Box::new(Wire(self.outbox.clone()));
                let connection = self.house.inside.connection(self.sid.as_str(), self.address, outlet);
                self.standing = Standing::Joined(connection.clone());
                self.house.inside.hub.enter(connection.clone());
                self.house.inside.protocol.connected(&connection, proved);
            }
            Err(Unwelcome { message, code, detail, after }) => {
                let answer = packet::refused(message, wire::Refusal { code, detail: &detail });
                if after.is_zero() {
                    return self.answer(answer);
                }
                let told_at = Instant::now() + after;
                self.standing = Standing::Refused(Box::new(Refused { told_at, answer, until }));
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, namespace: &str) -> Result<(), Ended> {
        if Packet::is_default(namespace) {
            self.joined()?;
            self.leave();
            // It may join again.
            self.standing = Standing::Outside(Instant::now() + self.house.connect_timeout);
        }
        Ok(())
    }

    fn joined(&self) -> Result<&Arc<Connection>, Ended> {
        match &self.standing {
            Standing::Joined(connection) => Ok(connection),
            _ => Err(Malformed.into()),
        }
    }

    fn event(&mut self, data: &str, number: Option<u64>) -> Result<(), Ended> {
        let connection = self.joined()?.clone();
        let (name, payload) = wire::event(data).ok_or(Malformed)?;
        if self.outbox.line().is_trusted() {
            self.pace.refill();
        } else {
            // One that comes too fast is still handled, the next ones are read later.
            let rate = self.house.inside.events_per_second;
            if let Some(pause) = self.pace.count(rate, std::time::Instant::now()) {
                self.house.inside.metrics.refused(Refusal::Events);
                self.outbox.line().hold(pause);
            }
        }
        let ack = number.map_or_else(Ack::default, |number| ack(&self.outbox, number));
        self.house.inside.protocol.event(&connection, Event { name: &name, payload, ack });
        Ok(())
    }
}
