//! Where somebody can be reached who is not connected. None of it can be printed.

use std::fmt;

use phonenumber::metadata::DATABASE;
use phonenumber::{Mode, Type, country};

use super::Broken;

/// Bytes of an e-mail address, and of the part before the sign (RFC 5321).
const LONGEST_EMAIL: usize = 254;
const LONGEST_LOCAL: usize = 64;
/// Bytes of an endpoint.
const LONGEST_ENDPOINT: usize = 2_048;
/// What a public key is long, and what it begins with: an uncompressed point on P-256.
const POINT: (usize, u8) = (65, 4);
/// What a secret is long.
const AUTH: usize = 16;

/// An e-mail address: one, without a name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// A telephone number: E.164.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone {
    number: String,
    country: Option<country::Id>,
    is_costly: bool,
}

/// One browser that takes pushes (RFC 8030).
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// The number of its subscription.
    pub id: i64,
    /// Where its push service takes messages.
    pub endpoint: String,
    /// Its public key: an uncompressed point on P-256 (RFC 8291).
    pub p256dh: Vec<u8>,
    /// Its secret: 16 bytes.
    pub auth: Vec<u8>,
}

fn is_label(label: &str) -> bool {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What may stand before the sign without quotes (RFC 5322, `atext`).
fn is_atom(atom: &str) -> bool {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&letter);
    !atom.is_empty() && atom.bytes().all(plain)
}

impl Email {
    /// Checks and takes `text`: one address as most people have it, without a name, quotes or comments. Nothing that could
    /// end a line or begin a second address is in it.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(text: &str) -> Result<Self, Broken> {
        let is_good = text.rsplit_once('@').is_some_and(|(local, host)| {
            local.len() <= LONGEST_LOCAL
                && local.split('.').all(is_atom)
                && host.contains('.')
                && host.split('.').all(is_label)
        });
        if !is_good || text.len() > LONGEST_EMAIL {
            let expected =
                "one e-mail address such as ana@example.com; a domain beyond ASCII is written as xn--…";
            return Err(Broken { field: "email", expected });
        }
        Ok(Self(text.to_owned()))
    }

    /// What is meant for a mail server.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Phone {
    /// Checks and takes `text`: a number that its country gives out, beginning with `+` and the country's code. Blanks,
    /// dots, hyphens and brackets between the digits are left out.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(text: &str) -> Result<Self, Broken> {
        let expected = "a telephone number with its country's code, such as +14155550123";
        let broken = || Broken { field: "phone", expected };
        let digits: String =
            text.chars().filter(|sign| !matches!(sign, ' ' | '.' | '-' | '(' | ')')).collect();
        let is_plain = digits.strip_prefix('+').is_some_and(|digits| {
            (6..=15).contains(&digits.len())
                && digits.bytes().all(|digit| digit.is_ascii_digit())
                && !digits.starts_with('0')
        });
        if !is_plain || text.len() > 40 {
            return Err(broken());
        }
        let parsed = phonenumber::parse(None, &digits).map_err(|_| broken())?;
        if !phonenumber::is_valid(&parsed) {
            return Err(broken());
        }
        let number = parsed.format().mode(Mode::E164).to_string();
        let kind = parsed.number_type(&DATABASE);
        let is_costly = matches!(kind, Type::PremiumRate | Type::SharedCost | Type::PersonalNumber);
        Ok(Self { country: parsed.country().id(), number, is_costly })
    }

    /// What is meant for a provider.
    pub fn expose(&self) -> &str {
        &self.number
    }

    /// Whether whoever asks for it may pay more than for others of its country: such as +1 900 and +44 70.
    pub const fn is_costly(&self) -> bool {
        self.is_costly
    }

    /// Its country, by two letters (ISO 3166): several share the code 1. Nothing, if it is no country's.
    pub fn country(&self) -> Option<&str> {
        self.country.as_ref().map(AsRef::as_ref)
    }
}

