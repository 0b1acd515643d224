//! The dashboard: those who run the server see what goes on, and may do about it what their role allows; nobody else sees or does
//! anything, and what others wrote stays text.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use carillon::http::DASHBOARD;
use serde_json::{Value, json};

use crate::support::hooks::HOOKED;
use crate::support::{
    BACKEND_TOKEN, Clients, Cluster, Events, Ground, Peers, Raw, Redis, Reply, Rest, Server, call,
    certificates, eventually, in_seconds, service_token, sign, user_token,
};

/// A browser that may be logged in.
struct Browser<'a> {
    server: &'a Server,
    cookie: Option<String>,
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

fn token_of(claims: &Value) -> String {
    let mut claims = claims.clone();
    if claims["exp"].is_null() {
        claims["exp"] = json!(in_seconds(3600));
    }
    sign(&claims)
}

impl<'a> Browser<'a> {
    fn nobody(server: &'a Server) -> Self {
        Self { server, cookie: None }
    }

    /// Logged in as whom these claims are about.
    #[track_caller]
    fn of(server: &'a Server, claims: &Value) -> Self {
        let mut browser = Self::nobody(server);
        let reply = browser.log_in(&token_of(claims));
        assert_eq!((reply.status, reply.header("location")), (303, Some("/dashboard")), "{reply:?}");
        browser
    }

    fn role(server: &'a Server, role: &str) -> Self {
        Self::of(server, &json!({"sub": format!("the-{role}"), "role": role}))
    }

    fn log_in(&mut self, token: &str) -> Reply {
        let reply = self.post("/dashboard/login", &[("token", token)]);
        let set = reply.header("set-cookie").and_then(|set| set.split(';').next()).map(str::to_owned);
        self.cookie = set.or(self.cookie.take());
        reply
    }

    fn cookie(&self) -> Vec<(&str, &str)> {
        self.cookie.iter().map(|cookie| ("Cookie", cookie.as_str())).collect()
    }

    fn get(&self, path: &str) -> Reply {
        call(self.server.address, "GET", path, &self.cookie(), None)
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_from(&[("Origin", &self.server.url())], path, fields)
    }

    fn post_from(&self, headers: &[(&str, &str)], path: &str, fields: &[(&str, &str)]) -> Reply {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let headers = [self.cookie().as_slice(), headers, &[kind]].concat();
        call(self.server.address, "POST", path, &headers, Some(form(fields).as_str()))
    }

    /// The parts of a page that are told anew.
    fn live(&self, page: &str) -> Events {
        let cookie = self.cookie.clone().unwrap_or_default();
        Events::at(self.server, &format!("/dashboard/live?page={page}"), &format!("Cookie: {cookie}\r\n"))
    }
}

/// In short: `login`, where a browser is led to log in; else the status.
fn told(reply: &Reply) -> String {
    match reply.header("location") {
        Some(path) if path.starts_with("/dashboard/login") && !path.contains("why=left") => {
            "login".to_owned()
        }
        _ => reply.status.to_string(),
    }
}

/// Each address: asked so; what nobody, a viewer, an operator, an administrator, and another tenant's administrator get.
type Case = (&'static str, &'static str, &'static str, [&'static str; 5]);

const LOOKED_AT: [&str; 5] = ["login", "200", "200", "200", "200"];
const ADMINS: [&str; 5] = ["login", "403", "403", "200", "200"];
const ANYBODYS: [&str; 5] = ["200"; 5];

const CASES: &[Case] = &[
    ("GET", "/dashboard", "", LOOKED_AT),
    ("GET", "/dashboard/live", "?page=none", ["401", "404", "404", "404", "404"]),
    ("GET", "/dashboard/failures", "", LOOKED_AT),
    ("POST", "/dashboard/failures/retry", "", ["login", "403", "303", "303", "303"]),
    ("POST", "/dashboard/failures/{id}/retry", "999999", ["login", "403", "404", "404", "404"]),
    ("GET", "/dashboard/webhooks", "", ADMINS),
    ("POST", "/dashboard/webhooks/{id}/retry", "999999", ["login", "403", "403", "404", "404"]),
    ("GET", "/dashboard/letters", "", ["login", "403", "403", "200", "403"]),
    ("GET", "/dashboard/timeline", "?id=999999", LOOKED_AT),
    ("GET", "/dashboard/nodes", "", LOOKED_AT),
    ("GET", "/dashboard/audit", "?actor=x", ADMINS),
    ("GET", "/dashboard/templates", "", ADMINS),
    ("GET", "/dashboard/new-template", "", ADMINS),
    ("POST", "/dashboard/new-template", "", ADMINS),
    ("GET", "/dashboard/templates/{name}", "grade_update", ADMINS),
    ("POST", "/dashboard/templates/{name}", "grade_update", ADMINS),
    ("POST", "/dashboard/templates/{name}/remove", "none_such", ["login", "403", "403", "404", "404"]),
    ("GET", "/dashboard/login", "", ANYBODYS),
    ("POST", "/dashboard/login", "", ["400"; 5]),
    ("POST", "/dashboard/login/demo", "", ["403"; 5]),
    ("POST", "/dashboard/logout", "", ["303"; 5]),
    ("GET", "/dashboard/assets/{file}", "dashboard.css", ANYBODYS),
];

