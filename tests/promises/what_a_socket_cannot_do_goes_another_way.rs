//! What is asked to go by e-mail, push or text message goes there: once, when a socket was not enough, as its recipient
//! wants it; what fails is tried again, and then kept until somebody has it tried again. Nothing is lost by a crash, and a
//! provider that hangs holds up its own deliveries only.

use std::collections::{BTreeSet, HashMap};

use carillon::access::Vapid;
use serde_json::{Value, json};

use crate::support::{
    Clients, Clock, Ground, JWT_SECRET, Peers, Rest, Server, SinkFile, certificates, eventually, on_postgres,
    quiet_now, run_command,
};

const PREFERENCES: &str = "/api/v1/notifications/preferences";
const FAILED: &str = "/api/v1/deliveries/failed";

fn server_with(sink: &SinkFile) -> Server {
    let (name, path) = sink.setting();
    Server::with(&[(name, &path)])
}

/// Urgent enough for a text message, by these channels, with what to reach somebody by.
fn to(user: u64, title: &str, channels: &[&str]) -> Value {
    json!({
        "user_id": user, "notification_type": "alarm", "title": title, "message": "Please look.", "priority": "high",
        "channels": channels, "phone_number": format!("+1202555{:04}", 100 + user % 9_000),
        "email": format!("user{user}@example.com"),
    })
}

/// The steps that a timeline has of a channel: whether they happened, and why not.
fn steps(who: &Rest, id: &str, user: u64, channel: &str) -> Vec<(Value, String)> {
    let timeline = who.get(&format!("/api/v1/notifications/{id}/timeline?user_id={user}")).expect(200);
    let steps = timeline["steps"].as_array().expect("steps").iter().filter(|step| step["channel"] == channel);
    steps.map(|step| (step["happened"].clone(), step["reason"].as_str().expect("why").to_owned())).collect()
}

fn id_of(answer: &Value) -> String {
    answer["notification_id"].as_str().expect("an id").to_owned()
}

/// What became of it on these channels, as it was answered; on a slow machine, that may be `queued` at first.
fn outcomes(who: &Rest, answer: &Value, user: u64, channels: &[&str]) -> Vec<String> {
    let outcome = |channel: &&str| {
        let word = answer["channels"][channel].as_str().expect("a word");
        if word != "queued" {
            return word.to_owned();
        }
        eventually("it is decided", || {
            let (happened, why) = steps(who, &id_of(answer), user, channel).pop()?;
            match (happened.as_bool(), why) {
                (Some(true), _) => Some("delivered".to_owned()),
                (Some(false), why) if !why.starts_with("it ") => Some(why),
                _ => None,
            }
        })
    };
    channels.iter().map(outcome).collect()
}

