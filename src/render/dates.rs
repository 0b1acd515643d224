//! Days and times as people write them, where they live.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};
use chrono_tz::Tz;

use crate::domain::{Locale, Timestamp, Zone};

/// What of a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The day.
    Date,
    /// The time of the day, and by which clock.
    Time,
    /// Both.
    DateTime,
}

const ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const SPANISH: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];
const GREEK: [&str; 12] = [
    "Ιανουαρίου",
    "Φεβρουαρίου",
    "Μαρτίου",
    "Απριλίου",
    "Μαΐου",
    "Ιουνίου",
    "Ιουλίου",
    "Αυγούστου",
    "Σεπτεμβρίου",
    "Οκτωβρίου",
    "Νοεμβρίου",
    "Δεκεμβρίου",
];

/// A day in words.
fn day(date: NaiveDate, locale: &Locale) -> String {
    let (year, day) = (date.year(), date.day());
    let month = |names: [&'static str; 12]| names.get(date.month0() as usize).copied().unwrap_or_default();
    match locale.language() {
        "en" if locale.region() == Some("US") => format!("{} {day}, {year}", month(ENGLISH)),
        "en" => format!("{day} {} {year}", month(ENGLISH)),
        "es" => format!("{day} de {} de {year}", month(SPANISH)),
        "el" => format!("{day} {} {year}", month(GREEK)),
        _ => date.format("%Y-%m-%d").to_string(),
    }
}

/// A time of the day. By which clock is always said: whoever reads it may live elsewhere.
fn clock(at: &DateTime<Tz>, locale: &Locale) -> String {
    let zone = at.format("%Z");
    let minute = at.minute();
    let twelve = |before: &str, after: &str| {
        let (is_afternoon, hour) = at.hour12();
        format!("{hour}:{minute:02} {} {zone}", if is_afternoon { after } else { before })
    };
    match (locale.language(), locale.region()) {
        ("en", Some("US")) => twelve("AM", "PM"),
        ("el", _) => twelve("π.μ.", "μ.μ."),
        _ => format!("{:02}:{minute:02} {zone}", at.hour()),
    }
}

/// Writes `text`, an RFC 3339 time or, for a date, a day such as `2027-01-15`, as clocks in `zone` show it.
///
/// # Errors
/// What it should be.
pub fn written(text: &str, shape: Shape, zone: Zone, locale: &Locale) -> Result<String, String> {
    let text = text.trim();
    if let (Ok(date), Shape::Date) = (NaiveDate::parse_from_str(text, "%Y-%m-%d"), shape) {
        return Ok(day(date, locale));
    }
    let expected = || {
        let shown: String = text.chars().take(40).collect();
        format!("`{shown}` is no time such as 2027-01-15T09:00:00Z")
    };
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| expected())?;
    let at = zone.clock(Timestamp::from_micros(at.timestamp_micros())).ok_or_else(expected)?;
    Ok(match shape {
        Shape::Date => day(at.date_naive(), locale),
        Shape::Time => clock(&at, locale),
        Shape::DateTime => format!("{}, {}", day(at.date_naive(), locale), clock(&at, locale)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(text: &str, shape: Shape, zone: &str, locale: &str) -> String {
        written(text, shape, Zone::named(zone).unwrap(), &Locale::new(locale).unwrap()).unwrap()
    }

    #[test]
    fn each_language_has_its_own_order_and_words() {
        let say = |locale| at("2025-09-15T14:05:00Z", Shape::DateTime, "UTC", locale);
        assert_eq!(say("en"), "15 September 2025, 14:05 UTC");
        assert_eq!(say("en-GB"), "15 September 2025, 14:05 UTC");
        assert_eq!(say("en-US"), "September 15, 2025, 2:05 PM UTC");
        assert_eq!(say("es-MX"), "15 de septiembre de 2025, 14:05 UTC");
        assert_eq!(say("el"), "15 Σεπτεμβρίου 2025, 2:05 μ.μ. UTC");
        assert_eq!(say("de"), "2025-09-15, 14:05 UTC");
    }

    #[test]
    fn it_is_the_day_where_they_live() {
        let say = |zone| at("2025-09-20T23:59:59Z", Shape::DateTime, zone, "en");
        assert_eq!(say("Europe/Athens"), "21 September 2025, 02:59 EEST");
        assert_eq!(say("America/New_York"), "20 September 2025, 19:59 EDT");
        assert_eq!(at("2025-01-20T12:00:00+02:00", Shape::Time, "Europe/Athens", "es"), "12:00 EET");
        assert_eq!(at("2025-09-20", Shape::Date, "America/New_York", "en"), "20 September 2025");
    }

    #[test]
    fn what_is_no_time_is_said() {
        let try_it = |text| written(text, Shape::Date, Zone::UTC, &Locale::default());
        for bad in ["", "tomorrow", "2025-02-30", "2025-09-15T14:00:00", "99999-01-01T00:00:00Z"] {
            assert!(try_it(bad).is_err(), "{bad}");
        }
        assert!(try_it("9999-12-31T23:59:59Z").is_ok());
        assert!(written("2025-09-15", Shape::Time, Zone::UTC, &Locale::default()).is_err());
    }
}
