//! Requests to the outside: to providers, and to addresses that anybody may have named.
//!
//! Promise: nothing inside is ever reached. Only https; every address that a name resolves to is looked at, and the
//! connection goes to one that was; redirects are not followed, proxies of the environment not used; an answer is
//! waited for so long and read so far. Loopback is reached only where a setting says so, which production refuses.

mod address;

use std::error::Error as _;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, Url, redirect};
use rustls::{ClientConfig, RootCertStore};

use crate::delivery::channel::{Fault, Unusable};
use crate::domain::{Clock, Timestamp};

pub use address::{is_loopback, is_public};

/// Bytes of an answer that are read.
const MOST_READ: usize = 64 * 1024;
/// Nobody is left alone for longer than this.
const LONGEST_REST: Duration = Duration::from_secs(24 * 60 * 60);
/// A name that somebody writes down may take so long to be looked up.
const LOOKED_UP: Duration = Duration::from_secs(2);
/// When a limit ends, in seconds since 1970 (or from now).
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsuitable(pub &'static str);

/// Why there is no answer. Says nothing of the address, which may be somebody's secret.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It is not called.
    #[error("its address cannot be called: {0}")]
    Unsuitable(#[from] Unsuitable),
    /// None of its name's addresses is called.
    #[error("its name leads to no public address")]
    NotPublic,
    /// It was asked, and took too long.
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    /// It could not be reached.
    #[error("it could not be reached: {0}")]
    Unreachable(String),
    /// It was asked, and broke off.
    #[error("it broke off: {0}")]
    BrokenOff(String),
}

impl From<Unanswered> for Fault {
    fn from(why: Unanswered) -> Self {
        let reason = why.to_string();
        match why {
            Unanswered::Unsuitable(_) => Self::Unfit { reason },
            Unanswered::NotPublic | Unanswered::Unreachable(_) => Self::Retry { after: None, reason },
            Unanswered::Late(_) | Unanswered::BrokenOff(_) => Self::Unsure { reason },
        }
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// How long it wants to be left alone, if it said so.
    pub rest: Option<Duration>,
}

/// Who asks.
pub struct Outbound {
    client: Client,
    clock: Arc<dyn Clock>,
    patience: Duration,
    allow_loopback: bool,
}

impl Outbound {
    /// Waits `patience` for each answer. `allow_loopback` is for tests.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub fn new(clock: Arc<dyn Clock>, patience: Duration, allow_loopback: bool) -> Result<Self, Unusable> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            tracing::warn!(
                "this machine has no root certificates, so no provider can be called by https; install them (package \
                 ca-certificates), or name a file of them in SSL_CERT_FILE"
            );
        }
        let no_tls =
            |why: &dyn fmt::Display| Unusable(format!("there is no TLS to call providers by: {why}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| no_tls(&why))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Looked { allow_loopback }))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .https_only(!allow_loopback)
            // Whoever is reached has time left to answer: what is late was asked.
            .connect_timeout(patience / 2)
            .timeout(patience)
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("carillon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| no_tls(&why))?;
        Ok(Self { client, clock, patience, allow_loopback })
    }

    /// The URL, if its form lets it be called: what its name resolves to is looked at each time it is.
    ///
    /// # Errors
    /// When it is none, not https, or names somebody, or an address that is not public.
    pub fn suitable(&self, text: &str) -> Result<Url, Unsuitable> {
        let url = Url::parse(text).map_err(|_| Unsuitable("it is no URL; write https://host/path"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unsuitable("it may not hold a user name or a password"));
        }
        let host = url.host_str().unwrap_or_default();
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let is_here = host == "localhost" || literal.is_some_and(is_loopback);
        if self.allow_loopback && is_here && matches!(url.scheme(), "http" | "https") {
            return Ok(url);
        }
        if url.scheme() != "https" {
            return Err(Unsuitable("it must begin with https://"));
        }
        let name = host.trim_end_matches('.');
        if name == "localhost" || name.ends_with(".localhost") || literal.is_some_and(|at| !is_public(at)) {
            return Err(Unsuitable("its host is not public"));
        }
        if literal.is_none() && !name.contains('.') {
            return Err(Unsuitable("its host is no full name; write https://host.example/path"));
        }
        Ok(url)
    }

    /// Looks at what the name of `url` leads to now. A name that leads nowhere yet may do so later.
    ///
    /// # Errors
    /// When it leads to an address that is not public.
    pub async fn leads_outside(&self, url: &Url) -> Result<(), Unsuitable> {
        let name = url.host_str().unwrap_or_default();
        let looked = Looked { allow_loopback: self.allow_loopback };
        let Ok(name) = name.parse() else { return Ok(()) };
        match tokio::time::timeout(self.patience.min(LOOKED_UP), looked.resolve(name)).await {
            Ok(Err(fault)) if fault.is::<NotPublic>() => {
                Err(Unsuitable("its host leads to an address that is not public"))
            }
            _ => Ok(()),
        }
    }

    /// Posts `body` to `url` and waits for the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Unanswered> {
        let url = self.suitable(url)?;
        let request = self.client.request(Method::POST, url).headers(headers).body(body);
        let mut response = request.send().await.map_err(|fault| self.why(fault))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while body.len() < MOST_READ {
            match response.chunk().await {
                Ok(Some(part)) => body.extend_from_slice(&part[..part.len().min(MOST_READ - body.len())]),
                Ok(None) => break,
                Err(fault) => return Err(self.why(fault)),
            }
        }
        let rest = rest(&headers, self.clock.now());
        Ok(Answer { status, headers, body, rest })
    }

    fn why(&self, fault: reqwest::Error) -> Unanswered {
        let fault = fault.without_url();
        let was_asked = !fault.is_connect();
        if was_asked && fault.is_timeout() {
            return Unanswered::Late(self.patience);
        }
        let (mut text, mut below) = (fault.to_string(), fault.source());
        while let Some(inner) = below {
            if inner.is::<NotPublic>() {
                return Unanswered::NotPublic;
            }
            text = format!("{text}: {inner}");
            below = inner.source();
        }
        if was_asked { Unanswered::BrokenOff(text) } else { Unanswered::Unreachable(text) }
    }
}

impl Answer {
    /// What a header says, as far as it is short.
    pub fn text(&self, header: &str) -> Option<String> {
        let said = self.headers.get(header)?.to_str().ok()?;
        Some(said.chars().take(200).collect())
    }

    /// The fault that this status tells of, for providers that say no more: what is busy or sick is worth another try.
    pub fn fault(&self, provider: &str) -> Fault {
        let status = self.status;
        let reason = format!("{provider} answered {status}");
        match status {
            // Whoever runs this has to mend the credentials; what is sent meanwhile need not be lost.
            401 => Fault::Retry { after: self.rest, reason: format!("{reason}: it refuses the credentials") },
            408 | 425 | 429 | 500.. => Fault::Retry { after: self.rest, reason },
            300..=399 => Fault::Reject { reason: format!("{reason}; redirects are not followed") },
            _ => Fault::Reject { reason },
        }
    }
}

/// How long to wait, by what an answer says: in seconds, or until a time.
fn rest(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let time = |text: &str| Some(DateTime::parse_from_rfc2822(text).ok()?.timestamp());
    let after = |until: i64, now: i64| u64::try_from(until.saturating_sub(now).max(0)).ok();
    let now = now.as_seconds();
    let seconds = match text(&RETRY_AFTER) {
        Some(said) => match said.parse::<u64>() {
            Ok(seconds) => Some(seconds),
            // By the other's own clock, if it tells it.
            Err(_) => after(time(said)?, text(&DATE).and_then(time).unwrap_or(now)),
        },
        None => match text(&RATE_LIMIT_RESET)?.parse::<i64>().ok()? {
            at if at > 1_000_000_000 => after(at, now),
            seconds => after(seconds, 0),
        },
    };
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_REST))
}

