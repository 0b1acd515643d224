//! A provider is given its time, and believed: what it was asked is not asked again while it may have taken it, more often than
//! must be; what it says, sooner or later, is noted; and one that is down is left alone, until it is there again.

use carillon::access::Vapid;
use serde_json::{Value, json};

use crate::support::{
    METRICS_TOKEN, Peers, Rest, Server, SinkFile, by_twilio, call, certificates, eventually, get_with,
    quiet_now, quiet_port,
};

const PREFERENCES: &str = "/api/v1/notifications/preferences";

/// A server whose mail goes to this port.
fn by_mail(port: u16, more: &[(&str, &str)]) -> Server {
    let (port, authority) = (port.to_string(), certificates::authority());
    let usual = [
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &port),
        ("SMTP_USER", "carillon"),
        ("SMTP_PASSWORD", "bells"),
        ("EMAIL_FROM", "bells@example.org"),
        ("CARILLON_EMAIL_SMTP_CA_FILE", &authority),
    ];
    Server::with(&[&usual, more].concat())
}

/// A server that pushes to the peers.
fn by_push() -> Server {
    by_push_with(&[])
}

fn by_push_with(more: &[(&str, &str)]) -> Server {
    let (public, private) = Vapid::generate().expect("keys");
    let usual = [
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
        ("VAPID_PUBLIC_KEY", &public),
        ("VAPID_PRIVATE_KEY", &private),
        ("VAPID_EMAIL", "admin@example.org"),
    ];
    Server::with(&[&usual, more].concat())
}

/// An e-mail for each of these, which waits for nobody.
fn mails(backend: &Rest, users: std::ops::Range<u64>, name: &str) {
    for user in users {
        let contacts = json!({"email": format!("{name}@host{user}.example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
        backend
            .send(&json!({"user_id": user, "type": "alarm", "title": "x", "channels": ["in_app", "email"]}));
    }
}

/// A text message for user 2, at this number; its notification's id.
fn text(backend: &Rest, number: &str) -> String {
    let new = json!({
        "user_id": 2, "type": "x", "title": "Look", "message": "x", "channels": ["sms"], "priority": "high",
        "phone_number": number,
    });
    let told = backend.post("/notify", &new).expect(200);
    told["notification_id"].as_str().expect("an id").to_owned()
}

fn in_state(server: &Server, state: i32) -> i64 {
    server.rows(&format!("SELECT 1 FROM deliveries WHERE state = {state}"))
}

/// The sum of this counter's samples that have this word in them.
fn counted(server: &Server, name: &str, word: &str) -> i64 {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let samples = metrics.lines().filter(|line| line.starts_with(name) && line.contains(word));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<i64>().ok()).sum()
}

fn told_to(peers: &Peers, number: &str) -> usize {
    peers.told("twilio").iter().filter(|told| told["to"] == number).count()
}

#[test]
fn letters_do_not_wait_at_a_mail_servers_expense() {
    let peers = Peers::start();
    let frugal = [("CARILLON_EMAIL_SMTP_CONNECTIONS", "1"), ("CARILLON_DELIVERY_TIMEOUT_MS", "6000")];
    let server = by_mail(peers.port("smtp"), &frugal);
    mails(&Rest::backend(&server), 10..15, "late");
    eventually("all have gone", || (in_state(&server, 2) == 5).then_some(()));
    assert_eq!(peers.told("smtp").len(), 5, "somebody got it twice");
    assert_eq!(server.rows("SELECT 1 FROM delivery_attempts"), 5, "some were tried in vain");
}

#[test]
fn nothing_is_taken_for_one_that_is_left_alone() {
    let server = by_mail(quiet_port(), &[("CARILLON_DELIVERY_RETRY_MS", "[500, 500, 500, 500, 500, 500]")]);
    mails(&Rest::backend(&server), 10..60, "ana");
    let begun = || server.rows("SELECT 1 FROM deliveries WHERE attempt > 0");
    eventually("it is tried, and found to be away", || (begun() >= 5).then_some(()));
    // Long enough for each to be taken and put back several times.
    std::thread::sleep(std::time::Duration::from_secs(8));
    assert!(begun() < 25, "they are taken for nothing: {}", begun());
    assert_eq!(in_state(&server, 4), 0, "attempts are used up while it is away");
}

#[test]
fn what_a_slow_provider_takes_is_noted_before_the_end() {
    let peers = Peers::start();
    let mut server = by_mail(peers.port("smtp"), &[]);
    mails(&Rest::backend(&server), 10..11, "slow");
    peers.hear("smtp", |told| told["to"][0] == "slow@host10.example.com");
    // The mail server has it, and takes seven seconds to say so.
    assert!(server.stop().success());
    assert_eq!(in_state(&server, 2), 1, "it goes out a second time");
    assert_eq!(peers.told("smtp").len(), 1);
}

/// Killed between a mail server's yes and our note of it: whoever goes on cannot know, and hands over the same letter.
#[test]
fn whoever_dies_over_a_letter_costs_one_more_of_the_same() {
    let peers = Peers::start();
    let mut server = by_mail(peers.port("smtp"), &[]);
    mails(&Rest::backend(&server), 10..13, "ana");
    eventually("these are noted", || (in_state(&server, 2) == 3).then_some(()));
    mails(&Rest::backend(&server), 13..14, "late");
    peers.hear("smtp", |told| told["to"][0] == "late@host13.example.com");
    server.kill();
    // The time for which it was held has run out.
    server.sql(
        "UPDATE deliveries SET due_at = due_at - 60000000 WHERE state = 1",
        "UPDATE deliveries SET due_at = due_at - interval '60 s' WHERE state = 1",
    );
    server.restart();
    eventually("all are noted", || (in_state(&server, 2) == 4).then_some(()));
    let told = peers.told("smtp");
    let names = told.iter().filter(|told| told["to"][0] == "late@host13.example.com").map(|told| {
        let data = told["data"].as_str().expect("a text");
        data.lines().find(|line| line.starts_with("Message-ID: ")).expect("a name")
    });
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], names[1], "nobody can tell that they are one");
    assert_eq!(told.len(), 5, "others got it twice, too");
}

