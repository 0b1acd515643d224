//! Lines to PostgreSQL and Redis may be encrypted, and then nobody is believed but whom the settings name.

use crate::support::certificates::{authority, stranger};
use crate::support::{
    Clients, Cluster, JWT_SECRET, Postgres, Redis, Shared, booking, on_postgres, run_command,
};

/// Whose word counts where no other root certificate is named.
const ROOTS: &str = "SSL_CERT_FILE";

#[test]
fn postgresql_is_believed_as_sslmode_says() {
    if !on_postgres() {
        return;
    }
    let (postgres, port) = Postgres::encrypted();
    let database = postgres.database();
    // What is said when it is not believed, or takes no plain line.
    let refusal = |host: &str, query: &str, roots: &str| {
        let url = format!("{}?{query}", database.url_at(format!("{host}:{port}")));
        let output = run_command(
            &["migrate"],
            &[("DATABASE_URL", &url), ("JWT_SECRET_KEY", JWT_SECRET), (ROOTS, roots)],
        );
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() || words.contains("cannot reach the database"), "{words}");
        (!output.status.success()).then_some(words)
    };
    let (authority, stranger) = (authority(), stranger());
    let by = |mode: &str, root: &str| format!("sslmode={mode}&sslrootcert={root}");
    // The certificate is made out to `localhost`.
    for (host, query) in [
        ("localhost", by("verify-full", &authority)),
        ("127.0.0.1", by("verify-ca", &authority)),
        ("127.0.0.1", by("require", &authority)),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
    ] {
        assert_eq!(refusal(host, &query, &stranger), None, "{host} {query}");
    }
    for (host, query) in [
        ("127.0.0.1", by("verify-full", &authority)),
        ("localhost", by("verify-full", &stranger)),
        ("localhost", by("verify-ca", &stranger)),
        ("localhost", by("require", &stranger)),
        ("localhost", "sslmode=verify-full".to_owned()),
        ("localhost", "sslmode=disable".to_owned()),
    ] {
        assert!(refusal(host, &query, &stranger).is_some(), "{host} {query}");
    }
    assert_eq!(refusal("localhost", "sslmode=verify-full", &authority), None, "the machine's own roots");
}

#[test]
fn nodes_hear_each_other_over_encrypted_lines() {
    if !on_postgres() {
        return;
    }
    let ((postgres, port), (_redis, redis_port)) = (Postgres::encrypted(), Redis::encrypted());
    let redis_url = format!("rediss://localhost:{redis_port}");
    let shared = Shared::of(&postgres, &redis_url);
    let database_url = format!("{}?sslmode=verify-full", shared.database.url_at(format!("localhost:{port}")));
    let ground = shared.reached_at(&database_url).into();
    let cluster = Cluster::on(&ground, 2, &[(ROOTS, &authority())]);
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let page = there.facilitator(2);
    let receipt = here.backend().call("booking_notification", booking(1, 2));
    assert!(receipt["delivered_at"].is_string(), "{receipt}");
    assert_eq!(page.hear("new_booking_notification")["notification_id"], receipt["notification_id"]);
}

#[test]
fn a_redis_that_nobody_vouches_for_is_not_listened_to() {
    if !on_postgres() {
        return;
    }
    let (redis, port) = Redis::encrypted();
    let plain = Shared::fresh().with_redis(&format!("redis://localhost:{port}"));
    let unknown = Shared::fresh().with_redis(&format!("rediss://localhost:{port}"));
    for (ground, roots) in [(plain, authority()), (unknown, stranger())] {
        let cluster = Cluster::on(&ground.into(), 1, &[(ROOTS, &roots)]);
        cluster.node(0).wait_for_health("degraded");
        let warned = |line: &String| line.contains("Redis cannot be reached");
        assert!(cluster.node(0).log().iter().any(warned));
    }
    drop(redis);
}
