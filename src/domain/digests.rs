//! What somebody wants of their digest, and what stands in it. Pure: who asks has read the inbox.
//!
//! Promise: everything counts; how much is named is bounded, and what is left out is said.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::written::cut;
use super::{
    Broken, Channel, Day, Frequency, NotificationId, Position, Priority, Rhythm, TimeOfDay, Timestamp, Zone,
    is_name,
};

/// Types that one may name.
const MOST_TYPES: usize = 100;
/// Types of which is known how many there are of each; what is of others is only counted together.
const KNOWN_TYPES: usize = 1_000;
/// Bytes of what stands in a digest: as much as a template can be given.
const LARGEST: usize = 15_000;
/// How much is named: types, notifications of each, the most important ones, letters of a text. Less and less, until it
/// fits.
const LOOKS: [[usize; 4]; 5] =
    [[20, 5, 10, 140], [20, 3, 10, 140], [20, 2, 5, 100], [20, 1, 5, 60], [10, 0, 3, 40]];
/// Letters of an address that a click leads to; what is longer is left out.
const LONGEST_URL: usize = 200;

/// Kinds that tell of others, and stand in no digest.
pub const SUMMARIES: [&str; 3] = ["daily_digest", "weekly_digest", "quiet_hours_summary"];

/// What somebody wants of their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestTerms {
    /// Whether they want it.
    pub is_enabled: bool,
    /// At which time of the day.
    pub delivery_time: TimeOfDay,
    /// By whose clocks; their own, if nothing is said.
    #[serde(default)]
    pub timezone: Option<Zone>,
    /// How often.
    pub frequency: Frequency,
    /// On which day of the week, if it is once a week.
    pub day_of_week: Day,
    /// Only these types; all, if there are none.
    #[serde(default)]
    pub include_types: Vec<String>,
    /// Not on Saturdays and Sundays.
    pub exclude_weekends: bool,
    /// Nothing that matters less.
    #[serde(serialize_with = "level_out", deserialize_with = "level_in")]
    pub min_priority: Priority,
    /// Which ways it goes.
    pub channels: Vec<Channel>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn level_out<S: Serializer>(priority: &Priority, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(priority.name())
}

fn level_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Priority, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(Priority::parse(&word).unwrap_or_default())
}

impl DigestTerms {
    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Broken> {
        let rule =
            |is_kept: bool, field, expected| if is_kept { Ok(()) } else { Err(Broken { field, expected }) };
        let are_names =
            self.include_types.len() <= MOST_TYPES && self.include_types.iter().all(|name| is_name(name));
        let names = "at most 100 types of 1 to 128 bytes, without control characters; none for all";
        rule(are_names, "include_types", names)?;
        let ways = "in_app, email and push, at least one of them; no text messages";
        let are_ways = !self.channels.is_empty() && !self.channels.contains(&Channel::Sms);
        rule(are_ways, "channels", ways)?;
        let never = "a day from mon to fri, since exclude_weekends is true: else it would never come";
        let is_weekend = matches!(self.day_of_week.0, chrono::Weekday::Sat | chrono::Weekday::Sun);
        let comes = self.frequency == Frequency::Daily || !self.exclude_weekends || !is_weekend;
        rule(comes, "day_of_week", never)
    }

    /// When it is due, for somebody who lives in `own`.
    pub fn rhythm(&self, own: Zone) -> Rhythm {
        Rhythm {
            at: self.delivery_time,
            zone: self.timezone.unwrap_or(own),
            weekly: (self.frequency == Frequency::Weekly).then_some(self.day_of_week),
            is_off_on_weekends: self.exclude_weekends,
        }
    }

    /// The kind of what tells of it.
    pub const fn kind(&self) -> &'static str {
        match self.frequency {
            Frequency::Daily => "daily_digest",
            Frequency::Weekly => "weekly_digest",
        }
    }

    /// Whether something of this kind stands in it.
    pub fn takes(&self, kind: &str, priority: Priority) -> bool {
        let is_wanted =
            self.include_types.is_empty() || self.include_types.iter().any(|wanted| wanted == kind);
        is_wanted && priority >= self.min_priority && !SUMMARIES.contains(&kind)
    }
}

impl Default for DigestTerms {
    fn default() -> Self {
        let seven = chrono::NaiveTime::from_hms_opt(7, 0, 0).unwrap_or_default();
        Self {
            is_enabled: true,
            delivery_time: TimeOfDay(seven),
            timezone: None,
            frequency: Frequency::Daily,
            day_of_week: Day(chrono::Weekday::Mon),
            include_types: Vec::new(),
            exclude_weekends: false,
            min_priority: Priority::Low,
            channels: vec![Channel::Realtime, Channel::Email, Channel::Push],
        }
    }
}

