//! From when until when a certificate counts: all that is read of it (RFC 5280, section 4.1). A server tells when its own is over.

use std::mem::{Discriminant, discriminant};
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;

use crate::domain::{Clock as _, SystemClock};

/// Days before its end that a certificate should be renewed by.
const SOON: i64 = 21;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;
/// How often a server says the same again.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is wrong with the time for which a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untimely {
    /// It is over, for so many days.
    #[error("has expired, {0} days ago")]
    Over(i64),
    /// It comes in so many hours.
    #[error("does not count yet, for {0} hours more")]
    Early(i64),
    /// It is over in so many days.
    #[error("expires in {0} days")]
    Soon(i64),
}

impl Untimely {
    /// What is wrong, now, with a certificate that counts from one moment until another.
    pub fn of((from, until): (i64, i64)) -> Option<Self> {
        let now = SystemClock.now().as_seconds();
        let days = (until - now) / SECONDS_A_DAY;
        if until <= now {
            Some(Self::Over(-days))
        } else if from > now {
            Some(Self::Early((from - now) / 3_600 + 1))
        } else {
            (days < SOON).then_some(Self::Soon(days))
        }
    }

    /// What to do.
    pub fn mend(self) -> &'static str {
        match self {
            Self::Early(_) => "look at this machine's clock, or wait",
            Self::Over(_) | Self::Soon(_) => {
                "have it renewed, and write the new one over it: a server notices it by itself"
            }
        }
    }
}

/// Tells in the log when the certificate that is shown does not count, or soon does not: at once, and each day again.
#[derive(Default)]
pub struct Timeliness(Option<(Discriminant<Untimely>, Instant)>);

impl Timeliness {
    /// This is wrong with the one from this file now, if anything is.
    pub fn look(&mut self, path: &Path, now: Option<Untimely>) {
        let Some(why) = now else {
            self.0 = None;
            return;
        };
        let kind = discriminant(&why);
        if self.0.is_some_and(|(told, at)| told == kind && at.elapsed() < DAY) {
            return;
        }
        self.0 = Some((kind, Instant::now()));
        let path = path.display();
        match why {
            Untimely::Soon(_) => tracing::warn!("the TLS certificate {path} {why}; {}", why.mend()),
            _ => tracing::error!("the TLS certificate {path} {why}: clients refuse it; {}", why.mend()),
        }
    }
}

/// An element, and what follows it: its tag, and what it holds.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A moment, in seconds since 1970. Two figures of a year are those from 1950 to 2049.
fn moment(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let whole = match tag {
        0x17 if text.get(..2)? < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    Some(NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok()?.and_utc().timestamp())
}

/// Which version the certificate `der` is of; nothing, if that cannot be read. Only the third can be shown.
pub fn version(der: &[u8]) -> Option<u8> {
    let (_, certificate, _) = element(der)?;
    let (_, rest, _) = element(certificate)?;
    match rest.first() {
        // Its number is one more than what is written, and 1 if nothing is.
        Some(0xa0) => element(element(rest)?.1)?.1.first()?.checked_add(1),
        _ => Some(1),
    }
}

/// From when until when the certificate `der` counts, in seconds since 1970; nothing, if that cannot be read.
pub fn validity(der: &[u8]) -> Option<(i64, i64)> {
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Its number, the algorithm of its signature, and who has signed it.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, both, _) = element(rest)?;
    let (tag, from, rest) = element(both)?;
    let from = moment(tag, from)?;
    let (tag, until, _) = element(rest)?;
    Some((from, moment(tag, until)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut all = vec![tag];
        match u8::try_from(content.len()) {
            Ok(length @ 0..=0x7f) => all.push(length),
            _ => all.extend([0x82, (content.len() >> 8) as u8, content.len() as u8]),
        }
        all.extend(content);
        all
    }

    fn certificate(from: &[u8], until: &[u8]) -> Vec<u8> {
        let both = of(0x30, &[from, until].concat());
        let parts =
            [of(0xa0, &[2, 1, 2]), of(2, &[7]), of(0x30, &[]), of(0x30, &[0; 200]), both, of(0x30, &[])];
        of(0x30, &[of(0x30, &parts.concat()), of(0x30, &[])].concat())
    }

    #[test]
    fn a_certificate_has_a_version() {
        let der = certificate(&of(0x17, b"251231235959Z"), &of(0x18, b"20500101000000Z"));
        assert_eq!(version(&der), Some(3));
        let first = of(0x30, &of(0x30, &[of(2, &[7]), of(0x30, &[])].concat()));
        assert_eq!(version(&first), Some(1));
        for end in 0..der.len() - 3 {
            version(&der[..end]);
        }
    }

    #[test]
    fn a_certificate_counts_for_a_time() {
        let der = certificate(&of(0x17, b"251231235959Z"), &of(0x18, b"20500101000000Z"));
        assert_eq!(validity(&der), Some((1_767_225_599, 2_524_608_000)));
        let old = certificate(&of(0x17, b"500101000000Z"), &of(0x17, b"491231235959Z"));
        assert_eq!(validity(&old), Some((-631_152_000, 2_524_607_999)));
        for end in 0..der.len() - 3 {
            validity(&der[..end]);
        }
        assert_eq!(validity(b"no certificate"), None);
    }
}
