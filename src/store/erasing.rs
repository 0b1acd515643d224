//! Forgetting somebody, a part in each commit; and what people agree to. Compiled twice, like `commit.rs`.
//!
//! Promise: what is for others, too, stays theirs; what is left of the person anywhere is a pseudonym, whose secret goes with
//! the last part.

use std::slice;

use diesel::prelude::*;

use super::capping::{forget_spent, keep_spent};
use super::chaining::keep_sealers_out;
use super::leaving_out::{expansion, recurs, unbook};
use super::opening::leave_to_others;
use super::recur::clock;
use super::{Connection, Memory, RunQueryDsl, preferences_of, record, row_of, sweep};
use crate::domain::pseudonym::{Of, pseudonym};
use crate::domain::{Action, Channel, Contacts, Recipient, SaidBy};
use crate::store::Sweep;
use crate::store::audit_chain::secret as new_secret;
use crate::store::content::open;
use crate::store::erasure::{AGAIN, Part, PrivacyWrite, Removed};
use crate::store::schema::{
    audit_log, audit_people, connections, consents, counts, deferrals, deliveries, delivery_attempts,
    digest_subscriptions, digests, disclosures, expansions, inbox, notifications, push_subscriptions,
    recipients, recurring, roles, subscriptions, template_versions, webhook_attempts, webhook_messages,
};
use crate::store::sealing::{Opening, Sealed, SealedStr, legible};
use crate::store::types::At;
use crate::store::write::Written;

/// Deliveries that one statement removes.
const TOGETHER: i64 = 5_000;

body! {
    /// Does it.
    pub fn of_privacy(connection: &mut Connection, memory: &mut Memory, write: &PrivacyWrite) -> QueryResult<Written> {
        match write {
            PrivacyWrite::Consent { recipient, said, how, actor, note, deed } => {
                // Theirs until the commit.
                wait!(preferences_of(connection, memory, recipient))?;
                let row = wait!(row_of(connection, memory, recipient))?;
                let this = recipients::table.find(row);
                let stored: Option<Opening> = wait!(this.select(recipients::contacts).get_result(connection))?;
                let stored = open(stored);
                if let Err(why) = &stored {
                    wait!(leave_to_others(connection, why))?;
                }
                let is_shut = stored.is_err();
                let stored = stored.unwrap_or_default();
                let mut contacts = stored.as_deref().map(Contacts::from_stored).unwrap_or_default();
                let from = (actor.as_deref(), note.as_deref());
                for (channel, is_given) in said {
                    contacts.consents = contacts.consents.with(*channel, *is_given);
                    wait!(note_consent(connection, recipient, row, (*channel, "", *is_given), *how, from))?;
                }
                // Contacts that cannot be read stay, for who restores them; what was said is in the history all the same.
                if !is_shut {
                    let text = contacts.to_stored();
                    wait!(diesel::update(this).set(recipients::contacts.eq(Sealed(text))).execute(connection))?;
                }
                wait!(record(connection, slice::from_ref(deed)))?;
                Ok(Written::Reachable(contacts.into()))
            }
            PrivacyWrite::Seen { deed, about } => {
                wait!(record(connection, slice::from_ref(deed)))?;
                let seen = |about: &String| {
                    (
                        disclosures::tenant.eq(deed.tenant.as_str()),
                        disclosures::at.eq(At(deed.at)),
                        disclosures::about.eq(about.clone()),
                        disclosures::recipient.eq(deed.actor.as_deref().unwrap_or_default()),
                        disclosures::action.eq(deed.action.name()),
                        disclosures::kind.eq(""),
                    )
                };
                let rows: Vec<_> = about.iter().map(seen).collect();
                wait!(diesel::insert_into(disclosures::table).values(rows).execute(connection))?;
                Ok(Written::Done)
            }
            PrivacyWrite::Clear => {
                let now = wait!(clock(connection))?;
                wait!(forget_spent(connection, now))?;
                Ok(Written::Done)
            }
            PrivacyWrite::Erase { whom, part } => {
                Ok(Written::Erased(wait!(erase(connection, memory, whom, part))?.into()))
            }
        }
    }
}

body! {
    /// Adds to what somebody said of a channel, and of a type of notifications.
    pub fn note_consent(
        connection: &mut Connection,
        recipient: &Recipient,
        row: i64,
        (channel, kind, is_given): (Channel, &str, bool),
        how: SaidBy,
        (actor, note): (Option<&str>, Option<&str>),
    ) -> QueryResult<()> {
        let now = wait!(clock(connection))?;
        let said = (
            consents::tenant.eq(recipient.tenant.as_str()),
            consents::recipient_id.eq(row),
            consents::channel.eq(channel.number()),
            consents::kind.eq(kind),
            consents::is_given.eq(i32::from(is_given)),
            consents::at.eq(At(now)),
            consents::how.eq(how.name()),
            consents::actor.eq(actor),
            consents::note.eq(note),
        );
        wait!(diesel::insert_into(consents::table).values(said).execute(connection))?;
        Ok(())
    }
}

