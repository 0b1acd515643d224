//! Connecting: a token becomes a back end or a person on this connection, until it expires.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{Entrance, Error, Failures, Presences};
use crate::access::{self, Keyring, Principal, Throttle, TokenError};
use crate::domain::{BACKEND, Clock, Recipient, Timestamp, UserId};
use crate::realtime::{Close, Connection, ConnectionId, Dialect, Hub};
use crate::telemetry::{Metrics, Refusal};

/// How often expiry is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Why a token did not do, and after which time its sender is told: guessing is slow on any number of sockets.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: Error,
    /// So long after it was shown.
    pub after: Duration,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, after: Duration::ZERO }
    }
}

/// Who is connected, and by what right.
pub struct Session {
    hub: Arc<Hub>,
    presences: Arc<Presences>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    failures: Arc<Failures>,
    throttle: Throttle,
    sockets_per_user: usize,
    /// Told when a back end comes, or anybody leaves.
    changed: Arc<Notify>,
    /// Expiry in whole seconds, by connection; an entry leaves with its connection.
    expiries: Mutex<BTreeSet<(i64, ConnectionId)>>,
}

impl Session {
    /// A person may have `sockets_per_user` connections.
    pub fn new(
        hub: Arc<Hub>,
        presences: Arc<Presences>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        failures: Arc<Failures>,
        sockets_per_user: usize,
    ) -> Arc<Self> {
        let session = Arc::new(Self {
            hub,
            presences,
            keyring,
            clock,
            metrics,
            failures,
            throttle: Throttle::default(),
            sockets_per_user,
            changed: Arc::default(),
            expiries: Mutex::default(),
        });
        let ended = Arc::downgrade(&session);
        session.hub.on_departure(move |connection| {
            if let Some(session) = ended.upgrade() {
                session.ended(connection);
            }
        });
        session
    }

    /// Waits until it is known everywhere who is here, and with which roles.
    pub async fn settled(&self) {
        self.presences.settled().await;
    }

    /// Told when a back end comes, or anybody leaves.
    pub fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// Makes `connection` a back end.
    ///
    /// # Errors
    /// When the token does not allow sending.
    pub fn connect_sender(&self, connection: &Connection, token: &str) -> Result<(), Refused> {
        let principal = self
            .keyring
            .verify_sender(token)
            .map_err(|refusal| self.refused(connection, Entrance::Backend, refusal, token))?;
        connection.outlet().line().trust();
        self.hub.enlist_sender(connection, principal.tenant);
        self.changed.notify_one();
        self.expires_with(connection, principal.expires_at);
        tracing::info!(socket.id = %connection.socket_id, "Backend service connected");
        Ok(())
    }

    /// Looks at a token that is shown before there is a connection.
    ///
    /// # Errors
    /// When it proves nobody, or that person has too many connections; and how long the answer is to wait.
    pub fn admit(
        &self,
        token: &str,
        address: IpAddr,
        socket_id: &str,
    ) -> Result<Principal, (Error, Duration)> {
        let shown = self.keyring.verify(token).and_then(|principal| match principal.inbox() {
            Some(recipient) => Ok((principal, recipient)),
            None => Err(TokenError::Subject),
        });
        let (principal, recipient) = shown.map_err(|refusal| {
            self.failures.note(Entrance::Handshake, refusal, token, Some(address));
            let hold = self.noted(refusal, Some(address), || 1);
            self.log_refusal(socket_id, refusal, hold);
            (refusal.into(), hold)
        })?;
        if self.hub.connections_of(&recipient) >= self.sockets_per_user {
            return Err((self.too_many(self.sockets_per_user), Duration::ZERO));
        }
        Ok(principal)
    }

    /// Makes `connection` one of whoever this token speaks for, as [`Session::enter`] does.
    ///
    /// # Errors
    /// When the token proves nobody, or that person has too many connections.
    pub fn connect_owner(
        &self,
        connection: &Arc<Connection>,
        token: &str,
        dialect: &'static Dialect,
    ) -> Result<Recipient, Refused> {
        let shown = self.keyring.verify(token).and_then(|principal| match principal.inbox() {
            Some(recipient) => Ok((principal, recipient)),
            None => Err(TokenError::Subject),
        });
        let (principal, recipient) =
            shown.map_err(|refusal| self.refused(connection, Entrance::Authenticate, refusal, token))?;
        Ok(self.enter(connection, principal, recipient, dialect, None)?)
    }

