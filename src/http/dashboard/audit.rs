//! Who did what, for administrators. That somebody looked stands in it, too.

use askama::Template;
use axum::extract;
use chrono::NaiveDate;

use super::session::{Admin, Fields};
use super::words::instant;
use super::{Answer, Dashboard, View};
use crate::domain::{Action, Timestamp};
use crate::store::{Recorded, Sought};

/// Entries on a page.
const PAGE: i64 = 50;

struct Entry {
    id: i64,
    at: String,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    address: String,
}

struct Choice {
    name: &'static str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "dashboard/audit.html")]
struct Page<'a> {
    choices: Vec<Choice>,
    actor: &'a str,
    subject: &'a str,
    from: &'a str,
    to: &'a str,
    fault: &'static str,
    is_sought: bool,
    entries: Vec<Entry>,
    /// The query of the next page.
    older: Option<String>,
}

impl From<Recorded> for Entry {
    fn from(row: Recorded) -> Self {
        let detail = if row.detail == "{}" { String::new() } else { row.detail };
        Self {
            id: row.id,
            at: instant(row.at),
            actor: row.actor.unwrap_or_default(),
            action: row.action,
            subject: row.subject.unwrap_or_default(),
            detail,
            address: row.address.unwrap_or_default(),
        }
    }
}

/// The beginning of a day in UTC, so many days later.
fn day(text: &str, later: u64) -> Result<Option<Timestamp>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(drop)?;
    let day = day.checked_add_days(chrono::Days::new(later)).ok_or(())?;
    let seconds = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    Ok(Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000))))
}

/// What is looked for, or why that cannot be.
fn sought(given: &Fields) -> Result<Sought, &'static str> {
    let word = given.of("action");
    let action = Action::ALL.iter().copied().find(|action| action.name() == word);
    if action.is_none() && !word.is_empty() {
        return Err("There is no such action. Choose one of the list.");
    }
    let no_day = "A day is written as 2025-09-01.";
    let is_short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= 300);
    let (actor, subject) = (given.some("actor"), given.some("subject"));
    if !(is_short(&actor) && is_short(&subject)) {
        return Err("No actor or subject has a name as long as that.");
    }
    Ok(Sought {
        action,
        actor,
        subject,
        from: day(given.of("from"), 0).map_err(|()| no_day)?,
        to: day(given.of("to"), 1).map_err(|()| no_day)?,
        before: given.of("before").parse().ok().filter(|before: &i64| *before > 0),
    })
}

/// `GET /dashboard/audit`.
pub async fn page(dashboard: extract::State<Dashboard>, Admin(seat): Admin, given: Fields) -> Answer {
    let (page, fault) = match sought(&given) {
        Ok(sought) => {
            let read = dashboard.api.audit.read(&seat.who, seat.address, &sought, PAGE).await;
            (read.map_err(|fault| seat.fault(fault))?, "")
        }
        Err(fault) => ((Vec::new(), false), fault),
    };
    let (rows, has_more) = page;
    let fields = ["action", "actor", "subject", "from", "to"];
    let older = rows.last().filter(|_| has_more).map(|last| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in fields.iter().filter(|name| !given.of(name).is_empty()) {
            query.append_pair(name, given.of(name));
        }
        query.append_pair("before", &last.id.to_string());
        query.finish()
    });
    let chosen = given.of("action");
    let choice = |action: &Action| Choice { name: action.name(), is_chosen: action.name() == chosen };
    let page = Page {
        choices: Action::ALL.iter().map(choice).collect(),
        actor: given.of("actor"),
        subject: given.of("subject"),
        from: given.of("from"),
        to: given.of("to"),
        fault,
        is_sought: fields.iter().chain(&["before"]).any(|name| !given.of(name).is_empty()),
        entries: rows.into_iter().map(Entry::from).collect(),
        older,
    };
    let body = page.render().unwrap_or_default();
    Ok(View { title: "Audit log", here: "audit", live: "", body }.show(Some(&seat)))
}
