//! Where people can be reached who are not connected: they say so themselves, or a service of their tenant does.

use std::net::IpAddr;
use std::sync::Arc;

use super::Error;
use crate::access::Principal;
use crate::domain::{Action, Clock, Contacts, ContactsChange, Deed, Recipient, UserId};
use crate::store::{ContactsWrite, Store, StoreError, Write, Written};

/// Contacts.
pub struct Addresses {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

/// Of whom `who` asks, by name, or by none: of themselves. A person who asks of another hears the same whether there is one
/// or not.
fn asked(who: &Principal, user: Option<UserId>) -> Result<Recipient, Error> {
    let Some(user) = user else {
        let nobody = "it names no user; name one, or send a token of the person whose contacts they are";
        return who.inbox().ok_or(Error::Forbidden(nobody));
    };
    if who.can_send {
        return Ok(Recipient { tenant: who.tenant.clone(), user });
    }
    who.recipient(&user).ok_or(Error::NoSuchRecipient)
}

impl Addresses {
    /// Kept in `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Where `user` can be reached; nobody named: whoever asks.
    ///
    /// # Errors
    /// When `who` may not know, or the database cannot answer.
    pub async fn of(&self, who: &Principal, user: Option<UserId>) -> Result<(Recipient, Contacts), Error> {
        let recipient = asked(who, user)?;
        let contacts = self.store.contacts(&recipient).await?;
        Ok((recipient, contacts))
    }

    /// Changes it; durable on return. Returns how it is now. What was damaged is written anew by who says all of it: a service, since
    /// nobody says of themselves whether they are a minor.
    ///
    /// # Errors
    /// When `who` may not, or it could not be stored.
    pub async fn change(
        &self,
        who: &Principal,
        user: Option<UserId>,
        change: ContactsChange,
        from: Option<IpAddr>,
    ) -> Result<(Recipient, Arc<Contacts>), Error> {
        let recipient = asked(who, user)?;
        if change.is_guarded() && !who.can_send {
            let why = "whether somebody is a minor, and where their guardian is reached, is for services of their tenant to say";
            return Err(Error::Forbidden(why));
        }
        let deed = Deed {
            at: self.clock.now(),
            tenant: recipient.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action: Action::Contacts,
            subject: Some(recipient.user.as_str().to_owned()),
            detail: change.subjects().to_string(),
            address: from,
        };
        let write = ContactsWrite::Change { recipient: recipient.clone(), change, deed };
        match self.store.write(Write::Reachable(Arc::new(write))).await? {
            Written::Reachable(contacts) => Ok((recipient, contacts)),
            Written::Unreadable => Err(Error::ContactsUnreadable { by_service: who.can_send }),
            _ => Err(Error::Store(StoreError::Closed)),
        }
    }
}
