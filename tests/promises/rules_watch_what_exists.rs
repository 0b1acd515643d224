//! Every metric that an alert rule or the dashboard in `deploy/monitoring` names is one that a running server tells, with such labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, tell};
use crate::support::{
    Clients, METRICS_TOKEN, Peers, Redis, Rest, Server, TWILIO_SID, TWILIO_TOKEN, booking, certificates,
    eventually, get_with, note, quiet_port,
};

/// Words of PromQL, which are no metrics.
const WORDS: [&str; 19] = [
    "time",
    "sum",
    "by",
    "rate",
    "increase",
    "delta",
    "min",
    "max",
    "count",
    "histogram_quantile",
    "max_over_time",
    "min_over_time",
    "and",
    "or",
    "unless",
    "offset",
    "without",
    "le",
    "on",
];

/// The metrics of an expression, each with its labels' names and wanted values.
fn metrics(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    // What stands behind `by` are labels.
    let mut text = expression.to_owned();
    while let Some(at) = text.find("by (") {
        let end = text[at..].find(')').map_or(text.len(), |end| at + end + 1);
        text.replace_range(at..end, "");
    }
    let bytes: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == '"' {
            at += 1 + bytes[at + 1..].iter().position(|sign| *sign == '"').expect("the end of a text") + 1;
            continue;
        }
        if bytes[at] == '[' {
            at += bytes[at..].iter().position(|sign| *sign == ']').expect("the end of a span");
            continue;
        }
        if !(bytes[at].is_ascii_alphabetic() || bytes[at] == '_') {
            // Numbers and spans of time are no names.
            at += 1;
            while at < bytes.len() && bytes[at - 1].is_ascii_digit() && bytes[at].is_ascii_alphanumeric() {
                at += 1;
            }
            continue;
        }
        let start = at;
        while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == '_') {
            at += 1;
        }
        let name: String = bytes[start..at].iter().collect();
        if WORDS.contains(&name.as_str()) {
            continue;
        }
        let mut labels = Vec::new();
        if bytes.get(at) == Some(&'{') {
            let end = at + bytes[at..].iter().position(|sign| *sign == '}').expect("the end of labels");
            let inner: String = bytes[at + 1..end].iter().collect();
            for label in inner.split(',') {
                let (name, value) = label.split_once('=').expect("a label and a value");
                let values = value.trim_start_matches('~').trim_matches('"').to_owned();
                labels.push((name.trim_end_matches('!').trim().to_owned(), values));
            }
            at = end + 1;
        }
        found.push((name, labels));
    }
    found
}

/// Every expression in a rule file or a dashboard.
fn expressions() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring");
    let rules = std::fs::read_to_string(folder.join("rules.yaml")).expect("the rules");
    let folded = rules.split("expr: >-\n").skip(1).map(|rest| {
        let lines = rest.lines().take_while(|line| line.starts_with("          "));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    });
    let mut all: Vec<String> = folded.collect();
    assert_eq!(all.len(), rules.matches("- alert: ").count(), "each rule has one expression");
    let board: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("grafana.json")).expect("a dashboard"))
            .expect("JSON");
    for panel in board["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            all.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    all
}

/// What a server tells: names, with their labels' values.
fn told(server: &Server) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let text = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let mut told: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, _) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = told.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once("=\"").expect("a label");
            known.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
        }
    }
    told
}