body! {
    fn erase(connection: &mut Connection, memory: &mut Memory, whom: &Recipient, part: &Part) -> QueryResult<Removed> {
        match part {
            Part::Begin => wait!(begin(connection, whom)),
            Part::Entries { row, places, alone } => wait!(entries(connection, whom, *row, places, alone)),
            Part::Messages(ids) => wait!(messages(connection, ids)),
            Part::Expansions(ids) => {
                let mut many = 0;
                for id in ids {
                    many += wait!(expansion(connection, whom, *id))?;
                }
                Ok(vec![("expansions", many)])
            }
            Part::Recurring(ids) => {
                let mut many = 0;
                for id in ids {
                    many += wait!(recurs(connection, whom, *id))?;
                }
                Ok(vec![("recurring", many)])
            }
            Part::Sent(ids, secret) => {
                let other = pseudonym(secret, Of::Name, whom.user.as_str());
                let sent = notifications::table.filter(notifications::id.eq_any(ids));
                // Their name is part of the key, too.
                let nobody = (
                    notifications::sender.eq(other),
                    notifications::idempotency_key.eq(None::<Vec<u8>>),
                    notifications::request_digest.eq(None::<Vec<u8>>),
                );
                let many = wait!(diesel::update(sent).set(nobody).execute(connection))?;
                Ok(vec![("notifications.sender", many)])
            }
            Part::Booked(ids, secret) => {
                let mut many = 0;
                for id in ids {
                    many += wait!(unbook(connection, whom, *id, secret))?;
                }
                Ok(vec![("notifications.user", many)])
            }
            Part::Audit(ids, secret) => {
                if !wait!(is_secret(connection, whom, secret))? {
                    return Ok(vec![(AGAIN, 1)]);
                }
                let rows = wait!(audit_log::table
                    .filter(audit_log::id.eq_any(ids))
                    .select((audit_log::id, audit_log::actor, audit_log::action, audit_log::subject, audit_log::address))
                    .load(connection))?;
                Ok(vec![("audit_log", wait!(disguise(connection, whom, secret, rows))?)])
            }
            Part::Person { secret, audited, deed } => {
                let Some(mut removed) = wait!(person(connection, memory, whom, secret, *audited))? else {
                    return Ok(vec![(AGAIN, 1)]);
                };
                if let Some(deed) = deed {
                    let mut deed = deed.clone();
                    let other = pseudonym(secret, Of::Name, whom.user.as_str());
                    if deed.actor.as_deref() == Some(whom.user.as_str()) {
                        deed.actor = Some(other.clone());
                        deed.address = None;
                    }
                    deed.subject = Some(other);
                    wait!(record(connection, &[deed]))?;
                }
                removed.retain(|(_, many)| *many > 0);
                Ok(removed)
            }
        }
    }
}

body! {
    /// Sees to it that there is a secret, of which all pseudonyms of theirs are made.
    fn begin(connection: &mut Connection, whom: &Recipient) -> QueryResult<Removed> {
        let Some(secret) = new_secret() else {
            return Err(diesel::result::Error::SerializationError("the system gives no random bytes".into()));
        };
        // Before the person's row: whoever seals takes them in this order, too.
        wait!(keep_sealers_out(connection))?;
        let row = (
            audit_people::tenant.eq(whom.tenant.as_str()),
            audit_people::name.eq(whom.user.as_str()),
            audit_people::secret.eq(secret),
        );
        wait!(diesel::insert_into(audit_people::table).values(row).on_conflict_do_nothing().execute(connection))?;
        Ok(Vec::new())
    }
}

body! {
    /// Whether this is their secret, still; then it is until the commit.
    fn is_secret(connection: &mut Connection, whom: &Recipient, secret: &[u8]) -> QueryResult<bool> {
        let this = audit_people::table
            .filter(audit_people::tenant.eq(whom.tenant.as_str()))
            .filter(audit_people::name.eq(whom.user.as_str()))
            .filter(audit_people::secret.eq(secret));
        let same = audit_people::secret.eq(audit_people::secret);
        Ok(wait!(diesel::update(this).set(same).execute(connection))? > 0)
    }
}

