//! Who looks at the dashboard: whoever showed a good token, which a cookie keeps that no script can read.

use std::net::IpAddr;

use askama::Template;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Answer, Dashboard, Refused, View, see};
use crate::access::{Principal, TokenError, bearer};
use crate::domain::Tenant;
use crate::http::caller::counted;
use crate::http::demo::is_local;
use crate::http::{Arrival, input};
use crate::service::Entrance;

/// The cookie's name.
const COOKIE: &str = "carillon_dashboard";
/// Browsers keep no longer cookies (RFC 6265, section 6.1), with its name and attributes.
const LONGEST: usize = 3_800;
/// Roles that a browser on this machine may take in development.
const DEMO_ROLES: [&str; 3] = ["viewer", "operator", "admin"];

/// Somebody who is logged in.
#[derive(Clone)]
pub struct Seat {
    /// Whom the token speaks for.
    pub who: Principal,
    /// It.
    pub token: String,
    /// From where they look.
    pub address: Option<IpAddr>,
}

impl Seat {
    /// Whether they may change templates.
    pub fn is_author(&self) -> bool {
        self.who.can_write_templates
    }

    /// Whether they may see what is of all tenants.
    pub fn is_warden(&self) -> bool {
        self.who.is_admin() && self.who.tenant == Tenant::default()
    }

    /// The highest of their roles.
    pub fn role(&self) -> &'static str {
        match (self.who.is_admin(), self.who.can_retry()) {
            (true, _) => "admin",
            (false, true) => "operator",
            _ => "viewer",
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Where `Origin` says that a page is of this server, and whether that came over TLS.
fn own_origin(headers: &HeaderMap) -> Option<bool> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (scheme, host) = text(header::ORIGIN)?.split_once("://")?;
    host.eq_ignore_ascii_case(text(header::HOST)?).then(|| scheme.eq_ignore_ascii_case("https"))
}

fn set(token: &str, seconds: i64, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE}={token}; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        seconds.max(0)
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("carillon_dashboard="))
}

impl FromRequestParts<Dashboard> for Seat {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Refused> {
        let path = parts.uri.path_and_query().map_or("/dashboard", |path| path.as_str());
        let is_stream = parts.uri.path() == "/dashboard/live";
        let next = if parts.method == Method::GET && !is_stream { path } else { "/dashboard" };
        let to_login = |why| if is_stream { nobody() } else { to_login(next, why) };
        let Some(token) = cookie(&parts.headers) else {
            return Err(to_login(""));
        };
        let arrival = parts.extensions.get::<Arrival>();
        let address = arrival.map(|arrival| arrival.address);
        let doorman = &dashboard.api.doorman;
        // That a session ends is no attempt.
        let who = match doorman.known(token) {
            Err(TokenError::Expired) => return Err(to_login("ended")),
            Ok(who) => Ok(who),
            Err(_) => doorman.admit(Entrance::Dashboard, token, arrival).await,
        };
        let who = who.map_err(|_| to_login("ended"))?;
        let seat = Self { who, token: token.to_owned(), address };
        counted(&dashboard.api, parts, &seat.who).await.map_err(|fault| seat.problem(fault))?;
        Ok(seat)
    }
}

/// What no browser follows.
fn nobody() -> Refused {
    let detail = "Log in, and the page is told what is new again.";
    Refused::new(None, StatusCode::UNAUTHORIZED, "Your session has ended", detail)
}

