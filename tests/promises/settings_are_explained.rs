//! `carillon config` prints what is in force and where it comes from; a setting nobody knows is an error; the names
//! and addresses of the old service work.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::support::{
    BACKEND_TOKEN, Clients, JWT_SECRET, Server, Shared, eventually, on_postgres, run_command, run_command_in,
};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The line of `carillon config` that tells this setting.
fn line_of(output: &Output, setting: &str) -> String {
    assert!(output.status.success(), "{}", said(output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains(setting));
    line.unwrap_or_else(|| panic!("{setting} is not told:\n{text}")).to_owned()
}

#[test]
fn every_value_is_told_with_its_source() {
    let output =
        run_command(&["config"], &[("CARILLON_REALTIME_PING_INTERVAL_MS", "12345"), ("PORT", "7777")]);
    let ping = line_of(&output, "ping_interval_ms");
    assert!(ping.contains("12345") && ping.contains("CARILLON_REALTIME_PING_INTERVAL_MS"), "{ping}");
    let timeout = line_of(&output, "ping_timeout_ms");
    assert!(timeout.contains("20000") && timeout.contains("default"), "{timeout}");
    assert!(said(&output).contains("7777"), "{}", said(&output));
}

#[test]
fn secrets_are_not_printed() {
    let output =
        run_command(&["config"], &[("JWT_SECRET_KEY", JWT_SECRET), ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        !said(&output).contains(JWT_SECRET) && !said(&output).contains(BACKEND_TOKEN),
        "{}",
        said(&output)
    );
}

#[test]
fn passwords_in_addresses_are_not_printed() {
    let addresses = [
        ("DATABASE_URL", "postgres://carillon:hidden-1@db:5432/c?sslmode=require"),
        ("REDIS_URL", "redis://default:hidden-2@cache:6379"),
    ];
    let output = run_command(&["config"], &addresses);
    assert!(!said(&output).contains("hidden-"), "{}", said(&output));
    let line = line_of(&output, "database.url");
    assert!(line.contains("postgres://carillon:********@db:5432/c?sslmode=require"), "{line}");
    // Nor in what is said when nobody answers there.
    let away = "postgres://carillon:hidden-3@127.0.0.1:1/c";
    let output = run_command(&["migrate"], &[("DATABASE_URL", away), ("JWT_SECRET_KEY", JWT_SECRET)]);
    assert!(!output.status.success() && !said(&output).contains("hidden-"), "{}", said(&output));
    assert!(said(&output).contains("cannot reach the database"), "{}", said(&output));
}

#[test]
fn the_old_services_names_work() {
    for name in ["SECRET_KEY", "JWT_SECRET", "JWT_SECRET_KEY"] {
        let output = run_command(&["config"], &[(name, JWT_SECRET)]);
        assert!(line_of(&output, "jwt_secret").contains(name), "{}", said(&output));
    }
    for name in ["WEBSOCKET_PORT", "PORT"] {
        assert!(said(&run_command(&["config"], &[(name, "7777")])).contains("7777"), "{name}");
    }
    for name in ["DATABASE_URL", "DB_CONNECTION"] {
        assert!(said(&run_command(&["config"], &[(name, "sqlite:///old.db")])).contains("old.db"), "{name}");
    }
}

#[test]
fn unknown_settings_and_odd_values_are_errors() {
    let odd = [
        ("CARILLON_REALTIME_PING_INTERVALL_MS", "1000"),
        ("CARILLON_NO_SUCH_THING", "1"),
        ("CARILLON_REALTIME_PING_INTERVAL_MS", "soon"),
        ("PORT", "99999"),
        ("CARILLON_SERVER_THREADS", "100000"),
        ("CARILLON_DATABASE_READERS", "0"),
        ("CARILLON_LIMITS_USER_PER_MINUTE", "60000001"),
        ("CARILLON_LIMITS_TENANT_PER_MINUTE", "-1"),
        ("CARILLON_SERVER_ALLOWED_ORIGINS", "app.example.com"),
    ];
    for (name, value) in odd {
        for command in [["config"].as_slice(), &["serve", "--host", "127.0.0.1"]] {
            let output = run_command(command, &[(name, value)]);
            assert!(!output.status.success(), "{name}={value} was taken by {command:?}");
            let key = name.trim_start_matches("CARILLON_").to_lowercase();
            let words = said(&output).to_lowercase().replace('.', "_");
            assert!(words.contains(&key), "{name} is not named: {words}");
            assert!(!words.contains("panicked"), "{words}");
            assert_eq!(words.matches("variable ").count(), 1, "the source is told once: {words}");
            assert!(!words.contains("default.") && !words.contains("u16"), "the library speaks: {words}");
        }
    }
}

/// What Kubernetes and Docker write for whoever runs beside something called `carillon`, or `smtp`.
#[test]
fn links_to_services_stop_nothing() {
    let links = [
        ("CARILLON_SERVICE_HOST", "10.96.0.7"),
        ("CARILLON_SERVICE_PORT", "80"),
        ("CARILLON_SERVICE_PORT_HTTP", "80"),
        ("CARILLON_PORT", "tcp://10.96.0.7:80"),
        ("CARILLON_PORT_80_TCP", "tcp://10.96.0.7:80"),
        ("CARILLON_PORT_80_TCP_PROTO", "tcp"),
        ("CARILLON_PORT_80_TCP_PORT", "80"),
        ("CARILLON_PORT_80_TCP_ADDR", "10.96.0.7"),
        ("CARILLON_SERVER_PORT", "tcp://10.96.0.8:5002"),
        ("CARILLON_REDIS_SERVICE_HOST", "10.96.0.9"),
        ("SMTP_PORT", "tcp://10.96.0.10:25"),
    ];
    let output = run_command(&["config"], &links);
    for setting in ["server.port", "email.smtp_port"] {
        let line = line_of(&output, setting);
        assert!(line.ends_with("# default"), "{line}");
    }
    assert!(links.iter().all(|(name, _)| said(&output).contains(name)), "{}", said(&output));
    let server = Server::with(&links[..8]);
    let told = |line: &String| line.contains("CARILLON_PORT_80_TCP_ADDR") && line.contains("no settings");
    server.wait_for_line("the links are told", told);
    assert_eq!(server.get("/health").json()["status"], "healthy");
    // What only resembles one is a typing error.
    for (name, value) in [("CARILLON_SERVICE_HOST", "x.example"), ("CARILLON_PORT_80_TCP", "80")] {
        let output = run_command(&["config"], &[(name, value)]);
        assert!(!output.status.success() && said(&output).contains("no setting"), "{}", said(&output));
    }
}

#[test]
fn whoever_mistypes_is_told_what_they_may_have_meant() {
    for (name, meant) in [
        ("CARILLON_REALTIME_PING_INTERVALL_MS", "did you mean CARILLON_REALTIME_PING_INTERVAL_MS?"),
        ("CARILLON_PORT", "did you mean CARILLON_SERVER_PORT?"),
        ("CARILLON_SERVR_PORT", "did you mean CARILLON_SERVER_PORT?"),
        ("CARILLON_NO_SUCH_THING", "no setting; `carillon config` lists them all"),
    ] {
        let output = run_command(&["config"], &[(name, "5")]);
        assert!(!output.status.success() && said(&output).contains(meant), "{}", said(&output));
    }
    let output = run_command(&["config", "--set", "log.levle=debug"], &[]);
    assert!(said(&output).contains("did you mean log.level?"), "{}", said(&output));
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("carillon.toml"), "[server]\nprot = 1").expect("a file");
    let output = run_command_in(home.path(), &["config"], &[]);
    assert!(said(&output).contains("did you mean server.port?"), "{}", said(&output));
}

#[test]
fn a_file_and_flags_are_told_as_sources() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("carillon.toml");
    std::fs::write(&file, "[server]\nport = 7001\nnode = \"blue\"\n[redis]\ncluster = true\n")
        .expect("a file");
    let settings = ["config", "--port", "7002", "--set", "log.level=debug", "--set", "redis.cluster=false"];
    let output = run_command_in(home.path(), &settings, &[("PORT", "7003")]);
    for (setting, value, source) in [
        ("server.port", "7002", "flag --port"),
        ("server.node", "\"blue\"", "file carillon.toml"),
        ("log.level", "\"debug\"", "flag --set"),
        ("redis.cluster", "false", "flag --set"),
    ] {
        let line = line_of(&output, setting);
        assert!(line.contains(&format!("{setting} = {value}")) && line.ends_with(source), "{line}");
    }
}

