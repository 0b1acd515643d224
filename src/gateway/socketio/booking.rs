//! The booking protocol (seed 003): back ends book, facilitators hear.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Ack, Event, Protocol, wire};
use crate::domain::{Audience, Digest, Idempotency, NewNotification, Priority, Recipient, Tenant};
use crate::gateway::BookingSettings;
use crate::realtime::{Connection, Dialect, Hub};
use crate::service::{Error, Inbox, Listing, Notify, Reached, Receipt, Session};

/// How fast one connection may take lists: 1 MB per second.
const LIST_BYTES_PER_MICRO: u64 = 1;

/// A list that could not be made is tried again after this long, and then less and less often.
const LIST_AGAIN: Duration = Duration::from_millis(500);

static DIALECT: Dialect = Dialect { name: "booking", event: "new_booking_notification", encode: wire::live };

/// The protocol's rules.
pub struct Booking {
    hub: Arc<Hub>,
    session: Arc<Session>,
    inbox: Arc<Inbox>,
    notify: Arc<Notify>,
    tasks: TaskTracker,
    pending_delay: Duration,
    in_flight: u32,
}

impl Booking {
    /// Requests in flight per connection are limited to `in_flight`.
    pub fn new(
        hub: Arc<Hub>,
        session: Arc<Session>,
        inbox: Arc<Inbox>,
        notify: Arc<Notify>,
        tasks: TaskTracker,
        settings: &BookingSettings,
        in_flight: u32,
    ) -> Self {
        let pending_delay = Duration::from_millis(settings.pending_delay_ms);
        Self { hub, session, inbox, notify, tasks, pending_delay, in_flight: in_flight.max(2) }
    }

    /// Tells a client that its token has expired.
    pub fn expired(hub: &Hub, connection: &Connection) {
        let failure = wire::Failure::new(
            "Token expired",
            "Get a new token, then send `authenticate` before the old one ends, or connect again.",
        );
        hub.push(connection, "auth_error", &wire::raw(&failure));
    }

    /// Answers by event, and by ack if one was asked for.
    fn answer(hub: &Hub, connection: &Connection, ack: Ack, event: &str, payload: &impl Serialize) {
        let payload = wire::raw(payload);
        hub.push(connection, event, &payload);
        ack.send(&payload);
    }

    fn refuse(&self, connection: &Connection, ack: Ack, event: &str, fault: &wire::Fault) {
        let error = fault.error();
        let failure = wire::Failure::new(&error, fault.detail());
        Self::answer(&self.hub, connection, ack, event, &failure);
    }

    fn unauthorized(&self, connection: &Connection, ack: Ack, detail: &str) {
        let failure = wire::Failure::new("Unauthorized", detail);
        Self::answer(&self.hub, connection, ack, "error", &failure);
    }

    fn auth_error(&self, connection: &Connection, ack: Ack, error: &Error) {
        let detail = error.to_string();
        let word = match error {
            Error::Token(_) => "Invalid token",
            _ => "Too many connections",
        };
        let failure = wire::Failure::new(word, &detail);
        Self::answer(&self.hub, connection, ack, "auth_error", &failure);
    }

    fn backend_connect(&self, connection: &Connection, payload: Option<&RawValue>, ack: Ack) {
        let token = wire::token(payload).unwrap_or_default();
        match self.session.connect_sender(connection, &token) {
            Ok(()) => {
                let answer = wire::Authenticated { status: "authenticated", facilitator_id: None };
                Self::answer(&self.hub, connection, ack, "backend_auth_success", &answer);
            }
            Err(error) => self.auth_error(connection, ack, &error),
        }
    }

    fn facilitator_connect(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let (written, claimed, token) = match wire::facilitator(payload) {
            Ok(given) => given,
            Err(wire::Fault::Missing(_)) => {
                let failure = wire::Failure::new(
                    "Facilitator ID required",
                    "Send {facilitator_id, token}: whose notifications to hear, and a token that proves it.",
                );
                return Self::answer(&self.hub, connection, ack, "auth_error", &failure);
            }
            Err(fault) => return self.refuse(connection, ack, "auth_error", &fault),
        };
        let answer = wire::Authenticated { status: "authenticated", facilitator_id: Some(written) };
        let answer = wire::raw(&answer);
        let welcome = ("facilitator_auth_success", &*answer);
        match self.session.connect_recipient(connection, &claimed, &token, welcome) {
            Ok(recipient) => {
                ack.send(&answer);
                self.schedule_list(connection, recipient);
            }
            Err(error) => self.auth_error(connection, ack, &error),
        }
    }

    fn authenticate(&self, connection: &Connection, payload: Option<&RawValue>, ack: Ack) {
        let token = wire::token(payload).unwrap_or_default();
        if connection.identity(|who| who.sender.is_none() && who.recipient.is_none()) {
            let detail = "Connect with facilitator_connect or backend_connect first; authenticate renews.";
            return self.unauthorized(connection, ack, detail);
        }
        match self.session.renew(connection, &token) {
            Ok(()) => {
                let answer = wire::Authenticated { status: "authenticated", facilitator_id: None };
                Self::answer(&self.hub, connection, ack, "authenticated", &answer);
            }
            Err(error) => self.auth_error(connection, ack, &error),
        }
    }

