//! Taking messages to webhooks whose turn has come. Compiled twice, as `commit.rs` is.
//!
//! Promise: one whose address or secret cannot be opened holds up no other. It is given up with the reason, or left to a node
//! that has its key.

use diesel::prelude::*;

use super::hooked::due_messages;
use super::opening::{ELSEWHERE, is_of_others};
use super::recur::clock;
use super::{Connection, RunQueryDsl};
use crate::domain::{Secret, Timestamp};
use crate::store::content::open;
use crate::store::schema::{webhook_messages, webhooks};
use crate::store::sealing::{Opening, Unopened};
use crate::store::types::{At, UuidColumn};
use crate::store::{HELD_SECONDS, State, WebhookMessage};

type Address = (i64, Opening, Opening, Option<Opening>, Option<At>);
type Row = (i64, UuidColumn, Address, Opening, Opening, At, i32, i32);

/// The message, unless its address or secret does not open.
fn message(
    (id, UuidColumn(uuid), address, event, data, At(happened_at), attempt, since): Row,
    now: Timestamp,
) -> Result<WebhookMessage, (i64, Unopened)> {
    let shut = |why| (id, why);
    let (webhook, url, secret, former, until) = address;
    let (event, data) = (event.0.map_err(shut)?, data.0.map_err(shut)?);
    let (url, secret) = (url.0.map_err(shut)?, secret.0.map_err(shut)?);
    let former = open(former).map_err(shut)?.filter(|_| until.is_some_and(|until| until.0 > now));
    let secrets = [Some(secret), former].into_iter().flatten().map(Secret::new).collect();
    Ok(WebhookMessage { id, uuid, webhook, url, secrets, event, data, happened_at, attempt, since })
}

body! {
    /// Takes of each of these webhooks at most so many messages that are due.
    pub fn claim(connection: &mut Connection, wanted: &[(i64, i64)]) -> QueryResult<Vec<WebhookMessage>> {
        let now = wait!(clock(connection))?;
        let mut ids: Vec<i64> = Vec::new();
        for (webhook, most) in wanted {
            ids.extend(wait!(due_messages(connection, *webhook, *most, now))?);
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        wait!(diesel::update(webhook_messages::table.filter(webhook_messages::id.eq_any(&ids)))
            .set((
                webhook_messages::state.eq(State::UnderWay.number()),
                webhook_messages::attempt.eq(webhook_messages::attempt + 1),
                webhook_messages::due_at.eq(At(now.plus_seconds(HELD_SECONDS))),
            ))
            .execute(connection))?;
        let rows: Vec<Row> = wait!(webhook_messages::table
            .inner_join(webhooks::table)
            .filter(webhook_messages::id.eq_any(&ids))
            .filter(webhooks::is_enabled.eq(1))
            .order(webhook_messages::id)
            .select((
                webhook_messages::id,
                webhook_messages::uuid,
                (webhooks::id, webhooks::url, webhooks::secret, webhooks::former_secret, webhooks::former_until),
                webhook_messages::event,
                webhook_messages::data,
                webhook_messages::happened_at,
                webhook_messages::attempt,
                webhook_messages::since,
            ))
            .load(connection))?;
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            match message(row, now) {
                Ok(message) => messages.push(message),
                Err((id, why)) => wait!(give_up(connection, id, &why, now))?,
            }
        }
        Ok(messages)
    }
}

body! {
    fn give_up(connection: &mut Connection, id: i64, why: &Unopened, now: Timestamp) -> QueryResult<()> {
        let this = webhook_messages::table.find(id);
        // Nobody was asked.
        let uncounted = webhook_messages::since.eq(webhook_messages::since + 1);
        if wait!(is_of_others(connection, why))? {
            let later = webhook_messages::due_at.eq(At(now.plus_seconds(ELSEWHERE)));
            let waits = webhook_messages::state.eq(State::Waiting.number());
            wait!(diesel::update(this).set((waits, later, uncounted)).execute(connection))?;
            return Ok(());
        }
        let why = format!("its address or secret: {why}");
        wait!(diesel::update(this)
            .set((
                webhook_messages::state.eq(State::Failed.number()),
                webhook_messages::reason.eq(why),
                webhook_messages::finished_at.eq(At(now)),
                uncounted,
            ))
            .execute(connection))?;
        Ok(())
    }
}
