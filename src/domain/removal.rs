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
    /// The last row that an earlier removal took away, of which nothing showed that it was right.
    pub behind: Option<Link>,
    /// Such a row, which an operator has accepted (`audit.accepted`).
    pub accepted: Option<Link>,
}

impl Removal {
    /// As it is told, not signed yet.
    pub fn new(rows: i64, anchor: Link, more: More) -> Self {
        let mut words = json!({
            "rows": rows,
            "anchor": anchor.written(),
            "from": more.from.written(),
            "gone": more.gone,
            "newest": more.newest,
            "keep_days": more.keep_days,
        });
        for (name, link) in [("behind", &more.behind), ("accepted", &more.accepted)] {
            if let Some(link) = link {
                words[name] = json!(link.written());
            }
        }
        Self { rows, anchor, more: Some(more), words: words.to_string(), signature: None }
    }

    fn behind(&self) -> Option<&Link> {
        self.more.as_ref()?.behind.as_ref()
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
        let may_have = |name: &str| match detail.get(name) {
            None => Some(None),
            Some(_) => link(name).map(Some),
        };
        let more = match detail.get("gone") {
            None => None,
            Some(gone) => Some(More {
                from: link("from")?,
                gone: gone.as_i64()?,
                newest: moment(detail["newest"].as_str()?)?,
                keep_days: detail["keep_days"].as_u64()?.try_into().ok()?,
                behind: may_have("behind")?,
                accepted: may_have("accepted")?,
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
    /// An earlier one was doubtful.
    #[error(
        "row {0} tells of the removal, signed, and also that up to row {1} rows had gone before without a signature of a key \
         that was there: a server without keys removed them, or somebody who cut the beginning off"
    )]
    Behind(i64, i64),
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
    /// The last row that is missing without being shown to have gone rightly, if there is a doubt.
    pub unproved: Option<Link>,
    /// Such a row, which an operator has accepted.
    pub accepted: Option<Link>,
}

/// What is known here.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// `audit.keep_days`.
    pub keep_days: u16,
    /// Whether there are keys.
    pub has_keys: bool,
    /// `audit.accepted`: the last row that is missing, which an operator has accepted; `0:` if none is.
    pub accepted: &'a Link,
}

/// How the next removal goes on from the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It says that rows up to the first had gone without being shown to have gone rightly, or that an operator has accepted
    /// the second.
    Tells(Option<Link>, Option<Link>),
    /// Not at all: nothing tells of what is missing.
    Untold,
    /// Not at all, as long as the key of the last one is not here.
    LacksKey(String),
}

/// How the next removal goes on where `gone` rows up to `anchor` are missing, and `last` told of it.
pub fn next(last: Option<&Told>, anchor: &Link, gone: i64, here: Here<'_>) -> Next {
    if *anchor == Link::default() {
        return if gone == 0 { Next::Tells(None, None) } else { Next::Untold };
    }
    let Some((told, removal)) = last.and_then(|told| Some((told, told.removal.as_ref()?))) else {
        return Next::Untold;
    };
    if removal.anchor != *anchor {
        return Next::Untold;
    }
    let is_accepted = anchor == here.accepted;
    let unproved = match &told.signed {
        Signed::Badly => return Next::Untold,
        Signed::ByOther(key) if !is_accepted => return Next::LacksKey(key.clone()),
        Signed::Not if !here.has_keys => None,
        Signed::Not | Signed::ByOther(_) => Some(anchor.clone()),
        Signed::By(_) => removal.behind().cloned(),
    };
    match unproved {
        Some(link) if link == *here.accepted => Next::Tells(None, Some(link)),
        unproved => Next::Tells(unproved, None),
    }
}

