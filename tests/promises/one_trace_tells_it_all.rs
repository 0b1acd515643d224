//! A collector gets one trace for a notification, from its acceptance to its confirmation, on whichever nodes that happened; in the
//! sender's own trace, if they have one. It tells neither who nor what.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{BACKEND_TOKEN, Clients, Cluster, Rest, Server, call, note};

/// A recipient whose number is nobody else's, nor anything's.
const WHO: u64 = 424_242_424;

/// Takes OTLP over HTTP, as a collector does.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Value>>>,
    headers: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (spans, headers) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (kept, seen) = (spans.clone(), headers.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, seen) = (kept.clone(), seen.clone());
                thread::spawn(move || serve(stream, &kept, &seen));
            }
        });
        Self { url, spans, headers }
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector=abc"),
            ("realtime.ping_interval_ms", "300"),
            ("realtime.ping_timeout_ms", "300"),
            ("realtime.tcp_user_timeout_ms", "300"),
            ("realtime.confirm_margin_ms", "100"),
        ]
    }

    /// The spans of a trace.
    fn of(&self, trace: &str) -> Vec<Value> {
        let all = self.spans.lock().expect("spans");
        all.iter().filter(|span| span["traceId"] == trace).cloned().collect()
    }

    /// Waits until these are there.
    #[track_caller]
    fn hear(&self, trace: &str, names: &[&str]) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let spans = self.of(trace);
            let heard: BTreeSet<&str> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
            if names.iter().all(|name| heard.contains(name)) {
                return spans;
            }
            let all = self.spans.lock().expect("spans").len();
            assert!(Instant::now() < until, "{names:?} in {trace}: of {all} there are {heard:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(stream: TcpStream, spans: &Mutex<Vec<Value>>, headers: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    loop {
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).is_ok_and(|many| many > 2) {
            let lower = line.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            headers.lock().expect("headers").push(lower.trim().to_owned());
            line.clear();
        }
        if length == 0 {
            return;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        for resource in message["resourceSpans"].as_array().expect("resources") {
            for scope in resource["scopeSpans"].as_array().expect("scopes") {
                let mut of_scope = scope["spans"].as_array().expect("spans").clone();
                for span in &mut of_scope {
                    span["resource"] = resource["resource"].clone();
                }
                spans.lock().expect("spans").extend(of_scope);
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        (&stream).write_all(answer).expect("it is answered");
    }
}

/// The trace of a notification that was sent without one.
fn own(sent: &Value) -> String {
    sent["uuid"].as_str().expect("a name").replace('-', "")
}

#[test]
fn from_acceptance_to_confirmation_it_is_one_trace() {
    let collector = Collector::start();
    let server = Server::with(&collector.settings());
    let backend = Rest::backend(&server);
    let page = Clients::of(&server).feed(WHO);
    let sent = backend.send(&note(WHO, "a secret title"));
    page.hear("notification");
    let spans = collector.hear(&own(&sent), &["accept", "commit", "dispatch", "send", "confirm"]);
    let root = spans.iter().find(|span| span["name"] == "accept").expect("the first");
    assert!(root.get("parentSpanId").is_none(), "{root}");
    for span in spans.iter().filter(|span| span["name"] != "accept") {
        assert_eq!(span["parentSpanId"], root["spanId"], "{span}");
    }
    let time = |span: &Value, what: &str| -> i128 {
        span[what].as_str().expect("a time").parse().expect("a number")
    };
    for span in &spans {
        assert!(time(span, "endTimeUnixNano") >= time(span, "startTimeUnixNano"), "{span}");
    }
    // By an ack it is the same.
    let acked = backend.send(&note(WHO, "another"));
    page.call("ack", json!({"notificationId": acked["uuid"]}));
    let spans = collector.hear(&own(&acked), &["accept", "confirm"]);
    assert!(spans.iter().any(|span| span.to_string().contains("\"ack\"")), "{spans:?}");
    // Who sends in a trace of their own finds it there.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let bearer = format!("Bearer {BACKEND_TOKEN}");
    let headers = [("traceparent", parent.as_str()), ("Authorization", bearer.as_str())];
    let reply = call(
        server.address,
        "POST",
        "/api/v1/notifications",
        &headers,
        Some(&note(WHO, "third").to_string()),
    );
    let third = reply.json();
    let spans = collector.hear(trace, &["accept", "commit", "dispatch", "send", "confirm"]);
    let root = spans.iter().find(|span| span["name"] == "accept").expect("the first");
    assert_eq!(root["parentSpanId"], "00f067aa0ba902b7");
    assert!(collector.of(&own(&third)).is_empty());
    // Who does not want it told is not told of.
    let quiet = "5bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{quiet}-00f067aa0ba902b7-00");
    let headers = [("traceparent", parent.as_str()), ("Authorization", bearer.as_str())];
    call(server.address, "POST", "/api/v1/notifications", &headers, Some(&note(WHO, "fourth").to_string()));
    let last = backend.send(&note(WHO, "last"));
    collector.hear(&own(&last), &["confirm"]);
    assert!(collector.of(quiet).is_empty());

    let all = format!("{:?}", collector.spans.lock().expect("spans"));
    for private in ["secret", "third", "default", &WHO.to_string()] {
        assert!(!all.contains(private), "{private}: {all}");
    }
    assert!(collector.headers.lock().expect("headers").iter().any(|line| line == "x-collector: abc"));
}

#[test]
fn two_nodes_tell_one_trace() {
    let collector = Collector::start();
    let Some(cluster) = Cluster::start_with(2, &collector.settings()) else { return };
    let page = Clients::of(cluster.node(1)).feed(2);
    let backend = Rest::backend(cluster.node(0));
    let trace = "6bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let bearer = format!("Bearer {BACKEND_TOKEN}");
    let headers = [("traceparent", parent.as_str()), ("Authorization", bearer.as_str())];
    let body = note(2, "over there").to_string();
    call(cluster.node(0).address, "POST", "/api/v1/notifications", &headers, Some(&body));
    let sent = backend.send(&note(2, "and another"));
    page.hear("notification");
    for trace in [trace.to_owned(), own(&sent)] {
        let spans = collector.hear(&trace, &["accept", "commit", "send", "confirm"]);
        let nodes: BTreeSet<String> = spans.iter().map(|span| span["resource"].to_string()).collect();
        assert_eq!(nodes.len(), 2, "{nodes:?}");
    }
}

#[test]
fn a_collector_that_is_away_harms_nobody() {
    let server = Server::with(&[("telemetry.endpoint", "http://127.0.0.1:1")]);
    let backend = Rest::backend(&server);
    for _ in 0..20 {
        backend.send(&note(2, "one"));
    }
    server.wait_for_line("it is told once", |line| line.contains("the collector does not take traces"));
    thread::sleep(Duration::from_millis(500));
    backend.send(&note(2, "still"));
    let told = server.log().iter().filter(|line| line.contains("does not take traces")).count();
    assert_eq!(told, 1, "once, and not for each");
}
