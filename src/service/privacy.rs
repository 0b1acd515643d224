//! What people may ask of what is kept of them: all of it, to be forgotten, what they agree to, and who saw what about them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::Mutex;

use super::compliance::Counted;
use super::export::Export;
use super::{Alarms, AuditSettings, Error, Presences};
use crate::access::Principal;
use crate::domain::{Action, Channel, Clock, Contacts, Deed, Recipient, SaidBy, UserId};
use crate::realtime::Hub;
use crate::store::{AGAIN, Consent, Disclosure, Part, PrivacyWrite, Store, StoreError, Write, Written};
use crate::telemetry::Metrics;

/// How often it is looked whether something came while somebody was forgotten.
const ROUNDS: usize = 8;
/// Other nodes are given so long to write down that somebody's sockets have left.
const ELSEWHERE: Duration = Duration::from_millis(400);
/// Rows of one page.
const MOST_LISTED: i64 = 100;

/// What others keep of people outside the database.
pub trait Outside: Send + Sync {
    /// All that names this person, without the names of others; of what may be somebody else's, that it is there.
    fn find(&self, whom: Recipient) -> BoxFuture<'static, Result<Vec<String>, String>>;
    /// Removes the same: of what may be somebody else's, what it says.
    fn forget(&self, whom: Recipient) -> BoxFuture<'static, Result<Forgotten, String>>;
}

/// What others forgot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgotten {
    /// How many were removed, or lost what they say.
    pub many: usize,
    /// Whether there are some of which nobody can tell whom they name.
    pub may_be_left: bool,
}

/// Tells where something of people stands that this server cannot remove, in words for people.
pub type BeyondReach = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// What was forgotten.
#[derive(Clone, Debug)]
pub struct Erased {
    /// Who: the name that was asked for.
    pub recipient: Recipient,
    /// How many rows of which table were removed, or lost a name.
    pub removed: BTreeMap<&'static str, usize>,
    /// How many sockets on this node were closed.
    pub sockets: usize,
    /// What stays, and where nobody else than its keeper can remove it.
    pub remains: Vec<String>,
}

/// People, and what is kept of them.
pub struct Privacy {
    pub(super) store: Arc<Store>,
    hub: Arc<Hub>,
    presences: Arc<Presences>,
    outside: Option<Arc<dyn Outside>>,
    alarms: Arc<Alarms>,
    pub(super) clock: Arc<dyn Clock>,
    beyond_reach: BeyondReach,
    vacuum_bytes: u64,
    bookings_name_users: bool,
    /// One at a time is forgotten: who asks again waits for who asked before.
    turn: Mutex<()>,
    pub(super) counted: Counted,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: AuditSettings,
}

pub(super) const ADMIN: &str =
    "what is kept of others is for administrators and services with the scope privacy:manage";

/// What is said of what caps go on counting.
const CAPS: &str = "digests of the numbers and addresses that messages went to lately, with their times: they count for the limits \
    of messages, and go within a day. They name nobody";
/// What is said of dead letters that do not say whom they name.
const NAMELESS: &str = "dead letters in Redis that were too long, and were cut before they say for whom they are: nobody can tell \
    whether one is of this person. The stream keeps about the last thousand (ingest.dead_letters); whoever runs Redis removes them";
/// Why somebody is not forgotten yet.
const BY_ANOTHER: &str =
    "somebody else asked for the same at the same time, on another node. Ask again: little is left to do";
const TOO_FAST: &str =
    "notifications to this person come faster than they can be removed. Stop what sends them, and ask again";

