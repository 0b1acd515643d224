//! What other programs publish in Redis or add to its stream is accepted as if it had been posted. What was added is
//! never lost and never doubled: not when the server is killed, when the database is away, or when Redis restarts.

use std::thread::sleep;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};

use crate::support::{
    Clients, Ground, Kind, Postgres, Redis, RedisCluster, Rest, Server, Shared, eventually, in_seconds,
    instant, on_postgres, sign,
};

/// One server with a database and a Redis that may be treated badly.
struct Stage {
    server: Server,
    redis: Redis,
    postgres: Option<Postgres>,
    /// Somebody else who writes to the SQLite file.
    rival: Option<SqliteConnection>,
}

impl Stage {
    fn set() -> Self {
        let redis = Redis::private();
        let postgres = on_postgres().then(Postgres::private);
        let ground = match &postgres {
            Some(postgres) => Shared::of(postgres, &redis.url()).into(),
            None => Ground::Sqlite,
        };
        let server = Server::on(&ground, &[("redis.url", &redis.url())]);
        redis.wait_for_listener();
        Self { server, redis, postgres, rival: None }
    }

    /// From now on the database takes nothing.
    fn hold(&mut self) {
        match &self.postgres {
            Some(postgres) => postgres.stop(),
            None => {
                let file = self.server.home().join("carillon.db").display().to_string();
                let mut rival = SqliteConnection::establish(&file).expect("its file");
                rival.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").expect("the lock");
                self.rival = Some(rival);
            }
        }
    }

    fn let_go(&mut self) {
        match &self.postgres {
            Some(postgres) => postgres.go_on(),
            None => self.rival.take().expect("somebody").batch_execute("ROLLBACK").expect("no lock"),
        }
    }
}

fn note(user: u64, title: &str) -> Value {
    json!({"userId": user, "type": "note", "title": title})
}

fn titled(range: std::ops::Range<u32>) -> Vec<String> {
    range.rev().map(|number| number.to_string()).collect()
}

#[track_caller]
fn wait_for_titles(person: &Rest, titles: &[impl AsRef<str>]) {
    let expected: Vec<&str> = titles.iter().map(AsRef::as_ref).collect();
    eventually(&format!("they have {expected:?}"), || (person.titles() == expected).then_some(()));
}

#[test]
fn what_is_published_is_heard() {
    let Stage { server, redis, postgres: _postgres, .. } = Stage::set();
    let clients = Clients::of(&server);
    let (page, phone) = (clients.feed(2), clients.feed(3));
    let published = json!({
        "userId": "2", "type": "order_status", "title": "Order Updated", "message": "It has been shipped",
        "channel": "orders", "priority": "critical", "data": {"orderId": "12345"}, "actionUrl": "/orders/5",
        "expiresAt": "2099-01-15T10:00:00+01:00",
    });
    assert_eq!(redis.publish(&published), 1);
    let heard = page.hear("notification");
    for (name, value) in [
        ("type", json!("order_status")),
        ("title", json!("Order Updated")),
        ("message", json!("It has been shipped")),
        ("channel", json!("orders")),
        ("priority", json!("urgent")),
        ("data", json!({"orderId": "12345"})),
    ] {
        assert_eq!(heard[name], value, "{name}: {heard}");
    }
    let listed = &Rest::user(&server, 2).get("/api/v1/notifications").expect(200)["notifications"][0];
    assert_eq!(
        (&listed["action_url"], &listed["expires_at"]),
        (&json!("/orders/5"), &json!("2099-01-15T09:00:00.000Z"))
    );

    // By the other dialect, to several; and to who subscribed to a topic.
    redis.publish(
        &json!({"user_ids": [2, 3], "notification_type": "note", "message": "both", "metadata": {"a": 1}}),
    );
    assert_eq!(
        (page.hear("notification")["message"].clone(), phone.hear("notification")["data"].clone()),
        (json!("both"), json!({"a": 1}))
    );
    phone.call("subscribe", json!({"channels": ["news"]}));
    redis.publish(&json!({"channel": "news", "type": "note", "title": "read all about it"}));
    assert_eq!(phone.hear("notification")["title"], "read all about it");
    assert_eq!(page.heard("notification").len(), 2);

    // Of another tenant: not for the one of the same name here.
    let token = sign(&json!({"sub": "2", "tenant_id": "acme", "exp": in_seconds(3600)}));
    let other = clients.feed_by(Kind::USUAL, &token);
    redis.publish(&json!({"tenantId": "acme", "userId": 2, "type": "note", "title": "theirs"}));
    assert_eq!(other.hear("notification")["title"], "theirs");
    wait_for_titles(&Rest::user(&server, 2), &["", "Order Updated"]);
}