#[test]
fn each_page_is_for_those_whose_role_allows_it() {
    let known: BTreeSet<_> = DASHBOARD.iter().copied().collect();
    let cases: BTreeSet<_> = CASES.iter().map(|(method, path, ..)| (*method, *path)).collect();
    assert_eq!(known, cases, "each route of the dashboard has a case here");

    let server = Server::start();
    let elsewhere = json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"});
    let browsers = [
        Browser::nobody(&server),
        Browser::role(&server, "viewer"),
        Browser::role(&server, "operator"),
        Browser::role(&server, "admin"),
        Browser::of(&server, &elsewhere),
    ];
    for (method, path, more, expected) in CASES {
        let (before, behind) = path.split_once('{').map_or((*path, ""), |(before, rest)| {
            (before, rest.split_once('}').map_or("", |(_, behind)| behind))
        });
        let asked = format!("{before}{more}{behind}");
        for (browser, expected) in browsers.iter().zip(expected) {
            let fields =
                [("do", "preview"), ("title", "T"), ("message", "M"), ("type", "t"), ("locale", "en")];
            let reply = match *method {
                "GET" => browser.get(&asked),
                _ => browser.post(&asked, if path.contains("template") { &fields } else { &[] }),
            };
            assert_eq!(told(&reply), *expected, "{method} {asked} {:?}: {reply:?}", browser.cookie);
            let policy = reply.header("content-security-policy").unwrap_or_default();
            assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{asked}: {policy}");
            if !path.contains("assets") {
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{asked}");
                assert!(!reply.body.contains("style=") && !reply.body.contains("onclick"), "{asked}");
            }
            if reply.status == 403 && !path.contains("login") {
                assert!(reply.body.contains("role"), "it says which role is needed: {reply:?}");
            }
        }
    }
    // What there is not is told inside, and to nobody else.
    let lost = browsers[1].get("/dashboard/no/such/page");
    assert!(lost.status == 404 && lost.body.contains("There is no such page"), "{lost:?}");
    assert_eq!(told(&browsers[0].get("/dashboard/no/such/page")), "login");
    // Who may change templates may do that, and nothing else.
    let mut author = Browser::nobody(&server);
    let reply = author.log_in(&service_token("templates:write"));
    assert_eq!(reply.header("location"), Some("/dashboard/templates"), "{reply:?}");
    assert_eq!([author.get("/dashboard/templates").status, author.get("/dashboard").status], [200, 403]);
}

#[test]
fn only_good_tokens_with_a_role_open_it() {
    let server = Server::start();
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let mut browser = Browser::nobody(&server);
    for (token, status, words) in [
        ("not-a-token", 401, "malformed"),
        ("", 400, "Paste a token"),
        (&user_token(2), 403, "viewer, operator or admin"),
        (BACKEND_TOKEN, 403, "never ends"),
        (&token_of(&json!({"sub": "a", "role": "admin", "exp": in_seconds(-60)})), 401, "expired"),
    ] {
        let reply = browser.log_in(token);
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.body.contains(words), "{words}: {reply:?}");
        assert_eq!(reply.header("set-cookie"), None, "{reply:?}");
    }
    // Who tried in vain is written down.
    eventually("it stands in the audit log", || {
        let failed = admin.get("/api/v1/audit?action=auth.failure").expect(200);
        let entries = failed["entries"].as_array().expect("entries").clone();
        entries.iter().any(|entry| entry["detail"]["door"] == "dashboard").then_some(())
    });
    // The cookie is no script's, no other site's, and lasts no longer than the token. By TLS it is only sent so.
    let token = token_of(&json!({"sub": "a", "role": "viewer", "exp": in_seconds(600)}));
    let origin = format!("https://{}", server.address);
    for (origin, is_secure) in [(server.url(), false), (origin, true)] {
        let reply = browser.post_from(
            &[("Origin", &origin)],
            "/dashboard/login",
            &[("token", &format!("Bearer {token} ")), ("next", "/dashboard/nodes")],
        );
        assert_eq!((reply.status, reply.header("location")), (303, Some("/dashboard/nodes")), "{reply:?}");
        let set = reply.header("set-cookie").expect("a cookie");
        for word in ["Path=/dashboard", "HttpOnly", "SameSite=Strict"] {
            assert!(set.contains(word), "{set}");
        }
        let lasts: i64 =
            set.split("Max-Age=").nth(1).and_then(|age| age.split(';').next()?.parse().ok()).expect("an age");
        assert!((590..=606).contains(&lasts), "{set}");
        assert_eq!(set.contains("Secure"), is_secure, "{set}");
    }
    // Nobody is led elsewhere.
    let reply = browser.post("/dashboard/login", &[("token", &token), ("next", "//evil.example")]);
    assert_eq!(reply.header("location"), Some("/dashboard"), "{reply:?}");
    let mut browser = Browser::role(&server, "viewer");
    let reply = browser.post("/dashboard/logout", &[]);
    let set = reply.header("set-cookie").expect("it is forgotten");
    assert!(set.starts_with("carillon_dashboard=;") && set.contains("Max-Age=0"), "{set}");
    browser.cookie = Some("carillon_dashboard=x.y.z".to_owned());
    assert_eq!(told(&browser.get("/dashboard")), "login");
}

