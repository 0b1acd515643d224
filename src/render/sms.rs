//! Text messages: short, and counted as phone networks count.

use super::Words;

/// The letters of GSM 03.38 that take one place.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà";
/// Those that take two.
const EXTENDED: &str = "^{}\\[~]|€";
/// Places of three messages that are shown as one, in those letters and in all others.
const MOST_GSM: usize = 459;
/// See [`MOST_GSM`].
const MOST_UCS2: usize = 201;

/// The text of a text message, of at most three parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sms(pub String);

fn places(letter: char) -> Option<usize> {
    if BASIC.contains(letter) {
        Some(1)
    } else if EXTENDED.contains(letter) {
        Some(2)
    } else {
        None
    }
}

/// As much of `text` as fits.
fn fitted(text: &str) -> String {
    let most = match text.chars().map(places).sum::<Option<usize>>() {
        Some(many) if many <= MOST_GSM => return text.to_owned(),
        Some(_) => MOST_GSM,
        None if text.encode_utf16().count() <= MOST_UCS2 => return text.to_owned(),
        None => MOST_UCS2,
    };
    let (is_gsm, end) = if most == MOST_GSM { (true, "...") } else { (false, "…") };
    let room = most - end.chars().count();
    let mut used = 0;
    let fits = |letter: &char| {
        used += if is_gsm { places(*letter).unwrap_or(1) } else { letter.len_utf16() };
        used <= room
    };
    let kept: String = text.chars().take_while(fits).collect();
    format!("{}{end}", kept.trim_end())
}

impl Sms {
    /// What `words` say; `link` is put behind it if there is room, whole or not at all.
    pub fn of(words: &Words, link: Option<&str>) -> Self {
        let texts = &words.texts;
        let said =
            words.sms.clone().unwrap_or_else(|| match (texts.title.as_str(), texts.message.as_str()) {
                ("", message) => super::template::line(message),
                (title, "") => title.to_owned(),
                (title, message) => format!("{title}: {}", super::template::line(message)),
            });
        let with_link = link.map(|link| format!("{said} {link}")).filter(|whole| fitted(whole) == *whole);
        // Marked as cut only once it is known in which letters: a mark that phones have not would halve what fits.
        Self(with_link.unwrap_or_else(|| fitted(&said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Locale;

    fn sms(title: &str, message: &str) -> String {
        Sms::of(&Words::own(title, message, &Locale::default()), None).0
    }

    #[test]
    fn it_is_cut_where_networks_would_ask_for_more() {
        assert_eq!(sms("Title", "Text\non lines"), "Title: Text on lines");
        assert_eq!(sms("", "Text"), "Text");
        let long = sms("", &"a".repeat(1_000));
        assert_eq!((long.len(), long.ends_with("aa...")), (459, true));
        assert_eq!(sms("", &"a".repeat(30_000)), long);
        let euros = sms("", &"€".repeat(1_000));
        assert_eq!(euros.chars().filter(|letter| *letter == '€').count(), 228);
        let greek = sms("", &"α".repeat(1_000));
        assert_eq!((greek.chars().count(), greek.ends_with("α…")), (201, true));
        let faces = sms("", &"😀".repeat(500));
        assert_eq!(faces.encode_utf16().count(), 201);
    }

    #[test]
    fn a_link_is_whole_or_not_there() {
        let words = |text: &str| Words::own("", text, &Locale::default());
        assert_eq!(Sms::of(&words("See"), Some("https://a.example/5")).0, "See https://a.example/5");
        let long = Sms::of(&words(&"a".repeat(450)), Some("https://a.example/5")).0;
        assert_eq!(long, "a".repeat(450));
    }
}
