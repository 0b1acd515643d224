//! Why something reached somebody, or did not; and who would get what. Nothing is written here.

use std::sync::Arc;

use super::admission::accepted_at;
use super::schedule::subject;
use super::{Error, Notify, Outgoing};
use crate::access::Principal;
use crate::delivery::Live;
use crate::domain::{
    Action, Audience, Channel, Clock, ConsentNeeded, Group, Muted, NotificationId, Recipient, Tenant,
    Timestamp, UserId,
};
use crate::realtime::Hub;
use crate::store::{Sought, Store, Trace, TracedEntry, TracedHush, TracedSpread};

/// Why nothing went by a channel.
pub(super) const UNASKED: &str = "its sender did not ask for this channel";
/// People whose ways are told at once.
const MOST_SHOWN: i64 = 20;

/// One step of a notification's way to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `accepted`, `scheduled`, `cancelled`, `spread`, `stored`, `sent`, `confirmed`, `read`, `deleted`, `expired`.
    pub step: &'static str,
    /// By which channel, where it is by one.
    pub channel: Option<Channel>,
    /// When it happened, as far as that is known.
    pub at: Option<Timestamp>,
    /// Whether it happened; nothing, where that is not known here.
    pub happened: Option<bool>,
    /// How, or why not.
    pub reason: String,
    /// Which socket and which node told it, where that is known and the business of whoever asks.
    pub over: Option<Over>,
}

/// By which way something was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// The beginning of the socket's name, as in the log.
    pub connection: String,
    /// The node's name.
    pub node: String,
}

impl Over {
    /// Of `socket@node`.
    fn read(text: &str) -> Option<Self> {
        let (connection, node) = text.split_once('@')?;
        Some(Self { connection: connection.to_owned(), node: node.to_owned() })
    }
}

impl Step {
    pub(super) fn done(step: &'static str, at: Option<Timestamp>, reason: impl Into<String>) -> Self {
        Self { step, channel: None, at, happened: Some(true), reason: reason.into(), over: None }
    }

    pub(super) fn not(step: &'static str, reason: impl Into<String>) -> Self {
        Self { step, channel: None, at: None, happened: Some(false), reason: reason.into(), over: None }
    }

    pub(super) fn unknown(step: &'static str, reason: impl Into<String>) -> Self {
        Self { step, channel: None, at: None, happened: None, reason: reason.into(), over: None }
    }

    pub(super) fn by(self, channel: Channel) -> Self {
        Self { channel: Some(channel), ..self }
    }

    /// Whether it says only that its sender wanted nothing of this channel.
    pub fn is_unasked(&self) -> bool {
        self.reason == UNASKED
    }

    fn over(self, over: Option<Over>) -> Self {
        Self { over, ..self }
    }
}

/// Ways of one notification to those who have it.
#[derive(Clone, Debug)]
pub struct Ways {
    /// To whom, with the steps of each.
    pub people: Vec<(UserId, Vec<Step>)>,
    /// Where to go on, if there may be more.
    pub next: Option<i64>,
}

/// A notification's way, and that to one person.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// What is known of it.
    pub trace: Trace,
    /// To whom.
    pub recipient: Option<UserId>,
    /// The steps, in their order.
    pub steps: Vec<Step>,
}

/// Answers why.
pub struct Explain {
    pub(super) store: Arc<Store>,
    hub: Arc<Hub>,
    live: Arc<Live>,
    pub(super) notify: Arc<Notify>,
    outgoing: Arc<Outgoing>,
    clock: Arc<dyn Clock>,
    pub(super) mandatory: Arc<[String]>,
    pub(super) consent: ConsentNeeded,
}

