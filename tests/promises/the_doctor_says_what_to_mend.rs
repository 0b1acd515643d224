//! `carillon doctor` looks at everything a server needs: each thing that is broken is named, with what to mend, and it ends with 1. It
//! changes nothing and prints no secret.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use crate::support::{
    BACKEND_TOKEN, Ground, JWT_SECRET, Peers, Postgres, Rest, Server, Shared, TWILIO_SID, TWILIO_TOKEN,
    certificates, eventually, note, on_postgres, program, run_command_in,
};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const PRODUCTION: [(&str, &str); 3] = [
    ("CARILLON_ENV", "production"),
    ("JWT_SECRET_KEY", JWT_SECRET),
    ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN),
];

fn doctor(home: &Path, settings: &[(&str, &str)]) -> Output {
    run_command_in(home, &["doctor"], settings)
}

/// Finds this broken: a line of this level, about this, which says that; and what to mend in the next one.
#[track_caller]
fn finds(home: &Path, settings: &[(&str, &str)], level: &str, of: &str, what: &str) -> String {
    let output = doctor(home, settings);
    let text = said(&output);
    let mut lines = text.lines();
    let line = lines.find(|line| {
        line.starts_with(level) && line[5..].trim_start().starts_with(of) && line.contains(what)
    });
    assert!(line.is_some(), "no `{level} {of} … {what}` in\n{text}");
    assert!(
        lines.next().is_some_and(|next| next.trim_start().starts_with('→')),
        "what to mend is not said:\n{text}"
    );
    let expected = if level == "FAIL" { Some(1) } else { Some(0) };
    assert_eq!(output.status.code(), expected, "{text}");
    for secret in [JWT_SECRET, BACKEND_TOKEN, TWILIO_TOKEN, "hidden-"] {
        assert!(!text.contains(secret), "{secret} is printed:\n{text}");
    }
    text
}

#[test]
fn a_sound_server_is_found_sound() {
    let server = Server::start();
    let output = server.command(&["doctor"]);
    let text = said(&output);
    // The tests' own PostgreSQL is careless, so that it is quick.
    let faults: Vec<&str> =
        text.lines().filter(|line| line.starts_with("FAIL") && !line.contains("_writes is off")).collect();
    assert!(faults.is_empty() && (output.status.success() || !server.is_on_sqlite()), "{text}");
    for of in ["settings", "database", "redis", "clock", "limits", "e-mail", "push", "sms"] {
        assert!(
            text.lines().any(|line| line.len() > 6 && line[5..].trim_start().starts_with(of)),
            "{of}:\n{text}"
        );
    }
    assert!(text.contains("its schema is this release's"), "{text}");
}

