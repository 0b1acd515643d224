//! Who is told what becomes of a tenant's notifications: its own programs, at addresses that its administrators name.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::Error;
use crate::access::Principal;
use crate::delivery::outbound::Outbound;
use crate::delivery::webhooks::{Settings, WebhookSecret, Webhooks};
use crate::domain::{Action, Broken, Clock, Deed, Secret, Timestamp, WebhookEvent};
use crate::store::{
    Again, MessagesSought, NewWebhook, Replayed, Store, StoreError, ToldMessage, Webhook, WebhookChange,
    WebhookKept, WebhookWrite, Write, Written,
};

/// Bytes of an address, and of what it is for.
const LONGEST_URL: usize = 2_048;
const LONGEST_DESCRIPTION: usize = 500;
/// Messages that are told again by one commit.
const TOGETHER: i64 = 500;
/// Whoever has all told again is answered by then.
const PATIENCE: Duration = Duration::from_secs(4);

/// Addresses that are told.
pub struct Hooks {
    store: Arc<Store>,
    outbound: Arc<Outbound>,
    webhooks: Arc<Webhooks>,
    clock: Arc<dyn Clock>,
    most: i64,
    rotation: i64,
}

fn may(who: &Principal) -> Result<(), Error> {
    let needed = "webhooks need the scope webhooks:write or the role admin";
    if who.can_manage_webhooks { Ok(()) } else { Err(Error::Forbidden(needed)) }
}

/// The same, of one that is named: to others there is none.
fn may_name(who: &Principal) -> Result<(), Error> {
    may(who).map_err(|_| Error::NoSuchWebhook)
}

/// The host of an address: the rest may be a secret.
pub fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}

