//! What is mixed into digests, made anew when it is lost: what can be indexed again is, by the contacts that are stored.

use diesel::{ExpressionMethods as _, QueryDsl as _, TextExpressionMethods as _};
use diesel_async::RunQueryDsl as _;
use serde_json::json;

use super::keys::Keys;
use super::known::{BLIND, INDEX, mixed, text};
use super::marks::{COPY, Secret};
use super::rows::{COLUMNS, Column, Holds, Line, on_either};
use super::{digests_of, opened};
use crate::domain::{Channel, Clock as _, Contacts, SystemClock};
use crate::store::schema::{deliveries, stopped_numbers};
use crate::store::types::At;
use crate::store::{DatabaseUrl, StoreError, sqlite};

/// People who are looked at together.
const TOGETHER: usize = 500;

/// Nobody else has the database.
pub struct Alone {
    _lock: Option<sqlite::FileLock>,
}

/// A new one.
///
/// # Errors
/// When the system has no randomness to give.
pub fn new_secret() -> Result<Secret, StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|fault| StoreError::Keys(format!("no randomness: {fault}")))?;
    Ok(secret)
}

/// What is lost with it.
///
/// # Errors
/// When the database cannot answer.
pub async fn loss(line: &mut Line) -> Result<String, StoreError> {
    let mut counts = [0; 3];
    for (count, (table, name)) in counts.iter_mut().zip([
        ("stopped_numbers", "number_digest"),
        ("declined", "person_digest"),
        ("spent", "person_digest"),
    ]) {
        let Some(column) = blind(table, name) else { continue };
        *count = line.count_begins(column, BLIND.as_bytes()).await?;
    }
    let [stopped, declined, spent] = counts;
    Ok(format!(
        "If it is made anew, this is lost: which {stopped} numbers said STOP lately (those of people whose contacts say so are noted \
         again); {declined} times that somebody who was forgotten wanted no more of a type; {spent} messages of the last day to people who \
         were forgotten count for no cap. Who answers STOP to a message from before is taken for whoever has that contact now"
    ))
}

fn blind(table: &str, name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.table == table && column.name == name)
}

/// Makes it anew, in one commit, and keeps servers out until the end.
///
/// # Errors
/// When servers run, or the database cannot be written.
pub async fn remake(line: &mut Line, url: &DatabaseUrl, keys: &Keys) -> Result<Alone, StoreError> {
    let _lock = match url {
        DatabaseUrl::Sqlite(path) => Some(sqlite::FileLock::take(path)?),
        DatabaseUrl::Postgres(_) => None,
    };
    let alive = line.alive().await?;
    if !alive.is_empty() {
        let names: Vec<&str> = alive.iter().map(|node| node.name.as_str()).collect();
        return Err(StoreError::Keys(format!(
            "servers are running, which still have what is to be made anew: {}. Stop them first (one that was killed counts for a while)",
            names.join(", ")
        )));
    }
    let secret = new_secret()?;
    if !mixed(secret) {
        return Err(StoreError::Keys("this process has another database already".to_owned()));
    }
    line.begin().await?;
    line.index_people().await?;
    for name in [INDEX, COPY] {
        line.remember_instead(name, &text(keys.seal(INDEX, &secret))?).await?;
    }
    let detail = json!({"table": "sealing", "column": "value", "row": INDEX, "how": "made anew: what was indexed by it is lost"});
    line.note(detail.to_string()).await?;
    line.commit().await?;
    Ok(Alone { _lock })
}

impl Line {
    /// Whether anything was made with what is mixed into digests.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn has_indexed(&mut self) -> Result<bool, StoreError> {
        for column in COLUMNS.iter().filter(|column| column.holds == Holds::Blind) {
            if !self.page(column, ("=", BLIND.as_bytes()), 0, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Indexes again by contacts: who has said STOP, and whom messages went to.
    async fn index_people(&mut self) -> Result<(), StoreError> {
        let Some(contacts) = COLUMNS.iter().find(|column| column.name == "contacts") else { return Ok(()) };
        let mut after = 0;
        loop {
            // No text begins so.
            let page = self.page(contacts, ("<>", b"\0"), after, TOGETHER).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for value in page {
                let Ok(Ok(plain)) = opened(contacts.kind, value.value).map(String::from_utf8) else {
                    continue;
                };
                self.index(value.id, &Contacts::from_stored(&plain)).await?;
            }
        }
    }

    async fn index(&mut self, recipient: i64, contacts: &Contacts) -> Result<(), StoreError> {
        let first = |contact: &str| digests_of(contact).swap_remove(0);
        let phone = contacts.phone.as_ref().map(|phone| first(phone.expose()));
        let guardian = contacts.guardian.phone.as_ref().map(|phone| first(phone.expose()));
        let mail = contacts.email.as_ref().map(|mail| first(&mail.expose().to_lowercase()));
        if let Some(number) = phone.as_ref().filter(|_| contacts.has_stopped) {
            let row = (
                stopped_numbers::number_digest.eq(number),
                stopped_numbers::stopped_at.eq(At(SystemClock.now())),
            );
            let row = diesel::insert_into(stopped_numbers::table).values(row).on_conflict_do_nothing();
            on_either!(self, connection => row.execute(connection).await)?;
        }
        for (channel, to_guardian, digest) in
            [(Channel::Sms, 0, phone), (Channel::Sms, 1, guardian), (Channel::Email, 0, mail)]
        {
            let Some(digest) = digest else { continue };
            let theirs = deliveries::table.filter(deliveries::recipient_id.eq(recipient));
            let theirs = theirs.filter(deliveries::channel.eq(channel.number()));
            let theirs = theirs.filter(deliveries::to_guardian.eq(to_guardian));
            let theirs = theirs.filter(deliveries::number_digest.like("k:%"));
            let theirs = diesel::update(theirs).set(deliveries::number_digest.eq(digest));
            on_either!(self, connection => theirs.execute(connection).await)?;
        }
        Ok(())
    }
}
