//! What was to be told is told at least once, by the same name each time, whatever the address or this server do; one that
//! hangs holds up nobody; and what was given up can be told again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::hooks::{HOOKED, admin, hear_at, messages, tell, told_at};
use crate::support::{Cluster, Ground, Peers, Rest, Server, eventually, note, on_postgres};

const READ: [&str; 1] = ["notification.read"];

/// Sends so many to user 2 and has them read; their numbers.
fn read_many(server: &Server, many: usize) -> Vec<Value> {
    let backend = Rest::backend(server);
    let sent: Vec<Value> =
        (0..many).map(|number| backend.send(&note(2, &number.to_string()))["id"].clone()).collect();
    Rest::user(server, 2).post("/api/v1/notifications/read-all", &json!({})).expect(200);
    sent
}

/// The notifications that these tell of, and the names of the messages, each once.
fn distinct(all: &[Value], what: impl Fn(&Value) -> String) -> Vec<String> {
    let mut all: Vec<String> = all.iter().map(what).collect();
    all.sort();
    all.dedup();
    all
}

fn id(one: &Value) -> String {
    one["said"]["id"].as_str().expect("a name").to_owned()
}

fn number(one: &Value) -> String {
    one["told"]["data"]["notification_id"].to_string()
}

#[test]
fn who_fails_is_told_again_by_the_same_name() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "flaky/x", &READ);
    read_many(&server, 1);
    let told = hear_at(&peers, "flaky/x", 2);
    assert_eq!((id(&told[0]), &told[0]["told"]), (id(&told[1]), &told[1]["told"]));
    let one = eventually("it is noted", || messages(&boss, &made, "&state=sent").pop());
    assert_eq!(one["id"], told[0]["said"]["id"]);
    let outcomes: Vec<_> =
        one["attempts"].as_array().expect("a list").iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["waiting", "sent"]);
    assert!(one["attempts"][0]["reason"].as_str().is_some_and(|why| why.contains("500")), "{one}");
}

#[test]
fn what_is_refused_again_and_again_is_given_up_and_can_be_told_again() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let boss = admin(&server);
    // Both are told of it; redirects are not followed.
    for how in ["500/x", "redirect/x"] {
        let made = tell(&mut peers, &boss, how, &READ);
        let path = format!("/api/v1/webhooks/{}", made["id"]);
        read_many(&server, 1);
        let failed = eventually("it is given up", || messages(&boss, &made, "&state=failed").pop());
        assert_eq!(told_at(&peers, how).len(), 5, "{how}");
        assert_eq!(distinct(&told_at(&peers, how), id).len(), 1);
        assert!(boss.get(&path).expect(200)["failing_since"].is_string());
        // It is mended.
        let well = how.replace("500", "200/mended").replace("redirect", "200/followed");
        boss.put(&path, &json!({"url": format!("{}/{well}", peers.url("hooks"))})).expect(200);
        let replay = |what: Value| boss.post(&format!("{path}/replay"), &what);
        let since = json!({"since": failed["timestamp"]});
        assert_eq!(replay(json!({"since": "2100-01-01T00:00:00Z"})).expect(200)["replayed"], 0);
        assert_eq!(replay(since.clone()).expect(200)["replayed"], 1);
        let told = hear_at(&peers, &well, 1);
        assert_eq!(told[0]["said"]["id"], failed["id"]);
        eventually("it is noted", || messages(&boss, &made, "&state=sent").pop());
        assert_eq!(replay(since).expect(200)["replayed"], 0, "it was taken");
        assert_eq!(replay(json!({"message_id": failed["id"]})).expect(200)["replayed"], 1);
        assert_eq!(distinct(&hear_at(&peers, &well, 2), id).len(), 1);
        assert_eq!(boss.get(&path).expect(200)["failing_since"], Value::Null);
        for (what, status) in [
            (json!({"message_id": "msg_0193ffffffff70008000000000000000"}), 404),
            (json!({"message_id": "7"}), 422),
            (json!({}), 422),
            (json!({"message_id": failed["id"], "since": failed["timestamp"]}), 422),
        ] {
            assert_eq!(replay(what).status, status);
        }
        boss.delete(&path).expect(200);
    }
    assert!(told_at(&peers, "200/elsewhere").is_empty());
}

#[test]
fn who_is_gone_is_told_no_more() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "410/x", &READ);
    read_many(&server, 1);
    let path = format!("/api/v1/webhooks/{}", made["id"]);
    let disabled = eventually("it is disabled", || {
        Some(boss.get(&path).expect(200)).filter(|one| one["enabled"] == false)
    });
    assert!(disabled["disabled_reason"].as_str().is_some_and(|why| why.contains("410")), "{disabled}");
    read_many(&server, 3);
    assert_eq!(messages(&boss, &made, "").len(), 1, "nothing is written down for it");
    let log = boss.get("/api/v1/audit?action=webhook.disable").expect(200);
    assert_eq!(log["entries"][0]["subject"], format!("webhook:{}", made["id"]));
    // Somebody enables it again.
    boss.put(&path, &json!({"enabled": true, "url": format!("{}/200/x", peers.url("hooks"))})).expect(200);
    read_many(&server, 1);
    hear_at(&peers, "200/x", 1);
}