body! {
    fn entries(
        connection: &mut Connection,
        whom: &Recipient,
        row: i64,
        places: &[(i64, i64)],
        alone: &[i64],
    ) -> QueryResult<Removed> {
        let (positions, ids): (Vec<i64>, Vec<i64>) = places.iter().copied().unzip();
        let (gone, tries) = wait!(unsend(connection, whom, row, &ids))?;
        let here = inbox::table.filter(inbox::recipient_id.eq(row)).filter(inbox::position.eq_any(positions));
        let held = wait!(diesel::delete(here).execute(connection))?;
        let contents = wait!(contents(connection, alone))?;
        let of_deliveries = [("deliveries", gone), ("delivery_attempts", tries)];
        Ok([("inbox", held), ("notifications", contents)].into_iter().chain(of_deliveries).collect())
    }
}

body! {
    /// Nothing is known any more of what of these went out to somebody, or was to: of all, if none is named.
    fn unsend(
        connection: &mut Connection,
        whom: &Recipient,
        row: i64,
        ids: &[i64],
    ) -> QueryResult<(usize, usize)> {
        let (mut removed, mut tries) = (0, 0);
        let now = wait!(clock(connection))?;
        loop {
            let theirs = deliveries::table.filter(deliveries::recipient_id.eq(row)).select(deliveries::id).limit(TOGETHER);
            let some: Vec<i64> = match ids.is_empty() {
                true => wait!(theirs.load(connection))?,
                false => wait!(theirs.filter(deliveries::notification_id.eq_any(ids)).load(connection))?,
            };
            if some.is_empty() {
                return Ok((removed, tries));
            }
            wait!(keep_spent(connection, whom, &some, now))?;
            let tried = delivery_attempts::table.filter(delivery_attempts::delivery_id.eq_any(&some));
            tries += wait!(diesel::delete(tried).execute(connection))?;
            let these = deliveries::table.filter(deliveries::id.eq_any(&some));
            removed += wait!(diesel::delete(these).execute(connection))?;
        }
    }
}

body! {
    /// Removes notifications that nobody has. The last one's number is the highest that there is: it stays, without what it said.
    pub fn contents(connection: &mut Connection, ids: &[i64]) -> QueryResult<usize> {
        if ids.is_empty() {
            return Ok(0);
        }
        let last: Option<i64> =
            wait!(notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection))?;
        let gone: Vec<i64> = ids.iter().copied().filter(|id| Some(*id) != last).collect();
        let mut many = 0;
        if !gone.is_empty() {
            many += wait!(sweep(connection, &Sweep::Notifications(gone.into())))?;
        }
        if let Some(last) = last.filter(|last| ids.contains(last)) {
            let empty = (
                notifications::topic.eq(""),
                notifications::title.eq(SealedStr("")),
                notifications::message.eq(SealedStr("")),
                notifications::data.eq(SealedStr("{}")),
                notifications::idempotency_key.eq(None::<Vec<u8>>),
                notifications::request_digest.eq(None::<Vec<u8>>),
                notifications::action_url.eq(None::<Sealed>),
                notifications::sender.eq(None::<String>),
                notifications::wish.eq(None::<Sealed>),
            );
            many += wait!(diesel::update(notifications::table.find(last)).set(empty).execute(connection))?;
            let spread = expansions::table.filter(expansions::notification_id.eq(last));
            wait!(diesel::delete(spread).execute(connection))?;
        }
        Ok(many)
    }
}

body! {
    fn messages(connection: &mut Connection, ids: &[i64]) -> QueryResult<Removed> {
        let tries = webhook_attempts::table.filter(webhook_attempts::message_id.eq_any(ids));
        wait!(diesel::delete(tries).execute(connection))?;
        let these = webhook_messages::table.filter(webhook_messages::id.eq_any(ids));
        Ok(vec![("webhook_messages", wait!(diesel::delete(these).execute(connection))?)])
    }
}

/// Of a row of the audit log: its number, actor, action, subject and address.
type Row = (i64, Option<Opening>, Opening, Option<Opening>, Option<Opening>);

body! {
    /// Puts pseudonyms where rows of the audit log name somebody. Nothing else of a row can be changed (its triggers).
    fn disguise(connection: &mut Connection, whom: &Recipient, secret: &[u8], rows: Vec<Row>) -> QueryResult<usize> {
        let user = whom.user.as_str();
        let other = pseudonym(secret, Of::Name, user);
        let mut many = 0;
        for (id, actor, action, subject, address) in rows {
            let this = audit_log::table.find(id);
            let (actor, subject) = (legible(actor), legible(subject));
            if actor.as_deref() == Some(user) {
                let address = legible(address).map(|address| pseudonym(secret, Of::Address, &address));
                let them = (audit_log::actor.eq(&other), audit_log::address.eq(address));
                many += wait!(diesel::update(this).set(them).execute(connection))?;
            }
            let is_about_person = Action::named(&action.legible()).is_some_and(Action::is_about_person);
            if is_about_person && subject.as_deref() == Some(user) {
                many += wait!(diesel::update(this).set(audit_log::subject.eq(&other)).execute(connection))?;
            }
        }
        Ok(many)
    }
}

