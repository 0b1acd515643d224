//! Whoever is forgotten leaves nothing: no word of theirs or about them stands in any table, in the file, in its log or in
//! Redis. What is for others, too, stays theirs. What was on its way does not bring them back.

use std::time::Duration;

use carillon::access::Vapid;
use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, tell};
use crate::support::{
    Clients, Library, Peers, Redis, Rest, Server, SinkFile, booking, eventually, in_redis, in_seconds,
    instant, note, user_token,
};

/// A number that nobody else has.
const USER: u64 = 918_273_645;
const NAME: &str = "918273645";
/// Words that stand nowhere but where they were planted.
const WORDS: [&str; 5] = ["zanzibar", NAME, "+14155550199", "4155550199", "zanzibar@example.com"];
const DATA: &str = "/api/v1/recipients/918273645/data";

fn device() -> Value {
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    json!({
        "endpoint": "https://push.example.com/zanzibar", "p256dh_key": p256dh, "auth_key": "BTBZMqHH6r4Tts7J_aSIgg",
        "user_agent": "zanzibar", "device_info": {"name": "zanzibar"},
    })
}

fn about(title: &str) -> Value {
    json!({
        "user_id": USER, "type": "note", "topic": "zanzibar", "title": title, "message": "zanzibar",
        "data": {"where": "zanzibar"}, "action_url": "/zanzibar",
    })
}

