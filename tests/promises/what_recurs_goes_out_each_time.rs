//! What recurs goes out each time it is due, to the second and once: by whichever node, over restarts, and once for all
//! that was missed. It may be changed and ended. People have their own only; services share those of their tenant.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Rest, Server, Shared, eventually, in_seconds, instant, note, on_postgres,
};

const A_DAY: i64 = 24 * 60 * 60;

const EVERY_SECOND: &str = "* * * * * *";
const ONCE_A_YEAR: &str = "0 9 1 1 *";

/// For user 2.
fn recurring(cron: &str, title: &str) -> Value {
    let mut recurring = note(2, title);
    recurring["cron"] = json!(cron);
    recurring["time_zone"] = json!("Europe/Athens");
    recurring
}

fn begin(caller: &Rest, recurring: &Value) -> String {
    let kept = caller.post("/api/v1/recurring", recurring).expect(201);
    assert!(kept["next_at"].is_string(), "{kept}");
    format!("/api/v1/recurring/{}", kept["id"])
}

/// When what is in the inbox went out, newest first.
fn times(person: &Rest) -> Vec<String> {
    let page = person.get("/api/v1/notifications?limit=100").expect(200);
    let all = page["notifications"].as_array().expect("a list").clone();
    all.iter().map(|one| one["created_at"].as_str().expect("a time").to_owned()).collect()
}

/// Each once, each at a whole second.
#[track_caller]
fn assert_each_once(times: &[String]) {
    for pair in times.windows(2) {
        assert!(pair[0] > pair[1], "twice, or out of order: {times:?}");
    }
    assert!(times.iter().all(|time| time.ends_with(".000Z")), "{times:?}");
}

/// A time of the API in seconds since 1970.
fn second(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).expect("a time").timestamp()
}

/// Whether three went out at one second after another. (A machine that stands still for longer leaves some out.)
fn in_a_row(times: &[String]) -> bool {
    let seconds: Vec<i64> = times.iter().map(|time| second(time)).collect();
    seconds.windows(3).any(|three| three[0] == three[1] + 1 && three[1] == three[2] + 1)
}

#[test]
fn it_is_heard_to_the_second() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let page = Clients::of(&server).facilitator(2);
    let path = begin(&backend, &recurring(EVERY_SECOND, "tick"));
    eventually("it goes out second by second", || in_a_row(&times(&person)).then_some(()));
    let shown = backend.get(&path).expect(200);
    assert_eq!((&shown["cron"], &shown["title"]), (&json!(EVERY_SECOND), &json!("tick")));
    assert_eq!(shown["upcoming"].as_array().map(Vec::len), Some(5), "{shown}");
    assert!(shown["last_notification_id"].is_u64() && shown["last_at"].is_string(), "{shown}");
    assert_eq!(backend.delete(&path).expect(200)["detail"], "The notification will not go out any more.");
    let gone_out = times(&person);
    assert_each_once(&gone_out);
    eventually("all is heard", || (page.heard("notification").len() == gone_out.len()).then_some(()));
    sleep(Duration::from_millis(2_100));
    assert_eq!(times(&person), gone_out, "what was deleted does not go out");
    backend.get(&path).expect(404);
    backend.delete(&path).expect(404);
}

#[test]
fn of_what_was_missed_the_last_goes_out() {
    let mut server = Server::start();
    let backend = Rest::backend(&server);
    // Every day, at a time that was an hour ago: whatever the time is, the next one is tomorrow's.
    let today = in_seconds(-3_600) / 60 * 60;
    let mut daily = recurring(&format!("{} {} * * *", today / 60 % 60, today / 3_600 % 24), "daily");
    daily["time_zone"] = json!("UTC");
    let path = begin(&backend, &daily);
    let next = json!(instant(today + A_DAY));
    assert_eq!(backend.get(&path).expect(200)["next_at"], next);
    server.kill();
    // As if nobody had been there for three days.
    server.sql(
        &format!("UPDATE recurring SET next_at = next_at - {}000000", 3 * A_DAY),
        "UPDATE recurring SET next_at = next_at - INTERVAL '72 hours'",
    );
    server.restart();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    eventually("it goes on", || (!times(&person).is_empty()).then_some(()));
    assert_eq!(backend.get(&path).expect(200)["next_at"], next);
    sleep(Duration::from_secs(2));
    assert_eq!(times(&person), [instant(today)], "of three that were missed the last goes out");
}