impl Device {
    /// Checks what a browser says of itself; whether its key is a point on the curve, and whether its endpoint may be
    /// called, is not known here.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(endpoint: &str, p256dh: Vec<u8>, auth: Vec<u8>) -> Result<Self, Broken> {
        let broken = |field, expected| Err(Broken { field, expected });
        if endpoint.is_empty() || endpoint.len() > LONGEST_ENDPOINT || endpoint.chars().any(char::is_control)
        {
            return broken("endpoint", "the https address that the browser was given, at most 2,048 bytes");
        }
        if (p256dh.len(), p256dh.first()) != (POINT.0, Some(&POINT.1)) {
            return broken(
                "p256dh",
                "the browser's public key: 65 bytes, an uncompressed point on P-256, in base64",
            );
        }
        if auth.len() != AUTH {
            return broken("auth", "the browser's secret: 16 bytes, in base64");
        }
        Ok(Self { id: 0, endpoint: endpoint.to_owned(), p256dh, auth })
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(***)")
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_address_is_one_address() {
        for good in ["ana@example.com", "a.b+c_d@xn--bcher-kva.example", "O'Hara@a-b.co.uk"] {
            assert_eq!(Email::new(good).unwrap().expose(), good);
        }
        for bad in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@gmail",
            "a@b@example.com",
            "ana@example.com,eve@example.com",
            "ana@example.com\r\nBcc: eve@example.com",
            "ana@example.com\0",
            "Ana <ana@example.com>",
            "<ana@example.com>",
            "\"a b\"@example.com",
            "ana@[127.0.0.1]",
            "a..b@example.com",
            ".a@example.com",
            "ana@-example.com",
            "ana@example..com",
            "ana@example.com.",
            "anà@example.com",
            " ana@example.com",
        ] {
            assert!(Email::new(bad).is_err(), "{bad:?}");
        }
        assert!(Email::new(&format!("{}@example.com", "x".repeat(65))).is_err());
        assert!(!format!("{:?}", Email::new("ana@example.com").unwrap()).contains("ana"));
    }

    #[test]
    fn numbers_are_real_ones() {
        for (written, number, country) in [
            ("+14155550123", "+14155550123", Some("US")),
            ("+1 (415) 555-0123", "+14155550123", Some("US")),
            ("+30 21 0123 4567", "+302101234567", Some("GR")),
            ("+16045550123", "+16045550123", Some("CA")),
            ("+447400123456", "+447400123456", Some("GB")),
        ] {
            let phone = Phone::new(written).unwrap();
            assert_eq!((phone.expose(), phone.country()), (number, country), "{written}");
        }
        for bad in [
            "",
            "4155550123",
            "0014155550123",
            "+1234567890",
            "+1415555012",
            "+999123456789",
            "+1415555012a",
            "+1415555\n0123",
            "+14155550123,+447400123456",
            "+14155550123 ext. 5",
            "+٤١٥",
        ] {
            assert!(Phone::new(bad).is_err(), "{bad:?}");
        }
        assert!(!format!("{:?}", Phone::new("+14155550123").unwrap()).contains("415"));
    }

    #[test]
    fn numbers_that_cost_more_are_known() {
        for (number, is_costly) in [
            ("+19005550123", true),
            ("+447012345678", true),
            ("+4490001234567", false),
            ("+14155550123", false),
            ("+302101234567", false),
            ("+306912345678", false),
            ("+18005550123", false),
        ] {
            let Ok(phone) = Phone::new(number) else { continue };
            assert_eq!(phone.is_costly(), is_costly, "{number}");
        }
        assert!(Phone::new("+19005550123").unwrap().is_costly());
    }

    #[test]
    fn devices_have_whole_keys() {
        let point = || [vec![4], vec![7; 64]].concat();
        assert!(Device::new("https://push.example/x", point(), vec![1; 16]).is_ok());
        for (endpoint, p256dh, auth) in [
            ("", point(), vec![1; 16]),
            ("https://a\n", point(), vec![1; 16]),
            ("https://a", vec![4; 64], vec![1; 16]),
            ("https://a", vec![2; 65], vec![1; 16]),
            ("https://a", Vec::new(), vec![1; 16]),
            ("https://a", point(), vec![1; 15]),
        ] {
            assert!(Device::new(endpoint, p256dh, auth).is_err());
        }
    }
}
