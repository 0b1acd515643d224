//! Whether the disk of a file has room for the next commits.

use std::path::Path;

use super::StoreError;

/// Less room than this on the disk, and the next commits may fail.
const LEAST_ROOM: u64 = 1024 * 1024;

/// Tells when there is little.
pub fn has_room(file: &Path) -> Result<(), StoreError> {
    let Ok(disk) = rustix::fs::statvfs(file) else { return Ok(()) };
    let room = disk.f_bavail.saturating_mul(disk.f_frsize);
    if room < LEAST_ROOM { Err(StoreError::Full(room)) } else { Ok(()) }
}
