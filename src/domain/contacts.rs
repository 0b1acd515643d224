//! Where one person can be reached, as they or their tenant's services say.

use serde_json::{Map, Value, json};

use super::{Broken, Consents, Email, Guardian, Locale, Phone};

/// Bytes of a language's name.
const LONGEST_LOCALE: usize = 35;

/// Where somebody can be reached who is not connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// Their e-mail address.
    pub email: Option<Email>,
    /// Their telephone number.
    pub phone: Option<Phone>,
    /// The language they read: `es-MX`.
    pub locale: Option<String>,
    /// Whether they have told that number's provider to send no more (STOP).
    pub has_stopped: bool,
    /// Whether they are a minor: nobody writes or texts to themselves.
    pub is_minor: bool,
    /// Who is reached in their place, if they are.
    pub guardian: Guardian,
    /// What they agree to.
    pub consents: Consents,
}

/// What is to be different; what is not named stays, what is `None` within is taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactsChange {
    /// The e-mail address.
    pub email: Option<Option<Email>>,
    /// The telephone number.
    pub phone: Option<Option<Phone>>,
    /// The language.
    pub locale: Option<Option<String>>,
    /// Whether they are a minor.
    pub is_minor: Option<bool>,
    /// Who is reached in their place.
    pub guardian: Option<Guardian>,
}

/// Whether it can name a language: letters and digits in parts, the first of letters (BCP 47).
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let is_first =
        |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic());
    let is_part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.len() <= LONGEST_LOCALE && parts.next().is_some_and(is_first) && parts.all(is_part)
}

impl ContactsChange {
    /// Checks what was written.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn new(
        email: Option<Option<String>>,
        phone: Option<Option<String>>,
        locale: Option<Option<String>>,
    ) -> Result<Self, Broken> {
        if locale.iter().flatten().any(|locale| !is_locale(locale)) {
            return Err(Broken { field: "locale", expected: "a language such as en, es-MX or el" });
        }
        let email = email.map(|email| email.map(|email| Email::new(&email)).transpose()).transpose()?;
        let phone = phone.map(|phone| phone.map(|phone| Phone::new(&phone)).transpose()).transpose()?;
        Ok(Self { email, phone, locale, ..Self::default() })
    }

    /// The same, with what only the tenant's services may say: whether somebody is a minor, and who is reached in their place.
    ///
    /// # Errors
    /// When an address is none.
    pub fn guarded(
        self,
        is_minor: Option<bool>,
        guardian: Option<(Option<String>, Option<String>)>,
    ) -> Result<Self, Broken> {
        let guardian = guardian.map(|(email, phone)| {
            let email = email.map(|email| Email::new(&email)).transpose();
            let email = email.map_err(|broken| Broken { field: "guardian.email", ..broken })?;
            let phone = phone.map(|phone| Phone::new(&phone)).transpose();
            let phone = phone.map_err(|broken| Broken { field: "guardian.phone", ..broken })?;
            Ok(Guardian { email, phone })
        });
        Ok(Self { is_minor, guardian: guardian.transpose()?, ..self })
    }

    /// Whether it says what only services may say.
    pub const fn is_guarded(&self) -> bool {
        self.is_minor.is_some() || self.guardian.is_some()
    }

    /// Whether it says all there is to say of contacts.
    pub const fn is_whole(&self) -> bool {
        self.email.is_some()
            && self.phone.is_some()
            && self.locale.is_some()
            && self.is_minor.is_some()
            && self.guardian.is_some()
    }

    /// What it is about, for the audit log: no contacts.
    pub fn subjects(&self) -> Value {
        let mut named = Map::new();
        for (name, change) in [
            ("email", self.email.as_ref().map(Option::is_some)),
            ("phone", self.phone.as_ref().map(Option::is_some)),
            ("locale", self.locale.as_ref().map(Option::is_some)),
            ("is_minor", self.is_minor),
            ("guardian", self.guardian.as_ref().map(|guardian| *guardian != Guardian::default())),
        ] {
            if let Some(is_set) = change {
                named.insert(name.to_owned(), json!(if is_set { "set" } else { "removed" }));
            }
        }
        Value::Object(named)
    }
}

