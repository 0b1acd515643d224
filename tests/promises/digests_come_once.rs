//! Whoever wants a digest gets one at their hour, with all that came since the last: once, over each channel that they
//! chose, by whichever node, over crashes and after nobody was there. What is in one is in no other.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use carillon::access::Vapid;
use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Peers, Rest, Server, Shared, SinkFile, call, certificates, eventually, in_seconds,
    instant, note, on_postgres, quiet_now,
};

const SUBSCRIPTION: &str = "/api/v1/digest/subscription";
const PREVIEW: &str = "/api/v1/digest/preview";
const DIGESTS: &str = "/api/v1/digests";
const PREFERENCES: &str = "/api/v1/notifications/preferences";

/// As if somebody's hour had come: everybody's.
const NOW_IT_IS: [&str; 2] = [
    "UPDATE digest_subscriptions SET next_at = next_at - 8 * 86400000000",
    "UPDATE digest_subscriptions SET next_at = next_at - INTERVAL '8 days'",
];

fn come_round(server: &Server) {
    server.sql(NOW_IT_IS[0], NOW_IT_IS[1]);
}

/// A good one that comes on days that are no weekend's, too.
fn wanted(change: Value) -> Value {
    let mut wanted = json!({
        "is_enabled": true, "delivery_time": "07:00", "timezone": "America/New_York", "frequency": "daily",
        "include_types": [], "exclude_weekends": false, "min_priority": "low", "channels": ["in_app"],
    });
    let change = change.as_object().expect("an object").clone();
    wanted.as_object_mut().expect("an object").extend(change);
    wanted
}

fn of_type(user: u64, kind: &str, title: &str, priority: &str) -> Value {
    json!({"user_id": user, "type": kind, "title": title, "message": format!("About {title}"), "priority": priority})
}

fn digests(person: &Rest) -> Vec<Value> {
    person.get(&format!("{DIGESTS}?limit=100")).expect(200)["digests"].as_array().expect("a list").clone()
}

fn total(digest: &Value) -> u64 {
    digest["content"]["summary"]["total_notifications"].as_u64().expect("a number")
}

/// So many there are at last, and stay.
#[track_caller]
fn they_are(person: &Rest, many: usize) -> Vec<Value> {
    eventually("the digests are there", || (digests(person).len() >= many).then_some(()));
    sleep(Duration::from_millis(1_500));
    let all = digests(person);
    assert_eq!(all.len(), many, "{all:?}");
    all
}