/// An entry of an inbox, as far as it counts.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it stands.
    pub position: Position,
    /// The sender's kind of notification.
    pub kind: String,
    /// How much it matters.
    pub priority: Priority,
    /// Whether somebody looked at it.
    pub is_read: bool,
}

/// An entry that is named.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its number.
    pub id: NotificationId,
    /// Its second name.
    pub uuid: Uuid,
    /// The sender's kind of notification.
    pub kind: String,
    /// One line; may be empty.
    pub title: String,
    /// The text.
    pub message: String,
    /// How much it matters.
    pub priority: Priority,
    /// Where a click leads.
    pub action_url: Option<String>,
    /// Whether somebody looked at it.
    pub is_read: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// What is of one type.
#[derive(Clone, Debug, Default)]
struct Alike {
    count: i64,
    newest: Vec<Position>,
}

/// What came, counted line by line from the newest on. Takes little memory, however much that is.
#[derive(Clone, Debug, Default)]
pub struct Gathering {
    unread: i64,
    by_priority: [i64; 4],
    most_important: [Vec<Position>; 4],
    by_type: HashMap<String, Alike>,
}

impl Gathering {
    /// Counts one more, older than all before.
    pub fn add(&mut self, line: Line) {
        let [_, each, top, _] = LOOKS[0];
        let level = line.priority as usize;
        self.unread += i64::from(!line.is_read);
        self.by_priority[level] += 1;
        if self.most_important[level].len() < top {
            self.most_important[level].push(line.position);
        }
        if self.by_type.len() >= KNOWN_TYPES && !self.by_type.contains_key(&line.kind) {
            return;
        }
        let alike = self.by_type.entry(line.kind).or_default();
        alike.count += 1;
        if alike.newest.len() < each {
            alike.newest.push(line.position);
        }
    }

    /// How many there are.
    pub fn total(&self) -> i64 {
        self.by_priority.iter().sum()
    }

    /// The types of which there are most.
    fn types(&self, most: usize) -> Vec<(&String, &Alike)> {
        let mut types: Vec<_> = self.by_type.iter().collect();
        types.sort_unstable_by(|one, other| (other.1.count, one.0).cmp(&(one.1.count, other.0)));
        types.truncate(most);
        types
    }

    fn top(&self, most: usize) -> impl Iterator<Item = Position> {
        self.most_important.iter().rev().flatten().copied().take(most)
    }

    /// Those that may be named.
    pub fn named(&self) -> Vec<Position> {
        let [types, _, top, _] = LOOKS[0];
        let of_types = self.types(types).into_iter().flat_map(|(_, alike)| alike.newest.iter().copied());
        let all: HashSet<Position> = of_types.chain(self.top(top)).collect();
        all.into_iter().collect()
    }

    /// What stands in the digest of `date`: a JSON object, `items` being those that may be named.
    pub fn content(&self, date: &str, items: &HashMap<Position, Item>) -> Value {
        let mut content = Value::Null;
        for look in LOOKS {
            content = self.looking(date, items, look);
            if content.to_string().len() <= LARGEST {
                break;
            }
        }
        content
    }

    fn looking(&self, date: &str, items: &HashMap<Position, Item>, look: [usize; 4]) -> Value {
        let [types, each, top, letters] = look;
        let shown = |position: &Position| items.get(position).map(|item| item.shown(letters));
        let level =
            |priority: Priority| (priority.name().to_owned(), json!(self.by_priority[priority as usize]));
        let priorities: Map<String, Value> = Priority::ALL.into_iter().rev().map(level).collect();
        let listed = self.types(types);
        let told: i64 = listed.iter().map(|(_, alike)| alike.count).sum();
        let of_type = |(kind, alike): (&String, &Alike)| {
            let notifications: Vec<Value> = alike.newest.iter().take(each).filter_map(shown).collect();
            let not_listed = alike.count - i64::try_from(notifications.len()).unwrap_or(0);
            let mut group = json!({"count": alike.count, "notifications": notifications});
            if not_listed > 0 {
                group["not_listed"] = json!(not_listed);
            }
            (kind.clone(), group)
        };
        let by_type: BTreeMap<String, Value> = listed.into_iter().map(of_type).collect();
        let mut content = json!({
            "date": date,
            "summary": {
                "total_notifications": self.total(),
                "unread_notifications": self.unread,
                "priority_breakdown": priorities,
            },
            "notifications_by_type": by_type,
            "top_notifications": self.top(top).filter_map(|position| shown(&position)).collect::<Vec<_>>(),
        });
        if told < self.total() {
            content["other_types"] = json!({"count": self.total() - told});
        }
        content
    }
}

