//! On every route: no token and a wrong token are 401; what is somebody else's answers, byte for byte, as what does
//! not exist; and where nothing is named, nothing of somebody else's is answered or changed. A route that is not in this
//! table, with what shows this, breaks the promise.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Reply, Rest, Server, call, eventually, in_seconds, instant, note, sign, sign_with};

/// What shows that people are apart on a route.
#[derive(Clone, Copy)]
enum Case {
    /// `{id}` is a notification in an inbox: to others it is none.
    Notification,
    /// `{id}` is a notification for later: to another tenant's services, too, it is none.
    Scheduled,
    /// `{id}` is what recurs: to others it is none.
    Recurring,
    /// `{id}` is a device: to others it is none.
    Device,
    /// `{id}` is a digest: to others it is none.
    Digest,
    /// `{id}` is a delivery that has failed: to others it is none.
    Failed,
    /// `{id}` is a webhook: to others it is none.
    Webhook,
    /// It names a person; `contacts_are_ones_own` shows whose it is.
    Person,
    /// It names a person: to others of their tenant there is none, and in other tenants it is somebody else.
    Kept,
    /// It counts for administrators only, and what is their tenant's.
    Reported,
    /// `{name}` is a tenant's template: to other tenants it is none.
    Template,
    /// What its owner is answered has the secret in it; what others are answered has not.
    Shows(Owner),
    /// This number is more than none for its owner, and none for others.
    Counts(Owner, &'static str),
    /// It has no end; `one_log_has_many_doors` shows whose it is.
    Streams,
    /// Whatever others ask for, with this query: what the owners see stays as it was.
    Changes(&'static str),
}

/// Whose it is, in the default tenant.
#[derive(Clone, Copy)]
enum Owner {
    Person,
    Service,
    Admin,
}

use Case::{
    Changes, Counts, Device, Digest, Failed, Notification, Recurring, Scheduled, Shows, Template, Webhook,
};
use Owner::{Admin, Person, Service};

/// Stands in all that is somebody's.
const SECRET: &str = "zanzibar";
/// A topic that anybody may name: who asks for a preview finds their own question in their audit log.
const TOPIC: &str = "rehearsals";

/// A browser, as it writes itself.
fn device(name: &str) -> Value {
    // The key of RFC 8291's example.
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let keys = json!({"p256dh": p256dh, "auth": "BTBZMqHH6r4Tts7J_aSIgg"});
    json!({"endpoint": format!("https://push.example.com/{name}"), "expirationTime": null, "keys": keys})
}

fn in_hub_words(device: Value) -> Value {
    let keys = &device["keys"];
    json!({"endpoint": device["endpoint"], "p256dh_key": keys["p256dh"], "auth_key": keys["auth"]})
}

/// What an author writes.
fn sources() -> Value {
    json!({"type": "note", "locales": {"en": {"title": "x", "message": "y"}}})
}

/// A new template of this name.
fn template(name: &str) -> Value {
    let mut template = sources();
    template["name"] = json!(name);
    template
}

/// Method, path, a body that is good, and what shows that people are apart.
fn table() -> Vec<(&'static str, &'static str, Option<Value>, Case)> {
    let send = json!({"type": "note", "title": "x"});
    let of_topic = json!({"type": "note", "title": "x", "topic": TOPIC});
    let recurring = json!({"type": "note", "title": "x", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    vec![
        ("GET", "/api/v1/notifications", None, Shows(Person)),
        ("POST", "/api/v1/notifications", Some(send.clone()), Changes("")),
        ("GET", "/api/v1/notifications/", None, Shows(Person)),
        ("GET", "/api/v1/notifications/unread-count", None, Counts(Person, "unread_count")),
        ("GET", "/api/v1/notifications/stats", None, Shows(Person)),
        ("POST", "/api/v1/notifications/read-all", None, Changes("")),
        ("POST", "/api/v1/notifications/broadcast", Some(send.clone()), Changes("")),
        ("GET", "/api/v1/notifications/preferences", None, Shows(Person)),
        ("POST", "/api/v1/notifications/preview", Some(of_topic), Counts(Service, "total_users")),
        ("GET", "/api/v1/notifications/{id}/timeline", None, Notification),
        (
            "PUT",
            "/api/v1/notifications/preferences",
            Some(json!({"time_zone": "Europe/Athens"})),
            Changes(""),
        ),
        ("GET", "/api/v1/notifications/types", None, Shows(Person)),
        ("GET", "/api/v1/notifications/scheduled", None, Shows(Service)),
        ("GET", "/api/v1/notifications/{id}", None, Notification),
        ("PUT", "/api/v1/notifications/{id}", Some(json!({"is_read": true})), Notification),
        ("DELETE", "/api/v1/notifications/{id}", None, Notification),
        ("POST", "/api/v1/notifications/{id}/read", None, Notification),
        (
            "PUT",
            "/api/v1/notifications/{id}/schedule",
            Some(json!({"scheduled_at": instant(in_seconds(86_400))})),
            Scheduled,
        ),
        ("DELETE", "/api/v1/notifications/{id}/schedule", None, Scheduled),
        ("GET", "/api/v1/recurring", None, Shows(Person)),
        ("POST", "/api/v1/recurring", Some(recurring.clone()), Changes("")),
        ("GET", "/api/v1/recurring/{id}", None, Recurring),
        ("PUT", "/api/v1/recurring/{id}", Some(recurring), Recurring),
        ("DELETE", "/api/v1/recurring/{id}", None, Recurring),
        ("GET", "/api/v1/subscriptions", None, Shows(Person)),
        ("POST", "/api/v1/subscriptions", Some(json!({"topics": ["orders"]})), Changes("")),
        ("DELETE", "/api/v1/subscriptions", None, Changes("?topic=zanzibar")),
        ("POST", "/api/v1/push/subscribe", Some(in_hub_words(device("x"))), Changes("")),
        ("GET", "/api/v1/push/subscriptions", None, Shows(Person)),
        ("PUT", "/api/v1/push/subscriptions/{id}", Some(json!({"types": ["grade"]})), Device),
        ("DELETE", "/api/v1/push/subscriptions/{id}", None, Device),
        ("GET", "/api/v1/digest/subscription", None, Shows(Person)),
        ("PUT", "/api/v1/digest/subscription", Some(json!({"is_enabled": true})), Changes("")),
        ("DELETE", "/api/v1/digest/subscription", None, Changes("")),
        ("GET", "/api/v1/digest/preview", None, Shows(Person)),
        ("GET", "/api/v1/digests", None, Shows(Person)),
        ("GET", "/api/v1/digests/{id}", None, Digest),
        ("GET", "/api/v1/recipients/{user_id}", None, Case::Person),
        ("PUT", "/api/v1/recipients/{user_id}", Some(json!({"locale": "el"})), Case::Person),
        ("GET", "/api/v1/recipients/{user_id}/data", None, Case::Kept),
        ("DELETE", "/api/v1/recipients/{user_id}/data", None, Case::Kept),
        ("GET", "/api/v1/recipients/{user_id}/consent", None, Case::Kept),
        ("PUT", "/api/v1/recipients/{user_id}/consent", Some(json!({"email": false})), Case::Kept),
        ("GET", "/api/v1/recipients/{user_id}/disclosures", None, Case::Kept),
        ("GET", "/api/v1/compliance", None, Case::Reported),
        ("GET", "/templates", None, Shows(Service)),
        ("GET", "/api/v1/templates", None, Shows(Service)),
        ("POST", "/api/v1/templates", Some(template("own")), Changes("")),
        ("POST", "/api/v1/templates/preview", Some(json!({"template": sources()})), Changes("")),
        ("GET", "/api/v1/templates/{name}", None, Template),
        ("PUT", "/api/v1/templates/{name}", Some(sources()), Template),
        ("DELETE", "/api/v1/templates/{name}", None, Template),
        ("GET", "/api/v1/templates/{name}/versions", None, Template),
        ("POST", "/api/v1/templates/{name}/preview", Some(json!({})), Template),
        ("GET", "/api/v1/webhooks", None, Shows(Admin)),
        ("POST", "/api/v1/webhooks", Some(json!({"url": "https://hooks.example.com/x"})), Changes("")),
        ("GET", "/api/v1/webhooks/{id}", None, Webhook),
        ("PUT", "/api/v1/webhooks/{id}", Some(json!({"description": "x"})), Webhook),
        ("DELETE", "/api/v1/webhooks/{id}", None, Webhook),
        ("POST", "/api/v1/webhooks/{id}/rotate", Some(json!({})), Webhook),
        ("POST", "/api/v1/webhooks/{id}/test", None, Webhook),
        ("GET", "/api/v1/webhooks/{id}/messages", None, Webhook),
        ("POST", "/api/v1/webhooks/{id}/replay", Some(json!({"since": instant(0)})), Webhook),
        ("GET", "/api/v1/analytics", None, Counts(Service, "total_notifications")),
        ("GET", "/analytics", None, Counts(Service, "total_notifications")),
        ("GET", "/api/v1/audit", None, Shows(Admin)),
        ("GET", "/api/v1/deliveries/failed", None, Shows(Admin)),
        ("POST", "/api/v1/deliveries/failed/retry", None, Changes("")),
        ("POST", "/api/v1/deliveries/{id}/retry", None, Failed),
        ("POST", "/notify", Some(json!({"title": "x"})), Changes("")),
        ("GET", "/api/v1/stream", None, Case::Streams),
        ("POST", "/internal/broadcast", Some(send.clone()), Changes("")),
        ("GET", "/api/notifications", None, Shows(Person)),
        ("POST", "/api/notifications", Some(send), Changes("")),
        ("GET", "/api/notifications/unread-count", None, Counts(Person, "unreadCount")),
        ("GET", "/api/notifications/preferences", None, Shows(Person)),
        ("PUT", "/api/notifications/preferences", Some(json!({"timeZone": "Europe/Athens"})), Changes("")),
        ("PUT", "/api/notifications/{id}/read", None, Notification),
        ("DELETE", "/api/notifications/{id}", None, Notification),
        ("POST", "/push/subscribe", Some(device("x")), Changes("")),
        ("POST", "/push/unsubscribe", Some(json!({"endpoint": device("x")["endpoint"]})), Changes("")),
        ("POST", "/push/subscribe", Some(device("x")), Changes("")),
        ("DELETE", "/push/unsubscribe", None, Changes("?endpoint=https://push.example.com/x")),
    ]
}

#[test]
fn the_table_is_the_router() {
    let tested: BTreeSet<_> = table().iter().map(|(method, path, ..)| (*method, *path)).collect();
    let served: BTreeSet<_> = carillon::http::routes().collect();
    assert_eq!(tested, served);
    let documented = include_str!("../../docs/PROTOCOLS.md");
    for (method, path) in served {
        assert!(
            documented.contains(&format!("`{method} {path}")),
            "docs/PROTOCOLS.md does not tell of {method} {path}"
        );
    }
}

#[test]
fn every_route_wants_a_good_token() {
    let server = Server::start();
    let claims = json!({"sub": "2", "exp": in_seconds(60)});
    let forged = sign_with(&claims, "a-secret-that-somebody-else-knows", jsonwebtoken::Algorithm::HS256);
    let old = sign(&json!({"sub": "2", "exp": in_seconds(-60)}));
    for (method, path, body, _) in table() {
        let path = path.replace("{id}", "1").replace("{name}", "own");
        let body = body.map(|body| body.to_string());
        let ask = |shown: &[(&str, &str)]| call(server.address, method, &path, shown, body.as_deref());
        for (shown, code) in [
            (None, "token_missing"),
            (Some(format!("Bearer {forged}")), "token_invalid"),
            (Some(format!("Bearer {old}")), "token_expired"),
            (Some("Basic Y2FyaWxsb24=".to_owned()), "token_missing"),
        ] {
            let headers: Vec<_> = shown.iter().map(|shown| ("Authorization", shown.as_str())).collect();
            let reply = ask(&headers);
            assert_eq!(reply.expect(401)["code"], code, "{method} {path}");
            assert!(reply.header("www-authenticate").is_some_and(|said| said.starts_with("Bearer")));
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(server.stats()["total_notifications"], 0);
}

/// What can be told from an answer, but for the time, and how many requests are left to the caller.
fn seen(reply: &Reply) -> (u16, String, Vec<String>) {
    let is_its_own = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("date:") && !line.starts_with("ratelimit-")
    };
    let headers = reply.headers.lines().skip(1).filter(is_its_own);
    (reply.status, reply.body.clone(), headers.map(str::to_owned).collect())
}

/// What is somebody's: a person's and a service's, in the default tenant.
struct Owners {
    person: Rest,
    service: Rest,
    admin: Rest,
}

impl Owners {
    fn settle(server: &Server) -> Self {
        let owners = Self {
            person: Rest::user(server, 2),
            service: Rest::backend(server),
            admin: Rest::claiming(server, json!({"sub": "boss", "role": "admin"})),
        };
        let wishes = json!({SECRET: {"email": false}});
        let wishes = json!({"types": wishes, "topics": wishes});
        owners.person.put("/api/v1/notifications/preferences", &wishes).expect(200);
        owners.person.post("/api/v1/subscriptions", &json!({"topics": [SECRET, TOPIC]})).expect(200);
        owners.new_digest(server);
        owners.new_notification();
        owners.new_scheduled();
        owners.new_device();
        owners.new_failed(server);
        owners.new_recurring(Person);
        owners.new_recurring(Service);
        owners.new_template(SECRET);
        owners.new_webhook();
        owners
    }

    fn who(&self, owner: Owner) -> &Rest {
        match owner {
            Person => &self.person,
            Service => &self.service,
            Admin => &self.admin,
        }
    }

    /// In the person's inbox; its id.
    fn new_notification(&self) -> Value {
        let data = json!({"text": SECRET});
        let secret = json!({
            "user_id": 2, "type": SECRET, "topic": SECRET, "title": SECRET, "message": SECRET, "data": data,
        });
        self.service.send(&secret)
    }

    /// One of the person's.
    fn new_device(&self) -> Value {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{SECRET}/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.person.post("/api/v1/push/subscribe", &in_hub_words(device(&name))).expect(201)
    }

    /// One that the person got.
    fn new_digest(&self, server: &Server) -> Value {
        let all =
            || self.person.get("/api/v1/digests").expect(200)["digests"].as_array().expect("a list").clone();
        let before = all().len();
        let weekly = json!({"frequency": "weekly", "include_types": [SECRET], "channels": ["in_app"]});
        self.person.put("/api/v1/digest/subscription", &weekly).expect(200);
        self.new_notification();
        server.sql(
            "UPDATE digest_subscriptions SET next_at = next_at - 7 * 86400000000",
            "UPDATE digest_subscriptions SET next_at = next_at - INTERVAL '7 days'",
        );
        eventually("it is there", || all().first().cloned().filter(|_| all().len() > before))
    }

    /// A delivery to the person that has failed.
    fn new_failed(&self, server: &Server) -> Value {
        let lost = json!({"user_id": 2, "type": SECRET, "title": SECRET, "channels": ["email"]});
        self.service.send(&lost);
        let failed = "UPDATE deliveries SET state = 4 WHERE state <> 0";
        eventually("it has failed", || {
            server.sql(failed, failed);
            let failed = self.admin.get("/api/v1/deliveries/failed").expect(200);
            failed["deliveries"].get(0).cloned()
        })
    }

    fn new_scheduled(&self) -> Value {
        let mut later = note(2, SECRET);
        later["scheduled_at"] = json!(instant(in_seconds(3_600)));
        self.service.send(&later)
    }

    fn new_webhook(&self) -> Value {
        let url = format!("https://hooks.example.com/{SECRET}");
        self.admin.post("/api/v1/webhooks", &json!({"url": url, "events": ["notification.sent"]})).expect(201)
    }

    fn new_template(&self, name: &str) {
        self.admin.post("/api/v1/templates", &template(name)).expect(201);
    }

    fn new_recurring(&self, owner: Owner) -> Value {
        let mut yearly = note(2, SECRET);
        (yearly["cron"], yearly["time_zone"]) = (json!("0 9 1 1 *"), json!("UTC"));
        self.who(owner).post("/api/v1/recurring", &yearly).expect(201)
    }

    /// All that the owners see, but for the audit log, in which reading it stands, and the numbers of the whole tenant.
    fn view(&self) -> Vec<String> {
        let seen = |(method, path, body, case): (&str, &str, Option<Value>, Case)| {
            let (Shows(owner) | Counts(owner, _)) = case else { return None };
            let body = body.map(|body| body.to_string());
            let reply = || self.who(owner).call(method, path, body.as_deref());
            (!["/api/v1/audit", "/api/v1/analytics", "/analytics"].contains(&path))
                .then(|| format!("{method} {path}: {}", reply().body))
        };
        let shared = self.service.get("/api/v1/recurring").body;
        table().into_iter().filter_map(seen).chain([shared]).collect()
    }
}

/// Somebody else of the tenant; and all kinds of callers of another tenant, of which one has the person's name.
fn others(server: &Server) -> [(&'static str, Rest); 4] {
    let elsewhere = |claims: Value| {
        let mut claims = claims;
        claims["tenant_id"] = json!("elsewhere");
        Rest::claiming(server, claims)
    };
    let scopes = "notifications:send notifications:broadcast";
    [
        ("another person", Rest::user(server, 3)),
        ("a namesake", elsewhere(json!({"sub": "2"}))),
        ("a foreign service", elsewhere(json!({"sub": "shop", "scope": scopes}))),
        ("a foreign administrator", elsewhere(json!({"sub": "boss", "role": "admin"}))),
    ]
}

/// Asks by this id, as the table says.
fn ask(who: &Rest, method: &str, path: &str, body: Option<&Value>, id: &str) -> Reply {
    let body = body.map(Value::to_string);
    who.call(method, &path.replace("{id}", id), body.as_deref())
}

#[test]
fn what_is_anothers_is_none() {
    let server = Server::start();
    let owners = Owners::settle(&server);
    for (method, path, body, case) in table() {
        // For each route one of its own, which its owner reaches in the end.
        let all = match case {
            Notification => vec![(owners.new_notification(), Person)],
            Scheduled => vec![(owners.new_scheduled(), Service)],
            Recurring => [Person, Service].map(|owner| (owners.new_recurring(owner), owner)).to_vec(),
            Device => vec![(owners.new_device(), Person)],
            Digest => vec![(owners.new_digest(&server), Person)],
            Failed => vec![(owners.new_failed(&server), Admin)],
            Webhook => vec![(owners.new_webhook(), Admin)],
            _ => continue,
        };
        for (theirs, owner) in all {
            let number = theirs["id"].as_u64().map(|number| number.to_string());
            let ids: Vec<String> =
                number.into_iter().chain(theirs["uuid"].as_str().map(str::to_owned)).collect();
            assert_eq!(
                ids.len(),
                if matches!(case, Recurring | Device | Digest | Failed | Webhook) { 1 } else { 2 },
                "{method} {path}: {theirs}"
            );
            let mut body = body.clone();
            for (name, other) in others(&server) {
                let none = seen(&ask(&other, method, path, body.as_ref(), "123456789"));
                assert_eq!(none.0, 404, "{method} {path}: {name}");
                for id in &ids {
                    let reply = ask(&other, method, path, body.as_ref(), id);
                    assert_eq!(seen(&reply), none, "{method} {path} {id}: {name}");
                }
            }
            // What a service sends is for somebody.
            if let (Service, Some(body)) = (owner, body.as_mut().filter(|body| body["cron"].is_string())) {
                body["user_id"] = json!(2);
            }
            let reply = ask(owners.who(owner), method, path, body.as_ref(), &ids[0]);
            assert!((200..300).contains(&reply.status), "{method} {path}: it is there: {reply:?}");
        }
    }
}

#[test]
fn what_is_kept_of_another_is_none_of_ones_business() {
    let server = Server::start();
    let owners = Owners::settle(&server);
    let note = json!({"email": true, "note": SECRET});
    owners.person.put("/api/v1/recipients/me/consent", &note).expect(200);
    let about = json!({"user_id": 3, "type": "note", "title": "x", "data": {"student_id": "2"}});
    owners.service.send(&about);
    let stranger = Rest::user(&server, 3);
    for (method, path, body, case) in table() {
        let Case::Kept = case else { continue };
        let body = body.map(|body| body.to_string());
        let ask =
            |who: &Rest, user: &str| who.call(method, &path.replace("{user_id}", user), body.as_deref());
        let none = seen(&ask(&stranger, "nobody"));
        assert_eq!(none.0, 404, "{method} {path}");
        assert_eq!(seen(&ask(&stranger, "2")), none, "{method} {path}");
        for (name, other) in others(&server).into_iter().skip(1) {
            let reply = ask(&other, "2");
            assert!(!reply.body.contains(SECRET), "{method} {path}: {name}: {}", reply.body);
        }
        if method == "GET" {
            let own = ask(&owners.person, "2").expect(200).to_string();
            assert!(own.contains(SECRET) || own.contains("send"), "{method} {path}: {own}");
        }
    }
    assert!(!owners.person.titles().is_empty(), "nobody else has made them forgotten");
    for who in [&owners.person, &stranger, &owners.service] {
        who.get("/api/v1/compliance").expect(403);
    }
    let people = |report: &Value| {
        let figures = report["figures"].as_array().expect("a list").iter();
        let mut of = figures.filter(|one| one["section"] == "people" && one["name"] == "total");
        of.next().and_then(|one| one["many"].as_i64()).expect("a count")
    };
    let foreign = Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "afar"}));
    assert_eq!(people(&foreign.get("/api/v1/compliance").expect(200)), 0);
    assert!(people(&owners.admin.get("/api/v1/compliance").expect(200)) > 0);
    // A service that may send needs a scope of its own to see all that is kept of somebody, or to forget them.
    owners.service.get("/api/v1/recipients/2/data").expect(403);
    owners.service.delete("/api/v1/recipients/2/data").expect(403);
    let clerk = Rest::claiming(&server, json!({"sub": "clerk", "scope": "privacy:manage"}));
    assert!(clerk.get("/api/v1/recipients/2/data").expect(200).to_string().contains(SECRET));
}

#[test]
fn anothers_template_is_none() {
    let server = Server::start();
    let owners = Owners::settle(&server);
    for (method, path, body, case) in table() {
        let Template = case else { continue };
        let body = body.map(|body| body.to_string());
        let name = method.to_lowercase();
        owners.new_template(&format!("{name}-{}", path.len()));
        let theirs = format!("{name}-{}", path.len());
        let ask = |who: &Rest, name: &str| who.call(method, &path.replace("{name}", name), body.as_deref());
        let mut is_none = false;
        for (name, other) in others(&server) {
            let none = seen(&ask(&other, "no-such"));
            // Whoever may not, may not whatever there is.
            assert!([403, 404].contains(&none.0), "{method} {path}: {name}: {none:?}");
            is_none |= none.0 == 404;
            for named in [theirs.as_str(), SECRET] {
                assert_eq!(seen(&ask(&other, named)), none, "{method} {path}: {name}");
            }
        }
        assert!(is_none, "{method} {path}: nobody may");
        ask(&owners.admin, &theirs).expect(200);
    }
}

#[test]
fn nothing_of_anothers_is_answered() {
    let server = Server::start();
    let owners = Owners::settle(&server);
    for (method, path, body, case) in table() {
        let (Shows(owner) | Counts(owner, _)) = case else { continue };
        let body = body.map(|body| body.to_string());
        let shows = |reply: &Reply| match case {
            Counts(_, name) => {
                let told = if reply.status == 200 { reply.json()[name].as_u64() } else { Some(0) };
                told.unwrap_or_else(|| panic!("no {name}: {reply:?}")) > 0
            }
            _ => reply.body.contains(SECRET),
        };
        let own = owners.who(owner).call(method, path, body.as_deref());
        own.expect(200);
        assert!(shows(&own), "{method} {path} shows its owner nothing: {own:?}");
        for (name, other) in others(&server) {
            let reply = other.call(method, path, body.as_deref());
            assert!([200, 403].contains(&reply.status), "{method} {path}: {reply:?}");
            assert!(!shows(&reply) && !reply.body.contains(SECRET), "{method} {path}: {name}: {reply:?}");
        }
    }
}

#[test]
fn nothing_of_anothers_is_changed() {
    let server = Server::start();
    let owners = Owners::settle(&server);
    let before = owners.view();
    assert!(before.iter().any(|seen| seen.contains(SECRET)));
    for (method, path, body, case) in table() {
        let Changes(query) = case else { continue };
        let path = format!("{path}{query}");
        let mut is_done = false;
        for (name, other) in others(&server) {
            // As it is; and for the person whose name it is.
            let mut named = body.clone();
            if let Some(named) = named.as_mut().filter(|body| body["title"].is_string()) {
                match path.starts_with("/api/notifications") {
                    true => named["recipients"] = json!([2]),
                    false => named["user_id"] = json!(2),
                }
            }
            for body in [&body, &named] {
                let body = body.as_ref().map(Value::to_string);
                let reply = other.call(method, &path, body.as_deref());
                assert!(reply.status < 500, "{method} {path}: {name}: {reply:?}");
                assert!(!reply.body.contains(SECRET), "{method} {path}: {name}: {reply:?}");
                is_done |= reply.status < 300;
            }
            assert_eq!(owners.view(), before, "{method} {path}: {name}");
        }
        assert!(is_done, "{method} {path}: nobody may");
    }
}

#[test]
fn anothers_notification_is_none() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let sent = backend.send(&note(2, "for two"));
    let theirs = [sent["id"].to_string(), sent["uuid"].as_str().expect("a UUID").to_owned()];
    let missing = [
        "987654321",
        "0",
        "-1",
        "99999999999999999999",
        "00000000-0000-7000-8000-000000000000",
        "x",
        "%00",
        "%FF",
    ];
    let others = [
        Rest::user(&server, 3),
        Rest::claiming(&server, json!({"sub": "2", "tenant_id": "elsewhere"})),
        Rest::claiming(&server, json!({"sub": "boss", "role": "admin"})),
    ];
    for (number, other) in others.iter().enumerate() {
        other.keyed("own").send(&json!({"type": "note", "title": "own"}));
        for (method, path, body, _) in table().into_iter().filter(|(_, path, ..)| path.contains("{id}")) {
            if number == 2 && path.ends_with("/timeline") {
                // Who may send within the tenant may ask what became of it.
                other.get(&path.replace("{id}", &theirs[0])).expect(200);
                continue;
            }
            let body = body.map(|body| body.to_string());
            let ask = |id: &str| seen(&other.call(method, &path.replace("{id}", id), body.as_deref()));
            let none = ask("123456789");
            assert_eq!(none.0, 404, "{method} {path}");
            for id in theirs.iter().map(String::as_str).chain(missing) {
                assert_eq!(ask(id), none, "{method} {path} {id}");
            }
        }
        for id in theirs.iter().map(String::as_str).chain(missing.into_iter().take(4)) {
            let page = seen(&other.get(&format!("/api/v1/notifications?cursor={id}")));
            assert_eq!(page, seen(&other.get("/api/v1/notifications?cursor=123456789")), "{id}");
        }
        assert_eq!(other.titles(), ["own"]);
    }
    let two = Rest::user(&server, 2).get(&format!("/api/v1/notifications/{}", theirs[0])).expect(200);
    assert_eq!(two["status"], "pending", "nobody has touched it");
}
