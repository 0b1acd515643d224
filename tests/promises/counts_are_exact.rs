//! A list says how much there is, and how much of it was not read: exactly, whatever was sent, read, deleted or expired
//! before, whichever part is asked for, and however long the inbox.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{AtTheEnd, Cluster, Dice, Rest, Server, eventually, in_seconds, instant, note};

const KINDS: [&str; 3] = ["order", "news", "chat"];
const TOPICS: [&str; 2] = ["north", "south"];
const PRIORITIES: [&str; 2] = ["low", "urgent"];

/// What the test knows of one notification.
struct Known {
    id: u64,
    kind: &'static str,
    topic: Option<&'static str>,
    priority: &'static str,
    expires: Option<i64>,
    is_read: bool,
}

/// A part of an inbox.
#[derive(Default)]
struct Part {
    kind: Option<&'static str>,
    topic: Option<&'static str>,
    priority: Option<&'static str>,
}

impl Part {
    fn thrown(dice: &mut Dice) -> Self {
        let mut part = Self::default();
        match dice.below(6) {
            0 => part.kind = Some(KINDS[dice.below(3) as usize]),
            1 => part.topic = Some(TOPICS[dice.below(2) as usize]),
            2 => part.priority = Some(PRIORITIES[dice.below(2) as usize]),
            3 => (part.kind, part.topic) = (Some(KINDS[0]), Some(TOPICS[0])),
            _ => {}
        }
        part
    }

    fn has(&self, known: &Known) -> bool {
        self.kind.is_none_or(|kind| kind == known.kind)
            && self.topic.is_none_or(|topic| Some(topic) == known.topic)
            && self.priority.is_none_or(|priority| priority == known.priority)
    }

    fn query(&self) -> String {
        let words = [("type", self.kind), ("topic", self.topic), ("priority", self.priority)];
        let said = words.iter().filter_map(|(name, word)| Some(format!("&{name}={}", word.as_ref()?)));
        said.collect()
    }
}

fn send(backend: &Rest, dice: &mut Dice) -> Known {
    let kind = KINDS[dice.below(3) as usize];
    let topic = (dice.below(2) == 0).then(|| TOPICS[dice.below(2) as usize]);
    let priority = PRIORITIES[dice.below(2) as usize];
    let lasts = (dice.below(4) == 0).then(|| 3 + dice.below(4) as i64);
    let mut sent = json!({"user_id": 2, "type": kind, "title": "t", "priority": priority});
    if let Some(topic) = topic {
        sent["topic"] = json!(topic);
    }
    eventually("it is sent before it expires", || {
        let expires = lasts.map(in_seconds);
        if let Some(at) = expires {
            sent["expires_at"] = json!(instant(at));
        }
        let reply = backend.post("/api/v1/notifications", &sent);
        if reply.status == 422 && expires.is_some_and(|at| at <= in_seconds(0)) {
            return None;
        }
        let id = reply.expect(201)["id"].as_u64().expect("a number");
        Some(Known { id, kind, topic, priority, expires, is_read: false })
    })
}

/// How many of these there are, and how many of them were not read.
fn expected(all: &[Known], part: &Part) -> (u64, u64) {
    let now = in_seconds(0);
    let held = all.iter().filter(|one| part.has(one) && one.expires.is_none_or(|at| at > now));
    held.fold((0, 0), |(total, unread), one| (total + 1, unread + u64::from(!one.is_read)))
}

fn number(page: &Value, name: &str) -> u64 {
    page[name].as_u64().unwrap_or_else(|| panic!("{name} in {page}"))
}

/// What the list says, and what is found by going through all of it.
fn agrees(person: &Rest, all: &[Known], part: &Part) {
    eventually("a moment at which nothing expires", || {
        let before = expected(all, part);
        let query = part.query();
        let page = person.get(&format!("/api/v1/notifications?limit=1{query}")).expect(200);
        let unread =
            person.get(&format!("/api/v1/notifications?limit=1&unread_only=true{query}")).expect(200);
        let badge = person.get("/api/v1/notifications/unread-count").expect(200);
        let (seen, seen_unread) = (walk(person, &query), walk(person, &format!("&unread_only=true{query}")));
        let after = expected(all, part);
        (before == after).then(|| {
            let (total, new) = before;
            assert_eq!((number(&page, "total_count"), number(&page, "unread_count")), before, "{query}");
            assert_eq!((number(&unread, "total_count"), number(&unread, "unread_count")), (new, new));
            assert_eq!((seen.len() as u64, seen_unread.len() as u64), (total, new), "the lists of {query}");
            if query.is_empty() {
                assert_eq!(number(&badge, "unread_count"), new);
            }
        })
    });
}

/// Everything that fits, by the cursor.
fn walk(person: &Rest, query: &str) -> Vec<u64> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = person.get(&format!("/api/v1/notifications?limit=100{query}{cursor}")).expect(200);
        let list = page["notifications"].as_array().expect("a list").clone();
        seen.extend(list.iter().map(|one| number(one, "id")));
        if page["has_more"] == false {
            return seen;
        }
        cursor = format!("&cursor={}", page["next_cursor"]);
    }
}

