//! Settings of `[webhooks]`.

use serde::{Deserialize, Serialize};

use crate::delivery::settings::numbers;

/// Settings of `[webhooks]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses of one tenant.
    pub per_tenant: u32,
    /// What is waited after an attempt that failed, after the next one, and so on, in milliseconds; then it is given up.
    #[serde(deserialize_with = "numbers")]
    pub retry_ms: Vec<u64>,
    /// An address that has taken nothing for so long is disabled.
    pub disable_after_hours: u32,
    /// How long after what happened messages are kept, in days.
    pub keep_days: u32,
    /// How long a former secret still signs beside a new one, in hours.
    pub rotation_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            per_tenant: 20,
            retry_ms: vec![5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000],
            disable_after_hours: 5 * 24,
            keep_days: 7,
            rotation_hours: 24,
        }
    }
}
