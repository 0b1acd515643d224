//! Opens every sealed value, to find those that do not open; and gives them up, if that is ordered.
//!
//! Promise: only what has no key and what was changed is given up, by one commit that is in the audit log, and only while it is
//! still as it was looked at.

use diesel::ExpressionMethods as _;
use diesel_async::RunQueryDsl as _;
use serde_json::json;

use super::keys::{MARK, open};
use super::marks;
use super::rows::{COLUMNS, Column, Holds, Line, Value, on_either};
use super::{keys, sealed};
use crate::domain::{Action, Channel, Clock as _, Contacts, SystemClock, Tenant};
use crate::store::schema::audit_log;
use crate::store::types::At;
use crate::store::{DatabaseUrl, StoreError};

/// Values that are looked at together.
const TOGETHER: usize = 500;

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    /// Values that are encrypted.
    pub sealed: u64,
    /// Of these, what does not open.
    pub shut: u64,
    /// Of these, what was given up.
    pub given_up: u64,
}

/// Looks at all values in the database at `url`. `tell` hears of each that does not open.
///
/// # Errors
/// When a key is missing that the database remembers, or it does not answer.
pub async fn check_values(
    url: &DatabaseUrl,
    is_to_give_up: bool,
    tell: impl Fn(&str),
) -> Result<Checked, StoreError> {
    let mut line = Line::open(url).await?;
    let marks = marks::mend(&mut line, url, is_to_give_up, &tell).await?;
    let mut checked = Checked { sealed: 0, shut: marks.shut, given_up: marks.mended };
    for column in COLUMNS.iter().filter(|column| column.holds != Holds::Blind) {
        let mut after = 0;
        loop {
            let page = line.sealed(column, after, TOGETHER).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for value in page {
                checked.sealed += 1;
                let rest = value.value.strip_prefix(MARK).unwrap_or_default();
                let Err(why) = open(keys(), column.kind, rest) else { continue };
                checked.shut += 1;
                tell(&format!("{} {} of {}: {why}", column.table, value.id, column.name));
                if is_to_give_up && line.give_up(column, &value).await? {
                    checked.given_up += 1;
                }
            }
        }
    }
    let (shut, given_up) = line.illegible(is_to_give_up, &tell).await?;
    checked.shut += shut;
    checked.given_up += given_up;
    Ok(checked)
}

impl Line {
    /// Puts something that opens in the place of what does not; `false` if it has changed meanwhile.
    ///
    /// # Errors
    /// When a server has begun to encrypt by its key meanwhile.
    async fn give_up(&mut self, column: &Column, value: &Value) -> Result<bool, StoreError> {
        let note = "what was stored here could not be read, and was given up";
        let stand_in = match (column.table, column.name) {
            ("recipients", _) => Some(self.agreed(value.id).await?),
            (_, "action_url" | "wish" | "former_secret") | ("push_subscriptions", _) => None,
            (_, "data") | ("digests", _) => Some(json!({"unreadable": note}).to_string()),
            ("webhooks", _) => Some(String::new()),
            _ => Some(format!("[{note}]")),
        };
        let stand_in =
            stand_in.map(|plain| sealed(column.kind, plain.as_bytes()).map(std::borrow::Cow::into_owned));
        let stand_in = stand_in.transpose()?;
        self.begin().await?;
        // A key that came after the look at those that are known was known before anything was encrypted by it.
        marks::check(keys(), &self.remembered().await?)?;
        let is_done = self.replace(column, value, stand_in).await?;
        if is_done {
            let detail = json!({"table": column.table, "column": column.name, "row": value.id}).to_string();
            self.note(detail).await?;
        }
        self.commit().await?;
        Ok(is_done)
    }

    /// Writes down that something was given up, or written anew.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note(&mut self, detail: String) -> Result<(), StoreError> {
        let row = (
            audit_log::at.eq(At(SystemClock.now())),
            audit_log::tenant.eq(Tenant::default().as_str().to_owned()),
            audit_log::action.eq(Action::GiveUp.name()),
            audit_log::detail.eq(detail),
        );
        let row = diesel::insert_into(audit_log::table).values(row);
        on_either!(self, connection => row.execute(connection).await)?;
        Ok(())
    }

    /// Contacts that only hold what their owner said last on each channel.
    async fn agreed(&mut self, recipient: i64) -> Result<String, StoreError> {
        let said = self.said(recipient).await?.into_iter();
        let consents = said
            .filter_map(|(channel, is_given)| Some((Channel::from_number(channel)?, is_given != 0)))
            .collect();
        Ok(Contacts { consents, ..Contacts::default() }.to_stored())
    }
}
