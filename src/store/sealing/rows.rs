//! Sealed columns as they are stored, on either database: what is under which key, and what is put in its place.

use diesel::sql_types::{Array, BigInt, Binary};
use diesel::{ExpressionMethods as _, QueryDsl as _, QueryableByName};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::keys::MARK;
use super::known::Alive;
use crate::store::schema::consents;
use crate::store::{DatabaseUrl, LEASE_SECONDS, StoreError, migrate, postgres, sqlite};

/// What a column keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Texts that are sealed.
    Text,
    /// Bytes that are sealed.
    Bytes,
    /// What is compared with what was made of the same contact.
    Blind,
}

/// A column of a table whose key is `id`.
#[derive(Clone, Copy)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub name: &'static str,
    /// What its values are sealed as.
    pub kind: &'static str,
    /// What it keeps.
    pub holds: Holds,
    /// Whether each row has one: the newest row tells by which key the last was sealed.
    pub is_in_each: bool,
}

const fn text(table: &'static str, name: &'static str, kind: &'static str, is_in_each: bool) -> Column {
    Column { table, name, kind, holds: Holds::Text, is_in_each }
}

const fn bytes(name: &'static str) -> Column {
    Column { table: "push_subscriptions", name, kind: name, holds: Holds::Bytes, is_in_each: true }
}

const fn blind(table: &'static str, name: &'static str) -> Column {
    Column { table, name, kind: "", holds: Holds::Blind, is_in_each: false }
}

/// All of them; `columns.rs` has their kinds, and a test compares both with the schema.
pub const COLUMNS: [Column; 22] = [
    text("notifications", "title", "title", true),
    text("notifications", "message", "message", true),
    text("notifications", "data", "data", true),
    text("notifications", "action_url", "action_url", false),
    text("notifications", "wish", "wish", false),
    text("recurring", "title", "title", true),
    text("recurring", "message", "message", true),
    text("recurring", "data", "data", true),
    text("recurring", "action_url", "action_url", false),
    text("recurring", "wish", "wish", false),
    text("recipients", "contacts", "contacts", false),
    text("digests", "content", "digest", true),
    text("webhooks", "url", "webhook_url", true),
    text("webhooks", "secret", "webhook_secret", true),
    text("webhooks", "former_secret", "webhook_secret", false),
    bytes("p256dh"),
    bytes("auth"),
    blind("deliveries", "number_digest"),
    blind("stopped_numbers", "number_digest"),
    blind("spent", "number_digest"),
    blind("spent", "person_digest"),
    blind("declined", "person_digest"),
];

/// A value of a column, as it is stored.
#[derive(QueryableByName)]
pub struct Value {
    /// The row.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// What is there.
    #[diesel(sql_type = Binary)]
    pub value: Vec<u8>,
}

#[derive(QueryableByName)]
struct Many {
    #[diesel(sql_type = BigInt)]
    many: i64,
}