#[test]
fn each_channel_is_answered_for() {
    let sink = SinkFile::new();
    let server = server_with(&sink);
    let backend = Rest::backend(&server);
    let page = Clients::of(&server).feed(2);
    let answer = backend.post("/notify", &to(2, "Here", &["websocket", "email"])).expect(200);
    assert_eq!(answer["channels"]["websocket"], "delivered", "{answer}");
    assert_eq!(outcomes(&backend, &answer, 2, &["email"]), ["delivered"], "{answer}");
    assert_eq!(answer["websocket_connections"], 1);
    assert_eq!(page.hear("notification")["title"], "Here");
    let mail = &sink.by("email")[0];
    assert_eq!((&mail["to"], &mail["subject"]), (&json!("user2@example.com"), &json!("Here")));
    assert!(mail["html"].as_str().is_some_and(|html| html.contains("Please look.")));

    // Nobody is there, and there is no browser to push to: the text message goes at once.
    let away = backend.post("/notify", &to(3, "Away", &["websocket", "push", "sms"])).expect(200);
    assert_eq!(away["channels"]["websocket"], "user_offline", "{away}");
    assert_eq!(outcomes(&backend, &away, 3, &["push", "sms"]), ["no_subscription", "delivered"], "{away}");
    assert_eq!(sink.by("sms")[0]["to"], "+12025550103");

    let nowhere = json!({"user_id": 4, "title": "x", "channels": ["email", "sms"], "priority": "critical"});
    let nowhere = backend.post("/notify", &nowhere).expect(200);
    assert_eq!(outcomes(&backend, &nowhere, 4, &["email", "sms"]), ["no_email", "no_phone_number"]);
    // What is there and cannot be is told apart from what is not there, now and for later steps.
    for number in ["+1234567890", "+19005550123"] {
        let mut odd =
            json!({"user_id": 2, "title": "x", "channels": ["sms", "email"], "priority": "critical"});
        (odd["phone_number"], odd["email"]) = (json!(number), json!("nobody"));
        let told = backend.post("/notify", &odd).expect(200);
        assert_eq!(outcomes(&backend, &told, 2, &["email", "sms"]), ["bad_email", "bad_phone_number"]);
        odd["channels"] = json!(["websocket", "sms"]);
        let told = backend.post("/notify", &odd).expect(200);
        assert_eq!(told["channels"]["sms"], "bad_phone_number", "{told}");
    }
    let mut trifle = to(5, "Trifle", &["sms"]);
    trifle["priority"] = json!("normal");
    let trifle = backend.post("/notify", &trifle).expect(200);
    assert_eq!(outcomes(&backend, &trifle, 5, &["sms"]), ["priority_too_low"]);
    assert_eq!(sink.taken().len(), 2, "{:?}", sink.taken());

    // What would come after a socket and never can is said at once.
    let mut later = to(2, "Later", &["websocket", "sms"]);
    later["priority"] = json!("normal");
    let told = backend.post("/notify", &later).expect(200);
    assert_eq!(told["channels"], json!({"websocket": "delivered", "sms": "priority_too_low"}), "{told}");
    let numberless =
        json!({"user_id": 2, "title": "x", "channels": ["websocket", "sms"], "priority": "high"});
    let told = backend.post("/notify", &numberless).expect(200);
    assert_eq!(told["channels"], json!({"websocket": "delivered", "sms": "no_phone_number"}), "{told}");
    assert_eq!(sink.taken().len(), 2, "{:?}", sink.taken());

    // What did not ask for sockets is not in the inbox, and can be asked about.
    let titles = Rest::user(&server, 4).titles();
    assert!(titles.is_empty(), "{titles:?}");
    let why = steps(&backend, &id_of(&nowhere), 4, "sms");
    assert_eq!(why, [(json!(false), "no_phone_number".to_owned())]);
    // The usual ones are sockets.
    let usual = backend.post("/notify", &json!({"to": 6, "subject": "Hello", "body": "World"})).expect(200);
    assert_eq!(usual["channels"], json!({"websocket": "user_offline"}));
    assert_eq!(Rest::user(&server, 6).titles(), ["Hello"]);
}

#[test]
fn what_is_confirmed_goes_no_further() {
    let sink = SinkFile::new();
    let server = server_with(&sink);
    let backend = Rest::backend(&server);
    let clients = Clients::of(&server);
    let (two, three) = (clients.feed(2), clients.feed(3));
    let mut asked = to(2, "Look", &["websocket", "sms"]);
    asked["escalation"] = json!({"after_seconds": 6});
    let seen = backend.post("/notify", &asked).expect(200);
    assert_eq!(seen["channels"], json!({"websocket": "delivered", "sms": "queued"}), "{seen}");
    two.call("ack", json!({"notificationId": two.hear("notification")["id"]}));
    asked["user_id"] = json!(3);
    let unseen = backend.post("/notify", &asked).expect(200);
    three.hear("notification");
    eventually("who says nothing is sent a text message", || (sink.by("sms").len() == 1).then_some(()));
    assert_eq!(sink.by("sms")[0]["notification"], unseen["notification_id"]);
    let over = eventually("the other delivery is judged, too", || {
        steps(&backend, &id_of(&seen), 2, "sms").pop().filter(|(_, why)| why.starts_with("not needed"))
    });
    assert_eq!(over.0, json!(false), "{over:?}");
    assert_eq!(sink.by("sms").len(), 1);

    // By choice, it ends only when it was read.
    asked["user_id"] = json!(2);
    asked["escalation"] = json!({"after_seconds": 1, "until": "read"});
    let acked = backend.post("/notify", &asked).expect(200);
    two.call("ack", json!({"notificationId": two.hear("notification")["id"]}));
    eventually("an ack is not enough", || (sink.by("sms").len() == 2).then_some(()));
    assert_eq!(sink.by("sms")[1]["notification"], acked["notification_id"]);
}

