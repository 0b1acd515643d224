//! `carillon config` prints what is in force and where it comes from; a setting nobody knows is an error; the names
//! and addresses of the old service work.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::support::{BACKEND_TOKEN, Clients, JWT_SECRET, Server, run_command, run_command_in};

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
