//! Writes of webhooks. Compiled twice, as `commit.rs` is.

use std::collections::BTreeMap;
use std::slice;

use diesel::prelude::*;
use serde_json::json;

use super::commit::was_done;
use super::recur::clock;
use super::telling::of_alert;
use super::webhook_claims::claim;
use super::{Connection, Memory, RunQueryDsl, ago, now as present, record};
use crate::domain::{Action, Deed, TEST_EVENT, Tenant, Timestamp};
use crate::store::schema::{webhook_attempts, webhook_messages, webhooks};
use crate::store::sealing::{Sealed, SealedStr};
use crate::store::types::{At, UuidColumn};
use crate::store::webhooks::{Again, NewWebhook, WebhookChange, WebhookKept, WebhookWrite, written_events};
use crate::store::{Outcome, State, WebhookTried, Written};

/// The address of this number, if it is this tenant's.
#[diesel::dsl::auto_type]
fn this<'a>(id: i64, tenant: &'a str) -> _ {
    webhooks::table.filter(webhooks::id.eq(id)).filter(webhooks::tenant.eq(tenant))
}

body! {
    /// Does something with webhooks.
    pub fn of_webhooks(
        connection: &mut Connection,
        memory: &mut Memory,
        write: &WebhookWrite,
    ) -> QueryResult<Written> {
        let kept = match write {
            WebhookWrite::Make { new, most, deed } => wait!(make(connection, new, *most, deed))?,
            WebhookWrite::Change { id, change, deed } => {
                wait!(change_one(connection, *id, change, deed.tenant.as_str(), At(deed.at)))?
            }
            WebhookWrite::Remove { id, deed } if wait!(was_done(connection, deed))? => WebhookKept::Done(*id),
            WebhookWrite::Remove { id, deed } => {
                let removed = diesel::delete(this(*id, deed.tenant.as_str()));
                kept(*id, wait!(removed.execute(connection))?)
            }
            WebhookWrite::Rotate { id, secret, until, deed } => {
                // Nobody else's until the commit.
                let held = diesel::update(this(*id, deed.tenant.as_str()));
                let held = held.set(webhooks::updated_at.eq(webhooks::updated_at)).returning(webhooks::secret);
                let known: Option<Sealed> = wait!(held.get_result(connection)).optional()?;
                // The same once more must not end the former one.
                if known.as_ref().is_some_and(|known| known.0 != secret.expose()) {
                    let rotated = diesel::update(this(*id, deed.tenant.as_str())).set((
                        webhooks::former_secret.eq(webhooks::secret.nullable()),
                        webhooks::former_until.eq(At(*until)),
                        webhooks::secret.eq(SealedStr(secret.expose())),
                        webhooks::updated_at.eq(At(deed.at)),
                    ));
                    wait!(rotated.execute(connection))?;
                }
                kept(*id, usize::from(known.is_some()))
            }
            WebhookWrite::Test { id, uuid, deed } => {
                let found: i64 = wait!(this(*id, deed.tenant.as_str()).count().get_result(connection))?;
                if found > 0 && !wait!(was_done(connection, deed))? {
                    wait!(diesel::insert_into(webhook_messages::table)
                        .values((
                            webhook_messages::uuid.eq(UuidColumn(*uuid)),
                            webhook_messages::webhook_id.eq(*id),
                            webhook_messages::event.eq(TEST_EVENT),
                            webhook_messages::data.eq(json!({"webhook_id": id}).to_string()),
                            webhook_messages::happened_at.eq(At(deed.at)),
                            webhook_messages::due_at.eq(present()),
                        ))
                        .execute(connection))?;
                }
                kept(*id, usize::from(found > 0))
            }
            WebhookWrite::Replay { id, which, deed } => wait!(replay(connection, *id, which, deed))?,
            WebhookWrite::Alert { tenant, at, data } => {
                wait!(of_alert(connection, memory, tenant.as_str(), *at, data))?;
                return Ok(Written::Done);
            }
            WebhookWrite::Claim { wanted } => {
                let claimed = wait!(claim(connection, wanted))?;
                return Ok(Written::Messages(claimed.into()));
            }
            WebhookWrite::Tried { all, longest } => {
                let counted = wait!(tried(connection, memory, all, *longest))?;
                return Ok(Written::Changed(counted));
            }
            WebhookWrite::Clear { age, most } => {
                return Ok(Written::Changed(wait!(clear(connection, *age, *most))?));
            }
        };
        memory.listeners.forget();
        wait!(note(connection, write, kept))?;
        Ok(Written::Webhook(kept))
    }
}

