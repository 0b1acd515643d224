//! Pages by cursor neither skip nor repeat, whatever is sent, spread, read and deleted between them, in an order that a
//! number decides. The store is the real one, on an SQLite file.
//!
//! `CARILLON_PAGING_SEEDS=10000 cargo test --test paging` plays more histories; a failure names its seed, and
//! `CARILLON_PAGING_SEED=17` plays that one alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use carillon::domain::{
    Accepted, Audience, Clock as _, Group, Idempotency, NewNotification, NotificationId, Priority, Recipient,
    SystemClock, Tenant, Timestamp, UserId,
};
use carillon::store::{Filter, Held, Mark, Settings, Store, Task, Write, Written};
use carillon::telemetry::Metrics;

#[expect(dead_code, reason = "promises throw other dice")]
#[path = "promises/support/dice.rs"]
mod dice;
use dice::Dice;

const SEEDS: u64 = 60;
/// What is there before somebody begins to read.
const THERE: u64 = 40;
const KINDS: [&str; 2] = ["order", "note"];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// What fits, from its newest; all of it can be read.
async fn held(store: &Store, reader: &Recipient, filter: &Filter, limit: i64) -> Vec<Held> {
    let lines = store.held(reader, filter, 0, limit).await.expect("an answer");
    lines.into_iter().map(|line| line.held.expect("what can be read")).collect()
}

/// One person's inbox, and what happens to it.
struct History<'a> {
    store: &'a Store,
    dice: Dice,
    reader: Recipient,
    /// What was done to it, for whoever reads a failure.
    told: Vec<String>,
    /// What ceased to fit what is asked for, or may have.
    changed: BTreeSet<i64>,
    asked: Asked,
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked {
    unread_only: bool,
    kind: Option<&'static str>,
}

impl Asked {
    fn filter(self) -> Filter {
        Filter { unread_only: self.unread_only, kind: self.kind.map(str::to_owned), ..Filter::all(now()) }
    }
}

impl History<'_> {
    fn person(&self, number: u64) -> Recipient {
        let user = format!("{}-{number}", self.reader.user.as_str());
        Recipient { tenant: Tenant::default(), user: UserId::new(&user).expect("a name") }
    }

    async fn write(&mut self, what: &str, write: Write) -> Written {
        self.told.push(what.to_owned());
        self.store.write(write).await.expect("a commit")
    }

    /// Somebody sends something: to the reader, to several, or to a group.
    async fn send(&mut self) {
        let (reader, other) = (self.reader.clone(), self.person(1));
        let audience = match self.dice.below(6) {
            0 => Audience::One(other),
            1 => Audience::Many(vec![other, reader]),
            2 => {
                let names = [&reader, &other].map(|person| person.user.as_str().to_owned());
                Audience::Whoever(Tenant::default(), Group::People(names.into()))
            }
            _ => Audience::One(reader),
        };
        let uuid = uuid::Uuid::now_v7();
        let notification = NewNotification {
            tenant: Tenant::default(),
            audience,
            kind: KINDS[self.dice.below(2) as usize].into(),
            topic: "t".into(),
            title: String::new(),
            message: String::new(),
            data: "{}".to_owned(),
            priority: Priority::Normal,
            action_url: None,
            sender: None,
            expires_at: None,
            wish: None,
            due_at: None,
            idempotency: Idempotency::none(uuid),
            uuid,
            created_at: now(),
        };
        let told = format!("sent to {:?}", notification.audience);
        let write = Write::Accept { notification: Arc::new(notification), window_start: now() };
        let written = self.write(&told, write).await;
        assert!(matches!(written, Written::Accepted(Accepted::New { .. })));
    }

    /// Something of all that there ever was is marked; or everything is.
    async fn mark(&mut self) {
        let all = held(self.store, &self.reader, &Filter::all(now()), 1_000).await;
        if all.is_empty() {
            return;
        }
        if self.dice.below(20) == 0 {
            self.changed.extend(all.iter().map(|held| held.notification.id.0));
            let recipient = self.reader.clone();
            let write = Write::ReadAll { recipient, at: now(), after: 0, upto: None };
            self.write("read all", write).await;
            return;
        }
        let id = all[self.dice.below(all.len() as u64) as usize].notification.id;
        let mark = [Mark::Confirmed, Mark::Read, Mark::Unread, Mark::Deleted, Mark::Deleted]
            [self.dice.below(5) as usize];
        self.changed.insert(id.0);
        self.write(&format!("{mark:?} {id}"), self.marking(id, mark)).await;
    }

    fn marking(&self, notification: NotificationId, mark: Mark) -> Write {
        Write::Mark { recipient: self.reader.clone(), notification, mark, at: now(), handed: None }
    }

    /// What is due comes to one more chunk of people.
    async fn spread(&mut self) {
        let now = now();
        let due = self.store.due(Task::Spread, now).await.expect("an answer");
        let ids = due.into_iter().map(|(id, _)| id).collect();
        self.write("spread", Write::Work { task: Task::Spread, ids, most: 256, now }).await;
    }

    async fn something(&mut self) {
        match self.dice.below(6) {
            0 | 1 => self.send().await,
            2 => self.spread().await,
            _ => self.mark().await,
        }
    }

    /// As `Inbox::list` reads a page.
    async fn page(&self, cursor: Option<NotificationId>, limit: i64) -> (Vec<Held>, bool) {
        let mut filter = self.asked.filter();
        if let Some(cursor) = cursor {
            let place = self.store.place_of(&self.reader, cursor).await.expect("an answer");
            filter.before = Some(place.expect("a place that outlives its entry"));
        }
        let mut held = held(self.store, &self.reader, &filter, limit + 1).await;
        let has_more = held.len() as i64 > limit;
        held.truncate(limit as usize);
        (held, has_more)
    }

    /// Goes through the inbox while things happen; says what was seen.
    async fn walk(&mut self) -> Vec<Held> {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let limit = 1 + self.dice.below(7) as i64;
            let (page, has_more) = self.page(cursor, limit).await;
            self.told.push(format!(
                "read {:?}",
                page.iter().map(|held| held.notification.id.0).collect::<Vec<_>>()
            ));
            let Some(last) = page.last().map(|held| held.notification.id) else { return seen };
            seen.extend(page);
            if !has_more {
                return seen;
            }
            cursor = Some(last);
            for _ in 0..self.dice.below(4) {
                self.something().await;
            }
            // The entry that the cursor names may go, too.
            if self.dice.below(4) == 0 {
                self.changed.insert(last.0);
                self.write(&format!("Deleted {last}"), self.marking(last, Mark::Deleted)).await;
            }
        }
    }
}