#[test]
fn people_decide_what_reaches_them_and_when() {
    let sink = SinkFile::new();
    let server = server_with(&sink);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.put(PREFERENCES, &json!({"types": {"alarm": {"email": false}}})).expect(200);
    let muted = backend.post("/notify", &to(2, "Muted", &["websocket", "email"])).expect(200);
    let why = "the type is switched off for this channel";
    let muted = outcomes(&backend, &muted, 2, &["email"]);
    assert!(muted == ["muted"] || muted == [why], "{muted:?}");
    Rest::user(&server, 3).put(PREFERENCES, &json!({"quiet_hours": quiet_now()})).expect(200);
    let waits = backend.post("/notify", &to(3, "Waits", &["email"])).expect(200);
    assert_eq!(waits["channels"]["email"], "queued", "{waits}");
    let mut urgent = to(3, "Urgent", &["email"]);
    urgent["priority"] = json!("critical");
    let urgent = backend.post("/notify", &urgent).expect(200);
    assert_eq!(outcomes(&backend, &urgent, 3, &["email"]), ["delivered"], "{urgent}");
    assert_eq!(sink.by("email").len(), 1);
    // Their quiet hours end now.
    Rest::user(&server, 3).put(PREFERENCES, &json!({"quiet_hours": null})).expect(200);
    eventually("it goes out then", || (sink.by("email").len() == 2).then_some(()));
}

#[test]
fn what_waited_for_the_morning_goes_out_then() {
    let sink = SinkFile::new();
    let server = server_with(&sink);
    let backend = Rest::backend(&server);
    let page = Clients::of(&server).feed(3);
    let sleeps = |user, asleep: bool| {
        let hours = if asleep { quiet_now() } else { Value::Null };
        Rest::user(&server, user).put(PREFERENCES, &json!({"quiet_hours": hours})).expect(200);
    };
    sleeps(2, true);
    sleeps(3, true);
    let both = ["websocket", "email"];
    backend.post("/notify", &to(2, "Alone", &both)).expect(200);
    for title in ["First", "Second", "Third"] {
        backend.post("/notify", &to(3, title, &both)).expect(200);
    }
    assert!(sink.taken().is_empty(), "{:?}", sink.taken());
    sleeps(2, false);
    // What came alone is sent as it is, though it has another place in the inbox now.
    eventually("it goes out", || (sink.by("email").len() == 1).then_some(()));
    assert_eq!(sink.by("email")[0]["subject"], "Alone");
    // Of several, one summary tells: on sockets, and by e-mail.
    sleeps(3, false);
    assert_eq!(page.hear("notification")["type"], "quiet_hours_summary");
    eventually("the summary goes out", || (sink.by("email").len() == 2).then_some(()));
    server.sql(
        "UPDATE deliveries SET due_at = 0 WHERE state = 0",
        "UPDATE deliveries SET due_at = now() WHERE state = 0",
    );
    // What follows goes the same way: by then, nothing else has.
    backend.post("/notify", &to(3, "Later", &both)).expect(200);
    eventually("what follows goes out", || (sink.by("email").len() == 3).then_some(()));
    let mails: Vec<_> = sink.by("email").into_iter().map(|mail| mail["subject"].clone()).collect();
    assert_eq!(mails, ["Alone", "3 notifications came during your quiet hours", "Later"]);
    assert_eq!(sink.by("email")[1]["to"], "user3@example.com");
}

#[test]
fn nobody_is_sent_more_text_messages_than_may_be() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let caps = [
        ("CARILLON_SMS_PER_USER_PER_DAY", "3"),
        ("CARILLON_SMS_PER_NUMBER_PER_DAY", "4"),
        ("CARILLON_SMS_PER_TENANT_PER_DAY", "6"),
    ];
    let server = Server::with(&[[(name, path.as_str())].as_slice(), &caps].concat());
    let backend = Rest::backend(&server);
    let send = |user: u64, number: &str| {
        let mut asked = to(user, "Text", &["sms"]);
        asked["phone_number"] = json!(number);
        let answer = backend.post("/notify", &asked).expect(200);
        let word = outcomes(&backend, &answer, user, &["sms"]).remove(0);
        word.split(':').next().unwrap_or_default().to_owned()
    };
    let (one, other) = ("+12025550101", "+12025550102");
    let of_two: Vec<_> = (0..4).map(|_| send(2, one)).collect();
    assert_eq!(of_two, ["delivered", "delivered", "delivered", "rate_limited"]);
    assert_eq!(
        (send(3, one), send(3, one)),
        ("delivered".to_owned(), "rate_limited".to_owned()),
        "by number"
    );
    assert_eq!((send(3, other), send(3, other)), ("delivered".to_owned(), "delivered".to_owned()));
    assert_eq!(send(4, "+12025550104"), "rate_limited", "of the tenant");
    assert_eq!(sink.by("sms").len(), 6);
}

