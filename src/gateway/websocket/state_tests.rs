//! What goes in, and what comes out.

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
    assert_eq!(lived(&mut shy, start, 70), [(30, ping(1)), (60, ping(2))], "its page would show heartbeats");
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
    assert_eq!(out, [(4, Output::Ping(1_u64.to_be_bytes()))], "one for both, three seconds after the first");
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