impl Contacts {
    /// What it is after a change. Another number has told nobody to stop.
    pub fn changed(mut self, change: ContactsChange) -> Self {
        if let Some(phone) = change.phone {
            self.has_stopped &= phone == self.phone;
            self.phone = phone;
        }
        self.email = change.email.unwrap_or(self.email);
        self.locale = change.locale.unwrap_or(self.locale);
        self.is_minor = change.is_minor.unwrap_or(self.is_minor);
        self.guardian = change.guardian.unwrap_or(self.guardian);
        self
    }

    /// The address that e-mails go to; a minor's guardian's, if they are one.
    pub fn mail(&self) -> Option<&Email> {
        if self.is_minor { self.guardian.email.as_ref() } else { self.email.as_ref() }
    }

    /// The language that they read, if they said so.
    pub fn language(&self) -> Option<Locale> {
        Locale::new(self.locale.as_deref()?).ok()
    }

    /// The number that text messages may be sent to; a minor's guardian's, if they are one.
    pub fn sms(&self) -> Option<&Phone> {
        if self.is_minor {
            return self.guardian.phone.as_ref();
        }
        self.phone.as_ref().filter(|_| !self.has_stopped)
    }

    /// As it is stored.
    pub fn to_stored(&self) -> String {
        let stored = json!({
            "email": self.email.as_ref().map(Email::expose),
            "phone": self.phone.as_ref().map(Phone::expose),
            "locale": self.locale,
            "has_stopped": self.has_stopped,
            "is_minor": self.is_minor,
            "guardian_email": self.guardian.email.as_ref().map(Email::expose),
            "guardian_phone": self.guardian.phone.as_ref().map(Phone::expose),
            "consents": self.consents,
        });
        stored.to_string()
    }

    /// What was stored, as far as it can be read.
    pub fn from_stored(stored: &str) -> Self {
        let stored: Value = serde_json::from_str(stored).unwrap_or_default();
        let text = |name: &str| stored[name].as_str();
        Self {
            email: text("email").and_then(|email| Email::new(email).ok()),
            phone: text("phone").and_then(|phone| Phone::new(phone).ok()),
            locale: text("locale").filter(|locale| is_locale(locale)).map(str::to_owned),
            has_stopped: stored["has_stopped"] == true,
            is_minor: stored["is_minor"] == true,
            guardian: Guardian {
                email: text("guardian_email").and_then(|email| Email::new(email).ok()),
                phone: text("guardian_phone").and_then(|phone| Phone::new(phone).ok()),
            },
            consents: serde_json::from_value(stored["consents"].clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let some = |text: &str| Some(Some(text.to_owned()));
        let all = ContactsChange::new(some("ana@example.com"), some("+14155550123"), some("es-MX")).unwrap();
        let mut contacts = Contacts::default().changed(all.clone());
        assert_eq!(Contacts::from_stored(&contacts.to_stored()), contacts);
        contacts.has_stopped = true;
        assert_eq!(contacts.sms(), None);
        let same = contacts.clone().changed(all);
        assert_eq!(same, contacts, "the same number has still stopped");
        let other = ContactsChange::new(None, some("+447400123456"), Some(None)).unwrap();
        assert_eq!(other.subjects(), json!({"phone": "set", "locale": "removed"}));
        let after = contacts.changed(other);
        assert_eq!(after.sms().map(Phone::expose), Some("+447400123456"));
        assert_eq!((after.email.as_ref().map(Email::expose), after.locale), (Some("ana@example.com"), None));
        assert_eq!(Contacts::from_stored("{"), Contacts::default());
    }

    #[test]
    fn languages_are_no_paths() {
        for good in ["en", "es-MX", "el_GR", "zh-Hant-TW"] {
            assert!(is_locale(good), "{good}");
        }
        for bad in ["", "e", "../etc", "en/..", "en-", "-en", "e1", "en\0", "en us", &"a-b".repeat(20)] {
            assert!(!is_locale(bad), "{bad}");
        }
    }
}