/// Whoever is forgotten and comes again has had what they had: by number, by person and by tenant.
#[test]
fn who_is_forgotten_sets_no_cap_back() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let caps = [
        (name, path.as_str()),
        ("CARILLON_SMS_PER_USER_PER_DAY", "3"),
        ("CARILLON_SMS_PER_NUMBER_PER_DAY", "2"),
        ("CARILLON_SMS_PER_TENANT_PER_DAY", "5"),
        ("email.to_oneself_per_day", "1"),
        ("retention.every_seconds", "1"),
    ];
    let server = Server::with(&caps);
    let backend = Rest::backend(&server);
    let send = |user: u64, number: &str| {
        let mut asked = to(user, "Text", &["sms"]);
        asked["phone_number"] = json!(number);
        let answer = backend.post("/notify", &asked).expect(200);
        let word = outcomes(&backend, &answer, user, &["sms"]).remove(0);
        word.split(':').next().unwrap_or_default().to_owned()
    };
    let person = Rest::user(&server, 2);
    let (one, other, third) = ("+12025550101", "+12025550102", "+12025550103");
    assert_eq!([send(2, one), send(2, one), send(2, one)], ["delivered", "delivered", "rate_limited"]);
    let erased = person.delete("/api/v1/recipients/me/data").expect(200);
    assert!(erased["remains"].to_string().contains("digests of the numbers"), "{erased}");
    assert_eq!(send(2, one), "rate_limited", "the number has had as many");
    assert_eq!([send(2, other), send(2, other)], ["delivered", "rate_limited"], "so has the person");
    for _ in 0..2 {
        let again = person.delete("/api/v1/recipients/me/data").expect(200);
        assert!(
            again["remains"].to_string().contains("digests of the numbers"),
            "asked again, it says the same: {again}"
        );
    }
    assert_eq!(
        [send(3, third), send(3, third), send(4, "+12025550104")],
        ["delivered", "delivered", "rate_limited"]
    );
    assert_eq!(sink.by("sms").len(), 5, "of the tenant");

    let mail = || {
        let five = Rest::user(&server, 5);
        five.put("/api/v1/recipients/me", &json!({"email": "five@example.com"})).expect(200);
        let answer = five.post("/notify", &json!({"title": "x", "channels": ["email"]})).expect(200);
        outcomes(&five, &answer, 5, &["email"]).remove(0)
    };
    assert_eq!(mail(), "delivered");
    Rest::user(&server, 5).delete("/api/v1/recipients/me/data").expect(200);
    assert!(mail().starts_with("rate_limited"), "so are mails to oneself");
    assert_eq!(server.rows("SELECT 1 FROM spent"), 4);
    assert_eq!(server.traces(&["2025550101", "2025550102"]), Vec::<String>::new());
    // When the day is over, nothing is left.
    let over = "UPDATE spent SET at = at - ";
    server.sql(&format!("{over} 86400000000"), &format!("{over} interval '1 day'"));
    eventually("they go", || (server.rows("SELECT 1 FROM spent") == 0).then_some(()));
}

