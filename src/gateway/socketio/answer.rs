//! Answers, as all protocols of Socket.IO give them: by event, and by ack if one was asked for.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::task::TaskTracker;

use super::Ack;
use super::events::Told;
use super::wire::{Failure, Fault, raw};
use crate::realtime::{Connection, Hub};
use crate::service::{Error, Refused, Session};

/// Answers.
pub fn answer(hub: &Hub, connection: &Connection, ack: Ack, event: Told, payload: &impl Serialize) {
    let payload = raw(payload);
    hub.push(connection, event.name(), &payload);
    ack.send(&payload);
}

/// The payload cannot be used.
pub fn refuse(hub: &Hub, connection: &Connection, ack: Ack, event: Told, fault: &Fault) {
    let error = fault.error();
    answer(hub, connection, ack, event, &Failure::new(&error, fault.detail()));
}

/// This connection has not proved what it would need.
pub fn unauthorized(hub: &Hub, session: &Session, connection: &Connection, ack: Ack, detail: &str) {
    session.denied(connection);
    answer(hub, connection, ack, Told::Error, &Failure::new("Unauthorized", detail));
}

/// It did not become who it wanted to be; who guesses is told late.
pub fn auth_error(
    hub: &Arc<Hub>,
    tasks: &TaskTracker,
    connection: &Arc<Connection>,
    ack: Ack,
    Refused { error, after }: Refused,
) {
    let (hub, connection) = (hub.clone(), connection.clone());
    let tell = move || {
        let detail = error.to_string();
        let word = match error {
            Error::Token(_) => "Invalid token",
            _ => "Too many connections",
        };
        answer(&hub, &connection, ack, Told::AuthError, &Failure::new(word, &detail));
    };
    if after.is_zero() {
        return tell();
    }
    tasks.spawn(async move {
        tokio::time::sleep(after).await;
        tell();
    });
}

/// The database did not answer. (Of whoever has left, nobody knows where their inbox stands: no fault.)
pub fn not_available(hub: &Hub, connection: &Connection, ack: Ack, fault: &Error) {
    if !hub.is_here(connection.id) {
        return;
    }
    tracing::error!(%fault, "pending notifications could not be read");
    let detail = "The database did not answer. Ask again in a moment; nothing is lost.";
    answer(hub, connection, ack, Told::Error, &Failure::new("Notifications not available", detail));
}
