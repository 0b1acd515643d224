//! What is damaged in the database stops no server and no list: it is named by its row, and a command mends it. A key that is another one
//! is never taken for the right one.

use serde_json::{Value, json};

use crate::support::hooks::admin;
use crate::support::{
    BACKEND_TOKEN, Ground, JWT_SECRET, METRICS_TOKEN, Peers, Rest, Server, by_twilio, eventually, note,
    run_command, run_command_in,
};

fn key() -> String {
    let output = run_command(&["keys", "new"], &[]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn both(server: &Server, statements: &str) {
    server.sql(statements, statements);
}

/// Whether it went well, and its words.
fn command(server: &Server, args: &[&str]) -> (bool, String) {
    let output = server.command(args);
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The same with other keys; `serve` must not go well.
fn with_keys(server: &Server, ground: &Ground, keys: &str, args: &[&str]) -> String {
    let settings = ground.settings(server.home());
    let url = &settings.iter().find(|(name, _)| *name == "database.url").expect("one").1;
    let variables = [
        ("CARILLON_ENV", "production"),
        ("JWT_SECRET_KEY", JWT_SECRET),
        ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN),
        ("CARILLON_METRICS_TOKEN", METRICS_TOKEN),
        ("DATABASE_URL", url.as_str()),
        ("ENCRYPTION_KEYS", keys),
    ];
    let output = run_command_in(server.home(), args, &variables);
    assert!(!output.status.success(), "{args:?} went well");
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

const SERVE: &[&str] = &["serve", "--host", "127.0.0.1", "--port", "0"];
/// As a torn write leaves it: all behind the id of the key is another.
const TEAR: &str = "UPDATE sealing SET value = substr(value, 1, 8) || '2026:QUJD' WHERE name ";

fn tear(server: &Server, which: &str) {
    both(server, &format!("{TEAR}{which}"));
}

fn given_up(server: &Server) -> String {
    admin(server).get("/api/v1/audit?action=database.give_up").expect(200).to_string()
}

#[test]
fn a_damaged_mark_of_a_key_keeps_no_server_from_starting() {
    let ground = Ground::usual();
    let right = format!("2026:{}", key());
    let mut server = Server::on(&ground, &[("ENCRYPTION_KEYS", &right)]);
    Rest::backend(&server).send(&note(2, "kept"));
    assert!(server.stop().success());
    for damage in [
        format!("{TEAR}LIKE 'key:%'"),
        "UPDATE sealing SET name = 'key:2027' WHERE name = 'key:2026'".to_owned(),
        "UPDATE sealing SET value = 'x' WHERE name LIKE 'key:%'".to_owned(),
    ] {
        both(&server, &damage);
        let said = with_keys(&server, &ground, &format!("2026:{}", key()), SERVE);
        assert!(said.contains("ENCRYPTION_KEYS"), "{damage}: {said}");
        server.restart();
        assert_eq!(Rest::user(&server, 2).titles(), ["kept"], "{damage}");
        assert_eq!(server.rows("SELECT 1 FROM sealing WHERE name = 'key:2026'"), 1, "{damage}");
        assert!(server.stop().success());
    }
    server.restart();
    let written = given_up(&server);
    assert!(written.contains("key:2026") && written.contains("sealing"), "{written}");
}

#[test]
fn another_key_of_the_same_name_is_never_taken() {
    let ground = Ground::usual();
    let (right, wrong) = (format!("2026:{}", key()), format!("2026:{}", key()));
    let mut server = Server::on(&ground, &[("ENCRYPTION_KEYS", &right)]);
    Rest::backend(&server).send(&note(2, "kept"));
    assert!(server.stop().success());
    let said = with_keys(&server, &ground, &wrong, SERVE);
    assert!(
        said.contains("`key:2026` of the table `sealing`") && said.contains("or the row was damaged"),
        "{said}"
    );
    assert!(said.contains("carillon keys check"), "{said}");
    for damaged in [false, true] {
        if damaged {
            tear(&server, "LIKE 'key:%'");
        }
        let said = with_keys(&server, &ground, &wrong, &["keys", "check", "--give-up"]);
        assert!(said.contains("is another than the one of that id"), "{said}");
        with_keys(&server, &ground, &wrong, SERVE);
    }
    let (is_well, said) = command(&server, &["keys", "check"]);
    assert!(!is_well && said.contains("sealing `key:2026`") && said.contains("nothing is lost"), "{said}");
    let (is_well, said) = command(&server, &["keys", "check", "--give-up"]);
    assert!(is_well && said.contains("1 were given up"), "{said}");
    server.restart();
    assert_eq!(Rest::user(&server, 2).titles(), ["kept"]);
    assert!(given_up(&server).contains("key:2026"));
}

/// What becomes of a text message to this number, for somebody else.
fn text(server: &Server, user: u64, number: &str) -> Value {
    let new = json!({
        "user_id": user, "type": "x", "title": "x", "channels": ["sms"], "priority": "high", "phone_number": number,
    });
    Rest::backend(server).post("/notify", &new).expect(200)["channels"]["sms"].clone()
}

#[test]
fn what_is_mixed_into_digests_is_put_back_or_made_anew() {
    let peers = Peers::start();
    let mut server = by_twilio(&peers.url("twilio"), &[("ENCRYPTION_KEYS", &format!("2026:{}", key()))]);
    // Twilio refuses this one as having opted out.
    let stopped = "+14155550131";
    Rest::backend(&server).put("/api/v1/recipients/2", &json!({"phone": stopped})).expect(200);
    assert_eq!(text(&server, 2, stopped), "failed");
    let is_stopped = |server: &Server| {
        Rest::user(server, 2).get("/api/v1/recipients/me").expect(200)["sms_stopped"] == true
    };
    eventually("it is known", || is_stopped(&server).then_some(()));
    let digest = |server: &Server, many: i64| {
        assert_eq!(server.rows("SELECT 1 FROM stopped_numbers WHERE number_digest LIKE 'k:%'"), many);
    };
    digest(&server, 1);
    assert!(server.stop().success());
    // One row: its copy has it.
    tear(&server, "= 'index'");
    server.restart();
    assert_eq!(text(&server, 3, stopped), "no_phone_number");
    assert!(given_up(&server).contains("put back from its copy"));
    // Both: nothing has it, and what is lost is said first.
    tear(&server, "LIKE 'index%'");
    let (is_well, said) = command(&server, &["keys", "check", "--give-up"]);
    assert!(!is_well && (said.contains("is using") || said.contains("servers are running")), "{said}");
    assert!(server.stop().success());
    let (is_well, said) = command(&server, &["doctor"]);
    assert!(!is_well && said.contains("`index` of the table `sealing`"), "{said}");
    let (is_well, said) = command(&server, &["keys", "check"]);
    assert!(!is_well && said.contains("1 numbers said STOP"), "{said}");
    digest(&server, 1);
    let (is_well, said) = command(&server, &["keys", "check", "--give-up"]);
    assert!(is_well, "{said}");
    digest(&server, 2);
    server.restart();
    assert_eq!(text(&server, 4, stopped), "no_phone_number", "whose contacts say so is indexed again");
    assert!(given_up(&server).contains("made anew"));
    let (is_well, said) = command(&server, &["keys", "check"]);
    assert!(is_well, "{said}");
}

#[test]
fn one_value_that_names_no_key_keeps_no_server_from_starting() {
    let mut server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    let backend = Rest::backend(&server);
    backend.send(&note(2, "kept"));
    backend.send(&note(2, "damaged"));
    // One changed byte in the id of its key.
    both(
        &server,
        "UPDATE notifications SET title = substr(title, 1, 8) || 'x' || substr(title, 10) \
         WHERE id = (SELECT max(id) FROM notifications)",
    );
    assert!(server.stop().success());
    server.restart();
    assert_eq!(Rest::user(&server, 2).titles(), ["kept"]);
    // With more than one it is a key that is missing.
    both(&server, "UPDATE notifications SET title = substr(title, 1, 8) || 'x' || substr(title, 10)");
    assert!(server.stop().success());
    let (is_well, said) = command(&server, SERVE);
    assert!(!is_well && said.contains("which is not among ENCRYPTION_KEYS"), "{said}");
}

fn spoil(server: &Server, table: &str, column: &str, which: &str) {
    let put = format!("UPDATE {table} SET {column} = CAST(x'61ff62' AS TEXT) WHERE {which}");
    server.sql(&put, &put);
}

#[test]
fn one_row_of_the_audit_log_that_is_no_text_is_passed_over() {
    let server = Server::start();
    if !server.is_on_sqlite() {
        return;
    }
    let (backend, boss) = (Rest::backend(&server), admin(&server));
    for user in [2, 2, 3, 2] {
        backend.put(&format!("/api/v1/recipients/{user}"), &json!({"locale": "en"})).expect(200);
    }
    let unsealed = "SELECT id FROM audit_log WHERE id > (SELECT coalesce(max(sealed), 0) FROM audit_chain)";
    eventually("all is sealed", || (server.rows(unsealed) == 0).then_some(()));
    both(&server, "DROP TRIGGER audit_log_is_not_changed");
    for (row, column) in [(1, "detail"), (2, "address"), (3, "action"), (4, "actor")] {
        spoil(&server, "audit_log", column, &format!("id = {row}"));
    }
    let log = boss.get("/api/v1/audit").expect(200).to_string();
    assert!(log.contains("\"id\":1,") && log.contains("cannot be read"), "{log}");
    let report = boss.get("/api/v1/compliance").expect(200).to_string();
    assert!(report.contains("carillon keys check"), "{report}");
    boss.get("/api/v1/recipients/2/data").expect(200);
    let (is_well, said) = command(&server, &["audit", "verify"]);
    assert!(!is_well && said.contains("row 1 is not what was sealed") && !said.contains("migrate"), "{said}");
    boss.delete("/api/v1/recipients/2/data").expect(200);
    let (_, said) = command(&server, &["keys", "check"]);
    assert!(said.contains("audit_log 1 of detail"), "{said}");
}

#[test]
fn one_text_that_is_none_takes_no_list_away() {
    let server = Server::start();
    if !server.is_on_sqlite() {
        return;
    }
    let (backend, boss, two) = (Rest::backend(&server), admin(&server), Rest::user(&server, 2));
    let last = "id = (SELECT max(id) FROM notifications)";
    for title in ["1", "2", "3", "4"] {
        backend.send(&note(2, title));
        if ["2", "3"].contains(&title) {
            spoil(&server, "notifications", if title == "2" { "kind" } else { "topic" }, last);
        }
    }
    assert_eq!(two.titles(), ["4", "1"]);
    let hook = json!({"url": "https://hooks.example.com/x", "events": ["notification.read"]});
    boss.post("/api/v1/webhooks", &hook).expect(201);
    spoil(&server, "webhooks", "description", "id > 0");
    let hooks = boss.get("/api/v1/webhooks").expect(200).to_string();
    assert!(hooks.contains("hooks.example.com"), "{hooks}");
    // What is for all reaches the others.
    backend.send(&note(3, "x"));
    spoil(&server, "recipients", "user_id", "user_id = '3'");
    backend.post("/api/v1/notifications/broadcast", &json!({"title": "all"})).expect(200);
    eventually("the others have it", || (two.titles()[0] == "all").then_some(()));
    boss.get("/api/v1/recipients/2/data").expect(200);
    let (is_well, said) = command(&server, &["keys", "check"]);
    assert!(!is_well, "{said}");
    for place in ["notifications 2 of kind", "notifications 3 of topic", "of description", "of user_id"] {
        assert!(said.contains(place), "{place}: {said}");
    }
    let (is_well, said) = command(&server, &["keys", "check", "--give-up"]);
    assert!(is_well && said.contains("4 were given up"), "{said}");
    assert_eq!(two.titles(), ["all", "4", "3", "2", "1"]);
    assert!(given_up(&server).contains("made a text again"));
}

#[test]
fn contacts_that_are_damaged_are_written_anew() {
    let server = Server::with(&[("ENCRYPTION_KEYS", &key())]);
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let (of_two, me) = ("/api/v1/recipients/2", "/api/v1/recipients/me");
    let whole = json!({"email": "two@example.com", "phone": null, "locale": null, "is_minor": true, "guardian": {"email": "guardian@example.com"}});
    backend.put(of_two, &whole).expect(200);
    backend.put("/api/v1/recipients/2/consent", &json!({"sms": false})).expect(200);
    let put = |mark: &str| format!("UPDATE recipients SET contacts = {mark} || 'sealed:deadbeef:QUJD'");
    server.sql(&put("char(1)"), &put("chr(1)"));
    let asked = json!({"user_ids": [2], "type": "note", "title": "x", "channels": ["email"]});
    let seen = backend.post("/api/v1/notifications/preview", &asked).expect(200).to_string();
    assert!(seen.contains("contacts_unreadable") && !seen.contains("no_email"), "{seen}");
    let report = admin(&server).get("/api/v1/compliance").expect(200);
    let damage = report["findings"].as_array().expect("some").iter().find(|one| one["check"] == "damage");
    assert!(
        damage.is_some_and(|one| one["is_well"] == false && one.to_string().contains("1 people")),
        "{report}"
    );
    let refused = backend.put(of_two, &json!({"email": "new@example.com"})).expect(409);
    assert!(
        refused["code"] == "contacts_unreadable" && refused.to_string().contains("is_minor"),
        "{refused}"
    );
    // Nobody says of themselves that they are no minor.
    let own = json!({"email": "new@example.com", "phone": null, "locale": null});
    let refused = two.put(me, &own).expect(409);
    assert!(refused.to_string().contains("service of your tenant"), "{refused}");
    two.get(me).expect(503);
    let now = backend.put(of_two, &whole).expect(200);
    assert_eq!((&now["is_minor"], &now["email"]), (&json!(true), &json!("two@example.com")));
    assert_eq!(
        two.get("/api/v1/recipients/me/consent").expect(200)["channels"]["sms"]["status"],
        "withdrawn"
    );
    two.put(me, &json!({"locale": "es-MX"})).expect(200);
}
