//! What comes by Redis and cannot be taken is kept with the reason, told without its text, and holds up nothing.

use serde_json::{Value, json};

use crate::support::{METRICS_TOKEN, Redis, Rest, Server, beside_redis, dead_letters, eventually, get_with};

#[test]
fn it_is_kept_with_the_reason_and_holds_up_nothing() {
    let (server, redis) = beside_redis();
    // When a sender made it is not used, and no fault.
    let good = |title: &str| {
        json!({"userId": 2, "type": "note", "title": title, "timestamp": "2026-01-01T00:00:00Z"}).to_string()
    };
    let with = |name: &str, value: Value| {
        let mut message = json!({"userId": 2, "type": "note", "title": "Jane Smith"});
        message[name] = value;
        message.to_string()
    };
    let bad = [
        ("not_json", "Jane Smith, jane@example.com".to_owned(), "expected value"),
        ("not_json", format!("{}x", good("Jane Smith")), "trailing characters"),
        ("invalid_field", "[\"Jane Smith\"]".to_owned(), "a list; expected a JSON object"),
        ("invalid_field", with("status", json!("delivered")), "unknown field `status`"),
        (
            "invalid_field",
            with("delivered_at", json!("2026-01-01T00:00:00Z")),
            "unknown field `delivered_at`",
        ),
        ("invalid_field", with("userId", json!({"id": 2})), "userId: "),
        ("invalid_field", with("userId", Value::Null), "userId: "),
        ("invalid_field", with("recipients", json!([3])), "for whom it is"),
        ("invalid_field", json!({"type": "note", "title": "Jane Smith"}).to_string(), "for whom it is"),
        ("invalid_field", with("priority", json!("loud")), "priority: low, normal (medium)"),
        ("invalid_field", with("type", json!("")), "type: 1 to 128 bytes"),
        ("invalid_field", with("title", json!("a\nb")), "title: one line"),
        ("invalid_field", with("actionUrl", json!("javascript:alert(1)")), "action_url: an http(s) address"),
        ("invalid_field", with("expiresAt", json!("2020-01-01T00:00:00Z")), "expires_at: a time to come"),
        ("invalid_field", with("tenantId", json!("a\nb")), "tenantId: "),
        ("too_large", with("message", json!("x".repeat(60_000))), "50000 bytes"),
    ];
    let mut expected = Vec::new();
    for (round, (_, text, _)) in bad.iter().enumerate() {
        // Each both ways, with a good one behind it.
        redis.cli(&["PUBLISH", "notifications:send", text]);
        redis.cli(&["PUBLISH", "notifications:send", &good(&format!("published {round}"))]);
        expected.push(format!("published {round}"));
        eventually("the good one came", || {
            (Rest::user(&server, 2).titles().len() == expected.len()).then_some(())
        });
        redis.cli(&["XADD", "notifications:stream", "*", "notification", text]);
        redis.cli(&["XADD", "notifications:stream", "*", "notification", &good(&format!("added {round}"))]);
        expected.push(format!("added {round}"));
        eventually("the good one came", || {
            (Rest::user(&server, 2).titles().len() == expected.len()).then_some(())
        });
    }
    redis.wait_for_stream(0, 0);
    expected.reverse();
    assert_eq!(Rest::user(&server, 2).titles(), expected);

    let letters = dead_letters(&redis);
    assert_eq!(letters.len(), 2 * bad.len());
    for (index, letter) in letters.iter().enumerate() {
        let (code, text, reason) = &bad[index / 2];
        let source = ["channel", "stream"][index % 2];
        assert_eq!((letter["code"].as_str(), letter["source"].as_str()), (*code, source), "{letter:?}");
        assert!(letter["reason"].contains(reason), "{reason}: {letter:?}");
        assert_eq!(letter["bytes"], text.len().to_string());
        assert_eq!(letter["notification"], text[..text.len().min(32 * 1024)]);
        assert!(letter["at"].ends_with('Z'), "{letter:?}");
    }
    let is_last =
        |line: &String| line.contains("what came by Redis was refused") && line.contains("too_large");
    server.wait_for_line("the log tells of the last", is_last);
    let log = server.log().join("\n");
    assert!(!log.contains("Jane") && !log.contains("example.com"), "{log}");

    let bearer = format!("Bearer {METRICS_TOKEN}");
    let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    for source in ["channel", "stream"] {
        for outcome in ["accepted", "rejected", "dead"] {
            let sample =
                format!("carillon_ingest_total{{source=\"{source}\",outcome=\"{outcome}\"}} {}", bad.len());
            assert!(metrics.contains(&sample), "{sample}:\n{metrics}");
        }
    }
    assert!(metrics.contains("carillon_ingest_up 1"), "{metrics}");
}

#[test]
fn odd_entries_are_set_aside() {
    let (server, redis) = beside_redis();
    let add = |fields: &[&str]| redis.cli(&[&["XADD", "notifications:stream", "*"], fields].concat());
    let text = json!({"userId": 2, "type": "note", "title": "any name will do"}).to_string();
    add(&["userId", "2", "type", "note", "title", "flat"]);
    add(&["whatever", &text]);
    add(&["notification", &text, "trace", "5"]);
    let mut keyed = json!({"userId": 2, "type": "note", "title": "keyed", "idempotencyKey": "k"});
    redis.add(&keyed);
    keyed["title"] = json!("another under its key");
    redis.add(&keyed);
    redis.wait_for_stream(0, 0);
    assert_eq!(Rest::user(&server, 2).titles(), ["keyed", "any name will do"]);
    let codes: Vec<String> = dead_letters(&redis).into_iter().map(|letter| letter["code"].clone()).collect();
    assert_eq!(codes, ["not_one_field", "not_one_field", "idempotency_key_reused"]);
}

#[test]
fn not_more_than_about_a_thousand_are_kept() {
    let (_server, redis) = beside_redis();
    let many =
        "for i = 1, 5000 do redis.call('XADD', 'notifications:stream', '*', 'notification', 'nonsense') end";
    redis.cli(&["EVAL", many, "0"]);
    redis.wait_for_stream(0, 0);
    let kept: usize = redis.cli(&["XLEN", "notifications:dead"]).parse().expect("a number");
    assert!((1_000..1_500).contains(&kept), "{kept}");
}

#[test]
fn what_was_taken_out_meanwhile_was_not_accepted() {
    let redis = Redis::private();
    let note = |title: &str| json!({"userId": 2, "type": "note", "title": title});
    redis.cli(&["XGROUP", "CREATE", "notifications:stream", "carillon", "0", "MKSTREAM"]);
    let gone = redis.add(&note("gone"));
    redis.add(&note("there"));
    // Somebody had read both, and died; one was deleted then.
    redis.cli(&[
        "XREADGROUP",
        "GROUP",
        "carillon",
        "carillon",
        "COUNT",
        "9",
        "STREAMS",
        "notifications:stream",
        ">",
    ]);
    redis.cli(&["XDEL", "notifications:stream", &gone]);
    let server = Server::with(&[("redis.url", &redis.url())]);
    redis.wait_for_stream(0, 0);
    assert_eq!(Rest::user(&server, 2).titles(), ["there"]);
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let sample = "carillon_ingest_total{source=\"stream\",outcome=\"accepted\"} 1";
    eventually(sample, || {
        let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
        metrics.lines().any(|line| line == sample).then_some(())
    });
}