impl Explain {
    /// Reads `store`; what is under way is known to `hub` and `live`.
    pub fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        live: Arc<Live>,
        notify: Arc<Notify>,
        outgoing: Arc<Outgoing>,
        clock: Arc<dyn Clock>,
        mandatory: Arc<[String]>,
    ) -> Self {
        let consent = ConsentNeeded::default();
        Self { store, hub, live, notify, outgoing, clock, mandatory, consent }
    }

    /// The same, where people must have agreed to some channels.
    pub fn agreed(self, consent: ConsentNeeded) -> Self {
        Self { consent, ..self }
    }

    /// The way of notification `id` to `user`; who may not send sees what they have or sent only.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is another tenant's, or, for whoever may not send, not theirs.
    pub async fn timeline(
        &self,
        who: &Principal,
        id: NotificationId,
        user: Option<UserId>,
    ) -> Result<Timeline, Error> {
        let own = who.inbox();
        let asked = match user {
            Some(user) => Some(Recipient { tenant: who.tenant.clone(), user }),
            None => own.clone(),
        };
        let trace = self.store.trace(&who.tenant, id, asked.as_ref()).await?.ok_or(Error::NotFound)?;
        let is_own = asked.is_some() && asked == own;
        let has_it = is_own && trace.entry.is_some();
        let sees_all = who.can_send || who.can_watch();
        let is_sender = sees_all || (is_own && who.is_sender(trace.sender.as_deref()));
        if !is_sender && !has_it {
            return Err(Error::NotFound);
        }
        let recipient = asked.filter(|_| trace.entry.is_some() || !is_own);
        let mut steps = vec![accepted(&trace, sees_all)];
        if let Some(spread) = trace.spread.as_ref().filter(|spread| !spread.is_taken_back) {
            steps.extend(spreading(spread, accepted_at(&trace.uuid), self.clock.now(), is_sender));
        }
        if let Some(spread) = trace.spread.as_ref().filter(|spread| spread.is_taken_back) {
            steps.push(self.taken_back(who, &trace, spread).await?);
        }
        if let Some(recipient) = &recipient {
            match &trace.entry {
                Some(entry) => {
                    let beyond = self.outgoing.steps(&who.tenant, id, recipient, trace.priority).await?;
                    steps.extend(self.received(&trace, entry, recipient, beyond, sees_all));
                }
                None => steps.push(self.not_received(&trace, recipient).await?),
            }
        }
        let recipient = recipient.map(|recipient| recipient.user);
        Ok(Timeline { trace, recipient, steps })
    }

    /// The ways of notification `id` to those who have it, behind the place `after`, for whoever may see everybody's.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is another tenant's, or `who` may not see that.
    pub async fn ways(&self, who: &Principal, id: NotificationId, after: i64) -> Result<Ways, Error> {
        let trace = self.store.trace(&who.tenant, id, None).await?;
        let trace = trace.filter(|_| who.can_send || who.can_watch()).ok_or(Error::NotFound)?;
        let (held, next) = self.store.holders(&who.tenant, id, after, MOST_SHOWN).await?;
        let mut people = Vec::with_capacity(held.len());
        for (user, entry) in held {
            let recipient = Recipient { tenant: who.tenant.clone(), user };
            let beyond = self.outgoing.steps(&who.tenant, id, &recipient, trace.priority).await?;
            let steps = self.received(&trace, &entry, &recipient, beyond, true);
            people.push((recipient.user, steps));
        }
        Ok(Ways { people, next })
    }

    /// That it was taken back, and by whom.
    async fn taken_back(&self, who: &Principal, trace: &Trace, spread: &TracedSpread) -> Result<Step, Error> {
        let sought =
            Sought { action: Some(Action::TakeBack), subject: Some(subject(trace.id)), ..Sought::default() };
        let deed = self.store.audited(&who.tenant, &sought, 1).await?.pop();
        let by = deed.and_then(|deed| deed.actor).map(|actor| format!(" by {actor}")).unwrap_or_default();
        let due_at = spread.due_at;
        let words = format!("it was to go out at {due_at}, was taken back{by}, and never goes out");
        Ok(Step::done("cancelled", spread.finished_at, words))
    }

    /// What happened to an entry.
    fn received(
        &self,
        trace: &Trace,
        entry: &TracedEntry,
        recipient: &Recipient,
        beyond: Vec<Step>,
        sees_all: bool,
    ) -> Vec<Step> {
        let over = trace.expires_at.filter(|at| *at <= self.clock.now());
        let stored = match entry.hush {
            Some((TracedHush::Muted, _)) => {
                "it is kept, and found by its id; it is neither listed nor counted, and not told over sockets"
            }
            Some((TracedHush::Waits, _)) => "it is in the inbox; over sockets it is not told yet",
            Some((TracedHush::SummedUp, _)) => "it is in the inbox; over sockets a summary told of it",
            _ => "it is in the inbox; over sockets it comes in its order, and again until it is confirmed",
        };
        // When a chunk of an audience was stored is not kept.
        let at = trace.spread.is_none().then_some(trace.created_at);
        let mut steps = vec![Step::done("stored", at, stored)];
        if let Some((state, reason)) = &entry.hush {
            let told = match (state, over.or(trace.expires_at)) {
                (TracedHush::Muted, _) if reason == Muted::Unasked.reason() => reason.clone(),
                (TracedHush::Muted, _) => format!("{reason}, by the recipient's preferences"),
                (TracedHush::Waits, Some(_)) if over.is_some() => {
                    format!("the recipient had {reason}; it expired before it could be told")
                }
                (TracedHush::Waits, Some(at)) => {
                    format!("the recipient has {reason}; it is told then, unless it has expired, at {at}")
                }
                (TracedHush::Waits, None) => format!("the recipient has {reason}; it is told then"),
                (TracedHush::SummedUp, _) => reason.clone(),
                (TracedHush::Over, _) => format!("it waited: the recipient had {reason}"),
            };
            steps.push(Step::not("sent", told).by(Channel::Realtime));
        }
        let is_told =
            !matches!(entry.hush, Some((TracedHush::Muted | TracedHush::Waits | TracedHush::SummedUp, _)));
        if is_told || entry.confirmed_at.is_some() {
            let sent = self.sent(trace, entry, recipient).by(Channel::Realtime);
            steps.push(if sees_all { sent } else { sent.over(None) });
        }
        steps.extend(beyond);
        steps.push(match (entry.confirmed_at, entry.confirmed_by.as_deref()) {
            (Some(at), Some("ack")) => Step::done("confirmed", Some(at), "the client said so"),
            (Some(at), Some("read")) => Step::done("confirmed", Some(at), "it was read, so it had arrived"),
            (Some(at), _) => {
                Step::done("confirmed", Some(at), "the socket outlived a heartbeat round after it was sent")
            }
            (None, _) => Step::not("confirmed", "no device has confirmed it yet"),
        });
        steps.push(match entry.read_at {
            Some(at) => Step::done("read", Some(at), "the recipient marked it, or all, as read"),
            None => Step::not("read", "the recipient has not marked it as read"),
        });
        let removed = |at| Step::done("deleted", Some(at), "the recipient removed it from the inbox");
        steps.extend(entry.deleted_at.map(removed));
        steps.extend(
            over.map(|at| Step::done("expired", Some(at), "from then on it is not listed, nor told")),
        );
        steps
    }

    fn sent(&self, trace: &Trace, entry: &TracedEntry, recipient: &Recipient) -> Step {
        let confirmations = self.live.confirmations();
        let handed = || confirmations.handed(recipient, trace.id);
        let seconds = confirmations.seconds();
        match (entry.sent_at, entry.confirmed_at) {
            (Some(at), _) => Step::done("sent", Some(at), "a socket of the recipient took it")
                .over(entry.sent_over.as_deref().and_then(Over::read)),
            (None, Some(_)) => match handed() {
                Some(handed) => Step::done("sent", Some(handed.at), "a socket of the recipient took it")
                    .over(Over::read(&handed.way())),
                None if self.store.is_shared() => {
                    let words = format!(
                        "it was found in a list, or another node told it: that one writes down when, within {seconds} s"
                    );
                    Step::done("sent", None, words)
                }
                None => {
                    Step::done("sent", None, "it was found in a list, or this server was started anew since")
                }
            },
            (None, None) => match handed().filter(|_| self.hub.is_online(recipient)) {
                Some(handed) => {
                    let words = format!("a socket took it; whether it arrived shows within {seconds} s");
                    Step::done("sent", Some(handed.at), words).over(Over::read(&handed.way()))
                }
                None => Step::unknown(
                    "sent",
                    match trace.expires_at.is_some_and(|at| at <= self.clock.now()) {
                        true => {
                            "not known here: no device confirmed it before it expired, and it is told no more"
                        }
                        false if self.hub.connections_of(recipient) > 0 => {
                            "not known here: a socket of the recipient is connected to this node, and has not confirmed it"
                        }
                        false => {
                            "not known here: no socket of the recipient is connected to this node now, and another node, \
                             or this one before it was started anew, keeps what it sent to itself until it is confirmed. \
                             Unconfirmed, it is told again on return"
                        }
                    },
                ),
            },
        }
    }

    /// Why somebody does not have it.
    async fn not_received(&self, trace: &Trace, recipient: &Recipient) -> Result<Step, Error> {
        let Some(spread) = &trace.spread else {
            return Ok(Step::not("stored", "it was not sent to this recipient"));
        };
        if spread.is_taken_back {
            return Ok(Step::not("stored", "it was taken back before it went out"));
        }
        if let (Some(at), Some(over)) = (trace.expires_at, spread.finished_at)
            && at <= over
        {
            return Ok(Step::not("stored", "it expired before it had come to everybody it is for"));
        }
        let is_member = self.store.is_member(recipient, &spread.group).await?;
        let reason = match (spread.finished_at, is_member) {
            (None, true) if spread.due_at > self.clock.now() => {
                "it has not gone out yet; the recipient is among those it is for"
            }
            (None, true) => "it is spreading, and has not come to this recipient yet",
            (None, false) => "the recipient is not among those it is for, as of now",
            (Some(_), true) => "the recipient came to be among those it is for only after it had gone out",
            (Some(_), false) => "the recipient is not among those it is for",
        };
        Ok(Step::not("stored", reason))
    }
}

