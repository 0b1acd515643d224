//! The house rules that the compiler does not know. Each is a pure function from files to faults, so that it can be
//! shown (at the end of this file) that it fails when it should.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/migrations.rs"]
mod migrations;
#[path = "architecture/source.rs"]
mod source;

use source::{Source, Token};

/// Lines of one file, its unit tests not counted.
const LONGEST_FILE: usize = 450;
/// The floor of `app`, `cli` and their like, which put everything together and so may know each other.
const ROOF: usize = 6;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `folder` that ends in `.extension`, by its path from the repository's root.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display())) {
            let path: PathBuf = entry.expect("a folder's entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(root()).expect("a path below the root").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    files("src", "rs").iter().map(|(path, text)| Source::read(path, text)).collect()
}

fn nothing(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

// ---- floors ----------------------------------------------------------------------------------

/// Top-level module → floor, from the table at the head of `src/lib.rs`.
fn floors(lib: &str) -> BTreeMap<String, usize> {
    let mut floors = BTreeMap::new();
    for row in lib.lines().filter_map(|line| line.strip_prefix("//! |")) {
        let mut cells = row.split('|').map(str::trim);
        let floor = match cells.next() {
            Some("roof") => ROOF,
            Some(number) => match number.parse() {
                Ok(floor) => floor,
                Err(_) => continue,
            },
            None => continue,
        };
        for name in cells.next().unwrap_or_default().split('`').skip(1).step_by(2) {
            floors.insert(name.to_owned(), floor);
        }
    }
    floors
}

/// Whether code of module `from` may name module `to`.
fn may_name(floors: &BTreeMap<String, usize>, from: &str, to: &str) -> bool {
    match (floors.get(from), floors.get(to)) {
        (Some(&ROOF), Some(_)) => true,
        (Some(above), Some(below)) => from == to || above > below,
        _ => false,
    }
}

fn arrows(floors: &BTreeMap<String, usize>, source: &Source) -> Vec<String> {
    let Some(from) = source.module.first() else { return Vec::new() };
    source
        .crate_paths()
        .into_iter()
        .filter(|(_, path)| path.first().is_some_and(|to| !may_name(floors, from, to)))
        .map(|(line, path)| {
            let path = path.join("::");
            format!(
                "{}:{line}: `crate::{path}` leads upwards or sideways from floor of `{from}`",
                source.path
            )
        })
        .collect()
}

#[test]
fn every_floor_uses_only_floors_below_it() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let floors = floors(&lib);
    let declared: Vec<_> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let listed: Vec<_> = floors.keys().map(String::as_str).collect();
    assert_eq!(declared, listed, "src/lib.rs: its table of floors and its modules differ");
    let faults: Vec<_> = sources()
        .iter()
        .filter(|source| !matches!(source.path.as_str(), "src/lib.rs" | "src/main.rs"))
        .flat_map(|source| arrows(&floors, source))
        .collect();
    nothing(&faults);
}

// ---- who may name which library --------------------------------------------------------------

/// Crates that only some files may know: the crates, and where.
const KEPT: [(&[&str], &str); 3] = [
    (&["socketioxide", "engineioxide"], "src/gateway/socketio/engine.rs"),
    (&["diesel", "diesel_async", "diesel_migrations", "deadpool", "libsqlite3_sys"], "src/store/"),
    (&["jsonwebtoken"], "src/access/"),
];