#[test]
fn it_may_be_switched_off() {
    let server = Server::with(&[("dashboard.enabled", "false")]);
    assert_eq!(server.get("/dashboard").status, 404);
    assert_eq!(server.get("/dashboard/login").status, 404);
}

#[test]
fn in_development_a_browser_on_this_machine_takes_a_role() {
    let server = Server::with(&[("CARILLON_ENV", "development")]);
    let mut browser = Browser::nobody(&server);
    assert!(browser.get("/dashboard/login").body.contains("on this machine"));
    let proxied =
        call(server.address, "GET", "/dashboard/login", &[("X-Forwarded-For", "203.0.113.9")], None);
    assert!(proxied.status == 200 && !proxied.body.contains("on this machine"), "{proxied:?}");
    let url = server.url();
    let from_afar = [("Origin", url.as_str()), ("X-Forwarded-For", "203.0.113.9")];
    let refused = browser.post_from(&from_afar, "/dashboard/login/demo", &[("role", "admin")]);
    assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{refused:?}");
    for wrong in ["", "service", "root"] {
        assert_eq!(browser.post("/dashboard/login/demo", &[("role", wrong)]).status, 403);
    }
    let reply = browser.post("/dashboard/login/demo", &[("role", "operator")]);
    browser.cookie = reply.header("set-cookie").and_then(|set| Some(set.split_once(';')?.0.to_owned()));
    assert_eq!(browser.get("/dashboard").status, 200);
    assert_eq!(browser.get("/dashboard/audit").status, 403);
    server.wait_for_line("the log says where it is", |line| line.contains("/dashboard"));
}

#[test]
fn another_sites_forms_change_nothing() {
    let server = Server::start();
    let admin = Browser::role(&server, "admin");
    let fields = [
        ("name", "mine"),
        ("type", "t"),
        ("locale", "en"),
        ("default_locale", "en"),
        ("title", "T"),
        ("message", "M"),
        ("do", "save"),
    ];
    for origin in ["https://evil.example", "null", &format!("http://127.0.0.1:{}", server.address.port() ^ 1)]
    {
        for path in
            ["/dashboard/new-template", "/dashboard/failures/retry", "/dashboard/login", "/dashboard/logout"]
        {
            let reply = admin.post_from(&[("Origin", origin)], path, &fields);
            assert_eq!(reply.status, 403, "{origin} {path}: {reply:?}");
            assert!(reply.body.contains("Nothing was changed"), "{reply:?}");
        }
    }
    assert_eq!(admin.post_from(&[], "/dashboard/new-template", &fields).status, 403, "without an Origin");
    let url = server.url();
    let text = [("Origin", url.as_str()), ("Content-Type", "text/plain")];
    let headers = [admin.cookie().as_slice(), &text].concat();
    let reply = call(server.address, "POST", "/dashboard/failures/retry", &headers, Some("x"));
    assert_eq!(reply.status, 415, "{reply:?}");
    assert_eq!(admin.get("/dashboard/templates/mine").status, 404);
    assert_eq!(admin.post("/dashboard/new-template", &fields).status, 303, "its own do");
    assert_eq!(admin.get("/dashboard/templates/mine").status, 200);
}

/// The next telling that has this part, and is so.
fn hear(events: &mut Events, part: &str, is_so: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let (_, data) = events.next();
        match data[part].as_str() {
            Some(html) if is_so(html) => return html.to_owned(),
            _ => assert!(begun.elapsed() < Duration::from_secs(60), "{part} is never so: {data}"),
        }
    }
}