#[test]
fn a_text_message_that_nobody_answers_for_goes_out_twice_at_most() {
    let peers = Peers::start();
    let quickly =
        [("CARILLON_DELIVERY_RETRY_MS", "[100, 200, 300, 400]"), ("CARILLON_DELIVERY_TIMEOUT_MS", "1500")];
    let server = by_twilio(&peers.url("twilio"), &quickly);
    text(&Rest::backend(&server), "+14155550134");
    eventually("it is given up", || (in_state(&server, 4) == 1).then_some(()));
    assert_eq!(told_to(&peers, "+14155550134"), 2);
    // Whoever is not reached has taken nothing, and is asked as often as others.
    let away = by_twilio(&format!("http://127.0.0.1:{}", quiet_port()), &quickly);
    text(&Rest::backend(&away), "+14155550123");
    eventually("it is given up, too", || (in_state(&away, 4) == 1).then_some(()));
    assert_eq!(away.rows("SELECT 1 FROM delivery_attempts"), 5);
}

#[test]
fn a_report_tells_what_an_answer_did_not() {
    let peers = Peers::start();
    let slowly = [("CARILLON_DELIVERY_RETRY_MS", "[8000]"), ("CARILLON_DELIVERY_TIMEOUT_MS", "2000")];
    let server = by_twilio(&peers.url("twilio"), &slowly);
    text(&Rest::backend(&server), "+14155550134");
    let got = peers.hear("twilio", |told| told["to"] == "+14155550134");
    eventually("nobody answers", || (server.rows("SELECT 1 FROM delivery_attempts") == 1).then_some(()));
    let url = got["form"]["StatusCallback"].as_str().expect("an address");
    let path = url.strip_prefix("https://notify.example.com").expect("our address");
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in got["says"]["params"].as_object().expect("a form") {
        form.append_pair(name, value.as_str().expect("a text"));
    }
    let signature = got["says"]["signature"].as_str().expect("a signature");
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Twilio-Signature", signature)];
    let told = call(server.address, "POST", path, &headers, Some(&form.finish()));
    assert_eq!(told.status, 204, "{}", told.body);
    assert_eq!(in_state(&server, 3), 1, "it arrived, as Twilio says");
    std::thread::sleep(std::time::Duration::from_secs(10));
    assert_eq!((in_state(&server, 3), told_to(&peers, "+14155550134")), (1, 1), "so no second one goes out");
}

