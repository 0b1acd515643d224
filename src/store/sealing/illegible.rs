//! Texts in an SQLite file that are none, wherever they stand: found, and made texts again, if that is ordered. PostgreSQL takes no such
//! bytes.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Text};
use diesel_async::RunQueryDsl as _;
use serde_json::json;

use super::rows::{Line, Value, on_either};
use crate::store::StoreError;

/// Values that are looked at together.
const TOGETHER: usize = 500;

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    tbl: String,
    #[diesel(sql_type = Text)]
    col: String,
}

impl Line {
    /// Looks at all texts; how many are none, and how many of those were written again, with a sign in the place of what is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn illegible(
        &mut self,
        is_to_give_up: bool,
        tell: &impl Fn(&str),
    ) -> Result<(u64, u64), StoreError> {
        if matches!(self, Self::Postgres(_)) {
            return Ok((0, 0));
        }
        let places = diesel::sql_query(
            "SELECT t.name AS tbl, c.name AS col FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'sealing' AND c.type = 'TEXT' \
             AND t.sql NOT LIKE '%WITHOUT ROWID%' ORDER BY t.name, c.cid",
        );
        let places: Vec<Place> = on_either!(self, connection => places.load(connection).await)?;
        let (mut shut, mut given_up) = (0, 0);
        for Place { tbl, col } in &places {
            let mut after = i64::MIN;
            loop {
                // What has nothing but ASCII is a text; what is sealed has nothing else.
                let page = diesel::sql_query(format!(
                    "SELECT rowid AS id, CAST({col} AS BLOB) AS value FROM {tbl} WHERE rowid > $1 \
                     AND {col} GLOB '*[^' || char(1) || '-' || char(127) || ']*' ORDER BY rowid LIMIT {TOGETHER}"
                ));
                let page = page.bind::<BigInt, _>(after);
                let page: Vec<Value> = on_either!(self, connection => page.load(connection).await)?;
                let Some(last) = page.last() else { break };
                after = last.id;
                for value in page.iter().filter(|value| std::str::from_utf8(&value.value).is_err()) {
                    if tbl == "audit_log" {
                        tell(&format!(
                            "{tbl} {} of {col}: what is stored is no text: it was damaged. It stays so, as no row of the audit log is \
                             ever changed; `carillon audit verify` tells of it",
                            value.id
                        ));
                        continue;
                    }
                    shut += 1;
                    tell(&format!(
                        "{tbl} {} of {col}: what is stored is no text: it was damaged; restore it from a backup",
                        value.id
                    ));
                    if is_to_give_up && self.rewrite((tbl, col), value).await? {
                        given_up += 1;
                    }
                }
            }
        }
        Ok((shut, given_up))
    }

    /// Makes it a text; `false`, if it is another one meanwhile.
    async fn rewrite(&mut self, (tbl, col): (&str, &str), value: &Value) -> Result<bool, StoreError> {
        let text = String::from_utf8_lossy(&value.value);
        let change = format!("UPDATE {tbl} SET {col} = $1 WHERE rowid = $2 AND CAST({col} AS BLOB) = $3");
        let change = diesel::sql_query(change)
            .bind::<Text, _>(text.as_ref())
            .bind::<BigInt, _>(value.id)
            .bind::<Binary, _>(&value.value);
        self.begin().await?;
        let done = match on_either!(self, connection => change.execute(connection).await) {
            // There is such a text in another row: this one is left.
            Err(diesel::result::Error::DatabaseError(..)) => 0,
            done => done?,
        };
        if done > 0 {
            let detail = json!({"table": tbl, "column": col, "row": value.id, "how": "made a text again"});
            self.note(detail.to_string()).await?;
        }
        self.commit().await?;
        Ok(done > 0)
    }
}
