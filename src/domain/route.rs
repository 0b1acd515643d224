//! What becomes of a delivery when its turn has come. Pure: who asks has looked.

use std::borrow::Cow;
use std::time::Duration;

use super::{Channel, Hush, Matter, Preferences, Priority, Timestamp, Until};

/// How a delivery stands when its turn has come.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// Over which channel.
    pub channel: Channel,
    /// Which step; 0 goes out in any case.
    pub step: i32,
    /// From when its steps are counted: when its recipient got it into the inbox, or their quiet hours ended.
    pub steps_from: Timestamp,
    /// Seconds that each step is given.
    pub after: u32,
    /// What ends the escalation.
    pub until: Until,
    /// Whether the recipient has a socket now.
    pub is_here: bool,
    /// Whether it was handed out before: by an attempt, or to the recipient's other devices.
    pub is_begun: bool,
    /// When a device had it.
    pub confirmed_at: Option<Timestamp>,
    /// When somebody looked at it.
    pub read_at: Option<Timestamp>,
    /// Whether its recipient has removed it.
    pub is_deleted: bool,
    /// Whether it waits in the inbox for the end of quiet hours: what comes then may be a summary.
    pub is_deferred: bool,
    /// Whether a summary after quiet hours tells of it.
    pub is_summed_up: bool,
    /// How often it was begun since it was last called to life.
    pub begun: i32,
    /// How often of these it was handed over, and nobody said whether it was taken.
    pub unanswered: i32,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// What it is about.
    pub matter: Matter<'a>,
    /// What its recipient wants.
    pub preferences: Option<&'a Preferences>,
    /// Types that nobody can mute.
    pub mandatory: &'a [String],
    /// The present.
    pub now: Timestamp,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Go,
    /// It waits until then.
    Wait(Timestamp),
    /// It waits until then, when quiet hours end; its steps are counted from then.
    Quiet(Timestamp),
    /// It is not needed any more, and nor is what would follow it.
    Over(Cow<'static, str>),
    /// It cannot or must not go this way; the next step is taken at once.
    Skip(Cow<'static, str>),
    /// It is given up; the next step is taken at once.
    Fail(&'static str),
}

/// Why what was begun again and again is not tried any more.
const NEVER_FINISHED: &str = "it was begun as often as it may be, and never finished";
/// Attempts that may be begun and never finished: each may have ended its process.
const MOST_BEGUN: i32 = 12;
/// How often a text message is handed over while nobody says whether it was taken: each may be one more on somebody's
/// telephone, and none can be recognised there as a second one.
pub const MOST_UNANSWERED: i32 = 2;
/// Why it is not handed over again.
const UNANSWERED: &str =
    "it was handed over twice, and nobody said whether it was taken; it may have arrived, even twice";
/// What waits for the end of quiet hours is looked at again after so many seconds, when they seem to be over.
const SOON: i64 = 1;

impl Situation<'_> {
    /// What becomes of it.
    pub fn verdict(&self) -> Verdict {
        if self.is_deleted {
            return Verdict::Over("its recipient removed it".into());
        }
        if self.expires_at.is_some_and(|end| end <= self.now) {
            return Verdict::Over("it has expired".into());
        }
        if self.is_summed_up {
            return Verdict::Over("a summary after quiet hours tells of it".into());
        }
        if let Some(why) = self.enough() {
            return Verdict::Over(why);
        }
        if self.channel == Channel::Sms && self.matter.priority < Priority::High {
            return Verdict::Skip("priority_too_low".into());
        }
        let hush = self.preferences.map(|all| all.hush(self.matter, self.channel, self.mandatory, self.now));
        match hush.flatten() {
            Some(Hush::Muted(muted)) => return Verdict::Skip(muted.reason().into()),
            Some(Hush::Quiet(until)) => return Verdict::Quiet(until),
            None => {}
        }
        if self.is_deferred {
            return Verdict::Wait(self.now.plus_seconds(SOON));
        }
        let turn = self.turn();
        if self.step > 0 && !self.is_begun && turn > self.now {
            return Verdict::Wait(turn);
        }
        if self.channel == Channel::Sms && self.unanswered >= MOST_UNANSWERED {
            return Verdict::Fail(UNANSWERED);
        }
        if self.begun >= MOST_BEGUN {
            return Verdict::Fail(NEVER_FINISHED);
        }
        Verdict::Go
    }

    /// What becomes of a message that takes another one back.
    pub fn afterwards(&self) -> Verdict {
        if self.expires_at.is_some_and(|end| end <= self.now) {
            return Verdict::Over("it has expired".into());
        }
        if self.begun >= MOST_BEGUN {
            return Verdict::Over(NEVER_FINISHED.into());
        }
        Verdict::Go
    }

    /// Why nothing more is needed, if so.
    fn enough(&self) -> Option<Cow<'static, str>> {
        if self.step == 0 {
            return None;
        }
        match (self.until, self.read_at, self.confirmed_at) {
            (_, Some(at), _) => Some(format!("read at {at}").into()),
            (Until::Confirmed, None, Some(at)) => Some(format!("confirmed at {at}").into()),
            _ => None,
        }
    }

    /// When its step comes: the first one at once, unless a socket is given time to show that it has it.
    fn turn(&self) -> Timestamp {
        let before = i64::from(self.step) - 1 + i64::from(self.is_here);
        self.steps_from.plus_seconds(before.max(0) * i64::from(self.after))
    }
}

