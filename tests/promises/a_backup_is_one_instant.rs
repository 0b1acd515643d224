//! A backup that is taken while others write is the database as it was at one instant, with all that was answered before;
//! it is whole or it is not there; and who goes back to one misses nothing of what comes after.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};

use serde_json::json;

use crate::support::{
    BACKEND_TOKEN, Clients, Dice, Ground, JWT_SECRET, Library, PendingList, Rest, Server, Shared, booking,
    eventually, note, notification_ids, on_postgres, program, run_command_in, user_token,
};

const COPY: &str = "copy/carillon.db";

fn carillon(home: &Path, args: &[&str]) -> Output {
    run_command_in(home, args, &[("DATABASE_URL", "carillon.db")])
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn done(home: &Path, args: &[&str]) -> String {
    let output = carillon(home, args);
    assert!(output.status.success(), "{}", words(&output));
    words(&output)
}

#[track_caller]
fn refused(home: &Path, args: &[&str], why: &str) {
    let output = carillon(home, args);
    let said = words(&output);
    assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
}

fn rows(home: &Path, question: &str) -> i64 {
    Ground::Sqlite.rows(home, question)
}

/// What holds between the tables after every commit.
fn check_books(home: &Path) -> i64 {
    let notifications = rows(home, "SELECT * FROM notifications");
    let broken = [
        // One writer gives numbers in the order of commits: all up to some place, and nothing behind it.
        "SELECT 1 FROM (SELECT max(id) AS last, count(*) AS many FROM notifications) WHERE last <> many",
        "SELECT 1 FROM inbox LEFT JOIN notifications ON id = notification_id WHERE id IS NULL",
        "SELECT 1 FROM notifications LEFT JOIN inbox ON id = notification_id WHERE notification_id IS NULL",
        "SELECT 1 FROM inbox LEFT JOIN recipients ON id = recipient_id WHERE id IS NULL",
        "SELECT 1 FROM (SELECT sum(detail ->> 'notifications') AS many FROM audit_log WHERE action = 'send')
         WHERE many <> (SELECT count(*) FROM notifications)",
        "SELECT 1 FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ];
    for question in broken {
        assert_eq!(rows(home, question), 0, "{question}");
    }
    notifications
}

#[test]
fn it_has_what_was_answered_before_and_all_of_it() {
    let server = Server::on_sqlite();
    let home = server.home();
    let clients = Clients::of(&server);
    let (backend, other) = (clients.backend(), clients.backend());
    let load = |to: u64, first: u64| json!({"booking": booking(0, to), "first": first, "count": 99_999, "acks": true, "window": 16});
    let (one, two) = (backend.burst(load(2, 0)), other.burst(load(3, 200_000)));
    let (rest, is_over) = (Rest::backend(&server), AtomicBool::new(false));
    let copies = scope(|all| {
        all.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let mut note = note(4, "note");
                note["data"] = json!({"text": "x".repeat(10_000)});
                rest.send(&note);
            }
        });
        let copies: Vec<_> = (1..=3)
            .map(|round| {
                one.wait_for_answers(round * 100);
                let answered = |burst: &[serde_json::Value]| {
                    burst.iter().filter_map(|answer| answer["notification_id"].as_i64()).max().unwrap_or(0)
                };
                let before = answered(&one.answers()).max(answered(&two.answers()));
                let file = format!("{round}/carillon.db");
                fs::create_dir(home.join(round.to_string())).expect("a folder");
                let said = done(home, &["backup", &file]);
                (home.join(round.to_string()), before, said)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        copies
    });
    assert!(backend.call("booking_notification", booking(500_000, 2))["stored_at"].is_string());
    for (copy, before, said) in &copies {
        let file = copy.join("carillon.db");
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(copy).expect("a folder").count(), 1, "nothing else is left");
        let stored = check_books(copy);
        println!("{before} were answered before, {stored} are in the copy: {said}");
        assert!(*before >= 100 && stored >= *before, "{stored} are there, {before} were answered");
        assert!(said.contains(&format!("Backed up {stored} notifications, up to number {stored}")), "{said}");
        // What it has is what the server has of that time.
        let same = |question: &str| (rows(copy, question), rows(home, question));
        for table in ["notifications WHERE id", "inbox WHERE position"] {
            let (copied, had) = same(&format!("SELECT 1 FROM {table} <= {stored}"));
            assert_eq!(copied, had);
        }
    }

    // A server that is given the last one serves it.
    let (copy, ..) = copies.last().expect("copies");
    let restored = tempfile::tempdir().expect("a folder");
    let from = copy.join("carillon.db").display().to_string();
    let said = done(restored.path(), &["restore", &from]);
    assert!(said.contains("Nothing was there before"), "{said}");
    let again = Server::in_home(restored.path(), &[]);
    assert_eq!(again.stats()["total_notifications"], rows(copy, "SELECT 1 FROM notifications"));
    for user in [2, 3] {
        let list = PendingList(Clients::of(&again).facilitator(user).hear("pending_notifications"));
        let held =
            format!("SELECT 1 FROM inbox JOIN recipients ON id = recipient_id WHERE user_id = '{user}'");
        assert_eq!(list.count() as i64, rows(copy, &held));
        assert!(notification_ids(list.notifications()).is_sorted_by(|newer, older| newer > older));
    }
}