#[test]
fn every_metric_that_is_watched_is_told() {
    let mut peers = Peers::start();
    let redis = Redis::private();
    let (twilio, redis_url) = (peers.url("twilio"), redis.url());
    let collector = format!("{}/200", peers.url("hooks"));
    let [certificate, key] =
        [certificates::localhost(), certificates::localhost_key()].map(|file| file.display().to_string());
    let port = quiet_port().to_string();
    let settings = [
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("sms.twilio_url", twilio.as_str()),
        ("redis.url", redis_url.as_str()),
        ("ingest.stream", "watched"),
        ("alerts.scope_violations", "1"),
        ("telemetry.endpoint", collector.as_str()),
        ("server.tls_certificate", certificate.as_str()),
        ("server.tls_key", key.as_str()),
        ("server.tls_port", port.as_str()),
    ];
    let server = Server::with(&[&HOOKED[..], &settings[..]].concat());
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    tell(&mut peers, &boss, "200/all", &["notification.sent", "notification.failed", "notification.read"]);
    // Something of each kind.
    let page = Clients::of(&server).facilitator(2);
    Clients::of(&server).backend().call("booking_notification", booking(1, 2));
    page.hear("new_booking_notification");
    page.disconnect();
    backend.put("/api/v1/recipients/3", &json!({"phone": "+14155550123"})).expect(200);
    backend.send(&json!({"user_id": 3, "type": "x", "title": "x", "channels": ["sms"], "priority": "high"}));
    let two = Rest::user(&server, 2);
    two.get("/api/v1/audit").expect(403);
    Rest::by(&server, "nonsense").get("/api/v1/notifications").expect(401);
    // Who had a page a moment ago would be pushed to when nothing confirms it, minutes later.
    Rest::user(&server, 4).post("/push/subscribe", &peers.subscription("201", "phone")).expect(201);
    backend.send(&json!({"user_id": 4, "type": "x", "title": "x", "channels": ["push"]}));
    peers.hear("push", |told| told["path"] == "/201/phone");
    redis.cli(&["XADD", "watched", "*", "notification", "nonsense"]);
    backend.send(&note(2, "to be read"));
    hear_at(&peers, "200/all", 1);

    let usual = |name: &str| ["up"].contains(&name);
    let expected: Vec<_> = expressions().iter().flat_map(|one| metrics(one)).collect();
    assert!(expected.len() > 40, "{expected:?}");
    let missing = || {
        let told = told(&server);
        let is_there = |(name, labels): &&(String, Vec<(String, String)>)| match told.get(name.as_str()) {
            Some(known) => labels.iter().all(|(label, values)| {
                let mut values = values.split('|');
                known.get(label).is_some_and(|known| values.all(|value| known.contains(value)))
            }),
            None => usual(name),
        };
        expected.iter().filter(|one| !is_there(one)).map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
    };
    eventually(&format!("all are told but {:?}", missing()), || missing().is_empty().then_some(()));
}

/// What is counted from its first on is missed by `increase()` and `rate()`: all that is watched is told as none before.
#[test]
fn what_is_watched_is_told_before_it_happens() {
    let server = Server::start();
    let told = told(&server);
    let mut missing = BTreeSet::new();
    for (name, labels) in expressions().iter().flat_map(|one| metrics(one)) {
        let Some(counter) = name.strip_suffix("_total") else { continue };
        let wanted =
            labels.iter().flat_map(|(label, values)| values.split('|').map(move |value| (label, value)));
        let known = told.get(&name);
        let is_told = |(label, value): &(&String, &str)| {
            known.is_some_and(|known| known.get(*label).is_some_and(|known| known.contains(*value)))
        };
        if known.is_none() && counter != "up" {
            missing.insert(name.clone());
        }
        missing.extend(
            wanted.filter(|one| !is_told(one)).map(|(label, value)| format!("{name}{{{label}={value}}}")),
        );
    }
    assert!(missing.is_empty(), "a fresh server does not tell {missing:?}");
}

#[test]
fn every_rule_leads_to_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(root.join("deploy/monitoring/rules.yaml")).expect("the rules");
    let anchors: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: docs/OPERATIONS.md#")).collect();
    assert_eq!(anchors.len(), rules.matches("- alert: ").count(), "each rule has one");
    let Ok(book) = std::fs::read_to_string(root.join("docs/OPERATIONS.md")) else { return };
    let known: BTreeSet<String> = book
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let kept = |sign: &char| sign.is_alphanumeric() || " -".contains(*sign);
            let title: String =
                line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
            title.replace(' ', "-")
        })
        .collect();
    let missing: Vec<&&str> = anchors.iter().filter(|anchor| !known.contains(**anchor)).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md has no heading for {missing:?}");
}

#[test]
fn names_are_found_in_expressions() {
    let found =
        metrics("sum by (kind) (increase(a_total{kind!=\"x\",b=~\"y|z\"}[5m])) > 0.5 and c offset 5m < 100");
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        found,
        [("a_total".to_owned(), vec![label("kind", "x"), label("b", "y|z")]), ("c".to_owned(), vec![])]
    );
}
