//! The feed protocol (seed 004): a person's sockets hear everything as `notification`, say what they got and
//! read, and choose topics.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;

use super::Ack;
use super::answer::{answer, auth_error, not_available, refuse, unauthorized};
use super::events::Told;
use super::wire::feed as wire;
use super::wire::{Failure, Fault, raw};
use crate::access::Principal;
use crate::domain::{Preferences, Recipient};
use crate::gateway::BookingSettings;
use crate::realtime::{Connection, Dialect, Encode, Form, Hub};
use crate::service::{Choices, Error, Inbox, Marked, ReplayFrom, Session, Topics};
use crate::store::Mark;

/// What could not be replayed is tried again after this long, and then less and less often.
const AGAIN: Duration = Duration::from_millis(500);
/// Who asks again and again for what they missed gets it no faster than one every so often.
const PACE: Duration = Duration::from_micros(250);

/// A notification of any kind.
pub static NOTIFICATION: Form =
    Form { event: Told::Notification.name(), encode: Encode::Shared(wire::notification) };

/// How feed sockets are told things.
pub static DIALECT: Dialect = Dialect {
    name: "feed",
    form: |_| &NOTIFICATION,
    standing: |standing| Some((Told::NotificationStatus.name(), wire::standing(standing))),
    replays: true,
    // Who asks for what was missed is told by the answer to that.
    caught_up: |_| None,
    expired: super::namespace::expired,
};

/// What the feed's clients may ask for.
#[derive(Clone)]
pub struct Services {
    /// Who is who.
    pub session: Arc<Session>,
    /// What people have.
    pub inbox: Arc<Inbox>,
    /// What they want to hear of.
    pub topics: Arc<Topics>,
    /// How they want to hear.
    pub choices: Arc<Choices>,
}

/// The protocol's rules.
#[derive(Clone)]
pub struct Feed {
    hub: Arc<Hub>,
    services: Services,
    tasks: TaskTracker,
    delay: Duration,
    in_flight: u32,
}

impl Feed {
    /// Requests in flight per connection are limited to `in_flight`.
    pub fn new(
        hub: Arc<Hub>,
        services: Services,
        tasks: TaskTracker,
        settings: &BookingSettings,
        in_flight: u32,
    ) -> Self {
        let delay = Duration::from_millis(settings.pending_delay_ms);
        Self { hub, services, tasks, delay, in_flight: in_flight.max(2) }
    }

    /// A connection has come whose handshake proved somebody.
    pub fn connected(&self, connection: &Arc<Connection>, principal: Principal) {
        let Some(recipient) = principal.inbox() else { return };
        match self.services.session.enter(connection, principal, recipient, &DIALECT, None) {
            Ok(recipient) => self.begin(connection, recipient, Ack::default()),
            Err(error) => auth_error(&self.hub, &self.tasks, connection, Ack::default(), error.into()),
        }
    }

    /// A connection that was nobody's shows a token.
    pub fn authenticate(&self, connection: &Arc<Connection>, token: &str, ack: Ack) {
        match self.services.session.connect_owner(connection, token, &DIALECT) {
            Ok(recipient) => self.begin(connection, recipient, ack),
            Err(refused) => auth_error(&self.hub, &self.tasks, connection, ack, refused),
        }
    }

    /// Welcomes somebody, once whoever sends to many finds them; what they missed follows.
    fn begin(&self, connection: &Arc<Connection>, recipient: Recipient, ack: Ack) {
        let (feed, connection) = (self.clone(), connection.clone());
        self.tasks.spawn(async move {
            {
                // Nothing that was missed comes before the welcome.
                let _turn = connection.lists().lock().await;
                feed.services.session.settled().await;
                let welcome =
                    wire::Welcome { status: "authenticated", user_id: Some(recipient.user.as_str()) };
                answer(&feed.hub, &connection, ack, Told::Authenticated, &welcome);
            }
            feed.schedule_replay(&connection, recipient, feed.delay);
        });
    }

    /// What the person missed, unless the client asks for it first. It comes sooner or later: until then
    /// nothing live does.
    fn schedule_replay(&self, connection: &Arc<Connection>, recipient: Recipient, pause: Duration) {
        let (feed, connection) = (self.clone(), Arc::downgrade(connection));
        self.tasks.spawn(feed.replay_sooner_or_later(connection, recipient, pause));
    }

    async fn replay_sooner_or_later(
        self,
        connection: Weak<Connection>,
        recipient: Recipient,
        mut pause: Duration,
    ) {
        for attempt in 1.. {
            tokio::time::sleep(pause).await;
            let Some(connection) = connection.upgrade() else { return };
            let _turn = connection.lists().lock().await;
            if !self.hub.serves(&connection, &recipient) || !connection.is_behind() {
                return;
            }
            match self.services.inbox.replay(&recipient, &connection, &ReplayFrom::Unconfirmed).await {
                Ok(_) => return,
                Err(fault) => tracing::error!(%fault, "what was missed could not be read; trying again"),
            }
            pause = AGAIN * attempt.min(10);
        }
    }

    /// The person wants what they missed.
    pub fn request_missed(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let Some((recipient, from, ack)) = self.asked(connection, ack, wire::since(payload)) else { return };
        let (feed, connection) = (self.clone(), connection.clone());
        connection.begin_request(self.in_flight);
        self.tasks.spawn(async move {
            let turn = connection.lists().lock().await;
            let mut count = 0;
            if feed.hub.serves(&connection, &recipient) {
                count = feed.replay_now(&connection, recipient, &from, ack).await;
            }
            connection.end_request(feed.in_flight);
            tokio::time::sleep(PACE * u32::try_from(count).unwrap_or(u32::MAX)).await;
            drop(turn);
        });
    }

