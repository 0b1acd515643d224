//! `carillon audit verify` finds whatever is changed, removed, put in, moved or cut off in the audit log, and names the first row;
//! who is forgotten leaves it as it was.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use carillon::domain::pseudonym::{Of, pseudonym};
use serde_json::{Value, json};

use crate::support::hooks::admin;
use crate::support::{Clock, Cluster, Ground, Rest, Server, eventually, in_seconds, note, on_postgres, sign};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const NAMES_THREE: &str = "SELECT 1 FROM audit_log WHERE actor = '3' OR subject = '3'";

const UNSEALED: &str =
    "SELECT id FROM audit_log WHERE id > (SELECT coalesce(max(sealed), 0) FROM audit_chain)";

fn wait_until_sealed(server: &Server) {
    eventually("all is sealed", || (server.rows(UNSEALED) == 0).then_some(()));
}

#[track_caller]
fn is_whole(server: &Server, args: &[&str]) -> String {
    let output = server.command(&[&["audit", "verify"], args].concat());
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// What is found, and that it ends with 1.
#[track_caller]
fn is_broken(server: &Server, args: &[&str]) -> String {
    let output = server.command(&[&["audit", "verify"], args].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

/// Lets a hand change what the database keeps as it is.
fn unguard(server: &Server) {
    let triggers = [
        "audit_log_is_not_changed",
        "audit_log_is_not_shortened",
        "audit_log_is_not_replaced",
        "audit_seals_are_not_changed",
        "audit_seals_are_not_shortened",
    ];
    let on_sqlite: String = triggers.iter().map(|name| format!("DROP TRIGGER {name};")).collect();
    server.sql(
        &on_sqlite,
        "ALTER TABLE audit_log DISABLE TRIGGER ALL; ALTER TABLE audit_seals DISABLE TRIGGER ALL",
    );
}

fn on_both(server: &Server, statements: &str) {
    server.sql(statements, statements);
}

#[test]
fn whatever_is_done_to_it_is_found() {
    let mut server = Server::start();
    let (backend, boss) = (Rest::backend(&server), admin(&server));
    for number in 0..12 {
        backend.send(&note(2, &format!("number {number}")));
    }
    boss.get("/api/v1/recipients/2").expect(200);
    wait_until_sealed(&server);
    let beside = is_whole(&server, &[]);
    assert!(beside.contains("ok "), "beside a running server: {beside}");
    assert!(server.stop().success());
    is_whole(&server, &[]);
    server.wait_for_line("the head is told at the stop", |line| line.contains("audit.head"));
    let head = said(&server.command(&["audit", "head"])).trim().to_owned();
    is_whole(&server, &["--head", &head]);
    let odd = server.command(&["audit", "verify", "--head", "nonsense"]);
    assert!(!odd.status.success() && said(&odd).contains("is no head"), "{}", said(&odd));

    // While the guards are there, nothing can be done at all.
    for statement in [
        "UPDATE audit_log SET detail = '{}' WHERE id = 4",
        "UPDATE audit_log SET actor = 'somebody' WHERE id = 4",
        "DELETE FROM audit_log WHERE id = 4",
        "UPDATE audit_seals SET hash = hash",
        "DELETE FROM audit_seals WHERE id = 4",
    ] {
        server.try_sql(statement, statement).expect_err(statement);
    }
    unguard(&server);
    on_both(
        &server,
        "CREATE TABLE kept_log AS SELECT * FROM audit_log; CREATE TABLE kept_seals AS SELECT * FROM audit_seals; \
         CREATE TABLE kept_chain AS SELECT * FROM audit_chain",
    );
    let tampered: &[(&str, &str)] = &[
        (
            "UPDATE audit_log SET detail = '{\"notifications\":2}' WHERE id = 4",
            "row 4 is not what was sealed",
        ),
        ("UPDATE audit_log SET actor = 'somebody' WHERE id = 5", "row 5 is not what was sealed"),
        ("UPDATE audit_log SET actor = NULL WHERE id = 5", "row 5 is not what was sealed"),
        (
            "UPDATE audit_log SET subject = 'me' WHERE action = 'contacts.read'",
            "row 13 is not what was sealed",
        ),
        ("UPDATE audit_log SET address = '192.0.2.1' WHERE id = 13", "row 13 is not what was sealed"),
        (
            "UPDATE audit_log SET at = (SELECT at FROM kept_log WHERE id = 7) WHERE id = 6",
            "row 6 is not what",
        ),
        ("UPDATE audit_log SET tenant = 'other' WHERE id = 1", "row 1 is not what was sealed"),
        ("DELETE FROM audit_log WHERE id = 5", "row 5 was sealed, and is gone"),
        (
            "DELETE FROM audit_log WHERE id = 5; DELETE FROM audit_seals WHERE id = 5",
            "row 6 is not what was sealed",
        ),
        (
            "DELETE FROM audit_log WHERE id = 1; DELETE FROM audit_seals WHERE id = 1",
            "row 2 is not what was sealed",
        ),
        (
            "INSERT INTO audit_log (id, at, tenant, action, detail) \
             SELECT 0, at, tenant, 'send', '{}' FROM kept_log WHERE id = 1",
            "row 0 was put in later",
        ),
        (
            "UPDATE audit_log SET detail = (SELECT detail FROM kept_log WHERE id = 9) WHERE id = 8; \
             UPDATE audit_log SET detail = (SELECT detail FROM kept_log WHERE id = 8) WHERE id = 9",
            "row 8 is not what was sealed",
        ),
        (
            "UPDATE audit_seals SET hash = (SELECT hash FROM kept_seals WHERE id = 7) WHERE id = 3",
            "row 3 is not what was sealed",
        ),
        ("DELETE FROM audit_seals WHERE id = 6", "row 6 was put in later"),
        ("DELETE FROM audit_log WHERE id > 8; DELETE FROM audit_seals WHERE id > 8", "cut off behind row 8"),
        ("DELETE FROM audit_chain", "row 1, is not the one that was noted as the chain's head"),
        ("UPDATE audit_chain SET many = many + 1", "of 14 rows that were sealed 13 are there"),
        ("DELETE FROM audit_people WHERE name = '2'", "names somebody whose secret is gone"),
        // As if rows had been removed because they were old.
        (
            "UPDATE audit_chain SET gone = 3, removed = 3, anchor = (SELECT hash FROM audit_seals WHERE id = 3); \
             DELETE FROM audit_log WHERE id <= 3; DELETE FROM audit_seals WHERE id <= 3",
            "the beginning of the log, up to row 3, was cut off",
        ),
    ];
    on_both(&server, "CREATE TABLE kept_people AS SELECT * FROM audit_people");
    for (statements, expected) in tampered {
        on_both(&server, statements);
        let found = is_broken(&server, &[]);
        assert!(found.contains(expected), "{statements}\n{found}");
        restore(&server);
        is_whole(&server, &["--head", &head]);
    }

    // Who writes all of it anew, or cuts it off and the chain with it, is found by a head that was noted elsewhere, and by the number
    // that was given out last, if they leave that. On PostgreSQL a commit that failed looks the same.
    on_both(
        &server,
        "DELETE FROM audit_log WHERE id > 8; DELETE FROM audit_seals WHERE id > 8; \
         UPDATE audit_chain SET sealed = 8, many = 8, head = (SELECT hash FROM audit_seals WHERE id = 8)",
    );
    match server.is_on_sqlite() {
        true => {
            let found = is_broken(&server, &[]);
            assert!(found.contains("row 8 is its last, and rows up to 13 were written"), "{found}");
            set_sequence_back(&server);
        }
        false => assert!(is_whole(&server, &[]).contains("numbers up to 13 were given out")),
    }
    is_whole(&server, &[]);
    let found = is_broken(&server, &["--head", &head]);
    assert!(found.contains("that was noted elsewhere is not in this chain"), "{found}");
}

fn set_sequence_back(server: &Server) {
    server.sql("UPDATE sqlite_sequence SET seq = 8 WHERE name = 'audit_log'", "SELECT 1");
}

fn restore(server: &Server) {
    on_both(
        server,
        "BEGIN; DELETE FROM audit_log; DELETE FROM audit_seals; DELETE FROM audit_chain; DELETE FROM audit_people; \
         INSERT INTO audit_people SELECT * FROM kept_people; \
         INSERT INTO audit_log SELECT * FROM kept_log; INSERT INTO audit_seals SELECT * FROM kept_seals; \
         DELETE FROM audit_chain; INSERT INTO audit_chain SELECT * FROM kept_chain; COMMIT",
    );
    let given = "UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM audit_log) WHERE name = 'audit_log'";
    server.sql(given, "SELECT 1");
}

#[test]
fn whoever_is_forgotten_leaves_it_whole() {
    let server = Server::start();
    let (backend, boss) = (Rest::backend(&server), admin(&server));
    let two = Rest::user(&server, 2);
    backend.send(&note(2, "one"));
    two.put("/api/v1/recipients/me", &json!({"email": "two@example.com"})).expect(200);
    boss.get("/api/v1/recipients/2").expect(200);
    boss.get("/api/v1/audit?actor=2").expect(200);
    wait_until_sealed(&server);
    is_whole(&server, &[]);
    let log = boss.get("/api/v1/audit?limit=100").expect(200);
    assert!(
        !log["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|row| row["detail"].to_string().contains("\"2\""))
    );

    // Somebody who has done something, and about whom something was asked.
    let stranger = Rest::user(&server, 3);
    stranger.put("/api/v1/recipients/me", &json!({"email": "three@example.com"})).expect(200);
    boss.get("/api/v1/recipients/3").expect(200);
    wait_until_sealed(&server);
    let known = "SELECT 1 FROM audit_people WHERE name = '3'";
    assert_eq!(server.rows(known), 1);
    boss.delete("/api/v1/recipients/3/data").expect(200);
    assert_eq!(server.rows(NAMES_THREE), 0);
    assert_eq!(server.rows(known), 0, "the secret is gone");
    wait_until_sealed(&server);
    let told = is_whole(&server, &[]);
    assert!(told.contains("name somebody by a pseudonym"), "{told}");
    // And it goes on.
    boss.get("/api/v1/recipients/2").expect(200);
    wait_until_sealed(&server);
    is_whole(&server, &[]);
    // A pseudonym of another name is no excuse.
    let other = pseudonym(&[7; 16], Of::Name, "4");
    on_both(&server, &format!("UPDATE audit_log SET actor = '{other}' WHERE actor LIKE 'erased:%'"));
    is_broken(&server, &[]);
}

/// Two forget the same person, again and again, who goes on meanwhile.
#[test]
fn whoever_is_forgotten_twice_at_once_leaves_it_whole() {
    let server = Server::start();
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        let writing = threads.spawn(|| {
            let (stranger, boss) = (Rest::user(&server, 3), admin(&server));
            while !is_over.load(Ordering::Relaxed) {
                stranger.put("/api/v1/recipients/me", &json!({"email": "three@example.com"})).expect(200);
                boss.get("/api/v1/recipients/3").expect(200);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let forget = || {
            let boss = admin(&server);
            for _ in 0..3 {
                // Who was slower each time hears that it is to be asked for again.
                let is_done = || (boss.delete("/api/v1/recipients/3/data").status == 200).then_some(());
                eventually("they are forgotten", is_done);
            }
        };
        let forgetting = [threads.spawn(forget), threads.spawn(forget)];
        let ends = forgetting.map(|thread| thread.join());
        is_over.store(true, Ordering::Relaxed);
        writing.join().expect("it writes");
        ends.into_iter().for_each(|end| end.expect("it forgets"));
    });
    wait_until_sealed(&server);
    is_whole(&server, &[]);
    admin(&server).delete("/api/v1/recipients/3/data").expect(200);
    assert_eq!(server.rows(NAMES_THREE), 0);
    wait_until_sealed(&server);
    let told = is_whole(&server, &[]);
    assert!(told.contains("name somebody by a pseudonym"), "{told}");
}

#[test]
fn many_nodes_write_one_chain() {
    if !on_postgres() {
        return;
    }
    let Some(cluster) = Cluster::start(3) else { return };
    let cluster = Arc::new(cluster);
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let cluster = cluster.clone();
            thread::spawn(move || {
                let backend = Rest::backend(cluster.node(number % 3));
                for _ in 0..60 {
                    backend.send(&note(2, "one of many"));
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        is_whole(cluster.node(0), &[]);
    }
    threads.into_iter().for_each(|thread| thread.join().expect("it sends"));
    let server = cluster.node(1);
    wait_until_sealed(server);
    is_whole(server, &[]);
    assert_eq!(server.rows("SELECT 1 FROM audit_log"), server.rows("SELECT 1 FROM audit_seals"));
}

/// What can be neither shown nor refuted, and that it ends with 3.
#[track_caller]
fn is_unproved(server: &Server, args: &[&str]) -> String {
    let output = server.command(&[&["audit", "verify"], args].concat());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let told = said(&output);
    assert!(told.starts_with("UNPROVED "), "{told}");
    told
}

fn head_of(server: &Server) -> String {
    said(&server.command(&["audit", "head"])).trim().to_owned()
}

const A_DAY: i64 = 24 * 60 * 60;

/// A server whose first five rows were old, and went; the head before, and the row that tells of it.
struct Shortened {
    server: Server,
    boss: Rest,
    head: String,
    row: Value,
    clock: Clock,
}

impl Shortened {
    /// Nothing, where the clock cannot be moved.
    fn with(settings: &[(&str, &str)]) -> Option<Self> {
        let clock = Clock::right()?;
        let settings = [&[("audit.keep_days", "2")], settings].concat();
        let mut server = Server::by_clock(&Ground::usual(), &settings, &clock);
        let backend = Rest::backend(&server);
        for _ in 0..5 {
            backend.send(&note(2, "old"));
        }
        wait_until_sealed(&server);
        let head = head_of(&server);
        assert!(server.stop().success());
        clock.set(3 * A_DAY);
        server.restart();
        let token = sign(&json!({"sub": "boss", "role": "admin", "exp": in_seconds(100 * A_DAY)}));
        let boss = Rest::by(&server, &token);
        let shortened = || {
            let rows = boss.get("/api/v1/audit?action=audit.shorten").expect(200);
            rows["entries"].as_array().and_then(|all| all.first().cloned())
        };
        let row: Value = eventually("old rows go", shortened);
        wait_until_sealed(&server);
        Some(Self { server, boss, head, row, clock })
    }

    /// Begins anew so many days after the first start, when all rows that there are now are old, and go.
    fn later(&mut self, days: i64) {
        wait_until_sealed(&self.server);
        let head = head_of(&self.server);
        let (last, _) = head.split_once(':').expect("a head");
        assert!(self.server.stop().success());
        self.clock.set(days * A_DAY);
        self.server.restart();
        let old = format!("SELECT 1 FROM audit_log WHERE id <= {last}");
        eventually("old rows go", || (self.server.rows(&old) == 0).then_some(()));
        wait_until_sealed(&self.server);
    }

    /// As if so many rows more had been removed because they were old.
    fn cut_off(&self, upto: i64) {
        on_both(
            &self.server,
            &format!(
                "UPDATE audit_chain SET gone = gone + (SELECT count(*) FROM audit_log WHERE id <= {upto}), removed = {upto}, \
                 told = {upto}, anchor = (SELECT hash FROM audit_seals WHERE id = {upto}); \
                 DELETE FROM audit_log WHERE id <= {upto}; DELETE FROM audit_seals WHERE id <= {upto}"
            ),
        );
    }

    /// Puts in a row that tells what nobody did, as it is told.
    fn pretend(&self, detail: &str) {
        let row = format!(
            "INSERT INTO audit_log (at, tenant, action, detail) \
             SELECT max(at), 'default', 'audit.shorten', '{detail}' FROM audit_log"
        );
        on_both(&self.server, &row);
        wait_until_sealed(&self.server);
    }
}

#[test]
fn old_rows_go_and_the_rest_stays_provable() {
    let Some(Shortened { server, head, row, .. }) = Shortened::with(&[]) else { return };
    let (last, hash) = head.split_once(':').expect("a head");
    assert_eq!(last, "5");
    let older = format!("4:{hash}");
    let detail = &row["detail"];
    assert_eq!(
        (&detail["rows"], &detail["gone"], &detail["keep_days"]),
        (&json!(5), &json!(5), &json!(2)),
        "{row}"
    );
    assert_eq!(
        (detail["anchor"].as_str(), detail["from"].as_str()),
        (Some(head.as_str()), Some("0:")),
        "{row}"
    );
    assert!(detail["newest"].is_string() && detail["signature"].is_null(), "{row}");
    let told = is_whole(&server, &["--head", &head]);
    assert!(told.contains("5 older rows were removed") && told.contains("there is no key"), "{told}");
    let told = is_unproved(&server, &["--head", &head, "--head", &older]);
    assert!(told.contains(&format!("the head {older} is older than where the chain begins")), "{told}");
    let other = format!("5:{}", "0".repeat(64));
    is_broken(&server, &["--head", &other]);
    // Who keeps rows for ever, or longer, did not remove these.
    for days in ["audit.keep_days=0", "audit.keep_days=30"] {
        let told = is_unproved(&server, &["--set", days]);
        assert!(told.contains("audit.keep_days was 2 when rows were removed"), "{told}");
    }
}

#[test]
fn nobody_cuts_off_its_beginning_unseen() {
    let Some(shortened) = Shortened::with(&[]) else { return };
    let Shortened { server, boss, head, row, .. } = &shortened;
    for _ in 0..3 {
        boss.get("/api/v1/recipients/2").expect(200);
    }
    wait_until_sealed(server);
    is_whole(server, &[]);
    unguard(server);
    on_both(
        server,
        "CREATE TABLE kept_log AS SELECT * FROM audit_log; CREATE TABLE kept_seals AS SELECT * FROM audit_seals; \
         CREATE TABLE kept_chain AS SELECT * FROM audit_chain; CREATE TABLE kept_people AS SELECT * FROM audit_people",
    );
    let own = row["id"].as_i64().expect("a number");
    // Before the row that tells of a removal, and with it.
    for upto in [own - 1, own, own + 1] {
        if server.rows(&format!("SELECT 1 FROM audit_log WHERE id = {upto}")) == 0 {
            continue;
        }
        shortened.cut_off(upto);
        let found = is_broken(server, &[]);
        assert!(
            found.contains(&format!("the beginning of the log, up to row {upto}, was cut off")),
            "{found}"
        );
        restore(server);
    }
    // The chain says that less went, or more.
    for (change, expected) in [
        ("UPDATE audit_chain SET gone = gone + 1, many = many + 1", "does not fit what is missing"),
        ("UPDATE audit_chain SET gone = 0, many = many - 5", "does not fit what is missing"),
    ] {
        on_both(server, change);
        let found = is_broken(server, &[]);
        assert!(found.contains(expected), "{change}\n{found}");
        restore(server);
    }
    // A removal that is made up: it does not go on where the one before ended, is of too few days, or is as an earlier release
    // told it.
    let upto = own + 1;
    let anchor = some_link(upto);
    let told = |from: &str, days: i64| {
        format!(
            "{{\"anchor\":\"{anchor}\",\"from\":\"{from}\",\"gone\":7,\"keep_days\":{days},\
             \"newest\":\"2020-01-01T00:00:00.000Z\",\"rows\":2}}"
        )
    };
    let elsewhere = format!("6:{}", "0".repeat(64));
    for detail in [
        told(&elsewhere, 2),
        told(head, 0),
        told(head, 2).replace("2020", "2200"),
        format!("{{\"anchor\":\"{anchor}\",\"rows\":2}}"),
        "{}".to_owned(),
    ] {
        shortened.pretend(&detail);
        let found = is_broken(server, &[]);
        assert!(found.contains("tells of a removal"), "{detail}\n{found}");
        restore(server);
    }
    is_whole(server, &["--head", head]);
}

/// Looks like the seal of this row.
fn some_link(row: i64) -> String {
    format!("{row}:{}", "a".repeat(64))
}

#[test]
fn who_has_no_key_cannot_pretend_a_removal() {
    let key = format!("{:064x}", 7);
    let Some(shortened) = Shortened::with(&[("ENCRYPTION_KEYS", &key)]) else { return };
    let Shortened { server, boss, head, row, .. } = &shortened;
    let detail = &row["detail"];
    assert!(detail["signature"].is_string(), "{row}");
    let told = is_whole(server, &["--head", head, "--set", "audit.keep_days=0"]);
    assert!(told.contains("tells of it, signed by the key"), "{told}");
    let without = server.command(&["audit", "verify", "--set", "database.encryption_keys="]);
    let told = said(&without);
    assert!(
        without.status.code() == Some(3) && told.contains("which is not among ENCRYPTION_KEYS"),
        "{told}"
    );

    boss.get("/api/v1/recipients/2").expect(200);
    wait_until_sealed(server);
    unguard(server);
    let last = head_of(server);
    let (upto, _) = last.split_once(':').expect("a head");
    let upto: i64 = upto.parse().expect("a number");
    // A removal goes on from the last one, of rows that are old enough, and everything fits; but nobody could sign it.
    let rows = server.rows(&format!("SELECT 1 FROM audit_log WHERE id <= {upto} AND id > 5"));
    let mut made_up = detail.clone();
    made_up["from"] = detail["anchor"].clone();
    made_up["anchor"] = json!(last);
    made_up["rows"] = json!(rows);
    made_up["gone"] = json!(rows + 5);
    let unsigned = {
        let mut detail = made_up.clone();
        detail.as_object_mut().expect("an object").remove("signature");
        detail
    };
    let other = {
        let mut detail = made_up.clone();
        let (_, seal) = detail["signature"].as_str().expect("a signature").split_once(':').expect("its key");
        detail["signature"] = json!(format!("0123abcd:{seal}"));
        detail
    };
    on_both(
        server,
        "CREATE TABLE kept_log AS SELECT * FROM audit_log; CREATE TABLE kept_seals AS SELECT * FROM audit_seals; \
         CREATE TABLE kept_chain AS SELECT * FROM audit_chain; CREATE TABLE kept_people AS SELECT * FROM audit_people",
    );
    for (detail, beside_the_old, expected) in [
        (&made_up, true, "its signature is of something else"),
        (&unsigned, true, "no key that is here has signed it, as the removals before were"),
        (&other, true, "no key that is here has signed it, as the removals before were"),
        (&made_up, false, "its signature is of something else"),
        (&unsigned, false, "no key has signed it, though there are keys here"),
        (&other, false, "which is not among ENCRYPTION_KEYS here"),
    ] {
        shortened.pretend(&detail.to_string());
        let found = match beside_the_old {
            // The row that tells of the removal before is still there.
            true => is_broken(server, &[]),
            false => {
                shortened.cut_off(upto);
                let output = server.command(&["audit", "verify"]);
                assert!(!output.status.success(), "{}", said(&output));
                said(&output)
            }
        };
        assert!(found.contains(expected), "{detail}\n{found}");
        restore(server);
    }
    is_whole(server, &["--head", head]);
}

/// The server's own next removal is signed; it tells of what nobody signed before, and so does each one after it.
#[test]
fn a_signed_removal_covers_no_made_up_one() {
    let key = format!("{:064x}", 7);
    let settings =
        [("ENCRYPTION_KEYS", key.as_str()), ("audit.verify_seconds", "1"), ("alerts.quiet_seconds", "1")];
    let Some(mut shortened) = Shortened::with(&settings) else { return };
    let Shortened { server, boss, row, .. } = &shortened;
    boss.get("/api/v1/recipients/2").expect(200);
    wait_until_sealed(server);
    let finding = |boss: &Rest| {
        let report = boss.get("/api/v1/compliance").expect(200);
        report["findings"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["check"] == "audit log"))
            .cloned()
    };
    eventually("all is well", || finding(boss).filter(|one| one["is_well"] == true));
    wait_until_sealed(server);
    unguard(server);
    let last = head_of(server);
    let (upto, _) = last.split_once(':').expect("a head");
    let upto: i64 = upto.parse().expect("a number");
    let rows = server.rows(&format!("SELECT 1 FROM audit_log WHERE id <= {upto} AND id > 5"));
    let mut made_up = row["detail"].clone();
    made_up.as_object_mut().expect("an object").remove("signature");
    made_up["from"] = row["detail"]["anchor"].clone();
    made_up["anchor"] = json!(last);
    made_up["rows"] = json!(rows);
    made_up["gone"] = json!(rows + 5);
    shortened.pretend(&made_up.to_string());
    shortened.cut_off(upto);
    let told = is_unproved(server, &[]);
    assert!(told.contains("no key has signed it"), "{told}");
    let is_alarm = |line: &String| line.contains("security.alert") && line.contains("audit_unproved");
    server.wait_for_line("an alarm", is_alarm);
    let unwell = eventually("the report says so", || finding(boss).filter(|one| one["is_well"] == false));
    assert!(unwell["words"].as_str().is_some_and(|words| words.contains("unproved")), "{unwell}");
    // The same is told once, however often it is looked at.
    thread::sleep(Duration::from_secs(4));
    assert_eq!(server.log().iter().filter(|line| is_alarm(line)).count(), 1);

    for days in [6, 10] {
        shortened.later(days);
        let Shortened { server, boss, .. } = &shortened;
        let told = is_unproved(server, &[]);
        assert!(
            told.contains(&format!("signed, and also that up to row {upto} rows had gone before")),
            "{told}"
        );
        server.wait_for_line("an alarm", is_alarm);
        eventually("the report says so", || finding(boss).filter(|one| one["is_well"] == false));
    }
}

#[test]
fn who_turns_keys_on_later_says_that_it_was_so() {
    let Some(mut shortened) = Shortened::with(&[]) else { return };
    is_whole(&shortened.server, &[]);
    let head = shortened.head.clone();
    let key = format!("{:064x}", 7);
    assert!(shortened.server.stop().success());
    shortened.server.set("ENCRYPTION_KEYS", &key);
    shortened.server.restart();
    let told = is_unproved(&shortened.server, &[]);
    let hint = format!("--set audit.accepted={head}");
    assert!(told.contains("a server without keys wrote it") && told.contains(&hint), "{told}");

    shortened.later(6);
    let server = &shortened.server;
    let told = is_unproved(server, &[]);
    assert!(told.contains("up to row 5 rows had gone before") && told.contains(&hint), "{told}");
    let set = format!("audit.accepted={head}");
    let told = is_whole(server, &["--set", &set]);
    assert!(told.contains(&format!("up to {head} is not shown, and was accepted")), "{told}");
    is_unproved(server, &["--set", &format!("audit.accepted={}", some_link(5))]);
    let odd = server.command(&["audit", "verify", "--set", "audit.accepted=five"]);
    assert!(!odd.status.success() && said(&odd).contains("one looks like 1234:"), "{}", said(&odd));

    shortened.server.set("audit.accepted", &head);
    shortened.later(10);
    let told = is_whole(&shortened.server, &["--set", "audit.accepted="]);
    assert!(told.contains("signed by the key") && told.contains("was accepted"), "{told}");
    shortened.later(14);
    let told = is_whole(&shortened.server, &["--set", "audit.accepted="]);
    assert!(!told.contains("accepted"), "{told}");
}

/// Nobody who lacks the key of the last removal can say whether it was right, nor goes on from it.
#[test]
fn nothing_is_removed_behind_a_key_that_is_not_here() {
    let (old, new) = (format!("{:064x}", 7), format!("{:064x}", 8));
    let Some(mut shortened) = Shortened::with(&[("ENCRYPTION_KEYS", &old)]) else { return };
    shortened.boss.get("/api/v1/recipients/2").expect(200);
    wait_until_sealed(&shortened.server);
    let last = head_of(&shortened.server);
    assert!(shortened.server.stop().success());
    shortened.server.set("ENCRYPTION_KEYS", &format!("{new},{old}"));
    shortened.server.restart();
    let rotated = shortened.server.command(&["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", said(&rotated));
    assert!(shortened.server.stop().success());
    shortened.server.set("ENCRYPTION_KEYS", &new);
    shortened.clock.set(6 * A_DAY);
    shortened.server.restart();
    shortened.server.wait_for_line("it says so", |line| line.contains("signed by a key that is not among"));
    is_unproved(&shortened.server, &["--head", &last]);
    shortened.server.set("ENCRYPTION_KEYS", &format!("{new},{old}"));
    shortened.later(7);
    is_whole(&shortened.server, &[]);
}

#[test]
fn what_an_earlier_release_removed_is_no_damage() {
    let Some(shortened) = Shortened::with(&[]) else { return };
    let Shortened { server, boss, head, row, .. } = &shortened;
    unguard(server);
    // As such a release left it: the row tells less, and is sealed so.
    let detail = json!({"rows": 5, "anchor": head}).to_string();
    let id = &row["id"];
    on_both(
        server,
        &format!(
            "UPDATE audit_log SET detail = '{detail}' WHERE id = {id}; DELETE FROM audit_seals; \
             UPDATE audit_chain SET sealed = removed, head = anchor, many = gone, told = 0"
        ),
    );
    wait_until_sealed(server);
    let told = is_whole(server, &["--head", head]);
    assert!(
        told.contains("5 older rows were removed")
            && told.contains(&format!("row {id} tells of it as earlier releases did")),
        "{told}"
    );
    let told = is_unproved(server, &["--set", "audit.keep_days=0"]);
    assert!(told.contains("as earlier releases did"), "{told}");
    boss.get("/api/v1/recipients/2").expect(200);
    wait_until_sealed(server);
    is_whole(server, &[]);
}

/// A server removes nothing behind a cut that somebody else has made: else its own removal would explain it.
#[test]
fn a_removal_covers_nothing_up() {
    let Some(clock) = Clock::right() else { return };
    let mut server = Server::by_clock(&Ground::usual(), &[("audit.keep_days", "2")], &clock);
    let backend = Rest::backend(&server);
    for _ in 0..5 {
        backend.send(&note(2, "old"));
    }
    wait_until_sealed(&server);
    assert!(server.stop().success());
    unguard(&server);
    on_both(
        &server,
        "UPDATE audit_chain SET gone = 2, removed = 2, told = 2, anchor = (SELECT hash FROM audit_seals WHERE id = 2); \
         DELETE FROM audit_log WHERE id <= 2; DELETE FROM audit_seals WHERE id <= 2",
    );
    is_broken(&server, &[]);
    clock.set(3 * 24 * 60 * 60);
    server.restart();
    server.wait_for_line("it removes nothing", |line| line.contains("no row tells of their removal"));
    assert_eq!(server.rows("SELECT 1 FROM audit_log WHERE id IN (3, 4, 5)"), 3);
    let found = is_broken(&server, &[]);
    assert!(found.contains("up to row 2, was cut off"), "{found}");
}

#[test]
fn rows_go_only_when_a_row_tells_of_it() {
    let server = Server::start();
    Rest::backend(&server).send(&note(2, "one"));
    wait_until_sealed(&server);
    // As an earlier release would, which tells less.
    let cut =
        "UPDATE audit_chain SET gone = 1, removed = 1, anchor = head; DELETE FROM audit_log WHERE id = 1";
    server.try_sql(cut, cut).expect_err("nothing tells of it");
}
