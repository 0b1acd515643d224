//! One click ends e-mails, or pushes, of a kind (RFC 8058): a page that asks, for people who follow the link; and what mail programs post.
//! The link is all that is shown: nobody logs in, and nobody learns whether somebody is known here.

use askama::Template as _;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use super::Api;
use super::problem::{Kind, Problem};
use crate::domain::{Change, Channel, Recipient};

/// The page's own form and style, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(askama::Template)]
#[template(path = "unsubscribe.html")]
struct Page<'a> {
    kind: &'a str,
    /// What of that kind ends.
    what: &'static str,
    is_done: bool,
}

fn page(kind: &str, channel: Channel, is_done: bool) -> Response {
    let what = match channel {
        Channel::Push => "push notifications",
        Channel::Sms => "text messages",
        Channel::Email | Channel::Realtime => "e-mails",
    };
    let html = Page { kind, what, is_done }.render().unwrap_or_default();
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")], Html(html))
        .into_response()
}

fn meant(api: &Api, link: &str) -> Result<(Recipient, String, Channel), Problem> {
    let broken = "This link is not one of ours, or too old. The latest message has a new one.";
    api.links.read(link).ok_or_else(|| Problem::new(Kind::NoRoute, broken))
}

/// Asks. Changes nothing: mail programs look at links before anybody clicks.
pub async fn ask(State(api): State<Api>, Path(link): Path<String>) -> Result<Response, Problem> {
    let (_, kind, channel) = meant(&api, &link)?;
    Ok(page(&kind, channel, false))
}

/// Does it.
pub async fn end(State(api): State<Api>, Path(link): Path<String>) -> Result<Response, Problem> {
    let (recipient, kind, channel) = meant(&api, &link)?;
    let known = api.choices.of(&recipient).await?;
    let rules = known.types.get(&kind).copied().unwrap_or_default().without(channel);
    let change = Change { types: [(kind.clone(), rules)].into(), is_by_link: true, ..Change::default() };
    api.choices.change(&recipient, change).await?;
    Ok(page(&kind, channel, true))
}
