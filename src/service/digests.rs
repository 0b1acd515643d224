//! What people want of their digests, and those that they got.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Error;
use crate::domain::{Action, Clock, Deed, DigestTerms, Recipient, Timestamp, Zone};
use crate::store::{DigestWrite, Gathered, SentDigest, Store, StoreError, Write, Written};

/// Digests in one page.
const MOST_LISTED: i64 = 100;

/// How somebody's digest is.
#[derive(Clone, Debug)]
pub struct DigestWanted {
    /// What they want of it.
    pub terms: DigestTerms,
    /// By which clocks.
    pub zone: Zone,
    /// When the next one is due; nothing: none is.
    pub next_at: Option<Timestamp>,
}

/// Digests.
pub struct Digests {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Digests {
    /// Kept in `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// What `recipient` wants; who never said gets none.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn wanted(&self, recipient: &Recipient) -> Result<DigestWanted, Error> {
        if let Some(known) = self.store.subscriber_named(recipient).await? {
            let zone = known.rhythm().zone;
            return Ok(DigestWanted { terms: known.terms, zone, next_at: known.next_at });
        }
        let zone = self.store.preferences(recipient).await?.unwrap_or_default().time_zone;
        let terms = DigestTerms { is_enabled: false, ..DigestTerms::default() };
        Ok(DigestWanted { terms, zone, next_at: None })
    }

    /// Puts `terms` in the place of what `recipient` wanted; durable on return.
    ///
    /// # Errors
    /// When they break a rule, or could not be stored.
    pub async fn want(
        &self,
        recipient: &Recipient,
        terms: DigestTerms,
        from: Option<IpAddr>,
    ) -> Result<DigestWanted, Error> {
        terms.check()?;
        let detail = json!({
            "is_enabled": terms.is_enabled,
            "frequency": terms.frequency.name(),
            "delivery_time": terms.delivery_time,
            "timezone": terms.timezone,
        });
        let deed = self.deed(recipient, Action::DigestWanted, &detail, from);
        let write = DigestWrite::Subscribe { recipient: recipient.clone(), terms, deed };
        match self.store.write(Write::Digest(Arc::new(write))).await? {
            Written::DigestDue(_) => self.wanted(recipient).await,
            _ => Err(Error::Store(StoreError::Closed)),
        }
    }

    /// `recipient` wants none any more. Those that they got stay.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn want_no_more(&self, recipient: &Recipient, from: Option<IpAddr>) -> Result<(), Error> {
        let deed = self.deed(recipient, Action::DigestNoMore, &json!({}), from);
        let write = DigestWrite::Unsubscribe { recipient: recipient.clone(), deed };
        self.store.write(Write::Digest(Arc::new(write))).await?;
        Ok(())
    }

    fn deed(&self, recipient: &Recipient, action: Action, detail: &Value, from: Option<IpAddr>) -> Deed {
        Deed {
            at: self.clock.now(),
            tenant: recipient.tenant.clone(),
            actor: Some(recipient.user.as_str().to_owned()),
            action,
            subject: Some(recipient.user.as_str().to_owned()),
            detail: detail.to_string(),
            address: from,
        }
    }

    /// What would stand in `recipient`'s digest now. A digest begins when it is wanted: until then there is nothing in it.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn preview(&self, recipient: &Recipient) -> Result<Value, Error> {
        let now = self.clock.now();
        let Some(known) = self.store.subscriber_named(recipient).await? else {
            let zone = self.store.preferences(recipient).await?.unwrap_or_default().time_zone;
            let today = DigestTerms::default().rhythm(zone).today(now);
            return Ok(Gathered::default().gathering.content(&day(today, now), &Default::default()));
        };
        let gathered = match known.next_at {
            Some(_) => self.store.gathered(&known, now).await?,
            None => Gathered::default(),
        };
        Ok(gathered.gathering.content(&day(known.rhythm().today(now), now), &gathered.items))
    }

    /// Those that `recipient` got before the one of number `before`, newest first; and whether there are more.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(
        &self,
        recipient: &Recipient,
        before: Option<i64>,
        limit: i64,
    ) -> Result<(Vec<SentDigest>, bool), Error> {
        let limit = limit.clamp(1, MOST_LISTED);
        let mut page = self.store.digests(recipient, before, limit + 1).await?;
        let has_more = i64::try_from(page.len()).is_ok_and(|many| many > limit);
        page.truncate(usize::try_from(limit).unwrap_or(0));
        Ok((page, has_more))
    }

    /// One that `recipient` got.
    ///
    /// # Errors
    /// When they got none of this number.
    pub async fn find(&self, recipient: &Recipient, id: i64) -> Result<SentDigest, Error> {
        self.store.digest(recipient, id).await?.ok_or(Error::NoSuchDigest)
    }
}

fn day(there: Option<impl ToString>, now: Timestamp) -> String {
    there.map_or_else(|| now.date(), |day| day.to_string())
}
