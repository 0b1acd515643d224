//! What somebody who keeps watch should hear of.

/// What may be alarming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// One address has failed again and again to prove who it is.
    BruteForce,
    /// One address shows tokens that look like ours and are not.
    ForgedTokens,
    /// Somebody asks again and again for what their token does not allow.
    ScopeViolations,
    /// A tenant sends very many text messages.
    SmsSpend,
    /// Somebody's data were exported.
    DataExport,
    /// Somebody's data were erased.
    DataErasure,
    /// The audit log is not what was sealed.
    AuditChain,
    /// Nothing shows that rows missing at the audit log's beginning went rightly.
    AuditUnproved,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::BruteForce,
        Self::ForgedTokens,
        Self::ScopeViolations,
        Self::SmsSpend,
        Self::DataExport,
        Self::DataErasure,
        Self::AuditChain,
        Self::AuditUnproved,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BruteForce => "brute_force",
            Self::ForgedTokens => "forged_tokens",
            Self::ScopeViolations => "scope_violations",
            Self::SmsSpend => "sms_spend",
            Self::DataExport => "data_export",
            Self::DataErasure => "data_erasure",
            Self::AuditChain => "audit_chain",
            Self::AuditUnproved => "audit_unproved",
        }
    }

    /// What it says to people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::BruteForce => "an address fails again and again to prove who it is",
            Self::ForgedTokens => "an address shows tokens that look like this server's and are not",
            Self::ScopeViolations => "somebody asks again and again for what their token does not allow",
            Self::SmsSpend => "a tenant sent very many text messages within a day",
            Self::DataExport => "somebody's data were exported",
            Self::DataErasure => "somebody's data were erased",
            Self::AuditChain => "the audit log is not what was sealed",
            Self::AuditUnproved => {
                "nothing shows that rows missing at the audit log's beginning went only because they were old"
            }
        }
    }

    /// The one that tells of an action of this name.
    pub fn of_action(action: &str) -> Option<Self> {
        // By their names: what exports and erases brings its own.
        match action.split_once('.')?.1 {
            "export" => Some(Self::DataExport),
            "erase" => Some(Self::DataErasure),
            _ => None,
        }
    }
}
