//! How much may go out to one number or address in a day, and who wants no more. Compiled twice, like `commit.rs`.

use diesel::prelude::*;

use super::{Connection, RunQueryDsl};
use crate::domain::{Digest, NO_ADDRESS, NO_GUARDIAN, Phone, Timestamp, Verdict, number_unfit};
use crate::store::schema::{deliveries, stopped_numbers};
use crate::store::sealing::blind;
use crate::store::types::{At, UuidColumn};
use crate::store::{Claimed, HELD_SECONDS, SmsCaps, State};

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// How long STOP is heeded of a number that is nobody's: whoever owns it may have taken that back since.
const HEEDED_DAYS: i64 = 30;

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
            return Ok(Verdict::Skip("no_phone_number: its owner wants no more".into()));
        }
        let numbers = number_digests(&phone);
        let stopped: i64 = wait!(stopped_numbers::table
            .filter(stopped_numbers::number_digest.eq_any(&numbers))
            .filter(stopped_numbers::stopped_at.gt(At(now.plus_seconds(-HEEDED_DAYS * DAY))))
            .count()
            .get_result(connection))?;
        if stopped > 0 {
            return Ok(Verdict::Skip("no_phone_number: its owner wants no more".into()));
        }
        let since = At(now.plus_seconds(-DAY));
        let lately = || {
            deliveries::table
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(TEXTED))
                .filter(deliveries::due_at.gt(since))
                .filter(deliveries::id.ne(delivery.id))
        };
        for (most, which) in [
            (caps.per_number, lately().filter(deliveries::number_digest.eq_any(&numbers)).into_boxed()),
            (caps.per_user, lately().filter(deliveries::recipient_id.eq(delivery.place.recipient)).into_boxed()),
            (caps.per_tenant, lately().filter(deliveries::tenant.eq(delivery.recipient.tenant.as_str())).into_boxed()),
        ] {
            let many: i64 = match most {
                0 => continue,
                _ => wait!(which.count().get_result(connection))?,
            };
            if many >= i64::from(most) {
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
        if by_them.max(to_it) >= i64::from(most) {
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

fn digests_of(contact: &str) -> Vec<String> {
    let digest: String = Digest::of(&[contact]).0.iter().map(|byte| format!("{byte:02x}")).collect();
    blind(&digest)
}
