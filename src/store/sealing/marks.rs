//! What a database remembers of keys (table `sealing`): whether its rows are whole, and mending them.
//!
//! Promise: a key is taken for the right one only if something that it sealed opens by it; or if nothing at all is sealed by it, and
//! that is ordered.

use std::borrow::Cow;

use diesel::QueryableByName;
use diesel::sql_types::{Binary, Text};
use diesel_async::RunQueryDsl as _;
use serde_json::json;

use super::keys::{Keys, MARK, Unopened, open};
use super::known::{INDEX, KEY, PROOF, missing, text};
use super::reindexing::{self, Alone};
use super::rows::{COLUMNS, Holds, Line, on_either};
use crate::store::{DatabaseUrl, StoreError};

/// The name of a copy of what is mixed into digests: one damaged row does not lose it.
pub const COPY: &str = "index:copy";
/// Values that are looked at together.
const TOGETHER: usize = 500;

/// What is mixed into digests of contacts.
pub type Secret = [u8; 32];

/// What is remembered of keys, as it is stored: perhaps no text.
#[derive(QueryableByName)]
pub struct Remembered {
    /// `key:` and the id of a key; `index`, or `index:copy`.
    #[diesel(sql_type = Binary)]
    name: Vec<u8>,
    /// What shows that it is the same key; what is mixed into what is compared.
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

impl Remembered {
    fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// The id of the key whose mark it is.
    pub fn key(&self) -> Option<String> {
        self.name().strip_prefix(KEY).map(str::to_owned)
    }

    fn rest(&self) -> &[u8] {
        self.value.strip_prefix(MARK).unwrap_or_default()
    }

    /// The id of the key that its value names.
    fn names(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.rest().split(|byte| *byte == b':').next().unwrap_or_default())
    }
}

/// What is wrong with a row.
enum Fault {
    /// A key of this process does not open its mark.
    Mark(String),
    /// The mark of a key of this process has the name of another one.
    Misnamed { name: Vec<u8>, key: String },
    /// What is mixed into digests does not open, or is gone. There may be its copy; else why not, if a row is there.
    Index(Result<Secret, Option<String>>),
    /// Its copy is gone, or another one; whether a row is there.
    Copy(Secret, bool),
}

impl Fault {
    /// The name of the row.
    fn row(&self) -> String {
        match self {
            Self::Mark(id) => format!("{KEY}{id}"),
            Self::Misnamed { name, .. } => String::from_utf8_lossy(name).into_owned(),
            Self::Index(_) => INDEX.to_owned(),
            Self::Copy(..) => COPY.to_owned(),
        }
    }

    /// What happened, why, and what to do. Nothing, if it is no fault by itself.
    fn words(&self) -> Option<String> {
        Some(match self {
            Self::Mark(key) => format!(
                "the row `{KEY}{key}` of the table `sealing` does not open by the key `{key}` of ENCRYPTION_KEYS: either that is \
                 another key than the one of that id by which this database was encrypted, or the row was damaged. If the key may \
                 be another one, put the right one there. Else run `carillon keys check`: it looks whether the key opens what is \
                 stored, and says which of both it is; with `--give-up` it writes the row anew, if the key is right"
            ),
            Self::Misnamed { name, key } => format!(
                "the row `{}` of the table `sealing` is that of the key `{key}`: its name was damaged. A server that starts writes it \
                 anew, and so does `carillon keys check --give-up`; nothing is lost",
                String::from_utf8_lossy(name)
            ),
            Self::Index(Ok(_)) => format!(
                "the row `{INDEX}` of the table `sealing` was damaged, and its copy (`{COPY}`) is whole. A server that starts puts it \
                 back, and so does `carillon keys check --give-up`; nothing is lost"
            ),
            Self::Index(Err(Some(why))) => format!(
                "the row `{INDEX}` of the table `sealing`, which is mixed into digests of numbers and addresses, does not open, nor does \
                 its copy (`{COPY}`): {why}. Put both rows back from a backup; or stop all servers and order `carillon keys check \
                 --give-up`, which makes it anew (without `--give-up` it says what is lost by that)"
            ),
            Self::Index(Err(None)) | Self::Copy(..) => return None,
        })
    }
}

