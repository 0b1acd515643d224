//! How much may go out to one number or address in a day, and who wants no more. Compiled twice, like `commit.rs`.
//!
//! Promise: whoever is forgotten sets no cap back. What went out to them counts for the rest of its day, by digests (decision 49).

use std::collections::HashSet;

use diesel::prelude::*;

use super::{Connection, RunQueryDsl};
use crate::domain::{
    Channel, NO_ADDRESS, NO_GUARDIAN, NO_MORE, Phone, Recipient, Timestamp, Verdict, number_unfit,
};
use crate::store::privacy::person_digests;
use crate::store::schema::{declined, deliveries, spent, stopped_numbers};
use crate::store::sealing::{as_blind, digests_of};
use crate::store::types::{At, UuidColumn};
use crate::store::{Claimed, HEEDED_DAYS, HELD_SECONDS, SmsCaps, State};

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// Rows that are stored by one statement.
const TOGETHER: usize = 1_000;

/// Text messages that went out, or are on their way: as the indexes `deliveries_texts_…` have it.
const TEXTED: &str = "deliveries.channel = 3 AND deliveries.state >= 1 AND deliveries.state <= 3";

body! {
    /// Whether one more text message may go out, and where it goes.
    pub fn to_number(
        connection: &mut Connection,
        delivery: &mut Claimed,
        caps: SmsCaps,
        now: Timestamp,
    ) -> QueryResult<Verdict> {
        let is_minor = delivery.contacts.is_minor;
        let given = delivery.wish.phone.as_ref().filter(|_| !is_minor).map(|phone| Phone::new(phone.expose()));
        if let Some(why) = given.as_ref().and_then(|given| number_unfit(given.as_ref())) {
            return Ok(Verdict::Skip(why.into()));
        }
        let phone = match given {
            Some(Ok(phone)) => phone,
            Some(Err(_)) | None => match delivery.contacts.sms() {
                Some(phone) => phone.clone(),
                None if is_minor => return Ok(Verdict::Skip(NO_GUARDIAN.into())),
                None => return Ok(Verdict::Skip("no_phone_number".into())),
            },
        };
        if let Some(why) = number_unfit(Ok(&phone)) {
            return Ok(Verdict::Skip(why.into()));
        }
        if !is_minor && delivery.contacts.has_stopped && delivery.contacts.phone.as_ref() == Some(&phone) {
            return Ok(Verdict::Skip(NO_MORE.into()));
        }
        let numbers = number_digests(&phone);
        let stopped: i64 = wait!(stopped_numbers::table
            .filter(stopped_numbers::number_digest.eq_any(&numbers))
            .filter(stopped_numbers::stopped_at.gt(At(now.plus_seconds(-HEEDED_DAYS * DAY))))
            .count()
            .get_result(connection))?;
        if stopped > 0 {
            return Ok(Verdict::Skip(NO_MORE.into()));
        }
        let since = At(now.plus_seconds(-DAY));
        let tenant = delivery.recipient.tenant.as_str();
        let lately = || {
            deliveries::table
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(TEXTED))
                .filter(deliveries::due_at.gt(since))
                .filter(deliveries::id.ne(delivery.id))
        };
        let spent = || spent::table.filter(spent::channel.eq(Channel::Sms.number())).filter(spent::at.gt(since));
        let person = person_digests(&delivery.recipient);
        for (most, which, before) in [
            (
                caps.per_number,
                lately().filter(deliveries::number_digest.eq_any(&numbers)).into_boxed(),
                spent().filter(spent::number_digest.eq_any(&numbers)).into_boxed(),
            ),
            (
                caps.per_user,
                lately().filter(deliveries::recipient_id.eq(delivery.place.recipient)).into_boxed(),
                spent().filter(spent::person_digest.eq_any(&person)).into_boxed(),
            ),
            (
                caps.per_tenant,
                lately().filter(deliveries::tenant.eq(tenant)).into_boxed(),
                spent().filter(spent::tenant.eq(tenant)).into_boxed(),
            ),
        ] {
            if most == 0 {
                continue;
            }
            let many: i64 = wait!(which.count().get_result(connection))?;
            let before: i64 = wait!(before.count().get_result(connection))?;
            if many + before >= i64::from(most) {
                return Ok(Verdict::Skip("rate_limited: as many text messages as may go out in a day did".into()));
            }
        }
        wait!(diesel::update(deliveries::table.find(delivery.id))
            .set((
                deliveries::number_digest.eq(numbers.as_slice().first()),
                deliveries::state.eq(State::UnderWay.number()),
                // However long ago its turn came, it counts from now.
                deliveries::due_at.eq(At(now.plus_seconds(HELD_SECONDS))),
                deliveries::unanswered.eq(delivery.unanswered),
                deliveries::parcel_key.eq(UuidColumn(delivery.key())),
            ))
            .execute(connection))?;
        delivery.phone = Some(phone);
        Ok(Verdict::Go)
    }
}

