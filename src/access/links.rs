//! Links that let whoever has them do one thing: end e-mails, or pushes, of a kind to one person (RFC 8058). They are signed, prove
//! nothing else, and last as long as the secrets do: those of their own outlast tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

use super::Settings;
use crate::domain::{Channel, Recipient, Tenant, UserId};

/// What no other signature of the same secrets is about.
const PURPOSE: &str = "carillon: one-click unsubscription";

/// Makes and reads them.
pub struct Links {
    keys: Vec<[u8; 32]>,
}

impl Links {
    /// By the secrets of `settings`: the first signs, the others are still believed.
    pub fn new(settings: &Settings) -> Self {
        let own = settings.link_secrets.expose().split(',').map(str::trim);
        let backend = settings.backend_token.expose().split(',').map(str::trim);
        let secrets = [settings.jwt_secret.expose(), settings.jwt_secret_previous.expose()];
        let key = |secret: &str| {
            Sha256::new().chain_update(PURPOSE).chain_update([0]).chain_update(secret).finalize().into()
        };
        let keys = own.chain(secrets).chain(backend).filter(|secret| !secret.is_empty()).map(key);
        Self { keys: keys.collect() }
    }

    fn mac(key: &[u8; 32], claim: &str) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
        mac.update(claim.as_bytes());
        Some(mac)
    }

    /// What ends messages of `kind` to `recipient` over this channel; nothing without secrets.
    pub fn sign(&self, recipient: &Recipient, kind: &str, channel: Channel) -> Option<String> {
        let (tenant, user) = (recipient.tenant.as_str(), recipient.user.as_str());
        let claim = match channel {
            // As it was before there were others.
            Channel::Email => serde_json::to_vec(&(tenant, user, kind)).ok()?,
            other => serde_json::to_vec(&(tenant, user, kind, other.name())).ok()?,
        };
        let claim = URL_SAFE_NO_PAD.encode(claim);
        let mac = Self::mac(self.keys.first()?, &claim)?.finalize().into_bytes();
        Some(format!("{claim}.{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// Whose messages of which kind it ends, and over which channel, if it is one of ours.
    pub fn read(&self, link: &str) -> Option<(Recipient, String, Channel)> {
        let (claim, mac) = link.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        let is_ours = |key| Self::mac(key, claim).is_some_and(|made| made.verify_slice(&mac).is_ok());
        if !self.keys.iter().any(is_ours) {
            return None;
        }
        let claim = URL_SAFE_NO_PAD.decode(claim).ok()?;
        let claim: Vec<String> = serde_json::from_slice(&claim).ok()?;
        let (tenant, user, kind, channel) = match claim.as_slice() {
            [tenant, user, kind] => (tenant, user, kind, Channel::Email),
            [tenant, user, kind, channel] => (tenant, user, kind, Channel::named(channel)?),
            _ => return None,
        };
        let recipient = Recipient { tenant: Tenant::new(tenant).ok()?, user: UserId::new(user).ok()? };
        Some((recipient, kind.clone(), channel))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::Secret;

    fn links(secret: &str, previous: &str) -> Links {
        let (jwt_secret, jwt_secret_previous) = (Secret::new(secret), Secret::new(previous));
        Links::new(&Settings { jwt_secret, jwt_secret_previous, ..Settings::default() })
    }

    #[test]
    fn a_link_is_for_one_person_and_kind() {
        let ana = Recipient { tenant: Tenant::default(), user: UserId::new("ana").unwrap() };
        let ours = links("a secret of ours", "");
        let link = ours.sign(&ana, "news", Channel::Email).unwrap();
        assert_eq!(ours.read(&link), Some((ana.clone(), "news".to_owned(), Channel::Email)));
        assert_eq!(
            links("another", "a secret of ours").read(&link),
            Some((ana.clone(), "news".to_owned(), Channel::Email))
        );
        assert_eq!(links("another", "").read(&link), None);
        assert_eq!(links("", "").sign(&ana, "news", Channel::Email), None);
        // Those of their own sign before the others, which are still believed.
        let own = |own: &str, jwt: &str| {
            let (link_secrets, jwt_secret) = (Secret::new(own), Secret::new(jwt));
            Links::new(&Settings { link_secrets, jwt_secret, ..Settings::default() })
        };
        assert!(own("a link's, a secret of ours", "another").read(&link).is_some());
        let lasting = own("a link's", "a secret of ours").sign(&ana, "news", Channel::Email).unwrap();
        assert!(own("newer, a link's", "another").read(&lasting).is_some());
        assert_eq!(ours.read(&lasting), None);
        let push = ours.sign(&ana, "news", Channel::Push).unwrap();
        assert_eq!(ours.read(&push), Some((ana.clone(), "news".to_owned(), Channel::Push)));
        let (claim, mac) = link.split_once('.').unwrap();
        let other = ours.sign(&ana, "alarm", Channel::Email).unwrap();
        let (foreign, _) = other.split_once('.').unwrap();
        for bad in ["", ".", claim, &format!("{claim}."), &format!("{foreign}.{mac}"), &format!("{link}A")] {
            assert_eq!(ours.read(bad), None, "{bad}");
        }
    }
}
