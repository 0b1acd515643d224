//! What the audit log itself says of rows that were removed because they were old (decision 50), and whether that fits what is
//! missing.

use serde_json::{Value, json};

use super::Timestamp;
use super::chain::{Damage, Link};

const SECONDS_A_DAY: i64 = 24 * 60 * 60;
const SIGNATURE: &str = "signature";

/// A removal, as the detail of `audit.shorten` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// How many rows.
    pub rows: i64,
    /// The last of them.
    pub anchor: Link,
    /// What earlier releases did not tell.
    pub more: Option<More>,
    /// What is signed: the detail without its signature.
    pub words: String,
    /// The signature, if there is one.
    pub signature: Option<String>,
}

/// What shows that it was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    /// The last row that was removed before.
    pub from: Link,
    /// How many rows ever were.
    pub gone: i64,
    /// When the newest of these rows was written.
    pub newest: Timestamp,
    /// `audit.keep_days`, then.
    pub keep_days: u16,
}

impl Removal {
    /// As it is told, not signed yet.
    pub fn new(rows: i64, anchor: Link, more: More) -> Self {
        let words = json!({
            "rows": rows,
            "anchor": anchor.written(),
            "from": more.from.written(),
            "gone": more.gone,
            "newest": more.newest,
            "keep_days": more.keep_days,
        });
        Self { rows, anchor, more: Some(more), words: words.to_string(), signature: None }
    }

    /// The detail of its row.
    pub fn detail(&self) -> String {
        let Some(signature) = &self.signature else { return self.words.clone() };
        let mut detail: Value = serde_json::from_str(&self.words).unwrap_or_default();
        detail[SIGNATURE] = json!(signature);
        detail.to_string()
    }

    /// Reads the detail of a row; nothing, if it tells of no removal.
    pub fn read(detail: &str) -> Option<Self> {
        let mut detail: Value = serde_json::from_str(detail).ok()?;
        let signature = detail.as_object_mut()?.remove(SIGNATURE);
        let signature = match signature {
            None => None,
            Some(Value::String(signature)) => Some(signature),
            Some(_) => return None,
        };
        let link = |name: &str| match detail[name].as_str()? {
            "0:" => Some(Link::default()),
            text => Link::read(text),
        };
        let more = match detail.get("gone") {
            None => None,
            Some(gone) => Some(More {
                from: link("from")?,
                gone: gone.as_i64()?,
                newest: moment(detail["newest"].as_str()?)?,
                keep_days: detail["keep_days"].as_u64()?.try_into().ok()?,
            }),
        };
        let (rows, anchor) = (detail["rows"].as_i64()?, link("anchor")?);
        Some(Self { rows, anchor, more, words: detail.to_string(), signature })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp::from_micros(time.timestamp_micros()))
}

/// Who has signed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Nobody.
    Not,
    /// Whoever has this key, which is here.
    By(String),
    /// Somebody who says that they have this key, which is not here.
    ByOther(String),
    /// It is no signature of this.
    Badly,
}

/// A row that tells of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub row: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it tells, if it can be read.
    pub removal: Option<Removal>,
    /// Who has signed that.
    pub signed: Signed,
}

/// What is not at fault, and is shown by nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// An earlier release told less.
    #[error(
        "row {0} tells of the removal as earlier releases did, without the days that rows were kept, and unsigned: an earlier \
         release wrote it, or somebody who cut the beginning off"
    )]
    Earlier(i64),
    /// Nobody has signed it.
    #[error(
        "row {0} tells of the removal, and no key has signed it, though there are keys here: a server without keys wrote it, \
         or somebody who cut the beginning off"
    )]
    Unsigned(i64),
    /// Its key is not here.
    #[error(
        "row {0} tells of the removal, signed by the key `{1}`, which is not among ENCRYPTION_KEYS here: put it there, and \
         ask again"
    )]
    OtherKey(i64, String),
    /// It was made by other settings.
    #[error(
        "row {0}, which no key has signed, says that audit.keep_days was {1} when rows were removed, and here it is {2} \
         (0: for ever): if it was set so then, say so by --set audit.keep_days={1}"
    )]
    OtherDays(i64, u16, u16),
}

