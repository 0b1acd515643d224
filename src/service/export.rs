//! All that is kept of somebody, a page at a time: however much there is, little of it is in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::Error;
use crate::domain::{Contacts, DigestTerms, Notification, Preferences, Recipient, Timestamp};
use crate::store::{
    Attempt, Audited, Consent, Disclosure, Elsewhere, Registered, SentDigest, Store, StoreError,
    WholeDelivery, WholeEntry,
};

/// Rows of one page of what is listed from its end.
const PAGE: i64 = 500;

/// An entry, and each way it went.
pub type Entry = (WholeEntry, Vec<(WholeDelivery, Vec<Attempt>)>);

/// A page of what is kept.
pub enum Section {
    /// Who they are, and what they want.
    Person(Box<Person>),
    /// Their inbox.
    Entries(Vec<Entry>),
    /// What they sent.
    Sent(Vec<Notification>),
    /// Bookings that are from them, in the inboxes of others.
    Booked(Vec<Notification>),
    /// What waits for them, or was for people by name.
    Named(Vec<Elsewhere>),
    /// What recurs.
    Recurring(Vec<Elsewhere>),
    /// Browsers that take pushes.
    Devices(Vec<Registered>),
    /// Their archive of digests.
    Digests(Vec<SentDigest>),
    /// What they said of what they agree to.
    Consents(Vec<Consent>),
    /// Who saw what about them.
    Disclosures(Vec<Disclosure>),
    /// Rows of the audit log.
    Audit(Vec<Audited>),
    /// Messages to webhooks.
    Messages(Vec<Elsewhere>),
    /// Templates that they wrote: name and version.
    Templates(Vec<(String, i64)>),
    /// What names them in Redis, as it stands there.
    Outside(Vec<String>),
}

/// Who somebody is, and what they want.
pub struct Person {
    /// Who.
    pub recipient: Recipient,
    /// When this was made.
    pub at: Timestamp,
    /// Where they can be reached, whether they are a minor, and what they agree to.
    pub contacts: Option<Contacts>,
    /// What they prefer.
    pub preferences: Option<Preferences>,
    /// What they hear of.
    pub topics: Vec<String>,
    /// What they were when they were last here.
    pub roles: Vec<String>,
    /// The digest that they want, and when it is due.
    pub digest: Option<(DigestTerms, Option<Timestamp>)>,
    /// Their sockets: since when, and on which node.
    pub sockets: Vec<(Timestamp, String)>,
}

/// Where it goes on.
enum Stage {
    Person,
    Entries(i64),
    Sent(Option<i64>),
    Booked(Option<i64>),
    Named(i64),
    Recurring,
    Devices,
    Digests(i64),
    Consents(Option<i64>),
    Disclosures(Option<i64>),
    Audit(i64),
    Messages(i64),
    Templates,
    Outside,
    Over,
}

/// What is being handed out.
pub struct Export {
    store: Arc<Store>,
    recipient: Recipient,
    row: Option<i64>,
    at: Timestamp,
    outside: Vec<String>,
    with_bookings: bool,
    stage: Stage,
}

impl Export {
    /// Of `recipient`; what is `outside` the database was found. With bookings that are from a person of that name, if these are asked
    /// about.
    pub(super) async fn begin(
        store: Arc<Store>,
        recipient: Recipient,
        at: Timestamp,
        outside: Vec<String>,
        with_bookings: bool,
    ) -> Result<Self, Error> {
        let row = store.person_row(&recipient).await?;
        Ok(Self { store, recipient, row, at, outside, with_bookings, stage: Stage::Person })
    }