fn kept(id: i64, changed: usize) -> WebhookKept {
    if changed > 0 { WebhookKept::Done(id) } else { WebhookKept::Unknown }
}

body! {
    /// Writes down in the audit log what was done, once.
    fn note(connection: &mut Connection, write: &WebhookWrite, kept: WebhookKept) -> QueryResult<()> {
        let (WebhookWrite::Make { deed, .. }
        | WebhookWrite::Change { deed, .. }
        | WebhookWrite::Remove { deed, .. }
        | WebhookWrite::Rotate { deed, .. }
        | WebhookWrite::Test { deed, .. }
        | WebhookWrite::Replay { deed, .. }) = write
        else {
            return Ok(());
        };
        let deed = match kept {
            WebhookKept::Unknown | WebhookKept::TooMany => return Ok(()),
            WebhookKept::Done(id) => Deed { subject: Some(format!("webhook:{id}")), ..deed.clone() },
            WebhookKept::Replayed(_) => deed.clone(),
        };
        if !wait!(was_done(connection, &deed))? {
            wait!(record(connection, slice::from_ref(&deed)))?;
        }
        Ok(())
    }
}

body! {
    fn make(connection: &mut Connection, new: &NewWebhook, most: i64, deed: &Deed) -> QueryResult<WebhookKept> {
        let (tenant, at) = (deed.tenant.as_str(), At(deed.at));
        let own = || webhooks::table.filter(webhooks::tenant.eq(tenant));
        // By a commit whose answer was lost.
        let then = own().filter(webhooks::created_at.eq(at)).order(webhooks::id.desc());
        let then: Vec<(i64, Sealed)> = wait!(then.select((webhooks::id, webhooks::secret)).load(connection))?;
        if let Some((id, _)) = then.iter().find(|(_, secret)| secret.0 == new.secret.expose()) {
            return Ok(WebhookKept::Done(*id));
        }
        let many: i64 = wait!(own().count().get_result(connection))?;
        if many >= most {
            return Ok(WebhookKept::TooMany);
        }
        let id: i64 = wait!(diesel::insert_into(webhooks::table)
            .values((
                webhooks::tenant.eq(tenant),
                webhooks::url.eq(SealedStr(&new.url)),
                webhooks::description.eq(&new.description),
                webhooks::events.eq(new.events.as_deref().map(written_events)),
                webhooks::is_enabled.eq(1),
                webhooks::secret.eq(SealedStr(new.secret.expose())),
                webhooks::created_at.eq(at),
                webhooks::updated_at.eq(at),
            ))
            .returning(webhooks::id)
            .get_result(connection))?;
        Ok(WebhookKept::Done(id))
    }
}

