//! What is told of a tenant's notifications is what really happened: each entry, each delivery and each reading once,
//! whenever it happened, whatever was counted before, on however many nodes, and after a crash. And what is kept of it is
//! what anybody finds who counts everything again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Dice, Ground, METRICS_TOKEN, Peers, Rest, Server, Shared, SinkFile, TWILIO_SID,
    TWILIO_TOKEN, call, certificates, eventually, get_with, in_seconds, note, on_postgres,
};

const ANALYTICS: &str = "/api/v1/analytics";
const KINDS: [&str; 3] = ["grade", "news", "chat"];
/// Counted at once, so that nearly everything happens to what is counted already.
const AT_ONCE: (&str, &str) = ("analytics.settle_seconds", "0");

fn told(who: &Rest) -> Value {
    who.get(ANALYTICS).expect(200)
}

/// `sent`, `delivered` and `read` of a channel.
fn of(told: &Value, channel: &str) -> [i64; 3] {
    ["sent", "delivered", "read"].map(|name| told["channels"][channel][name].as_i64().expect("a number"))
}

/// What the test knows of one notification: its kind, and who has it, if they have read it once (it is delivered then), and
/// if they have read it now.
struct Known {
    id: u64,
    kind: &'static str,
    entries: BTreeMap<u64, (bool, bool)>,
}

/// A history that a dice decides.
struct History {
    dice: Dice,
    all: Vec<Known>,
    mails: i64,
}

impl History {
    fn thrown() -> Self {
        Self { dice: Dice::thrown(), all: Vec::new(), mails: 0 }
    }

    fn step(&mut self, server: &Server) {
        let backend = Rest::backend(server);
        let kind = KINDS[self.dice.below(3) as usize];
        let user = 2 + self.dice.below(3);
        match self.dice.below(10) {
            0..=3 => {
                let with_mail = self.dice.below(3) == 0;
                let mut new = json!({"user_id": user, "type": kind, "title": "x"});
                if with_mail {
                    new["channels"] = json!(["in_app", "email"]);
                    self.mails += 1;
                }
                let id = backend.send(&new)["id"].as_u64().expect("a number");
                self.all.push(Known { id, kind, entries: [(user, (false, false))].into() });
            }
            4 => {
                let new = json!({"type": kind, "title": "x", "topic": "all"});
                let id = backend.send(&new)["id"].as_u64().expect("a number");
                let entries = (2..5).map(|user| (user, (false, false))).collect();
                self.all.push(Known { id, kind, entries });
            }
            5..=8 => self.read(server, true),
            _ => self.read(server, false),
        }
    }

    /// Somebody marks one that they have.
    fn read(&mut self, server: &Server, is_read: bool) {
        if self.all.is_empty() {
            return;
        }
        let which = self.dice.below(self.all.len() as u64) as usize;
        let one = &mut self.all[which];
        let (user, entry) = one.entries.iter_mut().next_back().expect("somebody");
        let path = format!("/api/v1/notifications/{}", one.id);
        let person = Rest::user(server, *user);
        eventually("it has come", || {
            (person.put(&path, &json!({"is_read": is_read})).status == 200).then_some(())
        });
        *entry = (entry.0 || is_read, is_read);
    }

    /// Waits until what is told is what happened.
    #[track_caller]
    fn agrees(&self, server: &Server) -> Value {
        let backend = Rest::backend(server);
        let entries = || self.all.iter().flat_map(|one| one.entries.values());
        let sent = entries().count() as i64;
        let delivered = entries().filter(|entry| entry.0).count() as i64;
        let read = entries().filter(|entry| entry.1).count() as i64;
        let hope =
            format!("of {} {:?} and {} mails are told", self.all.len(), [sent, delivered, read], self.mails);
        let mut before = Value::Null;
        let last = eventually(&hope, || {
            let last = told(&backend);
            let is_right = last["total_notifications"] == json!(self.all.len())
                && of(&last, "in_app") == [sent, delivered, read]
                && of(&last, "email")[1] == self.mails
                && last["response_times"]["in_app"]["count"] == json!(delivered);
            if !is_right && last["channels"] != before {
                println!("not {hope}: {}", last["channels"]);
                before = last["channels"].clone();
            }
            is_right.then_some(last)
        });
        for kind in KINDS {
            let many = self.all.iter().filter(|one| one.kind == kind).count();
            assert_eq!(last["types"][kind]["notifications"].as_u64().unwrap_or(0), many as u64, "{kind}");
        }
        assert_eq!(last["is_complete"], true);
        last
    }
}