    /// Makes `connection` one of `claimed`'s, as [`Session::enter`] does.
    ///
    /// # Errors
    /// When the token does not prove it, or that person has too many connections.
    pub fn connect_recipient(
        &self,
        connection: &Arc<Connection>,
        claimed: &UserId,
        token: &str,
        dialect: &'static Dialect,
        welcome: (&str, &RawValue),
    ) -> Result<Recipient, Refused> {
        let shown = self.keyring.verify(token).and_then(|principal| match principal.recipient(claimed) {
            Some(recipient) => Ok((principal, recipient)),
            None => Err(TokenError::SomebodyElse),
        });
        let (principal, recipient) =
            shown.map_err(|refusal| self.refused(connection, Entrance::Facilitator, refusal, token))?;
        Ok(self.enter(connection, principal, recipient, dialect, Some(welcome))?)
    }

    /// Makes `connection` one of `recipient`'s, whom `principal` speaks for. From now on it is told things in
    /// `dialect`; `welcome` (event and payload) is the first it hears.
    ///
    /// # Errors
    /// When that person has too many connections.
    pub fn enter(
        &self,
        connection: &Arc<Connection>,
        principal: Principal,
        recipient: Recipient,
        dialect: &'static Dialect,
        welcome: Option<(&str, &RawValue)>,
    ) -> Result<Recipient, Error> {
        let Principal { roles, expires_at, .. } = principal;
        connection.identity(|who| who.roles = roles);
        let joined = self.hub.join(connection, &recipient, dialect, self.sockets_per_user, welcome);
        let is_new = joined.map_err(|most| self.too_many(most))?;
        self.expires_with(connection, expires_at);
        if !is_new {
            return Ok(recipient);
        }
        self.presences.note(connection);
        // It may have left while it joined; then nobody else would remove the row.
        if !self.hub.is_here(connection.id) {
            self.presences.note(connection);
        }
        tracing::info!(user.id = %recipient.user, socket.id = %connection.socket_id, "Facilitator connected");
        Ok(recipient)
    }

    fn too_many(&self, most: usize) -> Error {
        self.metrics.refused(Refusal::User);
        Error::TooManySockets(most)
    }

    /// Prolongs what `connection` has proved, by a newer token of the same person or a sender.
    ///
    /// # Errors
    /// When the token proves less than the connection uses.
    pub fn renew(&self, connection: &Connection, token: &str) -> Result<(), Refused> {
        let (sender, recipient) = connection.identity(|who| (who.sender.clone(), who.recipient.clone()));
        let renewed = |principal: Principal| {
            let (still_sends, still_is) = (
                sender.is_none_or(|tenant| principal.can_send && principal.tenant == tenant),
                recipient.is_none_or(|old| principal.recipient(&old.user) == Some(old)),
            );
            if still_sends && still_is { Ok(principal) } else { Err(TokenError::SomebodyElse) }
        };
        let principal = self
            .keyring
            .verify_sender(token)
            .or_else(|_| self.keyring.verify(token))
            .and_then(renewed)
            .map_err(|refusal| self.refused(connection, Entrance::Authenticate, refusal, token))?;
        self.expires(connection, principal.expires_at);
        let roles = principal.roles;
        let changed = connection.identity(|who| who.roles != roles && who.recipient.is_some());
        if changed {
            connection.identity(|who| who.roles = roles);
            self.presences.note(connection);
        }
        Ok(())
    }

    /// Whoever this connection is of asked for what it has not proved. (Who has proved nothing has overstepped nothing.)
    pub fn denied(&self, connection: &Connection) {
        let (recipient, sender) = connection.identity(|who| (who.recipient.clone(), who.sender.clone()));
        match (recipient, sender) {
            (Some(recipient), _) => self.failures.denied(&recipient.tenant, recipient.user.as_str()),
            (None, Some(tenant)) => self.failures.denied(&tenant, BACKEND),
            (None, None) => {}
        }
    }

