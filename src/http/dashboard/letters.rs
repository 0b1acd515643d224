//! What came by Redis and could not be taken.

use std::sync::Arc;

use askama::Template;
use axum::extract;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::session::Warden;
use super::{Answer, Dashboard, View};
use crate::domain::Action;

/// Characters of what was sent that are shown.
const SHOWN: usize = 2_000;

/// A dead letter, as it was kept.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Its entry.
    pub id: String,
    /// Why it was not taken, for programs.
    pub code: String,
    /// The same in words.
    pub reason: String,
    /// When.
    pub at: String,
    /// How it came.
    pub source: String,
    /// How long it was.
    pub bytes: String,
    /// What was sent.
    pub text: String,
}

/// Asks for the latest; or says why they cannot be had.
pub type Letters = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<Letter>, String>> + Send + Sync>;

#[derive(Template)]
#[template(path = "dashboard/letters.html")]
struct Page {
    why_not: String,
    letters: Vec<Letter>,
}

/// `GET /dashboard/letters`.
pub async fn page(dashboard: extract::State<Dashboard>, Warden(seat): Warden) -> Answer {
    let audit = &dashboard.api.audit;
    let noted = audit.note(&seat.who, seat.address, Action::LettersRead, None, &json!({})).await;
    noted.map_err(|fault| seat.fault(fault))?;
    let found = match &dashboard.letters {
        Some(letters) => letters().await,
        None => Err("Nothing comes by Redis here, or what cannot be taken is only counted: redis.url, ingest.stream and \
                     ingest.dead_letters are not all set."
            .to_owned()),
    };
    let (mut letters, why_not) = match found {
        Ok(letters) => (letters, String::new()),
        Err(why) => (Vec::new(), why),
    };
    for letter in &mut letters {
        if let Some((end, _)) = letter.text.char_indices().nth(SHOWN) {
            letter.text.truncate(end);
            letter.text.push('…');
        }
    }
    let body = Page { why_not, letters }.render().unwrap_or_default();
    Ok(View { title: "Dead letters", here: "letters", live: "", body }.show(Some(&seat)))
}