#[test]
fn numbers_change_while_somebody_looks() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let viewer = Browser::role(&server, "viewer");
    let mut events = viewer.live("overview");
    let before = hear(&mut events, "cards", |cards| cards.contains("Connections"));
    assert!(before.contains("<span>0</span>") && before.contains("0 since the start"), "{before}");
    let _two = Raw::facilitator(server.address, 2);
    let _three = Raw::facilitator(server.address, 3);
    hear(&mut events, "cards", |cards| cards.contains("<span>2</span>"));
    backend.send(&json!({"user_id": 9, "type": "note", "title": "The first"}));
    eventually("it is counted, as one", || {
        viewer.get("/dashboard").body.contains(">1 notification accepted on").then_some(())
    });
    for number in 1..5 {
        backend.send(&json!({"user_id": 9, "type": "note", "title": format!("Nr. {number}")}));
    }
    hear(&mut events, "cards", |cards| cards.contains("5 since the start"));
    let page = eventually("they are counted", || {
        Some(viewer.get("/dashboard")).filter(|page| page.body.contains("5 notifications accepted on"))
    });
    assert!(page.body.contains("5 since the start") && page.body.contains("<svg"), "{page:?}");

    // The nodes, too.
    let mut nodes = viewer.live("nodes");
    let html = hear(&mut nodes, "nodes", |html| html.contains("this one"));
    assert!(html.contains("alive"), "{html}");
    let other = Browser::of(&server, &json!({"sub": "b", "role": "viewer", "tenant_id": "elsewhere"}));
    let theirs = other.get("/dashboard");
    assert!(theirs.body.contains("5 since the start"), "of the whole server, in one number: {theirs:?}");
    assert!(theirs.body.contains("0 notifications accepted on"), "of their tenant: {theirs:?}");
}

#[test]
fn a_stream_ends_with_its_token_and_with_the_server() {
    let mut server = Server::with(&[("auth.jwt_leeway_seconds", "0")]);
    let lasting = Browser::role(&server, "viewer").cookie;
    let short = Browser::of(&server, &json!({"sub": "a", "role": "viewer", "exp": in_seconds(8)}));
    let mut events = short.live("nodes");
    let begun = Instant::now();
    while events.line().expect("that it is said") != "event: over" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
    }
    let reply = short.get("/dashboard/nodes");
    assert_eq!(told(&reply), "login");
    assert!(reply.header("location").is_some_and(|path| path.contains("why=ended")), "{reply:?}");
    let mut events = Browser { server: &server, cookie: lasting }.live("overview");
    hear(&mut events, "status", |html| html.contains("All is well"));
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(20), "whoever looks holds nothing up");
    while events.line().is_some() {}
}

/// What says Live is logged in: the stream ends when the session does, however far clocks may differ.
#[test]
fn a_stream_is_not_live_behind_its_session() {
    let server = Server::start();
    let token = token_of(&json!({"sub": "a", "role": "viewer", "exp": in_seconds(3)}));
    let mut browser = Browser::nobody(&server);
    let reply = browser.log_in(&token);
    let set = reply.header("set-cookie").expect("a cookie").to_owned();
    let age = set.split("Max-Age=").nth(1).and_then(|age| age.split(';').next()).expect("an age");
    let (begun, lasts) = (Instant::now(), Duration::from_secs(age.parse().expect("a number")));
    let mut events = browser.live("nodes");
    while events.line().expect("that it is said") != "event: over" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
    }
    let took = begun.elapsed();
    assert!(took < lasts + Duration::from_millis(1_500), "{took:?} is longer than the session: {set}");
    assert_eq!(told(&browser.get("/dashboard/nodes")), "login", "it is over when that is said");
}

/// The words that a button shows are in its name.
#[track_caller]
fn buttons_are_called_as_they_look(page: &str) {
    for button in page.split("<button").skip(1) {
        let (attributes, rest) = button.split_once('>').expect("a tag");
        let words = rest.split('<').next().unwrap_or_default();
        if let Some(name) = attributes.split("aria-label=\"").nth(1).and_then(|name| name.split('"').next()) {
            assert!(name.contains(words), "`{name}` has not got `{words}`");
        }
    }
}

