//! Who goes through an inbox by its cursor sees everything that was there, once, newest first, whatever is sent or
//! deleted meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::{AtTheEnd, Dice, Rest, Server, note};

const THERE: usize = 60;

fn titles(page: &Value) -> Vec<String> {
    let list = page["notifications"].as_array().expect("a list").iter();
    list.map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

/// Everything behind the cursor, in pages of any size; `between` is called with what was seen last.
fn walk(reader: &Rest, dice: &mut Dice, mut between: impl FnMut(&Value)) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let limit = 1 + dice.below(9);
        let page = reader.get(&format!("/api/v1/notifications?limit={limit}{cursor}")).expect(200);
        seen.extend(titles(&page));
        let Some(last) = page["notifications"].as_array().and_then(|list| list.last()).cloned() else {
            break;
        };
        between(&last);
        if page["has_more"] == false {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        }
        assert_eq!(page["next_cursor"], last["id"]);
        // Both names of the cursor, and both names of a notification.
        cursor = match dice.below(3) {
            0 => format!("&cursor={}", last["id"]),
            1 => format!("&before={}", last["id"]),
            _ => format!("&cursor={}", last["uuid"].as_str().expect("a UUID")),
        };
    }
    seen
}

#[test]
fn while_others_are_sent() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    let there: Vec<String> = (0..THERE).map(|number| format!("there {number}")).collect();
    for title in &there {
        backend.send(&note(2, title));
    }
    let mut dice = Dice::thrown();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                backend.send(&note(2, &format!("meanwhile {number}")));
                backend.send(&note(3, "somebody else's"));
            }
        });
        let _at_the_end = AtTheEnd(&is_over);
        for _ in 0..5 {
            let seen = walk(&two, &mut dice, |_| ());
            let (meanwhile, old): (Vec<_>, Vec<_>) =
                seen.into_iter().partition(|title| title.starts_with("meanwhile"));
            let expected: Vec<_> = there.iter().rev().cloned().collect();
            assert_eq!(old, expected, "everything that was there, once, newest first");
            let numbers: Vec<u64> =
                meanwhile.iter().filter_map(|title| title.rsplit(' ').next()?.parse().ok()).collect();
            assert!(numbers.is_sorted_by(|newer, older| *newer == older + 1), "{numbers:?}");
        }
    });
}

#[test]
fn while_what_was_seen_is_deleted() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    for number in 0..THERE {
        backend.send(&note(2, &number.to_string()));
    }
    let mut dice = Dice::thrown();
    let seen = walk(&two, &mut dice, |last| {
        two.delete(&format!("/api/v1/notifications/{}", last["id"])).expect(200);
    });
    let expected: Vec<_> = (0..THERE).rev().map(|number| number.to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn numbered_pages_cover_all() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    for number in 0..25 {
        backend.send(&note(2, &number.to_string()));
    }
    let expected: Vec<_> = (0..25).rev().map(|number: u32| number.to_string()).collect();
    let (mut hub, mut campus, mut feed) = (Vec::new(), Vec::new(), Vec::new());
    for page in 0..3 {
        let skip = page * 10;
        let of = |reply: Value, list: &str| -> Vec<String> {
            let list = reply[list].as_array().expect("a list").clone();
            list.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
        };
        hub.extend(of(
            two.get(&format!("/api/v1/notifications?limit=10&offset={skip}")).expect(200),
            "notifications",
        ));
        campus.extend(of(
            two.get(&format!("/api/v1/notifications/?limit=10&skip={skip}")).expect(200),
            "items",
        ));
        let number = page + 1;
        feed.extend(of(
            two.get(&format!("/api/notifications?limit=10&page={number}")).expect(200),
            "notifications",
        ));
    }
    assert_eq!(hub, expected);
    assert_eq!(campus, expected);
    assert_eq!(feed, expected);
}
