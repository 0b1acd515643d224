//! Whoever wants to be told what becomes of notifications is: of what really happened, signed as Standard Webhooks says, over
//! each channel, once each, and nobody else's.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, messages, tell, told_at};
use crate::support::{
    Clients, Peers, Rest, Server, Shared, TWILIO_SID, TWILIO_TOKEN, eventually, note, on_postgres,
};

/// How many of these are of this event.
fn of(all: &[Value], event: &str) -> Vec<Value> {
    all.iter().filter(|one| one["told"]["type"] == event).map(|one| one["told"]["data"].clone()).collect()
}

#[test]
fn what_a_device_confirms_and_a_person_reads_is_told() {
    let mut peers = Peers::start();
    let quick = [
        ("realtime.ping_interval_ms", "300"),
        ("realtime.ping_timeout_ms", "300"),
        ("realtime.tcp_user_timeout_ms", "300"),
        ("realtime.confirm_margin_ms", "100"),
    ];
    let server = Server::with(&[&HOOKED[..], &quick[..]].concat());
    let (boss, backend, two) = (admin(&server), Rest::backend(&server), Rest::user(&server, 2));
    let before = backend.send(&note(2, "before anybody wanted to know"));
    tell(&mut peers, &boss, "200/all", &["notification.delivered", "notification.read"]);
    tell(&mut peers, &boss, "200/reads", &["notification.read"]);

    // By a heartbeat, without client code.
    let clients = Clients::of(&server);
    let page = clients.feed(2);
    let sent = backend.send(&note(2, "one"));
    page.hear("notification");
    let heard = hear_at(&peers, "200/all", 2);
    let delivered = of(&heard, "notification.delivered");
    let one = delivered.iter().find(|one| one["notification_id"] == sent["id"]).expect("it is told");
    assert_eq!(
        (&one["notification_uuid"], &one["user_id"], &one["type"], &one["channel"], &one["confirmed_by"]),
        (&sent["uuid"], &json!("2"), &json!("note"), &json!("in_app"), &json!("heartbeat"))
    );
    assert!(delivered.iter().any(|one| one["notification_id"] == before["id"]), "it is confirmed only now");
    let at = heard[0]["told"]["timestamp"].as_str().expect("a time");
    assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{at}");

    // By an ack, which the heartbeat does not tell again.
    let acked = backend.send(&note(2, "two"));
    page.call("ack", json!({"notificationId": acked["uuid"]}));
    let by_ack = |all: &[Value]| {
        of(all, "notification.delivered").into_iter().find(|one| one["notification_id"] == acked["id"])
    };
    let one = eventually("the ack is told", || by_ack(&told_at(&peers, "200/all")));
    assert_eq!(one["confirmed_by"], "ack");
    page.disconnect();

    // By reading, which is two things; the second time it is none.
    let read = backend.send(&note(2, "three"));
    for _ in 0..2 {
        two.post(&format!("/api/v1/notifications/{}/read", read["id"]), &json!({})).expect(200);
    }
    let all = hear_at(&peers, "200/all", 5);
    assert_eq!(
        of(&all, "notification.read"),
        [json!({
            "notification_id": read["id"], "notification_uuid": read["uuid"], "type": "note", "topic": "", "user_id": "2",
        })]
    );
    // All at once: what was read is not told again.
    backend.send(&note(2, "four"));
    two.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    let reads = hear_at(&peers, "200/reads", 5);
    assert_eq!((reads.len(), of(&reads, "notification.read").len()), (5, 5));
    let all = hear_at(&peers, "200/all", 10);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(told_at(&peers, "200/all").len(), 10, "each once: {all:?}");
    let mut ids: Vec<&str> = all.iter().map(|one| one["said"]["id"].as_str().expect("a name")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

#[test]
fn what_providers_take_refuse_and_report_is_told() {
    let mut peers = Peers::start();
    let (twilio, public) = (peers.url("twilio"), "https://notify.example.com");
    let server = Server::with(
        &[
            &HOOKED[..],
            &[
                ("delivery.retry_ms", "100"),
                ("delivery.public_url", public),
                ("TWILIO_ACCOUNT_SID", TWILIO_SID),
                ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
                ("TWILIO_PHONE_NUMBER", "+14155550100"),
                ("sms.twilio_url", &twilio),
            ],
        ]
        .concat(),
    );
    let (boss, backend) = (admin(&server), Rest::backend(&server));
    let made = tell(
        &mut peers,
        &boss,
        "200/all",
        &["notification.sent", "notification.delivered", "notification.failed"],
    );
    let text = |user: u64, phone: &str| {
        backend.put(&format!("/api/v1/recipients/{user}"), &json!({"phone": phone})).expect(200);
        let new =
            json!({"user_id": user, "type": "x", "title": "x", "channels": ["sms"], "priority": "high"});
        backend.send(&new)
    };
    let taken = text(2, "+14155550123");
    let sent = of(&hear_at(&peers, "200/all", 1), "notification.sent");
    assert_eq!(
        (&sent[0]["notification_id"], &sent[0]["channel"], &sent[0]["provider"], &sent[0]["user_id"]),
        (&taken["id"], &json!("sms"), &json!("twilio"), &json!("2"))
    );
    // Twilio says later that it arrived.
    let got = peers.hear("twilio", |told| told["to"] == "+14155550123");
    let path = got["form"]["StatusCallback"].as_str().and_then(|url| url.strip_prefix(public)).expect("ours");
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in got["says"]["params"].as_object().expect("a form") {
        form.append_pair(name, value.as_str().expect("a text"));
    }
    let signature = got["says"]["signature"].as_str().expect("a signature");
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Twilio-Signature", signature)];
    for _ in 0..2 {
        let said = crate::support::call(server.address, "POST", path, &headers, Some(&form.finish()));
        assert_eq!(said.status, 204);
        form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in got["says"]["params"].as_object().expect("a form") {
            form.append_pair(name, value.as_str().expect("a text"));
        }
    }
    let delivered = of(&hear_at(&peers, "200/all", 2), "notification.delivered");
    assert_eq!((delivered.len(), &delivered[0]["channel"]), (1, &json!("sms")));
    // And that one number takes none, and that nobody is there.
    for (user, phone, reason) in
        [(3, "+14155550132", "takes none"), (4, "+14155550135", "as often as it may be")]
    {
        let lost = text(user, phone);
        let failed = eventually("it is told", || {
            let all = of(&told_at(&peers, "200/all"), "notification.failed");
            all.into_iter().find(|one| one["notification_id"] == lost["id"])
        });
        assert!(failed["reason"].as_str().is_some_and(|why| why.contains(reason)), "{failed}");
        assert!(!failed.to_string().contains("415555"), "no numbers: {failed}");
    }
    assert_eq!(told_at(&peers, "200/all").len(), 4);
    eventually("all are noted", || (messages(&boss, &made, "&state=sent").len() == 4).then_some(()));
    let metrics = crate::support::get_with(
        server.address,
        "/metrics",
        &[("Authorization", &format!("Bearer {}", crate::support::METRICS_TOKEN))],
    );
    assert!(metrics.body.contains("carillon_webhooks_total{outcome=\"sent\"} 4"), "{}", metrics.body);
}

#[test]
fn nobody_is_told_what_is_anothers() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let elsewhere = |claims: Value| {
        let mut claims = claims;
        claims["tenant_id"] = json!("elsewhere");
        Rest::claiming(&server, claims)
    };
    let (boss, foreign) = (admin(&server), elsewhere(json!({"sub": "boss", "role": "admin"})));
    tell(&mut peers, &boss, "200/ours", &["notification.read"]);
    tell(&mut peers, &foreign, "200/theirs", &["notification.read"]);
    let backend = Rest::backend(&server);
    let theirs = elsewhere(json!({"sub": "shop", "scope": "notifications:send"}));
    let (ours, other) = (backend.send(&note(2, "ours")), theirs.send(&note(2, "theirs")));
    let read = |who: &Rest, id: &Value| {
        who.post(&format!("/api/v1/notifications/{id}/read"), &json!({})).expect(200);
    };
    read(&Rest::user(&server, 2), &ours["id"]);
    read(&elsewhere(json!({"sub": "2"})), &other["id"]);
    for (how, sent) in [("200/ours", &ours), ("200/theirs", &other)] {
        let told = hear_at(&peers, how, 1);
        assert_eq!(told[0]["told"]["data"]["notification_id"], sent["id"], "{how}");
    }
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(peers.told("hooks").len(), 2);
}

#[test]
fn where_nobody_wants_to_be_told_the_database_is_hardly_asked() {
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let server = Server::on(&shared.clone().into(), &[]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let ids: Vec<Value> =
        (0..300).map(|number| backend.send(&note(2, &number.to_string()))["id"].clone()).collect();
    let asked = || {
        let count = "SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname LIKE 'webhook%'";
        // What a session has done is counted within a second after it.
        std::thread::sleep(Duration::from_secs(2));
        let counts = shared.database.tell(count).expect("counts");
        counts.iter().map(|count| count.parse::<u64>().expect("a number")).sum::<u64>()
    };
    let (before, started) = (asked(), Instant::now());
    for id in &ids {
        two.post(&format!("/api/v1/notifications/{id}/read"), &json!({})).expect(200);
    }
    let (scans, seconds) = (asked() - before, started.elapsed().as_secs() + 1);
    println!("{scans} looks in {seconds} s, with {} commits", ids.len());
    // It is looked twice a second what is due, and once a second at most who wants to be told.
    assert!(scans <= 4 * seconds + 4 && scans < 150, "{scans} looks in {seconds} s");
}
