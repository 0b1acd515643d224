//! Whatever is left of somebody: in each table, in the file and its log, in Redis, and in what the server prints.

use std::collections::HashMap;

use serde_json::Value;

use super::{Redis, Server};

impl Server {
    /// Where these words stand.
    pub fn traces(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for word in words {
            if self.is_on_sqlite() {
                for name in ["carillon.db", "carillon.db-wal", "carillon.db-shm"] {
                    let bytes = std::fs::read(self.home().join(name)).unwrap_or_default();
                    if let Some(at) = bytes.windows(word.len()).position(|some| some == word.as_bytes()) {
                        let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
                        found.push(format!("{word} in {name}: {}", String::from_utf8_lossy(around)));
                    }
                }
            } else {
                let whole = format!("SELECT 1 WHERE database_to_xml(true, false, '')::text LIKE '%{word}%'");
                if self.rows(&whole) > 0 {
                    found.push(format!("{word} in the database: {:?}", self.tables_with(word)));
                }
            }
        }
        found
    }

    /// Tables of PostgreSQL in which it stands.
    fn tables_with(&self, word: &str) -> Vec<&'static str> {
        let tables = [
            "notifications",
            "inbox",
            "recipients",
            "connections",
            "subscriptions",
            "roles",
            "expansions",
            "recurring",
            "audit_log",
            "audit_people",
            "deliveries",
            "delivery_attempts",
            "push_subscriptions",
            "templates",
            "template_versions",
            "webhooks",
            "webhook_messages",
            "webhook_attempts",
            "digest_subscriptions",
            "digests",
            "consents",
            "disclosures",
            "analytics",
            "counts",
        ];
        let has_it = |table: &&&str| {
            self.rows(&format!("SELECT 1 FROM {table} AS t WHERE t::text LIKE '%{word}%'")) > 0
        };
        tables.iter().filter(has_it).copied().collect()
    }
}

/// What stands in the streams of this Redis, and the names of all its keys.
pub fn in_redis(redis: &Redis) -> String {
    let streams =
        ["notifications:stream", "notifications:dead"].map(|name| redis.cli(&["XRANGE", name, "-", "+"]));
    format!("{}\n{}", streams.concat(), redis.cli(&["KEYS", "*"]))
}

/// Each dead letter: its fields by their names, the oldest first.
pub fn dead_letters(redis: &Redis) -> Vec<HashMap<String, String>> {
    let printed = redis.cli(&["--json", "XRANGE", "notifications:dead", "-", "+"]);
    let all: Value = serde_json::from_str(&printed).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let fields = |letter: &Value| {
        let fields = letter[1].as_array().expect("fields");
        fields.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    };
    all.as_array().expect("letters").iter().map(fields).collect()
}

/// A server that takes what is left in a Redis of its own: letters of 50,000 bytes at most.
pub fn beside_redis() -> (Server, Redis) {
    let redis = Redis::private();
    let settings = [("redis.url", redis.url()), ("limits.max_request_bytes", "50000".to_owned())];
    let server = Server::with(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    redis.wait_for_listener();
    (server, redis)
}