/// After quiet hours, each step is given its time, as before them.
#[test]
fn what_waited_for_the_morning_goes_one_step_after_the_other() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path)]);
    let backend = Rest::backend(&server);
    let sleeps = |user, asleep: bool| {
        let hours = if asleep { quiet_now() } else { Value::Null };
        Rest::user(&server, user).put(PREFERENCES, &json!({"quiet_hours": hours})).expect(200);
    };
    let mut asked = json!({
        "type": "alarm", "title": "Look", "message": "x", "priority": "high", "channels": ["websocket", "email", "sms"],
        "escalation": {"after_seconds": 10, "order": ["email", "sms"]},
    });
    for user in [2, 3] {
        sleeps(user, true);
        asked["user_id"] = json!(user);
        asked["email"] = json!(format!("user{user}@example.com"));
        asked["phone_number"] = json!(format!("+1202555010{user}"));
        backend.post("/notify", &asked).expect(200);
    }
    assert!(sink.taken().is_empty(), "{:?}", sink.taken());
    // The night was long.
    server.sql(
        "UPDATE deliveries SET created_at = created_at - 3600000000",
        "UPDATE deliveries SET created_at = created_at - interval '1 hour'",
    );
    sleeps(2, false);
    sleeps(3, false);
    let to = |channel: &str, to: &str| sink.by(channel).iter().filter(|one| one["to"] == to).count();
    eventually("the first step is taken", || (sink.by("email").len() == 2).then_some(()));
    Rest::user(&server, 3).post("/api/v1/notifications/read-all", &json!({})).expect(200);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(sink.by("sms").is_empty(), "the second step is taken at once: {:?}", sink.by("sms"));
    eventually("then the second", || (to("sms", "+12025550102") == 1).then_some(()));
    eventually("it is judged for who has read it, too", || (in_state(&server, 6) == 1).then_some(()));
    assert_eq!(to("sms", "+12025550103"), 0, "that was enough");
}

#[test]
fn what_is_read_while_it_is_pushed_is_taken_back() {
    let (peers, server) = (Peers::start(), by_push());
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.post("/push/subscribe", &peers.subscription("late", "phone")).expect(201);
    let id = backend.send(&json!({"user_id": 2, "type": "x", "title": "x", "channels": ["in_app", "push"]}))
        ["id"]
        .clone();
    // The push service has it, and takes two seconds to say so.
    peers.hear("push", |told| told["path"] == "/late/phone");
    two.post(&format!("/api/v1/notifications/{id}/read"), &json!({})).expect(200);
    let told = eventually("it is taken back", || Some(peers.told("push")).filter(|told| told.len() == 2));
    assert!(told[1]["text"].as_str().is_some_and(|text| text.contains("retract")), "{told:?}");
}

#[test]
fn however_much_was_pushed_is_taken_back() {
    let (peers, server) = (Peers::start(), by_push());
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.post("/push/subscribe", &peers.subscription("201", "phone")).expect(201);
    two.post("/push/subscribe", &peers.subscription("leaves", "desk")).expect(201);
    const MANY: usize = 110;
    for _ in 0..MANY {
        backend.send(&json!({"user_id": 2, "type": "x", "title": "x", "channels": ["in_app", "push"]}));
    }
    let at_phone = || peers.told("push").iter().filter(|told| told["path"] == "/201/phone").count();
    eventually("they are shown", || (at_phone() == MANY).then_some(()));
    eventually("the other device has gone", || (in_state(&server, 4) > 0).then_some(()));
    two.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    eventually("they are taken back", || (at_phone() == 2 * MANY).then_some(()));
    let waiting = "SELECT 1 FROM deliveries WHERE channel = 2 AND state = 2 AND retraction = 0";
    eventually("nothing is left to be looked at again", || (server.rows(waiting) == 0).then_some(()));
}

/// What a push service says of one subscription holds up no other, unless it says so of several.
#[test]
fn one_that_gets_too_much_holds_up_no_other() {
    let (peers, server) = (Peers::start(), by_push());
    let backend = Rest::backend(&server);
    for (user, how) in [(2, "429"), (3, "201")] {
        Rest::user(&server, user).post("/push/subscribe", &peers.subscription(how, "phone")).expect(201);
    }
    let send = |user: u64| {
        backend.send(&json!({"user_id": user, "type": "x", "title": "x", "channels": ["in_app", "push"]}))
    };
    send(2);
    peers.hear("push", |told| told["path"] == "/429/phone");
    eventually("it is noted", || (server.rows("SELECT 1 FROM delivery_attempts") == 1).then_some(()));
    let began = std::time::Instant::now();
    send(3);
    peers.hear("push", |told| told["path"] == "/201/phone");
    let of_the_other = peers.told("push").iter().filter(|told| told["path"] == "/429/phone").count();
    assert!(
        of_the_other == 1 || began.elapsed().as_secs() < 5,
        "it waited for another's seven seconds: {:?}",
        began.elapsed()
    );
    // Five devices in a row: who sends is meant.
    (4..=8).for_each(|user| {
        let device = peers.subscription("429", &format!("phone-{user}"));
        Rest::user(&server, user).post("/push/subscribe", &device).expect(201);
        send(user);
    });
    eventually("they are noted", || (server.rows("SELECT 1 FROM delivery_attempts") >= 7).then_some(()));
    let before = peers.told("push").len();
    send(3);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(peers.told("push").len(), before, "it is left alone");
    // Whoever waits is not counted.
    let asked = server.rows("SELECT 1 FROM delivery_attempts");
    assert_eq!(counted(&server, "notifications_delivered_total", "push"), asked);
    assert_eq!(counted(&server, "push_notifications_sent_total", ""), asked);
}