    /// Notes a wrong token; the socket is read no further, and is answered, after a while if there were many.
    fn refused(
        &self,
        connection: &Connection,
        entrance: Entrance,
        refusal: TokenError,
        token: &str,
    ) -> Refused {
        self.failures.note(entrance, refusal, token, Some(connection.address));
        // Who has shown a back end's token gains nothing by another; its bookings are not to wait.
        let is_sender = connection.identity(|who| who.sender.is_some());
        let failures = || {
            connection.identity(|who| {
                who.failures = who.failures.saturating_add(1);
                who.failures
            })
        };
        let guesser = (!is_sender).then_some(connection.address);
        let hold = self.noted(refusal, guesser, failures);
        if !hold.is_zero() {
            connection.outlet().line().hold(hold);
        }
        self.log_refusal(&connection.socket_id, refusal, hold);
        Refused { error: refusal.into(), after: hold }
    }

    /// Counts a wrong token; says for how long whoever showed it is held back, if it can be a guess. Of
    /// addresses that many share, `failures` says how many this one client has shown.
    fn noted(
        &self,
        refusal: TokenError,
        guesser: Option<IpAddr>,
        failures: impl FnOnce() -> u32,
    ) -> Duration {
        self.metrics.refused(Refusal::Token);
        // A token that is ours, but too old or somebody else's, is no guess: behind one address there may
        // be many honest pages.
        let is_guess = matches!(refusal, TokenError::Invalid | TokenError::Missing);
        match guesser.filter(|_| is_guess) {
            None => Duration::ZERO,
            Some(address) if address.is_loopback() || address.is_unspecified() => access::hold(failures()),
            Some(address) => self.throttle.failed(address, Instant::now()),
        }
    }

    fn log_refusal(&self, socket_id: &str, refusal: TokenError, hold: Duration) {
        tracing::warn!(
            socket.id = %socket_id,
            held_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX),
            "Authentication failed: {refusal}"
        );
    }

    fn expiries(&self) -> MutexGuard<'_, BTreeSet<(i64, ConnectionId)>> {
        self.expiries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// One proof more: the connection ends with the first of its proofs to end.
    fn expires_with(&self, connection: &Connection, at: Option<Timestamp>) {
        // A proof that replaces the only one there was prolongs it.
        let both = connection.identity(|who| who.sender.is_some() && who.recipient.is_some());
        let other = connection.identity(|who| who.expires_at).filter(|_| both);
        let first = match (other, at) {
            (Some(other), Some(at)) => Some(other.min(at)),
            (one, other) => one.or(other),
        };
        self.expires(connection, first);
        if !self.hub.is_here(connection.id) {
            self.expires(connection, None);
        }
    }

    fn expires(&self, connection: &Connection, at: Option<Timestamp>) {
        let before = connection.identity(|who| std::mem::replace(&mut who.expires_at, at));
        let mut expiries = self.expiries();
        if let Some(before) = before {
            expiries.remove(&(before.as_seconds(), connection.id));
        }
        if let Some(at) = at {
            expiries.insert((at.as_seconds(), connection.id));
        }
    }

    /// A connection has left.
    fn ended(&self, connection: &Connection) {
        self.changed.notify_one();
        self.expires(connection, None);
        if let Some(recipient) = connection.identity(|who| who.recipient.take()) {
            self.presences.note(connection);
            tracing::info!(user.id = %recipient.user, socket.id = %connection.socket_id, "Facilitator disconnected");
        }
    }

    /// Ends what has expired, for as long as it is polled, and tells the clients.
    pub async fn expire(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            for connection in self.expired(now.as_seconds()) {
                // It may have been renewed since.
                if connection
                    .identity(|who| who.expires_at.is_none_or(|at| at.as_seconds() > now.as_seconds()))
                {
                    continue;
                }
                if let Some((event, payload)) = (connection.dialect().expired)() {
                    self.hub.push(&connection, event, &payload);
                }
                let was_here = connection.identity(|who| who.recipient.is_some());
                self.hub.demote(&connection);
                if was_here {
                    self.presences.note(&connection);
                }
                connection.outlet().close(Close::Expired);
                tracing::info!(socket.id = %connection.socket_id, "The token of a live socket expired");
            }
        }
    }

    fn expired(&self, now: i64) -> Vec<Arc<Connection>> {
        let mut expiries = self.expiries();
        let mut expired = Vec::new();
        while let Some(&(at, id)) = expiries.first() {
            if at > now {
                break;
            }
            expiries.pop_first();
            expired.extend(self.hub.get(id));
        }
        expired
    }
}