#[test]
fn what_was_added_before_the_first_start_comes_in_its_order() {
    let redis = Redis::private();
    (0..250).for_each(|number| drop(redis.add(&note(2, &number.to_string()))));
    let server = Server::with(&[("redis.url", &redis.url())]);
    let two = Rest::user(&server, 2);
    redis.wait_for_stream(0, 0);
    assert_eq!(two.get("/api/v1/notifications?limit=1").expect(200)["total_count"], 250);
    assert_eq!(two.titles(), titled(150..250));
}

#[test]
fn a_key_makes_one_of_several() {
    let Stage { server, redis, postgres: _postgres, .. } = Stage::set();
    let keyed = |name: &str, key: Value| {
        let mut message = note(2, "once");
        message[name] = key;
        message
    };
    for name in ["idempotencyKey", "idempotency_key", "id"] {
        redis.publish(&keyed(name, json!("order-5")));
        redis.add(&keyed(name, json!("order-5")));
    }
    redis.add(&keyed("id", json!(6)));
    redis.add(&keyed("id", json!("6")));
    // The same one by REST.
    redis.wait_for_stream(0, 0);
    let posted = json!({"user_id": 2, "type": "note", "title": "once"});
    Rest::backend(&server).keyed("order-5").post("/api/v1/notifications", &posted).expect(201);
    // Without keys, each is its own.
    redis.publish(&note(2, "twice"));
    redis.publish(&note(2, "twice"));
    wait_for_titles(&Rest::user(&server, 2), &["twice", "twice", "once", "once"]);
}

#[test]
fn what_is_for_later_waits_and_is_not_doubled() {
    let Stage { mut server, redis, postgres: _postgres, .. } = Stage::set();
    let at = in_seconds(8);
    let mut message = note(2, "later");
    message["scheduledAt"] = json!(instant(at));
    redis.add(&message);
    redis.wait_for_stream(0, 0);
    let two = Rest::user(&server, 2);
    eventually("it goes out", || {
        let there = two.titles();
        // Asked before: what was answered may only have been late.
        assert!(there.is_empty() || in_seconds(0) >= at, "before it is due: {there:?}");
        (there == ["later"]).then_some(())
    });
    // Again, under the same key, after its time.
    message["id"] = json!("a");
    message["scheduledAt"] = json!(instant(in_seconds(8)));
    redis.add(&message);
    wait_for_titles(&two, &["later", "later"]);
    redis.add(&message);
    redis.wait_for_stream(0, 0);
    assert_eq!(redis.cli(&["XLEN", "notifications:dead"]), "0");
    assert_eq!(two.titles(), ["later", "later"]);
    assert!(server.stop().success());
}

/// Entries that were read are not lost with who read them; those that were stored, and not yet removed, are not stored
/// again.
#[test]
fn a_killed_server_loses_and_doubles_nothing() {
    let mut stage = Stage::set();
    stage.hold();
    (0..50).for_each(|number| drop(stage.redis.add(&note(2, &number.to_string()))));
    // The first, at least, were read when they came, and cannot be stored.
    stage.redis.wait_for_reader(50);
    stage.server.kill();
    stage.let_go();
    stage.server.restart();
    stage.redis.wait_for_stream(0, 0);
    let two = Rest::user(&stage.server, 2);
    assert_eq!(two.titles(), titled(0..50));

    // Redis stands still after they were read: they are stored, and it is never told.
    stage.hold();
    (50..60).for_each(|number| drop(stage.redis.add(&note(2, &number.to_string()))));
    let read = stage.redis.wait_for_reader(10);
    stage.redis.stop();
    stage.let_go();
    eventually("what was read is stored", || (two.titles().len() == 50 + read).then_some(()));
    stage.server.kill();
    stage.redis.go_on();
    stage.server.restart();
    stage.redis.wait_for_stream(0, 0);
    assert_eq!(two.titles(), titled(0..60));
}

/// A reader that was stopped may read once more before it sees that another one has its turn, and do nothing with it.
#[test]
fn what_another_reader_left_unfinished_is_found() {
    let mut stage = Stage::set();
    stage.hold();
    stage.redis.add(&note(2, "0"));
    stage.redis.wait_for_stream(1, 1);
    stage.redis.add(&note(2, "1"));
    let read = ["XREADGROUP", "GROUP", "carillon", "carillon", "STREAMS", "notifications:stream", ">"];
    assert!(stage.redis.cli(&read).contains("\"1\""));
    stage.redis.add(&note(2, "2"));
    stage.let_go();
    stage.redis.wait_for_stream(0, 0);
    let mut titles = Rest::user(&stage.server, 2).titles();
    titles.sort();
    assert_eq!(titles, ["0", "1", "2"]);
}