/// A server whose topic has everybody, and whose mail goes into a file.
fn settle(servers: &[Server]) {
    for user in 2..5 {
        let person = Rest::user(&servers[0], user);
        person.post("/api/v1/subscriptions", &json!({"topics": ["all"]})).expect(200);
        let mail = json!({"email": format!("user{user}@example.com")});
        Rest::backend(&servers[0]).put(&format!("/api/v1/recipients/{user}"), &mail).expect(200);
    }
}

/// The same without who is here now.
fn lasting(mut told: Value) -> Value {
    told["connections"] = Value::Null;
    told
}

/// Forgets what was counted, and counts nothing any more but for whoever asks.
fn forget(server: &Server) {
    let all = "DELETE FROM analytics; DELETE FROM analytics_latencies; DELETE FROM analytics_changes; \
        UPDATE analytics_place SET counted = 0, announced = 0, candidate = 0";
    server.sql(all, all);
}

#[test]
fn whatever_happens_is_counted_once() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let mut server = [Server::with(&[AT_ONCE, (name, &path)])];
    settle(&server);
    let mut history = History::thrown();
    for round in 0..8 {
        for _ in 0..30 {
            history.step(&server[0]);
        }
        history.agrees(&server[0]);
        match round {
            2 | 5 => {
                server[0].kill();
                server[0].restart();
            }
            _ => std::thread::sleep(history.dice.millis(0, 1_500)),
        }
    }
    let kept = history.agrees(&server[0]);
    // Whoever counts everything again finds the same.
    let backend = Rest::backend(&server[0]);
    let counted = server[0].rows("SELECT id FROM analytics");
    assert!(counted > 3, "{counted} rows are kept");
    server[0].stop();
    forget(&server[0]);
    server[0].set("worker.enabled", "false");
    server[0].restart();
    assert_eq!(lasting(told(&backend)), lasting(kept));
    assert_eq!(server[0].rows("SELECT id FROM analytics"), 0);
}

#[test]
fn nodes_count_together() {
    if !on_postgres() {
        return;
    }
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let ground = Ground::from(Shared::fresh());
    let mut cluster = Cluster::on(&ground, 3, &[AT_ONCE, (name, &path)]);
    settle(cluster.nodes());
    let mut history = History::thrown();
    for round in 0..6 {
        for _ in 0..30 {
            let node = history.dice.below(2) as usize;
            history.step(cluster.node(node));
        }
        match round {
            1 | 3 => cluster.kill(2),
            2 | 4 => cluster.restart(2),
            _ => {}
        }
        history.agrees(cluster.node(0));
    }
    let kept = lasting(history.agrees(cluster.node(1)));
    eventually("all is added up", || {
        let left = cluster.node(0).rows("SELECT id FROM analytics_changes");
        (left == 0).then_some(())
    });
    assert_eq!(lasting(told(&Rest::backend(cluster.node(0)))), kept);
    cluster.kill(1);
    cluster.kill(2);
    forget(cluster.node(0));
    history.agrees(cluster.node(0));
    assert_eq!(lasting(told(&Rest::backend(cluster.node(0)))), kept);
}

#[test]
fn who_only_reads_does_not_hold_up_the_counting() {
    if !on_postgres() {
        return;
    }
    let server = Server::with(&[AT_ONCE]);
    let a_backup = "BEGIN; LOCK TABLE notifications, analytics_place, inbox IN ACCESS SHARE MODE; SELECT pg_sleep(20); COMMIT";
    std::thread::scope(|all| {
        let backup = all.spawn(|| server.sql("", a_backup));
        eventually("the backup has begun", || {
            let waits = "SELECT pid FROM pg_locks WHERE relation = 'analytics_place'::regclass AND mode = 'AccessShareLock'";
            (server.rows(waits) > 0).then_some(())
        });
        for number in 0..3 {
            Rest::backend(&server).send(&note(2, &number.to_string()));
        }
        eventually("it is counted", || (server.rows("SELECT id FROM analytics") > 0).then_some(()));
        assert!(!backup.is_finished(), "it was counted only after the backup");
    });
}