/// Several nodes: each says which they are, and what one could not deliver another tries again.
#[test]
fn every_node_shows_all_and_does_what_it_is_told() {
    let Some(cluster) = Cluster::start(2) else { return };
    let (here, there) =
        (Browser::role(cluster.node(0), "operator"), Browser::role(cluster.node(1), "operator"));
    let (one, other) = (own_name(&here), own_name(&there));
    assert_ne!(one, other);
    for browser in [&here, &there] {
        let nodes = eventually("both are listed", || {
            Some(browser.get("/dashboard/nodes").body)
                .filter(|page| page.contains(&one) && page.contains(&other))
        });
        assert_eq!(nodes.matches("this one").count(), 1, "{nodes}");
        assert_eq!(nodes.matches("state-good").count(), 2, "{nodes}");
        let overview = browser.get("/dashboard").body;
        assert!(
            overview.contains("nodes, letters") && overview.matches(">this node</span>").count() == 4,
            "{overview}"
        );
    }
    let mail = json!({"user_id": 2, "title": "x", "channels": ["email"], "email": "two@example.com"});
    Rest::backend(cluster.node(0)).post("/notify", &mail).expect(200);
    let node = cluster.node(0);
    eventually("nobody is set up to take it", || {
        (node.rows("SELECT id FROM deliveries WHERE state = 5") == 1).then_some(())
    });
    node.sql("", "UPDATE deliveries SET state = 4");
    assert!(there.get("/dashboard/failures").body.contains("Try again"));
    assert_eq!(
        there.post("/dashboard/failures/retry", &[]).header("location"),
        Some("/dashboard/failures?retried=1")
    );
    eventually("the other sees it, too", || {
        here.get("/dashboard/failures").body.contains("Nothing has failed").then_some(())
    });
}

/// As the overview has it.
fn own_name(browser: &Browser) -> String {
    let page = browser.get("/dashboard").body;
    let name = page.split("<dt>This node</dt><dd><code>").nth(1).and_then(|rest| rest.split('<').next());
    name.expect("its name").to_owned()
}

/// Of an SQLite server's Redis the dashboard says what it is used for, and when it is away.
#[test]
fn a_redis_that_only_brings_letters_is_seen() {
    let mut redis = Redis::private();
    let server = Server::on(&Ground::Sqlite, &[("redis.url", &redis.url())]);
    redis.wait_for_listener();
    let viewer = Browser::role(&server, "viewer");
    let mut events = viewer.live("overview");
    hear(&mut events, "status", |html| html.contains("answers <span class=\"scope\">letters</span>"));
    redis.kill();
    let html = hear(&mut events, "status", |html| html.contains("unreachable"));
    assert!(html.contains("Letters in Redis are not taken") && html.contains("poor"), "{html}");
}

/// Without a name, a timeline is that of all who have it.
#[test]
fn a_timeline_shows_everybody_unless_somebody_is_named() {
    let server = Server::start();
    let (backend, viewer) = (Rest::backend(&server), Browser::role(&server, "viewer"));
    let page = Clients::of(&server).feed(2);
    let one = backend.send(&json!({"user_id": 2, "type": "note", "title": "x"}))["id"].clone();
    page.hear("notification");
    page.call("ack", json!({"notificationId": one}));
    for asked in [format!("{one}"), format!("%23{one}"), format!(" %23{one} ").replace(' ', "%20")] {
        let page = viewer.get(&format!("/dashboard/timeline?id={asked}")).body;
        for words in ["the client said so", "a socket of the recipient took it", "of node", "<dd>2</dd>"] {
            assert!(page.contains(words), "{asked} {words}: {page}");
        }
    }
    let mut names: Vec<String> = (0..44).map(|number| format!("<b>user {number}")).collect();
    names.push("anna".to_owned());
    let many = backend.send(&json!({"user_ids": names, "type": "note", "title": "x"}))["id"].clone();
    let anna = Rest::claiming(&server, json!({"sub": "anna"}));
    eventually("she has it", || (!anna.titles().is_empty()).then_some(()));
    anna.put(&format!("/api/v1/notifications/{many}"), &json!({"is_read": true})).expect(200);
    let (mut path, mut found, mut read) = (format!("/dashboard/timeline?id={many}"), BTreeSet::new(), 0);
    for expected in [20, 20, 5] {
        let page = viewer.get(&path).body;
        assert!(!page.contains("<b>user"), "{page}");
        let seen: Vec<_> =
            page.split("<span class=\"title\">").skip(1).filter_map(|one| one.split('<').next()).collect();
        assert_eq!(seen.len(), expected, "{path}: {page}");
        found.extend(seen.into_iter().map(str::to_owned));
        read += page.matches("<span class=\"done\">read</span>").count();
        assert_eq!(page.contains(">More</a>"), expected == 20, "{page}");
        if let Some(next) = page.split("&amp;after=").nth(1).and_then(|rest| rest.split('"').next()) {
            path = format!("/dashboard/timeline?id={many}&after={next}");
        }
    }
    assert_eq!((found.len(), read), (45, 1));
    // To a topic, and of somebody else's tenant.
    Rest::user(&server, 7).post("/api/v1/subscriptions", &json!({"topics": ["orders"]})).expect(200);
    let spread = backend.send(&json!({"topic": "orders", "type": "note", "title": "x"}))["id"].clone();
    eventually("it has spread", || {
        let page = viewer.get(&format!("/dashboard/timeline?id={spread}")).body;
        (page.contains("<dd>7</dd>") && page.contains("1 people have it")).then_some(())
    });
    let stranger = Browser::of(&server, &json!({"sub": "b", "role": "viewer", "tenant_id": "elsewhere"}));
    assert!(stranger.get(&format!("/dashboard/timeline?id={many}")).body.contains("No notification of this"));
    // Each of them can see who looked.
    let seen = anna.get("/api/v1/recipients/me/disclosures").expect(200);
    assert!(seen.to_string().contains("the-viewer"), "{seen}");
}

