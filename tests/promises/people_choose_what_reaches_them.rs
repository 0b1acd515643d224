//! What somebody has switched off does not reach them; what comes in their quiet hours waits for the end of them,
//! and then comes once; what is urgent passes. All nodes heed it at once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Events, Library, METRICS_TOKEN, Rest, Server, Socket, eventually, get_with, in_seconds,
    instant, note, quiet_now, quiet_until, user_token,
};

const MINE: &str = "/api/v1/notifications/preferences";
const FEED: &str = "/api/notifications/preferences";

fn of_kind(user: u64, kind: &str, title: &str) -> Value {
    json!({"user_id": user, "type": kind, "title": title})
}

#[track_caller]
fn titles(socket: &Socket, many: usize) -> Vec<String> {
    let heard = socket.hear_many("notification", many);
    let title = |one: &Value| {
        // What was not confirmed would come again on the next connection.
        socket.call("ack", json!({"notificationId": one["id"]}));
        one["title"].as_str().expect("a title").to_owned()
    };
    heard.iter().map(title).collect()
}

#[test]
fn what_is_switched_off_does_not_come() {
    let server = Server::start();
    let (clients, backend, three) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 3));
    let page = clients.feed(3);
    let kept = three
        .put(MINE, &json!({"types": {"news": {"in_app": false}}, "topics": {"ads": {"realtime": false}}}));
    let kept = kept.expect(200);
    assert_eq!(
        kept["types"]["news"],
        json!({"in_app": false, "email": true, "push": true, "sms": true}),
        "{kept}"
    );
    let muted = backend.send(&of_kind(3, "news", "by type"));
    assert!(muted["sent_at"].is_null(), "{muted}");
    let by_topic = json!({"user_ids": [3, 4], "type": "offer", "topic": "ads", "title": "by topic"});
    backend.send(&by_topic);
    backend.send(&of_kind(3, "grade", "wanted"));
    assert_eq!(titles(&page, 1), ["wanted"]);
    assert_eq!(three.titles(), ["wanted"], "nor is it in the inbox");
    let counts = three.get("/api/v1/notifications/unread-count").expect(200);
    assert_eq!(counts["unread_count"], 1, "{counts}");
    assert_eq!(Rest::user(&server, 4).titles(), ["by topic"], "others have it");
    // It is neither lost nor hidden from whoever has its id.
    let one = three.get(&format!("/api/v1/notifications/{}", muted["id"])).expect(200);
    assert_eq!(one["title"], "by type");
    page.disconnect();
    let back = clients.feed(3);
    assert_eq!(back.call("requestMissedNotifications", json!({}))["count"], 0, "nor does it come on return");
    // On again.
    three.put(MINE, &json!({"types": {"news": {}}})).expect(200);
    backend.send(&of_kind(3, "news", "again"));
    assert_eq!(titles(&back, 1), ["again"]);
}

#[test]
fn a_switch_for_everything_mutes_all_but_what_is_mandatory() {
    let server = Server::with(&[("CARILLON_NOTIFICATIONS_MANDATORY_TYPES", "alarm")]);
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let page = clients.feed(3);
    let chosen = page.call("updatePreferences", json!({"email": true, "push": false, "inApp": false}));
    assert_eq!(
        (&chosen["inApp"], &chosen["push"], &chosen["email"]),
        (&json!(false), &json!(false), &json!(true))
    );
    assert_eq!(page.hear("preferencesUpdated"), chosen);
    backend.send(&of_kind(3, "grade", "muted"));
    backend.send(&of_kind(3, "alarm", "fire"));
    assert_eq!(titles(&page, 1), ["fire"]);
    let three = Rest::user(&server, 3);
    let refused = three.put(MINE, &json!({"types": {"alarm": {"in_app": false}}})).expect(422);
    assert_eq!(
        (&refused["field"], &refused["code"]),
        (&json!("types"), &json!("invalid_field")),
        "{refused}"
    );
    let kept = three.get(MINE).expect(200);
    assert_eq!(kept["mandatory_types"], json!(["alarm"]));
    assert_eq!(kept["types"], json!({}), "nothing was changed");
    // A broadcast heeds it, too.
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    backend.send(&note(4, "first"));
    let told = admin.post("/api/v1/notifications/broadcast", &json!({"title": "all"})).expect(200);
    assert!(told["sent_count"].as_u64() <= Some(2), "{told}");
    assert_eq!(Rest::user(&server, 4).titles(), ["all", "first"]);
    assert_eq!(three.titles(), ["fire"]);
}