body! {
    /// All that is left, but for entries; nothing, if there are some, or their secret went meanwhile.
    fn person(
        connection: &mut Connection,
        memory: &mut Memory,
        whom: &Recipient,
        secret: &[u8],
        audited: i64,
    ) -> QueryResult<Option<Removed>> {
        let (tenant, user) = (whom.tenant.as_str(), whom.user.as_str());
        // What is sealed until the commit would be sealed with a secret that goes.
        wait!(keep_sealers_out(connection))?;
        if !wait!(is_secret(connection, whom, secret))? {
            return Ok(None);
        }
        let mut removed = Vec::new();
        let person = recipients::table.filter(recipients::tenant.eq(tenant)).filter(recipients::user_id.eq(user));
        let row: Option<i64> = wait!(person.select(recipients::id).get_result(connection)).optional()?;
        if let Some(row) = row {
            // This transaction's until the commit: nobody gives out places there meanwhile.
            let nothing = (recipients::preferences.eq(None::<String>), recipients::contacts.eq(None::<Sealed>));
            wait!(diesel::update(recipients::table.find(row)).set(nothing).execute(connection))?;
            let left: i64 =
                wait!(inbox::table.filter(inbox::recipient_id.eq(row)).count().get_result(connection))?;
            if left > 0 {
                return Ok(None);
            }
            let (gone, tries) = wait!(unsend(connection, whom, row, &[]))?;
            removed.extend([("deliveries", gone), ("delivery_attempts", tries)]);
            macro_rules! remove {
                ($($table:ident),*) => {$(
                    let theirs = $table::table.filter($table::recipient_id.eq(row));
                    removed.push((stringify!($table), wait!(diesel::delete(theirs).execute(connection))?));
                )*};
            }
            remove!(subscriptions, roles, deferrals, counts, digest_subscriptions, digests, push_subscriptions, consents);
            let this = recipients::table.find(row);
            removed.push(("recipients", wait!(diesel::delete(this).execute(connection))?));
        }
        memory.disown(whom);
        let sockets = connections::table.filter(connections::tenant.eq(tenant)).filter(connections::user_id.eq(user));
        removed.push(("connections", wait!(diesel::delete(sockets).execute(connection))?));
        let other = pseudonym(secret, Of::Name, user);
        let about = disclosures::table.filter(disclosures::tenant.eq(tenant)).filter(disclosures::about.eq(user));
        removed.push(("disclosures", wait!(diesel::delete(about).execute(connection))?));
        let seen = disclosures::table.filter(disclosures::tenant.eq(tenant)).filter(disclosures::recipient.eq(user));
        let seen = wait!(diesel::update(seen).set(disclosures::recipient.eq(&other)).execute(connection))?;
        let by = disclosures::table.filter(disclosures::tenant.eq(tenant)).filter(disclosures::actor.eq(user));
        let by = wait!(diesel::update(by).set(disclosures::actor.eq(&other)).execute(connection))?;
        removed.push(("disclosures.names", seen + by));
        let said = consents::table.filter(consents::tenant.eq(tenant)).filter(consents::actor.eq(user));
        removed.push(("consents.actor", wait!(diesel::update(said).set(consents::actor.eq(&other)).execute(connection))?));
        let wrote = template_versions::table
            .filter(template_versions::tenant.eq(tenant))
            .filter(template_versions::author.eq(user));
        let wrote = wait!(diesel::update(wrote).set(template_versions::author.eq(&other)).execute(connection))?;
        removed.push(("template_versions.author", wrote));
        let sends = recurring::table.filter(recurring::tenant.eq(tenant)).filter(recurring::sender.eq(user));
        let sends = wait!(diesel::update(sends).set(recurring::sender.eq(&other)).execute(connection))?;
        removed.push(("recurring.sender", sends));
        let rows: Vec<Row> = wait!(audit_log::table
            .filter(audit_log::tenant.eq(tenant))
            .filter(audit_log::id.gt(audited))
            .filter(audit_log::actor.eq(user).or(audit_log::subject.eq(user)))
            .select((audit_log::id, audit_log::actor, audit_log::action, audit_log::subject, audit_log::address))
            .load(connection))?;
        removed.push(("audit_log", wait!(disguise(connection, whom, secret, rows))?));
        let theirs = audit_people::table.filter(audit_people::tenant.eq(tenant)).filter(audit_people::name.eq(user));
        wait!(diesel::delete(theirs).execute(connection))?;
        Ok(Some(removed))
    }
}
