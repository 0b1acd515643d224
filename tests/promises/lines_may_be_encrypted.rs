//! Lines to PostgreSQL and Redis may be encrypted, and whom they lead to may be verified: by `sslmode` as libpq does it,
//! by `rediss://` and `redis.ca_file`. Who is not vouched for is not spoken to, and the error says why.

use std::process::Output;

use serde_json::json;

use crate::support::{
    Authority, Clients, Cluster, NO_PASSWORD, PendingList, Postgres, Proxy, Redis, RedisCluster, Server,
    Shared, Upstream, booking, eventually, on_postgres, quiet_port, run_command,
};

/// Connects, makes the tables and ends.
fn migrate(url: &str) -> Result<(), String> {
    let output = run_command(&["migrate"], &[("DATABASE_URL", url)]);
    if output.status.success() { Ok(()) } else { Err(said(&output)) }
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains(NO_PASSWORD) && !text.contains("panicked"), "{text}");
    text
}

/// One booking is heard live, another on return.
fn books(sender: &Server, receiver: &Server) {
    let (here, there) = (Clients::of(sender), Clients::of(receiver));
    let (back_end, page) = (here.backend(), there.facilitator(2));
    let receipt = back_end.call("booking_notification", booking(1, 2));
    assert!(receipt["delivered_at"].is_string(), "{receipt}");
    assert_eq!(page.hear("new_booking_notification")["notification_id"], receipt["notification_id"]);
    page.emit(
        "mark_notification_read",
        json!({"facilitator_id": 2, "notification_id": receipt["notification_id"]}),
    );
    page.hear("notification_marked_read");
    page.disconnect();
    sender.wait_for_stat("online_facilitators", 0);
    back_end.call("booking_notification", booking(2, 2));
    let list = PendingList(there.facilitator(2).hear("pending_notifications"));
    assert_eq!(list.booking_ids(), [2]);
}

#[test]
fn postgresql_is_verified_as_sslmode_says() {
    if !on_postgres() {
        return;
    }
    let (ours, anothers) = (Authority::new(), Authority::new());
    let postgres = Postgres::with_tls(&ours.vouch_for("DNS:localhost"));
    let database = postgres.database();
    let reached = |host: &str, options: &str| migrate(&format!("{}?{options}", database.url_by(host)));
    let by =
        |mode: &str, authority: &Authority| format!("sslmode={mode}&sslrootcert={}", authority.encoded());

    let good = [
        ("127.0.0.1", "sslmode=disable".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", String::new()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", by("require", &ours)),
        ("127.0.0.1", by("verify-ca", &ours)),
        ("localhost", by("verify-ca", &ours)),
        ("localhost", by("verify-full", &ours)),
    ];
    for (host, options) in good {
        assert_eq!(reached(host, &options), Ok(()), "{host} {options}");
    }

    let untrusted = "UnknownIssuer";
    let refused = [
        ("localhost", by("require", &anothers), untrusted),
        ("localhost", by("verify-ca", &anothers), untrusted),
        ("localhost", by("verify-full", &anothers), untrusted),
        ("localhost", "sslmode=verify-full".to_owned(), untrusted),
        ("127.0.0.1", by("verify-full", &ours), "not valid for name"),
        ("localhost", "sslmode=verify-ca&sslrootcert=/no/such/file".to_owned(), "/no/such/file"),
        ("localhost", "sslmode=strict".to_owned(), "verify-full"),
    ];
    for (host, options, why) in refused {
        let fault = reached(host, &options).expect_err("it was taken");
        assert!(fault.contains(why), "{host} {options}: {fault}");
    }

    // A server without TLS.
    let plain = Postgres::shared().database();
    let proxy = Proxy::to(Upstream::Unix(plain.socket()));
    assert_eq!(migrate(&format!("{}?sslmode=prefer", plain.url_at(proxy.address))), Ok(()));
    let fault = migrate(&format!("{}?sslmode=require", plain.url_at(proxy.address))).expect_err("no TLS");
    assert!(fault.contains("does not support TLS"), "{fault}");
}

