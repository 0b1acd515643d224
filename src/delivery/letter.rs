//! Writes what goes to one address: puts the words as the channel needs them, in the recipient's language.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Letter, Parcel};
use super::templates::Templates;
use crate::access::Links;
use crate::domain::{Channel, Priority};
use crate::render::{Alert, Letterhead, Mail, Pictures, Push, Retraction, Sms, Words, phrases_of};
use crate::store::{Claimed, Outcome};

/// When words could not be had, they are asked for again.
const SOON: Duration = Duration::from_secs(1);

/// Writes letters.
pub struct Letters {
    templates: Arc<Templates>,
    /// Who writes, as an e-mail says.
    sender: String,
    /// Where paths begin.
    base_url: Option<String>,
    links: Arc<Links>,
    /// Types that nobody can mute.
    mandatory: Arc<[String]>,
    /// Beside pushes.
    pictures: Pictures,
}

impl Letters {
    /// In the words of `templates`, from `sender`; what is a path begins at `base_url`, and so do `links` that end e-mails but
    /// those of `mandatory` types. Beside pushes are `pictures`, if a sender names no others.
    pub fn new(
        templates: Arc<Templates>,
        sender: String,
        base_url: Option<String>,
        links: Arc<Links>,
        mandatory: Arc<[String]>,
        pictures: Pictures,
    ) -> Self {
        Self { templates, sender, base_url, links, mandatory, pictures }
    }

    /// Where one click ends such e-mails, or such pushes.
    fn unsubscribe(&self, claimed: &Claimed) -> Option<String> {
        let (base, kind) = (self.base_url.as_deref()?, &claimed.notification.kind);
        let is_mandatory = self.mandatory.contains(kind);
        let link = self.links.sign(&claimed.recipient, kind, claimed.channel).filter(|_| !is_mandatory)?;
        Some(format!("{}/unsubscribe/{link}", base.trim_end_matches('/')))
    }

    /// What is to be handed over.
    ///
    /// # Errors
    /// What comes of the attempt, if nothing can be handed over.
    pub async fn parcel(&self, claimed: &Claimed) -> Result<Parcel, Outcome> {
        let words = self.words(claimed).await?;
        let notification = &claimed.notification;
        Ok(Parcel {
            key: claimed.key(),
            tenant: claimed.recipient.tenant.clone(),
            notification: notification.uuid,
            kind: notification.kind.clone(),
            priority: if claimed.is_retraction { Priority::Low } else { notification.priority },
            expires_at: notification.expires_at,
            letter: self.letter(claimed, words)?,
        })
    }

    /// What it says: its template's words, or its sender's.
    async fn words(&self, claimed: &Claimed) -> Result<Words, Outcome> {
        let own = (claimed.contacts.language(), claimed.time_zone);
        let template = claimed.wish.template.as_ref();
        let words = self.templates.words(&claimed.recipient.tenant, template, own, &claimed.notification);
        words.await.map_err(|fault| Outcome::Later(SOON, fault.to_string()))
    }

    fn letter(&self, claimed: &Claimed, words: Words) -> Result<Letter, Outcome> {
        let notification = &claimed.notification;
        let (action_url, base_url) = (notification.action_url.as_deref(), self.base_url.as_deref());
        Ok(match claimed.channel {
            Channel::Push => {
                let to = claimed.device.clone().ok_or(Outcome::Nowhere("no_subscription"))?;
                if claimed.is_retraction {
                    let payload = Retraction::of(notification.id.0, notification.uuid).payload();
                    return Ok(Letter::Push { to, payload });
                }
                let pictures = self.pictures.unless_in(&notification.data);
                let unsubscribe = self.unsubscribe(claimed);
                let stop = unsubscribe.as_deref().map(|url| (url, phrases_of(&words.locale).stop));
                let alert = Alert {
                    id: notification.id.0,
                    uuid: notification.uuid,
                    kind: &notification.kind,
                    template: claimed.wish.template.as_ref().map(|template| template.name.as_str()),
                    priority: notification.priority,
                    action_url,
                    icon: pictures.icon.as_deref(),
                    badge: pictures.badge.as_deref(),
                    stop,
                };
                Letter::Push { to, payload: Push::of(&words, &alert).payload() }
            }
            Channel::Sms => {
                let to = claimed.phone.clone().ok_or(Outcome::Nowhere("no_phone_number"))?;
                let link = action_url.filter(|url| url.starts_with("http"));
                Letter::Sms { to, text: Sms::of(&words, link).0 }
            }
            Channel::Email | Channel::Realtime => {
                let to = claimed.email().ok_or(Outcome::Nowhere("no_email"))?;
                let unsubscribe = self.unsubscribe(claimed);
                let head = Letterhead {
                    sender: &self.sender,
                    action_url,
                    base_url,
                    unsubscribe: unsubscribe.as_deref(),
                };
                let mail = Mail::of(&words, &head).map_err(|fault| Outcome::Failed(fault.to_string()))?;
                Letter::Email { to, subject: mail.subject, text: mail.text, html: mail.html, unsubscribe }
            }
        })
    }
}