#[test]
fn what_is_wrong_in_a_file_or_a_flag_is_told_in_plain_words() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("carillon.toml");
    for (text, words) in [
        (
            "[server]\nport = \"many\"",
            "server.port is `many` (file carillon.toml); it must be a whole number from 0 to 65535",
        ),
        ("[server]\nport = 1.5", "server.port is 1.5 (file carillon.toml); it must be a whole number"),
        (
            "[realtime]\nsend_buffer = -1",
            "realtime.send_buffer is -1 (file carillon.toml); it must be a whole number, 0 or more",
        ),
        ("[limits]\nevents_per_second = \"x\"", "it must be a whole number from 0 to 4294967295"),
        (
            "[redis]\ncluster = \"perhaps\"",
            "redis.cluster is `perhaps` (file carillon.toml); it must be true or false",
        ),
        ("[server]\nhost = true", "server.host is true (file carillon.toml); it must be a text in quotes"),
        ("[server]\nprot = 1", "`server.prot` (file carillon.toml) is no setting"),
        ("[server", "carillon.toml"),
    ] {
        std::fs::write(&file, text).expect("a file");
        let output = run_command_in(home.path(), &["config"], &[]);
        assert!(!output.status.success() && said(&output).contains(words), "{text}: {}", said(&output));
    }
    for (flag, words) in [
        ("redis.cluster=perhaps", "flag --set is `perhaps`, but redis.cluster must be true or false"),
        ("log.level", "--set takes section.key=value, not `log.level`"),
        ("log.levle=debug", "flag --set sets `log.levle`, which is no setting"),
    ] {
        let output = run_command(&["config", "--set", flag], &[]);
        assert!(!output.status.success() && said(&output).contains(words), "{flag}: {}", said(&output));
    }
    let output = run_command(&["config", "--config", "elsewhere.toml"], &[]);
    assert!(said(&output).contains("elsewhere.toml is not there"), "{}", said(&output));
}

