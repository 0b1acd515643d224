//! Where the database is, and what opens it.

use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// Settings of `[database]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:///relative.db`, `sqlite:////absolute.db`, or a plain path.
    pub url: String,
    /// Connections that only read.
    pub readers: usize,
    /// Writes that may share one commit.
    pub commit_batch: usize,
    /// Keys by which columns are encrypted, the newest first, between commas: 32 bytes each, in base64.
    pub encryption_keys: Secret,
    /// A file that has them instead, one on a line.
    pub encryption_keys_file: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "sqlite:///carillon.db".to_owned(),
            readers: 2,
            commit_batch: 512,
            encryption_keys: Secret::default(),
            encryption_keys_file: String::new(),
        }
    }
}