body! {
    fn change_one(
        connection: &mut Connection,
        id: i64,
        change: &WebhookChange,
        tenant: &str,
        at: At,
    ) -> QueryResult<WebhookKept> {
        let one = this(id, tenant);
        let found = wait!(diesel::update(one).set(webhooks::updated_at.eq(at)).execute(connection))?;
        if let Some(url) = &change.url {
            wait!(diesel::update(one).set(webhooks::url.eq(SealedStr(url))).execute(connection))?;
        }
        if let Some(description) = &change.description {
            wait!(diesel::update(one).set(webhooks::description.eq(description)).execute(connection))?;
        }
        if let Some(events) = &change.events {
            let events = events.as_deref().map(written_events);
            wait!(diesel::update(one).set(webhooks::events.eq(events)).execute(connection))?;
        }
        if let Some(is_enabled) = change.is_enabled {
            let anew = (
                webhooks::is_enabled.eq(i32::from(is_enabled)),
                webhooks::disabled_why.eq(None::<String>),
                webhooks::failing_since.eq(None::<At>),
            );
            wait!(diesel::update(one).set(anew).execute(connection))?;
        }
        Ok(kept(id, found))
    }
}

body! {
    fn replay(connection: &mut Connection, id: i64, which: &Again, deed: &Deed) -> QueryResult<WebhookKept> {
        let found: i64 = wait!(this(id, deed.tenant.as_str()).count().get_result(connection))?;
        if found == 0 {
            return Ok(WebhookKept::Unknown);
        }
        let anew = (
            webhook_messages::state.eq(State::Waiting.number()),
            webhook_messages::since.eq(webhook_messages::attempt),
            webhook_messages::due_at.eq(present()),
            webhook_messages::finished_at.eq(None::<At>),
        );
        let own = webhook_messages::table.filter(webhook_messages::webhook_id.eq(id));
        let many = match which {
            Again::One(uuid) => {
                let one = own
                    .filter(webhook_messages::uuid.eq(UuidColumn(*uuid)))
                    .filter(webhook_messages::state.ne(State::UnderWay.number()));
                wait!(diesel::update(one).set(anew).execute(connection))?
            }
            Again::Failed(ids) => {
                let failed = own
                    .filter(webhook_messages::id.eq_any(ids))
                    .filter(webhook_messages::state.eq(State::Failed.number()));
                wait!(diesel::update(failed).set(anew).execute(connection))?
            }
        };
        match which {
            Again::One(_) if many == 0 => Ok(WebhookKept::Unknown),
            _ => Ok(WebhookKept::Replayed(many)),
        }
    }
}

/// Attempts of one message that are no passing fault: after a long silence, the first one says little.
const LASTING: i32 = 3;

/// What an address's answers say together.
#[derive(Default)]
struct Said<'a> {
    took: bool,
    gone: Option<&'a str>,
    /// Whether one of these attempts was no passing fault: others of the same message came before it.
    is_lasting: bool,
}