#[test]
fn who_takes_nothing_for_long_is_told_no_more() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "500/x", &READ);
    read_many(&server, 1);
    eventually("it is given up", || messages(&boss, &made, "&state=failed").pop());
    let path = format!("/api/v1/webhooks/{}", made["id"]);
    assert_eq!(boss.get(&path).expect(200)["enabled"], true);
    server.sql(
        "UPDATE webhooks SET failing_since = failing_since - 121 * 3600 * 1000000",
        "UPDATE webhooks SET failing_since = failing_since - interval '121 hours'",
    );
    boss.post(&format!("{path}/test"), &json!({})).expect(202);
    eventually("it is disabled", || (boss.get(&path).expect(200)["enabled"] == false).then_some(()));
    // After a long silence, the first fault is not the last word.
    let last = messages(&boss, &made, "")[0].clone();
    assert!(last["attempts"].as_array().is_some_and(|all| all.len() >= 3), "{last}");
}

#[test]
fn who_wants_to_be_left_alone_is() {
    let mut peers = Peers::start();
    let server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "429/x", &READ);
    read_many(&server, 1);
    let first = hear_at(&peers, "429/x", 1)[0]["said"]["timestamp"].clone();
    let next = hear_at(&peers, "429/x", 2)[1]["said"]["timestamp"].clone();
    let seconds = |at: &Value| at.as_str().and_then(|at| at.parse::<i64>().ok()).expect("seconds");
    assert!(seconds(&next) - seconds(&first) >= 3, "it asked for three: {:?}", messages(&boss, &made, ""));
}

#[test]
fn one_that_hangs_holds_up_nobody() {
    let mut peers = Peers::start();
    let server = Server::with(&[&HOOKED[..], &[("delivery.timeout_ms", "20000")]].concat());
    let boss = admin(&server);
    tell(&mut peers, &boss, "hang/x", &READ);
    tell(&mut peers, &boss, "200/x", &READ);
    let started = Instant::now();
    let sent = read_many(&server, 60);
    let told = hear_at(&peers, "200/x", 60);
    assert!(started.elapsed() < Duration::from_secs(15), "it waited for the one that hangs");
    assert_eq!(distinct(&told, number).len(), sent.len());
    let hung = told_at(&peers, "hang/x").len();
    assert!((1..=8).contains(&hung), "{hung}");
    // Nor does it hold up people.
    let backend = Rest::backend(&server);
    backend.put("/api/v1/recipients/3", &json!({"email": "three@example.com"})).expect(200);
    let mail = json!({"user_id": 3, "type": "x", "title": "x", "message": "x", "channels": ["email"]});
    assert_eq!(backend.post("/notify", &mail).expect(200)["channels"]["email"], "delivered");
}

#[test]
fn what_was_outstanding_when_the_server_died_is_told() {
    let mut peers = Peers::start();
    let mut server = Server::with(&HOOKED);
    let boss = admin(&server);
    let made = tell(&mut peers, &boss, "slow/x", &READ);
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.extend(read_many(&server, 30));
        hear_at(&peers, "slow/x", told_at(&peers, "slow/x").len() + 1);
        server.kill();
        server.restart();
    }
    let want = sent.len();
    eventually("all are told", || (distinct(&told_at(&peers, "slow/x"), number).len() == want).then_some(()));
    eventually("all are noted", || {
        let of = |state: &str| messages(&boss, &made, &format!("&state={state}"));
        ["waiting", "under_way", "failed"].into_iter().all(|state| of(state).is_empty()).then_some(())
    });
    let told = told_at(&peers, "slow/x");
    assert_eq!(distinct(&told, id).len(), want, "each by one name");
    assert_eq!(distinct(&told, |one| format!("{} {}", id(one), number(one))).len(), want);
}

#[test]
fn of_many_nodes_one_tells() {
    if !on_postgres() {
        return;
    }
    let mut peers = Peers::start();
    let cluster = Cluster::on(&Ground::usual(), 3, &HOOKED);
    let boss = admin(cluster.node(0));
    tell(&mut peers, &boss, "200/x", &READ);
    // So long the other nodes may not know of it.
    std::thread::sleep(Duration::from_millis(1_100));
    let mut sent = 0;
    for node in cluster.nodes() {
        sent += read_many(node, 50).len();
    }
    let told = hear_at(&peers, "200/x", sent);
    assert_eq!(distinct(&told, number).len(), sent);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(told_at(&peers, "200/x").len(), sent, "each once");
}
