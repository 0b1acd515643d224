//! Writes what goes to one address: finds the address, and puts the words as the channel needs them.

use std::sync::Arc;

use uuid::Uuid;

use super::channel::{Letter, Parcel};
use crate::domain::{Channel, Digest};
use crate::store::{Claimed, Outcome, Store};

/// Writes letters.
pub struct Letters {
    store: Arc<Store>,
}

impl Letters {
    /// Finds addresses in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// What is to be handed over.
    ///
    /// # Errors
    /// What comes of the attempt, if nothing can be handed over.
    pub async fn parcel(&self, claimed: &Claimed) -> Result<Parcel, Outcome> {
        let letter = self.letter(claimed).await?;
        let notification = &claimed.notification;
        Ok(Parcel {
            key: key(claimed),
            tenant: claimed.recipient.tenant.clone(),
            notification: notification.uuid,
            kind: notification.kind.clone(),
            priority: notification.priority,
            expires_at: notification.expires_at,
            letter,
        })
    }

    async fn letter(&self, claimed: &Claimed) -> Result<Letter, Outcome> {
        let _ = &self.store;
        let notification = &claimed.notification;
        let (title, message) = (notification.title.clone(), notification.message.clone());
        Ok(match claimed.channel {
            Channel::Push => {
                let to = claimed.device.clone().ok_or(Outcome::Nowhere("no_subscription"))?;
                Letter::Push { to, payload: serde_json::json!({"title": title, "body": message}).to_string() }
            }
            Channel::Sms => {
                let to = claimed.phone.clone().ok_or(Outcome::Nowhere("no_phone_number"))?;
                Letter::Sms { to, text: format!("{title}: {message}") }
            }
            Channel::Email | Channel::Realtime => {
                let to = claimed.email().ok_or(Outcome::Nowhere("no_email"))?;
                Letter::Email { to, subject: title, text: message.clone(), html: message, unsubscribe: None }
            }
        })
    }
}

/// The same for each attempt of a delivery, and no other's.
fn key(claimed: &Claimed) -> Uuid {
    let device = claimed.device_id.map(|id| id.to_string()).unwrap_or_default();
    let notification = claimed.notification.uuid.to_string();
    let recipient = claimed.row.to_string();
    let parts = [&notification, &recipient, claimed.channel.name(), &device];
    uuid::Builder::from_custom_bytes(Digest::of(&parts.map(|part| part as &str)).0).into_uuid()
}