/// What is wrong with what is remembered.
///
/// # Errors
/// When a key is missing.
fn look(keys: Option<&Keys>, remembered: &[Remembered]) -> Result<Vec<Fault>, StoreError> {
    let mut faults = Vec::new();
    let is_here = |id: &str| keys.is_some_and(|keys| keys.ids().any(|own| own == id));
    for one in remembered {
        let Some(id) = one.key() else { continue };
        let names = one.names();
        match open(keys, KEY, one.rest()) {
            Ok(proof) if names == id && proof == PROOF => {}
            Ok(proof) if is_here(&names) && proof == PROOF => {
                faults.push(Fault::Misnamed { name: one.name.clone(), key: names.into_owned() });
            }
            _ if is_here(&id) => faults.push(Fault::Mark(id)),
            _ => return Err(missing(&id)),
        }
    }
    let Some(keys) = keys else { return Ok(faults) };
    let of = |name: &str| remembered.iter().find(|one| one.name == name.as_bytes());
    let secret = |row: &Remembered| -> Result<Secret, String> {
        let opened = open(Some(keys), INDEX, row.rest()).map_err(|fault| fault.to_string())?;
        opened.try_into().map_err(|_| "it is no secret".to_owned())
    };
    let (index, copy) = (of(INDEX).map(secret), of(COPY).map(secret));
    match (index, copy) {
        (Some(Ok(index)), Some(Ok(copy))) if index == copy => {}
        (Some(Ok(index)), copy) => faults.push(Fault::Copy(index, copy.is_some())),
        (_, Some(Ok(copy))) => faults.push(Fault::Index(Ok(copy))),
        (index, copy) => {
            let why = index.and_then(Result::err).or(copy.and_then(Result::err));
            faults.push(Fault::Index(Err(why)));
        }
    }
    Ok(faults)
}

/// Refuses keys that cannot open what is remembered, and what is damaged of that.
///
/// # Errors
/// With the row or the id of the key, and what to do.
pub fn check(keys: Option<&Keys>, remembered: &[Remembered]) -> Result<(), StoreError> {
    match look(keys, remembered)?.iter().find_map(Fault::words) {
        Some(words) => Err(StoreError::Keys(words)),
        None => Ok(()),
    }
}

/// Mends what can be mended without loss, for a server that starts.
///
/// # Errors
/// When a key is missing or may be another one, something would be lost, or the database cannot be written.
pub async fn settle(line: &mut Line, keys: &Keys) -> Result<(), StoreError> {
    for fault in look(Some(keys), &line.remembered().await?)? {
        let Some(words) = fault.words() else { continue };
        if let Fault::Mark(id) = &fault
            && !line.opens_newest(keys, id).await?
        {
            return Err(StoreError::Keys(words));
        }
        if !line.mend(keys, &fault).await? {
            return Err(StoreError::Keys(words));
        }
        tracing::error!(
            row = fault.row(),
            "a damaged row of the table `sealing` was mended; nothing is lost"
        );
    }
    Ok(())
}

/// What is mixed into digests, made now if this database knows none yet; and its copy.
///
/// # Errors
/// When it would have been lost, or the database cannot be written.
pub async fn begin(line: &mut Line, keys: &Keys) -> Result<Secret, StoreError> {
    let is_gone = |faults: &[Fault]| faults.iter().any(|fault| matches!(fault, Fault::Index(Err(_))));
    if is_gone(&look(Some(keys), &line.remembered().await?)?) {
        if line.has_indexed().await? {
            return Err(StoreError::Keys(gone().to_owned()));
        }
        line.remember(INDEX, &text(keys.seal(INDEX, &reindexing::new_secret()?))?).await?;
    }
    let remembered = line.remembered().await?;
    for fault in look(Some(keys), &remembered)? {
        if let Fault::Copy(..) = fault {
            line.mend(keys, &fault).await?;
        }
    }
    secret(keys, &remembered)
}

/// What is mixed into digests.
fn secret(keys: &Keys, remembered: &[Remembered]) -> Result<Secret, StoreError> {
    check(Some(keys), remembered)?;
    let index = remembered.iter().find(|one| one.name == INDEX.as_bytes()).ok_or(StoreError::Closed)?;
    let opened = open(Some(keys), INDEX, index.rest()).map_err(StoreError::Unopened)?;
    opened.try_into().map_err(|_| StoreError::Closed)
}

