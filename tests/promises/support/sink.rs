//! The file that takes what leaves a server.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

/// A file of its own.
pub struct SinkFile {
    folder: TempDir,
}

impl SinkFile {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("sink.jsonl")
    }

    /// What a server is told to use it.
    pub fn setting(&self) -> (&'static str, String) {
        ("CARILLON_DELIVERY_SINK_FILE", self.path().display().to_string())
    }

    /// All that was taken, in its order.
    pub fn taken(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The same, by this channel.
    pub fn by(&self, channel: &str) -> Vec<Value> {
        self.taken().into_iter().filter(|taken| taken["channel"] == channel).collect()
    }
}