#[test]
fn what_was_given_up_is_tried_again_by_an_operator() {
    let peers = Peers::start();
    let (port, authority) = (peers.port("smtp").to_string(), certificates::authority());
    let settings = [
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
        ("CARILLON_DELIVERY_RETRY_MS", "[50]"),
        ("SMTP_HOST", "localhost"),
        // Nobody is there.
        ("SMTP_PORT", "1"),
        ("SMTP_USER", "carillon"),
        ("SMTP_PASSWORD", "bells"),
        ("EMAIL_FROM", "bells@example.org"),
        ("CARILLON_EMAIL_SMTP_CA_FILE", &authority),
    ];
    let mut server = Server::with(&settings);
    let backend = Rest::backend(&server);
    let evil = "<script>alert(1)</script>";
    let asked = json!({
        "user_id": "<img src=x onerror=alert(2)>", "type": evil, "title": evil, "channels": ["websocket", "email"],
        "email": "ana@example.com",
    });
    backend.post("/notify", &asked).expect(200);
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let failed = eventually("it is given up", || {
        let failed = admin.get("/api/v1/deliveries/failed").expect(200)["deliveries"].clone();
        failed[0]["id"].as_i64().map(|_| failed[0].clone())
    });
    let (id, notification) = (failed["id"].clone(), failed["notification_id"].clone());
    let viewer = Browser::role(&server, "viewer");
    for path in ["/dashboard", "/dashboard/failures"] {
        let page = viewer.get(path);
        assert!(page.body.contains(&format!("#{notification}")), "{path}: {page:?}");
        assert!(page.body.contains("attempt"), "{path}: {page:?}");
        assert!(
            !page.body.contains("<script>alert") && !page.body.contains("<img src=x"),
            "{path}: {page:?}"
        );
        assert!(page.body.contains("&#60;script&#62;alert(1)"), "{path}: as text: {page:?}");
        assert!(!page.body.contains("Try again"), "a viewer looks");
        assert!(!page.body.contains("ana@example.com"), "addresses are not told");
    }
    let path = format!("/dashboard/failures/{id}/retry");
    assert_eq!(viewer.post(&path, &[]).status, 403);
    let elsewhere = Browser::of(&server, &json!({"sub": "b", "role": "admin", "tenant_id": "elsewhere"}));
    assert_eq!(elsewhere.post(&path, &[]).status, 404);
    assert!(!elsewhere.get("/dashboard/failures").body.contains(&format!("#{notification}")));
    let cookie = Browser::role(&server, "operator").cookie;

    server.stop();
    server.set("SMTP_PORT", &port);
    server.restart();
    let operator = Browser { server: &server, cookie };
    let page = operator.get("/dashboard/failures").body;
    assert!(page.contains("Try again") && !page.to_lowercase().contains("dead letter"), "{page}");
    buttons_are_called_as_they_look(&page);
    let reply = operator.post(&path, &[]);
    assert_eq!(reply.header("location"), Some("/dashboard/failures?retried=1"), "{reply:?}");
    assert!(operator.get("/dashboard/failures?retried=1").body.contains("1 delivery is tried again"));
    peers.hear("smtp", |told| told["to"][0] == "ana@example.com");
    eventually("nothing is left", || {
        operator.get("/dashboard/failures").body.contains("Nothing has failed").then_some(())
    });
    assert_eq!(operator.post(&path, &[]).status, 404, "it has not failed any more");
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let deeds = admin.get("/api/v1/audit?action=delivery.retry").expect(200);
    assert_eq!(deeds["entries"][0]["actor"], "the-operator", "{deeds}");
    assert_eq!(deeds["entries"][0]["address"], "127.0.0.1", "{deeds}");

    // Its way is told, and that somebody looked is written down.
    let user = form(&[("user", "<img src=x onerror=alert(2)>")]);
    let page = operator.get(&format!("/dashboard/timeline?id={notification}&{user}"));
    for words in ["accepted", "stored", "attempt 1 by", "taken", "E-mail"] {
        assert!(page.body.contains(words), "{words}: {page:?}");
    }
    assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{page:?}");
    let looks = admin.get("/api/v1/audit?action=timeline.read").expect(200);
    assert_eq!(looks["entries"][0]["actor"], "the-operator", "{looks}");
    for nothing in ["999999", "x", "%00", "0193a4e6-0000-7000-8000-000000000000"] {
        let page = operator.get(&format!("/dashboard/timeline?id={nothing}"));
        assert!(page.status == 200 && page.body.contains("No notification of this"), "{nothing}: {page:?}");
    }
}

