//! What a client says by packets, and what follows from it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::outbox::Wire;
use super::super::packet::{self, Malformed, Packet};
use super::Session;
use super::state::{Ended, Incomplete, Refused, Standing};
use crate::gateway::socketio::{Ack, Event, Unwelcome, wire};
use crate::realtime::Connection;
use crate::telemetry::Refusal;

impl<S> Session<S> {
    pub(super) fn answer(&self, frame: Bytes) -> Result<(), Ended> {
        self.outbox.push(frame).map_err(|_| Ended::Full)
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Ended> {
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

    fn announced(&mut self, missing: usize, event: Option<(String, Option<u64>)>) -> Result<(), Ended> {
        if missing > self.house.max_attachments {
            return Err(Ended::Attachments);
        }
        self.incomplete = Some(Box::new(Incomplete { event, missing, bytes: 0 }));
        Ok(())
    }

    pub(super) fn attachment(&mut self, length: usize) -> Result<(), Ended> {
        let mut incomplete = self.incomplete.take().ok_or(Malformed)?;
        incomplete.bytes += length;
        incomplete.missing -= 1;
        if incomplete.bytes > self.house.inside.max_message_bytes {
            return Err(Ended::Attachments);
        }
        if incomplete.missing > 0 {
            self.incomplete = Some(incomplete);
        } else if let Some((data, ack)) = incomplete.event {
            self.event(&data, ack)?;
        }
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
            _ => Err(Ended::Malformed(Malformed)),
        }
    }

    fn event(&mut self, data: &str, ack: Option<u64>) -> Result<(), Ended> {
        let connection = self.joined()?.clone();
        let (name, payload) = wire::event(data).ok_or(Malformed)?;
        if self.gate.line().is_trusted() {
            self.pace.refill();
        } else {
            // One that comes too fast is still handled, the next ones are read later.
            let rate = self.house.inside.events_per_second;
            if let Some(pause) = self.pace.count(rate, std::time::Instant::now()) {
                self.house.inside.metrics.refused(Refusal::Events);
                self.gate.line().hold(pause);
            }
        }
        let ack = ack.map_or_else(Ack::default, |number| self.outbox.ack(number));
        self.house.inside.protocol.event(&connection, Event { name: &name, payload, ack });
        Ok(())
    }
}