#[test]
fn a_sender_hears_that_it_was_hushed() {
    let server = Server::start();
    let (clients, backend, three) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 3));
    let _page = clients.feed(3);
    let sent = || {
        let new = json!({"user_id": 3, "notification_type": "note", "title": "x", "channels": ["websocket"]});
        let told = backend.post("/notify", &new).expect(200);
        let at = told["estimated_delivery"].as_str().expect("a time").to_owned();
        (told["channels"]["websocket"].clone(), at > instant(in_seconds(3_600)))
    };
    assert_eq!(sent(), (json!("delivered"), false));
    three.put(MINE, &json!({"types": {"note": {"in_app": false}}})).expect(200);
    assert_eq!(sent(), (json!("muted"), false));
    three.put(MINE, &json!({"types": {"note": {}}, "quiet_hours": quiet_now()})).expect(200);
    assert_eq!(sent(), (json!("queued"), true));
    assert_eq!(
        backend.post("/notify", &json!({"user_id": 4, "title": "x"})).expect(200)["channels"]["websocket"],
        "user_offline"
    );
}

#[test]
fn quiet_hours_defer_and_collapse() {
    let server = Server::start();
    let (clients, backend, three) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 3));
    let page = clients.feed(3);
    three.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
    three.put("/api/v1/recipients/me", &json!({"locale": "el-GR"})).expect(200);
    for title in ["one", "two", "three"] {
        let sent = backend.send(&note(3, title));
        assert!(sent["sent_at"].is_null(), "{sent}");
    }
    backend.send(&json!({"user_id": 3, "type": "note", "title": "fire", "priority": "critical"}));
    assert_eq!(titles(&page, 1), ["fire"], "what is urgent passes");
    assert_eq!(three.titles(), ["fire", "three", "two", "one"], "whoever looks finds all");
    page.disconnect();
    let page = clients.feed(3);
    backend.send(&json!({"user_id": 3, "type": "note", "title": "still burning", "priority": "urgent"}));
    assert_eq!(titles(&page, 1), ["still burning"], "nothing else comes on return");
    // One is read meanwhile; then the quiet is over.
    let two = three.get("/api/v1/notifications?limit=4").expect(200)["notifications"][3]["id"].clone();
    three.post(&format!("/api/v1/notifications/{two}/read"), &json!({})).expect(200);
    three.put(MINE, &json!({"quiet_hours": null})).expect(200);
    let summary = page.hear("notification");
    assert_eq!(summary["type"], "quiet_hours_summary", "{summary}");
    assert_eq!(summary["data"]["count"], 2, "{summary}");
    assert_eq!(summary["title"], "2 ειδοποιήσεις ήρθαν στις ώρες ησυχίας σας", "in their language");
    let named: Vec<_> = summary["data"]["notifications"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["title"])
        .collect();
    assert_eq!(named, ["one", "three"]);
    // They are not told once more by themselves, and stay in the inbox.
    backend.send(&note(3, "after"));
    assert_eq!(titles(&page, 1), ["after"]);
    assert_eq!(three.titles().len(), 7);
    page.call("ack", json!({"notificationId": summary["id"]}));
    page.disconnect();
    let page = clients.feed(3);
    backend.send(&note(3, "last"));
    assert_eq!(titles(&page, 1), ["last"], "nor do they come on return");
}