#[test]
fn each_channel_is_told_as_its_peers_know_it() {
    let peers = Peers::start();
    let (port, authority) = (peers.port("smtp").to_string(), certificates::authority());
    let (public, private) = carillon::access::Vapid::generate().expect("keys");
    let server = Server::with(&[
        AT_ONCE,
        ("VAPID_PUBLIC_KEY", &public),
        ("VAPID_PRIVATE_KEY", &private),
        ("VAPID_EMAIL", "admin@example.org"),
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("delivery.allow_loopback", "true"),
        ("delivery.retry_ms", "[50]"),
        ("delivery.public_url", "https://notify.example.com"),
        ("realtime.ping_interval_ms", "300"),
        ("realtime.ping_timeout_ms", "300"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &port),
        ("SMTP_USER", "carillon"),
        ("SMTP_PASSWORD", "bells"),
        ("EMAIL_FROM", "bells@example.org"),
        ("email.smtp_ca_file", &authority),
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("sms.twilio_url", &peers.url("twilio")),
    ]);
    let backend = Rest::backend(&server);
    let page = Clients::of(&server).feed(2);
    for how in ["201", "410"] {
        let device = peers.subscription(how, "browser");
        Rest::user(&server, 5).post("/push/subscribe", &device).expect(201);
    }
    let send = |user: u64, mail: &str, phone: &str, channels: &[&str]| {
        let mut new = json!({
            "user_id": user, "notification_type": "alarm", "title": "x", "message": "x", "priority": "high",
            "channels": channels,
        });
        for (name, value) in [("email", mail), ("phone_number", phone)] {
            if !value.is_empty() {
                new[name] = json!(value);
            }
        }
        backend.post("/notify", &new).expect(200);
    };
    for _ in 0..3 {
        send(2, "", "", &["websocket"]);
        page.hear("notification");
        send(2, "ana@example.com", "", &["email"]);
        // To somebody who is not connected: others are not disturbed so soon.
        send(5, "", "", &["push"]);
        send(5, "", "+14155550123", &["sms"]);
    }
    send(3, "policy550@example.com", "", &["email"]);
    send(3, "", "+14155550132", &["sms"]);
    send(4, "ben@example.com", "", &["email"]);
    let twilio = eventually("three text messages went out", || {
        let told = peers.told("twilio");
        let to: Vec<_> = told.iter().filter(|told| told["to"] == "+14155550123").cloned().collect();
        (to.len() == 3).then_some(to)
    });

    // What the peers took is delivered; what they refused, failed.
    let taken = |told: &&Value| told["to"][0] == "ana@example.com" || told["to"][0] == "ben@example.com";
    let mails = || peers.told("smtp").iter().filter(taken).count();
    let last = eventually("all is told", || {
        let told = told(&backend);
        let numbers = |channel: &str| {
            ["sent", "delivered", "failed"].map(|name| told["channels"][channel][name].as_i64().unwrap_or(-1))
        };
        let push = numbers("push");
        let is_right = numbers("in_app") == [3, 3, 0]
            && numbers("email") == [5, 4, 1]
            && numbers("sms") == [4, 3, 1]
            && (push[1], push[0] - push[2]) == (3, 3)
            && push[2] > 0;
        is_right.then_some(told)
    });
    assert_eq!(mails(), 4);
    assert_eq!(last["types"]["alarm"]["notifications"], 15);
    assert_eq!(last["channels"]["in_app"]["skipped"], 12, "{last}");
    assert_eq!(last["response_times"]["email"]["count"], 4, "{last}");
    assert_eq!(last["connections"], json!({"total_connections": 1, "active_users": 1}));
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let failed = last["channels"]["push"]["failed"].clone();
    for (name, many) in [
        ("notifications_delivered_total{channel=\"websocket\",status=\"sent\"}", &json!(3)),
        ("notifications_delivered_total{channel=\"websocket\",status=\"delivered\"}", &json!(3)),
        ("notifications_delivered_total{channel=\"email\",status=\"sent\"}", &json!(4)),
        ("notifications_delivered_total{channel=\"email\",status=\"failed\"}", &json!(1)),
        ("notifications_delivered_total{channel=\"sms\",status=\"sent\"}", &json!(3)),
        ("notifications_delivered_total{channel=\"sms\",status=\"failed\"}", &json!(1)),
        ("notifications_delivered_total{channel=\"push\",status=\"sent\"}", &json!(3)),
        ("push_notifications_sent_total{status=\"sent\"}", &json!(3)),
        ("push_notifications_sent_total{status=\"failed\"}", &failed),
        ("websocket_connections_active", &json!(1)),
    ] {
        let line = format!("{name} {many}");
        assert!(metrics.lines().any(|one| one == line), "{line} is not in\n{metrics}");
    }

    // What a provider says later counts too, and once.
    let url = twilio[0]["form"]["StatusCallback"].as_str().expect("an address");
    let path = url.strip_prefix("https://notify.example.com").expect("our address");
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in twilio[0]["says"]["params"].as_object().expect("a form") {
        form.append_pair(name, value.as_str().expect("a text"));
    }
    let form = form.finish();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let signature = ("X-Twilio-Signature", twilio[0]["says"]["signature"].as_str().expect("a signature"));
    for _ in 0..2 {
        assert_eq!(call(server.address, "POST", path, &[kind, signature], Some(&form)).status, 204);
    }
    let sms = &told(&backend)["channels"]["sms"];
    assert_eq!(
        (&sms["sent"], &sms["delivered"], &sms["confirmed"]),
        (&json!(4), &json!(3), &json!(1)),
        "{sms}"
    );

    // The IEP reminders are told the same in their words.
    let iep = backend.get("/analytics").expect(200);
    let names: BTreeSet<_> = iep.as_object().expect("an object").keys().map(String::as_str).collect();
    let seed =
        ["connection_stats", "delivery_stats", "notification_types", "response_times", "total_notifications"];
    assert_eq!(names, BTreeSet::from(seed));
    assert_eq!(iep["total_notifications"], 15);
    assert_eq!(
        iep["delivery_stats"]["websocket"],
        json!({"sent": 3, "delivered": 3, "failed": 0, "success_rate": 1.0})
    );
    assert_eq!(
        iep["delivery_stats"]["email"],
        json!({"sent": 5, "delivered": 4, "failed": 1, "success_rate": 0.8})
    );
    assert_eq!(
        iep["delivery_stats"]["sms"],
        json!({"sent": 4, "delivered": 3, "failed": 1, "success_rate": 0.75})
    );
    assert_eq!(iep["notification_types"], json!({"alarm": 15}));
    assert_eq!(iep["connection_stats"], json!({"total_connections": 1, "active_users": 1}));
    let times = &iep["response_times"];
    let time = |name: &str| times[name].as_i64().expect("milliseconds");
    assert!(time("average_ms") <= time("p99_ms") && time("p95_ms") <= time("p99_ms"), "{times}");
    assert!(time("p99_ms") < 60_000, "{times}");
}