#[test]
fn what_waited_for_days_is_counted_too() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let caps = [(name, path.as_str()), ("CARILLON_SMS_PER_USER_PER_DAY", "2")];
    let ground = Ground::usual();
    let nodes: Vec<Server> =
        (0..if on_postgres() { 2 } else { 1 }).map(|_| Server::on(&ground, &caps)).collect();
    let (backend, two) = (Rest::backend(&nodes[0]), Rest::user(&nodes[0], 2));
    two.put(PREFERENCES, &json!({"quiet_hours": quiet_now()})).expect(200);
    for number in 0..20 {
        let mut asked = to(2, "Text", &["sms"]);
        asked["phone_number"] = json!(format!("+12025550{number:03}"));
        assert_eq!(backend.post("/notify", &asked).expect(200)["channels"]["sms"], "queued");
    }
    // As after days in which no server ran.
    let awake = "UPDATE recipients SET preferences = NULL";
    nodes[0].sql(awake, awake);
    let long_ago = "UPDATE deliveries SET due_at = ";
    nodes[0].sql(&format!("{long_ago} 0"), &format!("{long_ago} now() - interval '2 days'"));
    let over = "SELECT id FROM deliveries WHERE state > 1";
    eventually("all are judged", || (nodes[0].rows(over) == 20).then_some(()));
    assert_eq!(sink.by("sms").len(), 2);
}

#[test]
fn people_send_themselves_so_many_e_mails() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("email.to_oneself_per_day", "2")]);
    let sent_by = |user: u64| {
        let person = Rest::user(&server, user);
        person.put("/api/v1/recipients/me", &json!({"email": "Somebody@example.com"})).expect(200);
        let mail = json!({"title": "Buy", "channels": ["email"], "action_url": " HTTPS://Example.com/A "});
        let answer = person.post("/notify", &mail).expect(200);
        let word = outcomes(&person, &answer, user, &["email"]).remove(0);
        word.split(':').next().unwrap_or_default().to_owned()
    };
    assert_eq!([sent_by(2), sent_by(2), sent_by(2)], ["delivered", "delivered", "rate_limited"]);
    assert_eq!(sent_by(3), "rate_limited", "the address has got as many");
    let text = sink.by("email")[0]["text"].as_str().expect("a text").to_owned();
    assert!(text.contains("https://Example.com/A\n"), "{text}");
    // What others send them is another matter.
    let from_others =
        Rest::backend(&server).post("/notify", &json!({"to": 2, "title": "x", "channels": ["email"]}));
    assert_eq!(outcomes(&Rest::backend(&server), &from_others.expect(200), 2, &["email"]), ["delivered"]);
}

#[test]
fn an_audience_gets_it_once_each() {
    let sink = SinkFile::new();
    let mut server = server_with(&sink);
    let backend = Rest::backend(&server);
    for user in 1..=300_u64 {
        let contacts = json!({"email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
    }
    let all = json!({"everyone": true, "type": "news", "title": "News", "channels": ["in_app", "email"]});
    backend.send(&all);
    eventually("some go out", || (sink.by("email").len() > 20).then_some(()));
    server.kill();
    server.restart();
    let reached = || -> BTreeSet<String> {
        sink.by("email").iter().map(|mail| mail["to"].as_str().expect("to whom").to_owned()).collect()
    };
    eventually("everybody gets it", || (reached().len() == 300).then_some(()));
    // What went out twice by the crash is known by its key.
    let mut keys: HashMap<String, BTreeSet<String>> = HashMap::new();
    for mail in sink.by("email") {
        let text = |name: &str| mail[name].as_str().expect("a text").to_owned();
        keys.entry(text("to")).or_default().insert(text("key"));
    }
    assert!(keys.values().all(|keys| keys.len() == 1), "{keys:?}");
    let all: BTreeSet<_> = keys.values().flatten().collect();
    assert_eq!(all.len(), 300, "each has a key of its own");
}

/// With these, mail goes to the peers.
fn mail_settings<'a>(port: &'a str, authority: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", port),
        ("SMTP_USER", "carillon"),
        ("SMTP_PASSWORD", "bells"),
        ("EMAIL_FROM", "bells@example.org"),
        ("CARILLON_EMAIL_SMTP_CA_FILE", authority),
    ]
}

/// A server whose mail goes to the peers.
fn by_mail(peers: &Peers, more: &[(&str, &str)]) -> Server {
    let (port, authority) = (peers.port("smtp").to_string(), certificates::authority());
    Server::with(&[mail_settings(&port, &authority).as_slice(), more].concat())
}

fn mail_to(name: &str, user: u64) -> Value {
    let mut asked = to(user, name, &["email"]);
    asked["email"] = json!(format!("{name}@example.com"));
    asked
}

