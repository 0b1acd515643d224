//! The protocol of raw WebSockets as a state machine: what happens goes in, what is to be done comes out. No I/O, no
//! clock of its own; no input makes it panic.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::wire::{Said, Unclear, Which};

/// When things are due.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Between two heartbeats that the page can hear; none are sent where it would show them.
    pub heartbeat: Option<Duration>,
    /// Between two pings of the WebSocket.
    pub ping: Duration,
    /// A ping follows so long after something was pushed: its pong confirms that.
    pub confirm: Duration,
    /// No word for so long: nobody is there.
    pub silence: Duration,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A text message came.
    Text(&'a str),
    /// A binary message came.
    Binary,
    /// A ping came; whoever reads frames has answered it.
    Ping,
    /// A pong came.
    Pong(&'a [u8]),
    /// A notification was pushed.
    Pushed,
    /// Time has passed.
    Time,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell the page that the server is alive.
    Heartbeat,
    /// Ask this ping.
    Ping([u8; 8]),
    /// What was pushed before the ping of this number has arrived.
    Confirmed(u64),
    /// Answer a `ping`.
    Pong,
    /// A device has this one.
    Ack(Which),
    /// Somebody has looked at this one.
    MarkRead(Which),
    /// The person wants to hear of this topic, or no longer.
    Subscribe {
        /// Its name.
        channel: String,
        /// Whether it is wanted.
        wanted: bool,
    },
    /// A newer token.
    Authenticate {
        /// The token.
        token: String,
    },
    /// Say that a message was not understood.
    Unclear(&'static str),
    /// Nobody is there: end it.
    Silent,
}

/// Where one session stands.
#[derive(Debug)]
pub struct State {
    terms: Terms,
    heard_at: Instant,
    next_heartbeat: Option<Instant>,
    next_ping: Instant,
    /// How many pings were asked, and up to which one they were answered.
    asked: u64,
    answered: u64,
    /// Whether something was pushed since the last ping.
    is_owed: bool,
}

impl State {
    /// A session that begins.
    pub fn new(terms: Terms, now: Instant) -> Self {
        Self {
            terms,
            heard_at: now,
            next_heartbeat: terms.heartbeat.map(|pause| now + pause),
            next_ping: now + terms.ping,
            asked: 0,
            answered: 0,
            is_owed: false,
        }
    }

    /// How many pings were asked.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// When [`Input::Time`] is to come, whatever else does.
    pub fn due(&self) -> Instant {
        let due = self.next_ping.min(self.heard_at + self.terms.silence);
        self.next_heartbeat.map_or(due, |heartbeat| due.min(heartbeat))
    }

    /// What is to be done because of `input`, in this order.
    pub fn on(&mut self, input: Input<'_>, now: Instant) -> VecDeque<Output> {
        let mut out = VecDeque::new();
        match input {
            Input::Time => self.pass(now, &mut out),
            Input::Pushed => {
                if !self.is_owed {
                    self.is_owed = true;
                    self.next_ping = self.next_ping.min(now + self.terms.confirm);
                }
            }
            Input::Ping => self.heard_at = now,
            Input::Pong(said) => {
                self.heard_at = now;
                // Clients may send pongs that answer nothing.
                if let Ok(number) = <[u8; 8]>::try_from(said).map(u64::from_be_bytes)
                    && (self.answered + 1..=self.asked).contains(&number)
                {
                    self.answered = number;
                    out.push_back(Output::Confirmed(number));
                }
            }
            Input::Binary => {
                self.heard_at = now;
                out.push_back(Output::Unclear("A message is JSON text; this one was binary."));
            }
            Input::Text(text) => {
                self.heard_at = now;
                out.extend(match Said::parse(text) {
                    Ok(Said::Pong) => None,
                    Ok(Said::Ping) => Some(Output::Pong),
                    Ok(Said::Ack(which)) => Some(Output::Ack(which)),
                    Ok(Said::MarkRead(which)) => Some(Output::MarkRead(which)),
                    Ok(Said::Subscribe { channel, wanted }) => Some(Output::Subscribe { channel, wanted }),
                    Ok(Said::Authenticate { token }) => Some(Output::Authenticate { token }),
                    Err(Unclear(expected)) => Some(Output::Unclear(expected)),
                });
            }
        }
        out
    }

    fn pass(&mut self, now: Instant, out: &mut VecDeque<Output>) {
        if now >= self.heard_at + self.terms.silence {
            out.push_back(Output::Silent);
            return;
        }
        if let (Some(due), Some(pause)) = (self.next_heartbeat, self.terms.heartbeat)
            && due <= now
        {
            out.push_back(Output::Heartbeat);
            self.next_heartbeat = Some(now + pause);
        }
        if self.next_ping <= now {
            self.asked += 1;
            self.is_owed = false;
            self.next_ping = now + self.terms.ping;
            out.push_back(Output::Ping(self.asked.to_be_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TERMS: Terms = Terms {
        heartbeat: Some(Duration::from_secs(30)),
        ping: Duration::from_secs(30),
        confirm: Duration::from_secs(3),
        silence: Duration::from_secs(90),
    };

    fn which(name: &str, is_number: bool) -> Which {
        Which { name: name.to_owned(), is_number }
    }

    #[test]
    fn each_message_has_its_answer() {
        const UUID: &str = "123e4567-e89b-12d3-a456-426614174000";
        let topic = |wanted| Output::Subscribe { channel: "iep_updates".to_owned(), wanted };
        for (text, answer) in [
            (r#"{"type":"ping","timestamp":"2025-01-15T14:30:00Z"}"#, Some(Output::Pong)),
            (r#"{"type":"pong"}"#, None),
            (r#"{"type":"ack","message_id":7}"#, Some(Output::Ack(which("7", true)))),
            (r#"{"type":"ack","message_id":"7"}"#, Some(Output::Ack(which("7", false)))),
            (r#"{"type":"ack","notification_id":8}"#, Some(Output::Ack(which("8", true)))),
            (
                &format!(r#"{{"type":"mark_read","notification_id":"{UUID}"}}"#),
                Some(Output::MarkRead(which(UUID, false))),
            ),
            (r#"{"channel":"iep_updates","type":"subscribe_channel"}"#, Some(topic(true))),
            (r#"{"type":"unsubscribe_channel","channel":"iep_updates"}"#, Some(topic(false))),
            (r#"{"type":"authenticate","token":"t"}"#, Some(Output::Authenticate { token: "t".to_owned() })),
        ] {
            let mut state = State::new(TERMS, Instant::now());
            let out: Vec<_> = state.on(Input::Text(text), Instant::now()).into();
            assert_eq!(out, Vec::from_iter(answer), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for text in [
            "",
            "null",
            "[]",
            "{",
            "7",
            r#""ping""#,
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"PING"}"#,
            r#"{"type":"ack"}"#,
            r#"{"type":"ack","message_id":"x"}"#,
            r#"{"type":"mark_read","notification_id":1.5}"#,
            r#"{"type":"mark_read","notification_id":null}"#,
            r#"{"type":"subscribe_channel"}"#,
            r#"{"type":"subscribe_channel","channel":["a"]}"#,
            r#"{"type":"authenticate","token":{}}"#,
            &"[".repeat(100_000),
        ] {
            let out = State::new(TERMS, Instant::now()).on(Input::Text(text), Instant::now());
            assert!(matches!(out.as_slices().0, [Output::Unclear(_)]), "{text:.40}");
        }
        let out = State::new(TERMS, Instant::now()).on(Input::Binary, Instant::now());
        assert!(matches!(out.as_slices().0, [Output::Unclear(_)]));
    }

    /// What comes out until `until`, where time passes as it is due; in seconds since the beginning.
    fn lived(state: &mut State, start: Instant, until: u64) -> Vec<(u64, Output)> {
        let mut all = Vec::new();
        while state.due() <= start + Duration::from_secs(until) {
            let now = state.due();
            let seconds = now.duration_since(start).as_secs();
            all.extend(state.on(Input::Time, now).into_iter().map(|output| (seconds, output)));
            if all.last().is_some_and(|(_, output)| *output == Output::Silent) {
                break;
            }
        }
        all
    }

    #[test]
    fn a_heart_beats_until_nobody_answers() {
        let start = Instant::now();
        let mut state = State::new(TERMS, start);
        let ping = |number: u64| Output::Ping(number.to_be_bytes());
        let expected = [
            (30, Output::Heartbeat),
            (30, ping(1)),
            (60, Output::Heartbeat),
            (60, ping(2)),
            (90, Output::Silent),
        ];
        assert_eq!(lived(&mut state, start, 200), expected);

        let mut shy = State::new(Terms { heartbeat: None, ..TERMS }, start);
        assert_eq!(
            lived(&mut shy, start, 70),
            [(30, ping(1)), (60, ping(2))],
            "its page would show heartbeats"
        );
        assert!(shy.on(Input::Ping, start + Duration::from_secs(80)).is_empty(), "any word counts");
        assert_eq!(
            lived(&mut shy, start, 200),
            [(90, ping(3)), (120, ping(4)), (150, ping(5)), (170, Output::Silent)]
        );
    }

    #[test]
    fn a_pong_confirms_what_came_before_its_ping() {
        let start = Instant::now();
        let mut state = State::new(TERMS, start);
        assert!(state.on(Input::Pushed, start + Duration::from_secs(1)).is_empty());
        assert!(state.on(Input::Pushed, start + Duration::from_secs(2)).is_empty());
        let out = lived(&mut state, start, 4);
        assert_eq!(
            out,
            [(4, Output::Ping(1_u64.to_be_bytes()))],
            "one for both, three seconds after the first"
        );
        let pong = |number: u64| number.to_be_bytes();
        for odd in [&b""[..], b"x", &pong(0), &pong(2), &[0; 9]] {
            assert!(state.on(Input::Pong(odd), start).is_empty(), "{odd:?} answers nothing that was asked");
        }
        assert_eq!(state.on(Input::Pong(&pong(1)), start), [Output::Confirmed(1)]);
        assert!(state.on(Input::Pong(&pong(1)), start).is_empty(), "once");
    }

    /// Numbers that look random, the same in each run.
    fn thrown(dice: &mut u64, sides: usize) -> usize {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        usize::try_from(*dice >> 16).unwrap() % sides
    }

    /// Whatever is said, and whenever: pings are numbered, what is confirmed was asked and never goes back, what was pushed is
    /// asked after in time, and who says nothing for too long is gone, and nobody else.
    #[test]
    fn it_keeps_its_word_in_any_history() {
        let texts =
            [r#"{"type":"ping"}"#, r#"{"type":"pong"}"#, r#"{"type":"ack","message_id":1}"#, "nonsense", ""];
        let (mut dice, mut gone) = (0x5eed, 0);
        for history in 0..2_000 {
            let start = Instant::now();
            let (mut state, mut now) = (State::new(TERMS, start), start);
            let (mut asked, mut confirmed, mut heard, mut owed) = (0, 0, start, None);
            for _ in 0..200 {
                let said = match thrown(&mut dice, 3) {
                    0 => state.asked().saturating_sub(thrown(&mut dice, 3) as u64).to_be_bytes().to_vec(),
                    _ => (0..thrown(&mut dice, 12)).map(|_| thrown(&mut dice, 256) as u8).collect(),
                };
                let input = match thrown(&mut dice, 8) {
                    0 => Input::Text(texts[thrown(&mut dice, texts.len())]),
                    1 => Input::Binary,
                    2 => Input::Ping,
                    3 => Input::Pong(&said),
                    4 => Input::Pushed,
                    _ => Input::Time,
                };
                match input {
                    Input::Time => {
                        now += Duration::from_secs(thrown(&mut dice, 40) as u64);
                        if state.due() > now {
                            assert!(state.on(input, now).is_empty(), "nothing is due (history {history})");
                            continue;
                        }
                    }
                    Input::Pushed => {
                        owed.get_or_insert(now);
                    }
                    _ => heard = now,
                }
                let mut is_over = false;
                for output in state.on(input, now) {
                    match output {
                        Output::Ping(number) => {
                            asked += 1;
                            owed = None;
                            assert_eq!(u64::from_be_bytes(number), asked, "history {history}");
                        }
                        Output::Confirmed(number) => {
                            assert!(number > confirmed && number <= asked, "history {history}");
                            confirmed = number;
                        }
                        Output::Silent => {
                            assert!(now >= heard + TERMS.silence, "history {history}");
                            is_over = true;
                        }
                        _ => {}
                    }
                }
                if is_over {
                    gone += 1;
                    break;
                }
                assert!(now < heard + TERMS.silence || state.due() <= now, "history {history}");
                assert!(owed.is_none_or(|since| state.due() <= since + TERMS.confirm), "history {history}");
            }
        }
        assert!((100..1_900).contains(&gone), "some are silent, and some are not: {gone}");
    }
}