fn to_login(next: &str, why: &str) -> Refused {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if next != "/dashboard" {
        query.append_pair("next", next);
    }
    if !why.is_empty() {
        query.append_pair("why", why);
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    see(&format!("/dashboard/login{mark}{query}")).into()
}

/// Somebody who may do something.
macro_rules! seats {
    ($($(#[$about:meta])* $name:ident: $is:expr, $needed:literal;)*) => {$(
        $(#[$about])*
        pub struct $name(pub Seat);

        impl FromRequestParts<Dashboard> for $name {
            type Rejection = Refused;

            async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Refused> {
                let seat = Seat::from_request_parts(parts, dashboard).await?;
                let is: fn(&Seat) -> bool = $is;
                if is(&seat) { Ok(Self(seat)) } else { Err(seat.forbidden($needed)) }
            }
        }
    )*};
}

seats! {
    /// Looks.
    Viewer: |seat| seat.who.can_watch(), "It needs the role viewer, operator or admin.";
    /// Has failed deliveries tried again.
    Operator: |seat| seat.who.can_watch() && seat.who.can_retry(), "It needs the role operator or admin.";
    /// Reads the audit log.
    Admin: |seat| seat.who.is_admin(), "It needs the role admin.";
    /// Sees what is of all tenants.
    Warden: Seat::is_warden, "It needs the role admin of the default tenant: what is there is of all tenants.";
    /// Changes templates.
    Author: Seat::is_author, "It needs the role admin, or the scope templates:write.";
}

/// Names and values, of a form or of a query; the first of each name counts.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// What a text of this kind has.
    pub fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The value of this name; empty, if there is none.
    pub fn of(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The same without spaces around it; nothing, if it is empty.
    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.of(name).trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequestParts<Dashboard> for Fields {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Dashboard) -> Result<Self, Refused> {
        Ok(Self::read(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}

/// A form that a page of this server sent; and whether it came over TLS.
pub struct Form(pub Fields, pub bool);

impl FromRequest<Dashboard> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, dashboard: &Dashboard) -> Result<Self, Refused> {
        let Some(is_secure) = own_origin(request.headers()) else {
            return Err(Refused::new(
                None,
                StatusCode::FORBIDDEN,
                "That came from another page",
                "What changes something is taken from the dashboard's own pages only: the header Origin must name this \
                 server as Host does. Nothing was changed. Go back to the dashboard and try again; behind a proxy, have \
                 it pass on Host as it came.",
            ));
        };
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            let detail = "It is no form. Nothing was changed; use the dashboard's own pages.";
            return Err(Refused::new(None, StatusCode::UNSUPPORTED_MEDIA_TYPE, "That is no form", detail));
        }
        let bytes = input::whole(request, dashboard.api.max_body, &dashboard.api).await.map_err(|fault| {
            let (status, title, detail) = fault.said();
            Refused::new(None, status, title, &detail)
        })?;
        Ok(Self(Fields::read(&bytes), is_secure))
    }
}

/// Only pages of the dashboard are led to.
fn onward(next: &str) -> &str {
    let is_ours = next == "/dashboard" || next.starts_with("/dashboard/") || next.starts_with("/dashboard?");
    let is_plain = next.len() <= 2_000 && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_login = next.starts_with("/dashboard/log") || next.starts_with("/dashboard/live");
    if is_ours && is_plain && !is_login { next } else { "/dashboard" }
}

#[derive(Template)]
#[template(path = "dashboard/login.html")]
struct Login<'a> {
    next: &'a str,
    note: &'a str,
    fault: &'a str,
    is_local: bool,
}

fn form(login: &Login<'_>, status: StatusCode) -> Response {
    let view = View { title: "Log in", here: "login", live: "", body: login.render().unwrap_or_default() };
    let mut response = view.show(None);
    *response.status_mut() = status;
    response
}

/// `GET /dashboard/login`.
pub async fn ask(
    dashboard: extract::State<Dashboard>,
    arrival: Option<extract::Extension<Arrival>>,
    headers: HeaderMap,
    given: Fields,
) -> Answer {
    let next = onward(given.of("next"));
    let note = match given.of("why") {
        "ended" => "Your session has ended: its token has expired, or is taken no more. Log in anew.",
        "left" => "You are logged out.",
        _ => "",
    };
    let is_local = dashboard.demo.is_some() && is_local(arrival.as_deref(), &headers);
    let login = Login { next, note, fault: "", is_local };
    Ok(form(&login, StatusCode::OK))
}

/// `POST /dashboard/login`: takes a token.
pub async fn enter(
    dashboard: extract::State<Dashboard>,
    arrival: Option<extract::Extension<Arrival>>,
    headers: HeaderMap,
    Form(given, is_secure): Form,
) -> Answer {
    let shown = given.of("token").trim();
    let token = bearer(shown).unwrap_or(shown);
    let is_local = dashboard.demo.is_some() && is_local(arrival.as_deref(), &headers);
    let next = onward(given.of("next"));
    let refuse = |status, fault: &str| {
        let login = Login { next, note: "", fault, is_local };
        Ok(form(&login, status))
    };
    let who = match dashboard.api.doorman.admit(Entrance::Dashboard, token, arrival.as_deref()).await {
        Ok(who) => who,
        Err(TokenError::Missing) => return refuse(StatusCode::BAD_REQUEST, "Paste a token: none was given."),
        Err(TokenError::Invalid) => {
            let fault = "This token is malformed, or not signed with this server's key. Get a new one, and paste all of it.";
            return refuse(StatusCode::UNAUTHORIZED, fault);
        }
        Err(refusal) => {
            return refuse(StatusCode::UNAUTHORIZED, &format!("This token is refused: {refusal}."));
        }
    };
    let now = dashboard.watch.now();
    let Some(left) = who.expires_at.map(|at| at.as_seconds() - now.as_seconds()) else {
        let fault = "This is a back end's token, which never ends. Log in with one that names a person and has a role.";
        return refuse(StatusCode::FORBIDDEN, fault);
    };
    if !(who.can_watch() || who.can_write_templates) {
        let fault = "This token is good, but has none of the roles that may look here: viewer, operator or admin. Get \
                     one that has, such as by `carillon token --user you --role viewer`.";
        return refuse(StatusCode::FORBIDDEN, fault);
    }
    if token.len() > LONGEST {
        let fault = "This token is too long for a cookie (3,800 bytes). Get one with fewer claims.";
        return refuse(StatusCode::BAD_REQUEST, fault);
    }
    let next = if who.can_watch() { next } else { "/dashboard/templates" };
    Ok(([(header::SET_COOKIE, set(token, left, is_secure))], see(next)).into_response())
}

/// `POST /dashboard/login/demo`: in development, a browser on this machine takes a role.
pub async fn demo(
    dashboard: extract::State<Dashboard>,
    arrival: Option<extract::Extension<Arrival>>,
    headers: HeaderMap,
    Form(given, is_secure): Form,
) -> Answer {
    let demo = dashboard.demo.as_ref().filter(|_| is_local(arrival.as_deref(), &headers));
    let role = DEMO_ROLES.iter().find(|role| **role == given.of("role"));
    let token = demo.zip(role).and_then(|(demo, role)| demo.token(role));
    let Some(token) = token else {
        let detail = "Logging in without a token is for a browser on the server's own machine, in development. Log in \
                      with a token.";
        return Err(Refused::new(None, StatusCode::FORBIDDEN, "Not from here", detail));
    };
    let left = 12 * 60 * 60;
    let next = onward(given.of("next"));
    Ok(([(header::SET_COOKIE, set(&token, left, is_secure))], see(next)).into_response())
}

/// `POST /dashboard/logout`.
pub async fn leave(Form(_, is_secure): Form) -> Answer {
    let forgotten = [(header::SET_COOKIE, set("", 0, is_secure))];
    Ok((forgotten, see("/dashboard/login?why=left")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(pair).collect()
    }

    #[test]
    fn only_own_pages_change_something() {
        let of = |origin, host| own_origin(&headers(&[("origin", origin), ("host", host)]));
        assert_eq!(of("https://ops.example", "ops.example"), Some(true));
        assert_eq!(of("http://127.0.0.1:5002", "127.0.0.1:5002"), Some(false));
        assert_eq!(of("http://LOCALHOST:5002", "localhost:5002"), Some(false));
        for (origin, host) in [
            ("null", "ops.example"),
            ("https://evil.example", "ops.example"),
            ("https://ops.example.evil.example", "ops.example"),
            ("https://ops.example:8443", "ops.example"),
            ("ops.example", "ops.example"),
        ] {
            assert_eq!(of(origin, host), None, "{origin}");
        }
        assert_eq!(own_origin(&headers(&[("host", "ops.example")])), None);
    }

    #[test]
    fn nobody_is_led_elsewhere() {
        for ours in ["/dashboard", "/dashboard/audit?actor=a%20b", "/dashboard?x=1"] {
            assert_eq!(onward(ours), ours);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/dashboardx",
            "/dashboard/\\evil",
            "/dashboard/a\r\nSet-Cookie: x",
            "/dashboard/login?next=/dashboard/login",
            "/dashboard/live",
        ] {
            assert_eq!(onward(other), "/dashboard", "{other}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let all = headers(&[("cookie", "a=b; carillon_dashboard=x.y.z; c=d")]);
        assert_eq!(cookie(&all), Some("x.y.z"));
        for other in ["", "carillon_dashboard=", "xcarillon_dashboard=1", "a"] {
            assert_eq!(cookie(&headers(&[("cookie", other)])), None, "{other}");
        }
    }

    #[test]
    fn no_script_reads_the_cookie_and_no_other_site_sends_it() {
        for (is_secure, ends) in [(true, "; Max-Age=60; Secure"), (false, "; Max-Age=60")] {
            let set = set("x.y.z", 60, is_secure);
            let set = set.to_str().unwrap_or_default();
            assert!(set.starts_with("carillon_dashboard=x.y.z; Path=/dashboard; HttpOnly; SameSite=Strict"));
            assert!(set.ends_with(ends), "{set}");
        }
    }
}