/// What is waited after the `attempt`th attempt (from 1), of these `pauses`; nothing, if that was the last one. `chance` is
/// from 0 to 1: not all that failed together comes again together.
pub fn pause(pauses: &[Duration], attempt: i32, chance: f64) -> Option<Duration> {
    let usual = usize::try_from(attempt - 1).ok().and_then(|index| pauses.get(index))?;
    Some(usual.mul_f64(0.8 + 0.4 * chance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Switches;

    const AT: i64 = 1_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(AT).plus_seconds(seconds)
    }

    fn situation(channel: Channel, step: i32) -> Situation<'static> {
        Situation {
            channel,
            step,
            steps_from: at(0),
            after: 90,
            until: Until::Confirmed,
            is_here: false,
            is_begun: false,
            confirmed_at: None,
            read_at: None,
            is_deleted: false,
            is_deferred: false,
            is_summed_up: false,
            begun: 0,
            unanswered: 0,
            expires_at: None,
            matter: Matter { kind: "grade", topic: "", priority: Priority::High },
            preferences: None,
            mandatory: &[],
            now: at(0),
        }
    }

    #[test]
    fn who_is_away_is_pushed_to_at_once_and_who_is_here_when_nothing_confirms_it() {
        let push = situation(Channel::Push, 1);
        assert_eq!(push.verdict(), Verdict::Go);
        let here = Situation { is_here: true, ..push.clone() };
        assert_eq!(here.verdict(), Verdict::Wait(at(90)));
        assert_eq!(Situation { now: at(90), ..here.clone() }.verdict(), Verdict::Go);
        assert_eq!(Situation { is_begun: true, ..here.clone() }.verdict(), Verdict::Go);
        let sms = situation(Channel::Sms, 2);
        assert_eq!(sms.verdict(), Verdict::Wait(at(90)));
        assert_eq!(Situation { is_here: true, now: at(90), ..sms.clone() }.verdict(), Verdict::Wait(at(180)));
    }

    #[test]
    fn what_is_confirmed_goes_no_further() {
        let sms = Situation { now: at(100), ..situation(Channel::Sms, 2) };
        let over = |situation: Situation<'_>| matches!(situation.verdict(), Verdict::Over(_));
        assert!(!over(sms.clone()));
        assert!(over(Situation { confirmed_at: Some(at(1)), ..sms.clone() }));
        assert!(!over(Situation { confirmed_at: Some(at(1)), until: Until::Read, ..sms.clone() }));
        assert!(over(Situation { read_at: Some(at(1)), until: Until::Read, ..sms.clone() }));
        assert!(over(Situation { is_deleted: true, ..sms.clone() }));
        assert!(over(Situation { expires_at: Some(at(100)), ..sms.clone() }));
        let email = situation(Channel::Email, 0);
        assert!(!over(Situation { confirmed_at: Some(at(1)), read_at: Some(at(1)), ..email.clone() }));
        assert!(over(Situation { is_summed_up: true, ..email }));
    }

    /// What nobody answered for may be there already.
    #[test]
    fn a_text_message_is_not_handed_over_again_and_again() {
        let sms = Situation { unanswered: MOST_UNANSWERED - 1, ..situation(Channel::Sms, 1) };
        assert_eq!(sms.verdict(), Verdict::Go);
        let twice = Situation { unanswered: MOST_UNANSWERED, ..sms };
        assert_eq!(twice.verdict(), Verdict::Fail(UNANSWERED));
        assert_eq!(Situation { channel: Channel::Email, ..twice }.verdict(), Verdict::Go);
    }

    #[test]
    fn preferences_and_priority_decide() {
        let mut sms = situation(Channel::Sms, 1);
        sms.matter.priority = Priority::Normal;
        assert_eq!(sms.verdict(), Verdict::Skip("priority_too_low".into()));
        let no_push = Preferences {
            channels: Switches { push: Some(false), ..Switches::default() },
            ..Preferences::default()
        };
        let push = Situation { preferences: Some(&no_push), ..situation(Channel::Push, 1) };
        assert!(matches!(push.verdict(), Verdict::Skip(_)));
        assert_eq!(
            Situation { preferences: Some(&no_push), ..situation(Channel::Email, 0) }.verdict(),
            Verdict::Go
        );
        let mandatory = ["grade".to_owned()];
        assert_eq!(Situation { mandatory: &mandatory, ..push }.verdict(), Verdict::Go);
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses = [1, 5, 30, 300].map(Duration::from_secs);
        let of = |attempt| pause(&pauses, attempt, 0.5).map(|pause| pause.as_secs());
        assert_eq!(
            (0..7).map(of).collect::<Vec<_>>(),
            [None, Some(1), Some(5), Some(30), Some(300), None, None]
        );
        let at = |chance| pause(&pauses, 2, chance).map(|pause| pause.as_secs_f64());
        assert_eq!((at(0.0), at(1.0)), (Some(4.0), Some(6.0)));
    }
}
