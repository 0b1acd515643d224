//! Makes of what is well formed what is not, or not quite.

use crate::support::Dice;

/// Longer than this helps nobody to find anything.
const LONGEST: usize = 20_000;

/// What parsers have stumbled over elsewhere.
const PIECES: [&[u8]; 48] = [
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\t",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{}",
    b"[]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"-0",
    b"1e999",
    b"9223372036854775808",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0.1",
    b"NaN",
    b"%00",
    b"%",
    b"%2e%2e%2f",
    b"../../etc/passwd",
    b"{{",
    b"{% for x in range(1000000000) %}",
    b"{% include 'x' %}",
    b"'; DROP TABLE notifications; --",
    b"__proto__",
    b"<script>alert(1)</script>",
    b"javascript:alert(1)",
    b"\x1e",
    b"51-",
    b"_placeholder",
    b"9999-12-31T23:59:60Z",
];

fn place(case: &[u8], dice: &mut Dice) -> usize {
    dice.below(case.len() as u64 + 1) as usize
}

fn span(case: &[u8], dice: &mut Dice) -> std::ops::Range<usize> {
    let from = place(case, dice);
    let length = match dice.below(4) {
        0 => dice.below(4),
        1 => dice.below(32),
        _ => dice.below(case.len() as u64 + 1),
    };
    from..case.len().min(from + length as usize)
}

/// One of `cases`, after one to eight accidents.
pub fn mutilated(cases: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let any = |dice: &mut Dice| &cases[dice.below(cases.len() as u64) as usize];
    let mut case = any(dice).clone();
    for _ in 0..=dice.below(3) * dice.below(4) {
        let here = place(&case, dice);
        match dice.below(10) {
            0 if here < case.len() => case[here] ^= 1 << dice.below(8),
            1 if here < case.len() => case[here] = dice.below(256) as u8,
            2 => drop(case.drain(span(&case, dice))),
            3 => {
                let copied = case[span(&case, dice)].to_vec();
                case.splice(here..here, copied);
            }
            4 => {
                let many = [2, 10, 100, 1_000][dice.below(4) as usize];
                let piece = PIECES[dice.below(PIECES.len() as u64) as usize].repeat(many);
                case.splice(here..here, piece);
            }
            5 => {
                let other = any(dice);
                let copied = other[span(other, dice)].to_vec();
                case.splice(span(&case, dice), copied);
            }
            6 => case.truncate(here),
            _ => {
                let piece = PIECES[dice.below(PIECES.len() as u64) as usize];
                case.splice(here..here, piece.iter().copied());
            }
        }
        case.truncate(LONGEST);
    }
    case
}
