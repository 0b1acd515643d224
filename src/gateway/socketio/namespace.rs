//! The default namespace: the booking and the feed protocol side by side. Here is decided which of them a
//! connection and an event belong to.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;

use super::answer::{answer, auth_error, unauthorized};
use super::events::{Said, Told};
use super::wire::{self, Connected, Failure};
use super::{Ack, Booking, Event, Feed, Protocol, Unwelcome};
use crate::access::Principal;
use crate::realtime::{Connection, Dialect, Hub};
use crate::service::Session;
use crate::store::Mark;

/// Both protocols.
pub struct Namespace {
    hub: Arc<Hub>,
    session: Arc<Session>,
    tasks: TaskTracker,
    booking: Booking,
    feed: Feed,
}

impl Namespace {
    /// Connections belong to `session`.
    pub fn new(
        hub: Arc<Hub>,
        session: Arc<Session>,
        tasks: TaskTracker,
        booking: Booking,
        feed: Feed,
    ) -> Self {
        Self { hub, session, tasks, booking, feed }
    }

    /// Renews what the connection has proved. Nobody becomes somebody by it, unless they spoke the booking
    /// protocol before: that says `facilitator_connect`.
    fn authenticate(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let token = wire::token(payload).unwrap_or_default();
        let (is_nobody, dialect) =
            connection.identity(|who| (who.sender.is_none() && who.recipient.is_none(), who.dialect));
        if is_nobody && dialect.is_none_or(|dialect| dialect.replays) {
            return self.feed.authenticate(connection, &token, ack);
        }
        if is_nobody {
            let detail = "Connect with facilitator_connect or backend_connect first; authenticate renews.";
            return unauthorized(&self.hub, &self.session, connection, ack, detail);
        }
        match self.session.renew(connection, &token) {
            Ok(()) => {
                let (session, hub) = (self.session.clone(), self.hub.clone());
                let connection = connection.clone();
                self.tasks.spawn(async move {
                    session.settled().await;
                    let renewed = wire::feed::Welcome { status: "authenticated", user_id: None };
                    answer(&hub, &connection, ack, Told::Authenticated, &renewed);
                });
            }
            Err(refused) => auth_error(&self.hub, &self.tasks, connection, ack, refused),
        }
    }
}

/// Tells a client that its token has expired.
pub fn expired() -> Option<(&'static str, Box<RawValue>)> {
    let failure = Failure::new(
        "Token expired",
        "Get a new token, then send `authenticate` before the old one ends, or connect again.",
    );
    Some((Told::AuthError.name(), wire::raw(&failure)))
}

impl Protocol for Namespace {
    fn dialect(&self) -> &'static Dialect {
        self.booking.dialect()
    }

    fn admit(
        &self,
        auth: Option<&str>,
        address: IpAddr,
        socket_id: &str,
    ) -> Result<Option<Principal>, Unwelcome> {
        let token = match wire::feed::handshake(auth) {
            Ok(None) => return Ok(None),
            Ok(Some(token)) => token,
            // Refused like any text that is no token.
            Err(_) => "?".to_owned(),
        };
        self.session.admit(&token, address, socket_id).map(Some).map_err(|(error, after)| {
            let (message, code) = wire::refusal(&error);
            Unwelcome { message, code, detail: error.to_string(), after }
        })
    }

    fn connected(&self, connection: &Arc<Connection>, proved: Option<Principal>) {
        let welcome = Connected { status: "connected", socket_id: &connection.socket_id };
        self.hub.push(connection, Told::ConnectionResponse.name(), &wire::raw(&welcome));
        if let Some(principal) = proved {
            self.feed.connected(connection, principal);
        }
    }

    fn event(&self, connection: &Arc<Connection>, event: Event<'_>) {
        let Event { name, payload, ack } = event;
        // As any Socket.IO server does with events that nobody listens to.
        let Some(said) = Said::named(name) else { return };
        match said {
            Said::BookingNotification => self.booking.book(connection, payload, ack),
            Said::MarkNotificationRead => self.booking.mark_read(connection, payload, ack),
            Said::GetPendingNotifications => self.booking.get_pending(connection, payload, ack),
            Said::FacilitatorConnect => self.booking.facilitator_connect(connection, payload, ack),
            Said::BackendConnect => self.booking.backend_connect(connection, payload, ack),
            Said::Authenticate => self.authenticate(connection, payload, ack),
            Said::Ack => self.feed.mark(connection, payload, ack, Mark::Confirmed),
            Said::Read => self.feed.mark(connection, payload, ack, Mark::Read),
            Said::RequestMissedNotifications => self.feed.request_missed(connection, payload, ack),
            Said::Subscribe => self.feed.subscribe(connection, payload, ack, true),
            Said::Unsubscribe => self.feed.subscribe(connection, payload, ack, false),
            Said::UpdatePreferences => self.feed.update_preferences(connection, payload, ack),
        }
    }
}
