//! The booking protocol (seed 003): back ends book, facilitators hear.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::answer::{answer, auth_error, not_available, refuse, unauthorized};
use super::events::Told;
use super::wire::booking as wire;
use super::wire::{Failure, Fault, raw};
use super::{Ack, feed};
use crate::domain::{
    Audience, BOOKING_KIND, Digest, Idempotency, NewNotification, Priority, Recipient, Status, Tenant,
};
use crate::gateway::BookingSettings;
use crate::realtime::{Connection, Dialect, Encode, Form, Hub};
use crate::service::{Error, Inbox, Listing, Marked, Notify, Reached, Receipt, Session};
use crate::store::Mark;

/// How fast one connection may take lists: 1 MB per second.
const LIST_BYTES_PER_MICRO: u64 = 1;

/// A list that could not be made is tried again after this long, and then less and less often.
const LIST_AGAIN: Duration = Duration::from_millis(500);

/// A booking counts as one more of those under way for each so many bytes: what waits for its commit is held in memory.
const HEAVY: usize = 4 * 1024;

static NEW_BOOKING: Form =
    Form { event: Told::NewBookingNotification.name(), encode: Encode::Shared(wire::live) };

/// Bookings as facilitators know them, everything else as in the feed.
static DIALECT: Dialect = Dialect {
    name: "booking",
    form: |notification| if notification.kind == BOOKING_KIND { &NEW_BOOKING } else { &feed::NOTIFICATION },
    standing: |standing| {
        let is_own = standing.whose.is_none() && !standing.is_of_all();
        let is_read = standing.status == Status::Read && is_own;
        let marked = wire::MarkedRead { notification_id: standing.id };
        is_read.then(|| (Told::NotificationMarkedRead.name(), raw(&marked)))
    },
    replays: false,
    caught_up: |_| None,
    expired: super::namespace::expired,
};