    fn booking_notification(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let Some(tenant) = connection.identity(|who| who.sender.clone()) else {
            let detail = "Only an authenticated back end may book; send backend_connect {token} first.";
            return self.unauthorized(connection, ack, detail);
        };
        let booking = match wire::booking(payload) {
            Ok(booking) => booking,
            Err((fault, booking_id)) => {
                self.notify.rejected();
                let error = fault.error();
                let failure = wire::Failure { booking_id, ..wire::Failure::new(&error, fault.detail()) };
                return Self::answer(&self.hub, connection, ack, "notification_error", &failure);
            }
        };
        let (booking_id, facilitator_id) = (booking.booking_id.to_owned(), booking.facilitator_id.to_owned());
        let (hub, connection, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        self.notify.accept(
            self.notification(tenant, booking),
            Box::new(move |outcome| {
                Self::accepted(&hub, &connection, ack, &booking_id, &facilitator_id, outcome);
                connection.end_request(in_flight);
            }),
        );
    }

    fn notification(&self, tenant: Tenant, booking: wire::Booking<'_>) -> NewNotification {
        let request = Digest::of(&[&booking.data, booking.facilitator.as_str()]);
        let idempotency = match &booking.idempotency_key {
            Some(key) => Idempotency::keyed("booking", tenant.as_str(), key, request),
            None => Idempotency::by_content("booking", tenant.as_str(), booking.booking_id.get(), request),
        };
        NewNotification {
            tenant: tenant.clone(),
            audience: Audience::One(Recipient { tenant, user: booking.facilitator }),
            kind: "new_booking".into(),
            topic: "bookings".into(),
            title: booking.title,
            message: booking.message,
            data: booking.data,
            priority: Priority::Normal,
            action_url: None,
            sender: None,
            expires_at: None,
            due_at: None,
            idempotency,
            uuid: Uuid::now_v7(),
            created_at: self.notify.now(),
        }
    }

    fn accepted(
        hub: &Hub,
        connection: &Connection,
        ack: Ack,
        booking_id: &RawValue,
        facilitator_id: &RawValue,
        outcome: Result<Receipt, Error>,
    ) {
        match outcome {
            Ok(Receipt { id, reached, .. }) => {
                let (event, delivered_at, stored_at) = match reached {
                    Reached::Sent(at) => ("notification_delivered", Some(at), None),
                    Reached::Stored(at) | Reached::Scheduled(at) => ("notification_stored", None, Some(at)),
                };
                let answer = wire::Accepted {
                    booking_id,
                    facilitator_id,
                    delivered_at,
                    stored_at,
                    notification_id: id,
                };
                Self::answer(hub, connection, ack, event, &answer);
            }
            Err(error) => {
                let word = match error {
                    Error::KeyReused => "Idempotency key reused",
                    _ => "Notification not stored",
                };
                let detail = error.to_string();
                let failure =
                    wire::Failure { booking_id: Some(booking_id), ..wire::Failure::new(word, &detail) };
                Self::answer(hub, connection, ack, "notification_error", &failure);
            }
        }
    }

    /// The person that `payload` names, if this connection is theirs; otherwise the client is told.
    fn own_inbox<T>(
        &self,
        connection: &Connection,
        ack: Ack,
        asked: Result<(crate::domain::UserId, T), wire::Fault>,
    ) -> Option<(Recipient, T, Ack)> {
        let recipient = connection.identity(|who| who.recipient.clone());
        match (recipient, asked) {
            (Some(recipient), Ok((claimed, rest))) if recipient.user == claimed => {
                Some((recipient, rest, ack))
            }
            (Some(_), Err(fault)) => {
                self.refuse(connection, ack, "error", &fault);
                None
            }
            _ => {
                let detail =
                    "Connect as this facilitator first: facilitator_connect {facilitator_id, token}.";
                self.unauthorized(connection, ack, detail);
                None
            }
        }
    }

    /// The list that nobody asked for: it waits, and is dropped when the page asks first. It is made sooner or
    /// later: what came before this connection is nowhere else.
    fn schedule_list(&self, connection: &Arc<Connection>, recipient: Recipient) {
        let (hub, inbox, connection) = (self.hub.clone(), self.inbox.clone(), Arc::downgrade(connection));
        self.tasks.spawn(Self::list_sooner_or_later(hub, inbox, connection, recipient, self.pending_delay));
    }

    async fn list_sooner_or_later(
        hub: Arc<Hub>,
        inbox: Arc<Inbox>,
        connection: Weak<Connection>,
        recipient: Recipient,
        mut pause: Duration,
    ) {
        for attempt in 1.. {
            tokio::time::sleep(pause).await;
            let Some(connection) = connection.upgrade() else { return };
            let _turn = connection.lists().lock().await;
            if !Self::is_theirs(&hub, &connection, &recipient) || !connection.claim_automatic_list() {
                return;
            }
            match inbox.missed(&recipient, &connection).await {
                Ok(listing) if listing.notifications.is_empty() => return,
                Ok(listing) => return Self::list(&hub, &connection, Ack::default(), listing).await,
                Err(fault) => {
                    if attempt == 1 {
                        Self::not_listed(&hub, &connection, Ack::default(), &fault);
                    }
                    connection.release_list();
                }
            }
            pause = LIST_AGAIN * attempt.min(10);
        }
    }

    fn get_pending(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let asked = wire::facilitator_id(payload).map(|claimed| (claimed, ()));
        let Some((recipient, (), ack)) = self.own_inbox(connection, ack, asked) else { return };
        let first = connection.claim_list();
        let (hub, inbox, tasks) = (self.hub.clone(), self.inbox.clone(), self.tasks.clone());
        let (connection, in_flight) = (connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        self.tasks.spawn(async move {
            let turn = connection.lists().lock().await;
            if !Self::is_theirs(&hub, &connection, &recipient) {
                return connection.end_request(in_flight);
            }
            let listing = match first {
                true => inbox.missed(&recipient, &connection).await,
                false => inbox.pending(&recipient).await,
            };
            match listing {
                Ok(listing) => Self::list(&hub, &connection, ack, listing).await,
                Err(fault) => {
                    Self::not_listed(&hub, &connection, ack, &fault);
                    if first {
                        connection.release_list();
                        let again = Arc::downgrade(&connection);
                        tasks.spawn(Self::list_sooner_or_later(
                            hub.clone(),
                            inbox,
                            again,
                            recipient,
                            LIST_AGAIN,
                        ));
                    }
                }
            }
            drop(turn);
            connection.end_request(in_flight);
        });
    }

    /// Sends a list, and holds the connection's turn for as long as a client with an ordinary line
    /// needs to read it: who asks faster than they read does not fill our memory.
    async fn list(hub: &Hub, connection: &Connection, ack: Ack, listing: Listing) {
        let notifications: Vec<_> = listing.notifications.iter().map(wire::listed).collect();
        let count = notifications.len();
        let pending = wire::Pending { notifications, count, remaining: listing.remaining };
        drop(listing.notifications);
        let payload = wire::raw(&pending);
        drop(pending);
        let took = hub.push(connection, "pending_notifications", &payload);
        ack.send(&payload);
        let bytes = payload.get().len() as u64;
        drop(payload);
        if took {
            tokio::time::sleep(Duration::from_micros(bytes / LIST_BYTES_PER_MICRO)).await;
        }
    }

    /// Whether `connection` is here and still `recipient`'s: much may happen while a list waits its turn.
    fn is_theirs(hub: &Hub, connection: &Connection, recipient: &Recipient) -> bool {
        hub.is_here(connection.id) && connection.identity(|who| who.recipient.as_ref() == Some(recipient))
    }

    fn not_listed(hub: &Hub, connection: &Connection, ack: Ack, fault: &Error) {
        tracing::error!(%fault, "pending notifications could not be read");
        let detail = "The database did not answer. Ask again in a moment; nothing is lost.";
        let failure = wire::Failure::new("Notifications not available", detail);
        Self::answer(hub, connection, ack, "error", &failure);
    }

    fn mark_read(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let asked = wire::marked_read(payload);
        let Some((recipient, id, ack)) = self.own_inbox(connection, ack, asked) else { return };
        let (hub, connection, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        let marked = {
            let (connection, recipient) = (connection.clone(), recipient.clone());
            move |outcome| {
                match outcome {
                    Ok(()) => {
                        let payload = wire::raw(&wire::MarkedRead { notification_id: id });
                        hub.tell(&recipient, "notification_marked_read", &payload);
                        ack.send(&payload);
                    }
                    Err(error) => {
                        let word = match error {
                            Error::NotFound => "Notification not found",
                            _ => "Notification not marked read",
                        };
                        let detail = error.to_string();
                        let failure =
                            wire::Failure { notification_id: Some(id), ..wire::Failure::new(word, &detail) };
                        Self::answer(&hub, &connection, ack, "error", &failure);
                    }
                }
                connection.end_request(in_flight);
            }
        };
        self.inbox.mark_read(recipient, id, Box::new(marked));
    }
}

impl Protocol for Booking {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn connected(&self, connection: &Arc<Connection>) {
        let answer = wire::Connected { status: "connected", socket_id: &connection.socket_id };
        self.hub.push(connection, "connection_response", &wire::raw(&answer));
    }

    fn event(&self, connection: &Arc<Connection>, event: Event<'_>) {
        let Event { name, payload, ack } = event;
        match name {
            "booking_notification" => self.booking_notification(connection, payload, ack),
            "mark_notification_read" => self.mark_read(connection, payload, ack),
            "get_pending_notifications" => self.get_pending(connection, payload, ack),
            "facilitator_connect" => self.facilitator_connect(connection, payload, ack),
            "backend_connect" => self.backend_connect(connection, payload, ack),
            "authenticate" => self.authenticate(connection, payload, ack),
            // As any Socket.IO server does with events that nobody listens to.
            _ => {}
        }
    }
}
