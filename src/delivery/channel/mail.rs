//! An e-mail as it is written, whoever takes it.

use chrono::DateTime;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use uuid::Uuid;

use super::{Fault, Letter, Parcel};
use crate::domain::Timestamp;

/// Bytes of a subject; what is longer is cut off.
const LONGEST_SUBJECT: usize = 250;

/// What all e-mails have in common.
pub struct Sender {
    /// From whom.
    pub from: Mailbox,
}

/// The name of a header of ours, and what it says.
pub type Header = (&'static str, String);

impl Sender {
    /// Reads `Carillon <hello@example.com>`, or the address alone.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(from: &str) -> Result<Self, String> {
        let from = from.parse();
        from.map(|from| Self { from }).map_err(|_| {
            "email.from (EMAIL_FROM) must be an address, with or without a name: Carillon <hello@example.com>".to_owned()
        })
    }

    /// The same on each attempt, so that whoever gets it twice shows it once.
    pub fn message_id(&self, key: Uuid) -> String {
        format!("<{key}@{}>", self.from.email.domain())
    }

    /// What an e-mail says beside who it is from, to and about.
    pub fn headers(&self, parcel: &Parcel, unsubscribe: Option<&str>) -> Vec<Header> {
        let mut headers = vec![
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Auto-Response-Suppress", "All".to_owned()),
            ("X-Carillon-Notification", parcel.notification.to_string()),
        ];
        // What is no plain address would break the header.
        let plain = |url: &&str| {
            url.starts_with("https://")
                && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,".contains(&byte))
        };
        if let Some(url) = unsubscribe.filter(plain) {
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        headers
    }

    /// The whole message.
    ///
    /// # Errors
    /// When the parcel holds no e-mail, or one that cannot be written.
    pub fn message(&self, parcel: &Parcel, now: Timestamp) -> Result<Message, Fault> {
        let reject = |what: &str| Fault::Unfit { reason: format!("the e-mail cannot be written: {what}") };
        let Letter::Email { to, subject, text, html, unsubscribe } = &parcel.letter else {
            return Err(reject("this is none"));
        };
        let to: Address = to.expose().parse().map_err(|_| reject("its address is none"))?;
        let date = DateTime::from_timestamp_micros(now.as_micros()).unwrap_or_default().to_rfc2822();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(line(subject))
            .message_id(Some(self.message_id(parcel.key)))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Date"), date));
        for (name, value) in self.headers(parcel, unsubscribe.as_deref()) {
            builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        let part = |kind, text: &str| SinglePart::builder().header(kind).body(text.replace('\0', ""));
        let both = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, text))
            .singlepart(part(ContentType::TEXT_HTML, html));
        builder.multipart(both).map_err(|_| reject("a part of it is missing"))
    }
}

/// A text as one line that ends no header: what controls becomes a blank.
pub fn line(text: &str) -> String {
    let plain: String = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match plain.char_indices().find(|(at, sign)| at + sign.len_utf8() > LONGEST_SUBJECT) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::delivery::channel::sample;
    use crate::domain::Email;

    fn written(subject: &str, unsubscribe: &str) -> String {
        let letter = Letter::Email {
            to: Email::new("ana@example.com").unwrap(),
            subject: subject.to_owned(),
            text: "plain\r\n.\r\ntext".to_owned(),
            html: "<p>Ελληνικά</p>".to_owned(),
            unsubscribe: Some(unsubscribe.to_owned()),
        };
        let sender = Sender::new("Björn's bells <bells@example.org>").unwrap();
        let message = sender.message(&sample(letter), Timestamp::from_micros(1_900_000_000_000_000)).unwrap();
        let to: Vec<String> = message.envelope().to().iter().map(ToString::to_string).collect();
        assert_eq!(to, ["ana@example.com"]);
        String::from_utf8(message.formatted()).unwrap()
    }

    #[test]
    fn it_has_what_mail_programs_want() {
        let text = written("Grades are in", "https://c.example/u/abc");
        for line in [
            "From: =?utf-8?b?QmrDtnJuJ3MgYmVsbHM=?= <bells@example.org>",
            "To: ana@example.com",
            "Subject: Grades are in",
            "Message-ID: <01890000-0000-7000-8000-000000000001@example.org>",
            "Date: Sun, 17 Mar 2030 17:46:40 +0000",
            "Auto-Submitted: auto-generated",
            "List-Unsubscribe: <https://c.example/u/abc>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "MIME-Version: 1.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("Date: ").count(), 1);
        assert!(text.contains("multipart/alternative"));
        assert!(text.find("text/plain").unwrap() < text.find("text/html").unwrap());
    }

    #[test]
    fn nothing_begins_a_header_or_a_second_recipient() {
        let text = written(
            "Hello\r\nBcc: eve@example.com\r\n\r\nbody\0\u{b}\u{85}",
            "https://c.example/u>\r\nBcc: eve@example.com",
        );
        assert!(!text.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{text}");
        assert!(!text.contains("List-Unsubscribe"), "{text}");
        assert!(text.contains("Subject: Hello Bcc: eve@example.com body"), "{text}");
        assert!(line(&"é".repeat(300)).len() < 260);
    }
}