#[test]
fn a_list_is_one_wherever_it_is_written() {
    let two = "[\"staff-* role:staff\", \"board tenant:acme\"]";
    for (name, key, given, shown) in [
        ("CARILLON_TOPICS_RESTRICTED", "topics.restricted", two, two),
        ("CARILLON_TOPICS_RESTRICTED", "topics.restricted", "staff-* role:staff, board tenant:acme", two),
        (
            "CARILLON_TOPICS_RESTRICTED",
            "topics.restricted",
            " ['staff-* role:staff',] ",
            "[\"staff-* role:staff\"]",
        ),
        ("CARILLON_TOPICS_RESTRICTED", "topics.restricted", "[]", "[]"),
        (
            "CARILLON_NOTIFICATIONS_MANDATORY_TYPES",
            "notifications.mandatory_types",
            "[\"security_alert\"]",
            "[\"security_alert\"]",
        ),
    ] {
        let flag = format!("{key}={given}");
        for output in
            [run_command(&["config", "--set", &flag], &[]), run_command(&["config"], &[(name, given)])]
        {
            let line = line_of(&output, key);
            assert!(line.contains(&format!("{key} = {shown} ")), "{given}: {line}");
        }
    }
    for odd in
        ["[\"staff-* role:staff\"", "[5]", "[a role:b]", "[\"a role:b\"] x", "\"a role:b\", \"c role:d\""]
    {
        let flag = format!("topics.restricted={odd}");
        for output in [
            run_command(&["config", "--set", &flag], &[]),
            run_command(&["config"], &[("CARILLON_TOPICS_RESTRICTED", odd)]),
        ] {
            let words = said(&output);
            assert!(!output.status.success(), "{odd} was taken: {words}");
            assert!(
                words.contains("topics.restricted") && words.contains("[\"a\", \"b\"]"),
                "{odd}: {words}"
            );
        }
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    for (settings, words) in [
        (["--host", "127.0.0.1", "--port", &port], "choose a port by --port or PORT"),
        (["--host", "no such host", "--port", "0"], "server.host is `no such host`"),
        (
            ["--port", "0", "--set", "server.trusted_proxies=proxy.internal"],
            "`proxy.internal` is no IP address",
        ),
    ] {
        let arguments: Vec<_> = ["serve"].into_iter().chain(settings).collect();
        let output = run_command(&arguments, &[]);
        assert!(!output.status.success() && said(&output).contains(words), "{settings:?}: {}", said(&output));
    }
}

#[test]
fn a_redis_address_that_is_none_is_told_at_the_start() {
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let database = shared.database.url();
    let output =
        run_command(&["serve", "--port", "0"], &[("DATABASE_URL", &database), ("REDIS_URL", "nonsense")]);
    assert!(!output.status.success() && said(&output).contains("redis.url (REDIS_URL)"), "{}", said(&output));
}

#[test]
fn what_a_redis_beside_an_sqlite_file_is_for_is_told() {
    let home = tempfile::tempdir().expect("a folder");
    let nothing_to_take = "[ingest]\nchannel = \"\"\nstream = \"\"\n";
    for (file, words, status) in [
        ("", "REDIS_URL is used only to take what other programs leave there", "degraded"),
        (nothing_to_take, "REDIS_URL is not used", "healthy"),
    ] {
        std::fs::write(home.path().join("carillon.toml"), file).expect("a file");
        let server = Server::in_home(home.path(), &[("redis.url", "redis://127.0.0.1:1")]);
        server.wait_for_line(words, |line| line.contains(words));
        eventually("nobody answers there, which matters to who would take something", || {
            (server.get("/health").json()["status"] == status).then_some(())
        });
    }
}

#[test]
fn names_of_streams_that_cannot_be_are_told_at_the_start() {
    for (name, value, words) in [
        ("CARILLON_INGEST_DEAD_LETTERS", "notifications:stream", "ingest.dead_letters is ingest.stream"),
        ("CARILLON_INGEST_STREAM", "{", "ingest.stream has odd braces"),
    ] {
        let output =
            run_command(&["serve", "--port", "0"], &[("REDIS_URL", "redis://127.0.0.1:1"), (name, value)]);
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
    }
    // An empty variable is an unset one.
    let flags = ["serve", "--port", "0", "--set", "ingest.stream="];
    let output = run_command(&flags, &[("REDIS_URL", "redis://127.0.0.1:1")]);
    assert!(!output.status.success() && said(&output).contains("set both, or none"), "{}", said(&output));
}

#[test]
fn a_token_needs_a_secret_of_ours() {
    let output =
        run_command(&["token", "--user", "2"], &[("JWT_ALGORITHM", "RS256"), ("JWT_SECRET_KEY", "")]);
    assert!(!output.status.success() && said(&output).contains("there is no secret"), "{}", said(&output));
}

#[test]
fn a_token_needs_a_name() {
    for arguments in [
        ["token", "--user", ""].as_slice(),
        &["token", "--service", ""],
        &["token", "--user", "a\nb"],
        &["token", "--user", "2", "--tenant", ""],
    ] {
        let output = run_command(arguments, &[("JWT_SECRET_KEY", JWT_SECRET)]);
        assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains("is no name for --"), "{}", said(&output));
    }
}

