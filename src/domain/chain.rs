//! The chain of the audit log (decision 44): each row's seal is a hash over its content and the seal before it. Names of
//! people stand in it as pseudonyms, which are made with a secret of each: without it nothing leads back to them, and the
//! seals stay true.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::pseudonym::{Of, is_pseudonym, pseudonym};
use super::{Action, Timestamp};

/// The form of what is hashed.
const FORM: &[u8] = b"carillon-audit-1";

/// A row of the audit log, and what pseudonyms of its actor and its subject are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// In which tenant.
    pub tenant: String,
    /// Who.
    pub actor: Option<String>,
    /// What was done, by name.
    pub action: String,
    /// Of what, or about whom.
    pub subject: Option<String>,
    /// A JSON object.
    pub detail: String,
    /// From where.
    pub address: Option<String>,
    /// The secret of the actor, if there is one of that name.
    pub actor_secret: Option<Vec<u8>>,
    /// The secret of the subject, if there is one of that name.
    pub subject_secret: Option<Vec<u8>>,
}

impl Row {
    /// Whether its subject is a person.
    fn is_about_person(&self) -> bool {
        Action::named(&self.action).is_some_and(Action::is_about_person)
    }

    /// The people of whom a pseudonym is needed and no secret is there.
    pub fn strangers(&self) -> Vec<&str> {
        let actor = self.actor.as_deref().filter(|_| self.actor_secret.is_none());
        let subject =
            self.subject.as_deref().filter(|_| self.subject_secret.is_none() && self.is_about_person());
        actor.into_iter().chain(subject).filter(|name| !is_pseudonym(name)).collect()
    }

    /// Its seal, behind the seal `before`; nothing, if it names somebody whose secret is gone.
    pub fn seal(&self, before: &[u8]) -> Option<Vec<u8>> {
        let stands_for = |secret: Option<&Vec<u8>>, of, value: &Option<String>| match value {
            None => Some(None),
            Some(value) if is_pseudonym(value) => Some(Some(value.clone())),
            Some(value) => secret.map(|secret| Some(pseudonym(secret, of, value))),
        };
        let actor = stands_for(self.actor_secret.as_ref(), Of::Name, &self.actor)?;
        let subject = match self.is_about_person() {
            true => stands_for(self.subject_secret.as_ref(), Of::Name, &self.subject)?,
            false => self.subject.clone(),
        };
        // Whose it is, if anybody's is known, makes its pseudonym.
        let address = match &self.actor_secret {
            Some(_) => stands_for(self.actor_secret.as_ref(), Of::Address, &self.address)?,
            None => self.address.clone(),
        };
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        add(FORM);
        add(before);
        add(&self.id.to_be_bytes());
        add(&self.at.as_micros().to_be_bytes());
        add(self.tenant.as_bytes());
        add(self.action.as_bytes());
        add(self.detail.as_bytes());
        for field in [&actor, &subject, &address] {
            match field {
                Some(text) => {
                    add(&[1]);
                    add(text.as_bytes());
                }
                None => add(&[0]),
            }
        }
        Some(hash.finalize().to_vec())
    }
}

/// A place in the chain: the number of a row, and its seal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Link {
    /// The row.
    pub id: i64,
    /// Its seal; empty before the first one.
    pub hash: Vec<u8>,
}

impl Link {
    /// As operators note it: `1234:9f86…`.
    pub fn written(&self) -> String {
        let hex: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{hex}", self.id)
    }

    /// Reads what [`Link::written`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        let (id, hex) = text.trim().split_once(':')?;
        let id = id.parse().ok()?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let hash =
            if is_hex { (0..hex.len()).step_by(2).map(pair).collect::<Option<_>>()? } else { return None };
        Some(Self { id, hash })
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        if link == Link::default() { Self::new() } else { link.written() }
    }
}

