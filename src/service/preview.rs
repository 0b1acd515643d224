//! What a notification would do, told before it is sent: by the rules by which it would go out.

use std::borrow::Cow;

use super::Error;
use super::explain::{Explain, group_of};
use crate::access::Principal;
use crate::domain::{
    Audience, Channel, Draft, Email, Hush, Matter, Muted, NO_ADDRESS, NO_GUARDIAN, NO_MORE, NewNotification,
    Phone, Situation, Timestamp, UserId, Verdict, Wish, number_unfit,
};
use crate::store::Member;

/// What is stored of somebody's contacts was damaged.
const SHUT: &str = "contacts_unreadable: what is stored of their contacts was damaged";
/// People of an audience that a preview names.
const NAMED: i64 = 100;

/// What a notification would do.
#[derive(Clone, Debug)]
pub struct Preview {
    /// When it would go out, if not at once.
    pub due_at: Option<Timestamp>,
    /// Whom it is for, as the audit log names it; several people by name have no name together.
    pub subject: Option<String>,
    /// How many people it is for.
    pub people: i64,
    /// The first of them, and what would happen on each channel.
    pub first: Vec<(UserId, Channel, Prospect)>,
}

/// What would happen to a notification on somebody's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It would be told, or handed over, at once.
    Sent,
    /// Nobody is there: it would be told on return.
    Stored,
    /// It would go out later; who is there by then is told.
    Scheduled(Timestamp),
    /// It would go out then, if nothing before it was enough.
    Escalates(Timestamp),
    /// It would not be told at once.
    Hushed(Hush),
    /// It would never be told: it expires before quiet hours are over.
    Expired(Timestamp),
    /// It cannot or must not go this way.
    Skipped(Cow<'static, str>),
}

impl Explain {
    /// Who would get `draft` from `who`, when, and how. It is checked like one that is sent.
    ///
    /// # Errors
    /// As [`Notify::send`](super::Notify::send).
    pub async fn preview(&self, who: &Principal, draft: Draft) -> Result<Preview, Error> {
        let new = self.notify.admit(who, draft)?;
        let (tenant, group) = group_of(&new.audience, &who.tenant);
        let people = self.store.audience(&tenant, &group).await?;
        let first = self.store.members(&tenant, &group, NAMED).await?;
        let subject = match &new.audience {
            Audience::One(recipient) => Some(recipient.user.as_str().to_owned()),
            audience => audience.deed(false).1,
        };
        let wish = new.wish.as_ref().filter(|wish| wish.channels.contains(&Channel::Sms));
        let numbers: Vec<Phone> = wish
            .map(|wish| first.iter().filter_map(|member| number(wish, member)).collect())
            .unwrap_or_default();
        let stopped = self.store.stopped(&numbers, new.created_at).await?;
        let first = first.iter().flat_map(|member| self.prospects(&new, member, &stopped)).collect();
        Ok(Preview { due_at: new.due_at, subject, people, first })
    }

    /// What would happen on each channel of `member`'s.
    fn prospects(
        &self,
        new: &NewNotification,
        member: &Member,
        stopped: &[Phone],
    ) -> Vec<(UserId, Channel, Prospect)> {
        let of = |channel, prospect| (member.user.clone(), channel, prospect);
        let mut all = vec![of(Channel::Realtime, self.by_socket(new, member))];
        let mut skipped = 0;
        for (channel, step) in new.wish.as_ref().map(Wish::steps).unwrap_or_default() {
            let prospect = self.beyond(new, member, channel, (step - skipped).max(0), stopped);
            // What would follow it follows at once.
            let is_passed_over = matches!(prospect, Prospect::Skipped(_) | Prospect::Hushed(Hush::Muted(_)));
            skipped += i32::from(step > 0 && is_passed_over);
            all.push(of(channel, prospect));
        }
        all
    }

    fn by_socket(&self, new: &NewNotification, member: &Member) -> Prospect {
        let at = new.due_at.unwrap_or(new.created_at);
        let hush = match new.wish.as_ref().is_some_and(|wish| !wish.has_realtime()) {
            true => Some(Hush::Muted(Muted::Unasked)),
            false => member
                .preferences
                .as_ref()
                .and_then(|all| all.hush(matter(new), Channel::Realtime, &self.mandatory, at)),
        };
        match (hush, new.due_at) {
            (Some(Hush::Quiet(until)), _) if new.expires_at.is_some_and(|end| end <= until) => {
                Prospect::Expired(until)
            }
            (Some(hush), _) => Prospect::Hushed(hush),
            (None, Some(at)) => Prospect::Scheduled(at),
            (None, None) if member.is_online => Prospect::Sent,
            (None, None) => Prospect::Stored,
        }
    }

