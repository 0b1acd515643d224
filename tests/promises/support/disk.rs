//! A disk that is soon full.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Eight megabytes, in memory.
pub struct SmallDisk(Option<TempDir>);

impl SmallDisk {
    /// `None` where this user may not mount.
    pub fn mount() -> Option<Self> {
        let home = tempfile::tempdir().expect("a place for the disk");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(home.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(Some(home)))
    }

    pub fn home(&self) -> &Path {
        self.0.as_ref().expect("mounted").path()
    }

    /// Leaves no room.
    pub fn fill(&self) {
        fs::write(self.home().join("filler"), vec![0; 8 << 20]).expect_err("it fits into a small disk");
    }

    pub fn empty(&self) {
        fs::remove_file(self.home().join("filler")).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server may still be about to leave it.
        let _ = Command::new("umount").arg("--lazy").arg(self.home()).status();
    }
}