fn accepted(trace: &Trace, is_service: bool) -> Step {
    let by = trace.sender.as_deref().filter(|_| is_service).map(|sender| format!(" from {sender}"));
    let words = format!("durable{}, of priority {}", by.unwrap_or_default(), trace.priority.name());
    Step::done("accepted", Some(accepted_at(&trace.uuid)), words)
}

/// How it spread; how many have it is the sender's business.
fn spreading(spread: &TracedSpread, accepted_at: Timestamp, now: Timestamp, is_sender: bool) -> Vec<Step> {
    let whom = match &spread.group {
        Group::Everyone => "everybody of the tenant".to_owned(),
        Group::Topic(topic) => format!("the subscribers of the topic {topic}"),
        Group::Role(role) => format!("those who have the role {role}"),
        Group::People(_) if !is_sender => "recipients by name".to_owned(),
        Group::People(users) => format!("{} named recipients", users.len()),
    };
    if spread.due_at > now {
        let waits = format!("it goes out at {}, to {whom}", spread.due_at);
        return vec![Step::not("spread", waits)];
    }
    let scheduled = Step::done("scheduled", Some(spread.due_at), "it was due then");
    let is_late = spread.due_at.seconds_since(accepted_at) > 1.0;
    let spread = match spread.finished_at {
        Some(at) if !is_sender => Step::done("spread", Some(at), format!("it went to {whom}")),
        None if !is_sender => Step::not("spread", format!("it is going to {whom}")),
        Some(at) => Step::done("spread", Some(at), format!("{} people have it: {whom}", spread.people)),
        None => Step::not("spread", format!("{} people have it so far, of {whom}", spread.people)),
    };
    match is_late {
        true => vec![scheduled, spread],
        false => vec![spread],
    }
}

/// The people of an audience.
pub(super) fn group_of(audience: &Audience, tenant: &Tenant) -> (Tenant, Group) {
    match audience {
        Audience::Whoever(tenant, group) => (tenant.clone(), group.clone()),
        named => {
            let people = named.named().iter().map(|recipient| recipient.user.as_str().to_owned());
            (tenant.clone(), Group::People(people.collect()))
        }
    }
}
