//! The rows of people who are known by name, and what they have behind a place.

use std::collections::HashMap;
use std::marker::PhantomData;

use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

use super::Connection;
use super::passing_over::opened;
use super::statements::{EntriesBehind, over_arrays};
use crate::domain::{Place, Position, Recipient};
use crate::store::content::{Content, notification};
use crate::store::{Entry, StoreError};

over_arrays! {
    // Each by the key, though statistics may be those of an almost empty table: what has a limit is asked for one at a time,
    // and so cannot become a walk along all people of a tenant who are held against a list.
    RowsOf {
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> (BigInt, BigInt, BigInt),
    "SELECT e.which, r.id, r.last_position FROM ",
    ") WITH ORDINALITY AS e (tenant, user_id, which) \
     CROSS JOIN LATERAL (SELECT id, last_position FROM recipients \
         WHERE tenant = e.tenant AND user_id = e.user_id LIMIT 1) AS r"
}

/// Each of `people` who has one, with its number and the last position in it.
pub async fn rows<'a>(
    connection: &mut Connection,
    people: &'a [Recipient],
) -> diesel::QueryResult<impl Iterator<Item = (&'a Recipient, i64, Position)>> {
    let asked = RowsOf {
        tenants: people.iter().map(|recipient| recipient.tenant.as_str()).collect(),
        users: people.iter().map(|recipient| recipient.user.as_str()).collect(),
        borrowed: PhantomData,
    };
    let rows: Vec<(i64, i64, i64)> = asked.load(connection).await?;
    let known =
        move |(which, row, last)| Some((people.get(usize::try_from(which - 1_i64).ok()?)?, row, last));
    Ok(rows.into_iter().filter_map(known))
}

/// See [`crate::store::Store::last_positions`].
pub async fn last_positions(
    connection: &mut Connection,
    people: &[Recipient],
) -> Result<HashMap<Recipient, Position>, StoreError> {
    Ok(rows(connection, people).await?.map(|(recipient, _, last)| (recipient.clone(), last)).collect())
}

/// What each of `people` has behind the place given with them.
pub async fn behind(
    connection: &mut Connection,
    people: &[(Recipient, Position)],
) -> Result<Vec<Vec<Entry>>, StoreError> {
    type Columns = (i64, i64, i64, bool, Content);
    let query = EntriesBehind {
        tenants: people.iter().map(|(recipient, _)| recipient.tenant.as_str()).collect(),
        users: people.iter().map(|(recipient, _)| recipient.user.as_str()).collect(),
        places: people.iter().map(|(_, served)| *served).collect(),
        borrowed: PhantomData,
    };
    let rows: Vec<Columns> = query.load(connection).await?;
    let mut behind: Vec<Vec<Entry>> = people.iter().map(|_| Vec::new()).collect();
    let places: Vec<_> =
        rows.iter().map(|(which, recipient, position, ..)| (*which, *recipient, *position)).collect();
    let told = rows.into_iter().map(|(.., is_over, content)| {
        let id = content.0;
        (id, if is_over { Ok(None) } else { notification(content).map(Some) })
    });
    let told = opened(connection, told).await?.into_iter().map(Option::flatten);
    for ((which, recipient, position), notification) in places.into_iter().zip(told) {
        if let Some(entries) = usize::try_from(which - 1).ok().and_then(|which| behind.get_mut(which)) {
            entries.push(Entry { place: Place { recipient, position }, notification });
        }
    }
    Ok(behind)
}
