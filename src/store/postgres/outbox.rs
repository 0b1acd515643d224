//! Deliveries: several nodes try, and none waits for another.

use std::collections::HashSet;
use std::marker::PhantomData;

use diesel::prelude::{ExpressionMethods, QueryDsl, QueryResult};
use diesel_async::RunQueryDsl;

use super::{Connection, DueDelivery, NewDelivery};
use crate::domain::{Channel, Timestamp};
use crate::store::postgres::statements::{HoldEntries, InsertDeliveries, NoteTried};
use crate::store::schema::deliveries;
use crate::store::types::At;
use crate::store::{State, Tried};

/// Whether nobody else takes text messages at this moment.
const ALONE: &str = "pg_try_advisory_xact_lock(hashtext('carillon'), hashtext('text messages'))";

/// The deliveries over `channel` that are due and that no other node is at: they are this transaction's.
pub async fn take_due(
    connection: &mut Connection,
    channel: Channel,
    most: i64,
    now: Timestamp,
) -> QueryResult<Vec<DueDelivery>> {
    if channel == Channel::Sms {
        // Each counts what others have sent. Until this transaction has ended, nobody else does; nor is anybody waited for.
        let alone = diesel::dsl::sql::<diesel::sql_types::Bool>(ALONE);
        if !diesel::select(alone).get_result::<bool>(connection).await? {
            return Ok(Vec::new());
        }
    }
    let due = deliveries::table
        .filter(deliveries::channel.eq(channel.number()))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state < 2"))
        .filter(deliveries::due_at.le(At(now)))
        .order(deliveries::due_at)
        .limit(most)
        .select((deliveries::id, deliveries::recipient_id, deliveries::position, deliveries::step));
    due.for_update().skip_locked().load(connection).await
}

/// The entries of these that nobody else is at: what ends an escalation waits until this transaction has ended. Those of
/// deliveries that go out in any case are not held.
pub async fn held_entries(
    connection: &mut Connection,
    due: &[DueDelivery],
) -> QueryResult<HashSet<(i64, i64)>> {
    let place = |(_, recipient, position, _): &DueDelivery| (*recipient, *position);
    let mut held: HashSet<(i64, i64)> = due.iter().filter(|(.., step)| *step == 0).map(place).collect();
    let steps: Vec<&DueDelivery> = due.iter().filter(|(.., step)| *step > 0).collect();
    if !steps.is_empty() {
        let hold = HoldEntries {
            recipients: steps.iter().map(|(_, recipient, ..)| *recipient).collect(),
            positions: steps.iter().map(|(_, _, position, _)| *position).collect(),
            borrowed: PhantomData,
        };
        let rows: Vec<(i64, i64)> = hold.load(connection).await?;
        held.extend(rows);
    }
    Ok(held)
}

/// Makes these deliveries.
pub async fn insert_deliveries(connection: &mut Connection, all: &[NewDelivery<'_>]) -> QueryResult<()> {
    if all.is_empty() {
        return Ok(());
    }
    let insert = InsertDeliveries {
        notifications: all.iter().map(|new| new.notification.0).collect(),
        recipients: all.iter().map(|new| new.place.recipient).collect(),
        positions: all.iter().map(|new| new.place.position).collect(),
        tenants: all.iter().map(|new| new.tenant).collect(),
        channels: all.iter().map(|new| new.channel.number()).collect(),
        steps: all.iter().map(|new| new.step).collect(),
        dues: all.iter().map(|new| At(new.due_at)).collect(),
        instants: all.iter().map(|new| At(new.placed_at)).collect(),
        borrowed: PhantomData,
    };
    insert.execute(connection).await?;
    Ok(())
}

/// Notes attempts that count; tells of which deliveries.
pub async fn note_tried(
    connection: &mut Connection,
    all: &[Tried],
    now: Timestamp,
) -> QueryResult<HashSet<i64>> {
    if all.is_empty() {
        return Ok(HashSet::new());
    }
    let note = NoteTried {
        ids: all.iter().map(|one| one.id).collect(),
        attempts: all.iter().map(|one| one.attempt).collect(),
        instants: all.iter().map(|one| At(one.at)).collect(),
        took: all.iter().map(|one| one.took_ms).collect(),
        providers: all.iter().map(|one| one.provider).collect(),
        states: all.iter().map(|one| one.outcome.state().number()).collect(),
        reasons: all.iter().map(|one| one.outcome.reason()).collect(),
        provider_ids: all.iter().map(|one| one.outcome.provider_id()).collect(),
        dues: all.iter().map(|one| At(one.outcome.again(now).unwrap_or(now))).collect(),
        uncounted: all.iter().map(|one| i32::from(!one.is_asked)).collect(),
        ends: all.iter().map(|one| (one.outcome.state() != State::Waiting).then_some(At(now))).collect(),
        borrowed: PhantomData,
    };
    let noted: Vec<i64> = note.load(connection).await?;
    Ok(noted.into_iter().collect())
}