/// Seals it by the newest key.
///
/// # Errors
/// When it does not open, or the database cannot be written.
pub async fn anew(line: &mut Line, keys: &Keys) -> Result<(), StoreError> {
    let secret = secret(keys, &line.remembered().await?)?;
    for name in [COPY, INDEX] {
        line.remember_instead(name, &text(keys.seal(INDEX, &secret))?).await?;
    }
    Ok(())
}

fn gone() -> &'static str {
    "the row `index` of the table `sealing`, which was mixed into digests of numbers and addresses, is gone. Put it back from a \
     backup; or stop all servers and order `carillon keys check --give-up`, which makes it anew (without `--give-up` it says what is \
     lost by that)"
}

/// What was found in the table.
#[derive(Default)]
pub struct Found {
    /// Rows that do not open.
    pub shut: u64,
    /// How many of them were written anew.
    pub mended: u64,
    /// Nobody else has the database until the end.
    _alone: Option<Alone>,
}

/// Tells what is wrong with the table, and mends it, if that is ordered. Nothing is done with a key that opens nothing.
///
/// # Errors
/// When a key is missing or is another one, servers are in the way, or the database cannot be written.
pub async fn mend(
    line: &mut Line,
    url: &DatabaseUrl,
    is_ordered: bool,
    tell: &impl Fn(&str),
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for fault in look(super::keys(), &line.remembered().await?)? {
        let Some(keys) = super::keys() else { break };
        if let Fault::Index(Err(why)) = &fault {
            if why.is_none() && !line.has_indexed().await? {
                continue;
            }
            found.shut += 1;
            tell(&fault.words().unwrap_or_else(|| gone().to_owned()));
            tell(&reindexing::loss(line).await?);
            if is_ordered {
                found._alone = Some(reindexing::remake(line, url, keys).await?);
                found.mended += 1;
            }
            continue;
        }
        match &fault {
            Fault::Mark(id) => match line.proof(keys, id).await? {
                (0, shut @ 1..) => {
                    return Err(StoreError::Keys(format!(
                        "the key `{id}` among ENCRYPTION_KEYS is another than the one of that id by which this database was encrypted: \
                         it opens none of {shut} values, nor the row `{KEY}{id}` of the table `sealing`. Put the right one there; \
                         nothing was changed"
                    )));
                }
                (0, 0) => tell(&format!(
                    "sealing `{KEY}{id}` of value: it does not open by the key `{id}`, and nothing else is encrypted by it: it was damaged, \
                     or the key is another one, which would do no harm. `--give-up` writes it anew; see that all servers have the same"
                )),
                _ => tell(&format!(
                    "sealing `{KEY}{id}` of value: it was damaged, for the key `{id}` opens what is stored. `--give-up` writes it anew; \
                     nothing is lost"
                )),
            },
            Fault::Copy(_, false) => continue,
            Fault::Copy(_, true) => tell(&format!(
                "sealing `{COPY}` of value: it was damaged. `--give-up` writes it anew; nothing is lost"
            )),
            _ => tell(&fault.words().unwrap_or_default()),
        }
        found.shut += 1;
        if is_ordered && line.mend(keys, &fault).await? {
            found.mended += 1;
        }
    }
    Ok(found)
}

impl Line {
    /// What is remembered of keys.
    ///
    /// # Errors
    /// When the database cannot answer, or knows no keys yet.
    pub async fn remembered(&mut self) -> Result<Vec<Remembered>, StoreError> {
        let (name, value) = (self.as_bytes("name"), self.as_bytes("value"));
        let all = diesel::sql_query(format!("SELECT {name} AS name, {value} AS value FROM sealing"));
        Ok(on_either!(self, connection => all.load(connection).await)?)
    }