#[test]
fn it_is_whole_or_not_there() {
    let server = Server::on_sqlite();
    let home = server.home();
    let backend = Rest::backend(&server);
    for _ in 0..400 {
        let mut note = note(2, "large");
        note["data"] = json!({"text": "x".repeat(60_000)});
        backend.send(&note);
    }
    fs::create_dir(home.join("copy")).expect("a folder");
    let (mut dice, mut interrupted) = (Dice::thrown(), 0);
    for round in 0..12 {
        let mut backup = program();
        backup.current_dir(home).args(["backup", COPY, "--force"]).env("DATABASE_URL", "carillon.db");
        let mut backup = backup.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
        sleep(dice.millis(0, 100 * (round + 1)));
        backup.kill().expect("a child");
        interrupted += u32::from(!backup.wait().expect("a child").success());
        if home.join(COPY).exists() {
            assert_eq!(check_books(&home.join("copy")), 400);
        }
    }
    println!("{interrupted} of 12 were interrupted");
    assert!(interrupted > 0);
    // What they left is no hindrance.
    done(home, &["backup", COPY, "--force"]);
    assert_eq!(check_books(&home.join("copy")), 400);
    assert_eq!(fs::read_dir(home.join("copy")).expect("a folder").count(), 1, "nothing else is left");
    refused(home, &["backup", COPY], "exists; choose another name, or replace it by --force");
    refused(home, &["backup", "carillon.db", "--force"], "is the database itself");
    for beside in ["carillon.db-wal", "./carillon.db-shm", "carillon.db-journal", "carillon.db.secrets"] {
        refused(home, &["backup", beside, "--force"], "belongs to the database itself");
    }
    refused(home, &["backup", "nowhere/copy.db"], "cannot write nowhere/copy.db.partial");
    let elsewhere = tempfile::tempdir().expect("a folder");
    refused(elsewhere.path(), &["backup", "copy.db"], "is not there");
}

#[test]
fn only_what_is_whole_and_known_is_put_back() {
    let mut server = Server::on_sqlite();
    let home = server.home().to_owned();
    let backend = Rest::backend(&server);
    backend.send(&note(2, "first"));
    done(&home, &["backup", "good"]);
    refused(&home, &["restore", "good"], "another Carillon");
    assert!(server.stop().success());
    let before = fs::read(home.join("carillon.db")).expect("the database");

    let good = fs::read(home.join("good")).expect("a backup");
    let mut holed = good.clone();
    let middle = holed.len() / 2;
    holed[middle..middle + 8192].fill(0x55);
    for (name, bytes) in [
        ("short", &good[..good.len() / 2]),
        ("holed", &holed),
        ("noise", b"no database at all"),
        ("empty", b""),
    ] {
        fs::write(home.join(name), bytes).expect("a file");
    }
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000001')";
    fs::create_dir(home.join("newer")).expect("a folder");
    done(&home, &["backup", "newer/carillon.db"]);
    Ground::Sqlite.sql(&home.join("newer"), newer, newer);
    fs::create_dir(home.join("other")).expect("a folder");
    Ground::Sqlite.sql(&home.join("other"), "CREATE TABLE theirs (x)", "");
    for (name, why) in [
        ("short", "damaged"),
        ("holed", "damaged"),
        ("noise", "damaged, or no database"),
        ("empty", "no database of Carillon's"),
        ("other/carillon.db", "no database of Carillon's"),
        ("newer/carillon.db", "a newer Carillon (migration 99991231000001 is unknown here)"),
        ("nowhere", "nowhere is not there"),
        ("carillon.db", "is the database itself"),
    ] {
        refused(&home, &["restore", name], why);
        assert!(fs::read(home.join("carillon.db")).expect("the database") == before, "{name} changed it");
        assert!(!home.join("carillon.db.partial").exists(), "{name} left something");
    }
    refused(&home, &["restore"], "name the backup");
    done(&home, &["restore", "good"]);
    server.restart();
    assert_eq!(Rest::user(&server, 2).titles(), ["first"]);
}

