//! The audit log, as it is written.

use super::*;
use crate::domain::Action;
use crate::store::{Recorded, Sought};

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct AuditIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The last number seen: what was done before it follows.
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
    /// What was done, such as `send`.
    #[param(value_type = Option<Action>)]
    pub action: Option<String>,
    /// By whom.
    #[param(value_type = Option<Label>)]
    pub actor: Option<String>,
    /// To whom, or of what, such as `role:teacher`.
    #[param(value_type = Option<Label>)]
    pub subject: Option<String>,
    /// Not before.
    #[serde(default, deserialize_with = "values::instant")]
    pub from: Option<Timestamp>,
    /// Before.
    #[serde(default, deserialize_with = "values::instant")]
    pub to: Option<Timestamp>,
}

impl AuditIn {
    /// The same, read.
    ///
    /// # Errors
    /// When there is no such action.
    pub fn sought(self) -> Result<Sought, Broken> {
        let expected = "an action that docs/PROTOCOLS.md lists, such as send or auth.failure";
        let known = |word: String| {
            let mut all = Action::ALL.iter();
            all.find(|action| action.name() == word).copied().ok_or(Broken { field: "action", expected })
        };
        Ok(Sought {
            action: self.action.map(known).transpose()?,
            actor: values::wanted(self.actor, "actor")?,
            subject: values::wanted(self.subject, "subject")?,
            from: self.from,
            to: self.to,
            before: input::number(self.cursor)?,
        })
    }
}

/// One thing that was done, or several alike.
#[derive(Serialize, ToSchema)]
#[schema(as = Audited)]
pub struct AuditedOut {
    id: i64,
    at: Timestamp,
    /// A user or a service; `backend` by the back end's own token; null: nobody that is known.
    actor: Option<String>,
    action: String,
    subject: Option<String>,
    #[schema(value_type = Object)]
    detail: Option<Box<RawValue>>,
    address: Option<String>,
}

impl From<Recorded> for AuditedOut {
    fn from(row: Recorded) -> Self {
        let Recorded { id, at, actor, action, subject, detail, address } = row;
        Self { id, at, actor, action, subject, detail: values::data(detail), address }
    }
}

/// A page, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct AuditPageOut {
    entries: Vec<AuditedOut>,
    has_more: bool,
    next_cursor: Option<i64>,
}

impl From<(Vec<Recorded>, bool)> for AuditPageOut {
    fn from((page, has_more): (Vec<Recorded>, bool)) -> Self {
        let next_cursor = page.last().map(|last| last.id).filter(|_| has_more);
        Self { entries: page.into_iter().map(AuditedOut::from).collect(), has_more, next_cursor }
    }
}