/// A value, and what is put in its place.
pub struct Change {
    pub id: i64,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

/// A connection to either database, on which columns are read as they are stored.
pub enum Line {
    Sqlite(Box<sqlite::ReadConnection>),
    Postgres(Box<AsyncPgConnection>),
}

/// The same on both.
macro_rules! on_either {
    ($line:expr, $connection:ident => $does:expr) => {
        match $line {
            Line::Sqlite($connection) => $does,
            Line::Postgres($connection) => $does,
        }
    };
}

pub(super) use on_either;

impl Line {
    /// Opens one, beside a server that may use the database, too.
    ///
    /// # Errors
    /// When there is no such database, or it is newer than this program.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                if !path.is_file() {
                    return Err(StoreError::Unreachable(format!("{} is not there", path.display())));
                }
                let path = path.clone();
                let opened = tokio::task::spawn_blocking(move || sqlite::open_writer(&path)).await;
                let opened = opened.map_err(|fault| StoreError::Unreachable(fault.to_string()))??;
                let mut connection = sqlite::ReadConnection::new(opened);
                // What was there before must not be left where nothing is any more.
                connection.batch_execute("PRAGMA secure_delete = ON").await?;
                migrate::check_file(&mut connection).await?;
                Ok(Self::Sqlite(Box::new(connection)))
            }
            DatabaseUrl::Postgres(url) => {
                let mut connection = postgres::Target::new(url)?.connect().await?;
                migrate::check_server(&mut connection).await?;
                Ok(Self::Postgres(Box::new(connection)))
            }
        }
    }

    /// A column's values as bytes.
    fn bytes_of(&self, column: &Column) -> String {
        match (self, column.holds) {
            (_, Holds::Bytes) => column.name.to_owned(),
            (Self::Sqlite(_), _) => format!("CAST({} AS BLOB)", column.name),
            (Self::Postgres(_), _) => format!("convert_to({}, 'UTF8')", column.name),
        }
    }

    /// Bytes as a column has them.
    fn value_of(&self, column: &Column, bytes: &str) -> String {
        match (self, column.holds) {
            (_, Holds::Bytes) => bytes.to_owned(),
            (Self::Sqlite(_), _) => format!("CAST({bytes} AS TEXT)"),
            (Self::Postgres(_), _) => format!("convert_from({bytes}, 'UTF8')"),
        }
    }

    /// The nodes that serve; none on SQLite, where one server has the file for itself.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn alive(&mut self) -> Result<Vec<Alive>, StoreError> {
        let Self::Postgres(connection) = self else { return Ok(Vec::new()) };
        let alive = diesel::sql_query(format!(
            "SELECT name, keys FROM nodes WHERE seen_at > now() - interval '{LEASE_SECONDS} seconds' ORDER BY name"
        ));
        Ok(alive.load(connection).await?)
    }

    /// The value of the newest row.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn newest(&mut self, column: &Column) -> Result<Option<Value>, StoreError> {
        let (table, bytes) = (column.table, self.bytes_of(column));
        let newest = format!("SELECT id, {bytes} AS value FROM {table} ORDER BY id DESC LIMIT 1");
        let newest = diesel::sql_query(newest);
        let mut found: Vec<Value> = on_either!(self, connection => newest.load(connection).await)?;
        Ok(found.pop())
    }

    /// At most so many values behind the row `after` that do not begin so, in the order of their rows.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn others(
        &mut self,
        column: &Column,
        begins: &[u8],
        after: i64,
        limit: usize,
    ) -> Result<Vec<Value>, StoreError> {
        self.page(column, ("<>", begins), after, limit).await
    }

    /// The same of those that are sealed, by whichever key.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sealed(
        &mut self,
        column: &Column,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Value>, StoreError> {
        self.page(column, ("=", MARK), after, limit).await
    }

    /// The same of those that begin so, or do not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn page(
        &mut self,
        column: &Column,
        (is, begins): (&str, &[u8]),
        after: i64,
        limit: usize,
    ) -> Result<Vec<Value>, StoreError> {
        let (table, name, bytes, length) = (column.table, column.name, self.bytes_of(column), begins.len());
        let page = diesel::sql_query(format!(
            "SELECT id, {bytes} AS value FROM {table} WHERE id > $1 AND {name} IS NOT NULL \
             AND substr({bytes}, 1, {length}) {is} $2 ORDER BY id LIMIT {limit}"
        ));
        let page = page.bind::<BigInt, _>(after).bind::<Binary, _>(begins);
        Ok(on_either!(self, connection => page.load(connection).await)?)
    }

    /// Puts this in the place of a value that is still as it was, and a webhook to rest whose value it is; nothing empties the
    /// column, or removes the device. Tells whether it was done.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn replace(
        &mut self,
        column: &Column,
        value: &Value,
        by: Option<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        let (table, name, bytes) = (column.table, column.name, self.bytes_of(column));
        // SQLite counts parameters in the order in which they appear.
        let same = |first: u8| format!("WHERE id = ${first} AND {bytes} = ${}", first + 1);
        let done = match by {
            None => {
                let change = match table {
                    "push_subscriptions" => format!("DELETE FROM {table} {}", same(1)),
                    _ => format!("UPDATE {table} SET {name} = NULL {}", same(1)),
                };
                let change = diesel::sql_query(change);
                let change = change.bind::<BigInt, _>(value.id).bind::<Binary, _>(&value.value);
                on_either!(self, connection => change.execute(connection).await)?
            }
            Some(by) => {
                let rests = match table {
                    "webhooks" => {
                        ", is_enabled = 0, disabled_why = 'its address or secret could not be read, and was given up'"
                    }
                    _ => "",
                };
                let by_what = self.value_of(column, "$1");
                let change = format!("UPDATE {table} SET {name} = {by_what}{rests} {}", same(2));
                let change = diesel::sql_query(change).bind::<Binary, _>(by);
                let change = change.bind::<BigInt, _>(value.id).bind::<Binary, _>(&value.value);
                on_either!(self, connection => change.execute(connection).await)?
            }
        };
        Ok(done > 0)
    }

    /// Begins what is one commit. On SQLite it is the only writer from then on: what it reads first is still so when it writes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => connection.batch_execute("BEGIN IMMEDIATE").await?,
            Self::Postgres(connection) => connection.batch_execute("BEGIN").await?,
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it could not be committed.
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        on_either!(self, connection => connection.batch_execute("COMMIT").await)?;
        Ok(())
    }

    /// What a recipient said of each channel, the newest last.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn said(&mut self, recipient: i64) -> Result<Vec<(i32, i32)>, StoreError> {
        let said = consents::table
            .filter(consents::recipient_id.eq(recipient))
            .filter(consents::kind.eq(""))
            .order(consents::id)
            .select((consents::channel, consents::is_given));
        Ok(on_either!(self, connection => said.load(connection).await)?)
    }

    /// How many values do not begin so.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_others(&mut self, column: &Column, begins: &[u8]) -> Result<i64, StoreError> {
        self.count(column, ("<>", begins)).await
    }

    /// How many values begin so.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_begins(&mut self, column: &Column, begins: &[u8]) -> Result<i64, StoreError> {
        self.count(column, ("=", begins)).await
    }

    async fn count(&mut self, column: &Column, (is, begins): (&str, &[u8])) -> Result<i64, StoreError> {
        let (table, name, bytes, length) = (column.table, column.name, self.bytes_of(column), begins.len());
        let count = diesel::sql_query(format!(
            "SELECT count(*) AS many FROM {table} WHERE {name} IS NOT NULL AND substr({bytes}, 1, {length}) {is} $1"
        ));
        let count = count.bind::<Binary, _>(begins);
        let many: Many = on_either!(self, connection => count.get_result(connection).await)?;
        Ok(many.many)
    }

    /// Puts other values in the place of those that are still as they were; returns how many. Never waits for a row that
    /// somebody else holds: its turn comes later.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn put(&mut self, column: &Column, changes: &[Change]) -> Result<usize, StoreError> {
        let (table, name, bytes) = (column.table, column.name, self.bytes_of(column));
        match self {
            Self::Sqlite(connection) => {
                let value = match column.holds {
                    Holds::Bytes => "$1".to_owned(),
                    _ => "CAST($1 AS TEXT)".to_owned(),
                };
                let put = format!("UPDATE {table} SET {name} = {value} WHERE id = $2 AND {bytes} = $3");
                let put = &put;
                connection
                    .transaction(async |connection| {
                        let mut done = 0;
                        for change in changes {
                            let one = diesel::sql_query(put)
                                .bind::<Binary, _>(&change.after)
                                .bind::<BigInt, _>(change.id)
                                .bind::<Binary, _>(&change.before);
                            done += one.execute(connection).await?;
                        }
                        Ok(done)
                    })
                    .await
            }
            Self::Postgres(_) => {
                let value = self.value_of(column, "e.after");
                let put = format!(
                    "WITH free AS (SELECT id FROM {table} WHERE id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED) \
                     UPDATE {table} AS t SET {name} = {value} FROM unnest($1, $2, $3) AS e (number, before, after), free \
                     WHERE t.id = free.id AND t.id = e.number AND {bytes} = e.before"
                );
                let ids: Vec<i64> = changes.iter().map(|change| change.id).collect();
                let before: Vec<&[u8]> = changes.iter().map(|change| change.before.as_slice()).collect();
                let after: Vec<&[u8]> = changes.iter().map(|change| change.after.as_slice()).collect();
                let put = diesel::sql_query(put)
                    .bind::<Array<BigInt>, _>(ids)
                    .bind::<Array<Binary>, _>(before)
                    .bind::<Array<Binary>, _>(after);
                let Self::Postgres(connection) = self else { return Err(StoreError::Closed) };
                Ok(put.execute(connection).await?)
            }
        }
    }

    /// Removes the rows of these values: there is another of the same number.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remove(&mut self, column: &Column, id: i64) -> Result<(), StoreError> {
        let gone = diesel::sql_query(format!("DELETE FROM {} WHERE id = $1", column.table));
        let gone = gone.bind::<BigInt, _>(id);
        on_either!(self, connection => gone.execute(connection).await)?;
        Ok(())
    }

    /// Does not wait for the disk from now on; or does again, for all that was done before, too.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn sync(&mut self, at_once: bool) -> Result<(), StoreError> {
        if let Self::Postgres(connection) = self {
            let set = if at_once { "SET synchronous_commit = on" } else { "SET synchronous_commit = off" };
            connection.batch_execute(set).await?;
        }
        Ok(())
    }

    /// Leaves nothing of what was there before beside an SQLite file, if nobody reads there just now.
    pub async fn tidy(&mut self) {
        if let Self::Sqlite(connection) = self {
            connection.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Columns of `schema.rs` with a type of `columns.rs`, as `table.column`.
    fn described() -> BTreeSet<String> {
        let kinds: Vec<&str> = include_str!("columns.rs")
            .lines()
            .filter_map(|line| line.trim().split_once(" = \"")?.0.split_whitespace().next())
            .collect();
        let mut table = "";
        let mut found = BTreeSet::new();
        for line in [include_str!("../schema.rs"), include_str!("../schema/apart.rs")]
            .into_iter()
            .flat_map(str::lines)
        {
            match line.trim().split_once(" -> ") {
                Some((column, kind)) => {
                    let kind = kind.trim_start_matches("Nullable<").trim_end_matches([',', '>']);
                    if kinds.contains(&kind) {
                        found.insert(format!("{table}.{column}"));
                    }
                }
                None => {
                    table = line.trim().split(" (").next().filter(|_| line.ends_with(") {")).unwrap_or(table)
                }
            }
        }
        found
    }

    #[test]
    fn a_rotation_knows_every_sealed_column() {
        let known = COLUMNS.iter().filter(|column| column.holds != Holds::Blind);
        let known: BTreeSet<String> =
            known.map(|column| format!("{}.{}", column.table, column.name)).collect();
        assert!(known.len() > 15);
        assert_eq!(described(), known);
    }
}
