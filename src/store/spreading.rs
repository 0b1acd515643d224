//! Puts what is for an audience into inboxes, chunk by chunk: of those who are connected first, of all others then, and
//! of whoever asks before it is their turn at once. Compiled twice, like `commit.rs`.
//!
//! Promise: everybody gets it once. Who has it is asked in the same transaction, while the expansion is this one's alone.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::result::Error as Fault;
use diesel::sql_types::Text;

use super::opening::opened;
use super::{
    Connection, Memory, RunQueryDsl, came_late, free, have, next_spread, note_progress, now, outbox, rows_of,
    spread,
};
use crate::domain::{Group, NotificationId, Recipient, Tenant, Timestamp, UserId};
use crate::store::content::{Content, content, legible, notification as shown};
use crate::store::schema::{connections, expansions, notifications, recipients, roles, subscriptions};
use crate::store::sealing::Opening;
use crate::store::types::At;
use crate::store::write::{Spread, Written};

/// People whose rows lie so far apart, on average, are looked up one by one.
const SPARSE: usize = 4;

/// An expansion that is due, as it is stored: its notification, tenant and group, the last recipient reached, when it was
/// due, and the last socket whose person has it (none: all who are connected have).
pub type Due = (i64, String, String, i64, At, Option<String>);

/// People, by their rows.
type People = Vec<(i64, Opening)>;

/// How far an expansion is after a chunk.
struct Progress {
    reached: i64,
    present: Option<String>,
    is_finished: bool,
}

fn unreadable(fault: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::DeserializationError(Box::new(fault))
}

body! {
    /// The next chunk of this notification's audience: so many people at most.
    pub fn one_chunk(
        connection: &mut Connection,
        memory: &mut Memory,
        id: NotificationId,
        most: usize,
        present: Timestamp,
    ) -> QueryResult<Option<Spread>> {
        let Some(due) = wait!(next_spread(connection, id))? else { return Ok(None) };
        let tenant = Tenant::new(&due.1).map_err(unreadable)?;
        let group: Group = serde_json::from_str(&due.2).map_err(unreadable)?;
        let (people, progress) = match &due.5 {
            Some(socket) => {
                let (people, last) = wait!(connected(connection, &tenant, &group, socket, most))?;
                (people, Progress { reached: due.3, present: last, is_finished: false })
            }
            None => {
                let people = wait!(members(connection, memory, &tenant, &group, due.3, most))?;
                let is_finished = people.len() < most;
                let reached = match group {
                    // There are no rows to go by: it is counted.
                    Group::People(_) => due.3 + people.len() as i64,
                    _ => people.last().map_or(due.3, |(row, _)| *row),
                };
                (people, Progress { reached, present: None, is_finished })
            }
        };
        let spread = wait!(give(connection, memory, &due, people, progress, present))?;
        Ok(Some(spread))
    }
}

body! {
    /// All that is due for `recipient` and has not reached them. Also whether another node is at some of it.
    pub fn reach(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: &Recipient,
        present: Timestamp,
    ) -> QueryResult<Written> {
        let (tenant, user) = (recipient.tenant.as_str(), recipient.user.as_str());
        let row: Option<i64> = wait!(recipients::table
            .filter(recipients::tenant.eq(tenant))
            .filter(recipients::user_id.eq(user))
            .select(recipients::id)
            .get_result(connection))
        .optional()?;
        let Some(row) = row else { return Ok(Written::Reached { spreads: Vec::new().into(), is_busy: false }) };
        let mut theirs = Vec::new();
        for (id, group) in wait!(due_of(connection, tenant))? {
            // The others are to be had all the same.
            let Ok(group) = serde_json::from_str::<Group>(&group.legible()) else { continue };
            let one = vec![(row, Opening(Ok(user.to_owned())))];
            let is_theirs = !wait!(of_group(connection, &recipient.tenant, &group, one))?.is_empty();
            if is_theirs && wait!(have(connection, NotificationId(id), &[row]))?.is_empty() {
                theirs.push(id);
            }
        }
        if theirs.is_empty() {
            return Ok(Written::Reached { spreads: Vec::new().into(), is_busy: false });
        }
        let free = wait!(free(connection, &theirs))?;
        let is_busy = free.len() < theirs.len();
        let mut spreads = Vec::new();
        for due in free {
            let progress = Progress { reached: due.3, present: due.5.clone(), is_finished: false };
            let people = vec![(row, Opening(Ok(user.to_owned())))];
            let spread = wait!(give(connection, memory, &due, people, progress, present))?;
            spreads.extend((!spread.places.is_empty()).then_some(spread));
        }
        Ok(Written::Reached { spreads: spreads.into(), is_busy })
    }
}