#[test]
fn a_booking_travels_over_tls_alone() {
    if !on_postgres() {
        return;
    }
    let authority = Authority::new();
    let identity = authority.vouch_for("DNS:localhost");
    let (postgres, port) = (Postgres::with_tls(&identity), quiet_port());
    let redis = Redis::with_tls(&identity, port);
    let redis_url = format!("rediss://localhost:{port}");
    let shared = Shared::of(&postgres, &redis_url);
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        shared.database.url_by("localhost"),
        authority.encoded()
    );
    let (database, file) = (shared.database.clone(), authority.file().display().to_string());
    let ground = shared.reached_at(&url).into();
    let cluster = Cluster::on(&ground, 2, &[("redis.ca_file", &file)]);
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    books(cluster.node(0), cluster.node(1));

    let lines = "SELECT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'carillon'";
    let lines = database.tell(lines).expect("who is connected");
    assert!(lines.len() >= 2 && lines.iter().all(|ssl| ssl == "true"), "{lines:?}");
    let subscribed = redis.ask("PUBSUB CHANNELS").expect("an answer");
    assert!(subscribed.starts_with('*'), "{subscribed}");
}

#[test]
fn redis_is_verified() {
    if !on_postgres() {
        return;
    }
    let (ours, anothers) = (Authority::new(), Authority::new());
    let port = quiet_port();
    let _redis = Redis::with_tls(&ours.vouch_for("DNS:localhost"), port);
    let tried = [
        ("localhost", Some(&ours), None),
        ("localhost", Some(&anothers), Some("UnknownIssuer")),
        ("localhost", None, Some("UnknownIssuer")),
        ("127.0.0.1", Some(&ours), Some("not valid for name")),
    ];
    for (host, authority, refused) in tried {
        let ground = Shared::fresh().with_redis(&format!("rediss://:{NO_PASSWORD}@{host}:{port}")).into();
        let file = authority.map(|authority| authority.file().display().to_string()).unwrap_or_default();
        let server = Server::on(&ground, &[("redis.ca_file", &file)]);
        let Some(why) = refused else {
            server.wait_for_health("healthy");
            continue;
        };
        let hope = format!("the log says that Redis is refused: {why}");
        let says_why = |line: &String| line.contains("Redis cannot be reached") && line.contains(why);
        eventually(&hope, || server.log().iter().any(says_why).then_some(()));
        server.wait_for_health("degraded");
        assert!(!server.log().iter().any(|line| line.contains(NO_PASSWORD)), "a password in the log");
    }
}

#[test]
fn a_cluster_of_redis_is_verified() {
    if !on_postgres() {
        return;
    }
    let authority = Authority::new();
    let redis = RedisCluster::with_tls(&authority.vouch_for("IP:127.0.0.1"));
    let ground = Shared::fresh().with_redis(&redis.url()).into();
    let file = authority.file().display().to_string();
    let cluster = Cluster::on(&ground, 2, &[("redis.ca_file", &file)]);
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    books(cluster.node(0), cluster.node(1));
}

#[test]
fn a_file_that_vouches_for_nobody_is_an_error() {
    if !on_postgres() {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let database = Postgres::shared().database();
    let (authority, empty) = (Authority::new(), home.path().join("empty.pem"));
    std::fs::write(&empty, "nothing").expect("a file");
    let (good, empty) = (authority.file().display().to_string(), empty.display().to_string());
    let wrong = [
        ("rediss://localhost:1", "/no/such/file", "/no/such/file"),
        ("rediss://localhost:1", empty.as_str(), "there is no certificate in it"),
        ("redis://localhost:1", good.as_str(), "must begin with rediss://"),
        ("rediss://localhost:1,redis://localhost:2", good.as_str(), "must begin with rediss://"),
    ];
    for (redis, file, why) in wrong {
        let variables = [
            ("DATABASE_URL", database.url()),
            ("REDIS_URL", redis.replace("//", &format!("//:{NO_PASSWORD}@"))),
            ("CARILLON_REDIS_CA_FILE", file.to_owned()),
        ];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let output = run_command(&["serve", "--host", "127.0.0.1", "--port", "0"], &variables);
        let text = said(&output);
        assert!(!output.status.success() && text.contains("redis.ca_file") && text.contains(why), "{text}");
    }
}