/// A server whose e-mails and pushes go to the peers.
fn provided(peers: &Peers) -> Server {
    let (port, authority) = (peers.port("smtp").to_string(), certificates::authority());
    let (public, private) = Vapid::generate().expect("keys");
    Server::with(&[
        ("CARILLON_SERVER_ENVIRONMENT", "development"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
        ("PUBLIC_URL", "https://notify.example.com"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &port),
        ("SMTP_USER", "carillon"),
        ("SMTP_PASSWORD", "bells"),
        ("EMAIL_FROM", "bells@example.org"),
        ("CARILLON_EMAIL_SMTP_CA_FILE", &authority),
        ("VAPID_PUBLIC_KEY", &public),
        ("VAPID_PRIVATE_KEY", &private),
        ("VAPID_EMAIL", "admin@example.org"),
    ])
}

#[test]
fn it_comes_once_by_socket_mail_and_push() {
    let peers = Peers::start();
    let server = provided(&peers);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.put("/api/v1/recipients/me", &json!({"email": "ana@example.com"})).expect(200);
    two.post("/push/subscribe", &peers.subscription("201", "ana")).expect(201);
    backend.send(&of_type(2, "iep_update", "Before", "normal"));
    let asked = json!({
        "is_enabled": true, "delivery_time": "07:00", "timezone": "America/New_York", "frequency": "daily",
        "include_types": ["iep_update", "assessment_complete", "signature_request"], "exclude_weekends": false,
        "min_priority": "normal",
    });
    let kept = two.put(SUBSCRIPTION, &asked).expect(200);
    for (name, value) in asked.as_object().expect("an object") {
        assert_eq!(&kept[name], value, "{name}");
    }
    assert!(kept["next_at"].is_string(), "{kept}");
    assert_eq!(kept["timezone_is_own"], true, "{kept}");
    assert_eq!(two.get(SUBSCRIPTION).expect(200), kept);
    backend.send(&of_type(2, "iep_update", "First <b>", "urgent"));
    let read = backend.send(&of_type(2, "iep_update", "Second", "normal"));
    two.post(&format!("/api/v1/notifications/{}/read", read["id"]), &json!({})).expect(200);
    backend.send(&of_type(2, "assessment_complete", "Third", "high"));
    let gone = backend.send(&of_type(2, "assessment_complete", "Gone", "high"));
    two.delete(&format!("/api/v1/notifications/{}", gone["id"])).expect(200);
    backend.send(&of_type(2, "iep_update", "Too low", "low"));
    backend.send(&of_type(2, "chat", "Another type", "urgent"));
    let preview = two.get(PREVIEW).expect(200);
    assert!(digests(&two).is_empty(), "a preview is none");
    let page = Clients::of(&server).feed(2);
    come_round(&server);
    let heard = eventually("it is heard", || {
        page.heard("notification").into_iter().find(|heard| heard["type"] == "daily_digest")
    });
    let content = heard["data"].clone();
    let members: Vec<&str> = content.as_object().expect("an object").keys().map(String::as_str).collect();
    for name in ["date", "summary", "notifications_by_type", "top_notifications"] {
        assert!(members.contains(&name), "{name}: {content}");
    }
    assert_eq!(members.len(), 4, "{content}");
    assert_eq!(
        content["summary"],
        json!({
            "total_notifications": 3,
            "unread_notifications": 2,
            "priority_breakdown": {"urgent": 1, "high": 1, "normal": 1, "low": 0},
        })
    );
    let types = &content["notifications_by_type"];
    assert_eq!(
        (&types["iep_update"]["count"], &types["assessment_complete"]["count"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(types.as_object().map(serde_json::Map::len), Some(2));
    let titles = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
    };
    assert_eq!(titles(&types["iep_update"]["notifications"]), ["Second", "First <b>"]);
    assert_eq!(titles(&content["top_notifications"]), ["First <b>", "Third", "Second"]);
    let date = content["date"].as_str().expect("a day");
    assert!(chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok(), "{date}");
    for same in ["summary", "notifications_by_type", "top_notifications"] {
        assert_eq!(preview[same], content[same], "the preview said so: {same}");
    }
    let mail = peers.hear("smtp", |told| told["to"][0] == "ana@example.com");
    let mail = mail["data"].as_str().expect("a text");
    assert!(mail.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{mail}");
    assert!(mail.contains("Third") && !mail.contains("First <b>\r\n</"), "{mail}");
    let push = peers.hear("push", |told| told["path"] == "/201/ana");
    let push: Value = serde_json::from_str(push["text"].as_str().expect("a text")).expect("JSON");
    assert_eq!(push["data"]["notification_type"], "daily_digest", "{push}");
    let all = they_are(&two, 1);
    assert_eq!((&all[0]["content"], &all[0]["frequency"]), (&content, &json!("daily")));
    assert_eq!(two.get(&format!("{DIGESTS}/{}", all[0]["id"])).expect(200), all[0]);
    assert_eq!(all[0]["notification_id"], heard["number"], "{heard}");

    // The next one has only what came since; without anything there is none.
    come_round(&server);
    they_are(&two, 1);
    backend.send(&of_type(2, "iep_update", "Fourth", "normal"));
    come_round(&server);
    let all = they_are(&two, 2);
    assert_eq!(
        (total(&all[0]), titles(&all[0]["content"]["top_notifications"])),
        (1, vec!["Fourth".to_owned()])
    );
    assert_eq!((peers.told("smtp").len(), peers.told("push").len()), (2, 2));
    let next = two.get(SUBSCRIPTION).expect(200)["next_at"].clone();
    assert_eq!(next, kept["next_at"], "it is due tomorrow again");
}

#[test]
fn each_notification_is_in_one_digest_though_nodes_die() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let mut server = Server::with(&[(name, &path)]);
    let backend = Rest::backend(&server);
    let people: Vec<u64> = (1..=30).collect();
    for user in &people {
        let contacts = json!({"email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
        Rest::user(&server, *user)
            .put(SUBSCRIPTION, &wanted(json!({"channels": ["in_app", "email"]})))
            .expect(200);
    }
    let mut sent = 0;
    for round in 0..5 {
        for user in &people {
            Rest::backend(&server).send(&note(*user, &format!("note {round}")));
        }
        sent += 1;
        come_round(&server);
        // Somewhere between reading and answering.
        sleep(Duration::from_millis(350 * round));
        server.kill();
        server.restart();
    }
    come_round(&server);
    let person = |user: &u64| Rest::user(&server, *user);
    for user in &people {
        let of = eventually("all of it is told", || {
            let all = digests(&person(user));
            (all.iter().map(total).sum::<u64>() >= sent).then_some(all)
        });
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for digest in &of {
            for one in digest["content"]["notifications_by_type"]["note"]["notifications"]
                .as_array()
                .expect("a list")
            {
                *told.entry(one["title"].as_str().expect("a title").to_owned()).or_default() += 1;
            }
        }
        assert_eq!(told.len() as u64, sent, "{told:?}");
        assert!(told.values().all(|times| *times == 1), "{told:?}");
        let heard =
            person(user).titles().into_iter().filter(|title| title.starts_with("Your digest")).count();
        assert_eq!(heard, of.len(), "each is a notification, once");
    }
    let archived: usize = people.iter().map(|user| digests(&person(user)).len()).sum();
    eventually("each is an e-mail", || {
        let keys: std::collections::BTreeSet<_> =
            sink.by("email").iter().map(|mail| mail["key"].as_str().expect("a key").to_owned()).collect();
        assert!(keys.len() <= archived, "{} e-mails of {archived} digests", keys.len());
        (keys.len() == archived).then_some(())
    });
}

#[test]
fn two_nodes_send_it_once() {
    if !on_postgres() {
        return;
    }
    let cluster = Cluster::on(&Shared::fresh().into(), 2, &[]);
    let backend = Rest::backend(cluster.node(0));
    let people: Vec<u64> = (1..=40).collect();
    for user in &people {
        Rest::user(cluster.node(1), *user).put(SUBSCRIPTION, &wanted(json!({}))).expect(200);
    }
    let heard = Clients::of(cluster.node(1)).feed(7);
    for round in 1..=3 {
        for user in &people {
            backend.send(&note(*user, &format!("note {round}")));
        }
        come_round(cluster.node(0));
        for user in &people {
            let person = Rest::user(cluster.node(0), *user);
            eventually("it is there", || (digests(&person).len() >= round).then_some(()));
        }
    }
    sleep(Duration::from_secs(2));
    for user in &people {
        let all = digests(&Rest::user(cluster.node(1), *user));
        assert_eq!(all.iter().map(total).collect::<Vec<_>>(), [1, 1, 1], "{user}");
    }
    let of_digests =
        || heard.heard("notification").into_iter().filter(|one| one["type"] == "daily_digest").count();
    eventually("whoever is here hears each", || (of_digests() == 3).then_some(()));
}

#[test]
fn after_nobody_was_there_one_tells_of_all() {
    let mut server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.put(SUBSCRIPTION, &wanted(json!({}))).expect(200);
    for title in ["a", "b", "c"] {
        backend.send(&note(2, title));
    }
    server.kill();
    come_round(&server);
    server.restart();
    let two = Rest::user(&server, 2);
    let all = they_are(&two, 1);
    assert_eq!(total(&all[0]), 3, "of a week that was missed there is one");
    let next = two.get(SUBSCRIPTION).expect(200)["next_at"].as_str().expect("a time").to_owned();
    assert!(next > instant(in_seconds(0)), "{next}");
}

#[test]
fn who_changes_it_misses_nothing_and_who_ends_it_hears_no_more() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let own = wanted(json!({"timezone": null}));
    two.put(PREFERENCES, &json!({"time_zone": "Asia/Kolkata"})).expect(200);
    let first = two.put(SUBSCRIPTION, &own).expect(200);
    assert_eq!(first["timezone"], "Asia/Kolkata", "by their own clocks");
    assert_eq!(first["timezone_is_own"], false, "which it follows");
    assert!(first["next_at"].as_str().is_some_and(|at| at.ends_with("T01:30:00.000Z")), "{first}");
    backend.send(&note(2, "one"));
    two.put(PREFERENCES, &json!({"time_zone": "Pacific/Kiritimati"})).expect(200);
    let moved = two.get(SUBSCRIPTION).expect(200);
    assert!(moved["next_at"].as_str().is_some_and(|at| at.ends_with("T17:00:00.000Z")), "{moved}");
    let weekly = json!({"frequency": "weekly", "day_of_week": "sun", "delivery_time": "23:30"});
    two.put(SUBSCRIPTION, &wanted(weekly)).expect(200);
    backend.send(&note(2, "two"));
    come_round(&server);
    let all = they_are(&two, 1);
    assert_eq!((total(&all[0]), &all[0]["frequency"]), (2, &json!("weekly")));
    assert_eq!(two.titles()[0], "Your digest: 2 notifications, 2 unread");
    // What came while it was switched off is in none.
    two.put(SUBSCRIPTION, &wanted(json!({"is_enabled": false}))).expect(200);
    assert_eq!(two.get(SUBSCRIPTION).expect(200)["next_at"], Value::Null);
    backend.send(&note(2, "unheard"));
    two.put(SUBSCRIPTION, &wanted(json!({}))).expect(200);
    backend.send(&note(2, "three"));
    come_round(&server);
    assert_eq!(total(&they_are(&two, 2)[0]), 1);
    assert_eq!(two.delete(SUBSCRIPTION).expect(200)["detail"], "There will be no digest any more.");
    two.delete(SUBSCRIPTION).expect(200);
    assert_eq!(two.get(SUBSCRIPTION).expect(200)["is_enabled"], false);
    backend.send(&note(2, "four"));
    come_round(&server);
    they_are(&two, 2);
}

#[test]
fn it_goes_where_they_want_it_and_when() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path)]);
    let backend = Rest::backend(&server);
    for user in [2, 3, 4, 5] {
        let contacts = json!({"email": format!("user{user}@example.com"), "locale": if user == 5 { "el" } else { "en" }});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
        Rest::user(&server, user)
            .put(SUBSCRIPTION, &wanted(json!({"channels": ["in_app", "email"]})))
            .expect(200);
        backend.send(&note(user, "hello"));
    }
    let person = |user| Rest::user(&server, user);
    person(2).put(PREFERENCES, &json!({"types": {"daily_digest": {"email": false}}})).expect(200);
    person(3).put(PREFERENCES, &json!({"types": {"note": {"in_app": false}}})).expect(200);
    backend.send(&note(3, "muted"));
    person(4).put(PREFERENCES, &json!({"quiet_hours": quiet_now()})).expect(200);
    backend.send(&note(4, "at night"));
    backend.send(&note(4, "at night, too"));
    come_round(&server);
    they_are(&person(2), 1);
    assert_eq!(total(&they_are(&person(3), 1)[0]), 1, "what they do not want to hear of is not in it");
    they_are(&person(5), 1);
    assert_eq!(person(5).titles()[0], "Η σύνοψή σας: 1 ειδοποίηση, 1 μη αναγνωσμένες");
    let to = || -> Vec<Value> { sink.by("email").iter().map(|mail| mail["to"].clone()).collect() };
    eventually("they go out", || (to().len() == 2).then_some(()));
    assert!(!to().contains(&json!("user2@example.com")), "{:?}", to());
    // In quiet hours it waits for their end; what waited, too, is in it, once.
    assert_eq!(digests(&person(4)).len(), 0);
    eventually("it is put off", || {
        let next = person(4).get(SUBSCRIPTION).expect(200)["next_at"].as_str().expect("a time").to_owned();
        (next > instant(in_seconds(0))).then_some(())
    });
    person(4).put(PREFERENCES, &json!({"quiet_hours": null})).expect(200);
    assert_eq!(total(&they_are(&person(4), 1)[0]), 3);
    eventually("and goes out", || (to().contains(&json!("user4@example.com"))).then_some(()));
    come_round(&server);
    they_are(&person(4), 1);
}