#[test]
fn a_single_one_comes_as_it_is_and_last() {
    let server = Server::start();
    let (clients, backend, three) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 3));
    three.put(FEED, &json!({"quietHours": quiet_now(), "timeZone": "UTC"})).expect(200);
    let waits = backend.send(&note(3, "it waits"));
    backend.send(&json!({"user_id": 3, "type": "note", "title": "urgent", "priority": "urgent"}));
    let page = clients.feed(3);
    assert_eq!(titles(&page, 1), ["urgent"]);
    three.put(FEED, &json!({"quietHours": null})).expect(200);
    let told = page.hear("notification");
    assert_eq!((&told["title"], &told["number"]), (&json!("it waits"), &waits["id"]), "{told}");
    assert_eq!(three.titles(), ["it waits", "urgent"], "in the order in which they came");
    // It can be read and removed like any other.
    assert_eq!(page.call("read", json!({"notificationId": waits["id"]}))["status"], "read");
    three.delete(&format!("/api/v1/notifications/{}", waits["id"])).expect(200);
    assert_eq!(three.titles(), ["urgent"]);
}

/// Whichever door they come back by, and whatever place they name, they hear what a socket would have heard.
#[test]
fn who_goes_on_behind_one_hears_what_waits_when_its_time_has_come() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    for (user, many) in [(3, 1), (4, 2)] {
        let person = Rest::user(&server, user);
        let first = backend.send(&note(user, "first"));
        let page = clients.feed(user);
        assert_eq!(titles(&page, 1), ["first"]);
        page.disconnect();
        person.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
        let waiting: Vec<_> = (0..many).map(|number| format!("{number} waits")).collect();
        waiting.iter().for_each(|title| drop(backend.send(&note(user, title))));
        let urgent = json!({"user_id": user, "type": "note", "title": "urgent", "priority": "urgent"});
        backend.send(&urgent);

        let (id, number) = (first["uuid"].as_str().expect("a name"), first["id"].to_string());
        let feeds = [("uuid", 1), ("id", 1), ("created_at", 2)].map(|(since, count)| {
            let page = clients.feed(user);
            let told = page.call("requestMissedNotifications", json!({"since": first[since]}));
            assert_eq!(told, json!({"count": count}), "{since}, {many}");
            page
        });
        let raw =
            clients.raw(Library::Ws, &format!("/ws/notify?token={}&replay_from={id}", user_token(user)));
        let mut events = Events::open(&server, &user_token(user), &number);
        assert_eq!(raw.hear("notification")["title"], "urgent");
        assert_eq!(events.next().1["title"], "urgent");
        let mut shown = vec!["urgent".to_owned()];
        shown.extend(waiting.iter().rev().cloned());
        assert_eq!(person.titles()[..=many], shown, "whoever looks finds it");

        person.put(MINE, &json!({"quiet_hours": null})).expect(200);
        let rung = if many == 1 { "note" } else { "quiet_hours_summary" };
        for page in &feeds {
            let heard = eventually("it rings", || {
                let heard = page.heard("notification");
                heard.last().is_some_and(|one| one["title"] != "urgent").then_some(heard)
            });
            assert_eq!(heard.last().expect("one")["type"], rung, "{heard:?}");
            let waits = |one: &&Value| one["title"].as_str().is_some_and(|title| title.ends_with("waits"));
            assert_eq!(heard.iter().filter(waits).count(), usize::from(many == 1), "once: {heard:?}");
            page.disconnect();
        }
        assert_eq!(raw.hear("notification")["data"]["notification_type"], rung);
        assert_eq!(events.next().1["type"], rung);
        raw.disconnect();

        // Nor do they come one by one to who comes later, behind the same place.
        let late = clients.feed(user);
        let told = late.call("requestMissedNotifications", json!({"since": first["uuid"]}));
        assert_eq!(told, json!({"count": 2}), "what was urgent, and what rang");
        let last = late.heard("notification").pop().expect("one");
        assert_eq!(last["type"], rung);
        late.call("ack", json!({"notificationId": last["id"]}));
        late.disconnect();
    }
}