body! {
    /// What of `tenant`'s is due and has not reached everybody: its number, and whom it is for.
    fn due_of(connection: &mut Connection, tenant: &str) -> QueryResult<Vec<(i64, Opening)>> {
        wait!(expansions::table
            .filter(expansions::tenant.eq(tenant))
            .filter(expansions::finished_at.is_null())
            .filter(expansions::due_at.le(now()))
            .order((expansions::due_at, expansions::notification_id))
            .select((expansions::notification_id, expansions::audience))
            .load(connection))
    }
}

body! {
    /// The people behind the next sockets who are in `group`, and the last of those sockets, if more follow.
    fn connected(
        connection: &mut Connection,
        tenant: &Tenant,
        group: &Group,
        socket: &str,
        most: usize,
    ) -> QueryResult<(People, Option<String>)> {
        let sockets = sockets(tenant.as_str(), socket).limit(limit(most));
        let here: Vec<(String, i64, Opening)> = wait!(sockets.load(connection))?;
        let more = here.len() == most;
        let last = here.last().map(|(socket, ..)| socket.clone()).filter(|_| more);
        let mut seen = HashSet::new();
        let people = here.into_iter().filter(|(_, row, _)| seen.insert(*row));
        let people = people.map(|(_, row, user)| (row, user)).collect();
        Ok((wait!(of_group(connection, tenant, group, people))?, last))
    }
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// From which row to which these lie, if they lie close together: then all between can be asked for at once.
pub fn span(rows: &[i64]) -> Option<(i64, i64)> {
    let (first, last) = (*rows.iter().min()?, *rows.iter().max()?);
    usize::try_from(last - first).is_ok_and(|span| span < SPARSE * rows.len()).then_some((first, last))
}

/// The next sockets of a tenant, and whose they are.
#[diesel::dsl::auto_type]
pub fn sockets<'a>(tenant: &'a str, socket: &'a str) -> _ {
    let person = recipients::tenant.eq(connections::tenant).and(recipients::user_id.eq(connections::user_id));
    connections::table
        .inner_join(recipients::table.on(person))
        .filter(connections::tenant.eq(tenant))
        .filter(connections::socket_id.gt(socket))
        .order(connections::socket_id)
        .select((connections::socket_id, recipients::id, recipients::user_id))
}

/// The next people of a tenant. Their index is one of an expression: while PostgreSQL's statistics are old it would be taken for
/// whoever is looked up by name, too, and go through the tenant each time.
#[diesel::dsl::auto_type]
pub fn everybody<'a>(tenant: &'a str, reached: i64) -> _ {
    let of_tenant: SqlLiteral<Text> = sql("recipients.tenant || ''");
    recipients::table
        .filter(of_tenant.eq(tenant))
        .filter(recipients::id.gt(reached))
        .order(recipients::id)
        .select((recipients::id, recipients::user_id))
}

body! {
    /// Those of `people` who are in `group`.
    fn of_group(
        connection: &mut Connection,
        tenant: &Tenant,
        group: &Group,
        mut people: People,
    ) -> QueryResult<People> {
        let rows: Vec<i64> = people.iter().map(|(row, _)| *row).collect();
        let members: Vec<i64> = match group {
            Group::Everyone => return Ok(people),
            Group::People(users) => {
                people.retain(|(_, user)| user.0.as_ref().is_ok_and(|user| users.contains(user)));
                return Ok(people);
            }
            Group::Topic(topic) => wait!(subscriptions::table
                .filter(subscriptions::tenant.eq(tenant.as_str()))
                .filter(subscriptions::topic.eq(topic))
                .filter(subscriptions::recipient_id.eq_any(rows))
                .select(subscriptions::recipient_id)
                .load(connection))?,
            Group::Role(role) => wait!(roles::table
                .filter(roles::tenant.eq(tenant.as_str()))
                .filter(roles::role.eq(role))
                .filter(roles::recipient_id.eq_any(rows))
                .select(roles::recipient_id)
                .load(connection))?,
        };
        let members: HashSet<i64> = members.into_iter().collect();
        people.retain(|(row, _)| members.contains(row));
        Ok(people)
    }
}