#[test]
fn administrators_search_the_audit_log() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let service = Rest::by(&server, &service_token("notifications:send"));
    backend.send(&json!({"user_id": 2, "type": "note", "title": "One"}));
    service.send(&json!({"user_id": 3, "type": "note", "title": "Two"}));
    let admin = Browser::role(&server, "admin");
    let found = |query: &str| {
        let page = admin.get(&format!("/dashboard/audit{query}"));
        assert_eq!(page.status, 200, "{page:?}");
        page.body.matches("<li class=\"row\">").count()
    };
    assert_eq!([found("?action=send"), found("?actor=booking-system"), found("?actor=nobody")], [2, 1, 0]);
    assert_eq!([found("?action=send&from=2099-01-01"), found("?action=send&to=2001-01-01")], [0, 0]);
    let page = admin.get("/dashboard/audit?action=send&actor=%3Cscript%3E");
    assert!(page.body.contains("Nothing was found") && !page.body.contains("<script>"), "{page:?}");
    for wrong in ["?action=nothing", "?from=yesterday"] {
        assert!(admin.get(&format!("/dashboard/audit{wrong}")).body.contains("role=\"alert\""), "{wrong}");
    }
    // That somebody looked stands in it, too; and it goes on behind fifty.
    assert!(found("?action=audit.read") >= 1);
    for _ in 0..52 {
        backend.send(&json!({"user_id": 2, "type": "note", "title": "More"}));
    }
    let page = admin.get("/dashboard/audit?action=send");
    let older = page.body.split("href=\"/dashboard/audit?").nth(1).and_then(|rest| rest.split('"').next());
    let older = older.expect("a link").replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(found(&format!("?{older}")), 4, "{older}");
    let elsewhere = Browser::of(&server, &json!({"sub": "b", "role": "admin", "tenant_id": "elsewhere"}));
    assert!(elsewhere.get("/dashboard/audit?action=send").body.contains("Nothing was found"));
}

/// What somebody typed.
fn typed<'a>(base: &'a str, title: &'a str, what: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("base", base),
        ("from", base),
        ("type", "grade"),
        ("priority", "high"),
        ("channel", "in_app"),
        ("channel", "email"),
        ("required", "grade, name"),
        ("optional", "course_name, assignment, student_name, teacher"),
        ("locale", "en"),
        ("default_locale", "en"),
        ("title", title),
        ("message", "Dear {{ name }},\r\nthere is something new."),
        ("data", "{\"name\": \"<b>Ada</b>\", \"grade\": 1}"),
        ("zone", "Europe/Berlin"),
        ("do", what),
    ]
}

#[test]
fn templates_are_looked_at_before_they_are_kept() {
    let server = Server::start();
    let admin = Browser::role(&server, "admin");
    let rest = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let path = "/dashboard/templates/grade_update";
    let page = admin.get(path);
    assert!(page.body.contains("This one is built in"), "{page:?}");
    // Shown, and not kept.
    let shown = admin.post(path, &typed("0", "For {{ name }}", "preview"));
    assert!(shown.body.contains("For &#60;b&#62;Ada&#60;/b&#62;"), "{shown:?}");
    assert!(!shown.body.contains("<b>Ada"), "{shown:?}");
    assert!(shown.body.contains("value=\"For {{ name }}\""), "what was typed is there: {shown:?}");
    assert_eq!(rest.get("/api/v1/templates/grade_update").expect(200)["version"], 0);
    // What is wrong is said, and nothing is lost.
    for (title, data, words) in [
        ("For {{ nobody", "{\"name\": \"x\"}", "role=\"alert\""),
        ("For {{ name }}", "{}", "name"),
        ("For {{ name }}", "nonsense", "a JSON object"),
    ] {
        let mut fields = typed("0", title, "preview");
        fields.iter_mut().filter(|(name, _)| *name == "data").for_each(|field| field.1 = data);
        let page = admin.post(path, &fields);
        assert!(
            page.status == 200 && page.body.contains("role=\"alert\"") && page.body.contains(words),
            "{page:?}"
        );
        assert!(page.body.contains("there is something new."), "{page:?}");
    }
    // Kept, twice; the other languages stay.
    let others =
        rest.get("/api/v1/templates/grade_update").expect(200)["locales"].as_array().map_or(0, Vec::len);
    let reply = admin.post(path, &typed("0", "For {{ name }}", "save"));
    assert_eq!(reply.status, 303, "{reply:?}");
    let kept = rest.get("/api/v1/templates/grade_update").expect(200);
    let version = kept["version"].as_i64().expect("a number").to_string();
    assert_eq!(kept["sources"]["en"]["title"], "For {{ name }}");
    assert_eq!(kept["sources"]["en"]["message"], "Dear {{ name }},\nthere is something new.");
    assert_eq!((&kept["priority"], &kept["channels"]), (&json!("high"), &json!(["in_app", "email"])));
    assert_eq!(kept["locales"].as_array().map_or(0, Vec::len), others);
    let stale = admin.post(path, &typed("0", "Too late", "save"));
    assert!(stale.body.contains("changed meanwhile") && stale.body.contains("Too late"), "{stale:?}");
    assert_eq!(admin.post(path, &typed(&version, "Again for {{ name }}", "save")).status, 303);
    let page = admin.get(&format!("{path}?version={version}"));
    assert!(page.body.contains("For {{ name }}") && page.body.contains("In use is"), "{page:?}");
    assert_eq!(page.body.matches(">Version ").count(), 2, "{page:?}");
    // A name that is taken is told in the words of the page.
    let mut taken = typed("0", "New", "save");
    taken.push(("name", "grade_update"));
    let page = admin.post("/dashboard/new-template", &taken);
    assert!(page.body.contains("There is a template of this name") && !page.body.contains("PUT"), "{page:?}");
    // Removed: what is built in comes back.
    assert_eq!(admin.post(&format!("{path}/remove"), &[]).status, 303);
    assert_eq!(rest.get("/api/v1/templates/grade_update").expect(200)["version"], 0);
    let elsewhere = Browser::of(&server, &json!({"sub": "b", "role": "admin", "tenant_id": "elsewhere"}));
    assert!(elsewhere.get(path).body.contains("This one is built in"));
    for lost in
        ["/dashboard/templates/none_such", "/dashboard/templates/..%2f", &format!("{path}?version=77")]
    {
        let page = admin.get(lost);
        assert!(page.status == 404 && page.body.contains("There is no such template"), "{lost}: {page:?}");
    }
}