impl TryFrom<String> for Link {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::read(&text)
            .ok_or_else(|| format!("`{text}` is no place in the audit log; one looks like 1234:9f86d0…"))
    }
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A row is not what was sealed.
    #[error(
        "row {0} is not what was sealed: it, or its seal, was changed, or rows right before it were removed with their \
         seals"
    )]
    Changed(i64),
    /// A row names somebody of whom no pseudonym can be made.
    #[error("row {0} is not what was sealed: it names somebody whose secret is gone from audit_people")]
    Nameless(i64),
    /// A row is gone.
    #[error("row {0} was sealed, and is gone")]
    Gone(i64),
    /// There is a row that was never sealed, before the last that was.
    #[error("row {0} was put in later: it has no seal, and rows behind it have")]
    PutIn(i64),
    /// The end is missing.
    #[error("the end of the log was cut off behind row {0}: the chain went on to row {1}")]
    CutOff(i64, i64),
    /// Rows of the end are missing that were there.
    #[error(
        "the log was set back, or its end was cut off: row {0} is its last, and rows up to {1} were written. If the whole file was \
         not put back from a copy, somebody removed them"
    )]
    SetBack(i64, i64),
    /// The count does not fit.
    #[error("of {1} rows that were sealed {0} are there")]
    Miscounted(i64, i64),
    /// The head does not fit.
    #[error("the last seal, of row {0}, is not the one that was noted as the chain's head")]
    OtherHead(i64),
    /// What somebody noted is not there.
    #[error(
        "the head {0} that was noted elsewhere is not in this chain: it was written anew, or cut off before that row"
    )]
    NotThere(String),
    /// The beginning is missing, and nothing tells why.
    #[error(
        "the beginning of the log, up to row {0}, was cut off: no row of it tells that these were removed because they were old"
    )]
    Untold(i64),
    /// What is told of a removal does not fit.
    #[error(
        "row {0} tells of a removal of old rows that does not fit what is missing, or what was removed before"
    )]
    Mistold(i64),
    /// What was removed was not old.
    #[error("row {0} tells of a removal of rows that were younger than audit.keep_days")]
    TooYoung(i64),
    /// Its signature is none.
    #[error("row {0} tells of a removal, and its signature is of something else: somebody made it up")]
    Forged(i64),
    /// It lacks the signature that those before it have.
    #[error(
        "row {0} tells of a removal, and no key that is here has signed it, as the removals before were: put the newest of \
         ENCRYPTION_KEYS here, if it is missing; else somebody made it up"
    )]
    Unsigned(i64),
}

impl Damage {
    /// The first row that is concerned.
    pub fn row(&self) -> Option<i64> {
        match self {
            Self::Changed(id)
            | Self::Nameless(id)
            | Self::Gone(id)
            | Self::PutIn(id)
            | Self::OtherHead(id)
            | Self::Untold(id)
            | Self::Mistold(id)
            | Self::TooYoung(id)
            | Self::Forged(id)
            | Self::Unsigned(id) => Some(*id),
            Self::CutOff(id, _) | Self::SetBack(id, _) => Some(*id + 1),
            Self::Miscounted(..) => None,
            Self::NotThere(head) => Link::read(head).map(|link| link.id),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn row(id: i64) -> Row {
        Row {
            id,
            at: Timestamp::from_micros(1_700_000_000_000_000 + id),
            tenant: "default".to_owned(),
            actor: Some("alice".to_owned()),
            action: "contacts.read".to_owned(),
            subject: Some("bob".to_owned()),
            detail: "{}".to_owned(),
            address: Some("192.0.2.7".to_owned()),
            actor_secret: Some(vec![1; 16]),
            subject_secret: Some(vec![2; 16]),
        }
    }

    #[test]
    fn every_field_counts() {
        let sealed = row(1).seal(b"before").unwrap();
        assert_ne!(row(1).seal(b"other").unwrap(), sealed);
        let changes: [fn(&mut Row); 8] = [
            |row| row.id = 2,
            |row| row.at = Timestamp::from_micros(1),
            |row| row.tenant = "other".to_owned(),
            |row| row.actor = Some("carol".to_owned()),
            |row| row.action = "contacts.change".to_owned(),
            |row| row.subject = None,
            |row| row.detail = "{ }".to_owned(),
            |row| row.address = Some("192.0.2.8".to_owned()),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut other = row(1);
            change(&mut other);
            assert_ne!(other.seal(b"before").unwrap(), sealed, "change {index}");
        }
        // Nothing moves from one field into the next.
        let (mut one, mut other) = (row(1), row(1));
        (one.tenant, one.action) = ("ab".to_owned(), "c".to_owned());
        (other.tenant, other.action) = ("a".to_owned(), "bc".to_owned());
        assert_ne!(one.seal(b""), other.seal(b""));
    }

    #[test]
    fn who_is_forgotten_leaves_the_seal_as_it_was() {
        let sealed = row(1).seal(b"before").unwrap();
        let mut erased = row(1);
        erased.actor = Some(pseudonym(&[1; 16], Of::Name, "alice"));
        erased.address = Some(pseudonym(&[1; 16], Of::Address, "192.0.2.7"));
        erased.actor_secret = None;
        assert_eq!(erased.seal(b"before").unwrap(), sealed);
        erased.subject = Some(pseudonym(&[2; 16], Of::Name, "bob"));
        erased.subject_secret = None;
        assert_eq!(erased.seal(b"before").unwrap(), sealed);
        assert!(is_pseudonym(erased.actor.as_deref().unwrap()));
        let mut half = row(1);
        half.actor_secret = None;
        assert_eq!(half.seal(b"before"), None, "a name whose secret is gone proves nothing");
        assert_eq!(half.strangers(), ["alice"]);
    }

    #[test]
    fn heads_are_written_and_read() {
        let link = Link { id: 7, hash: row(7).seal(b"").unwrap() };
        assert_eq!(Link::read(&link.written()), Some(link));
        for text in ["", "7", "7:", "x:00", "7:zz", "7:0011"] {
            assert_eq!(Link::read(text), None, "{text}");
        }
        assert_eq!(Link::read(&format!("7:{}", "é".repeat(32))), None);
    }
}
