//! How well the rules on what is kept of people are kept, as far as that can be counted.

use crate::domain::{Action, Timestamp};
use crate::store::Figure;

/// What is counted of a tenant in a time.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose.
    pub tenant: String,
    /// From then.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// What is counted.
    pub figures: Vec<Figure>,
    /// What is looked at, whether it is as it should be, and what to do otherwise.
    pub findings: Vec<Finding>,
}

/// One thing that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub is_well: bool,
    /// What there is to say.
    pub words: String,
}

/// What is to be said of it.
pub(super) fn findings(figures: &[Figure]) -> Vec<Finding> {
    let many = |section: &str, name: &str| {
        figures.iter().find(|one| one.section == section && one.name == name).map_or(0, |one| one.many)
    };
    let minors = many("people", "minors");
    let alone = many("people", "minors without a guardian's contact");
    let failures = many("audit", Action::AuthFailure.name());
    let finding = |check, is_well, words| Finding { check, is_well, words };
    vec![
        finding(
            "guardians",
            alone == 0,
            match alone {
                0 => format!("{minors} minors, each with a guardian's contact"),
                _ => format!(
                    "{alone} of {minors} minors have no guardian's contact: they get no e-mail and no text message"
                ),
            },
        ),
        finding(
            "authentication",
            failures == 0,
            format!("{failures} rows tell of failed attempts to prove who one is"),
        ),
    ]
}