/// Three are in the backup; five more were told to somebody, who then has forgotten none of them.
fn going_back(keeps_the_later_state: bool) {
    let mut server = Server::on_sqlite();
    let home = server.home().to_owned();
    let backend = Rest::backend(&server);
    (0..3).for_each(|number| drop(backend.send(&note(2, &format!("kept {number}")))));
    done(&home, &["backup", "copy"]);
    let lost: Vec<_> = (0..5).map(|number| backend.send(&note(2, &format!("lost {number}")))).collect();
    let last = lost[4]["id"].as_i64().expect("a number");
    server.kill();
    if !keeps_the_later_state {
        fs::remove_file(home.join("carillon.db")).expect("a file");
        server.keep_only_the_database();
    }
    let said = done(&home, &["restore", "copy"]);
    let kept: Vec<_> = fs::read_dir(&home)
        .expect("a folder")
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains(".replaced-"))
        .collect();
    assert_eq!(kept.len(), usize::from(keeps_the_later_state), "{kept:?} {said}");
    server.restart();

    let clients = Clients::of(&server);
    // Whoever goes on from a place that is no more is told so, and hears all they have not confirmed, and all that comes.
    let page = |from: i64| {
        clients.raw(Library::Ws, &format!("/ws/notify?token={}&replay_from={from}", user_token(2)))
    };
    let early = page(last);
    assert_eq!(early.hear("replay_truncated")["replay_from"], last.to_string());
    let new = backend.send(&note(2, "new"));
    assert!(new["id"].as_i64() > Some(last), "{new} has the number of one that was lost");
    assert_eq!(early.hear_many("notification", 4)[3]["title"], "new");
    // And so does whoever comes when there is something new: just that.
    assert_eq!(page(last).hear("notification")["title"], "new");
    assert_eq!(Rest::user(&server, 2).titles(), ["new", "kept 2", "kept 1", "kept 0"]);
    assert_eq!(server.stats()["total_notifications"], 4);

    if let [kept] = &kept[..] {
        // The way back, if the backup was the wrong one.
        assert!(server.stop().success());
        done(&home, &["restore", kept]);
        server.restart();
        assert_eq!(Rest::user(&server, 2).titles().len(), 8);
        assert!(Rest::backend(&server).send(&note(2, "newer"))["id"].as_i64() > new["id"].as_i64());
    }
}

#[test]
fn nobody_misses_what_comes_after_going_back() {
    going_back(true);
}

#[test]
fn nor_after_the_disk_was_lost() {
    going_back(false);
}