#[test]
fn what_fails_is_tried_again_and_then_kept() {
    let peers = Peers::start();
    let quickly =
        [("CARILLON_DELIVERY_RETRY_MS", "[100, 200, 300]"), ("CARILLON_DELIVERY_TIMEOUT_MS", "1500")];
    let server = by_mail(&peers, &quickly);
    let backend = Rest::backend(&server);
    let admin = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let sent = backend.post("/notify", &mail_to("ana", 2)).expect(200);
    assert_eq!(outcomes(&backend, &sent, 2, &["email"]), ["delivered"], "{sent}");
    let hopeless = backend.post("/notify", &mail_to("policy550", 3)).expect(200);
    assert!(
        ["failed", "queued"].contains(&hopeless["channels"]["email"].as_str().expect("a word")),
        "{hopeless}"
    );
    backend.post("/notify", &mail_to("grey450", 4)).expect(200);
    let failed = eventually("what never goes well is given up", || {
        let failed = admin.get(FAILED).expect(200)["deliveries"].as_array().expect("a list").clone();
        (failed.len() == 2).then_some(failed)
    });
    let grey = failed.iter().find(|one| one["user_id"] == "4").expect("it is there");
    let outcomes: Vec<_> =
        grey["attempts"].as_array().expect("attempts").iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["waiting", "waiting", "waiting", "failed"], "{grey}");
    assert!(grey["attempts"][0]["reason"].as_str().is_some_and(|why| why.contains("450")), "{grey}");
    let policy = failed.iter().find(|one| one["user_id"] == "3").expect("it is there");
    assert_eq!(policy["attempts"].as_array().map(Vec::len), Some(1), "{policy}");
    assert!(!admin.get(FAILED).body.contains("@example.com"), "addresses are not told");

    // Somebody has it tried again: all, and one.
    assert_eq!(admin.post(&format!("{FAILED}/retry"), &json!({})).expect(200)["retried"], 2);
    let again = eventually("they are tried again", || {
        let failed = admin.get(FAILED).expect(200)["deliveries"].as_array().expect("a list").clone();
        let tries = |one: &Value| one["attempts"].as_array().map_or(0, Vec::len);
        (failed.iter().map(tries).sum::<usize>() == 10).then_some(failed)
    });
    let path = format!("/api/v1/deliveries/{}/retry", again[0]["id"]);
    assert_eq!(admin.post(&path, &json!({})).expect(200)["retried"], 1);
    assert_eq!(Rest::user(&server, 9).get(FAILED).status, 403, "they are an administrator's");
    let foreign = Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"}));
    assert_eq!(foreign.post(&path, &json!({})).status, 404);

    // By the command line, too.
    let port = server.address.port().to_string();
    let told = |args: &[&str]| {
        let settings =
            [("JWT_SECRET_KEY", JWT_SECRET), ("PORT", &port), ("CARILLON_SERVER_HOST", "127.0.0.1")];
        let output = run_command(&[&["deliveries"], args].concat(), &settings);
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (_, listed) = eventually("it has failed again", || {
        Some(told(&["failed"])).filter(|(_, listed)| listed.lines().count() == 3)
    });
    assert!(listed.contains("policy violation") || listed.contains("550"), "{listed}");
    let number = listed.lines().nth(1).and_then(|line| line.split(' ').next()).expect("a number").to_owned();
    assert_eq!(told(&["retry", &number]), (true, "1 tried again\n".to_owned()));
    assert_eq!(told(&["retry", "--all", "--tenant", "elsewhere"]), (true, "0 tried again\n".to_owned()));
    let (is_well, why) = told(&["retry", "999999"]);
    assert!(!is_well && why.contains("404"), "{why}");
    assert!(!told(&["retry"]).0, "which?");

    // What was cut off just after the mail server had it goes out once more, under the same name.
    let drop = backend.post("/notify", &mail_to("drop", 5)).expect(200);
    let twice = eventually("it goes out again", || {
        let got = peers.told("smtp");
        let of = got.into_iter().filter(|told| told["to"][0] == "drop@example.com").collect::<Vec<_>>();
        (of.len() == 2).then_some(of)
    });
    let name = |told: &Value| {
        let data = told["data"].as_str().expect("a text").to_owned();
        data.lines().find(|line| line.starts_with("Message-ID:")).map(str::to_owned)
    };
    assert!(name(&twice[0]).is_some() && name(&twice[0]) == name(&twice[1]), "{twice:?}");
    eventually("and is known to have gone", || {
        steps(&backend, &id_of(&drop), 5, "email")
            .iter()
            .any(|(happened, _)| *happened == json!(true))
            .then_some(())
    });
}