/// A name led to nothing that may be called.
#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it leads to no public address")
    }
}

impl std::error::Error for NotPublic {}

/// Resolves names, and looks at what they lead to. The connection is made to these addresses: nobody asks again.
struct Looked {
    allow_loopback: bool,
}

impl Resolve for Looked {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that is not public condemns the name: it plays both sides.
            let may = |at: &SocketAddr| is_public(at.ip()) || (allow_loopback && is_loopback(at.ip()));
            if found.is_empty() || !found.iter().all(may) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::SystemClock;

    fn outbound(allow_loopback: bool) -> Outbound {
        Outbound::new(Arc::new(SystemClock), Duration::from_secs(5), allow_loopback).unwrap()
    }

    #[test]
    fn only_public_https_is_suitable() {
        let strict = outbound(false);
        for good in
            ["https://fcm.googleapis.com/fcm/send/x", "https://8.8.8.8/", "https://push.example:8443/x"]
        {
            assert!(strict.suitable(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "push.example/x",
            "http://push.example/x",
            "ftp://push.example/x",
            "file:///etc/passwd",
            "https://user@push.example/x",
            "https://user:word@push.example/x",
            "https://localhost/x",
            "https://localhost./x",
            "https://a.localhost/x",
            "https://postgres/x",
            "https://127.0.0.1/x",
            "https://127.1/x",
            "https://2130706433/x",
            "https://0x7f000001/x",
            "https://0177.0.0.1/x",
            "https://10.0.0.1/x",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://[fe80::1]/x",
            "https://[64:ff9b::10.0.0.1]/x",
            "http://127.0.0.1/x",
        ] {
            assert!(strict.suitable(bad).is_err(), "{bad}");
        }
        let lax = outbound(true);
        for good in ["http://127.0.0.1:9/x", "http://localhost:9/x", "https://[::1]/x"] {
            assert!(lax.suitable(good).is_ok(), "{good}");
        }
        for bad in
            ["http://push.example/x", "http://10.0.0.1/x", "https://192.168.0.1/x", "http://u@localhost/x"]
        {
            assert!(lax.suitable(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_a_name_leads_to_is_looked_at() {
        // Nobody needs a name server for this one.
        let looked = |allow_loopback| Looked { allow_loopback }.resolve("localhost".parse().unwrap());
        assert!(looked(false).await.err().unwrap().is::<NotPublic>());
        assert!(looked(true).await.is_ok());
        let here = Url::parse("https://localhost/x").unwrap();
        assert!(outbound(false).leads_outside(&here).await.is_err());
        assert!(outbound(true).leads_outside(&here).await.is_ok());
        for literal in ["https://8.8.8.8/x", "https://[2606:4700::1111]/x"] {
            assert!(outbound(false).leads_outside(&Url::parse(literal).unwrap()).await.is_ok(), "{literal}");
        }
    }

    #[test]
    fn it_rests_as_long_as_it_is_told() {
        let now = Timestamp::from_micros(1_900_000_000_000_000);
        let told = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            rest(&headers, now).map(|rest| rest.as_secs())
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("retry-after", "120")]), Some(120));
        assert_eq!(told(&[("retry-after", "99999999999")]), Some(86_400));
        assert_eq!(told(&[("retry-after", "soon")]), None);
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), date]), Some(60));
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(0));
        assert_eq!(told(&[("x-ratelimit-reset", "1900000030")]), Some(30));
        assert_eq!(told(&[("x-ratelimit-reset", "7")]), Some(7));
    }
}
