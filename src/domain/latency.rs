//! How long many things took, in few words: how many of them fall into each of some hundred classes.
//!
//! Promise: what is told of a share of them is never too short, and at most a tenth too long (a millisecond, below ten).

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The longest that is told apart, in milliseconds: thirty days.
const LONGEST: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Where each class begins. The last one has no end.
static CLASSES: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let next = |begins: &i64| Some((begins + 1).max(begins + begins / 10)).filter(|next| *next <= LONGEST);
    std::iter::successors(Some(0), next).collect()
});

/// Where each class begins, in milliseconds.
pub fn classes() -> &'static [i64] {
    &CLASSES
}

/// The class of what took so long.
pub fn class_of(millis: i64) -> i32 {
    let after = CLASSES.partition_point(|begins| *begins <= millis);
    i32::try_from(after.saturating_sub(1)).unwrap_or(0)
}

/// How many took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// How many there are of each class.
    classes: BTreeMap<i32, i64>,
    /// How many there are.
    pub many: i64,
    /// What they took together, in milliseconds.
    pub millis: i64,
}

impl Latencies {
    /// So many more of a class.
    pub fn add(&mut self, class: i32, many: i64) {
        *self.classes.entry(class).or_default() += many;
        self.many += many;
    }

    /// So much more that they took together.
    pub const fn took(&mut self, millis: i64) {
        self.millis += millis;
    }

    /// All of another, too.
    pub fn merge(&mut self, other: &Self) {
        other.classes.iter().for_each(|(class, many)| self.add(*class, *many));
        self.took(other.millis);
    }

    /// What they took on average, in milliseconds; nothing, if there are none.
    pub const fn average(&self) -> Option<i64> {
        match self.many {
            1.. => Some(self.millis / self.many),
            _ => None,
        }
    }

    /// Within how many milliseconds so many of a hundred were done; nothing, if there are none.
    pub fn within(&self, percent: i64) -> Option<i64> {
        let wanted = (self.many * percent + 99) / 100;
        let mut so_far = 0;
        let class = self.classes.iter().find(|(_, many)| {
            so_far += *many;
            so_far >= wanted && so_far > 0
        });
        let end = usize::try_from(*class?.0).unwrap_or(0) + 1;
        Some(CLASSES.get(end).map_or(LONGEST, |next| next - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_at_most_a_tenth_too_long() {
        for millis in (0..2_000).chain([12_345, 999_999, 86_400_000, 2_000_000_000]) {
            let mut one = Latencies::default();
            one.add(class_of(millis), 1);
            let told = one.within(99).unwrap_or(-1);
            assert!(told >= millis, "{millis} is told as {told}");
            assert!(told - millis <= (millis / 10).max(1), "{millis} is told as {told}");
        }
        assert!(classes().len() < 250, "{} classes", classes().len());
    }

    #[test]
    fn shares_are_of_all() {
        let mut all = Latencies::default();
        assert_eq!((all.within(95), all.average()), (None, None));
        for millis in 1..=100 {
            all.add(class_of(millis), 1);
            all.took(millis);
        }
        assert_eq!(all.within(5), Some(5));
        assert_eq!(all.average(), Some(50));
        let (half, nearly) = (all.within(50).unwrap_or(0), all.within(99).unwrap_or(0));
        assert!((50..=55).contains(&half) && (99..=108).contains(&nearly), "{half} {nearly}");
    }

    #[test]
    fn what_took_very_long_has_a_class_too() {
        assert_eq!(class_of(i64::MAX), class_of(LONGEST));
        assert_eq!(class_of(-5), 0);
    }
}