#[test]
fn who_hangs_holds_up_nobody_else() {
    let peers = Peers::start();
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = by_mail(&peers, &[(name, &path), ("CARILLON_DELIVERY_TIMEOUT_MS", "4000")]);
    let backend = Rest::backend(&server);
    for user in 10..40 {
        backend.put(&format!("/api/v1/recipients/{user}"), &json!({"email": "hang@example.com"})).expect(200);
        let sent = backend.send(&json!({
            "user_id": user, "type": "alarm", "title": "hangs", "channels": ["in_app", "email"],
        }));
        assert!(sent["id"].is_number());
    }
    // They are answered for as they stand after two seconds, and text messages go on meanwhile.
    let hangs = backend.post("/notify", &mail_to("hang", 2)).expect(200);
    assert_eq!(hangs["channels"]["email"], "queued", "{hangs}");
    let text = backend.post("/notify", &to(3, "Text", &["sms"])).expect(200);
    assert_eq!(outcomes(&backend, &text, 3, &["sms"]), ["delivered"], "{text}");
    let (happened, why) = steps(&backend, &id_of(&hangs), 2, "email").pop().expect("a step");
    assert!(
        happened.is_null() || why.starts_with("it is tried"),
        "it is being handed over, or waits in line: {why}"
    );
}

/// Whoever is stopped knows what became of what it had begun: nobody gets it twice.
#[test]
fn a_restart_sends_nothing_twice() {
    let peers = Peers::start();
    let mut server = by_mail(&peers, &[]);
    let sent = Rest::backend(&server).post("/notify", &mail_to("late", 2)).expect(200);
    peers.hear("smtp", |told| told["to"][0] == "late@example.com");
    // The mail server has it, and takes two seconds to say so.
    assert!(server.stop().success());
    server.restart();
    let backend = Rest::backend(&server);
    eventually("it is known to have gone", || {
        let known = steps(&backend, &id_of(&sent), 2, "email");
        known.iter().any(|(happened, _)| *happened == json!(true)).then_some(())
    });
    backend.post("/notify", &mail_to("next", 3)).expect(200);
    peers.hear("smtp", |told| told["to"][0] == "next@example.com");
    let got = peers.told("smtp").into_iter().filter(|told| told["to"][0] == "late@example.com").count();
    assert_eq!(got, 1);
}

#[test]
fn a_wrong_clock_takes_nothing_from_others() {
    let (peers, ground) = (Peers::start(), Ground::usual());
    let Some(clock) = Clock::right().filter(|_| on_postgres()) else { return };
    let (port, authority) = (peers.port("smtp").to_string(), certificates::authority());
    let settings = mail_settings(&port, &authority);
    let right = Server::on(&ground, &settings);
    clock.set(600);
    let wrong = Server::by_clock(&ground, &settings, &clock);
    let sent: Vec<_> = (0..10)
        .map(|user| {
            let mut mail = mail_to(&format!("late{user}"), user + 2);
            mail["email"] = json!(format!("late@host{user}.example.com"));
            Rest::backend(&right).post("/notify", &mail).expect(200)
        })
        .collect();
    let backend = Rest::backend(&wrong);
    for (sent, user) in sent.iter().zip(2..) {
        eventually("it is known to have gone", || {
            let known = steps(&backend, &id_of(sent), user, "email");
            known.iter().any(|(happened, _)| *happened == json!(true)).then_some(())
        });
    }
    assert_eq!(peers.told("smtp").len(), 10, "somebody got it twice");
}

