//! A database that a newer release has used is refused, and a move that is none is told: nothing is changed.

use crate::support::{Ground, run_command};

#[test]
fn an_older_release_changes_nothing_there() {
    let home = tempfile::tempdir().expect("a folder");
    let ground = Ground::usual();
    let (_, url) = ground.settings(home.path()).remove(0);
    let key = run_command(&["keys", "new"], &[]);
    let key = String::from_utf8_lossy(&key.stdout).trim().to_owned();
    let told = |command: &str| {
        let words: Vec<&str> = command.split(' ').chain(["--port", "0", "--database-url", &url]).collect();
        let output = run_command(&words, &[("ENCRYPTION_KEYS", &key)]);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    assert!(told("migrate").0 && told("keys check").0 && told("audit verify").0);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000001')";
    ground.sql(home.path(), newer, newer);
    let commands = [
        "migrate",
        "serve",
        "doctor",
        "keys rotate",
        "keys check",
        "keys check --give-up",
        "audit verify",
        "audit head",
    ];
    for command in commands {
        let (is_done, said) = told(command);
        assert!(!is_done, "{command}: {said}");
        assert!(
            said.contains("a newer Carillon (migration 99991231000001 is unknown here)"),
            "{command}: {said}"
        );
        assert!(!said.contains("earlier release"), "{command}: {said}");
    }
    // A copy is what it was made of, and may be the last resort.
    if matches!(ground, Ground::Sqlite) {
        let copy = home.path().join("copy.db").display().to_string();
        let (is_done, said) = told(&format!("backup {copy}"));
        assert!(is_done, "{said}");
    }
}

#[test]
fn tables_of_another_program_are_left_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let ground = Ground::usual();
    let (_, url) = ground.settings(home.path()).remove(0);
    let theirs = "CREATE TABLE notifications (theirs TEXT)";
    ground.sql(home.path(), theirs, theirs);
    let output = run_command(&["migrate", "--database-url", &url], &[]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("nothing but what Carillon made"), "{words}");
    let still = "INSERT INTO notifications (theirs) VALUES ('untouched')";
    ground.sql(home.path(), still, still);
}

#[test]
fn a_move_goes_from_a_file_to_postgresql() {
    let home = tempfile::tempdir().expect("a folder");
    let missing = home.path().join("missing.db").display().to_string();
    for (from, to, words) in [
        (missing.as_str(), "other.db", "begins at an SQLite file and ends in PostgreSQL"),
        ("postgres://127.0.0.1/a", "postgres://127.0.0.1/b", "begins at an SQLite file"),
        (missing.as_str(), "postgres://127.0.0.1/b", "missing.db is not there"),
    ] {
        let output = run_command(&["migrate", "--database-url", from, "--to", to], &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{from} {to}: {said}");
    }
    assert!(!home.path().join("missing.db").exists());
}