#[test]
fn while_the_database_is_away_they_wait() {
    let mut stage = Stage::set();
    let two = Rest::user(&stage.server, 2);
    stage.redis.publish(&note(2, "0"));
    wait_for_titles(&two, &["0"]);
    match &mut stage.postgres {
        Some(postgres) => postgres.kill(),
        None => stage.hold(),
    }
    (1..=15).for_each(|number| assert_eq!(stage.redis.publish(&note(2, &number.to_string())), 1));
    let length = || stage.redis.cli(&["XLEN", "notifications:stream"]);
    eventually("they wait in the stream", || (length() == "15").then_some(()));
    (16..=30).for_each(|number| drop(stage.redis.add(&note(2, &number.to_string()))));
    eventually("it is noticed", || {
        stage.server.log().iter().any(|line| line.contains("commit failed")).then_some(())
    });
    sleep(Duration::from_secs(1));
    assert_eq!(length(), "30");
    match &mut stage.postgres {
        Some(postgres) => postgres.start(),
        None => stage.let_go(),
    }
    stage.redis.wait_for_stream(0, 0);
    assert_eq!(two.titles(), titled(0..31));
    assert_eq!(stage.redis.cli(&["XLEN", "notifications:dead"]), "0");
}

#[test]
fn redis_may_restart_empty() {
    let mut stage = Stage::set();
    let (clients, two) = (Clients::of(&stage.server), Rest::user(&stage.server, 2));
    let page = clients.feed(2);
    stage.redis.add(&note(2, "before"));
    assert_eq!(page.hear("notification")["title"], "before");
    for round in 0..2 {
        match round {
            0 => {
                stage.redis.kill();
                // Nobody waits for it.
                let sent = json!({"user_id": 2, "type": "note", "title": "without"});
                Rest::backend(&stage.server).send(&sent);
                assert_eq!(page.hear("notification")["title"], "without");
                stage.redis.start();
            }
            _ => stage.redis.hang_up(),
        }
        stage.redis.wait_for_listener();
        stage.redis.publish(&note(2, "published"));
        assert_eq!(page.hear("notification")["title"], "published");
        stage.redis.add(&note(2, "added"));
        assert_eq!(page.hear("notification")["title"], "added");
    }
    wait_for_titles(&two, &["added", "published", "added", "published", "without", "before"]);
    stage.redis.cli(&["DEL", "notifications:stream"]);
    stage.redis.add(&note(2, "new stream"));
    assert_eq!(page.hear("notification")["title"], "new stream");
}

#[test]
fn what_is_published_during_a_stop_is_not_lost() {
    let Stage { mut server, redis, postgres: _postgres, .. } = Stage::set();
    let two = Rest::user(&server, 2);
    let mut published: u32 = 0;
    server.signal(nix::sys::signal::Signal::SIGTERM);
    while redis.publish(&note(2, &published.to_string())) == 1 {
        published += 1;
    }
    assert!(server.wait_for_exit().success());
    server.restart();
    redis.wait_for_stream(0, 0);
    println!("{published} were heard during the stop");
    assert_eq!(two.get("/api/v1/notifications?limit=1").expect(200)["total_count"], published);
    assert_eq!(two.titles(), titled(published.saturating_sub(100)..published));
}

#[test]
fn a_cluster_may_bring_them() {
    let cluster = RedisCluster::start();
    let url = cluster.url();
    let server = Server::with(&[("redis.url", &url)]);
    let two = Rest::user(&server, 2);
    let nodes = cluster.into_nodes();
    eventually("somebody listens", || {
        let listens = |node: &Redis| node.cli(&["PUBSUB", "NUMSUB", "notifications:send"]).ends_with("\n1");
        nodes.iter().any(listens).then_some(())
    });
    let mut expected = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        node.publish(&note(2, &format!("published {number}")));
        expected.insert(0, format!("published {number}"));
        wait_for_titles(&two, &expected);
    }
    let text = note(2, "added").to_string();
    let (_, port) = url.rsplit_once(':').expect("a port");
    let added = std::process::Command::new("redis-cli")
        .args(["-c", "-p", port, "XADD", "notifications:stream", "*", "notification", &text])
        .output()
        .expect("redis-cli");
    assert!(added.status.success());
    nodes[0].publish(&json!({"userId": 2}));
    expected.insert(0, "added".to_owned());
    wait_for_titles(&two, &expected);
    eventually("a dead letter", || {
        nodes
            .iter()
            .any(|node| node.ask("XLEN notifications:dead").is_ok_and(|length| length == ":1"))
            .then_some(())
    });
}