    async fn replay_now(
        &self,
        connection: &Arc<Connection>,
        recipient: Recipient,
        from: &ReplayFrom,
        ack: Ack,
    ) -> usize {
        match self.services.inbox.replay(&recipient, connection, from).await {
            Ok(count) => {
                ack.send(&raw(&wire::Count { count }));
                return count;
            }
            Err(Error::NotFound) => {
                let detail = "there is no such notification. A number is the number of one; for a time, send RFC 3339 \
                              (new Date().toISOString())";
                let failure = Failure::new("Notification not found", detail);
                answer(&self.hub, connection, ack, Told::Error, &failure);
            }
            Err(fault) => {
                not_available(&self.hub, connection, ack, &fault);
                self.schedule_replay(connection, recipient, AGAIN);
            }
        }
        0
    }

    /// The person whose connection this is, with what they ask for; otherwise the client is told.
    fn asked<T>(
        &self,
        connection: &Connection,
        ack: Ack,
        asked: Result<T, Fault>,
    ) -> Option<(Recipient, T, Ack)> {
        match (connection.identity(|who| who.recipient.clone()), asked) {
            (Some(recipient), Ok(asked)) => Some((recipient, asked, ack)),
            (Some(_), Err(fault)) => {
                refuse(&self.hub, connection, ack, Told::Error, &fault);
                None
            }
            (None, _) => {
                let detail = "Connect with a token (auth.token), or send authenticate {token} first.";
                unauthorized(&self.hub, &self.services.session, connection, ack, detail);
                None
            }
        }
    }

    /// The person wants to hear of topics, or no longer.
    pub fn subscribe(
        &self,
        connection: &Arc<Connection>,
        payload: Option<&RawValue>,
        ack: Ack,
        wanted: bool,
    ) {
        let asked = self.asked(connection, ack, wire::channels(payload));
        let Some((recipient, (whose, channels), ack)) = asked else { return };
        if whose.is_some_and(|whose| whose != recipient.user) {
            let detail = "userId is somebody else's; leave it out, or give your own.";
            return unauthorized(&self.hub, &self.services.session, connection, ack, detail);
        }
        let (hub, connection, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        let roles = connection.identity(|who| who.roles.clone());
        let (told, session) = (connection.clone(), self.services.session.clone());
        let done = move |outcome| {
            match outcome {
                Ok(channels) => {
                    let event = if wanted { Told::Subscribed } else { Told::Unsubscribed };
                    answer(&hub, &told, ack, event, &wire::Channels { channels });
                }
                Err(Error::Broken(broken)) => {
                    let fault = Fault::Invalid("channels", broken.expected);
                    refuse(&hub, &told, ack, Told::Error, &fault);
                }
                Err(Error::Forbidden(detail)) => unauthorized(&hub, &session, &told, ack, detail),
                Err(error) => {
                    let detail = error.to_string();
                    answer(&hub, &told, ack, Told::Error, &Failure::new("Channels not changed", &detail));
                }
            }
            told.end_request(in_flight);
        };
        self.services.topics.subscribe_then(&recipient, &roles, channels, wanted, Box::new(done));
    }

    /// A device has one, or somebody has looked at it.
    pub fn mark(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack, mark: Mark) {
        let asked = self.asked(connection, ack, wire::which(payload));
        let Some((recipient, (written, name), ack)) = asked else { return };
        let (hub, told, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        let written = written.to_owned();
        connection.begin_request(in_flight);
        let done = move |outcome| {
            Self::marked(&hub, &told, ack, &written, outcome);
            told.end_request(in_flight);
        };
        self.services.inbox.mark_named_then(connection, recipient, name, mark, Box::new(done));
    }

    fn marked(
        hub: &Hub,
        connection: &Connection,
        ack: Ack,
        written: &RawValue,
        outcome: Result<Marked, Error>,
    ) {
        match outcome {
            Ok(Marked { standing, is_new }) => {
                let payload = wire::standing(&standing);
                // All of the person's sockets that know this event were told, if there was news.
                if !is_new || !connection.dialect().replays {
                    hub.push(connection, Told::NotificationStatus.name(), &payload);
                }
                ack.send(&payload);
            }
            Err(error) => {
                let word = match error {
                    Error::NotFound => "Notification not found",
                    _ => "Notification not marked",
                };
                let detail = error.to_string();
                let failure = Failure { asked: Some(written), ..Failure::new(word, &detail) };
                answer(hub, connection, ack, Told::Error, &failure);
            }
        }
    }

    /// The person has wishes.
    pub fn update_preferences(&self, connection: &Arc<Connection>, payload: Option<&RawValue>, ack: Ack) {
        let asked = self.asked(connection, ack, wire::preferences(payload));
        let Some((recipient, change, ack)) = asked else { return };
        let (hub, told, in_flight) = (self.hub.clone(), connection.clone(), self.in_flight);
        connection.begin_request(in_flight);
        let done = move |outcome: Result<Arc<Preferences>, Error>| {
            match outcome {
                Ok(chosen) => {
                    answer(&hub, &told, ack, Told::PreferencesUpdated, &wire::Chosen::from(&*chosen))
                }
                Err(Error::Broken(broken)) => {
                    refuse(
                        &hub,
                        &told,
                        ack,
                        Told::Error,
                        &Fault::Invalid(wire::spelled(broken.field), broken.expected),
                    );
                }
                Err(error) => {
                    let detail = error.to_string();
                    answer(&hub, &told, ack, Told::Error, &Failure::new("Preferences not changed", &detail));
                }
            }
            told.end_request(in_flight);
        };
        self.services.choices.change_then(&recipient, change, Box::new(done));
    }
}
