//! Brute force, forged tokens, what a token does not allow, text messages in masses, exports, erasures and a broken audit log are told:
//! in the log, as a metric, and by signed webhooks. A flood is told of in few words.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, tell, told_at};
use crate::support::{
    Clients, METRICS_TOKEN, Peers, Rest, Server, TWILIO_SID, TWILIO_TOKEN, booking, eventually, get_with,
    note,
};

const TIGHT: [(&str, &str); 5] = [
    ("alerts.brute_force", "5"),
    ("alerts.forged_tokens", "3"),
    ("alerts.scope_violations", "4"),
    ("alerts.sms_per_day", "2"),
    ("alerts.quiet_seconds", "4"),
];

/// `{"alg":"none"}`, and somebody's name.
const FORGED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIyIn0.";

fn alerts(server: &Server, kind: &str) -> f64 {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let text = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let name = format!("carillon_security_alerts_total{{kind=\"{kind}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0.0)
}

/// What was told of this kind.
fn of(peers: &Peers, kind: &str) -> Vec<Value> {
    let all = told_at(peers, "200/alerts");
    let data =
        all.iter().filter(|one| one["told"]["type"] == "security.alert").map(|one| &one["told"]["data"]);
    data.filter(|data| data["kind"] == kind).cloned().collect()
}

#[track_caller]
fn first(server: &Server, peers: &Peers, kind: &str) -> Value {
    let one = eventually(&format!("{kind} is told"), || of(peers, kind).first().cloned());
    assert!(alerts(server, kind) >= 1.0, "{kind}");
    server.wait_for_line(kind, |line| line.contains("security.alert") && line.contains(kind));
    one
}

#[test]
fn what_is_alarming_is_told_and_floods_are_summed_up() {
    let mut peers = Peers::start();
    let server = Server::with(&[&HOOKED[..], &TIGHT[..]].concat());
    let boss = admin(&server);
    tell(&mut peers, &boss, "200/alerts", &["security.alert"]);
    let all = json!({"url": format!("{}/200/all", peers.url("hooks"))});
    let made = boss.post("/api/v1/webhooks", &all).expect(201);
    peers.know(made["secret"].as_str().expect("a secret"));

    // Few wrong tokens are nothing.
    let stranger = Rest::by(&server, "a guess");
    for _ in 0..4 {
        stranger.get("/api/v1/notifications").expect(401);
    }
    assert!(of(&peers, "brute_force").is_empty());
    for _ in 0..60 {
        stranger.get("/api/v1/notifications").expect(401);
    }
    let told = first(&server, &peers, "brute_force");
    assert_eq!(
        (&told["source"], &told["count"], &told["tenant"]),
        (&json!("127.0.0.1"), &json!(5), &json!("default"))
    );
    // The others are one more word, when it was quiet for long enough.
    let sum = eventually("the flood is told as a number", || of(&peers, "brute_force").get(1).cloned());
    assert_eq!(sum["count"], 59, "{sum}");

    let forger = Rest::by(&server, FORGED);
    for _ in 0..3 {
        forger.get("/api/v1/notifications").expect(401);
    }
    assert_eq!(first(&server, &peers, "forged_tokens")["source"], "127.0.0.1");

    let two = Rest::user(&server, 2);
    for _ in 0..4 {
        two.get("/api/v1/audit").expect(403);
    }
    let told = first(&server, &peers, "scope_violations");
    assert_eq!((&told["source"], &told["count"]), (&json!("2"), &json!(4)), "{told}");

    // So are sockets, of either protocol.
    let (page, feed) = (Clients::of(&server).facilitator(4), Clients::of(&server).feed(5));
    for number in 0..4 {
        page.call("booking_notification", booking(number, 4));
        feed.call("subscribe", json!({"userId": 2, "channels": ["news"]}));
    }
    for who in ["4", "5"] {
        let is_told = || of(&peers, "scope_violations").into_iter().find(|told| told["source"] == who);
        assert_eq!(eventually("a socket's is told", is_told)["count"], 4);
    }

    // Those who want all hear of notifications only.
    std::thread::sleep(Duration::from_millis(500));
    assert!(told_at(&peers, "200/all").is_empty());
    // And it is for administrators.
    let keeper = Rest::claiming(&server, json!({"sub": "ops", "scope": "webhooks:write"}));
    let wanted = json!({"url": format!("{}/200/x", peers.url("hooks")), "events": ["security.alert"]});
    keeper.post("/api/v1/webhooks", &wanted).expect(403);
    let id = &boss.get("/api/v1/webhooks").expect(200)["webhooks"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["events"] == json!(["security.alert"]))
        .expect("it is there")["id"]
        .clone();
    keeper
        .put(&format!("/api/v1/webhooks/{id}"), &json!({"url": format!("{}/200/x", peers.url("hooks"))}))
        .expect(403);
    keeper.post(&format!("/api/v1/webhooks/{id}/rotate"), &json!({})).expect(403);
}

#[test]
fn deeds_and_damage_are_told() {
    let mut peers = Peers::start();
    let server = Server::with(&[&HOOKED[..], &TIGHT[..], &[("audit.verify_seconds", "1")]].concat());
    let boss = admin(&server);
    tell(&mut peers, &boss, "200/alerts", &["security.alert"]);
    Rest::backend(&server).send(&note(2, "one"));
    // Whatever is written down under such a name, by whichever node.
    for (action, kind) in [("data.export", "data_export"), ("data.erase", "data_erasure")] {
        let row = |at: &str| {
            format!(
                "INSERT INTO audit_log (at, tenant, actor, action, detail) \
                 VALUES ({at}, 'default', 'boss', '{action}', '{{}}')"
            )
        };
        server.sql(&row("1700000000000000"), &row("to_timestamp(1700000000)"));
        let told = first(&server, &peers, kind);
        assert_eq!((&told["source"], &told["count"]), (&json!("boss"), &json!(1)), "{told}");
        assert!(told["since"].as_str().is_some_and(|at| at.starts_with("2023-11-14T22:13:20")), "{told}");
    }
    let intact = || {
        let bearer = format!("Bearer {METRICS_TOKEN}");
        let text = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
        text.lines().find_map(|line| line.strip_prefix("carillon_audit_intact ")?.parse::<u8>().ok())
    };
    eventually("the metric says so", || (intact() == Some(1)).then_some(()));
    let row = "UPDATE audit_log SET detail = '{\"x\":1}' WHERE action = 'send'";
    server.sql(
        &format!("DROP TRIGGER audit_log_is_not_changed; {row}"),
        &format!("ALTER TABLE audit_log DISABLE TRIGGER ALL; {row}"),
    );
    let told = first(&server, &peers, "audit_chain");
    assert!(told["source"].as_str().is_some_and(|row| row.starts_with("row ")), "{told}");
    eventually("the metric says so", || (intact() == Some(0)).then_some(()));
    // The same is told once in a while, however often it is looked at.
    let since = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(alerts(&server, "audit_chain") <= 1.0 || since.elapsed() > Duration::from_secs(4));
}

#[test]
fn very_many_text_messages_are_told() {
    let mut peers = Peers::start();
    let twilio = peers.url("twilio");
    let sms = [
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("sms.twilio_url", twilio.as_str()),
    ];
    let server = Server::with(&[&HOOKED[..], &TIGHT[..], &sms[..]].concat());
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    tell(&mut peers, &boss, "200/alerts", &["security.alert"]);
    for (user, phone) in [(2, "+14155550123"), (3, "+14155550124"), (4, "+14155550125")] {
        backend.put(&format!("/api/v1/recipients/{user}"), &json!({"phone": phone})).expect(200);
        backend.send(
            &json!({"user_id": user, "type": "x", "title": "x", "channels": ["sms"], "priority": "high"}),
        );
    }
    let told = first(&server, &peers, "sms_spend");
    assert!(told["count"].as_i64().is_some_and(|many| many >= 2), "{told}");
    assert_eq!(told["tenant"], "default");
    assert_eq!(of(&peers, "sms_spend").len(), 1, "again at twice as many, and not before");
}
