//! `/health` has the fields that monitors of the old service read, and says what is so.

use serde_json::json;

use crate::support::{
    Clients, Ground, METRICS_TOKEN, Postgres, Redis, Rest, Server, Shared, SinkFile, eventually, get_with,
    on_postgres, quiet_port, run_command, try_get,
};

#[test]
fn health_has_the_seeds_fields() {
    let server = Server::start();
    let health = server.get("/health");
    assert_eq!(health.status, 200);
    assert!(
        health.headers.to_ascii_lowercase().contains("content-type: application/json"),
        "{}",
        health.headers
    );
    let health = health.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "notification_service");
    assert!(health["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "{health}");
    assert_eq!(health["online_facilitators"], 0);
    assert_eq!(health["backend_connected"], false);
    assert!(health["version"].is_string(), "{health}");
}

#[test]
fn each_way_is_told_of() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let away = quiet_port().to_string();
    let server = Server::with(&[
        (name, &path),
        ("CARILLON_ENV", "development"),
        ("delivery.allow_loopback", "true"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", &away),
        ("EMAIL_FROM", "bells@example.org"),
    ]);
    let services = || server.get("/health").json()["services"].clone();
    let told = json!({
        "websocket": "healthy", "email": "healthy", "push": "healthy", "sms": "sink", "templates": "healthy", "database": "healthy",
    });
    assert_eq!(services(), told);
    let backend = Rest::backend(&server);
    for user in 2..8 {
        let new = json!({"user_id": user, "title": "x", "channels": ["email"], "email": format!("a@host{user}.example.com")});
        backend.post("/notify", &new).expect(200);
    }
    eventually("its mail server is away", || (services()["email"] == "degraded").then_some(()));
    assert_eq!(server.get("/health").json()["status"], "healthy", "all else goes on");
    let bare = Server::start();
    assert_eq!(bare.get("/health").json()["services"]["sms"], "not configured");
}

#[test]
fn health_follows_who_is_there() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    let health = server.get("/health").json();
    assert_eq!((&health["online_facilitators"], &health["backend_connected"]), (&json!(1), &json!(true)));
    page.disconnect();
    backend.disconnect();
    server.wait_for_stat("online_facilitators", 0);
    server.wait_for_stat("backend_connected", false);
    let health = server.get("/health").json();
    assert_eq!((&health["online_facilitators"], &health["backend_connected"]), (&json!(0), &json!(false)));
}

#[test]
fn a_running_server_is_alive_and_ready() {
    let server = Server::start();
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/health/ready").status, 200);
    assert_eq!(server.get("/no/such/page").status, 404);
}

/// An SQLite server takes letters from Redis: that is told, and so is when it cannot. It stores all the same, so it is ready.
#[test]
fn a_redis_that_only_brings_letters_is_told_of() {
    let mut redis = Redis::private();
    let server = Server::on(&Ground::Sqlite, &[("redis.url", &redis.url())]);
    redis.wait_for_listener();
    let health = || server.get("/health").json();
    let up = || {
        let bearer = format!("Bearer {METRICS_TOKEN}");
        let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
        metrics.lines().find_map(|line| line.strip_prefix("carillon_redis_up ").map(str::to_owned))
    };
    let is = |status: &str, redis: &str, number: &str| {
        let now = health();
        assert_eq!(now["redis_used_for"], json!(["letters"]), "{now}");
        (now["status"] == status && now["redis"] == redis && up().as_deref() == Some(number)).then_some(())
    };
    eventually("it is there", || is("healthy", "healthy", "1"));
    redis.kill();
    eventually("it is away", || is("degraded", "unreachable", "0"));
    assert_eq!((server.get("/health").status, server.get("/health/ready").status), (200, 200));
    redis.start();
    eventually("it is back", || is("healthy", "healthy", "1"));
    let without = Server::on(&Ground::Sqlite, &[]);
    let health = without.get("/health").json();
    assert_eq!((&health["redis"], &health["redis_used_for"]), (&json!("not configured"), &json!([])));
}

/// Redis that was never there is told of like one that went away, whatever it is used for.
#[test]
fn a_redis_that_is_away_from_the_start_is_told_of() {
    let mut redis = Redis::private();
    redis.kill();
    let url = redis.url();
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("no letters.toml");
    std::fs::write(&file, "[ingest]\nstream = \"\"\nchannel = \"\"\n").expect("a file");
    let file = file.display().to_string();
    let mut cases = vec![(Ground::Sqlite, vec![("redis.url", url.as_str())])];
    if on_postgres() {
        let shared: Ground = Shared::fresh().with_redis(&url).into();
        cases.push((shared.clone(), vec![("CARILLON_CONFIG", file.as_str())]));
        cases.push((shared, vec![]));
    }
    for (ground, settings) in cases {
        let server = Server::on(&ground, &settings);
        let up = || {
            let bearer = format!("Bearer {METRICS_TOKEN}");
            let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
            metrics.lines().find_map(|line| line.strip_prefix("carillon_redis_up ").map(str::to_owned))
        };
        assert_eq!(up().as_deref(), Some("0"), "{settings:?}");
        redis.start();
        eventually("it is there", || (up().as_deref() == Some("1")).then_some(()));
        redis.kill();
        eventually("it is away", || (up().as_deref() == Some("0")).then_some(()));
    }
}

/// What `carillon health` says of the server at this port.
fn probed(host: &str, server: &Server) -> Result<String, String> {
    let port = server.address.port().to_string();
    let output = run_command(&["health", "--host", host, "--port", &port], &[]);
    let [said, complaint] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok(said.trim().to_owned()) } else { Err(complaint) }
}

#[test]
fn a_containers_probe_is_the_program_itself() {
    let mut server = Server::start();
    for host in ["127.0.0.1", "0.0.0.0", "localhost"] {
        assert_eq!(probed(host, &server), Ok("ready".to_owned()), "{host}");
    }
    assert!(server.stop().success());
    assert!(probed("127.0.0.1", &server).is_err_and(|why| why.contains("nothing listens")));
}

#[test]
fn a_database_that_is_away_is_told() {
    if !on_postgres() {
        return;
    }
    let mut postgres = Postgres::private();
    let server = Server::on(&Shared::of(&postgres, &Redis::shared().url()).into(), &[]);
    server.wait_for_health("healthy");
    postgres.kill();
    server.wait_for_health("unhealthy");
    for path in ["/health", "/health/ready", "/stats"] {
        assert_eq!(server.get(path).status, 503, "{path}");
    }
    assert_eq!(server.get("/health").json()["database"], "unhealthy");
    assert!(server.stats()["error"].as_str().is_some_and(|error| error.contains("does not answer")));
    assert_eq!(server.get("/health/live").status, 200, "a restart would not help");
    assert!(probed("127.0.0.1", &server).is_err_and(|why| why.contains("not ready")));
    postgres.start();
    server.wait_for_health("healthy");
    assert_eq!(try_get(server.address, "/stats").map(|reply| reply.status), Some(200));
}
