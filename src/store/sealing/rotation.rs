//! Puts everything under the newest key, while servers serve.
//!
//! Promises: a value is replaced by one commit, if it is still as it was read; whoever dies on the way has lost nothing, and
//! begins again where something is left. Nobody waits for long: a few values at a time, with a rest as long between.

use std::time::Instant;

use super::keys::{Keys, MARK, Unopened, open};
use super::known::{self, BLIND};
use super::marks;
use super::rows::{COLUMNS, Change, Column, Holds, Line};
use super::{as_blind, keys};
use crate::store::{DatabaseUrl, StoreError};

/// Values that are replaced by one commit.
const TOGETHER: usize = 64;
/// So often all is gone through: what others wrote meanwhile by an older key is found, too.
const ROUNDS: usize = 10;

/// What became of a column.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub column: &'static str,
    /// How many values are under the newest key now that were not.
    pub done: u64,
    /// How many are not.
    pub left: i64,
}

/// Puts all of the database at `url` under the newest key of this process. `tell` hears of what cannot be opened.
///
/// # Errors
/// When there are no keys, no server has the newest one yet, or the database does not answer.
pub async fn rotate(url: &DatabaseUrl, tell: impl Fn(&str)) -> Result<Vec<Rotated>, StoreError> {
    let Some(keys) = keys() else {
        return Err(StoreError::Keys(
            "there are no ENCRYPTION_KEYS; `carillon keys new` prints one. The servers need it first"
                .to_owned(),
        ));
    };
    let mut line = Line::open(url).await?;
    let remembered = line.remembered().await.map_err(|fault| {
        StoreError::Keys(format!(
            "the database knows no keys yet; start the server once, or run `carillon migrate` ({fault})"
        ))
    })?;
    marks::check(Some(keys), &remembered)?;
    if !remembered.iter().any(|one| one.key().as_deref() == Some(keys.newest())) {
        return Err(StoreError::Keys(format!(
            "no server has been started yet with the key `{}` as its newest, and none could read what it encrypts. Give the \
             servers the same ENCRYPTION_KEYS, and rotate then",
            keys.newest()
        )));
    }
    known::needed_by(&mut line, keys.newest()).await?;
    known::acquaint(url).await?;
    line.sync(false).await?;
    let mut all: Vec<Rotated> = COLUMNS
        .iter()
        .map(|column| Rotated { table: column.table, column: column.name, done: 0, left: 0 })
        .collect();
    for _ in 0..ROUNDS {
        let mut moved = 0;
        for (column, rotated) in COLUMNS.iter().zip(&mut all) {
            let done = one_column(&mut line, keys, column, &tell).await?;
            rotated.done += done;
            moved += done;
        }
        if moved == 0 {
            break;
        }
    }
    for (column, rotated) in COLUMNS.iter().zip(&mut all) {
        rotated.left = line.count_others(column, &begins(keys, column)).await?;
    }
    line.sync(true).await?;
    if all.iter().all(|rotated| rotated.left == 0) {
        retire(&mut line, keys).await?;
    }
    line.tidy().await;
    Ok(all)
}

/// What each value begins with that is as it is to be.
fn begins(keys: &Keys, column: &Column) -> Vec<u8> {
    match column.holds {
        Holds::Text | Holds::Bytes => keys.newest_begins(),
        Holds::Blind => BLIND.as_bytes().to_vec(),
    }
}

/// Nothing is under older keys any more: they are not needed.
async fn retire(line: &mut Line, keys: &Keys) -> Result<(), StoreError> {
    marks::anew(line, keys).await?;
    for one in line.remembered().await? {
        if one.key().is_some_and(|id| id != keys.newest()) {
            line.forget(&one).await?;
        }
    }
    Ok(())
}

async fn one_column(
    line: &mut Line,
    keys: &Keys,
    column: &Column,
    tell: &impl Fn(&str),
) -> Result<u64, StoreError> {
    let (begins, mut after, mut done) = (begins(keys, column), 0, 0);
    loop {
        let since = Instant::now();
        let page = line.others(column, &begins, after, TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = last.id;
        let mut changes = Vec::with_capacity(page.len());
        for value in page {
            match anew(keys, column, &value.value) {
                Ok(after) => changes.push(Change { id: value.id, before: value.value, after }),
                Err(fault) => tell(&format!("{} {} of {}: {fault}", column.table, value.id, column.name)),
            }
        }
        done += match column.holds {
            // A number may stand there twice, in the old way and in the new one.
            Holds::Blind => one_by_one(line, column, &changes).await?,
            _ => line.put(column, &changes).await? as u64,
        };
        tokio::time::sleep(since.elapsed()).await;
    }
}

async fn one_by_one(line: &mut Line, column: &Column, changes: &[Change]) -> Result<u64, StoreError> {
    let mut done = 0;
    for change in changes {
        let put = line.put(column, std::slice::from_ref(change)).await;
        match put {
            Err(StoreError::Query(diesel::result::Error::DatabaseError(
                diesel::result::DatabaseErrorKind::UniqueViolation,
                _,
            ))) => {
                line.remove(column, change.id).await?;
                done += 1;
            }
            put => done += put? as u64,
        }
    }
    Ok(done)
}

/// The same value, as it is to be.
fn anew(keys: &Keys, column: &Column, stored: &[u8]) -> Result<Vec<u8>, Unopened> {
    match column.holds {
        Holds::Blind => {
            let digest = String::from_utf8_lossy(stored);
            Ok(as_blind(&digest).into_bytes())
        }
        Holds::Text | Holds::Bytes => {
            let plain = match stored.strip_prefix(MARK) {
                None => stored.to_vec(),
                Some(rest) => open(Some(keys), column.kind, rest)?,
            };
            keys.seal(column.kind, &plain)
        }
    }
}
