//! Handing something to one connection, and what becomes of one that cannot take it.

use serde_json::value::RawValue;

use super::{Close, Connection, Encoded, Hub, Outlet, PushError};
use crate::telemetry::Refusal;

impl Hub {
    /// Pushes one event; a connection that cannot take it is closed and leaves.
    pub fn push(&self, connection: &Connection, event: &str, payload: &RawValue) -> bool {
        self.pushed(connection, push(connection, |outlet| outlet.push(event, payload)))
    }

    /// The same, for a notification.
    pub fn push_encoded(&self, connection: &Connection, encoded: &Encoded) -> bool {
        self.pushed(connection, push(connection, |outlet| outlet.push_encoded(encoded)))
    }

    pub(super) fn pushed(&self, connection: &Connection, pushed: Result<(), PushError>) -> bool {
        match pushed {
            Ok(()) => true,
            Err(PushError::Gone) => false,
            Err(PushError::Full) => {
                self.expel(connection);
                false
            }
        }
    }

    /// Closes a connection that does not read.
    pub(super) fn expel(&self, connection: &Connection) {
        if !connection.expel() {
            return;
        }
        tracing::info!(
            socket.id = %connection.socket_id,
            "the client reads too slowly: closed, to be served when it comes back"
        );
        self.metrics.refused(Refusal::SlowReader);
        connection.outlet().close(Close::Now);
        self.leave(connection.id);
    }
}

/// Hands something to `connection`, unless it is to leave.
pub fn push(
    connection: &Connection,
    how: impl FnOnce(&dyn Outlet) -> Result<(), PushError>,
) -> Result<(), PushError> {
    if connection.is_expelled() { Err(PushError::Gone) } else { how(connection.outlet()) }
}