const STATEMENTS: [&str; 9] = [
    "SELECT ",
    "INSERT INTO ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "ALTER TABLE ",
    "DROP TABLE ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

fn strangers(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (names, home) in KEPT {
        if source.path.starts_with(home) {
            continue;
        }
        for (line, name) in source.words().filter(|(_, word)| names.contains(word)) {
            faults.push(format!("{}:{line}: `{name}` is known only in {home}", source.path));
        }
    }
    if !source.path.starts_with("src/store/") {
        for (line, text) in &source.literals {
            if STATEMENTS.iter().any(|statement| text.trim_start().starts_with(statement)) {
                faults.push(format!("{}:{line}: SQL is written only in src/store", source.path));
            }
        }
    }
    faults
}

#[test]
fn libraries_and_sql_stay_where_they_belong() {
    nothing(&sources().iter().flat_map(strangers).collect::<Vec<_>>());
}

// ---- manners ---------------------------------------------------------------------------------

/// What ends the process, or reads a clock that tests cannot move, outside tests.
fn manners(source: &Source) -> Vec<String> {
    let code = source.without_tests();
    let mut faults = Vec::new();
    for window in code.windows(3) {
        let [before, name, after] = window else { continue };
        let called = after.is("(") && before.is(".");
        let ends = match name.text.as_str() {
            "unwrap" | "expect" | "unwrap_err" | "expect_err" => called,
            "panic" | "todo" | "unimplemented" | "unreachable" => after.is("!"),
            _ => false,
        };
        if ends {
            let name = &name.text;
            faults.push(format!("{}:{}: `{name}` outside tests; return an error", source.path, after.line));
        }
    }
    if source.path != "src/domain/clock.rs" {
        for token in code.iter().filter(|token| token.text == "SystemTime") {
            faults.push(format!("{}:{}: time comes from `domain::Clock`", source.path, token.line));
        }
    }
    let lines = code.last().map_or(0, |token: &Token| token.line);
    if lines > LONGEST_FILE {
        faults.push(format!("{}: {lines} lines, more than {LONGEST_FILE}", source.path));
    }
    faults
}

#[test]
fn code_returns_errors_and_files_stay_readable() {
    nothing(&sources().iter().flat_map(manners).collect::<Vec<_>>());
}

// ---- the two databases -----------------------------------------------------------------------

#[test]
fn both_databases_have_the_same_migrations_and_tables() {
    let sqlite = files("migrations/sqlite", "sql");
    let postgres = files("migrations/postgres", "sql");
    let schema: String = ["src/store/schema.rs", "src/store/schema/apart.rs"]
        .map(|file| fs::read_to_string(root().join(file)).expect("the schema"))
        .concat();
    // On SQLite a position is its notification's number, so the primary key finds an entry by it.
    // Where a notification is in an inbox: positions are numbers on SQLite, but for what was spread. And PostgreSQL has no
    // REPLACE, and SQLite no TRUNCATE.
    let is_special = |fault: &String| {
        fault.starts_with("trigger audit_log_is_not_replaced differs:\n  Some")
            || fault.starts_with("trigger audit_log_is_not_emptied differs:\n  None")
            || fault.starts_with("trigger audit_seals_are_not_emptied differs:\n  None")
            || fault.starts_with("index inbox_notification differs:\n  None")
            || (fault.starts_with("index inbox_spread differs:") && fault.trim_end().ends_with("None"))
    };
    let mut faults = migrations::faults(&sqlite, &postgres, &schema);
    faults.retain(|fault| !is_special(fault));
    nothing(&faults);
}

// ---- can these rules fail? -------------------------------------------------------------------

/// A miniature of the house.
fn sample_floors() -> BTreeMap<String, usize> {
    floors(
        "//! | floor | folders | promise |\n//! |---|---|---|\n//! | roof | [`app`], [`cli`] | x |\n\
         //! | 2 | [`gateway`], [`http`] | `not_this` |\n//! | 1 | [`store`] | x |\n//! | 0 | [`domain`] | x |\n",
    )
}

#[test]
fn the_table_of_floors_is_understood() {
    let expected = [("app", ROOF), ("cli", ROOF), ("domain", 0), ("gateway", 2), ("http", 2), ("store", 1)];
    let found = sample_floors();
    assert!(found.iter().map(|(name, floor)| (name.as_str(), *floor)).eq(expected), "{found:?}");
}

#[test]
fn upward_and_sideways_arrows_are_seen_however_they_are_written() {
    let code = r#"
        use crate::domain::Thing;
        use crate::{domain, store::{self, Row}};
        use super::row::Inner;
        // crate::app::App in a comment, /* crate::app */ and in "crate::app::App" are no arrows
        const TEXT: &str = "crate::gateway::Door";
        const RAW: &str = r"crate::gateway::Door";
        fn quiet<'a>(it: &'a str) -> char { '"' }
        use crate::{domain::{Clock, Id}, gateway::{
            Door,
        }};
        use crate::http as web;
        fn inline() -> crate::cli::Flags { crate::app::start() }
        use super::super::http::State;
        mod tests { use super::*; use super::super::row; use super::super::super::app::App; }
    "#;
    let source = Source::read("src/store/deep.rs", code);
    let found: Vec<_> = arrows(&sample_floors(), &source)
        .iter()
        .map(|fault| fault.split('`').nth(1).expect("a path").to_owned())
        .collect();
    let expected = [
        "crate::gateway::Door",
        "crate::http",
        "crate::cli::Flags",
        "crate::app::start",
        "crate::http::State",
        "crate::app::App",
    ];
    assert_eq!(found, expected);
    let sideways = Source::read("src/http/mod.rs", "use crate::gateway::Door; use super::domain::Id;");
    assert_eq!(arrows(&sample_floors(), &sideways).len(), 1);
    let roof = Source::read("src/app.rs", "use crate::{cli, store, unknown};");
    assert_eq!(arrows(&sample_floors(), &roof).len(), 1, "a module that is not in the table");
}

#[test]
fn strangers_are_seen() {
    let engine = "//! socketioxide\nuse socketioxide::SocketIo;";
    assert!(strangers(&Source::read("src/gateway/socketio/engine.rs", engine)).is_empty());
    assert_eq!(strangers(&Source::read("src/gateway/socketio/door.rs", engine)).len(), 1);
    let sql = r#"fn f() { run("select a seat"); run("SELECT 1"); run("  UPDATE t SET a = 1") }"#;
    assert_eq!(strangers(&Source::read("src/service/notify.rs", sql)).len(), 2);
    assert!(strangers(&Source::read("src/store/queries.rs", sql)).is_empty());
    let path = "fn f() -> diesel::QueryResult<()> { todo }";
    assert_eq!(strangers(&Source::read("src/service/notify.rs", path)).len(), 1);
}

#[test]
fn bad_manners_are_seen_outside_tests_only() {
    let bad = "fn f() { a.unwrap(); b.expect(\"c\"); panic!(\"d\"); SystemTime::now(); }";
    assert_eq!(manners(&Source::read("src/a.rs", bad)).len(), 4);
    let good = "#[expect(dead_code)] fn f() { a.unwrap_or(b); expect(c); }\n#[cfg(test)]\nmod tests { fn f() { \
                a.unwrap(); } }\n#[cfg(test)] #[allow(x)] fn g() { panic!() }";
    assert!(manners(&Source::read("src/a.rs", good)).is_empty());
    let long = "fn f() {}\n".repeat(LONGEST_FILE + 1);
    assert_eq!(manners(&Source::read("src/a.rs", &long)).len(), 1);
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(manners(&Source::read("src/a.rs", &tested)).is_empty());
}