impl Item {
    fn shown(&self, letters: usize) -> Value {
        let first = || self.message.lines().next().unwrap_or_default();
        let title = if self.title.is_empty() { first() } else { &self.title };
        let action_url = self.action_url.as_deref().filter(|url| url.len() <= LONGEST_URL && letters > 100);
        json!({
            "id": self.uuid,
            "notification_id": self.id,
            "type": self.kind,
            "title": cut(title, letters),
            "message": cut(&self.message, letters),
            "priority": self.priority.name(),
            "is_read": self.is_read,
            "action_url": action_url,
            "created_at": self.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn line(position: Position, kind: &str, level: i32, is_read: bool) -> Line {
        Line { position, kind: kind.to_owned(), priority: Priority::from_level(level), is_read }
    }

    fn item(line: &Line, text: &str) -> Item {
        Item {
            id: NotificationId(line.position),
            uuid: Uuid::nil(),
            kind: line.kind.clone(),
            title: text.to_owned(),
            message: text.to_owned(),
            priority: line.priority,
            action_url: Some("/x".to_owned()),
            is_read: line.is_read,
            created_at: Timestamp::from_micros(0),
        }
    }

    fn digest(lines: &[Line], text: &str) -> Value {
        let mut gathering = Gathering::default();
        lines.iter().for_each(|line| gathering.add(line.clone()));
        let named: HashSet<Position> = gathering.named().into_iter().collect();
        let items = lines.iter().filter(|line| named.contains(&line.position));
        gathering.content("2025-01-15", &items.map(|line| (line.position, item(line, text))).collect())
    }

    #[test]
    fn it_is_as_the_seed_has_it() {
        let lines =
            [line(9, "iep_update", 3, false), line(8, "iep_update", 1, true), line(7, "signature", 2, false)];
        let digest = digest(&lines, "Hello");
        assert_eq!(digest["date"], "2025-01-15");
        let breakdown = json!({"urgent": 1, "high": 1, "normal": 1, "low": 0});
        let summary = json!({
            "total_notifications": 3, "unread_notifications": 2, "priority_breakdown": breakdown,
        });
        assert_eq!(digest["summary"], summary);
        let members: Vec<&String> = digest.as_object().unwrap().keys().collect();
        let mut known = ["date", "summary", "notifications_by_type", "top_notifications"].to_vec();
        known.sort_unstable();
        let mut sorted = members.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, known);
        let group = digest["notifications_by_type"]["iep_update"].as_object().unwrap();
        assert_eq!((group.len(), &group["count"]), (2, &json!(2)));
        let top = digest["top_notifications"].as_array().unwrap();
        let order: Vec<i64> = top.iter().map(|one| one["notification_id"].as_i64().unwrap()).collect();
        assert_eq!(order, [9, 7, 8], "what matters most comes first");
    }

    #[test]
    fn all_counts_and_what_is_named_fits() {
        for text in ["x", &"κ".repeat(500), &"\"\\".repeat(400), &"😀".repeat(300)] {
            for (types, each) in [(1, 5_000), (60, 3), (3_000, 2)] {
                let kind = |number: i64| format!("{}{number}", "\"".repeat(100));
                let lines: Vec<Line> =
                    (0..types * each).rev().map(|at| line(at, &kind(at % types), 2, false)).collect();
                let digest = digest(&lines, text);
                assert!(digest.to_string().len() <= LARGEST, "{types} {}", digest.to_string().len());
                assert_eq!(digest["summary"]["total_notifications"], types * each);
                let groups = digest["notifications_by_type"].as_object().unwrap();
                let told: i64 = groups.values().map(|group| group["count"].as_i64().unwrap()).sum();
                let others = digest["other_types"]["count"].as_i64().unwrap_or(0);
                assert_eq!(told + others, types * each);
                for group in groups.values() {
                    let listed = group["notifications"].as_array().unwrap().len() as i64;
                    assert_eq!(listed + group["not_listed"].as_i64().unwrap_or(0), group["count"]);
                }
                assert!(!digest["top_notifications"].as_array().unwrap().is_empty());
            }
        }
    }

    #[test]
    fn terms_say_what_is_taken() {
        let terms = DigestTerms {
            include_types: vec!["a".to_owned()],
            min_priority: Priority::High,
            ..DigestTerms::default()
        };
        assert!(terms.takes("a", Priority::High) && !terms.takes("a", Priority::Normal));
        assert!(!terms.takes("b", Priority::Urgent));
        let all = DigestTerms::default();
        assert!(all.takes("b", Priority::Low) && !all.takes("daily_digest", Priority::Urgent));
        assert!(all.check().is_ok());
        let read: DigestTerms = serde_json::from_str(&serde_json::to_string(&terms).unwrap()).unwrap();
        assert_eq!(read, terms);
        let never = DigestTerms {
            frequency: Frequency::Weekly,
            day_of_week: Day::try_from("sun".to_owned()).unwrap(),
            exclude_weekends: true,
            ..DigestTerms::default()
        };
        assert_eq!(never.check().unwrap_err().field, "day_of_week");
        assert!(DigestTerms { channels: vec![Channel::Sms], ..all }.check().is_err());
    }
}