#[test]
fn whatever_happens() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let mut dice = Dice::thrown();
    let mut all: Vec<Known> = (0..150).map(|_| send(&backend, &mut dice)).collect();
    for step in 0..400 {
        let chosen = (!all.is_empty()).then(|| dice.below(all.len() as u64) as usize);
        let is_there = |one: &Known| one.expires.is_none();
        match (dice.below(12), chosen) {
            (0..=3, _) => all.push(send(&backend, &mut dice)),
            (4..=5, Some(at)) if is_there(&all[at]) => {
                person.post(&format!("/api/v1/notifications/{}/read", all[at].id), &json!({})).expect(200);
                all[at].is_read = true;
            }
            (6..=7, Some(at)) if is_there(&all[at]) => {
                let is_read = dice.below(2) == 0;
                let path = format!("/api/v1/notifications/{}", all[at].id);
                person.put(&path, &json!({"is_read": is_read})).expect(200);
                all[at].is_read = is_read;
            }
            (8..=9, Some(at)) if is_there(&all[at]) => {
                person.delete(&format!("/api/v1/notifications/{}", all[at].id)).expect(200);
                all.swap_remove(at);
            }
            (10, _) if dice.below(8) == 0 => {
                person.post("/api/v1/notifications/read-all", &json!({})).expect(200);
                all.iter_mut().for_each(|one| one.is_read = true);
            }
            _ => drop(person.get(&format!("/api/v1/notifications?{}", Part::thrown(&mut dice).query()))),
        }
        if step % 20 == 0 {
            agrees(&person, &all, &Part::default());
            agrees(&person, &all, &Part::thrown(&mut dice));
        }
    }
    eventually("all that expires has expired", || {
        all.iter().all(|one| one.expires.is_none_or(|at| at < in_seconds(0))).then_some(())
    });
    for _ in 0..20 {
        agrees(&person, &all, &Part::thrown(&mut dice));
    }
}

/// What one marks that expires counts neither before nor after.
#[test]
fn what_is_read_before_it_expires_is_taken_off_once() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let mut people = 2..;
    // A slow machine has another try, with somebody who has nothing yet, and more time.
    let mut lasts = 4;
    let (person, ids) = eventually("all is marked before it expires", || {
        let user = people.next()?;
        lasts *= 2;
        marked_in_time(&backend, &Rest::user(&server, user), user, in_seconds(lasts))
    });
    eventually("half has expired", || (counts(&person) == (8, 4)).then_some(()));
    for id in ids.iter().skip(1).step_by(2) {
        person.put(&format!("/api/v1/notifications/{id}"), &json!({"is_read": false}));
    }
    assert_eq!(counts(&person), (8, 8));
}

fn counts(person: &Rest) -> (u64, u64) {
    let page = person.get("/api/v1/notifications?limit=1").expect(200);
    (number(&page, "total_count"), number(&page, "unread_count"))
}

/// Twenty-four are sent, half of which expire then; sixteen of them are read, and eight of those removed. `None`, if they
/// expired meanwhile.
fn marked_in_time(backend: &Rest, person: &Rest, user: u64, expires: i64) -> Option<(Rest, Vec<u64>)> {
    let in_time = || in_seconds(0) < expires;
    let mut ids = Vec::new();
    for round in 0..24 {
        let mut sent = note(user, &round.to_string());
        if round % 2 == 0 {
            sent["expires_at"] = json!(instant(expires));
        }
        let reply = backend.post("/api/v1/notifications", &sent);
        if !in_time() {
            return None;
        }
        ids.push(number(&reply.expect(201), "id"));
    }
    let paths = |many: usize| ids[..many].iter().map(|id| format!("/api/v1/notifications/{id}"));
    let reads = paths(16).map(|path| ("POST", format!("{path}/read")));
    for (method, path) in reads.chain(paths(8).map(|path| ("DELETE", path))) {
        counts(person);
        let reply = person.call(method, &path, None);
        if !in_time() {
            return None;
        }
        reply.expect(200);
    }
    let counted = counts(person);
    if !in_time() {
        return None;
    }
    assert_eq!(counted, (16, 8));
    Some((person.clone(), ids))
}

#[test]
fn while_others_change_it() {
    // Where there are several nodes, each changes something.
    let (cluster, alone) = match Cluster::start(2) {
        Some(cluster) => (Some(cluster), None),
        None => (None, Some(Server::start())),
    };
    let node = |number| match &cluster {
        Some(cluster) => cluster.node(number),
        None => alone.as_ref().expect("one server"),
    };
    let backend = Rest::backend(node(0));
    let first: Vec<u64> = (0..100).map(|_| number(&backend.send(&note(2, "before")), "id")).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (at, seed) in [(0, 1), (1, 2)] {
            let (person, ids, is_over) = (Rest::user(node(at), 2), &first, &is_over);
            scope.spawn(move || {
                let mut dice = Dice::of(seed);
                while !is_over.load(Ordering::Relaxed) {
                    let path = format!("/api/v1/notifications/{}", ids[dice.below(100) as usize]);
                    match dice.below(9) {
                        0 => drop(person.delete(&path)),
                        1..=4 => drop(person.put(&path, &json!({"is_read": true}))),
                        _ => drop(person.put(&path, &json!({"is_read": false}))),
                    }
                    if dice.below(60) == 0 {
                        person.post("/api/v1/notifications/read-all", &json!({})).expect(200);
                    }
                }
            });
            let lister = Rest::user(node(at), 2);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    lister.get("/api/v1/notifications?limit=5").expect(200);
                    lister.get("/api/v1/notifications?limit=5&type=note").expect(200);
                }
            });
        }
        let _at_the_end = AtTheEnd(&is_over);
        for _ in 0..400 {
            backend.send(&note(2, "meanwhile"));
        }
    });
    for at in [0, 1] {
        let person = Rest::user(node(at), 2);
        for query in ["", "&type=note"] {
            let page = person.get(&format!("/api/v1/notifications?limit=1{query}")).expect(200);
            assert_eq!(number(&page, "total_count"), walk(&person, query).len() as u64);
            let unread = walk(&person, &format!("&unread_only=true{query}")).len() as u64;
            assert_eq!(number(&page, "unread_count"), unread);
        }
    }
}