/// An attempt is a question to a provider: to wait is none, and neither counts nor is counted.
#[test]
fn waiting_is_no_attempt() {
    let server = by_mail(quiet_port(), &[("CARILLON_DELIVERY_RETRY_MS", "[500]")]);
    mails(&Rest::backend(&server), 10..16, "ana");
    let asked = || server.rows("SELECT 1 FROM delivery_attempts");
    eventually("it is found to be away", || (asked() >= 5).then_some(()));
    // Whoever took them often, and had to wait.
    let longer = "UPDATE deliveries SET attempt = attempt + 3, since = since + 3 WHERE state = 0";
    server.sql(longer, longer);
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let given_up = eventually("one is given up", || {
        let failed = admin.get("/api/v1/deliveries/failed").expect(200)["deliveries"].clone();
        Some(failed[0]["attempts"].clone()).filter(Value::is_array)
    });
    let numbers: Vec<_> = given_up.as_array().expect("a list").iter().map(|one| &one["attempt"]).collect();
    assert_eq!(numbers, [1, 2], "{given_up}");
}

/// What the seeds' service workers show: a picture, and a small one.
#[test]
fn a_push_has_its_pictures() {
    let peers = Peers::start();
    let server =
        by_push_with(&[("push.icon", "/bell.png"), ("push.badge", "https://cdn.example.com/badge.png")]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.post("/push/subscribe", &peers.subscription("201", "phone")).expect(201);
    let mut new =
        json!({"user_id": 2, "type": "x", "title": "usual", "channels": ["push"], "action_url": "/iep/7"});
    let shown = |title: &str| -> Value {
        let is_it = |told: &Value| told["text"].as_str().is_some_and(|text| text.contains(title));
        serde_json::from_str(peers.hear("push", is_it)["text"].as_str().expect("a text")).expect("JSON")
    };
    backend.send(&new);
    let usual = shown("usual");
    assert_eq!(
        (&usual["icon"], &usual["badge"]),
        (&json!("/bell.png"), &json!("https://cdn.example.com/badge.png"))
    );
    assert_eq!(usual["data"]["action_url"], "/iep/7", "{usual}");
    (new["title"], new["data"]) = (json!("own"), json!({"icon": "/own.png", "badge": "javascript:x"}));
    backend.send(&new);
    let own = shown("own");
    assert_eq!((&own["icon"], &own["badge"]), (&json!("/own.png"), &usual["badge"]));
}

#[test]
fn a_device_that_has_gone_leaves_no_dead_letter() {
    let (peers, server) = (Peers::start(), by_push());
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.post("/push/subscribe", &peers.subscription("leaves", "phone")).expect(201);
    backend.send(&json!({"user_id": 2, "type": "x", "title": "x", "channels": ["in_app", "push"]}));
    eventually("it is shown", || (in_state(&server, 2) == 1).then_some(()));
    two.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    eventually("the device has gone", || {
        (server.rows("SELECT 1 FROM push_subscriptions") == 0).then_some(())
    });
    assert_eq!((in_state(&server, 4), in_state(&server, 6)), (0, 1));
}

#[test]
fn whatever_a_provider_says_is_noted() {
    let peers = Peers::start();
    let server = by_twilio(&peers.url("twilio"), &[]);
    let backend = Rest::backend(&server);
    text(&backend, "+14155550136");
    text(&backend, "+14155550123");
    eventually("both are known to have gone", || (in_state(&server, 2) == 2).then_some(()));
    assert_eq!((told_to(&peers, "+14155550136"), told_to(&peers, "+14155550123")), (1, 1));
}
