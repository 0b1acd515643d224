//! E-mails: a subject, a text, and the same as a page that any reader can show.

use askama::Template as _;

use super::phrases::{Phrases, phrases};
use super::{RenderError, Words};
use crate::domain::written::cut;

/// Letters of a subject.
const LONGEST_SUBJECT: usize = 200;

/// What stands on each e-mail besides what it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Letterhead<'a> {
    /// Who writes: the deployment's name; may be empty.
    pub sender: &'a str,
    /// Where a click leads: an address, or a path.
    pub action_url: Option<&'a str>,
    /// Where paths begin: `https://school.example`. Without it, what is a path is left out.
    pub base_url: Option<&'a str>,
    /// Where somebody ends such e-mails.
    pub unsubscribe: Option<&'a str>,
}

/// An e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// For readers without HTML.
    pub text: String,
    /// A whole page.
    pub html: String,
}

#[derive(askama::Template)]
#[template(path = "mail.html")]
struct Page<'a> {
    phrases: &'a Phrases,
    locale: &'a str,
    subject: &'a str,
    preview: &'a str,
    title: &'a str,
    paragraphs: Vec<Vec<&'a str>>,
    /// What the template's author wrote, checked element by element, with escaped values.
    html: Option<&'a str>,
    link: Option<&'a str>,
    sender: &'a str,
    unsubscribe: Option<&'a str>,
}

impl Letterhead<'_> {
    /// Where a click leads, as an address.
    fn link(&self) -> Option<String> {
        let url = self.action_url?;
        let is_web = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
        match self.base_url {
            _ if is_web => Some(url.to_owned()),
            Some(base) if url.starts_with('/') => Some(format!("{}{url}", base.trim_end_matches('/'))),
            _ => None,
        }
    }
}

impl Mail {
    /// What `words` say, on this letterhead.
    ///
    /// # Errors
    /// When the page cannot be made.
    pub fn of(words: &Words, head: &Letterhead<'_>) -> Result<Self, RenderError> {
        let (texts, phrases) = (&words.texts, phrases(&words.locale));
        let first = || texts.message.lines().next().unwrap_or_default();
        let title = if texts.title.is_empty() { first() } else { &texts.title };
        let subject = cut(words.subject.as_deref().unwrap_or(title), LONGEST_SUBJECT);
        let said = words.text.as_deref().unwrap_or(&texts.message);
        let said = if said.is_empty() { title } else { said };
        let link = head.link();
        let page = Page {
            phrases,
            locale: words.locale.as_str(),
            subject: &subject,
            preview: first(),
            title: &texts.title,
            paragraphs: said.split("\n\n").map(|paragraph| paragraph.lines().collect()).collect(),
            html: words.html.as_deref(),
            link: link.as_deref(),
            sender: head.sender,
            unsubscribe: head.unsubscribe,
        };
        let html = page.render().map_err(|fault| RenderError::faulty("mail.html", 1, fault.to_string()))?;
        let mut text = said.to_owned();
        for line in link.iter().map(|link| format!("{}: {link}", phrases.open)) {
            text = format!("{text}\n\n{line}");
        }
        text = format!("{text}\n\n-- \n{}", phrases.why);
        for line in head.unsubscribe.iter().map(|link| format!("{}: {link}", phrases.unsubscribe)) {
            text = format!("{text}\n{line}");
        }
        Ok(Self { subject, text: format!("{text}\n"), html })
    }
}