#[test]
fn what_was_switched_off_while_it_waited_does_not_come() {
    let server = Server::start();
    let (clients, backend, three) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 3));
    let page = clients.feed(3);
    // It waited alone, or with another that is wanted, or with others that are not.
    for (round, others) in [vec![], vec!["grade"], vec!["news", "offer"]].into_iter().enumerate() {
        three
            .put(
                MINE,
                &json!({"quiet_hours": quiet_now(), "time_zone": "UTC", "types": {"news": {}, "offer": {}}}),
            )
            .expect(200);
        let unwanted = backend.send(&of_kind(3, "news", "unwanted"));
        for kind in others {
            backend.send(&json!({"user_id": 3, "type": kind, "topic": "ads", "title": kind}));
        }
        let rules =
            json!({"types": {"news": {"in_app": false}, "offer": {"in_app": false}}, "quiet_hours": null});
        three.put(MINE, &rules).expect(200);
        let last = format!("last {round}");
        let path = format!("/api/v1/notifications/{}/timeline", unwanted["id"]);
        eventually("it is looked after", || {
            let steps = three.get(&path).expect(200)["steps"].to_string();
            steps.contains("switched off").then_some(())
        });
        backend.send(&of_kind(3, "note", &last));
    }
    assert_eq!(titles(&page, 4), ["last 0", "grade", "last 1", "last 2"]);
    assert_eq!(three.titles(), ["last 2", "last 1", "grade", "last 0"]);
    let counts = three.get("/api/v1/notifications/unread-count").expect(200);
    assert_eq!(counts["unread_count"], 4, "{counts}");
}

#[test]
fn the_end_of_the_quiet_comes_by_itself_and_survives_a_restart() {
    let mut server = Server::start();
    let three = Rest::user(&server, 3);
    let end = in_seconds(7_200) / 60;
    three.put(MINE, &json!({"quiet_hours": quiet_until(end), "time_zone": "UTC"})).expect(200);
    Rest::backend(&server).send(&note(3, "good morning"));
    server.kill();
    // Time goes by: the quiet, of which nearly two hours were left, is over in ten seconds.
    let over_at = in_seconds(10);
    let gone_by = end * 60 - over_at;
    server.sql(
        &format!(
            "UPDATE deferrals SET due_at = due_at - {gone_by}000000; UPDATE recipients SET preferences = NULL"
        ),
        &format!(
            "UPDATE deferrals SET due_at = due_at - INTERVAL '{gone_by} s'; UPDATE recipients SET preferences = NULL"
        ),
    );
    server.restart();
    let page = Clients::of(&server).feed(3);
    let early = page.heard("notification");
    if in_seconds(0) < over_at {
        assert!(early.is_empty(), "{early:?}");
    }
    assert_eq!(titles(&page, 1), ["good morning"]);
    assert!(in_seconds(0) >= over_at, "it came too early");
    server.kill();
    server.restart();
    let page = Clients::of(&server).feed(3);
    assert_eq!(page.call("requestMissedNotifications", json!({})), json!({"count": 0}), "once");
}