body! {
    fn tried(
        connection: &mut Connection,
        memory: &mut Memory,
        all: &[WebhookTried],
        longest: i64,
    ) -> QueryResult<usize> {
        let now = wait!(clock(connection))?;
        let mut counted = 0;
        let mut said: BTreeMap<i64, Said<'_>> = BTreeMap::new();
        for one in all {
            let state = one.outcome.state();
            let due_at = one.outcome.again(now).unwrap_or(now);
            let mine = webhook_messages::table
                .filter(webhook_messages::id.eq(one.id))
                .filter(webhook_messages::attempt.eq(one.attempt))
                .filter(webhook_messages::state.eq(State::UnderWay.number()));
            let webhook: Option<(i64, i32)> = wait!(diesel::update(mine)
                .set((
                    webhook_messages::state.eq(state.number()),
                    webhook_messages::due_at.eq(At(due_at)),
                    webhook_messages::reason.eq(one.outcome.reason()),
                    webhook_messages::finished_at.eq((state != State::Waiting).then_some(At(now))),
                ))
                .returning((webhook_messages::webhook_id, webhook_messages::since))
                .get_result(connection))
            .optional()?;
            let Some((webhook, since)) = webhook else { continue };
            if let Outcome::Later(..) = one.outcome {
                // Nobody was asked.
                let this = webhook_messages::table.find(one.id);
                let uncounted = webhook_messages::since.eq(webhook_messages::since + 1);
                wait!(diesel::update(this).set(uncounted).execute(connection))?;
                continue;
            }
            wait!(diesel::insert_into(webhook_attempts::table)
                .values((
                    webhook_attempts::message_id.eq(one.id),
                    webhook_attempts::attempt.eq(one.attempt),
                    webhook_attempts::at.eq(At(one.at)),
                    webhook_attempts::took_ms.eq(one.took_ms),
                    webhook_attempts::state.eq(state.number()),
                    webhook_attempts::reason.eq(one.outcome.reason()),
                ))
                .execute(connection))?;
            counted += 1;
            let said = said.entry(webhook).or_default();
            said.is_lasting |= state == State::Failed || one.attempt - since >= LASTING;
            match &one.outcome {
                Outcome::Sent(_) => said.took = true,
                Outcome::Gone(why) => said.gone = Some(why),
                _ => {}
            }
        }
        for (webhook, Said { took, gone, is_lasting }) in said {
            let one = webhooks::table.filter(webhooks::id.eq(webhook));
            if took {
                let failing = one.filter(webhooks::failing_since.is_not_null());
                wait!(diesel::update(failing).set(webhooks::failing_since.eq(None::<At>)).execute(connection))?;
            } else {
                let well = one.filter(webhooks::failing_since.is_null());
                wait!(diesel::update(well).set(webhooks::failing_since.eq(At(now))).execute(connection))?;
            }
            let long = one.filter(webhooks::failing_since.le(ago(longest).nullable()));
            let failing: i64 = wait!(long.count().get_result(connection))?;
            let why = match gone {
                Some(_) => gone,
                None if !took && is_lasting && failing > 0 => Some("it has taken nothing for too long"),
                None => None,
            };
            if let Some(why) = why {
                memory.listeners.forget();
                wait!(disable(connection, webhook, why, now))?;
            }
        }
        Ok(counted)
    }
}

body! {
    /// An address is told nothing any more, until somebody enables it again.
    fn disable(connection: &mut Connection, webhook: i64, why: &str, now: Timestamp) -> QueryResult<()> {
        let one = webhooks::table.filter(webhooks::id.eq(webhook)).filter(webhooks::is_enabled.eq(1));
        let tenant: Option<String> = wait!(diesel::update(one)
            .set((
                webhooks::is_enabled.eq(0),
                webhooks::disabled_why.eq(why),
                webhooks::updated_at.eq(At(now)),
            ))
            .returning(webhooks::tenant)
            .get_result(connection))
        .optional()?;
        let Some(tenant) = tenant else { return Ok(()) };
        let unreadable = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
        let deed = Deed {
            at: now,
            tenant: Tenant::new(&tenant).map_err(unreadable)?,
            actor: None,
            action: Action::WebhookDisable,
            subject: Some(format!("webhook:{webhook}")),
            detail: json!({"reason": why}).to_string(),
            address: None,
        };
        wait!(record(connection, &[deed]))
    }
}

body! {
    fn clear(connection: &mut Connection, age: i64, most: i64) -> QueryResult<usize> {
        let ended = webhooks::table.filter(webhooks::former_until.lt(present().nullable()));
        let none = (webhooks::former_secret.eq(None::<Sealed>), webhooks::former_until.eq(None::<At>));
        wait!(diesel::update(ended).set(none).execute(connection))?;
        let ids: Vec<i64> = wait!(webhook_messages::table
            .filter(webhook_messages::happened_at.lt(ago(age)))
            .order(webhook_messages::happened_at)
            .limit(most)
            .select(webhook_messages::id)
            .load(connection))?;
        if ids.is_empty() {
            return Ok(0);
        }
        let tries = webhook_attempts::table.filter(webhook_attempts::message_id.eq_any(&ids));
        wait!(diesel::delete(tries).execute(connection))?;
        let messages = webhook_messages::table.filter(webhook_messages::id.eq_any(&ids));
        wait!(diesel::delete(messages).execute(connection))
    }
}