#[test]
fn two_nodes_send_it_once() {
    if !on_postgres() {
        return;
    }
    let cluster = Cluster::on(&Shared::fresh().into(), 2, &[]);
    let person = Rest::user(cluster.node(0), 2);
    let heard = Clients::of(cluster.node(1)).facilitator(2);
    let path = begin(&Rest::backend(cluster.node(1)), &recurring(EVERY_SECOND, "tick"));
    eventually("it goes out", || (times(&person).len() >= 4).then_some(()));
    Rest::backend(cluster.node(0)).delete(&path).expect(200);
    let all = times(&person);
    assert_each_once(&all);
    eventually("all is heard on the other node", || {
        (heard.heard("notification").len() == all.len()).then_some(())
    });
}

#[test]
fn it_may_be_changed() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let path = begin(&backend, &recurring(ONCE_A_YEAR, "old"));
    let next = backend.put(&path, &recurring("*/3 * * * * *", "new")).expect(200)["next_at"].clone();
    eventually("it goes out at its new time", || (!person.titles().is_empty()).then_some(()));
    assert_eq!(person.titles()[0], "new");
    let first = times(&person).pop().expect("one");
    let told = next.as_str().expect("a time");
    // A machine that stands still for three seconds leaves the first one out.
    assert!(second(&first) >= second(told) && second(&first) % 3 == 0, "{first}, and {told} was told");
    backend.put(&path, &recurring(ONCE_A_YEAR, "rare")).expect(200);
    let before = person.titles().len();
    sleep(Duration::from_millis(3_200));
    assert_eq!(person.titles().len(), before, "at its old time it does not");
    assert_eq!(backend.get(&path).expect(200)["title"], "rare");
    assert_eq!(backend.get("/api/v1/recurring").expect(200)["recurring"].as_array().map(Vec::len), Some(1));
}

#[test]
fn it_begins_and_ends() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let mut brief = recurring(EVERY_SECOND, "brief");
    // It is due once, however late it is looked.
    let start = in_seconds(10);
    (brief["starts_at"], brief["ends_at"]) = (json!(instant(start)), json!(instant(start + 1)));
    let path = begin(&backend, &brief);
    assert_eq!(backend.get(&path).expect(200)["next_at"], instant(start));
    eventually("it is over", || backend.get(&path).expect(200)["next_at"].is_null().then_some(()));
    eventually("it has gone out", || (!person.titles().is_empty()).then_some(()));
    sleep(Duration::from_secs(2));
    assert_eq!(times(&person), [instant(start)], "neither before its start nor at its end");
    brief["ends_at"] = json!(instant(in_seconds(-1)));
    assert_eq!(backend.post("/api/v1/recurring", &brief).expect(422)["field"], "ends_at");
}

#[test]
fn groups_are_found_when_it_goes_out() {
    let server = Server::start();
    let (backend, later) =
        (Rest::claiming(&server, json!({"sub": "boss", "role": "admin"})), Rest::user(&server, 7));
    let news = json!({"topic": "news", "type": "digest", "title": "news", "cron": "*/2 * * * * *", "time_zone": "UTC"});
    let path = begin(&backend, &news);
    later.post("/api/v1/subscriptions", &json!({"topics": ["news"]})).expect(200);
    eventually("who subscribed later hears", || (!later.titles().is_empty()).then_some(()));
    let shown = backend.get(&path).expect(200);
    assert_eq!((&shown["subscribers"], &shown["topic"]), (&json!(true), &json!("news")));
    let sender = Rest::claiming(&server, json!({"sub": "shop", "scope": "notifications:send"}));
    sender.post("/api/v1/recurring", &news).expect(403);
    sender.put(&path, &news).expect(403);
}