body! {
    /// Whether an e-mail may go out. What somebody sends to themselves goes to the address that they named: nobody has looked
    /// whether it is theirs, so it is so many in a day, by them and to that address.
    pub fn to_address(
        connection: &mut Connection,
        delivery: &Claimed,
        is_own: bool,
        most: u32,
        now: Timestamp,
    ) -> QueryResult<Verdict> {
        let Some(address) = delivery.email() else {
            let why = match (delivery.contacts.is_minor, delivery.wish.email.is_some()) {
                (true, _) => NO_GUARDIAN,
                (false, true) => NO_ADDRESS,
                (false, false) => "no_email",
            };
            return Ok(Verdict::Skip(why.into()));
        };
        if !is_own || most == 0 {
            return Ok(Verdict::Go);
        }
        let addresses = digests_of(&address.expose().to_lowercase());
        let lately = || {
            deliveries::table
                .filter(deliveries::number_digest.is_not_null())
                .filter(deliveries::due_at.gt(At(now.plus_seconds(-DAY))))
                .filter(deliveries::state.between(State::UnderWay.number(), State::Delivered.number()))
                .filter(deliveries::id.ne(delivery.id))
        };
        // As the index `deliveries_mail_to_oneself` has it.
        let mails = diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.channel = 1");
        let by_them = lately().filter(mails).filter(deliveries::recipient_id.eq(delivery.place.recipient));
        let by_them: i64 = wait!(by_them.count().get_result(connection))?;
        let to_it: i64 =
            wait!(lately().filter(deliveries::number_digest.eq_any(&addresses)).count().get_result(connection))?;
        let spent = || {
            spent::table
                .filter(spent::channel.eq(Channel::Email.number()))
                .filter(spent::at.gt(At(now.plus_seconds(-DAY))))
        };
        let person = person_digests(&delivery.recipient);
        let spent_by_them: i64 =
            wait!(spent().filter(spent::person_digest.eq_any(&person)).count().get_result(connection))?;
        let spent_to_it: i64 =
            wait!(spent().filter(spent::number_digest.eq_any(&addresses)).count().get_result(connection))?;
        if (by_them + spent_by_them).max(to_it + spent_to_it) >= i64::from(most) {
            return Ok(Verdict::Skip("rate_limited: as many e-mails as somebody may send to themselves in a day did".into()));
        }
        wait!(diesel::update(deliveries::table.find(delivery.id))
            .set((
                deliveries::number_digest.eq(addresses.as_slice().first()),
                deliveries::state.eq(State::UnderWay.number()),
                deliveries::due_at.eq(At(now.plus_seconds(HELD_SECONDS))),
            ))
            .execute(connection))?;
        Ok(Verdict::Go)
    }
}

/// What is kept of a number; after that, what was kept of it before there were keys.
pub fn number_digests(phone: &Phone) -> Vec<String> {
    digests_of(phone.expose())
}

/// What is kept of what they ended afterwards: messages of this type, over this channel.
fn declined_digests(whom: &Recipient, kind: &str, channel: Channel) -> Vec<String> {
    let (tenant, user) = (whom.tenant.as_str(), whom.user.as_str());
    digests_of(&format!("{tenant}\u{1f}{user}\u{1f}{kind}\u{1f}{}", channel.name()))
}

body! {
    /// These deliveries of `whom`, who is forgotten, are about to go: what the caps count of them stays for the rest of its day.
    pub fn keep_spent(
        connection: &mut Connection,
        whom: &Recipient,
        ids: &[i64],
        now: Timestamp,
    ) -> QueryResult<()> {
        let (texts, mails) = (Channel::Sms.number(), Channel::Email.number());
        let counted: Vec<(i32, Option<String>, At)> = wait!(deliveries::table
            .filter(deliveries::id.eq_any(ids))
            .filter(deliveries::state.between(State::UnderWay.number(), State::Delivered.number()))
            .filter(deliveries::due_at.gt(At(now.plus_seconds(-DAY))))
            .filter(
                deliveries::channel
                    .eq(texts)
                    .or(deliveries::channel.eq(mails).and(deliveries::number_digest.is_not_null())),
            )
            .select((deliveries::channel, deliveries::number_digest, deliveries::due_at))
            .load(connection))?;
        let person = person_digests(whom).swap_remove(0);
        let rows: Vec<_> = counted
            .into_iter()
            .map(|(channel, number, at)| {
                (
                    spent::tenant.eq(whom.tenant.as_str()),
                    spent::channel.eq(channel),
                    spent::number_digest.eq(number.as_deref().map(as_blind)),
                    spent::person_digest.eq(person.clone()),
                    spent::at.eq(at),
                )
            })
            .collect();
        for some in rows.chunks(TOGETHER) {
            wait!(diesel::insert_into(spent::table).values(some.to_vec()).execute(connection))?;
        }
        Ok(())
    }
}

body! {
    /// What counts no longer goes.
    pub fn forget_spent(connection: &mut Connection, now: Timestamp) -> QueryResult<()> {
        let over = spent::table.filter(spent::at.le(At(now.plus_seconds(-DAY))));
        wait!(diesel::delete(over).execute(connection))?;
        Ok(())
    }
}

body! {
    /// Somebody of whom nothing is kept wants no more messages of this type over this channel.
    pub fn decline(
        connection: &mut Connection,
        whom: &Recipient,
        kind: &str,
        channel: Channel,
        now: Timestamp,
    ) -> QueryResult<()> {
        let digest = declined_digests(whom, kind, channel).swap_remove(0);
        let row = (declined::person_digest.eq(digest), declined::at.eq(At(now)));
        wait!(diesel::insert_into(declined::table).values(row).on_conflict_do_nothing().execute(connection))?;
        Ok(())
    }
}

body! {
    /// Which of these messages their recipients ended after they were forgotten: by recipient and type.
    pub fn ended(
        connection: &mut Connection,
        all: &[(Recipient, String)],
        channel: Channel,
    ) -> QueryResult<HashSet<(Recipient, String)>> {
        let digests = |one: &(Recipient, String)| declined_digests(&one.0, &one.1, channel);
        let known: Vec<String> = wait!(declined::table
            .filter(declined::person_digest.eq_any(all.iter().flat_map(digests).collect::<Vec<_>>()))
            .select(declined::person_digest)
            .load(connection))?;
        let is_known = |one: &&(Recipient, String)| digests(one).iter().any(|digest| known.contains(digest));
        Ok(match known.is_empty() {
            true => HashSet::new(),
            false => all.iter().filter(is_known).cloned().collect(),
        })
    }
}
