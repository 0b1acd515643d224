//! Copies of the file: made beside whoever writes, and put in its place.
//!
//! A copy is made by `VACUUM INTO`, which reads in one transaction: it has all that was committed before, and nothing of what
//! comes meanwhile. Under its own name it stands only when it is whole and on disk.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::writing::{last_number, record};
use super::{FileLock, open};
use crate::domain::{Clock as _, SystemClock};
use crate::store::backup::{Copied, LEFT_OUT, NUMBERED, Restored, restored};
use crate::store::schema::{deployment, notifications};
use crate::store::{StoreError, migrate};

/// What has a meaning in SQLite's addresses.
const MARKS: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');
/// A copy belongs to one process, and is not read while it is made.
const COPY_PRAGMAS: &str =
    "PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;";

fn fault(what: impl std::fmt::Display) -> StoreError {
    StoreError::Backup(what.to_string())
}

/// See [`crate::store::backup::backup`].
pub fn backup(path: &Path, to: &Path, may_replace: bool) -> Result<Copied, StoreError> {
    if !path.is_file() {
        return Err(fault(format!(
            "{} is not there: DATABASE_URL names the file to back up",
            path.display()
        )));
    }
    is_another(path, to)?;
    let is_free = || {
        if !may_replace && to.symlink_metadata().is_ok() {
            let to = to.display();
            return Err(fault(format!("{to} exists; choose another name, or replace it by --force")));
        }
        Ok(())
    };
    is_free()?;
    let draft = Draft::beside(to)?;
    let mut source = open_to_read(path)?;
    copy(&mut source, &draft.path)?;
    let mut copied = open_to_read(&draft.path)?;
    check(&mut copied, &draft.path, "PRAGMA quick_check(1)")?;
    let (notifications, last) = counted(&mut copied)?;
    drop(copied);
    is_free()?;
    let bytes = draft.publish(to)?;
    Ok(Copied { notifications, last, bytes })
}

/// See [`crate::store::backup::restore`].
pub fn restore(path: &Path, from: &Path) -> Result<Restored, StoreError> {
    if !from.is_file() {
        return Err(fault(format!("{} is not there", from.display())));
    }
    is_another(path, from)?;
    let was_there = path.metadata().is_ok_and(|file| file.len() > 0);
    let alone = FileLock::take(path)?;
    let restored = prepare(path, from).and_then(|(draft, notifications, last)| {
        let kept = was_there.then(|| set_aside(path)).transpose()?;
        draft.publish(path)?;
        Ok(Restored { notifications, last, kept })
    });
    if restored.is_err() && !was_there {
        // Taking the lock made it.
        fs::remove_file(path).ok();
    }
    drop(alone);
    restored
}

/// A copy of `from` beside `path`, checked, brought up to date, with numbers that go on behind all that were given.
fn prepare(path: &Path, from: &Path) -> Result<(Draft, i64, i64), StoreError> {
    let mut backup = open_to_read(from)?;
    check(&mut backup, from, "PRAGMA integrity_check(1)")?;
    let ours = "SELECT count(*) AS many FROM sqlite_master WHERE name IN ('__diesel_schema_migrations', 'notifications')";
    if number(&mut backup, ours)? != 2 {
        return Err(fault(format!("{} is no database of Carillon's", from.display())));
    }
    let draft = Draft::beside(path)?;
    copy(&mut backup, &draft.path)?;
    let mut copied = open(&draft.path, COPY_PRAGMAS)?;
    migrate::file(&mut copied)?;
    go_on(&mut copied, open_to_read(path).ok())?;
    let (notifications, last) = counted(&mut copied)?;
    drop(copied);
    Ok((draft, notifications, last))
}

/// A file that takes its name when it is whole; gone if it never is.
struct Draft {
    path: PathBuf,
    file: File,
    is_published: bool,
}

impl Draft {
    /// For its owner alone, as it will hold names and addresses. One that an earlier attempt left is begun anew.
    fn beside(target: &Path) -> Result<Self, StoreError> {
        let mut path = target.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        let cannot = |why: std::io::Error| fault(format!("cannot write {} ({why})", path.display()));
        let file = File::options().append(true).create(true).mode(0o600).open(&path).map_err(cannot)?;
        if file.try_lock().is_err() {
            return Err(fault(format!(
                "{} is being written by another process; wait for it",
                path.display()
            )));
        }
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(cannot)?;
        file.set_len(0).map_err(cannot)?;
        Ok(Self { path, file, is_published: false })
    }