    /// The next page; nothing, if that was all. Pages of one section follow each other.
    ///
    /// # Errors
    /// When the database cannot answer: what was handed out is not all then.
    pub async fn next(&mut self) -> Result<Option<Section>, Error> {
        let store = self.store.clone();
        let row = self.row.unwrap_or(i64::MIN);
        let section = match self.stage {
            Stage::Person => {
                self.stage = Stage::Entries(i64::MIN);
                Section::Person(Box::new(self.person().await?))
            }
            Stage::Entries(after) => {
                let page = self.entries(row, after).await?;
                self.stage =
                    page.last().map_or(Stage::Sent(Some(0)), |(last, _)| Stage::Entries(last.position));
                Section::Entries(page)
            }
            Stage::Sent(None) => {
                self.stage = if self.with_bookings { Stage::Booked(Some(0)) } else { Stage::Named(0) };
                Section::Sent(Vec::new())
            }
            Stage::Booked(None) => {
                self.stage = Stage::Named(0);
                Section::Booked(Vec::new())
            }
            Stage::Booked(Some(after)) => {
                let (booked, next) = store.booked_by(&self.recipient, after).await?;
                self.stage = Stage::Booked(next);
                Section::Booked(booked)
            }
            Stage::Sent(Some(after)) => {
                let (sent, next) = store.sent_by(&self.recipient, after).await?;
                self.stage = Stage::Sent(next);
                Section::Sent(sent)
            }
            Stage::Named(after) => {
                let page = store.expansions_of(&self.recipient, after).await?;
                self.stage = page.last().map_or(Stage::Recurring, |last| Stage::Named(last.id));
                Section::Named(page)
            }
            Stage::Recurring => {
                self.stage = Stage::Devices;
                Section::Recurring(store.recurring_for(&self.recipient).await?)
            }
            Stage::Devices => {
                self.stage = Stage::Digests(0);
                Section::Devices(store.devices(&self.recipient).await?)
            }
            Stage::Digests(after) => {
                let page = store.whole_digests(row, after).await?;
                self.stage = page.last().map_or(Stage::Consents(None), |last| Stage::Digests(last.id));
                Section::Digests(page)
            }
            Stage::Consents(before) => {
                let page = store.consents_of(&self.recipient, before, PAGE).await?;
                self.stage =
                    page.last().map_or(Stage::Disclosures(None), |last| Stage::Consents(Some(last.id)));
                Section::Consents(page)
            }
            Stage::Disclosures(before) => {
                let page = store.disclosures_of(&self.recipient, before, PAGE).await?;
                self.stage = page.last().map_or(Stage::Audit(0), |last| Stage::Disclosures(Some(last.id)));
                Section::Disclosures(page)
            }
            Stage::Audit(after) => {
                let page = store.audited_of(&self.recipient, after).await?;
                self.stage = page.last().map_or(Stage::Messages(0), |last| Stage::Audit(last.id));
                Section::Audit(page)
            }
            Stage::Messages(after) => {
                let page = store.messages_of(&self.recipient, after).await?;
                self.stage = page.last().map_or(Stage::Templates, |last| Stage::Messages(last.id));
                Section::Messages(page)
            }
            Stage::Templates => {
                self.stage = Stage::Outside;
                Section::Templates(store.written_by(&self.recipient).await?)
            }
            Stage::Outside => {
                self.stage = Stage::Over;
                Section::Outside(std::mem::take(&mut self.outside))
            }
            Stage::Over => return Ok(None),
        };
        Ok(Some(section))
    }

    async fn person(&self) -> Result<Person, Error> {
        let (store, recipient) = (&self.store, &self.recipient);
        let roles = match self.row {
            Some(row) => store.roles_of(row).await?,
            None => Vec::new(),
        };
        let wanted = store.subscriber_named(recipient).await?;
        Ok(Person {
            recipient: recipient.clone(),
            at: self.at,
            contacts: match store.contacts(recipient).await {
                Err(StoreError::Unopened(_)) => None,
                read => Some(read?),
            },
            preferences: store.preferences(recipient).await?,
            topics: store.topics(recipient).await?,
            roles,
            digest: wanted.map(|one| (one.terms, one.next_at)),
            sockets: store.sockets_of(recipient).await?,
        })
    }

    async fn entries(&self, row: i64, after: i64) -> Result<Vec<Entry>, Error> {
        let page = self.store.whole_entries(row, after).await?;
        let ids: Vec<i64> = page.iter().map(|entry| entry.notification.id.0).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let deliveries = self.store.whole_deliveries(row, &ids).await?;
        let numbers: Vec<i64> = deliveries.iter().map(|one| one.id).collect();
        let mut tries: HashMap<i64, Vec<Attempt>> = HashMap::new();
        if !numbers.is_empty() {
            for attempt in self.store.attempts_of(&numbers).await? {
                tries.entry(attempt.delivery).or_default().push(attempt);
            }
        }
        let mut ways: HashMap<i64, Vec<(WholeDelivery, Vec<Attempt>)>> = HashMap::new();
        for one in deliveries {
            let tried = tries.remove(&one.id).unwrap_or_default();
            ways.entry(one.notification).or_default().push((one, tried));
        }
        let with = |entry: WholeEntry| {
            let ways = ways.remove(&entry.notification.id.0).unwrap_or_default();
            (entry, ways)
        };
        Ok(page.into_iter().map(with).collect())
    }
}
