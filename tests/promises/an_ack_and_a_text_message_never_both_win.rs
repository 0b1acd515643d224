//! What somebody has confirmed is sent by no further channel, however close the two come: whoever asks for what is due after
//! an ack was answered does not get it, and nobody gets it twice. Two nodes, one database, and nothing but what they write.
//!
//! `CARILLON_RACES=10000` runs more of them.

use std::sync::Arc;
use std::time::Instant;

use carillon::domain::{
    Accepted, Audience, Channel, Clock as _, Contact, Escalation, Idempotency, NewNotification,
    NotificationId, Priority, Recipient, SystemClock, Tenant, UserId, Wish,
};
use carillon::store::{Claimed, Mark, Settings, SmsCaps, State, Store, Write, Written};
use carillon::telemetry::Metrics;
use uuid::Uuid;

use crate::support::{Dice, Ground};

const RACES: u64 = 400;
/// Races that run at once.
const TOGETHER: u64 = 8;

fn races() -> u64 {
    std::env::var("CARILLON_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(RACES)
}

fn alarm(recipient: &Recipient) -> NewNotification {
    let uuid = Uuid::now_v7();
    let escalation = Escalation { after: Some(0), order: vec![Channel::Sms], ..Escalation::default() };
    let wish = Wish {
        channels: vec![Channel::Realtime, Channel::Sms],
        escalation,
        phone: Some(Contact::new("+12025550123")),
        ..Wish::default()
    };
    NewNotification {
        tenant: Tenant::default(),
        audience: Audience::One(recipient.clone()),
        kind: "alarm".into(),
        topic: "".into(),
        title: "Look".to_owned(),
        message: String::new(),
        data: "{}".to_owned(),
        priority: Priority::High,
        action_url: None,
        sender: None,
        expires_at: None,
        wish: Some(wish),
        due_at: None,
        idempotency: Idempotency::none(uuid),
        uuid,
        created_at: SystemClock.now(),
    }
}

async fn accept(store: &Store, recipient: &Recipient) -> NotificationId {
    let notification = Arc::new(alarm(recipient));
    let window_start = notification.created_at;
    match store.write(Write::Accept { notification, window_start }).await.expect("a commit") {
        Written::Accepted(Accepted::New { id, .. }) => id,
        other => panic!("{other:?}"),
    }
}

async fn claim(store: &Store) -> Vec<Claimed> {
    let write = Write::Claim { channel: Channel::Sms, most: 64, caps: SmsCaps::default() };
    match store.write(write).await.expect("a commit") {
        Written::Claimed { claimed, .. } => claimed.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Confirms and claims at about the same time; tells whether it was claimed.
async fn race(one: &Store, other: &Store, recipient: Recipient, spread: (u64, u64)) -> bool {
    let id = accept(one, &recipient).await;
    let confirm = async {
        tokio::time::sleep(std::time::Duration::from_micros(spread.0)).await;
        let (mark, at) = (Mark::Confirmed, SystemClock.now());
        let write = Write::Mark { recipient: recipient.clone(), notification: id, mark, at, handed: None };
        one.write(write).await.expect("a commit");
        Instant::now()
    };
    let state = async || {
        let all = other.deliveries_of(&recipient.tenant, id, Some(&recipient), 10).await.expect("an answer");
        assert_eq!(all.len(), 1);
        all[0].state
    };
    let look = async {
        tokio::time::sleep(std::time::Duration::from_micros(spread.1)).await;
        let mut mine = None;
        loop {
            let begun = Instant::now();
            for claimed in claim(other).await {
                // Those of the races beside this one are theirs as well: each is counted by its state.
                if claimed.notification.id == id {
                    assert!(mine.is_none(), "{id} was claimed twice");
                    mine = Some(begun);
                }
            }
            match state().await {
                State::Waiting => {}
                decided => return (mine, decided),
            }
        }
    };
    let (confirmed, (mine, decided)) = tokio::join!(confirm, look);
    if let Some(begun) = mine {
        assert!(begun < confirmed, "{id} was claimed after its ack had been answered");
    }
    match decided {
        State::UnderWay => true,
        State::Cancelled => false,
        other => panic!("{id} is {}", other.name()),
    }
}

#[test]
fn an_ack_and_a_text_message_never_both_win() {
    let ground = Ground::usual();
    let home = tempfile::tempdir().expect("a folder");
    let url = ground
        .settings(home.path())
        .into_iter()
        .find(|(name, _)| *name == "database.url")
        .expect("an address")
        .1;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let settings = Settings { url, ..Settings::default() };
        let open = async || {
            let store = Store::open(&settings, Arc::from([]), Arc::new(Metrics::new())).await;
            Arc::new(store.expect("a database"))
        };
        let one = open().await;
        // An SQLite file has one writer.
        let other = if one.is_shared() { open().await } else { one.clone() };
        let mut dice = Dice::thrown();
        let (mut sent, mut cancelled) = (0, 0);
        for _ in 0..races() / TOGETHER {
            let together = (0..TOGETHER).map(|person| {
                let user = UserId::new(&format!("person-{person}")).expect("a name");
                let recipient = Recipient { tenant: Tenant::default(), user };
                let spread = (dice.below(4_000), dice.below(4_000));
                let (one, other) = (one.clone(), other.clone());
                tokio::spawn(async move { race(&one, &other, recipient, spread).await })
            });
            let together: Vec<_> = together.collect();
            for race in together {
                match race.await.expect("a race") {
                    true => sent += 1,
                    false => cancelled += 1,
                }
            }
        }
        eprintln!("{sent} sent, {cancelled} cancelled");
        assert!(sent > 0 && cancelled > 0, "{sent} sent, {cancelled} cancelled: it was no race");
    });
}
