//! Who calls: `Authorization: Bearer`. Permission arrives with the argument.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::problem::Problem;
use super::{Api, Arrival};
use crate::access::{Keyring, Principal, Throttle, TokenError, bearer};
use crate::domain::Recipient;
use crate::service::{Entrance, Error, Failures};
use crate::telemetry::{Metrics, Refusal};

/// Whoever shows a good token.
pub struct Caller(pub Principal);

/// Whoever has an inbox.
pub struct Owner(pub Recipient);

impl Owner {
    /// Whoever `who` speaks for.
    ///
    /// # Errors
    /// When that is nobody.
    pub fn of(who: &Principal) -> Result<Self, Problem> {
        let nobody = "it names no user, so there is no inbox; send a token of the person whose inbox it is";
        Ok(Self(who.inbox().ok_or(Error::Forbidden(nobody))?))
    }
}
/// From where, as far as that is known.
pub struct Whence(pub Option<IpAddr>);

/// Checks tokens, and makes guessing them slow.
pub struct Doorman {
    keyring: Arc<Keyring>,
    throttle: Throttle,
    metrics: Arc<Metrics>,
    failures: Arc<Failures>,
}

impl Doorman {
    /// Checks with `keyring`; `failures` hears of what is refused.
    pub fn new(keyring: Arc<Keyring>, metrics: Arc<Metrics>, failures: Arc<Failures>) -> Self {
        Self { keyring, throttle: Throttle::default(), metrics, failures }
    }

    /// The principal of `token`, if it is good still.
    ///
    /// # Errors
    /// [`TokenError`] says why it is refused. Nobody hears of that.
    pub fn known(&self, token: &str) -> Result<Principal, TokenError> {
        self.keyring.verify_caller(token)
    }

    /// The principal of `token`. A wrong one is answered late when its address has sent many; good ones never.
    ///
    /// # Errors
    /// [`TokenError`] says why it is refused.
    pub(super) async fn admit(
        &self,
        entrance: Entrance,
        token: &str,
        arrival: Option<&Arrival>,
    ) -> Result<Principal, TokenError> {
        let address = arrival.map(|arrival| arrival.address);
        let refusal = match self.known(token) {
            Ok(principal) => return Ok(principal),
            Err(refusal) => refusal,
        };
        self.metrics.refused(Refusal::Token);
        self.failures.note(entrance, refusal, token, address);
        let hold = self.hold(refusal, address);
        let held_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
        match refusal {
            // Whoever looks what there is sends none.
            TokenError::Missing => tracing::debug!("Authentication failed: {refusal}"),
            _ => tracing::warn!(held_ms, "Authentication failed: {refusal}"),
        }
        if let Some(arrival) = arrival.filter(|_| !hold.is_zero()) {
            arrival.guest.is_held(true);
            tokio::time::sleep(hold).await;
            arrival.guest.is_held(false);
        }
        Err(refusal)
    }

    fn hold(&self, refusal: TokenError, address: Option<IpAddr>) -> Duration {
        // A token that is ours but too old is no guess.
        match address {
            Some(address) if refusal == TokenError::Invalid && !address.to_canonical().is_loopback() => {
                self.throttle.failed(address, Instant::now())
            }
            _ => Duration::ZERO,
        }
    }
}

/// Finds a request of `who`'s a place among all that are being answered, counts it, and waits for its turn; whoever then reads a
/// body that does not come gives the turn back meanwhile ([`whole`](super::input::whole)).
///
/// # Errors
/// When they have made too many, or there is no place.
pub async fn counted(api: &Api, parts: &Parts, who: &Principal) -> Result<(), Problem> {
    let arrival = parts.extensions.get::<Arrival>();
    let place = api.crowd.enter(who, !parts.method.is_safe()).map_err(Problem::crowded)?;
    if let Some(arrival) = arrival {
        arrival.left.place.set(place).ok();
    }
    if let Some(standing) = api.quota.take(who).await {
        if let Some(arrival) = arrival {
            arrival.left.standing.set(standing).ok();
        }
        if let Some(wait) = standing.wait {
            api.doorman.metrics.refused(Refusal::Requests);
            return Err(Problem::too_fast(standing.limit, wait));
        }
    }
    if let Some(arrival) = arrival {
        arrival.left.work(!parts.method.is_safe()).await;
    }
    Ok(())
}

/// The token that a request shows, or nothing.
fn shown(headers: &HeaderMap) -> &str {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown.and_then(bearer).unwrap_or_default()
}

impl FromRequestParts<Api> for Whence {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Arrival>().map(|arrival| arrival.address)))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let arrival = parts.extensions.get::<Arrival>();
        let who = api.doorman.admit(Entrance::Rest, shown(&parts.headers), arrival).await?;
        if let Some(arrival) = arrival {
            arrival.left.caller.set((who.tenant.clone(), who.name().to_owned())).ok();
        }
        counted(api, parts, &who).await?;
        Ok(Self(who))
    }
}

impl FromRequestParts<Api> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Caller(who) = Caller::from_request_parts(parts, api).await?;
        Self::of(&who)
    }
}