    /// A text as bytes.
    fn as_bytes(&self, column: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("CAST({column} AS BLOB)"),
            Self::Postgres(_) => format!("convert_to({column}, 'UTF8')"),
        }
    }

    /// Remembers this, unless something is known by that name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remember(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let new = "INSERT INTO sealing (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        let new = diesel::sql_query(new).bind::<Text, _>(name).bind::<Text, _>(value);
        on_either!(self, connection => new.execute(connection).await)?;
        Ok(())
    }

    /// Remembers this in the place of what was known by that name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remember_instead(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let other = "INSERT INTO sealing (name, value) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let other = diesel::sql_query(other).bind::<Text, _>(name).bind::<Text, _>(value);
        on_either!(self, connection => other.execute(connection).await)?;
        Ok(())
    }

    /// Forgets a row.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget(&mut self, one: &Remembered) -> Result<(), StoreError> {
        self.forget_named(&one.name).await
    }

    async fn forget_named(&mut self, name: &[u8]) -> Result<(), StoreError> {
        let gone = format!("DELETE FROM sealing WHERE {} = $1", self.as_bytes("name"));
        let gone = diesel::sql_query(gone).bind::<Binary, _>(name);
        on_either!(self, connection => gone.execute(connection).await)?;
        Ok(())
    }

    /// Writes a row anew whose meaning is known, and that into the audit log, in one commit; `false`, if its meaning is lost.
    async fn mend(&mut self, keys: &Keys, fault: &Fault) -> Result<bool, StoreError> {
        let row = fault.row();
        let how = match fault {
            Fault::Mark(_) => "written anew: its key opens what is stored, or nothing is under it",
            Fault::Misnamed { .. } => "named anew after its key",
            Fault::Index(Ok(_)) => "put back from its copy",
            Fault::Copy(..) => "copied anew",
            Fault::Index(Err(_)) => return Ok(false),
        };
        self.begin().await?;
        match fault {
            Fault::Mark(id) => {
                self.remember_instead(&row, &text(keys.seal_by(id, KEY, PROOF))?).await?;
            }
            Fault::Misnamed { name, key } => {
                self.forget_named(name).await?;
                self.remember_instead(&format!("{KEY}{key}"), &text(keys.seal_by(key, KEY, PROOF))?).await?;
            }
            Fault::Index(Ok(secret)) | Fault::Copy(secret, _) => {
                self.remember_instead(&row, &text(keys.seal(INDEX, secret))?).await?;
            }
            Fault::Index(Err(_)) => {}
        }
        if !matches!(fault, Fault::Copy(_, false)) {
            self.note(json!({"table": "sealing", "column": "value", "row": row, "how": how}).to_string())
                .await?;
        }
        self.commit().await?;
        Ok(true)
    }

    /// Whether this key opens what was stored last, or what is mixed into digests.
    async fn opens_newest(&mut self, keys: &Keys, id: &str) -> Result<bool, StoreError> {
        let begins = [MARK, id.as_bytes(), b":"].concat();
        let opens = |kind: &str, value: &[u8]| {
            value.starts_with(&begins) && open(Some(keys), kind, &value[MARK.len()..]).is_ok()
        };
        if self.remembered().await?.iter().any(|one| opens(INDEX, &one.value)) {
            return Ok(true);
        }
        for column in COLUMNS.iter().filter(|column| column.is_in_each) {
            if self.newest(column).await?.is_some_and(|newest| opens(column.kind, &newest.value)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many of the values under this key open, and how many do not; it ends with the first that opens.
    async fn proof(&mut self, keys: &Keys, id: &str) -> Result<(u64, u64), StoreError> {
        if self.opens_newest(keys, id).await? {
            return Ok((1, 0));
        }
        let begins = [MARK, id.as_bytes(), b":"].concat();
        let index = self.remembered().await?;
        let mut shut =
            index.iter().filter(|one| one.key().is_none() && one.value.starts_with(&begins)).count() as u64;
        for column in COLUMNS.iter().filter(|column| column.holds != Holds::Blind) {
            let mut after = 0;
            loop {
                let page = self.page(column, ("=", &begins), after, TOGETHER).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                for value in page {
                    match open(Some(keys), column.kind, &value.value[MARK.len()..]) {
                        Ok(_) => return Ok((1, shut)),
                        Err(Unopened::NoRandomness(_)) => {}
                        Err(_) => shut += 1,
                    }
                }
            }
        }
        Ok((0, shut))
    }

    /// Whether more than one value is under this key.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn is_used(&mut self, id: &str) -> Result<bool, StoreError> {
        let begins = [MARK, id.as_bytes(), b":"].concat();
        let mut many = 0;
        for column in COLUMNS.iter().filter(|column| column.holds != Holds::Blind) {
            many += self.page(column, ("=", &begins), 0, 2).await?.len();
            if many > 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