/// What is known of what was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// The row that tells of it, if anything was removed.
    pub row: Option<i64>,
    /// The key that has signed that row.
    pub key: Option<String>,
    /// Whether it tells as little as earlier releases did.
    pub is_earlier: bool,
    /// Why it may be otherwise.
    pub doubt: Option<Doubt>,
}

/// What is known here.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// `audit.keep_days`.
    pub keep_days: u16,
    /// Whether there are keys.
    pub has_keys: bool,
}

/// Whether `gone` rows up to `anchor` were removed as `told`, the oldest first, says.
///
/// # Errors
/// With what does not fit.
pub fn judge(told: &[Told], anchor: &Link, gone: i64, here: Here) -> Result<Backing, Damage> {
    let mut before: Option<(&Told, &Removal)> = None;
    for one in told {
        let Some(removal) = &one.removal else { return Err(Damage::Mistold(one.row)) };
        if one.signed == Signed::Badly {
            return Err(Damage::Forged(one.row));
        }
        if let Some(more) = &removal.more {
            let kept = i64::from(more.keep_days) * SECONDS_A_DAY;
            if more.keep_days == 0 || more.newest > one.at.plus_seconds(-kept) {
                return Err(Damage::TooYoung(one.row));
            }
        }
        if let Some((earlier, last)) = before {
            let goes_on = match (&last.more, &removal.more) {
                (None, None) => true,
                (None, Some(more)) => more.from == last.anchor,
                (Some(_), None) => false,
                (Some(was), Some(more)) => more.from == last.anchor && more.gone == was.gone + removal.rows,
            };
            if !goes_on {
                return Err(Damage::Mistold(one.row));
            }
            if matches!(earlier.signed, Signed::By(_)) && !matches!(one.signed, Signed::By(_)) {
                return Err(Damage::Unsigned(one.row));
            }
        }
        before = Some((one, removal));
    }
    let (told, removal) = match before {
        None if *anchor == Link::default() && gone == 0 => return Ok(Backing::default()),
        None => return Err(Damage::Untold(anchor.id)),
        Some(last) => last,
    };
    if removal.anchor != *anchor {
        return Err(Damage::Untold(anchor.id.max(removal.anchor.id)));
    }
    if removal.more.as_ref().is_some_and(|more| more.gone != gone) {
        return Err(Damage::Mistold(told.row));
    }
    let row = told.row;
    let doubt = match (&told.signed, &removal.more) {
        (Signed::By(_), _) => None,
        (Signed::ByOther(key), _) => Some(Doubt::OtherKey(row, key.clone())),
        (_, Some(_)) if here.has_keys => Some(Doubt::Unsigned(row)),
        (_, Some(more)) if here.keep_days == 0 || more.keep_days < here.keep_days => {
            Some(Doubt::OtherDays(row, more.keep_days, here.keep_days))
        }
        (_, None) if here.has_keys || here.keep_days == 0 => Some(Doubt::Earlier(row)),
        _ => None,
    };
    let key = match &told.signed {
        Signed::By(key) => Some(key.clone()),
        _ => None,
    };
    Ok(Backing { row: Some(row), key, is_earlier: removal.more.is_none(), doubt })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HERE: Here = Here { keep_days: 2, has_keys: false };

    fn link(id: i64) -> Link {
        Link { id, hash: vec![u8::try_from(id).unwrap(); 32] }
    }

    fn day(number: i64) -> Timestamp {
        Timestamp::from_micros(0).plus_seconds(number * SECONDS_A_DAY)
    }

    /// Rows up to `id` went on this day.
    fn told(row: i64, on: i64, (from, id): (i64, i64), gone: i64) -> Told {
        let from = if from == 0 { Link::default() } else { link(from) };
        let rows = id - from.id;
        let removal = Removal::new(rows, link(id), More { from, gone, newest: day(on - 2), keep_days: 2 });
        Told { row, at: day(on), removal: Some(removal), signed: Signed::Not }
    }

    #[test]
    fn what_is_told_is_read() {
        let more = More { from: Link::default(), gone: 5, newest: day(1), keep_days: 2 };
        let mut removal = Removal::new(5, link(5), more);
        assert_eq!(Removal::read(&removal.detail()), Some(removal.clone()));
        removal.signature = Some("key:abc".to_owned());
        assert_eq!(Removal::read(&removal.detail()), Some(removal.clone()));
        let earlier = json!({"rows": 5, "anchor": link(5).written()}).to_string();
        assert_eq!(Removal::read(&earlier).unwrap().more, None);
        for text in ["", "{}", "[]", "{\"rows\":1,\"anchor\":\"x\"}"] {
            assert_eq!(Removal::read(text), None, "{text}");
        }
        assert_eq!(Removal::read(&removal.detail().replace("keep_days", "days")), None);
    }

    #[test]
    fn only_what_was_told_is_missing() {
        let both = [told(9, 5, (0, 5), 5), told(12, 6, (5, 8), 8)];
        assert_eq!(judge(&both, &link(8), 8, HERE).unwrap().row, Some(12));
        assert_eq!(judge(&[], &Link::default(), 0, HERE), Ok(Backing::default()));
        assert_eq!(judge(&[], &link(8), 8, HERE), Err(Damage::Untold(8)));
        assert_eq!(judge(&both, &link(9), 9, HERE), Err(Damage::Untold(9)));
        assert_eq!(judge(&both, &Link::default(), 0, HERE), Err(Damage::Untold(8)));
        assert_eq!(judge(&both, &link(8), 9, HERE), Err(Damage::Mistold(12)));
        // Somebody cut off more between the two.
        let apart = [told(9, 5, (0, 5), 5), told(12, 6, (6, 8), 8)];
        assert_eq!(judge(&apart, &link(8), 8, HERE), Err(Damage::Mistold(12)));
        let mut young = told(9, 5, (0, 5), 5);
        young.at = day(4);
        assert_eq!(judge(&[young], &link(5), 5, HERE), Err(Damage::TooYoung(9)));
    }

    #[test]
    fn what_nothing_shows_is_said() {
        let mut row = told(9, 5, (0, 5), 5);
        let judged = |row: &Told, here| judge(std::slice::from_ref(row), &link(5), 5, here).unwrap().doubt;
        let (kept, with_keys) = (Here { keep_days: 0, ..HERE }, Here { has_keys: true, ..HERE });
        assert_eq!(judged(&row, HERE), None);
        assert_eq!(judged(&row, kept), Some(Doubt::OtherDays(9, 2, 0)));
        assert_eq!(judged(&row, Here { keep_days: 30, ..HERE }), Some(Doubt::OtherDays(9, 2, 30)));
        assert_eq!(judged(&row, with_keys), Some(Doubt::Unsigned(9)));
        row.signed = Signed::By("a".to_owned());
        assert_eq!(judged(&row, kept), None);
        row.signed = Signed::ByOther("b".to_owned());
        assert_eq!(judged(&row, HERE), Some(Doubt::OtherKey(9, "b".to_owned())));
        row.signed = Signed::Badly;
        assert_eq!(judge(&[row.clone()], &link(5), 5, HERE), Err(Damage::Forged(9)));
        row.signed = Signed::Not;
        row.removal.as_mut().unwrap().more = None;
        assert_eq!(judged(&row, HERE), None);
        assert_eq!(judged(&row, kept), Some(Doubt::Earlier(9)));
    }

    #[test]
    fn who_has_signed_once_goes_on_signing() {
        let mut both = [told(9, 5, (0, 5), 5), told(12, 6, (5, 8), 8)];
        both[0].signed = Signed::By("a".to_owned());
        assert_eq!(judge(&both, &link(8), 8, HERE), Err(Damage::Unsigned(12)));
        both[1].signed = Signed::ByOther("b".to_owned());
        assert_eq!(judge(&both, &link(8), 8, HERE), Err(Damage::Unsigned(12)));
        both[1].signed = Signed::By("c".to_owned());
        assert_eq!(judge(&both, &link(8), 8, HERE).unwrap().key.as_deref(), Some("c"));
    }
}
