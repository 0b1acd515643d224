//! What somebody asks for becomes a notification, if it keeps the rules and the token allows it. Writes nothing.

use std::collections::HashSet;

use uuid::Uuid;

use super::Error;
use super::notify::Notify;
use crate::access::Principal;
use crate::domain::{
    Audience, Digest, Draft, Group, Idempotency, NewNotification, Recipient, Timestamp, To, USUAL_AFTER,
    UserId, Wish, is_over, tidy_link,
};

impl Notify {
    /// What `who` asks for, if it keeps the rules and the token allows it.
    pub(super) fn admit(&self, who: &Principal, draft: Draft) -> Result<NewNotification, Error> {
        let new = self.admit_again(who, draft)?;
        is_over(new.expires_at, new.created_at)?;
        Ok(new)
    }

    /// The same; what has expired may have been asked for before, in its time.
    pub(super) fn admit_again(&self, who: &Principal, draft: Draft) -> Result<NewNotification, Error> {
        let now = self.now();
        let data = draft.check(now)?;
        if !who.can_send && draft.wish.as_ref().is_some_and(Wish::has_contacts) {
            return Err(Error::Forbidden(
                "an address or a number of the sender's choice needs the scope notifications:send: leave it out, \
                 and it goes where its recipient is known to be reached",
            ));
        }
        let tenant = who.tenant.clone();
        let person = |user: UserId| Recipient { tenant: tenant.clone(), user };
        let audience = match draft.to {
            To::Myself => {
                let recipient = who.inbox().ok_or(Error::Forbidden(
                    "it names no user: say for whom the notification is (user_id, user_ids, topic, role or everyone)",
                ))?;
                Audience::One(recipient)
            }
            To::Users(mut users) => {
                let only_myself = users.iter().all(|user| Some(user) == who.user.as_ref());
                if !only_myself && !who.can_send {
                    return Err(Error::Forbidden("sending to others needs the scope notifications:send"));
                }
                let mut seen = HashSet::new();
                users.retain(|user| seen.insert(user.clone()));
                match <[UserId; 1]>::try_from(users) {
                    Ok([user]) => Audience::One(person(user)),
                    Err(users) => Audience::Many(users.into_iter().map(person).collect()),
                }
            }
            group => {
                if !who.can_broadcast {
                    return Err(Error::Forbidden(
                        "sending to everybody who fits needs the scope notifications:broadcast",
                    ));
                }
                let group = match group {
                    To::Topic(topic) => Group::Topic(topic),
                    To::Role(role) => Group::Role(role),
                    _ => Group::Everyone,
                };
                Audience::Whoever(tenant.clone(), group)
            }
        };
        // The same request is the same before and after its time.
        let asked = match draft.idempotency_key {
            Some(_) => format!("{audience:?}"),
            None => String::new(),
        };
        let due_at = draft.scheduled_at.filter(|at| *at > now);
        let audience = match due_at {
            Some(_) => later(audience),
            None => audience,
        };
        let asked = match &draft.wish {
            Some(wish) => format!("{asked}{wish}", wish = requested(wish).written().unwrap_or_default()),
            None => asked,
        };
        // What a template says may be said otherwise when the same is asked for again.
        let is_own = draft.wish.as_ref().is_none_or(|wish| wish.template.is_none());
        let (title, message) = if is_own { (draft.title.as_str(), draft.message.as_str()) } else { ("", "") };
        let wish = self.wish(draft.wish);
        let uuid = named_at(now);
        let sender = who.user.as_ref().map(|user| user.as_str().to_owned());
        let idempotency = match &draft.idempotency_key {
            None => Idempotency::none(uuid),
            Some(key) => {
                let parts = format!(
                    "{asked}{:?}{:?}{:?}{:?}",
                    draft.priority, draft.action_url, draft.expires_at, draft.scheduled_at
                );
                let request = Digest::of(&[&draft.kind, &draft.topic, title, message, &data, &parts]);
                // A person's key is never a back end's.
                let own = who.inbox().map(|recipient| recipient.user);
                let own = own.as_ref().map(UserId::as_str).unwrap_or_default();
                Idempotency::keyed("feed", &format!("{tenant}\u{1f}{own}"), key, request)
            }
        };
        Ok(NewNotification {
            tenant,
            audience,
            kind: draft.kind.into(),
            topic: draft.topic.into(),
            title: draft.title,
            message: draft.message,
            data,
            priority: draft.priority,
            action_url: draft.action_url.map(tidy_link),
            sender,
            expires_at: draft.expires_at,
            wish,
            due_at,
            idempotency,
            uuid,
            created_at: now,
        })
    }
}

/// What of a wish is the sender's: a template's version is not.
fn requested(wish: &Wish) -> Wish {
    let mut wish = wish.clone();
    // As it was written before each deployment had its own.
    wish.escalation.after.get_or_insert(USUAL_AFTER);
    if let Some(template) = &mut wish.template {
        template.version = 0;
    }
    wish
}

/// A name that tells when something was accepted.
fn named_at(at: Timestamp) -> Uuid {
    let micros = u64::try_from(at.as_micros()).unwrap_or(0);
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos))
}

/// When what has this name was accepted; `created_at` is moved to when it goes out.
pub(super) fn accepted_at(uuid: &Uuid) -> Timestamp {
    let (seconds, nanos) = uuid.get_timestamp().map_or((0, 0), |at| at.to_unix());
    let seconds = i64::try_from(seconds).unwrap_or(0);
    Timestamp::from_micros(seconds * 1_000_000 + i64::from(nanos / 1_000))
}

/// The same people, when its time comes.
pub(super) fn later(audience: Audience) -> Audience {
    let people = audience.named().iter().map(|recipient| recipient.user.as_str().to_owned()).collect();
    match audience {
        Audience::One(recipient) => Audience::Whoever(recipient.tenant, Group::People(people)),
        Audience::Many(recipients) => {
            let tenant = recipients.into_iter().next().map(|recipient| recipient.tenant).unwrap_or_default();
            Audience::Whoever(tenant, Group::People(people))
        }
        group @ Audience::Whoever(..) => group,
    }
}