#[test]
fn much_is_counted_and_some_of_it_named() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    two.put(SUBSCRIPTION, &wanted(json!({}))).expect(200);
    Rest::backend(&server).send(&note(2, "the first"));
    // As if it had come twenty thousand times.
    let again = |series: &str, place: &str| {
        format!(
            "INSERT INTO inbox (recipient_id, position, notification_id) SELECT recipient_id, {place}, notification_id \
             FROM inbox CROSS JOIN ({series}) AS s"
        )
    };
    let on_sqlite =
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) SELECT n FROM n";
    let on_postgres = "SELECT n FROM generate_series(1, 20000) AS n";
    server.sql(
        &format!(
            "{}; UPDATE sqlite_sequence SET seq = 100000 WHERE name = 'notifications'",
            again(on_sqlite, "position + n")
        ),
        &format!("{}; UPDATE recipients SET last_position = 100000", again(on_postgres, "position + n")),
    );
    come_round(&server);
    let all = they_are(&two, 1);
    assert_eq!(total(&all[0]), 20_001);
    let group = &all[0]["content"]["notifications_by_type"]["note"];
    assert_eq!((&group["count"], &group["not_listed"]), (&json!(20_001), &json!(19_996)));
    assert_eq!(group["notifications"].as_array().map(Vec::len), Some(5));
}