    /// Gives it its name; returns its length. After this a power cut changes nothing.
    fn publish(mut self, target: &Path) -> Result<u64, StoreError> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut publish = || {
            self.file.sync_all()?;
            let bytes = self.file.metadata()?.len();
            fs::rename(&self.path, target)?;
            self.is_published = true;
            File::open(folder)?.sync_all()?;
            Ok(bytes)
        };
        publish().map_err(|why: std::io::Error| fault(format!("cannot write {} ({why})", target.display())))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_published {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// What is kept beside a database file is named like it, with one of these behind.
const BESIDE: [&str; 5] = ["-wal", "-shm", "-journal", ".secrets", ".vapid"];

/// Whether `other` is a file that belongs to the database at `path`, though it may not be there just now.
fn is_beside(path: &Path, other: &Path) -> bool {
    let (Ok(path), Some(name)) = (path.canonicalize(), other.file_name()) else { return false };
    let folder = other.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(other) = folder.canonicalize().map(|folder| folder.join(name)) else { return false };
    BESIDE.iter().any(|suffix| {
        let mut beside = path.clone().into_os_string();
        beside.push(suffix);
        other.as_os_str() == beside
    })
}

fn is_another(path: &Path, other: &Path) -> Result<(), StoreError> {
    if is_beside(path, other) {
        let which = other.display();
        return Err(fault(format!(
            "{which} belongs to the database itself, which writes it; give another name"
        )));
    }
    let same = match (path.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    if same { Err(fault(format!("{} is the database itself", other.display()))) } else { Ok(()) }
}

/// Opens a file that must be there, and changes nothing of it.
fn open_to_read(path: &Path) -> Result<SqliteConnection, StoreError> {
    let absolute = std::path::absolute(path).map_err(fault)?;
    let name = absolute.to_str().ok_or_else(|| fault(format!("{} is no UTF-8", path.display())))?;
    // Two slashes that are not the path's: else one that begins with two would name a host.
    let address = format!("file://{}?mode=ro", utf8_percent_encode(name, MARKS));
    let unreadable = |why: &dyn std::fmt::Display| fault(format!("cannot read {} ({why})", path.display()));
    let mut connection = SqliteConnection::establish(&address).map_err(|why| unreadable(&why))?;
    connection.batch_execute("PRAGMA busy_timeout = 5000").map_err(|why| unreadable(&why))?;
    Ok(connection)
}

fn copy(source: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    let absolute = std::path::absolute(to).map_err(fault)?;
    let name = absolute.to_str().ok_or_else(|| fault(format!("{} is no UTF-8", to.display())))?;
    let copied = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(name).execute(source);
    copied.map_err(|why| fault(format!("cannot copy to {} ({why}); nothing was changed", to.display())))?;
    Ok(())
}

#[derive(QueryableByName)]
struct Many {
    #[diesel(sql_type = BigInt)]
    many: i64,
}

fn number(connection: &mut SqliteConnection, question: &str) -> Result<i64, StoreError> {
    let answer: Many = diesel::sql_query(question).get_result(connection).map_err(fault)?;
    Ok(answer.many)
}

/// Whether SQLite finds the file whole.
fn check(connection: &mut SqliteConnection, path: &Path, how: &str) -> Result<(), StoreError> {
    let found: Result<String, _> = diesel::dsl::sql::<Text>(how).get_result(connection);
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(fault(format!("{} is damaged ({found})", path.display()))),
        Err(why) => Err(fault(format!("{} is damaged, or no database ({why})", path.display()))),
    }
}

/// How many notifications there are, and the highest number that was ever given to one.
fn counted(connection: &mut SqliteConnection) -> Result<(i64, i64), StoreError> {
    let many: i64 = notifications::table.count().get_result(connection)?;
    let last: Option<i64> = last_number().get_result(connection).optional()?;
    Ok((many, last.unwrap_or(0)))
}

fn last_of(connection: &mut SqliteConnection, table: &str) -> Result<i64, StoreError> {
    number(
        connection,
        &format!("SELECT coalesce(max(seq), 0) AS many FROM sqlite_sequence WHERE name = '{table}'"),
    )
}

/// Has numbers go on behind all that were given since the backup: what is replaced tells, if it is a later state of the same
/// database; else many are left out.
fn go_on(copied: &mut SqliteConnection, mut replaced: Option<SqliteConnection>) -> Result<(), StoreError> {
    let name =
        |of: &mut SqliteConnection| deployment::table.select(deployment::name).get_result::<String>(of).ok();
    let before = last_of(copied, "notifications")?;
    // One that is damaged says nothing.
    let tells = replaced.as_mut().is_some_and(|later| {
        name(later).is_some_and(|later| Some(later) == name(copied))
            && NUMBERED.iter().all(|table| last_of(later, table).is_ok())
            && last_of(later, "notifications").is_ok_and(|last| last >= before)
    });
    copied.immediate_transaction(|copied| {
        for table in NUMBERED {
            let before = last_of(copied, table)?;
            let theirs = replaced.as_mut().map_or(0, |later| last_of(later, table).unwrap_or(0));
            let behind = before.max(theirs) + if tells { 0 } else { LEFT_OUT };
            copied.batch_execute(&format!(
                "DELETE FROM sqlite_sequence WHERE name = '{table}'; \
                 INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {behind})"
            ))?;
            if table == "notifications" {
                // No notifications have these numbers, and none are missing.
                let burned = deployment::burned.eq(deployment::burned + (behind - before));
                diesel::update(deployment::table).set(burned).execute(copied)?;
            }
        }
        let many: i64 = notifications::table.count().get_result(copied)?;
        Ok(record(copied, &[restored(many)])?)
    })
}

/// Gives what is at `path` another name, with all of it: the file and, if SQLite cannot put it there, its log.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let named = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    // A log that stayed would be taken for the new file's.
    let folded = open(path, COPY_PRAGMAS)
        .and_then(|mut old| Ok(old.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?));
    let now = SystemClock.now().as_seconds();
    let names = (now..).map(|moment| named(path, &format!(".replaced-{moment}")));
    let kept = names.into_iter().find(|name| name.symlink_metadata().is_err()).unwrap_or_default();
    let rename = || {
        let log = named(path, "-wal");
        if folded.is_err() && log.exists() {
            fs::rename(&log, named(&kept, "-wal"))?;
        }
        for companion in [log, named(path, "-shm"), named(path, "-journal")] {
            match fs::remove_file(companion) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why),
                _ => {}
            }
        }
        // Two names for a moment: at no time is there no database.
        fs::hard_link(path, &kept)
    };
    rename().map_err(|why| fault(format!("cannot keep what is there as {} ({why})", kept.display())))?;
    Ok(kept)
}