#[test]
fn days_are_asked_for_by_name() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    backend.send(&json!({"user_id": 2, "type": "note", "title": "x"}));
    let total =
        |query: &str| backend.get(&format!("{ANALYTICS}?{query}")).expect(200)["total_notifications"].clone();
    let day =
        |seconds: i64| crate::support::instant(in_seconds(seconds)).chars().take(10).collect::<String>();
    let (before, tomorrow) = (day(-2 * 86_400), day(86_400));
    assert_eq!(total(&format!("start_date={before}&end_date={tomorrow}")), 1);
    assert_eq!(total(&format!("start_date={before}&end_date={tomorrow}&time_zone=Pacific/Kiritimati")), 1);
    assert_eq!(total("start_date=2024-01-01&end_date=2024-12-31"), 0);
    let days = backend.get(&format!("{ANALYTICS}?start_date=2024-02-28&end_date=2024-03-01")).expect(200);
    let dates: Vec<_> =
        days["days"].as_array().expect("days").iter().map(|day| day["date"].clone()).collect();
    assert_eq!(dates, ["2024-02-28", "2024-02-29", "2024-03-01"]);
    for (query, field) in [
        ("start_date=yesterday", "start_date"),
        ("start_date=2024-02-30", "start_date"),
        ("start_date=2024-02-02&end_date=2024-02-01", "end_date"),
        ("start_date=2023-01-01&end_date=2024-12-31", "end_date"),
        ("time_zone=Mars/Olympus", "time_zone"),
        ("tenant=other", "tenant"),
    ] {
        let refused = backend.get(&format!("{ANALYTICS}?{query}"));
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.body.contains(field), "{refused:?}");
    }
    for path in [ANALYTICS, "/analytics"] {
        assert_eq!(Rest::user(&server, 2).get(path).status, 403);
    }
}