impl Privacy {
    /// Kept in `store`, and `outside`; `beyond_reach` tells of the rest. A database file of at most `vacuum_bytes` is written anew
    /// when somebody is forgotten. `bookings_name_users` says whether the `user` of a booking is one of the people here.
    #[expect(clippy::too_many_arguments, reason = "it is put together once")]
    pub fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        presences: Arc<Presences>,
        outside: Option<Arc<dyn Outside>>,
        alarms: Arc<Alarms>,
        clock: Arc<dyn Clock>,
        beyond_reach: BeyondReach,
        vacuum_bytes: u64,
        bookings_name_users: bool,
        metrics: Arc<Metrics>,
        audit: AuditSettings,
    ) -> Self {
        Self {
            store,
            hub,
            presences,
            outside,
            alarms,
            clock,
            beyond_reach,
            vacuum_bytes,
            bookings_name_users,
            turn: Mutex::new(()),
            counted: Counted::default(),
            metrics,
            audit,
        }
    }

    /// Of whom `who` asks: by name, or by none of themselves. Others are for whom `may_others` says; a person who asks of
    /// another hears the same whether there is one or not.
    fn asked(who: &Principal, user: Option<UserId>, may_others: bool) -> Result<Recipient, Error> {
        let Some(user) = user else {
            return who.inbox().ok_or(Error::Forbidden("it names no user; name one"));
        };
        match who.recipient(&user) {
            Some(own) => Ok(own),
            None if may_others => Ok(who.person(user)),
            None if who.can_send => Err(Error::Forbidden(ADMIN)),
            None => Err(Error::NoSuchRecipient),
        }
    }

    fn deed(&self, who: &Principal, of: &Recipient, action: Action, from: Option<IpAddr>) -> Deed {
        Deed {
            at: self.clock.now(),
            tenant: of.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action,
            subject: Some(of.user.as_str().to_owned()),
            detail: "{}".to_owned(),
            address: from,
        }
    }

    /// Writes down that `who` looked at what is `of`'s, unless that is their own; durable on return.
    async fn seen(
        &self,
        who: &Principal,
        of: &Recipient,
        action: Action,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let deed = self.deed(who, of, action, from);
        let about = vec![of.user.as_str().to_owned()];
        let write = match who.recipient(&of.user).is_some() {
            false => Write::Privacy(Arc::new(PrivacyWrite::Seen { deed, about })),
            true if action == Action::Export => Write::Audit(vec![deed]),
            true => return Ok(()),
        };
        self.store.write(write).await?;
        Ok(())
    }

    /// All that is kept of `user`, a page at a time. That it is handed out is written down first.
    ///
    /// # Errors
    /// When `who` may not know, or the database cannot answer.
    pub async fn export(
        &self,
        who: &Principal,
        user: Option<UserId>,
        from: Option<IpAddr>,
    ) -> Result<Export, Error> {
        let recipient = Self::asked(who, user, who.can_manage_privacy)?;
        self.seen(who, &recipient, Action::Export, from).await?;
        let outside = match &self.outside {
            Some(outside) => outside.find(recipient.clone()).await.map_err(Error::Redis)?,
            None => Vec::new(),
        };
        Export::begin(self.store.clone(), recipient, self.clock.now(), outside, self.bookings_name_users)
            .await
    }

    /// Forgets `user`: on return nothing names them but pseudonyms that lead nowhere. What is for others, too, stays theirs.
    /// Asked again, it goes on where it was interrupted.
    ///
    /// # Errors
    /// When `who` may not, or it is not done: then it is to be asked for again.
    pub async fn erase(
        &self,
        who: &Principal,
        user: Option<UserId>,
        from: Option<IpAddr>,
    ) -> Result<Erased, Error> {
        let recipient = Self::asked(who, user, who.can_manage_privacy)?;
        let is_own = who.recipient(&recipient.user).is_some();
        if is_own && !who.can_manage_privacy && self.store.contacts(&recipient).await?.is_minor {
            let why = "a minor is not forgotten by themselves, nor is who answers for them; a service of their tenant does it";
            return Err(Error::Forbidden(why));
        }
        let _turn = self.turn.lock().await;
        let (mut removed, mut remains) = (BTreeMap::new(), (self.beyond_reach)());
        if let Some(outside) = &self.outside {
            let gone = outside.forget(recipient.clone()).await.map_err(Error::Redis)?;
            *removed.entry("redis").or_default() += gone.many;
        }
        let sockets = self.hub.forget(&recipient);
        self.presences.write().await?;
        if self.store.is_shared() {
            tokio::time::sleep(ELSEWHERE).await;
        }
        let mut deed = Some(self.deed(who, &recipient, Action::Erase, from));
        for _ in 0..ROUNDS {
            let round = self.round(&recipient, deed.clone()).await?;
            let is_quiet = deed.is_none() && !round.iter().any(|(_, many)| *many > 0);
            if !round.contains_key(AGAIN) {
                deed = None;
            }
            for (table, many) in round.into_iter().filter(|(table, _)| *table != AGAIN) {
                *removed.entry(table).or_default() += many;
            }
            if is_quiet {
                break;
            }
            // What was under way when it began may have put something back.
            self.store.outlast_others().await?;
            self.presences.write().await?;
        }
        if let Some(outside) = &self.outside {
            let gone = outside.forget(recipient.clone()).await.map_err(Error::Redis)?;
            *removed.entry("redis").or_default() += gone.many;
            if gone.may_be_left {
                remains.push(NAMELESS.to_owned());
            }
        }
        if deed.is_some() {
            let is_gone = self.store.person_row(&recipient).await?.is_none();
            return Err(Error::NotDone(if is_gone { BY_ANOTHER } else { TOO_FAST }));
        }
        removed.retain(|_, many| *many > 0);
        self.alarms.forget(&recipient);
        // Where there was nothing, what was written to find that out is in the log only.
        self.store.scrub((!removed.is_empty()).then_some(self.vacuum_bytes)).await?;
        tracing::info!(rows = removed.values().sum::<usize>(), "somebody was forgotten");
        if self.store.is_counted_on(&recipient).await? {
            remains.push(CAPS.to_owned());
        }
        Ok(Erased { recipient, removed, sockets, remains })
    }

    /// Removes all that there is now.
    async fn round(
        &self,
        whom: &Recipient,
        deed: Option<Deed>,
    ) -> Result<BTreeMap<&'static str, usize>, StoreError> {
        let mut removed = BTreeMap::new();
        self.part(whom, Part::Begin, &mut removed).await?;
        let Some(secret) = self.store.secret_of(whom).await? else {
            // Somebody else forgets them, and was faster.
            removed.insert(AGAIN, 1);
            return Ok(removed);
        };
        if let Some(row) = self.store.person_row(whom).await? {
            loop {
                let (places, alone) = self.store.places_alone(whom, row).await?;
                if places.is_empty() {
                    break;
                }
                self.part(whom, Part::Entries { row, places, alone }, &mut removed).await?;
            }
        }
        let mut after = 0;
        loop {
            let some = self.store.expansions_of(whom, after).await?;
            let Some(last) = some.last().map(|one| one.id) else { break };
            let ids = some.into_iter().map(|one| one.id).collect();
            self.part(whom, Part::Expansions(ids), &mut removed).await?;
            after = last;
        }
        let recurring: Vec<i64> =
            self.store.recurring_for(whom).await?.into_iter().map(|one| one.id).collect();
        if !recurring.is_empty() {
            self.part(whom, Part::Recurring(recurring), &mut removed).await?;
        }
        let mut after = Some(0);
        while let Some(from) = after {
            let (sent, next) = self.store.sent_by(whom, from).await?;
            if !sent.is_empty() {
                let ids = sent.iter().map(|one| one.id.0).collect();
                self.part(whom, Part::Sent(ids, secret.clone()), &mut removed).await?;
            }
            after = next;
        }
        let mut after = self.bookings_name_users.then_some(0);
        while let Some(from) = after {
            let (booked, next) = self.store.booked_by(whom, from).await?;
            if !booked.is_empty() {
                let ids = booked.iter().map(|one| one.id.0).collect();
                self.part(whom, Part::Booked(ids, secret.clone()), &mut removed).await?;
            }
            after = next;
        }
        // Up to what is sealed, nobody can write any more: of the rows behind it some may come out of order.
        let audited = self.store.audit_log().chain().await?.head.id;
        let mut after = 0;
        loop {
            let some = self.store.audited_of(whom, after).await?;
            let Some(last) = some.last().map(|one| one.id) else { break };
            let ids = some.into_iter().map(|one| one.id).collect();
            self.part(whom, Part::Audit(ids, secret.clone()), &mut removed).await?;
            after = last;
        }
        self.part(whom, Part::Person { secret, audited, deed }, &mut removed).await?;
        // Last: what was done above may have been told.
        let mut after = 0;
        loop {
            let some = self.store.messages_of(whom, after).await?;
            let Some(last) = some.last().map(|one| one.id) else { break };
            let ids = some.into_iter().map(|one| one.id).collect();
            self.part(whom, Part::Messages(ids), &mut removed).await?;
            after = last;
        }
        Ok(removed)
    }

    async fn part(
        &self,
        whom: &Recipient,
        part: Part,
        removed: &mut BTreeMap<&'static str, usize>,
    ) -> Result<(), StoreError> {
        let write = PrivacyWrite::Erase { whom: whom.clone(), part };
        let Written::Erased(these) = self.store.write(Write::Privacy(Arc::new(write))).await? else {
            return Err(StoreError::Closed);
        };
        for (table, many) in these.iter() {
            *removed.entry(table).or_default() += many;
        }
        Ok(())
    }

    /// What `user` agrees to, and how that came to be, the latest first.
    ///
    /// # Errors
    /// When `who` may not know, or the database cannot answer.
    pub async fn consents(
        &self,
        who: &Principal,
        user: Option<UserId>,
        (before, limit): (Option<i64>, i64),
        from: Option<IpAddr>,
    ) -> Result<(Recipient, Contacts, Vec<Consent>), Error> {
        let recipient = Self::asked(who, user, who.can_send)?;
        self.seen(who, &recipient, Action::ConsentRead, from).await?;
        let said = self.store.consents_of(&recipient, before, limit.clamp(1, MOST_LISTED + 1)).await?;
        let contacts = match self.store.contacts(&recipient).await {
            Err(StoreError::Unopened(_)) => {
                let all = self.store.consents_of(&recipient, None, i64::MAX).await?;
                let own = all.iter().rev().filter(|one| one.kind.is_empty());
                let consents = own.map(|one| (one.channel, one.is_given)).collect();
                Contacts { consents, ..Contacts::default() }
            }
            read => read?,
        };
        Ok((recipient, contacts, said))
    }

    /// Notes what `user` agrees to from now on, and to what no longer; durable on return. A minor cannot agree to anything:
    /// for them a service of their tenant does.
    ///
    /// # Errors
    /// When `who` may not, or it could not be stored.
    pub async fn consent(
        &self,
        who: &Principal,
        user: Option<UserId>,
        said: Vec<(Channel, bool)>,
        note: Option<String>,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let recipient = Self::asked(who, user, who.can_send)?;
        let is_own = who.recipient(&recipient.user).is_some();
        if is_own
            && said.iter().any(|(_, is_given)| *is_given)
            && self.store.contacts(&recipient).await?.is_minor
        {
            let why = "a minor does not agree by themselves; a service of their tenant notes what their guardian says";
            return Err(Error::Forbidden(why));
        }
        let mut deed = self.deed(who, &recipient, Action::Consent, from);
        let words: BTreeMap<_, _> =
            said.iter().map(|(channel, is_given)| (channel.name(), *is_given)).collect();
        deed.detail = json!(words).to_string();
        let actor = (!is_own).then(|| who.name().to_owned());
        let write = PrivacyWrite::Consent { recipient, said, how: SaidBy::Api, actor, note, deed };
        self.store.write(Write::Privacy(Arc::new(write))).await?;
        Ok(())
    }

    /// Who saw, or was sent, what about `user`, the latest first.
    ///
    /// # Errors
    /// When `who` may not know, or the database cannot answer.
    pub async fn disclosures(
        &self,
        who: &Principal,
        user: Option<UserId>,
        (before, limit): (Option<i64>, i64),
        from: Option<IpAddr>,
    ) -> Result<Vec<Disclosure>, Error> {
        let recipient = Self::asked(who, user, who.can_manage_privacy)?;
        let page = self.store.disclosures_of(&recipient, before, limit.clamp(1, MOST_LISTED + 1)).await?;
        self.seen(who, &recipient, Action::DisclosuresRead, from).await?;
        Ok(page)
    }
}