/// What a tenant's program did not take is listed with the reason, and told again by a click.
#[test]
fn what_a_program_did_not_take_is_told_again() {
    let peers = Peers::start();
    let server = Server::with(&HOOKED);
    let browser = Browser::role(&server, "admin");
    assert!(browser.get("/dashboard/webhooks").body.contains("no address was named"));
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let hook = json!({"url": format!("{}/500/<b>", peers.url("hooks")), "events": ["notification.read"], "description": "<b>till</b>"});
    let id = admin.post("/api/v1/webhooks", &hook).expect(201)["id"].clone();
    admin.post(&format!("/api/v1/webhooks/{id}/test"), &json!({})).expect(202);
    let page = eventually("it is given up", || {
        Some(browser.get("/dashboard/webhooks").body).filter(|page| page.contains("Tell again"))
    });
    assert!(
        page.contains("500") && page.contains("5 attempts") && page.contains("&#60;b&#62;till"),
        "{page}"
    );
    buttons_are_called_as_they_look(&page);
    assert!(
        !page.contains("<b>") && !page.contains("/500/"),
        "the rest of an address may be a secret: {page}"
    );
    let message = page
        .split("name=\"message\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("its name");
    let retry = format!("/dashboard/webhooks/{id}/retry");
    let led = browser.post(&retry, &[("message", message)]);
    assert_eq!((led.status, led.header("location")), (303, Some("/dashboard/webhooks?told=1")), "{led:?}");
    let sent = || peers.told("hooks").len();
    eventually("it is told again", || (sent() >= 10).then_some(()));
    eventually("and given up again", || {
        browser.get("/dashboard/webhooks").body.contains("Tell again").then_some(())
    });
    assert_eq!(browser.post(&retry, &[]).header("location"), Some("/dashboard/webhooks?told=1"));
    let stranger = Browser::of(&server, &json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"}));
    assert_eq!(stranger.post(&retry, &[("message", message)]).status, 404);
    assert!(!stranger.get("/dashboard/webhooks").body.contains("127.0.0.1"));
}

#[test]
fn dead_letters_are_shown() {
    let redis = Redis::private();
    let server = Server::with(&[("redis.url", &redis.url())]);
    redis.wait_for_listener();
    let browser = Browser::role(&server, "admin");
    assert!(browser.get("/dashboard/letters").body.contains("All that came was taken"));
    redis.cli(&["PUBLISH", "notifications:send", "<script>alert(1)</script>"]);
    let page = eventually("it is shown", || {
        Some(browser.get("/dashboard/letters").body).filter(|page| page.contains("not_json"))
    });
    assert!(page.contains("alert(1)") && !page.contains("<script>alert"), "{page}");
    // It may be anybody's: who looked is written down.
    let looked = browser.get("/dashboard/audit?action=letters.read").body;
    assert!(looked.matches("<li class=\"row\">").count() >= 2, "{looked}");
}