/// Whether `gone` rows up to `anchor` were removed as `told`, the oldest first, says.
///
/// # Errors
/// With what does not fit.
pub fn judge(told: &[Told], anchor: &Link, gone: i64, here: Here<'_>) -> Result<Backing, Damage> {
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
        (Signed::By(_), _) => removal.behind().map(|link| Doubt::Behind(row, link.id)),
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
    let about = removal.behind().filter(|_| key.is_some()).unwrap_or(anchor);
    let is_accepted = doubt.is_some() && about == here.accepted;
    let doubt = doubt.filter(|_| !is_accepted);
    let unproved = doubt.is_some().then(|| about.clone());
    let accepted = match &removal.more {
        _ if is_accepted => Some(about.clone()),
        Some(more) if key.is_some() => more.accepted.clone(),
        _ => None,
    };
    Ok(Backing { row: Some(row), key, is_earlier: removal.more.is_none(), doubt, unproved, accepted })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NONE: Link = Link { id: 0, hash: Vec::new() };
    const HERE: Here<'static> = Here { keep_days: 2, has_keys: false, accepted: &NONE };
    const WITH_KEYS: Here<'static> = Here { has_keys: true, ..HERE };

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
        let more = More { from, gone, newest: day(on - 2), keep_days: 2, behind: None, accepted: None };
        let removal = Removal::new(rows, link(id), more);
        Told { row, at: day(on), removal: Some(removal), signed: Signed::Not }
    }

    #[test]
    fn what_is_told_is_read() {
        let (behind, accepted) = (Some(link(3)), Some(link(4)));
        let more = More { from: Link::default(), gone: 5, newest: day(1), keep_days: 2, behind, accepted };
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
        assert_eq!(Removal::read(&removal.detail().replace("\"3:", "\"x:")), None);
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
        let (four, five) = (link(4), link(5));
        let judged =
            |row: &Told, here: Here<'_>| judge(std::slice::from_ref(row), &link(5), 5, here).unwrap().doubt;
        let kept = Here { keep_days: 0, ..HERE };
        assert_eq!(judged(&row, HERE), None);
        assert_eq!(judged(&row, kept), Some(Doubt::OtherDays(9, 2, 0)));
        assert_eq!(judged(&row, Here { keep_days: 30, ..HERE }), Some(Doubt::OtherDays(9, 2, 30)));
        assert_eq!(judged(&row, WITH_KEYS), Some(Doubt::Unsigned(9)));
        assert_eq!(judged(&row, Here { accepted: &five, ..WITH_KEYS }), None);
        assert_eq!(judged(&row, Here { accepted: &four, ..WITH_KEYS }), Some(Doubt::Unsigned(9)));
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

    #[test]
    fn a_doubt_goes_on() {
        let signed = |mut told: Told, behind: Option<Link>| {
            told.signed = Signed::By("a".to_owned());
            told.removal.as_mut().unwrap().more.as_mut().unwrap().behind = behind;
            told
        };
        let unsigned = told(9, 5, (0, 5), 5);
        let goes_on = |told: &Told, upto: i64, here| next(Some(told), &link(upto), upto, here);
        assert_eq!(goes_on(&unsigned, 5, HERE), Next::Tells(None, None));
        assert_eq!(goes_on(&unsigned, 5, WITH_KEYS), Next::Tells(Some(link(5)), None));
        let then = signed(told(12, 6, (5, 8), 8), Some(link(5)));
        assert_eq!(goes_on(&then, 8, WITH_KEYS), Next::Tells(Some(link(5)), None));
        for all in [vec![unsigned, then.clone()], vec![then.clone()]] {
            let backing = judge(&all, &link(8), 8, WITH_KEYS).unwrap();
            assert_eq!((backing.doubt, backing.unproved), (Some(Doubt::Behind(12, 5)), Some(link(5))));
        }
        // Until an operator says that it is known.
        let (five, eight) = (link(5), link(8));
        let accepted = Here { accepted: &five, ..WITH_KEYS };
        assert_eq!(goes_on(&then, 8, accepted), Next::Tells(None, Some(link(5))));
        let backing = judge(std::slice::from_ref(&then), &link(8), 8, accepted).unwrap();
        assert_eq!((backing.doubt, backing.unproved, backing.accepted), (None, None, Some(link(5))));
        let other = Here { accepted: &eight, ..WITH_KEYS };
        assert_eq!(judge(&[then], &link(8), 8, other).unwrap().doubt, Some(Doubt::Behind(12, 5)));
    }

    #[test]
    fn nothing_goes_on_from_what_cannot_be_read() {
        let mut last = told(9, 5, (0, 5), 5);
        let goes_on = |last: Option<&Told>, here| next(last, &link(5), 5, here);
        assert_eq!(goes_on(None, HERE), Next::Untold);
        assert_eq!(next(None, &NONE, 0, HERE), Next::Tells(None, None));
        assert_eq!(next(None, &NONE, 1, HERE), Next::Untold);
        assert_eq!(next(Some(&last), &link(6), 6, HERE), Next::Untold);
        last.signed = Signed::Badly;
        assert_eq!(goes_on(Some(&last), WITH_KEYS), Next::Untold);
        last.signed = Signed::ByOther("b".to_owned());
        for here in [HERE, WITH_KEYS] {
            assert_eq!(goes_on(Some(&last), here), Next::LacksKey("b".to_owned()));
        }
        let five = link(5);
        let accepted = Here { accepted: &five, ..WITH_KEYS };
        assert_eq!(goes_on(Some(&last), accepted), Next::Tells(None, Some(link(5))));
    }
}