#[test]
fn nor_on_postgresql_by_its_own_tools() {
    if !on_postgres() {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let (dump, shared) = (home.path().join("dump").display().to_string(), Shared::fresh());
    let url = shared.database.url();
    let carillon = |args: &[&str]| run_command_in(home.path(), args, &[("DATABASE_URL", &url)]);
    let ours = words(&carillon(&["backup", "copy"]));
    assert!(ours.contains("pg_dump --format=custom"), "{ours}");
    let ours = words(&carillon(&["restore", &dump]));
    assert!(ours.contains("pg_restore puts a backup back"), "{ours}");

    let mut server = Server::on(&shared.clone().into(), &[]);
    let backend = Rest::backend(&server);
    (0..3).for_each(|number| drop(backend.send(&note(2, &format!("kept {number}")))));
    shared.database.run("pg_dump", &["--format=custom", "--file", &dump]);
    let last = (0..5).map(|_| backend.send(&note(2, "lost"))["id"].as_i64().expect("a number")).max();
    let in_use = words(&carillon(&["restore"]));
    assert!(in_use.contains("a server is using the PostgreSQL database"), "{in_use}");
    assert!(server.stop().success());
    shared.database.run("pg_restore", &["--clean", "--if-exists", &dump]);
    let restored = eventually("the server that stopped counts as gone", || {
        let output = carillon(&["restore"]);
        output.status.success().then(|| words(&output))
    });
    assert!(restored.contains("Restored 3 notifications"), "{restored}");
    server.restart();
    let page = Clients::of(&server).raw(
        Library::Ws,
        &format!("/ws/notify?token={}&replay_from={}", user_token(2), last.expect("a number")),
    );
    page.hear("replay_truncated");
    let new = backend.send(&note(2, "new"));
    assert!(new["id"].as_i64() > last, "{new} has the number of one that was lost");
    assert_eq!(page.hear_many("notification", 4)[3]["title"], "new");
    assert_eq!(Rest::user(&server, 2).titles(), ["new", "kept 2", "kept 1", "kept 0"]);
    assert_eq!(server.stats()["total_notifications"], 4);
}

/// What was left out when a backup was put back is given to nobody after a move, either.
#[test]
fn nor_who_moves_to_postgresql_then() {
    if !on_postgres() {
        return;
    }
    let mut server = Server::on_sqlite();
    let home = server.home().to_owned();
    let backend = Rest::backend(&server);
    let yearly = json!({"user_id": 2, "type": "x", "title": "x", "cron": "0 9 1 1 *", "time_zone": "UTC"});
    let recur = |backend: &Rest| backend.post("/api/v1/recurring", &yearly).expect(201)["id"].as_i64();
    backend.send(&note(2, "kept"));
    done(&home, &["backup", "copy"]);
    let lost = (backend.send(&note(2, "lost"))["id"].as_i64(), recur(&backend));
    assert!(server.stop().success());
    done(&home, &["restore", "copy"]);
    let shared = Shared::fresh();
    let secrets = [("JWT_SECRET_KEY", JWT_SECRET), ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)];
    let move_it = ["migrate", "--database-url", "carillon.db", "--to", &shared.database.url()];
    let moved = words(&run_command_in(&home, &move_it, &secrets));
    assert!(moved.contains("Moved and compared: 1 notifications"), "{moved}");
    let there = Server::on(&shared.into(), &[]);
    let backend = Rest::backend(&there);
    let new = (backend.send(&note(2, "new"))["id"].as_i64(), recur(&backend));
    assert!(new.0 > lost.0 && new.1 > lost.1, "{new:?} were given before: {lost:?}");
    assert_eq!(Rest::user(&there, 2).titles(), ["new", "kept"]);
}

/// Who replaces a file because it is damaged is not held up by that: nobody knows which numbers it gave, so many are left out.
#[test]
fn nor_when_what_is_replaced_cannot_be_read() {
    let mut server = Server::on_sqlite();
    let home = server.home().to_owned();
    let backend = Rest::backend(&server);
    backend.send(&note(2, "kept"));
    done(&home, &["backup", "copy"]);
    let lost = backend.send(&note(2, "lost"))["id"].as_i64().expect("a number");
    assert!(server.stop().success());
    let broken = "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = \
        (SELECT max(rootpage) FROM sqlite_master WHERE type = 'index') WHERE name = 'sqlite_sequence'";
    Ground::Sqlite.sql(&home, broken, "");
    done(&home, &["restore", "copy"]);
    server.restart();
    assert!(backend.send(&note(2, "new"))["id"].as_i64() > Some(lost + 900_000_000));
    assert_eq!(Rest::user(&server, 2).titles(), ["new", "kept"]);
}

/// Without its keys a backup says nothing: which these are is said when it is put back, and that it was is written down.
#[test]
fn a_restore_names_the_keys_that_it_needs() {
    let key = "c".repeat(64);
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::in_home(folder.path(), &[("ENCRYPTION_KEYS", &format!("of-2026:{key}"))]);
    Rest::backend(&server).send(&note(2, "x"));
    assert!(server.command(&["backup", "copy"]).status.success());
    assert!(server.stop().success());
    let output = run_command_in(folder.path(), &["restore", "copy"], &[("DATABASE_URL", "carillon.db")]);
    let said = words(&output);
    assert!(
        said.contains("encrypted by the key of-2026") && !said.contains("Now start the server"),
        "{said}"
    );
    server.restart();
    let boss = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let rows = boss.get("/api/v1/audit?action=database.restore").expect(200);
    assert_eq!(rows["entries"].as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(Rest::user(&server, 2).titles(), ["x"]);
    let output = server.command(&["restore", "copy"]);
    assert!(!output.status.success(), "a server uses it");
}

/// POSIX takes such a path for one that begins with a single slash.
#[test]
fn a_path_may_begin_with_two_slashes() {
    let home = tempfile::tempdir().expect("a folder");
    let database = format!("/{}", home.path().join("carillon.db").display());
    let copy = format!("/{}", home.path().join("a copy?#%.db").display());
    let settings = [("DATABASE_URL", database.as_str())];
    assert!(database.starts_with("//"), "{database}");
    for args in [&["migrate"][..], &["backup", &copy], &["restore", &copy]] {
        let output = run_command_in(home.path(), args, &settings);
        assert!(output.status.success(), "{args:?}: {}", words(&output));
    }
}