/// Plants words wherever there is room for them.
fn plant(server: &Server, person: &Rest, service: &Rest, boss: &Rest) {
    let contacts = json!({"email": "zanzibar@example.com", "phone": "+14155550199", "locale": "es"});
    person.put("/api/v1/recipients/me", &contacts).expect(200);
    let wishes = json!({"zanzibar": {"push": false, "email": false}});
    person.put("/api/v1/notifications/preferences", &json!({"types": wishes, "topics": wishes})).expect(200);
    person.post("/api/v1/subscriptions", &json!({"topics": ["zanzibar"]})).expect(200);
    person.post("/api/v1/push/subscribe", &device()).expect(201);
    person.put("/api/v1/recipients/me/consent", &json!({"email": true, "note": "zanzibar"})).expect(200);
    let mine = json!({"user_id": USER, "type": "note", "title": "zanzibar", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    person.post("/api/v1/recurring", &mine).expect(201);
    let shared =
        json!({"user_ids": [USER, 3], "type": "note", "title": "x", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    service.post("/api/v1/recurring", &shared).expect(201);
    // In the inbox, as it is, read and deleted; with something beyond sockets.
    let mut mailed = about("zanzibar mailed");
    mailed["channels"] = json!(["in_app", "email"]);
    service.send(&mailed);
    let read = service.send(&about("zanzibar read"));
    person.post(&format!("/api/v1/notifications/{}/read", read["id"]), &json!({})).expect(200);
    let deleted = service.send(&about("zanzibar deleted"));
    person.delete(&format!("/api/v1/notifications/{}", deleted["id"])).expect(200);
    service.keyed("zanzibar-key").send(&about("zanzibar keyed"));
    // For later: for them only, and for others, too.
    let mut later = about("zanzibar later");
    later["scheduled_at"] = json!(instant(in_seconds(3_600)));
    service.send(&later);
    let both = json!({
        "user_ids": [3, USER, 4], "type": "note", "title": "later for three", "scheduled_at": instant(in_seconds(3_600)),
    });
    service.send(&both);
    // To several, and to all.
    service.send(&json!({"user_ids": [USER, 3], "type": "note", "title": "for two"}));
    service.send(&json!({"everyone": true, "type": "note", "title": "for all"}));
    eventually("it has come to all", || person.titles().contains(&"for all".to_owned()).then_some(()));
    // What they sent, and wrote; who looked at what is theirs.
    person.keyed("theirs").send(&json!({"user_id": 3, "type": "note", "title": "from somebody"}));
    let template = json!({"name": "own", "type": "note", "locales": {"en": {"title": "x", "message": "y"}}});
    person.post("/api/v1/templates", &template).expect(201);
    boss.get(&format!("/api/v1/recipients/{USER}")).expect(200);
    boss.get(&format!("/api/v1/audit?subject={USER}")).expect(200);
    service.send(&json!({"user_id": USER, "type": "note", "title": "x", "data": {"student_id": "7"}}));
    // A digest that was made.
    let weekly = json!({"frequency": "weekly", "channels": ["in_app"]});
    person.put("/api/v1/digest/subscription", &weekly).expect(200);
    service.send(&about("zanzibar digested"));
    server.sql(
        "UPDATE digest_subscriptions SET next_at = next_at - 7 * 86400000000",
        "UPDATE digest_subscriptions SET next_at = next_at - INTERVAL '7 days'",
    );
    let digests = || person.get("/api/v1/digests").expect(200)["digests"].as_array().map(Vec::len);
    eventually("the digest is there", || (digests() > Some(0)).then_some(()));
}

#[test]
fn nothing_is_left_of_them() {
    let (mut peers, sink, redis) = (Peers::start(), SinkFile::new(), Redis::private());
    let (name, path) = sink.setting();
    let url = redis.url();
    let own = [(name, path.as_str()), ("redis.url", url.as_str())];
    let server = Server::with(&[&HOOKED[..], &own[..]].concat());
    redis.wait_for_listener();
    let (service, boss) = (Rest::backend(&server), admin(&server));
    let scopes = "notifications:send templates:write";
    let person = Rest::claiming(&server, json!({"sub": NAME, "scope": scopes}));
    let other = Rest::user(&server, 3);
    other.put("/api/v1/notifications/preferences", &json!({"time_zone": "UTC"})).expect(200);
    tell(&mut peers, &boss, "200/all", &["notification.read", "notification.sent"]);
    tell(&mut peers, &boss, "500/never", &["notification.read", "notification.sent"]);
    plant(&server, &person, &service, &boss);
    hear_at(&peers, "200/all", 1);
    for text in [
        format!("{{\"userId\": {USER}, \"title\": \"zanzibar\", \"odd\": 1}}"),
        format!("zanzibar \"{USER}\""),
    ] {
        redis.cli(&["XADD", "notifications:stream", "*", "notification", &text]);
    }
    eventually("both are dead letters", || in_redis(&redis).contains("zanzibar").then_some(()));
    redis.wait_for_stream(0, 0);
    assert!(!server.traces(&["zanzibar"]).is_empty() && !server.traces(&[NAME]).is_empty(), "it was planted");
    let before = other.titles();

    let erased = boss.delete(DATA).expect(200);
    for table in
        ["inbox", "notifications", "deliveries", "recipients", "push_subscriptions", "digests", "consents"]
    {
        assert!(erased["removed"][table].as_i64() > Some(0), "{table}: {erased}");
    }
    assert_eq!(erased["removed"]["redis"], 2, "{erased}");
    assert_eq!(server.traces(&WORDS), Vec::<String>::new());
    let left = in_redis(&redis);
    assert!(!left.contains("zanzibar") && !left.contains(NAME), "{left}");
    let log = server.log().join("\n");
    assert!(!log.contains("zanzibar") && !log.contains("4155550199"), "{log}");

    // What others have is theirs; who did what is a pseudonym.
    assert_eq!(other.titles(), before);
    assert!(before.contains(&"for two".to_owned()) && before.contains(&"from somebody".to_owned()));
    let audit = boss.get("/api/v1/audit?action=contacts.change").expect(200);
    let row = &audit["entries"][0];
    assert!(row["actor"].as_str().is_some_and(|actor| actor.starts_with("erased:")), "{audit}");
    assert_eq!(
        (&row["actor"], row["address"].as_str().is_some_and(|at| at.starts_with("erased:"))),
        (&row["subject"], true)
    );
    let scheduled = service.get("/api/v1/notifications/scheduled").expect(200).to_string();
    assert!(scheduled.contains("later for three") && !scheduled.contains("zanzibar"), "{scheduled}");
    let recurring = service.get("/api/v1/recurring").expect(200);
    assert_eq!(
        recurring["recurring"].as_array().or(recurring["entries"].as_array()).map(Vec::len),
        Some(1),
        "{recurring}"
    );

    // What others keep is said.
    assert!(erased["remains"].to_string().contains("delivery.sink_file"), "{erased}");

    // Once more, nothing is left to do; and whoever comes again is new.
    let again = boss.delete(DATA).expect(200);
    assert_eq!(again["removed"], json!({}), "{again}");
    assert_eq!(server.traces(&WORDS), Vec::<String>::new());
    assert_eq!(person.titles(), Vec::<String>::new());
    service.send(&note(USER, "a new beginning"));
    assert_eq!(person.titles(), ["a new beginning"]);
}

/// While a notification spreads to everybody, sockets are open and deliveries wait, somebody asks to be forgotten.
#[test]
fn what_is_on_its_way_brings_nobody_back() {
    let server = Server::start();
    let service = Rest::backend(&server);
    let person = Rest::claiming(&server, json!({"sub": NAME}));
    let many: Vec<u64> = (1_000..1_400).collect();
    service.send(&json!({"user_ids": many, "type": "note", "title": "that they are known"}));
    person.put("/api/v1/recipients/me", &json!({"phone": "+14155550199"})).expect(200);
    let clients = Clients::of(&server);
    let page = clients.feed(USER);
    for round in 0..8 {
        let all = json!({"everyone": true, "type": "note", "title": format!("all {round}"), "priority": "high", "channels": ["in_app", "sms"]});
        service.send(&all);
    }
    let erased = person.delete("/api/v1/recipients/me/data").expect(200);
    assert_eq!(erased["user_id"], NAME);
    page.disconnect();
    drop(page);
    let spreading = "SELECT 1 FROM expansions WHERE finished_at IS NULL";
    eventually("all has spread", || (server.rows(spreading) == 0).then_some(()));
    std::thread::sleep(Duration::from_millis(1_500));
    // Whoever's page came back by itself meanwhile is there as a name, and has nothing.
    let entries = format!(
        "SELECT 1 FROM inbox AS i JOIN recipients AS r ON r.id = i.recipient_id WHERE r.user_id = '{NAME}'"
    );
    assert_eq!(server.rows(&entries), 0);
    let orphans = "SELECT 1 FROM inbox WHERE recipient_id NOT IN (SELECT id FROM recipients)";
    assert_eq!(server.rows(orphans), 0);
    let orphans = "SELECT 1 FROM deliveries WHERE recipient_id NOT IN (SELECT id FROM recipients)";
    assert_eq!(server.rows(orphans), 0);
    assert_eq!(server.traces(&["4155550199"]), Vec::<String>::new());
}

/// Nodes that share a database forget together: sockets on another one are closed.
#[test]
fn every_node_forgets() {
    let Some(cluster) = crate::support::Cluster::start(2) else { return };
    let (one, two) = (cluster.node(0), cluster.node(1));
    // One that does not come back by itself.
    let page = Clients::of(two).raw(Library::Ws, &format!("/ws/notify?token={}", user_token(USER)));
    page.next_change("connected");
    let sent = json!({"user_id": USER, "type": "note", "title": "zanzibar"});
    Rest::backend(one).send(&sent);
    page.hear("notification");
    let boss = admin(one);
    boss.delete(DATA).expect(200);
    page.next_change("disconnected");
    assert_eq!(one.traces(&WORDS), Vec::<String>::new());
    assert_eq!(Rest::claiming(two, json!({"sub": NAME})).titles(), Vec::<String>::new());
}

/// What a provider is just being handed may arrive; what it says then is noted nowhere.
#[test]
fn what_is_being_handed_over_is_noted_nowhere() {
    let peers = Peers::start();
    let (public, private) = Vapid::generate().expect("keys");
    let keys = [
        ("VAPID_PUBLIC_KEY", public.as_str()),
        ("VAPID_PRIVATE_KEY", private.as_str()),
        ("VAPID_EMAIL", "admin@example.org"),
    ];
    let server = Server::with(&[&HOOKED[..], &keys[..]].concat());
    let person = Rest::claiming(&server, json!({"sub": NAME}));
    person.post("/push/subscribe", &peers.subscription("late", "zanzibar")).expect(201);
    let pushed =
        json!({"user_id": USER, "type": "note", "title": "zanzibar", "channels": ["in_app", "push"]});
    Rest::backend(&server).send(&pushed);
    let under_way = "SELECT 1 FROM deliveries WHERE state = 1 AND device_id IS NOT NULL";
    eventually("it is being handed over", || (server.rows(under_way) == 1).then_some(()));
    let erased = person.delete("/api/v1/recipients/me/data").expect(200);
    assert_eq!(erased["removed"]["push_subscriptions"], 1, "{erased}");
    peers.hear("push", |told| told["path"] == "/late/zanzibar");
    std::thread::sleep(Duration::from_secs(4));
    for table in ["deliveries", "delivery_attempts", "push_subscriptions", "recipients", "inbox"] {
        assert_eq!(server.rows(&format!("SELECT 1 FROM {table}")), 0, "{table}");
    }
    assert_eq!(server.traces(&WORDS), Vec::<String>::new());
}

/// What stands in Redis cannot be looked at: that is said, and not that the database is away.
#[test]
fn who_does_not_answer_is_named() {
    let redis = Redis::private();
    let url = redis.url();
    let server = Server::with(&[("redis.url", &url), ("ingest.stream", "notifications:stream")]);
    redis.wait_for_listener();
    let person = Rest::claiming(&server, json!({"sub": NAME}));
    redis.stop();
    for answer in [person.get("/api/v1/recipients/me/data"), person.delete("/api/v1/recipients/me/data")] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["code"], "redis_unavailable", "{answer:?}");
    }
    redis.go_on();
    eventually("it answers again", || {
        (person.delete("/api/v1/recipients/me/data").status == 200).then_some(())
    });
}

/// Who made a booking is found and forgotten where bookings call people by the ids that they have here: the booking stays its
/// facilitator's. Elsewhere one of the same id is somebody else, and is left alone.
#[test]
fn who_booked_is_found_and_forgotten() {
    let book = |server: &Server| {
        let mut booked = booking(1, 3);
        booked["user"] = json!({"id": USER, "name": "Zanzibar Ada", "email": "zanzibar@example.com"});
        let backend = Clients::of(server).backend();
        backend.call("booking_notification", booked);
        backend.call("booking_notification", booking(2, 3));
    };
    let of_three =
        |server: &Server| Rest::user(server, 3).get("/api/v1/notifications").expect(200).to_string();
    let server = Server::with(&[("privacy.bookings_name_users", "true")]);
    book(&server);
    let boss = admin(&server);
    let export = boss.get(DATA).expect(200);
    assert_eq!(export["booked"][0]["data"]["user"]["name"], "Zanzibar Ada", "{export}");
    assert_eq!(export["booked"].as_array().map(Vec::len), Some(1));
    assert_eq!(boss.delete(DATA).expect(200)["removed"]["notifications.user"], 1);
    assert_eq!(server.traces(&["Zanzibar", "zanzibar@example.com", NAME]), Vec::<String>::new());
    assert!(of_three(&server).contains("somebody who was forgotten"));

    let server = Server::start();
    book(&server);
    let boss = admin(&server);
    assert_eq!(boss.get(DATA).expect(200)["booked"], Value::Null);
    assert_eq!(boss.delete(DATA).expect(200)["removed"]["notifications.user"], Value::Null);
    assert!(of_three(&server).contains("Zanzibar Ada"));
}