#[test]
fn one_click_ends_its_e_mails_and_nothing_else() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("PUBLIC_URL", "https://notify.example.com")]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.put("/api/v1/recipients/me", &json!({"email": "ana@example.com"})).expect(200);
    two.put(SUBSCRIPTION, &wanted(json!({"channels": ["in_app", "email"]}))).expect(200);
    backend.send(&note(2, "one"));
    come_round(&server);
    let mail = eventually("it goes out", || sink.by("email").pop());
    let link = mail["unsubscribe"].as_str().and_then(|link| link.strip_prefix("https://notify.example.com"));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let done = call(server.address, "POST", link.expect("a link"), &form, Some("List-Unsubscribe=One-Click"));
    assert_eq!(done.status, 200);
    let mut news = note(2, "news");
    news["channels"] = json!(["in_app", "email"]);
    backend.send(&news);
    eventually("other e-mails go on", || (sink.by("email").len() == 2).then_some(()));
    come_round(&server);
    they_are(&two, 2);
    assert_eq!(two.titles()[0], "Your digest: 1 notification, 1 unread");
    assert_eq!(sink.by("email").len(), 2, "{:?}", sink.by("email"));
}

#[test]
fn they_are_kept_for_a_time_of_their_own() {
    let mut server = Server::with(&[("CARILLON_DIGESTS_KEEP_DAYS", "30")]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.put(SUBSCRIPTION, &wanted(json!({}))).expect(200);
    for title in ["old", "new"] {
        backend.send(&note(2, title));
        come_round(&server);
        eventually("it is there", || {
            let newest = digests(&two).into_iter().next()?;
            (newest["content"]["top_notifications"][0]["title"] == title).then_some(())
        });
    }
    server.kill();
    server.sql(
        "UPDATE digests SET created_at = created_at - 31 * 86400000000 WHERE id = 1",
        "UPDATE digests SET created_at = created_at - INTERVAL '31 days' WHERE id = 1",
    );
    server.restart();
    let two = Rest::user(&server, 2);
    eventually("the old one goes", || (digests(&two).len() == 1).then_some(()));
    assert_eq!(digests(&two)[0]["content"]["top_notifications"][0]["title"], "new");
    assert_eq!(two.titles().len(), 4, "what told of it stays");
}

#[test]
fn bad_ones_are_explained_and_change_nothing() {
    let server = Server::start();
    let two = Rest::user(&server, 2);
    let before = two.put(SUBSCRIPTION, &wanted(json!({}))).expect(200);
    for (field, bad) in [
        ("delivery_time", json!("7:00")),
        ("delivery_time", json!("24:00")),
        ("delivery_time", json!(null)),
        ("timezone", json!("Mars/Olympus")),
        ("frequency", json!("hourly")),
        ("day_of_week", json!("someday")),
        ("include_types", json!("iep_update")),
        ("include_types", json!([""])),
        ("include_types", json!(vec!["x"; 101])),
        ("exclude_weekends", json!("no")),
        ("min_priority", json!("huge")),
        ("channels", json!([])),
        ("channels", json!(["sms"])),
        ("channels", json!(["pigeon"])),
        ("is_enabled", json!(1)),
        ("colour", json!("red")),
    ] {
        let mut wanted = wanted(json!({}));
        wanted[field] = bad.clone();
        let problem = two.put(SUBSCRIPTION, &wanted).expect(422);
        let named = problem["field"].as_str().expect("a field");
        assert!(named.starts_with(field), "{field} {bad}: {problem}");
    }
    let never = json!({"frequency": "weekly", "day_of_week": "sat", "exclude_weekends": true});
    assert_eq!(two.put(SUBSCRIPTION, &wanted(never)).expect(422)["field"], "day_of_week");
    assert_eq!(two.put(SUBSCRIPTION, &json!([])).expect(422)["field"], "body");
    assert_eq!(two.get(SUBSCRIPTION).expect(200), before);
    for bad in ["?limit=0", "?limit=101", "?cursor=0", "?page=2"] {
        two.get(&format!("{DIGESTS}{bad}")).expect(422);
    }
    for none in ["1", "0", "-1", "x", "99999999999999999999"] {
        assert_eq!(two.get(&format!("{DIGESTS}/{none}")).expect(404)["code"], "no_such_digest");
    }
    Rest::backend(&server).get(SUBSCRIPTION).expect(403);
}
