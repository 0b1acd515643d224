//! What a tenant's own programs did not take, and telling them again.

use askama::Template;
use axum::extract::{self, Path};

use super::session::{Admin, Fields, Form};
use super::words::{self, count, instant};
use super::{Answer, Dashboard, View, see};
use crate::domain::Timestamp;
use crate::service::Error;
use crate::store::{MessagesSought, Replayed, State, ToldMessage};

/// Failed messages that are shown of each address.
const SHOWN: i64 = 10;

struct Message {
    uuid: String,
    event: String,
    reason: String,
    at: String,
    attempts: usize,
    last: String,
}

struct Address {
    id: i64,
    /// Its host: the rest may be a secret.
    host: String,
    description: String,
    why_not: String,
    failed: Vec<Message>,
    has_more: bool,
}

#[derive(Template)]
#[template(path = "dashboard/webhooks.html")]
struct Page<'a> {
    notice: &'a str,
    addresses: Vec<Address>,
}

fn message(one: ToldMessage) -> Message {
    let last = one.attempts.last().map(|last| {
        format!("the last at {} UTC, {}", instant(last.at), words::millis(Some(last.took_ms.into())))
    });
    Message {
        uuid: one.uuid.to_string(),
        event: one.event,
        reason: one.reason.unwrap_or_else(|| "no reason was given".to_owned()),
        at: instant(one.happened_at),
        attempts: one.attempts.len(),
        last: last.unwrap_or_default(),
    }
}

/// `GET /dashboard/webhooks`.
pub async fn page(dashboard: extract::State<Dashboard>, Admin(seat): Admin, given: Fields) -> Answer {
    let hooks = &dashboard.api.hooks;
    let mut addresses = Vec::new();
    for webhook in hooks.list(&seat.who).await.map_err(|fault| seat.fault(fault))? {
        let sought = MessagesSought { state: Some(State::Failed), before: None };
        let found = hooks.messages(&seat.who, webhook.id, sought, SHOWN).await;
        let (failed, has_more) = found.map_err(|fault| seat.fault(fault))?;
        addresses.push(Address {
            id: webhook.id,
            host: crate::service::host(&webhook.url),
            description: webhook.description,
            why_not: match (webhook.is_enabled, webhook.disabled_why) {
                (true, _) => String::new(),
                (false, Some(why)) => format!("It is told nothing any more: {why}."),
                (false, None) => "It is switched off.".to_owned(),
            },
            failed: failed.into_iter().map(message).collect(),
            has_more,
        });
    }
    let notice = match given.of("told").parse::<u32>() {
        Ok(0) => "Nothing was left to be told again.".to_owned(),
        Ok(1) => "1 message is told again. What fails anew comes back here.".to_owned(),
        Ok(many) => {
            format!("{} messages are told again. What fails anew comes back here.", count(many.into()))
        }
        Err(_) => String::new(),
    };
    let body = Page { notice: &notice, addresses }.render().unwrap_or_default();
    Ok(View { title: "Webhooks", here: "webhooks", live: "", body }.show(Some(&seat)))
}

/// `POST /dashboard/webhooks/{id}/retry`: the message that the form names, or all that has failed, for a few seconds.
pub async fn retry(
    dashboard: extract::State<Dashboard>,
    Admin(seat): Admin,
    Path(id): Path<String>,
    Form(given, _): Form,
) -> Answer {
    let id = id.parse().map_err(|_| seat.fault(Error::NoSuchWebhook))?;
    let which = match given.some("message") {
        None => Replayed::FailedSince(Timestamp::from_micros(0)),
        Some(uuid) => Replayed::One(uuid.parse().map_err(|_| seat.fault(Error::NoSuchWebhook))?),
    };
    let told = dashboard.api.hooks.replay(&seat.who, seat.address, id, which).await;
    let (many, _) = told.map_err(|fault| seat.fault(fault))?;
    Ok(see(&format!("/dashboard/webhooks?told={many}")))
}