/// As how many a booking of so many bytes counts.
fn weight(bytes: usize) -> u32 {
    1 + u32::try_from(bytes / HEAVY).unwrap_or(u32::MAX / 2)
}

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

    /// A back end proves what it is.
    pub fn backend_connect(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let token = super::wire::token(payload).unwrap_or_default();
        match self.session.connect_sender(connection, &token) {
            Ok(()) => {
                connection.identity(|who| who.dialect = who.dialect.or(Some(&DIALECT)));
                let success = wire::Authenticated { status: "authenticated", facilitator_id: None };
                answer(&self.hub, connection, ack, Told::BackendAuthSuccess, &success);
            }
            Err(refused) => auth_error(&self.hub, &self.tasks, connection, ack, refused),
        }
    }

    /// A page proves whose it is.
    pub fn facilitator_connect(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let (written, claimed, token) = match wire::facilitator(payload) {
            Ok(given) => given,
            Err(Fault::Missing(_)) => {
                let failure = Failure::new(
                    "Facilitator ID required",
                    "Send {facilitator_id, token}: whose notifications to hear, and a token that proves it.",
                );
                return answer(&self.hub, connection, ack, Told::AuthError, &failure);
            }
            Err(fault) => return refuse(&self.hub, connection, ack, Told::AuthError, &fault),
        };
        let success = wire::Authenticated { status: "authenticated", facilitator_id: Some(written) };
        let success = raw(&success);
        let welcome = (Told::FacilitatorAuthSuccess.name(), &*success);
        match self.session.connect_recipient(connection, &claimed, &token, &DIALECT, welcome) {
            Ok(recipient) => {
                ack.send(&success);
                self.schedule_list(connection, recipient);
            }
            Err(refused) => auth_error(&self.hub, &self.tasks, connection, ack, refused),
        }
    }

    /// A back end books.
    pub fn book(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let Some(tenant) = connection.identity(|who| who.sender.clone()) else {
            let detail = "Only an authenticated back end may book; send backend_connect {token} first.";
            return unauthorized(&self.hub, &self.session, connection, ack, detail);
        };
        let booking = match wire::booking(payload) {
            Ok(booking) => booking,
            Err((fault, booking_id)) => {
                self.notify.rejected();
                let error = fault.error();
                let failure = Failure { booking_id, ..Failure::new(&error, fault.detail()) };
                return answer(&self.hub, connection, ack, Told::NotificationError, &failure);
            }
        };
        let (booking_id, facilitator_id) = (booking.booking_id.to_owned(), booking.facilitator_id.to_owned());
        let (hub, connection, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        let weight = weight(booking.data.len());
        connection.begin_request_of(weight, in_flight);
        self.notify.accept(
            self.notification(tenant, booking),
            Box::new(move |outcome| {
                Self::accepted(&hub, &connection, ack, &booking_id, &facilitator_id, outcome);
                connection.end_request_of(weight, in_flight);
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
            kind: BOOKING_KIND.into(),
            topic: "bookings".into(),
            title: booking.title,
            message: booking.message,
            data: booking.data,
            priority: Priority::Normal,
            action_url: None,
            sender: None,
            expires_at: None,
            wish: None,
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
                    Reached::Sent(at) => (Told::NotificationDelivered, Some(at), None),
                    Reached::Stored(at) | Reached::Scheduled(at) | Reached::TakenBack(at) => {
                        (Told::NotificationStored, None, Some(at))
                    }
                };
                let receipt = wire::Accepted {
                    booking_id,
                    facilitator_id,
                    delivered_at,
                    stored_at,
                    notification_id: id,
                };
                answer(hub, connection, ack, event, &receipt);
            }
            Err(error) => {
                if let Error::Store(fault) = &error {
                    let user = facilitator_id.get();
                    tracing::error!(%fault, user.id = user, "Error handling booking notification");
                }
                let word = match error {
                    Error::KeyReused => "Idempotency key reused",
                    _ => "Notification not stored",
                };
                let detail = error.to_string();
                let failure = Failure { booking_id: Some(booking_id), ..Failure::new(word, &detail) };
                answer(hub, connection, ack, Told::NotificationError, &failure);
            }
        }
    }

    /// The person that `payload` names, if this connection is theirs; otherwise the client is told.
    fn own_inbox<T>(
        &self,
        connection: &Connection,
        ack: Ack,
        asked: Result<(crate::domain::UserId, T), Fault>,
    ) -> Option<(Recipient, T, Ack)> {
        let recipient = connection.identity(|who| who.recipient.clone());
        match (recipient, asked) {
            (Some(recipient), Ok((claimed, rest))) if recipient.user == claimed => {
                Some((recipient, rest, ack))
            }
            (Some(_), Err(fault)) => {
                refuse(&self.hub, connection, ack, Told::Error, &fault);
                None
            }
            _ => {
                let detail =
                    "Connect as this facilitator first: facilitator_connect {facilitator_id, token}.";
                unauthorized(&self.hub, &self.session, connection, ack, detail);
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
            let turn = connection.lists().lock().await;
            if !hub.serves(&connection, &recipient) || !connection.claim_automatic_list() {
                return;
            }
            match inbox.missed(&recipient, &connection, BOOKING_KIND).await {
                Ok(listing) => {
                    let others = listing.others;
                    if !listing.notifications.is_empty() {
                        Self::list(&hub, &connection, Ack::default(), listing).await;
                    }
                    drop(turn);
                    if others {
                        Self::others(&hub, &inbox, Arc::downgrade(&connection), &recipient).await;
                    }
                    return;
                }
                Err(fault) => {
                    if attempt == 1 {
                        not_available(&hub, &connection, Ack::default(), &fault);
                    }
                    connection.release_list();
                }
            }
            pause = LIST_AGAIN * attempt.min(10);
        }
    }

    /// A page wants the list.
    pub fn get_pending(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let asked = wire::facilitator_id(payload).map(|claimed| (claimed, ()));
        let Some((recipient, (), ack)) = self.own_inbox(connection, ack, asked) else { return };
        let first = connection.claim_list();
        let (hub, inbox, tasks) = (self.hub.clone(), self.inbox.clone(), self.tasks.clone());
        let (connection, in_flight) = (connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        self.tasks.spawn(async move {
            let turn = connection.lists().lock().await;
            if !hub.serves(&connection, &recipient) {
                return connection.end_request(in_flight);
            }
            let listing = match first {
                true => inbox.missed(&recipient, &connection, BOOKING_KIND).await,
                false => inbox.pending(&recipient, BOOKING_KIND).await,
            };
            match listing {
                Ok(listing) => {
                    if first && listing.others {
                        let (hub, again) = (hub.clone(), Arc::downgrade(&connection));
                        tasks.spawn(async move { Self::others(&hub, &inbox, again, &recipient).await });
                    }
                    Self::list(&hub, &connection, ack, listing).await;
                }
                Err(fault) => {
                    not_available(&hub, &connection, ack, &fault);
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

    /// What is pending of other kinds follows the first list as notifications, sooner or later.
    async fn others(hub: &Hub, inbox: &Inbox, connection: Weak<Connection>, recipient: &Recipient) {
        for attempt in 1.. {
            let Some(connection) = connection.upgrade() else { return };
            let turn = connection.lists().lock().await;
            let is_theirs = hub.serves(&connection, recipient);
            if !is_theirs || inbox.replay_others(recipient, &connection, BOOKING_KIND).await.is_ok() {
                return;
            }
            drop(turn);
            drop(connection);
            tokio::time::sleep(LIST_AGAIN * attempt.min(10)).await;
        }
    }

    /// Sends a list, and holds the connection's turn for as long as a client with an ordinary line
    /// needs to read it: who asks faster than they read does not fill our memory.
    async fn list(hub: &Hub, connection: &Connection, ack: Ack, listing: Listing) {
        let notifications: Vec<_> = listing.notifications.iter().map(wire::listed).collect();
        let count = notifications.len();
        let pending = wire::Pending { notifications, count, remaining: listing.remaining };
        drop(listing.notifications);
        let payload = raw(&pending);
        drop(pending);
        let took = hub.push(connection, Told::PendingNotifications.name(), &payload);
        ack.send(&payload);
        let bytes = payload.get().len() as u64;
        drop(payload);
        if took {
            tokio::time::sleep(Duration::from_micros(bytes / LIST_BYTES_PER_MICRO)).await;
        }
    }

    /// Somebody has looked at one.
    pub fn mark_read(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let asked = wire::marked_read(payload);
        let Some((recipient, id, ack)) = self.own_inbox(connection, ack, asked) else { return };
        let (hub, connection, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        let marked = {
            let connection = connection.clone();
            move |outcome| {
                match outcome {
                    Ok(Marked { is_new, .. }) => {
                        let payload = raw(&wire::MarkedRead { notification_id: id });
                        // All of the facilitator's pages were told, if there was news.
                        if !is_new || connection.dialect().name != DIALECT.name {
                            hub.push(&connection, Told::NotificationMarkedRead.name(), &payload);
                        }
                        ack.send(&payload);
                    }
                    Err(error) => {
                        let word = match error {
                            Error::NotFound => "Notification not found",
                            _ => "Notification not marked read",
                        };
                        let detail = error.to_string();
                        let failure = Failure { notification_id: Some(id), ..Failure::new(word, &detail) };
                        answer(&hub, &connection, ack, Told::Error, &failure);
                    }
                }
                connection.end_request(in_flight);
            }
        };
        self.inbox.mark_then(recipient, id, Mark::Read, Box::new(marked));
    }

    /// How connections are told things that have not said who they are.
    pub fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }
}