#[test]
fn what_nobody_takes_is_said() {
    // Where nobody is set up to take it, it has not gone, whatever its recipient prefers.
    let bare = Server::start();
    let sent = Rest::backend(&bare).post("/notify", &to(7, "Nobody takes it", &["sms"])).expect(200);
    let word = outcomes(&Rest::backend(&bare), &sent, 7, &["sms"]).remove(0);
    assert!(word == "failed" || word.starts_with("no_provider"), "{word}");
    let server = Server::with(&[
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_PUSH_PROVIDER", "sink"),
        ("CARILLON_DELIVERY_CHANNELS", "in_app,email"),
    ]);
    let backend = Rest::backend(&server);
    // By the usual channels, without a word of them.
    let sent = backend
        .post("/notify", &json!({"user_id": 2, "title": "Usual", "email": "a@example.com"}))
        .expect(200);
    assert_eq!(sent["channels"]["websocket"], "user_offline", "{sent}");
    assert_eq!(outcomes(&backend, &sent, 2, &["email"]), ["delivered"], "{sent}");
    let odd = backend.post("/notify", &json!({"user_id": 2, "title": "x", "channels": ["pigeon"]}));
    assert_eq!(odd.expect(422)["field"], "channels");
    let long =
        json!({"user_id": 2, "title": "x", "channels": ["sms"], "escalation": {"after_seconds": 604_801}});
    assert_eq!(backend.post("/notify", &long).expect(422)["field"], "escalation.after_seconds");
    for order in [json!(["sms", "sms"]), json!(["in_app", "push", "websocket"])] {
        let twice = json!({"user_id": 2, "title": "x", "channels": ["sms"], "escalation": {"order": order}});
        assert_eq!(backend.post("/notify", &twice).expect(422)["field"], "escalation.order");
    }
    let other = Rest::user(&server, 3).post("/notify", &json!({"user_id": 2, "title": "x"}));
    assert_eq!(other.status, 403);
    let own = Rest::user(&server, 3).post("/notify", &json!({"title": "to myself"})).expect(200);
    assert_eq!(own["channels"]["websocket"], "user_offline");
    assert_eq!(Rest::user(&server, 3).titles(), ["to myself"]);
}

/// What was pushed and is read elsewhere is taken back: the device is told, under the name that it knows.
#[test]
fn what_is_read_elsewhere_is_shown_no_more() {
    let peers = Peers::start();
    let (public, private) = Vapid::generate().expect("keys");
    let server = Server::with(&[
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
        ("VAPID_PUBLIC_KEY", &public),
        ("VAPID_PRIVATE_KEY", &private),
        ("VAPID_EMAIL", "admin@example.org"),
    ]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    for name in ["phone", "desk"] {
        two.post("/push/subscribe", &peers.subscription("201", name)).expect(201);
    }
    let texts = |name: &str| -> Vec<Value> {
        let path = format!("/201/{name}");
        let of = peers.told("push").into_iter().filter(|told| told["path"] == path.as_str());
        of.map(|told| {
            let text: Value = serde_json::from_str(told["text"].as_str().expect("a text")).expect("JSON");
            json!({"text": text, "topic": told["topic"], "urgency": told["urgency"]})
        })
        .collect()
    };
    let both = ["websocket", "push"];
    let ids = ["Read", "Kept", "Removed"]
        .map(|title| id_of(&backend.post("/notify", &to(2, title, &both)).expect(200)));
    eventually("both devices have them", || (texts("phone").len() + texts("desk").len() == 6).then_some(()));
    two.post(&format!("/api/v1/notifications/{}/read", ids[0]), &json!({})).expect(200);
    two.post(&format!("/api/v1/notifications/{}/read", ids[0]), &json!({})).expect(200);
    two.delete(&format!("/api/v1/notifications/{}", ids[2])).expect(200);
    eventually("they are taken back", || (texts("phone").len() + texts("desk").len() == 10).then_some(()));
    for device in ["phone", "desk"] {
        let all = texts(device);
        for id in [&ids[0], &ids[2]] {
            let of: Vec<_> = all.iter().filter(|one| one["text"]["tag"] == id.as_str()).collect();
            assert_eq!(
                (of.len(), &of[1]["text"]["type"], &of[1]["urgency"]),
                (2, &json!("retract"), &json!("low"))
            );
            assert_eq!(
                of[0]["topic"], of[1]["topic"],
                "it takes the place of the first, while the device is off"
            );
        }
    }
    // Everything at once; and nothing twice.
    two.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    eventually("the last one, too", || (texts("phone").len() + texts("desk").len() == 12).then_some(()));
    let told = steps(&backend, &ids[0], 2, "push");
    assert!(told.iter().any(|(_, how)| how.starts_with("taking it back")), "{told:?}");
    let again = backend.post("/notify", &to(2, "Next", &both)).expect(200);
    assert_eq!(outcomes(&backend, &again, 2, &["push"]), ["delivered"]);
    assert_eq!(texts("phone").len() + texts("desk").len(), 14);
}
