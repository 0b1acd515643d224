//! Whether the disk of a file has room for the next commits.

use std::path::Path;

use super::StoreError;

/// Less room than this on the disk, and the next commits may fail.
const LEAST_ROOM: u64 = 1024 * 1024;

/// Bytes that are free where `path` is, as far as that can be told.
pub fn room(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Tells when there is little.
pub fn has_room(file: &Path) -> Result<(), StoreError> {
    let Some(room) = room(file) else { return Ok(()) };
    if room < LEAST_ROOM { Err(StoreError::Full(room)) } else { Ok(()) }
}