impl Hooks {
    /// Kept in `store`, called by `outbound`; `webhooks` tells them.
    pub fn new(
        store: Arc<Store>,
        outbound: Arc<Outbound>,
        webhooks: Arc<Webhooks>,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Self {
        let (most, rotation) = (settings.per_tenant.into(), i64::from(settings.rotation_hours) * 60 * 60);
        Self { store, outbound, webhooks, clock, most, rotation }
    }

    /// All of the tenant's.
    ///
    /// # Errors
    /// When the token does not allow it, or the database cannot answer.
    pub async fn list(&self, who: &Principal) -> Result<Vec<Webhook>, Error> {
        may(who)?;
        Ok(self.store.webhooks(&who.tenant).await?)
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of this number.
    pub async fn find(&self, who: &Principal, id: i64) -> Result<Webhook, Error> {
        may_name(who)?;
        self.store.webhook(&who.tenant, id).await?.ok_or(Error::NoSuchWebhook)
    }

    /// Whether `who` may have `events` told.
    fn may_hear(who: &Principal, events: Option<&Vec<WebhookEvent>>) -> Result<(), Error> {
        let is_alarming = events.is_some_and(|events| events.contains(&WebhookEvent::SecurityAlert));
        let needed = "security alerts are for the role admin; leave security.alert out";
        if is_alarming && !who.is_admin() { Err(Error::Forbidden(needed)) } else { Ok(()) }
    }

    /// A new one; durable on return. Returns it with its secret, which is told never again.
    ///
    /// # Errors
    /// When it cannot be called, there are too many, or it could not be stored.
    pub async fn make(
        &self,
        who: &Principal,
        from: Option<IpAddr>,
        (url, description): (String, String),
        events: Option<Vec<WebhookEvent>>,
        secret: Option<Secret>,
    ) -> Result<(Webhook, Secret), Error> {
        may(who)?;
        Self::may_hear(who, events.as_ref())?;
        self.check(Some(&url), Some(&description)).await?;
        let secret = given(secret)?;
        let deed = self.deed(who, from, None, Action::Webhook, json!({"host": host(&url)}));
        let new = NewWebhook { url, description, events, secret: secret.clone() };
        let WebhookKept::Done(id) = self.keep(WebhookWrite::Make { new, most: self.most, deed }).await?
        else {
            return Err(Error::NoSuchWebhook);
        };
        Ok((self.find(who, id).await?, secret))
    }

    /// Changes one; what is not named stays.
    ///
    /// # Errors
    /// When there is none, or it cannot be called.
    pub async fn change(
        &self,
        who: &Principal,
        from: Option<IpAddr>,
        id: i64,
        change: WebhookChange,
    ) -> Result<Webhook, Error> {
        let former = self.find(who, id).await?;
        Self::may_hear(who, former.events.as_ref())?;
        Self::may_hear(who, change.events.as_ref().and_then(Option::as_ref))?;
        self.check(change.url.as_deref(), change.description.as_deref()).await?;
        let detail = json!({"host": change.url.as_deref().map(host), "enabled": change.is_enabled});
        let deed = self.deed(who, from, Some(id), Action::WebhookOtherwise, detail);
        self.keep(WebhookWrite::Change { id, change, deed }).await?;
        self.webhooks.wake();
        self.find(who, id).await
    }

    /// One is told nothing any more.
    ///
    /// # Errors
    /// When there is none.
    pub async fn remove(&self, who: &Principal, from: Option<IpAddr>, id: i64) -> Result<(), Error> {
        may_name(who)?;
        let deed = self.deed(who, from, Some(id), Action::WebhookNoMore, json!({}));
        self.keep(WebhookWrite::Remove { id, deed }).await.map(|_| ())
    }

    /// Signs what one is told by a new secret, and for a while by the former one, too. Returns the new one, and until when.
    ///
    /// # Errors
    /// When there is none, or what was given is no secret.
    pub async fn rotate(
        &self,
        who: &Principal,
        from: Option<IpAddr>,
        id: i64,
        secret: Option<Secret>,
    ) -> Result<(Secret, Timestamp), Error> {
        let former = self.find(who, id).await?;
        Self::may_hear(who, former.events.as_ref())?;
        let secret = given(secret)?;
        let deed = self.deed(who, from, Some(id), Action::WebhookRotate, json!({}));
        let until = deed.at.plus_seconds(self.rotation);
        self.keep(WebhookWrite::Rotate { id, secret: secret.clone(), until, deed }).await?;
        Ok((secret, until))
    }

    /// Tries one out. Returns the name of the message.
    ///
    /// # Errors
    /// When there is none.
    pub async fn test(&self, who: &Principal, from: Option<IpAddr>, id: i64) -> Result<Uuid, Error> {
        may_name(who)?;
        let uuid = Uuid::now_v7();
        let deed = self.deed(who, from, Some(id), Action::WebhookTest, json!({}));
        self.keep(WebhookWrite::Test { id, uuid, deed }).await?;
        self.webhooks.wake();
        Ok(uuid)
    }

    /// What one was told, the latest first; and whether there is more.
    ///
    /// # Errors
    /// When there is none.
    pub async fn messages(
        &self,
        who: &Principal,
        id: i64,
        sought: MessagesSought,
        limit: i64,
    ) -> Result<(Vec<ToldMessage>, bool), Error> {
        self.find(who, id).await?;
        let mut page = self.store.webhook_messages(id, sought, limit + 1).await?;
        let has_more = i64::try_from(page.len()).is_ok_and(|many| many > limit);
        page.truncate(usize::try_from(limit).unwrap_or(0));
        Ok((page, has_more))
    }

    /// Tells one again: as many messages as can be in a few seconds, and by one commit so many that others are not held up.
    /// Returns how many these are, and whether some are left.
    ///
    /// # Errors
    /// When there is no such address, or message.
    pub async fn replay(
        &self,
        who: &Principal,
        from: Option<IpAddr>,
        id: i64,
        which: Replayed,
    ) -> Result<(usize, bool), Error> {
        may_name(who)?;
        let deed = self.deed(who, from, Some(id), Action::WebhookReplay, json!({}));
        let since = match which {
            Replayed::One(uuid) => {
                return self.again(id, Again::One(uuid), deed).await.map(|all| (all, false));
            }
            Replayed::FailedSince(at) => at,
        };
        let until = Instant::now() + PATIENCE;
        let (mut all, mut before) = (0, None);
        loop {
            let some = self.store.failed_messages(id, since, before, TOGETHER).await?;
            let is_last = i64::try_from(some.len()).is_ok_and(|many| many < TOGETHER);
            before = some.last().copied();
            // Whose it is, is asked there.
            all += self.again(id, Again::Failed(some), deed.clone()).await?;
            if is_last || Instant::now() >= until {
                return Ok((all, !is_last));
            }
        }
    }

    async fn again(&self, id: i64, which: Again, deed: Deed) -> Result<usize, Error> {
        let WebhookKept::Replayed(many) = self.keep(WebhookWrite::Replay { id, which, deed }).await? else {
            return Err(Error::NoSuchWebhook);
        };
        self.webhooks.wake();
        Ok(many)
    }

    async fn check(&self, url: Option<&str>, description: Option<&str>) -> Result<(), Error> {
        if description.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
            return Err(Broken { field: "description", expected: "at most 500 characters" }.into());
        }
        let Some(url) = url else { return Ok(()) };
        if url.len() > LONGEST_URL {
            return Err(Broken { field: "url", expected: "at most 2,048 bytes" }.into());
        }
        let unsuitable = |why: &'static str| Error::from(Broken { field: "url", expected: why });
        let url = self.outbound.suitable(url).map_err(|why| unsuitable(why.0))?;
        self.outbound.leads_outside(&url).await.map_err(|why| unsuitable(why.0))
    }

    async fn keep(&self, write: WebhookWrite) -> Result<WebhookKept, Error> {
        match self.store.write(Write::Webhook(Arc::new(write))).await? {
            Written::Webhook(WebhookKept::Unknown) => Err(Error::NoSuchWebhook),
            Written::Webhook(WebhookKept::TooMany) => Err(Error::TooManyWebhooks(self.most)),
            Written::Webhook(kept) => Ok(kept),
            _ => Err(Error::Store(StoreError::Closed)),
        }
    }

    fn deed(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        id: Option<i64>,
        action: Action,
        detail: Value,
    ) -> Deed {
        Deed {
            at: self.clock.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action,
            subject: id.map(|id| format!("webhook:{id}")),
            detail: detail.to_string(),
            address,
        }
    }
}

/// The secret that was given, or a new one.
fn given(secret: Option<Secret>) -> Result<Secret, Error> {
    let Some(secret) = secret else { return WebhookSecret::random().ok_or(Error::NoRandomBytes) };
    let expected = "whsec_ and 24 to 64 random bytes in base64; leave it out to have one made";
    match WebhookSecret::new(&secret) {
        Ok(_) => Ok(secret),
        Err(_) => Err(Broken { field: "secret", expected }.into()),
    }
}
