//! What was stored of somebody's preferences.

use crate::domain::Preferences;

/// As much of it as can be read: a newer release may have stored what this one does not know, and nobody goes without
/// their notifications for that.
pub fn read(stored: &str) -> Preferences {
    let (preferences, is_all) = Preferences::read(stored);
    if !is_all {
        tracing::warn!("somebody's preferences cannot be read whole; what can be read is heeded");
    }
    preferences
}
