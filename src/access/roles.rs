//! What roles of a token allow, wherever it is shown.

use super::Principal;

impl Principal {
    /// Whether it may look at what goes on in its tenant: a viewer's, an operator's or an administrator's.
    pub fn can_watch(&self) -> bool {
        self.is_admin() || self.roles.iter().any(|role| role == "viewer" || role == "operator")
    }

    /// Whether it may have failed deliveries tried again.
    pub fn can_retry(&self) -> bool {
        self.can_broadcast || self.roles.iter().any(|role| role == "operator")
    }
}