#[test]
fn nothing_is_made_by_looking() {
    let home = tempfile::tempdir().expect("a folder");
    let output = doctor(home.path(), &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("will be made by the first start"), "{}", said(&output));
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn each_broken_thing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let with = |more: &[(&'static str, &'static str)]| [&PRODUCTION[..], more].concat();
    finds(home, &[("CARILLON_SERVER_PROT", "1")], "FAIL", "settings", "server.prot");
    finds(home, &[("CARILLON_ENV", "production")], "FAIL", "settings", "jwt_secret");
    finds(home, &with(&[("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true")]), "FAIL", "settings", "allow_loopback");
    finds(home, &with(&[]), "warn", "settings", "allowed_origins is *");
    let away = "postgres://carillon:hidden-1@127.0.0.1:1/c";
    finds(home, &with(&[("DATABASE_URL", away)]), "FAIL", "database", "127.0.0.1");
    let away = "redis://default:hidden-2@127.0.0.1:1";
    finds(home, &with(&[("REDIS_URL", away)]), "FAIL", "redis", "refused");
    finds(
        home,
        &with(&[("CARILLON_LIMITS_SOCKETS", "900000000")]),
        "FAIL",
        "limits",
        "limits.sockets is 900000000",
    );
    finds(
        home,
        &with(&[("REDIS_URL", "rediss://127.0.0.1:1"), ("CARILLON_REDIS_CA_FILE", "/nowhere/ca.pem")]),
        "FAIL",
        "files",
        "/nowhere/ca.pem",
    );
    finds(
        home,
        &with(&[
            ("SMTP_HOST", "127.0.0.1"),
            ("SMTP_PORT", "1"),
            ("EMAIL_FROM", "a@example.com"),
            ("PUBLIC_URL", "https://x.example.com"),
        ]),
        "FAIL",
        "e-mail",
        "127.0.0.1:1",
    );
    finds(
        home,
        &with(&[("SENDGRID_API_KEY", "hidden-3"), ("EMAIL_FROM", "a@example.com")]),
        "FAIL",
        "e-mail",
        "does not look like a key",
    );
    finds(
        home,
        &with(&[
            ("VAPID_PUBLIC_KEY", "BNotTheOther"),
            ("VAPID_PRIVATE_KEY", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"),
        ]),
        "FAIL",
        "push",
        "",
    );
    finds(
        home,
        &with(&[
            ("TWILIO_ACCOUNT_SID", "nothing"),
            ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
            ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ]),
        "FAIL",
        "sms",
        "does not look like one",
    );
    finds(home, &with(&[("CARILLON_AUTH_JWT_ALGORITHM", "RS256")]), "FAIL", "tokens", "");
    // A folder that nobody can write to; root can.
    let missing = "/proc/carillon/none.db";
    finds(home, &with(&[("DATABASE_URL", missing)]), "FAIL", "database", "nothing can be written");
    std::fs::write(home.join("carillon.db"), "this is no database at all, however long it is read")
        .expect("a file");
    finds(home, &with(&[]), "FAIL", "database", "");
}

#[test]
fn providers_are_asked_and_nothing_is_sent() {
    let peers = Peers::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (port, authority) = (peers.port("smtp").to_string(), certificates::authority());
    let mail = [
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", port.as_str()),
        ("EMAIL_FROM", "a@example.com"),
        ("CARILLON_EMAIL_SMTP_CA_FILE", authority.as_str()),
        ("PUBLIC_URL", "https://notify.example.com"),
    ];
    let output = doctor(folder.path(), &[&PRODUCTION[..], &mail[..]].concat());
    let text = said(&output);
    assert!(text.contains(&format!("localhost:{port} greets")), "{text}");
    let stranger = certificates::stranger();
    let mut other = mail;
    other[3].1 = &stranger;
    finds(folder.path(), &[&PRODUCTION[..], &other[..]].concat(), "FAIL", "e-mail", "localhost");
    assert!(peers.told("smtp").is_empty());

    let nobody = peers.url("hooks");
    let url = format!("{nobody}/401");
    let sms = [
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("CARILLON_SMS_TWILIO_URL", url.as_str()),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
    ];
    let development = [("CARILLON_ENV", "development")];
    let text = said(&doctor(folder.path(), &[&PRODUCTION[..], &sms[..], &development[..]].concat()));
    assert!(text.contains("Twilio"), "{text}");
}

#[test]
fn a_careless_postgresql_is_named() {
    if !on_postgres() {
        return;
    }
    let postgres = Postgres::private();
    let shared = Shared::of(&postgres, "");
    let folder = tempfile::tempdir().expect("a folder");
    let url = shared.database.url();
    let settings = [&PRODUCTION[..], &[("DATABASE_URL", url.as_str())]].concat();
    let text = said(&doctor(folder.path(), &settings));
    assert!(text.contains("migrations are to be applied"), "{text}");
    assert!(text.contains("the database's differs by"), "{text}");
    postgres.tell("ALTER SYSTEM SET default_transaction_read_only = on").expect("a setting");
    postgres.tell("ALTER SYSTEM SET full_page_writes = off").expect("a setting");
    postgres.tell("SELECT pg_reload_conf()").expect("it reads its settings");
    std::thread::sleep(std::time::Duration::from_millis(300));
    finds(folder.path(), &settings, "FAIL", "database", "full_page_writes is off");
    finds(folder.path(), &settings, "FAIL", "database", "takes no writes");
}

/// What is wrong with keys, certificates, the audit log, and who others are.
#[test]
fn what_others_rely_on_is_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let with = |more: &[(&'static str, &'static str)]| [&PRODUCTION[..], more].concat();
    finds(home, &with(&[]), "warn", "encryption", "stored in plain");
    finds(home, &with(&[("ENCRYPTION_KEYS", "hidden-4")]), "FAIL", "encryption", "is no key");
    let keys =
        [("CARILLON_AUTH_JWT_ALGORITHM", "RS256"), ("CARILLON_AUTH_JWT_JWKS_URL", "http://127.0.0.1:1/keys")];
    finds(home, &with(&keys), "FAIL", "tokens", "does not answer");
    let away = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    finds(home, &with(&[away]), "warn", "traces", "cannot be reached");
    let peers = Peers::start();
    let there = format!("{}/200", peers.url("hooks"));
    let settings = [&PRODUCTION[..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", there.as_str())]].concat();
    assert!(said(&doctor(home, &settings)).contains("the collector takes them"));
    let refused = format!("{}/500", peers.url("hooks"));
    let settings = [&PRODUCTION[..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", refused.as_str())]].concat();
    finds(home, &settings, "warn", "traces", "answers 500");

    for (days, level, what) in [(-3, "FAIL", "has expired"), (5, "warn", "expires in"), (300, "ok", "")] {
        let now = std::time::SystemTime::now();
        let until = match u64::try_from(days) {
            Ok(days) => now + std::time::Duration::from_secs(days * 86_400 + 60),
            Err(_) => now - std::time::Duration::from_secs(3 * 86_400),
        };
        let (certificate, key) = certificates::lasting(home, until);
        let shown = [
            ("CARILLON_SERVER_TLS_CERTIFICATE", certificate.as_str()),
            ("CARILLON_SERVER_TLS_KEY", key.as_str()),
        ];
        let settings = [&PRODUCTION[..], &shown[..]].concat();
        match level {
            "ok" => assert!(!said(&doctor(home, &settings)).contains("expire")),
            _ => drop(finds(home, &settings, level, "files", what)),
        }
    }
}

#[test]
fn a_tiny_limit_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = program();
    let carillon = own.get_program().to_string_lossy();
    let output = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &format!("ulimit -n 128; exec {carillon} doctor")])
        .env_clear()
        .envs(PRODUCTION)
        .output()
        .expect("a shell");
    let text = said(&output);
    assert!(text.lines().any(|line| line.starts_with("FAIL  limits")), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn keys_and_the_audit_log_are_held_against_the_database() {
    let key = |number: u8| format!("{number:064x}");
    let mut server = Server::on(&Ground::usual(), &[("ENCRYPTION_KEYS", &key(1))]);
    Rest::backend(&server).send(&note(2, "x"));
    eventually("it is sealed", || (server.rows("SELECT 1 FROM audit_seals") > 0).then_some(()));
    let text = said(&server.command(&["doctor"]));
    assert!(
        text.contains("columns are encrypted by the key") && text.contains("rows are what was sealed"),
        "{text}"
    );
    let row = "UPDATE audit_log SET detail = '{\"x\":1}' WHERE action = 'send'";
    server.sql(
        &format!("DROP TRIGGER audit_log_is_not_changed; {row}"),
        &format!("ALTER TABLE audit_log DISABLE TRIGGER ALL; {row}"),
    );
    server.set("ENCRYPTION_KEYS", &key(2));
    let output = server.command(&["doctor"]);
    let text = said(&output);
    let has = |of: &str, what: &str| {
        text.lines().any(|line| line.starts_with("FAIL") && line.contains(of) && line.contains(what))
    };
    assert!(has("encryption", "is not among ENCRYPTION_KEYS"), "{text}");
    assert!(has("audit", "is not what was sealed"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn files_of_keys_are_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let file = |name: &str, text: &[u8], mode: u32| {
        let path = home.join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        path.display().to_string()
    };
    let certificate = certificates::localhost().display().to_string();
    let own = std::fs::read(certificates::localhost_key()).expect("a key");
    let with = |key: &str| {
        let shown = [
            ("CARILLON_SERVER_TLS_CERTIFICATE", certificate.clone()),
            ("CARILLON_SERVER_TLS_KEY", key.to_owned()),
        ];
        let usual = PRODUCTION.map(|(name, value)| (name, value.to_owned()));
        usual.into_iter().chain(shown).collect::<Vec<_>>()
    };
    let finds = |settings: &[(&'static str, String)], level, what: &str| {
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        finds(home, &settings, level, "files", what)
    };
    let text = finds(
        &with(&file("open.key", &own, 0o644)),
        "warn",
        "is open to everybody on this machine (mode 644)",
    );
    assert!(text.contains(": 1 certificate\n"), "{text}");
    let sound = with(&file("sound.key", &own, 0o600));
    let sound: Vec<_> = sound.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = said(&doctor(home, &sound));
    assert!(!text.lines().any(|line| !line.starts_with("ok") && line.contains("files")), "{text}");
    let other = include_bytes!("support/keys/es256.key");
    finds(&with(&file("other.key", other, 0o600)), "FAIL", "cannot be used together");
    finds(&with(&file("empty.key", b"\n", 0o600)), "FAIL", "is empty");
    let named = |path: String| {
        let usual = PRODUCTION.map(|(name, value)| (name, value.to_owned()));
        usual.into_iter().chain([("CARILLON_DATABASE_ENCRYPTION_KEYS_FILE", path)]).collect::<Vec<_>>()
    };
    let key = format!("{:064x}", 1);
    finds(&named(file("open.keys", key.as_bytes(), 0o644)), "warn", "is open to everybody");
    let empty = named(file("empty.keys", b"", 0o600));
    finds(&empty, "FAIL", "is empty");
    // A server does not take it for a wish to store in plain.
    let empty: Vec<_> = empty.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let output = run_command_in(home, &["serve", "--port", "0"], &empty);
    assert!(!output.status.success() && said(&output).contains("empty.keys is empty"), "{}", said(&output));
}

#[test]
fn an_audit_log_that_cannot_be_read_is_a_finding() {
    let mut server = Server::start();
    assert!(server.stop().success());
    server.sql("DROP TABLE audit_seals", "DROP TABLE audit_seals");
    let output = server.command(&["doctor"]);
    let text = said(&output);
    let is_told =
        |line: &str| line.starts_with("FAIL") && line.contains("audit") && line.contains("cannot be read");
    assert!(text.lines().any(is_told), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}

/// What a server by these settings says until it is stopped, or ends by itself; and whether it ended so.
fn heard_of(home: &Path, limit: &str, settings: &[(&str, &str)]) -> (String, bool) {
    let own = program();
    let carillon = own.get_program().to_string_lossy().into_owned();
    let mut child = std::process::Command::new("sh")
        .current_dir(home)
        .args(["-c", &format!("{limit} exec {carillon} serve --host 127.0.0.1 --port 0")])
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(4);
    let is_over = loop {
        match child.try_wait().expect("its state") {
            Some(_) => break true,
            None if std::time::Instant::now() > until => break false,
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    if !is_over {
        child.kill().expect("it ends");
    }
    (said(&child.wait_with_output().expect("its words")), is_over)
}

#[test]
fn a_server_tells_at_its_start_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let (text, is_over) = heard_of(home, "ulimit -n 20;", &PRODUCTION);
    assert!(is_over && text.contains("may have 20 files open at once"), "{text}");
    assert!(text.contains("LimitNOFILE") && !text.contains("unable to open database file"), "{text}");
    let (text, is_over) = heard_of(home, "ulimit -n 128;", &PRODUCTION);
    assert!(!is_over && text.contains("listening") && text.contains("room for 16 sockets"), "{text}");
    let (text, _) = heard_of(home, "ulimit -n 4096;", &PRODUCTION);
    assert!(!text.contains("open at once"), "{text}");

    let day = std::time::Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    for (until, what) in
        [(now - 3 * day, Some("has expired")), (now + 5 * day, Some("expires in")), (now + 90 * day, None)]
    {
        let (certificate, key) = certificates::lasting(home, until);
        let shown = [
            ("CARILLON_SERVER_TLS_CERTIFICATE", certificate.as_str()),
            ("CARILLON_SERVER_TLS_KEY", key.as_str()),
        ];
        let (text, is_over) = heard_of(home, "", &[&PRODUCTION[..], &shown[..]].concat());
        assert!(!is_over && text.contains("listening"), "{text}");
        match what {
            Some(what) => assert!(text.contains(what) && text.contains("renewed"), "{text}"),
            None => assert!(!text.contains("expire"), "{text}"),
        }
    }
}