#[test]
fn whose_quiet_hours_end_together_are_told_together() {
    let mut server = Server::start();
    let people = 1..=60_u64;
    for id in people.clone() {
        Rest::user(&server, id)
            .put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"}))
            .expect(200);
    }
    let all: Vec<u64> = people.clone().collect();
    let sent =
        Rest::backend(&server).send(&json!({"user_ids": all, "type": "note", "title": "good morning"}));
    server.kill();
    let over = "UPDATE recipients SET preferences = NULL; UPDATE deferrals SET due_at = ";
    server.sql(&format!("{over}0"), &format!("{over}now()"));
    server.restart();
    let mut before = 0;
    let commits = eventually("nothing happens any more", || {
        std::thread::sleep(Duration::from_secs(1));
        let now = commits(&server);
        (std::mem::replace(&mut before, now) == now && now > 0).then_some(now)
    });
    assert!(commits < 30, "{commits} commits");
    for id in people {
        let path = format!("/api/v1/notifications/{}/timeline", sent["id"]);
        let told = Rest::user(&server, id).get(&path).expect(200)["steps"].to_string();
        assert!(told.contains("it waited"), "{told}");
    }
}

fn commits(server: &Server) -> u64 {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let commits = metrics.lines().find_map(|line| line.strip_prefix("carillon_commit_seconds_count "));
    commits.expect("a count").parse().expect("a number")
}

#[test]
fn every_node_heeds_it_at_once() {
    let Some(cluster) = Cluster::start(2) else { return };
    let (here, there) = (cluster.node(0), cluster.node(1));
    let page = Clients::of(here).feed(3);
    for round in 0..20 {
        let muted = round % 2 == 0;
        Rest::user(here, 3).put(MINE, &json!({"types": {"news": {"in_app": !muted}}})).expect(200);
        Rest::backend(there).send(&of_kind(3, "news", &format!("{muted}")));
        Rest::backend(there).send(&of_kind(3, "note", "wanted"));
    }
    let heard = titles(&page, 30);
    assert!(!heard.iter().any(|title| title == "true"), "{heard:?}");
    // Quiet hours end on one node for whoever is on another.
    Rest::user(there, 3).put(MINE, &json!({"quiet_hours": quiet_now()})).expect(200);
    Rest::backend(here).send(&note(3, "later"));
    Rest::user(there, 3).put(MINE, &json!({"quiet_hours": null})).expect(200);
    assert_eq!(titles(&page, 1), ["later"]);
}

#[test]
fn quiet_hours_change_by_what_is_named() {
    let server = Server::start();
    let three = Rest::user(&server, 3);
    let kept =
        |change: Value| three.put(MINE, &json!({"quiet_hours": change})).expect(200)["quiet_hours"].clone();
    assert_eq!(kept(json!({"enabled": false})), Value::Null, "there are none to switch off");
    let some = json!({"enabled": true, "start": "22:00", "end": "07:00", "days": ["mon"]});
    assert_eq!(kept(some.clone()), some);
    let mut off = some.clone();
    off["enabled"] = json!(false);
    assert_eq!(kept(json!({"enabled": false})), off);
    assert_eq!(kept(json!({"enabled": true})), some);
    assert_eq!(kept(json!({"end": "08:00"}))["end"], "08:00");
    assert_eq!(
        three.put(MINE, &json!({"quiet_hours": {"end": "22:00"}})).expect(422)["field"],
        "quiet_hours"
    );
    let anew = json!({"enabled": true, "start": "21:00", "end": "06:00", "days": []});
    assert_eq!(kept(json!({"start": "21:00", "end": "06:00"})), anew, "with both they are new ones");
}