async fn play(store: &Store, seed: u64) -> Result<(), String> {
    let mut dice = Dice::of(seed);
    let user = UserId::new(&format!("reader-{seed}")).expect("a name");
    let asked =
        Asked { unread_only: dice.below(2) == 0, kind: [None, Some(KINDS[0])][dice.below(2) as usize] };
    let reader = Recipient { tenant: Tenant::default(), user };
    let (told, changed) = (Vec::new(), BTreeSet::new());
    let mut history = History { store, dice, reader, told, changed, asked };
    for _ in 0..THERE {
        if history.dice.below(4) == 0 { history.something().await } else { history.send().await }
    }
    history.changed.clear();
    let there = held(store, &history.reader, &asked.filter(), 1_000).await;
    history.told =
        vec![format!("there: {:?}", there.iter().map(|held| held.notification.id.0).collect::<Vec<_>>())];
    let seen = history.walk().await;

    let number = |held: &Held| held.notification.id.0;
    let is_falling = seen.windows(2).all(|pair| pair[0].place.position > pair[1].place.position);
    let (ids, first): (BTreeSet<_>, BTreeSet<_>) =
        (seen.iter().map(number).collect(), there.iter().map(number).collect());
    let skipped: Vec<_> = first.difference(&ids).filter(|id| !history.changed.contains(id)).collect();
    // What looks new again fits again, where it was read when all began.
    let added: Vec<_> = ids.difference(&first).filter(|id| !history.changed.contains(id)).collect();
    let failure = match () {
        () if ids.len() < seen.len() => "something came twice".to_owned(),
        () if !is_falling => "not newest first".to_owned(),
        () if !skipped.is_empty() => format!("skipped {skipped:?}"),
        () if !added.is_empty() => format!("{added:?} came in from the front"),
        () => return Ok(()),
    };
    Err(format!("CARILLON_PAGING_SEED={seed}: {failure}\n{}", history.told.join("\n")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_skip_nor_repeat() {
    let home = tempfile::tempdir().expect("a folder");
    let url = home.path().join("carillon.db").display().to_string();
    let settings = Settings { url, ..Settings::default() };
    let store = Store::open(&settings, Arc::new([]), Arc::new(Metrics::new())).await.expect("a store");
    let seeds = match number("CARILLON_PAGING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CARILLON_PAGING_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(failure) = play(&store, seed).await {
            panic!("{failure}");
        }
    }
}
