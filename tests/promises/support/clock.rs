//! A clock that jumps: what a server takes for the time of day, by Debian's `libfaketime`. Time that passes is not changed,
//! as it is not when a real clock is set.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// The time of day of one server.
pub struct Clock {
    home: TempDir,
    library: PathBuf,
}

impl Clock {
    /// One that is right; `None` where the library is missing.
    pub fn right() -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
        let library =
            folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.is_file());
        if library.is_none() {
            eprintln!("not staged: jumps of a clock need libfaketime; `make clients` installs it");
        }
        let clock = Self { home: tempfile::tempdir().expect("a folder"), library: library? };
        clock.set(0);
        Some(clock)
    }

    /// Jumps to so many seconds after the right time. The server sees it within a second.
    pub fn set(&self, seconds: i64) {
        let (new, file) = (self.home.path().join("new"), self.file());
        fs::write(&new, format!("{seconds:+}\n")).expect("a file");
        fs::rename(new, file).expect("a file");
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("time")
    }

    /// What a server's environment needs.
    pub fn variables(&self) -> Vec<(String, String)> {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        let variables = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_CACHE_DURATION", "1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}