#[test]
fn a_page_of_preferences_knows_what_to_offer() {
    let server = Server::with(&[("notifications.mandatory_types", "alarm, security")]);
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    let known = |person: &Rest| {
        let types = person.get("/api/v1/notifications/types").expect(200)["types"].take();
        let told = |one: &Value| {
            let members = ["type", "is_mandatory", "has_rule"].map(|name| one[name].clone());
            assert_eq!(one.as_object().map(serde_json::Map::len), Some(members.len()), "{one}");
            json!(members)
        };
        types.as_array().expect("a list").iter().map(told).collect::<Vec<_>>()
    };
    let mandatory = [json!(["alarm", true, false]), json!(["security", true, false])];
    assert_eq!(known(&three), mandatory, "who is new is offered what there is");
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    let words = json!({"en": {"title": "x", "message": "y"}});
    for (name, kind) in [("weekly", "newsletter"), ("gone", "former")] {
        admin.post("/api/v1/templates", &json!({"name": name, "type": kind, "locales": words})).expect(201);
    }
    admin.delete("/api/v1/templates/gone").expect(200);
    three.put(MINE, &json!({"types": {"ads": {"in_app": false}, "grade": {"email": false}}})).expect(200);
    for kind in ["grade", "grade", "ads", "chat"] {
        backend.send(&of_kind(3, kind, "x"));
    }
    backend.send(&of_kind(4, "a matter of theirs", "x"));
    let [alarm, security] = mandatory.clone();
    let others = [("ads", true), ("chat", false), ("grade", true), ("newsletter", false)];
    let mut all: Vec<Value> = others.map(|(kind, has_rule)| json!([kind, false, has_rule])).to_vec();
    all.insert(1, alarm);
    all.push(security);
    assert_eq!(known(&three), all);
    let elsewhere = Rest::claiming(&server, json!({"sub": "3", "tenant_id": "elsewhere"}));
    assert_eq!(known(&elsewhere), mandatory);
}

#[test]
fn what_is_muted_is_not_among_what_was_read() {
    let server = Server::start();
    let (backend, three) = (Rest::backend(&server), Rest::user(&server, 3));
    three.put(MINE, &json!({"types": {"news": {"in_app": false}}})).expect(200);
    for kind in ["news", "note", "news"] {
        backend.send(&json!({"user_id": 3, "type": kind, "title": kind}));
    }
    assert_eq!(three.get("/api/v1/notifications/unread-count").expect(200)["unread_count"], 1);
    let all = |many: u32| {
        let marked = three.post("/api/v1/notifications/read-all", &json!({})).expect(200);
        assert_eq!(marked["marked_count"], many, "{marked}");
    };
    all(1);
    all(0);
}

#[test]
fn odd_preferences_are_refused_and_change_nothing() {
    let server = Server::start();
    let three = Rest::user(&server, 3);
    let before = three.get(MINE).expect(200);
    for (body, field) in [
        (json!({"quiet_hours": {"start": "22:00", "end": "22:00"}}), "quiet_hours"),
        (json!({"quiet_hours": {"start": "25:00", "end": "07:00"}}), "quiet_hours.start"),
        (json!({"quiet_hours": {"start": "22:00"}}), "quiet_hours"),
        (json!({"quiet_hours": {"enabled": true}}), "quiet_hours"),
        (
            json!({"quiet_hours": {"start": "22:00", "end": "07:00", "days": ["someday"]}}),
            "quiet_hours.days[0]",
        ),
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"types": {"": {"email": false}}}), "types"),
        (json!({"types": {"a\u{0}b": {"email": false}}}), "types"),
        (json!({"types": {"news": {"pigeon": false}}}), "pigeon"),
        (json!({"channels": {"email": "no"}}), "channels.email"),
        (json!({"tenant_id": "other"}), "tenant_id"),
    ] {
        let refused = three.put(MINE, &body).expect(422);
        assert_eq!(refused["field"], field, "{body}: {refused}");
    }
    let many: serde_json::Map<String, Value> =
        (0..501).map(|number| (format!("type-{number}"), json!({"email": false}))).collect();
    three.put(MINE, &json!({"types": many})).expect(422);
    assert_eq!(three.get(MINE).expect(200), before);
    let page = Clients::of(&server).feed(3);
    for odd in [json!({"pigeon": true}), json!({"email": "no"}), json!([]), json!("x"), Value::Null] {
        let refused = page.call("updatePreferences", odd.clone());
        assert!(refused["error"].is_string() && refused["detail"].is_string(), "{odd}: {refused}");
    }
    assert_eq!(three.get(MINE).expect(200), before);
    assert_eq!(three.get(FEED).expect(200)["timeZone"], "UTC");
}
