//! Who may open a socket: origins, and how many from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::access::address_key;
use crate::service::Error;
use crate::telemetry::{Metrics, Refusal};

/// Refused origins are logged once in so long, the first at once.
const LOGGED_EVERY: Duration = Duration::from_secs(10);
/// The time in which a limit is given.
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses whose haste is remembered; beyond them those who have none any more are forgotten.
const HASTY: usize = 10_000;
/// So much of them, in characters.
const LONGEST_LOGGED: usize = 200;

/// Browser origins that may connect. Clients that are not browsers send no origin and may.
#[derive(Clone, Debug)]
pub enum Origins {
    /// Any; never together with credentials.
    Any,
    /// These, as `https://host[:port]`.
    Listed(Vec<String>),
}

impl Origins {
    /// From settings: `*` among them allows any.
    pub fn new(listed: &[String]) -> Self {
        if listed.iter().any(|origin| origin == "*") {
            Self::Any
        } else {
            Self::Listed(
                listed.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect(),
            )
        }
    }

    /// Whether `origin` may connect.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => listed.iter().any(|known| known.eq_ignore_ascii_case(origin)),
        }
    }
}

/// Whether `origin` (`scheme://host[:port]`) is what a page served under `host` (`host[:port]`) would have.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |name: &str| name.strip_suffix(default).unwrap_or(name).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

/// A refusal, in HTTP's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    /// What happened, and what to do.
    pub message: &'static str,
}

impl Refused {
    /// Whether trying later may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// What it says, as JSON.
    pub fn body(&self) -> String {
        serde_json::json!({ "code": self.status.as_u16(), "message": self.message }).to_string()
    }

    /// The answer that turns a socket down.
    pub fn answer(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.is_temporary() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused.status {
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyHere(refused.message),
            _ => Self::Overloaded(refused.message),
        }
    }
}

/// Counts sockets, and says who may have one more.
pub struct Admission {
    origins: Origins,
    per_address: usize,
    most: usize,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    haste: Haste,
    closing: AtomicBool,
    /// When a refused origin was logged.
    logged: Mutex<Option<Instant>>,
    metrics: Arc<Metrics>,
}

/// The right to one socket; given back when dropped.
pub struct Permit {
    admission: Arc<Admission>,
    /// The address it counts for; `None` for loopback, which is not counted.
    counted: Option<IpAddr>,
}

impl Admission {
    /// At most `most` sockets, and `per_address` from one address, which opens `per_minute` of them at most; 0 is no limit.
    pub fn new(
        origins: Origins,
        per_address: usize,
        per_minute: u32,
        most: usize,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            haste: Haste { per_minute, debts: Mutex::default() },
            origins,
            per_address,
            most,
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
            closing: AtomicBool::new(false),
            logged: Mutex::default(),
            metrics,
        })
    }

    /// The origins that may connect.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    #[cfg(test)]
    fn open_sockets(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn refuse(&self, reason: Refusal, status: StatusCode, message: &'static str) -> Refused {
        self.metrics.refused(reason);
        Refused { status, message }
    }

    /// Whether a page of `origin` may talk to this server, which the request calls `host`. The server's
    /// own origin always may: clients that are no browsers (python-socketio) say it as theirs.
    ///
    /// # Errors
    /// With 403 when it may not.
    pub fn check_origin(&self, origin: Option<&str>, host: Option<&str>) -> Result<(), Refused> {
        let Some(origin) = origin else { return Ok(()) };
        if self.origins.allow(origin) || host.is_some_and(|host| is_same(origin, host)) {
            return Ok(());
        }
        self.log_foreign(origin, host);
        Err(self.refuse(
            Refusal::Origin,
            StatusCode::FORBIDDEN,
            "This page's origin may not connect. Add it to server.allowed_origins.",
        ))
    }

    /// Somebody may be looking for the reason; nobody is to fill the log with origins.
    fn log_foreign(&self, origin: &str, host: Option<&str>) {
        let mut logged = self.logged.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if logged.is_none_or(|at| at.elapsed() >= LOGGED_EVERY) {
            *logged = Some(Instant::now());
            let origin: String = origin.chars().take(LONGEST_LOGGED).collect();
            let host: Option<String> = host.map(|host| host.chars().take(LONGEST_LOGGED).collect());
            tracing::warn!(origin, host, "a page's origin is not in server.allowed_origins; it was refused");
        }
    }

    /// One more socket from `address`.
    ///
    /// # Errors
    /// With 503 when the server is full or stopping, with 429 when the address has too many.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refused> {
        if self.closing.load(Ordering::Acquire) {
            let message = "The server is restarting. Connect again in a moment.";
            return Err(self.refuse(Refusal::Capacity, StatusCode::SERVICE_UNAVAILABLE, message));
        }
        if self.open.fetch_add(1, Ordering::AcqRel) >= self.most {
            self.open.fetch_sub(1, Ordering::AcqRel);
            let message = "The server holds as many sockets as it may. Try again later.";
            return Err(self.refuse(Refusal::Capacity, StatusCode::SERVICE_UNAVAILABLE, message));
        }
        let mut permit = Permit { admission: self.clone(), counted: None };
        let canonical = address.to_canonical();
        if canonical.is_loopback() {
            return Ok(permit);
        }
        let key = address_key(canonical);
        let mut by_address = self.by_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let open = by_address.entry(key).or_default();
        if *open >= self.per_address {
            drop(by_address);
            let message = "This address holds as many sockets as it may. Close some first.";
            return Err(self.refuse(Refusal::Address, StatusCode::TOO_MANY_REQUESTS, message));
        }
        // Only what is opened counts: who waits for a place among many is not hasty.
        if !self.haste.allows(key, Instant::now()) {
            if *open == 0 {
                by_address.remove(&key);
            }
            drop(by_address);
            let message = "This address opens sockets faster than it may. Wait before you try again.";
            return Err(self.refuse(Refusal::Address, StatusCode::TOO_MANY_REQUESTS, message));
        }
        *open += 1;
        permit.counted = Some(key);
        Ok(permit)
    }
}