    fn beyond(
        &self,
        new: &NewNotification,
        member: &Member,
        channel: Channel,
        step: i32,
        stopped: &[Phone],
    ) -> Prospect {
        let at = new.due_at.unwrap_or(new.created_at);
        let wish = new.wish.clone().unwrap_or_default();
        let preferences = member.preferences.as_ref();
        let situation = Situation {
            channel,
            step,
            steps_from: at,
            after: wish.escalation.after(),
            until: wish.escalation.until,
            is_here: member.is_online,
            is_begun: false,
            confirmed_at: None,
            read_at: None,
            is_deleted: false,
            is_deferred: false,
            is_summed_up: false,
            begun: 0,
            unanswered: 0,
            expires_at: new.expires_at,
            matter: matter(new),
            preferences,
            mandatory: &self.mandatory,
            now: at,
        };
        let prospect = match situation.verdict() {
            Verdict::Go => new.due_at.map_or(Prospect::Sent, Prospect::Scheduled),
            Verdict::Quiet(until) if new.expires_at.is_some_and(|end| end <= until) => {
                Prospect::Expired(until)
            }
            Verdict::Quiet(until) => Prospect::Hushed(Hush::Quiet(until)),
            Verdict::Wait(until) => Prospect::Escalates(until),
            Verdict::Over(why) | Verdict::Skip(why) => Prospect::Skipped(why),
            Verdict::Fail(why) => Prospect::Skipped(why.into()),
        };
        let is_shut = member.is_shut && matches!(channel, Channel::Email | Channel::Sms);
        let refused = match is_shut {
            true => Some(SHUT),
            false => member.contacts.consents.refusal(channel, self.consent),
        };
        match (&prospect, refused.or_else(|| unreachable(&wish, member, channel, new, stopped))) {
            (Prospect::Skipped(_), _) | (_, None) => prospect,
            (_, Some(why)) => Prospect::Skipped(why.into()),
        }
    }
}

fn matter(new: &NewNotification) -> Matter<'_> {
    Matter { kind: &new.kind, topic: &new.topic, priority: new.priority }
}

/// Where a text message to `member` would go.
fn number(wish: &Wish, member: &Member) -> Option<Phone> {
    match wish.phone.as_ref().filter(|_| !member.contacts.is_minor) {
        Some(given) => Phone::new(given.expose()).ok(),
        None => member.contacts.sms().cloned(),
    }
}

/// Why `member` cannot be reached this way, if so.
fn unreachable(
    wish: &Wish,
    member: &Member,
    channel: Channel,
    new: &NewNotification,
    stopped: &[Phone],
) -> Option<&'static str> {
    let devices = &member.devices;
    let contacts = &member.contacts;
    let wants_no_more = |number: &Phone| {
        let is_own = !contacts.is_minor && contacts.has_stopped && contacts.phone.as_ref() == Some(number);
        is_own || stopped.contains(number)
    };
    match channel {
        Channel::Sms if number(wish, member).as_ref().is_some_and(wants_no_more) => Some(NO_MORE),
        Channel::Email if contacts.is_minor => contacts.mail().is_none().then_some(NO_GUARDIAN),
        Channel::Sms if contacts.is_minor => contacts.sms().is_none().then_some(NO_GUARDIAN),
        Channel::Email => match &wish.email {
            Some(given) => Email::new(given.expose()).err().map(|_| NO_ADDRESS),
            None => member.contacts.email.is_none().then_some("no_email"),
        },
        Channel::Sms => match (&wish.phone, member.contacts.sms()) {
            (Some(given), _) => number_unfit(Phone::new(given.expose()).as_ref()),
            (None, Some(known)) => number_unfit(Ok(known)),
            (None, None) if contacts.has_stopped => Some(NO_MORE),
            (None, None) => Some("no_phone_number"),
        },
        Channel::Push if devices.is_empty() => Some("no_subscription"),
        Channel::Push if !devices.iter().any(|device| device.wants(&new.kind)) => {
            Some("no device takes this type")
        }
        _ => None,
    }
}