#[test]
fn a_minted_token_is_good() {
    let server = Server::start();
    let mint = |args: &[&str]| {
        let output = run_command(args, &[("JWT_SECRET_KEY", JWT_SECRET)]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let clients = Clients::of(&server);
    let page = clients.stranger();
    page.emit("facilitator_connect", json!({"facilitator_id": 2, "token": mint(&["token", "--user", "2"])}));
    page.hear("facilitator_auth_success");
    let backend = clients.stranger();
    backend.emit("backend_connect", json!({"token": mint(&["token", "--service", "bookings"])}));
    backend.hear("backend_auth_success");
    let pretender = clients.stranger();
    pretender.emit("backend_connect", json!({"token": mint(&["token", "--user", "2"])}));
    assert_eq!(pretender.hear("auth_error")["error"], "Invalid token");
}

#[test]
fn database_addresses_are_read_as_before() {
    let home = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("another folder");
    let absolute = elsewhere.path().join("absolute.db");
    let plain = elsewhere.path().join("plain.db");
    let spellings = [
        ("sqlite:///relative.db".to_owned(), home.path().join("relative.db")),
        (format!("sqlite:///{}", absolute.display()), absolute),
        ("plain-relative.db".to_owned(), home.path().join("plain-relative.db")),
        (plain.display().to_string(), plain),
    ];
    for (url, file) in spellings {
        let output = run_command_in(home.path(), &["migrate"], &[("DATABASE_URL", &url)]);
        assert!(output.status.success(), "{url}: {}", said(&output));
        assert!(Path::new(&file).is_file(), "{url} did not make {}", file.display());
    }
    let output = run_command_in(home.path(), &["migrate"], &[("DATABASE_URL", "mysql://somewhere/else")]);
    assert!(!output.status.success(), "an unknown kind of database was taken");
    assert!(!said(&output).contains("panicked"), "{}", said(&output));
}

/// Whoever leaves a section out is told the name, by every command.
#[test]
fn a_port_by_a_short_name_is_explained() {
    for command in ["serve", "config", "health", "token"] {
        let args: &[&str] = if command == "token" { &["token", "--user", "2"] } else { &[command] };
        let output = run_command(args, &[("CARILLON_PORT", "18806")]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("did you mean CARILLON_SERVER_PORT?"), "{told}");
    }
}