body! {
    /// The next people of `group`, behind the last one reached.
    fn members(
        connection: &mut Connection,
        memory: &mut Memory,
        tenant: &Tenant,
        group: &Group,
        reached: i64,
        most: usize,
    ) -> QueryResult<People> {
        match group {
            Group::Everyone => {
                wait!(everybody(tenant.as_str(), reached).limit(limit(most)).load(connection))
            }
            Group::Topic(topic) => wait!(subscriptions::table
                .inner_join(recipients::table)
                .filter(subscriptions::tenant.eq(tenant.as_str()))
                .filter(subscriptions::topic.eq(topic))
                .filter(subscriptions::recipient_id.gt(reached))
                .order(subscriptions::recipient_id)
                .limit(limit(most))
                .select((recipients::id, recipients::user_id))
                .load(connection)),
            Group::Role(role) => wait!(roles::table
                .inner_join(recipients::table)
                .filter(roles::tenant.eq(tenant.as_str()))
                .filter(roles::role.eq(role))
                .filter(roles::recipient_id.gt(reached))
                .order(roles::recipient_id)
                .limit(limit(most))
                .select((recipients::id, recipients::user_id))
                .load(connection)),
            Group::People(users) => {
                let next = users.iter().skip(usize::try_from(reached).unwrap_or(0)).take(most);
                let person = |user: &String| {
                    let user = UserId::new(user).map_err(unreadable)?;
                    Ok(Recipient { tenant: tenant.clone(), user })
                };
                let people = next.map(person).collect::<QueryResult<Vec<_>>>()?;
                let rows = wait!(rows_of(connection, memory, &people))?;
                let user = |recipient: &Recipient| recipient.user.as_str().to_owned();
                Ok(rows.into_iter().zip(people.iter().map(|one| Opening(Ok(user(one))))).collect())
            }
        }
    }
}

body! {
    /// Puts it into the inboxes of those of `people` who have not got it, and notes how far it is. Once it has expired it
    /// comes to nobody any more; if it does not open, neither.
    fn give(
        connection: &mut Connection,
        memory: &mut Memory,
        due: &Due,
        mut people: People,
        mut progress: Progress,
        at: Timestamp,
    ) -> QueryResult<Spread> {
        let id = NotificationId(due.0);
        let text: Content =
            wait!(notifications::table.find(id.0).select(content()).get_result(connection))?;
        let found = wait!(opened(connection, id.0, shown(text.clone())))?;
        let is_shut = found.is_none();
        let mut notification = found.map_or_else(|| shown(legible(text)), Ok).map_err(unreadable)?;
        let At(due_at) = due.4;
        if notification.created_at < due_at {
            // What was sent for later is as old as its going out.
            notification.created_at = due_at;
            wait!(diesel::update(notifications::table.find(id.0))
                .set(notifications::created_at.eq(At(due_at)))
                .execute(connection))?;
        }
        if is_shut || notification.expires_at.is_some_and(|end| end <= at) {
            people.clear();
            progress.is_finished = true;
        }
        let rows: Vec<i64> = people.iter().map(|(row, _)| *row).collect();
        let served: HashSet<i64> = match rows.is_empty() {
            true => HashSet::new(),
            false => wait!(have(connection, id, &rows))?.into_iter().collect(),
        };
        let tenant = Tenant::new(&due.1).map_err(unreadable)?;
        let mut named = Vec::with_capacity(people.len());
        for (row, user) in people.into_iter().filter(|(row, _)| !served.contains(row)) {
            let user = UserId::new(&user.legible()).map_err(unreadable)?;
            named.push((row, Recipient { tenant: tenant.clone(), user }));
        }
        // What is shut comes to nobody, by no way.
        let wish = if is_shut { None } else { wait!(outbox::wish_of(connection, id))? };
        let is_unasked = wish.as_ref().is_some_and(|wish| !wish.has_realtime());
        let places = wait!(spread(connection, memory, &named, &notification, at, is_unasked))?;
        wait!(came_late(connection, id, places.len()))?;
        let beyond = outbox::asked(id, &tenant, wish.as_ref(), at, &places);
        wait!(outbox::post(connection, &beyond))?;
        let Progress { reached, present, is_finished } = progress;
        let many = i64::try_from(places.len()).unwrap_or(i64::MAX);
        wait!(note_progress(connection, id, (reached, present.as_deref()), many))?;
        if is_finished {
            wait!(diesel::update(expansions::table.find(id.0))
                .set(expansions::finished_at.eq(now().nullable()))
                .execute(connection))?;
        }
        let places = named.into_iter().map(|(_, recipient)| recipient).zip(places).collect();
        Ok(Spread { notification, places, is_finished })
    }
}