/// How fast addresses open sockets: of each is kept when it will have made up for those it opened.
struct Haste {
    per_minute: u32,
    debts: Mutex<HashMap<IpAddr, Instant>>,
}

impl Haste {
    fn allows(&self, address: IpAddr, now: Instant) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        let mut debts = self.debts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if debts.len() >= HASTY {
            debts.retain(|_, until| *until > now);
        }
        let cost = MINUTE / self.per_minute;
        let until = debts.get(&address).copied().unwrap_or(now).max(now) + cost;
        let is_allowed = until <= now + MINUTE;
        if is_allowed && (debts.len() < HASTY || debts.contains_key(&address)) {
            debts.insert(address, until);
        }
        is_allowed
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(key) = self.counted {
            let by_address = &self.admission.by_address;
            let mut by_address = by_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(open) = by_address.get_mut(&key) {
                *open -= 1;
                if *open == 0 {
                    by_address.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(per_address: usize, most: usize) -> Arc<Admission> {
        let origins = Origins::new(&["https://a.example/".to_owned()]);
        Admission::new(origins, per_address, 0, most, Arc::default())
    }

    #[test]
    fn addresses_and_all_sockets_are_limited_and_given_back() {
        let admission = admission(2, 4);
        let address = IpAddr::from([192, 0, 2, 1]);
        let permits: Vec<_> = (0..2).map(|_| admission.enter(address)).collect();
        assert!(permits.iter().all(Result::is_ok));
        let refused = admission.enter(address).err().map(|refused| refused.status);
        assert_eq!(refused, Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(admission.open_sockets(), 2, "a refused socket is not counted");
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let local: Vec<_> = (0..2).map(|_| admission.enter(loopback)).collect();
        assert!(local.iter().all(Result::is_ok), "loopback is not counted by address");
        let refused = admission.enter(loopback).err().map(|refused| refused.status);
        assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
        drop((permits, local));
        assert_eq!(admission.open_sockets(), 0);
        assert!(admission.enter(address).is_ok());
    }

    #[test]
    fn who_opens_sockets_in_haste_is_slowed() {
        let haste = Haste { per_minute: 60, debts: Mutex::default() };
        let (start, here) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let many = |from, at| (0..100).filter(|_| haste.allows(from, at)).count();
        assert_eq!(many(here, start), 60);
        assert_eq!(many(IpAddr::from([192, 0, 2, 2]), start), 60, "others are not concerned");
        assert_eq!(many(here, start + Duration::from_secs(5)), 5);
        assert_eq!(many(here, start + MINUTE * 3), 60);
        for address in 0..20_000_u32 {
            assert!(haste.allows(IpAddr::from(address.to_be_bytes()), start + MINUTE * 5));
        }
        assert!(haste.debts.lock().is_ok_and(|debts| debts.len() <= HASTY));
    }

    #[test]
    fn origins_are_compared_whole() {
        let admission = admission(1, 1);
        let host = Some("notify.example:5002");
        assert!(admission.check_origin(None, host).is_ok());
        assert!(admission.check_origin(Some("https://A.example"), host).is_ok());
        for foreign in ["https://a.example.evil", "http://a.example", "null", "", "http://notify.example"] {
            assert!(admission.check_origin(Some(foreign), host).is_err(), "{foreign}");
        }
        assert!(admission.check_origin(Some("http://"), Some("")).is_err());
    }

    #[test]
    fn the_servers_own_origin_may_always() {
        for (origin, host) in [
            ("http://notify.example:5002", "Notify.example:5002"),
            ("https://notify.example", "notify.example"),
            ("https://notify.example", "notify.example:443"),
            ("http://[::1]:5002", "[::1]:5002"),
        ] {
            assert!(is_same(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://notify.example:5002", "notify.example"),
            ("http://notify.example.evil:5002", "notify.example:5002"),
            ("http://notify.example:443", "notify.example"),
            ("notify.example", "notify.example"),
        ] {
            assert!(!is_same(origin, host), "{origin} {host}");
        }
    }
}
