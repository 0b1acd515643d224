//! What sockets have proved to have arrived, written down.

use std::marker::PhantomData;

use diesel::prelude::QueryResult;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

use super::Connection;
use super::statements::over_arrays;
use crate::store::Sent;
use crate::store::types::{At, Instant};

over_arrays! {
    ConfirmEntries {
        recipients: BigInt => i64,
        positions: BigInt => i64,
        sent: Instant => At,
        over: Text => &'a str,
        confirmed: Instant => At
    } -> (),
    "UPDATE inbox SET sent_at = e.sent, sent_over = e.via, confirmed_at = e.confirmed, confirmed_by = 'heartbeat' FROM ",
    ") AS e (recipient, place, sent, via, confirmed) \
     WHERE recipient_id = e.recipient AND position = e.place AND confirmed_at IS NULL"
}

over_arrays! {
    NoteHanded {
        recipients: BigInt => i64,
        positions: BigInt => i64,
        sent: Instant => At,
        over: Text => &'a str
    } -> (),
    "UPDATE inbox SET sent_at = e.sent, sent_over = e.via FROM ",
    ") AS e (recipient, place, sent, via) WHERE recipient_id = e.recipient AND position = e.place AND sent_at IS NULL"
}

/// Notes confirmations; returns how many entries were not confirmed before.
pub async fn confirm(connection: &mut Connection, entries: &[Sent]) -> QueryResult<usize> {
    let mut entries: Vec<&Sent> = entries.iter().collect();
    entries.sort_unstable_by_key(|entry| (entry.place.recipient, entry.place.position));
    let over: Vec<String> = entries.iter().map(|entry| entry.handed.way()).collect();
    let recipients: Vec<i64> = entries.iter().map(|entry| entry.place.recipient).collect();
    let positions: Vec<i64> = entries.iter().map(|entry| entry.place.position).collect();
    let sent: Vec<At> = entries.iter().map(|entry| At(entry.handed.at)).collect();
    let confirm = ConfirmEntries {
        recipients: recipients.clone(),
        positions: positions.clone(),
        sent: sent.clone(),
        over: over.iter().map(String::as_str).collect(),
        confirmed: entries.iter().map(|entry| At(entry.confirmed_at)).collect(),
        borrowed: PhantomData,
    };
    let confirmed = confirm.execute(connection).await?;
    if confirmed < entries.len() {
        // The others were confirmed where nobody knew when they had been handed out.
        let over = over.iter().map(String::as_str).collect();
        NoteHanded { recipients, positions, sent, over, borrowed: PhantomData }.execute(connection).await?;
    }
    Ok(confirmed)
}