#[test]
fn bad_ones_are_explained() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let refused = |caller: &Rest, change: &dyn Fn(&mut Value)| {
        let mut recurring = recurring(ONCE_A_YEAR, "x");
        change(&mut recurring);
        let problem = caller.post("/api/v1/recurring", &recurring).expect(422);
        problem["field"].as_str().expect("a field").to_owned()
    };
    for bad in ["", "every day", "61 * * * *", "0 0 30 2 *", "* * * *", "0 0 0 1 1 * 2030", "@daily"] {
        assert_eq!(refused(&backend, &|one| one["cron"] = json!(bad)), "cron", "{bad}");
    }
    assert_eq!(refused(&backend, &|one| one["time_zone"] = json!("Athens")), "time_zone");
    assert_eq!(
        refused(&backend, &|one| drop(one.as_object_mut().map(|one| one.remove("time_zone")))),
        "time_zone"
    );
    let time = json!(instant(in_seconds(60)));
    for field in ["scheduled_at", "expires_at", "colour"] {
        assert_eq!(refused(&backend, &|one| one[field] = time.clone()), field);
    }
    assert_eq!(refused(&backend, &|one| one["title"] = json!("a\nb")), "title");
    assert_eq!(refused(&backend, &|one| one["user_id"] = json!([1])), "user_id");
    assert_eq!(
        refused(&person, &|one| one["cron"] = json!(EVERY_SECOND)),
        "cron",
        "seconds are for services"
    );
    backend.get("/api/v1/recurring?limit=101").expect(422);
    assert_eq!(backend.get("/api/v1/recurring").expect(200)["recurring"], json!([]));
}

#[test]
fn people_have_their_own_and_tenants_are_apart() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let (two, three) = (Rest::user(&server, 2), Rest::user(&server, 3));
    let elsewhere =
        Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"}));
    let own = begin(&two, &recurring(ONCE_A_YEAR, "own"));
    let shared = begin(&backend, &recurring(ONCE_A_YEAR, "shared"));
    let theirs = begin(&elsewhere, &recurring(ONCE_A_YEAR, "theirs"));
    three.post("/api/v1/recurring", &recurring(ONCE_A_YEAR, "for another")).expect(403);
    let everybody = [(&two, &own, "own"), (&backend, &shared, "shared"), (&elsewhere, &theirs, "theirs")];
    for (caller, _, title) in &everybody {
        let list = caller.get("/api/v1/recurring").expect(200)["recurring"].clone();
        let titles: Vec<_> =
            list.as_array().expect("a list").iter().map(|one| one["title"].clone()).collect();
        assert_eq!(titles, [json!(title)]);
    }
    let mut mine = recurring(ONCE_A_YEAR, "mine");
    mine.as_object_mut().map(|mine| mine.remove("user_id"));
    for (whose, path, _) in &everybody {
        for other in everybody.iter().map(|(caller, ..)| *caller).chain([&three]) {
            if std::ptr::eq(other, *whose) {
                continue;
            }
            let body =
                if std::ptr::eq(other, &raw const three) { &mine } else { &recurring(ONCE_A_YEAR, "x") };
            let none = other.get("/api/v1/recurring/987654").expect(404);
            assert_eq!(other.get(path).expect(404), none);
            assert_eq!(other.put(path, body).expect(404), none);
            assert_eq!(other.delete(path).expect(404), none);
        }
        whose.get(path).expect(200);
    }
}

#[test]
fn there_is_a_limit_and_a_resend_is_the_same_one() {
    let server = Server::with(&[("limits.recurring_per_user", "3"), ("limits.recurring_per_tenant", "4")]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let yearly = recurring(ONCE_A_YEAR, "x");
    let first = begin(&two.keyed("one"), &yearly);
    assert_eq!(begin(&two.keyed("one"), &yearly), first, "the same request");
    two.keyed("one").post("/api/v1/recurring", &recurring("0 8 1 1 *", "x")).expect(422);
    assert_ne!(begin(&backend.keyed("one"), &yearly), first, "another's key");
    begin(&two, &yearly);
    begin(&two, &yearly);
    assert_eq!(two.post("/api/v1/recurring", &yearly).expect(409)["code"], "too_many_recurring");
    for _ in 1..4 {
        begin(&backend, &yearly);
    }
    backend.post("/api/v1/recurring", &yearly).expect(409);
    two.delete(&first).expect(200);
    begin(&two, &yearly);
    // Page by page, newest first.
    let page = backend.get("/api/v1/recurring?limit=3").expect(200);
    let rest = backend.get(&format!("/api/v1/recurring?limit=3&cursor={}", page["next_cursor"])).expect(200);
    let ids = |page: &Value| -> Vec<u64> {
        let page = page["recurring"].as_array().expect("a list").iter();
        page.map(|one| one["id"].as_u64().expect("a number")).collect()
    };
    let all = [ids(&page), ids(&rest)].concat();
    assert!(all.len() == 4 && all.is_sorted_by(|newer, older| newer > older), "{all:?}");
    assert_eq!((&page["has_more"], &rest["has_more"]), (&json!(true), &json!(false)));
}
