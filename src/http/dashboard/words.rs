//! Numbers and times as people read them.

use crate::domain::{Channel, Timestamp};
use crate::store::COUNTED_TO;

/// What is not known.
pub const UNKNOWN: &str = "–";

/// `1,234,567`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 { format!("−{grouped}") } else { grouped }
}

/// What was counted only so far.
pub fn counted(number: i64) -> String {
    if number >= COUNTED_TO { format!("{}+", count(COUNTED_TO)) } else { count(number) }
}

/// So many a second.
pub fn rate(number: Option<f64>) -> String {
    match number {
        None => UNKNOWN.to_owned(),
        Some(number) if number >= 99.5 => count(number.round() as i64),
        Some(number) if number >= 0.05 => format!("{number:.1}"),
        Some(number) if number > 0.0 => "<0.1".to_owned(),
        Some(_) => "0".to_owned(),
    }
}

/// A span, in seconds.
pub fn span(seconds: Option<f64>) -> String {
    match seconds {
        None => UNKNOWN.to_owned(),
        Some(seconds) if seconds < 0.009_5 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 0.999_5 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) if seconds < 59.5 => format!("{seconds:.1} s"),
        Some(seconds) => lasted(seconds),
    }
}

/// A span in milliseconds.
pub fn millis(millis: Option<i64>) -> String {
    span(millis.map(|millis| millis as f64 / 1e3))
}

/// `4 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.
pub fn lasted(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as i64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long ago `at` was, in few words; or how soon it is.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let since = now.seconds_since(at);
    match since {
        -1.0..1.0 => "now".to_owned(),
        1.0.. => format!("{} ago", lasted(since)),
        _ => format!("in {}", lasted(-since)),
    }
}

/// `2025-01-14 15:30:02`, in UTC.
pub fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time}"),
        _ => text,
    }
}

/// A part of a whole, in percent: never rounded up to all, nor down to nothing.
pub fn percent(part: Option<f64>) -> String {
    match part {
        None => UNKNOWN.to_owned(),
        Some(part) if part >= 1.0 => "100 %".to_owned(),
        Some(part) if part > 0.999 => ">99.9 %".to_owned(),
        Some(part) if part <= 0.0 => "0 %".to_owned(),
        Some(part) if part < 0.001 => "<0.1 %".to_owned(),
        Some(part) => format!("{:.1} %", part * 100.0),
    }
}

/// A channel's name.
pub const fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Realtime => "Sockets",
        Channel::Email => "E-mail",
        Channel::Push => "Web Push",
        Channel::Sms => "Text message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_flatter() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(-1_234_567)],
            ["0", "999", "1,000", "−1,234,567"]
        );
        assert_eq!([counted(9_999), counted(10_000)], ["9,999", "10,000+"]);
        let rates = [None, Some(0.0), Some(0.01), Some(0.26), Some(12.34), Some(1_234.4)].map(rate);
        assert_eq!(rates, ["–", "0", "<0.1", "0.3", "12.3", "1,234"]);
        let spans = [Some(0.000_5), Some(0.012), Some(1.234), Some(75.0), Some(3_725.0)].map(span);
        assert_eq!(spans, ["0.5 ms", "12 ms", "1.2 s", "1 min", "1 h 2 min"]);
        let parts = [Some(1.0), Some(0.999_99), Some(0.984), Some(0.000_01), Some(0.0), None].map(percent);
        assert_eq!(parts, ["100 %", ">99.9 %", "98.4 %", "<0.1 %", "0 %", "–"]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_micros(1_705_246_200_000_000);
        assert_eq!(ago(now, now), "now");
        assert_eq!(ago(now.plus_seconds(-130), now), "2 min ago");
        assert_eq!(ago(now.plus_seconds(-90_000), now), "1 d 1 h ago");
        assert_eq!(ago(now.plus_seconds(30), now), "in 30 s");
        assert_eq!(instant(now), "2024-01-14 15:30:00");
    }
}
