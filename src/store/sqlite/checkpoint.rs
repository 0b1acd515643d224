//! Copies what was committed from the write-ahead log into the file, beside the writer: done by the writer, everybody who
//! commits then would wait for megabytes.
//!
//! The log begins anew when all of it was copied. While commits follow each other there is always a little more, so the
//! writer copies that itself, when it is told that little is left.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteConnection;

use super::{WRITER_PRAGMAS, open};
use crate::store::StoreError;

/// Pages of the log that are worth copying: 64 MB.
const MANY: i32 = 16_000;
/// Commits between two looks at the log.
const LOOK: u32 = 32;

/// How much there is in the log, and how much of it was copied.
#[derive(QueryableByName)]
struct Log {
    #[diesel(sql_type = Integer)]
    log: i32,
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

/// The writer's end.
pub struct Checkpoints {
    look: Option<SyncSender<()>>,
    little_is_left: Arc<AtomicBool>,
    commits: u32,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread that copies, on a connection of its own.
    ///
    /// # Errors
    /// When the file cannot be opened, or there is no thread.
    pub fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = open(path, WRITER_PRAGMAS)?;
        let (look, looks) = sync_channel(1);
        let little_is_left = Arc::<AtomicBool>::default();
        let told = little_is_left.clone();
        let thread = std::thread::Builder::new()
            .name("sqlite-checkpoint".to_owned())
            .spawn(move || run(connection, &looks, &told))
            .map_err(|fault| StoreError::Unreachable(format!("no thread for checkpoints: {fault}")))?;
        Ok(Self { look: Some(look), little_is_left, commits: 0, thread: Some(thread) })
    }

    /// Called after each commit, when those who wait for it have been told.
    pub fn committed(&mut self, connection: &mut SqliteConnection) {
        if self.little_is_left.swap(false, Ordering::AcqRel)
            && let Err(fault) = connection.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")
        {
            tracing::warn!(%fault, "the write-ahead log could not be copied; trying again later");
        }
        self.commits += 1;
        if self.commits >= LOOK {
            self.commits = 0;
            // One look is enough.
            self.look.as_ref().map(|look| look.try_send(()));
        }
    }
}

/// The file is closed when this is gone.
impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.look = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(mut connection: SqliteConnection, looks: &Receiver<()>, little_is_left: &AtomicBool) {
    while looks.recv().is_ok() {
        match copy(&mut connection) {
            Ok(true) => little_is_left.store(true, Ordering::Release),
            Ok(false) => {}
            Err(fault) => {
                tracing::warn!(%fault, "the write-ahead log could not be copied; trying again later");
            }
        }
    }
}

/// Copies what is in the log, if it is much; then what came meanwhile.
fn copy(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let mut pragma = |how| diesel::sql_query(how).get_result::<Log>(connection);
    let Log { log, checkpointed } = pragma("PRAGMA wal_checkpoint(NOOP)")?;
    if log - checkpointed < MANY {
        return Ok(false);
    }
    pragma("PRAGMA wal_checkpoint(PASSIVE)")?;
    pragma("PRAGMA wal_checkpoint(PASSIVE)")?;
    Ok(true)
}
