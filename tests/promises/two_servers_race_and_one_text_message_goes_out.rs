//! The race of an ack against a text message, through whole servers: whoever was answered that they have confirmed or read it is
//! sent no text message from then on; everybody else is sent just one. What is confirmed at one server is sent by either.
//!
//! `CARILLON_RACES=10000` runs more of them.

use std::collections::HashMap;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::{
    Cluster, Dice, Ground, Raw, Rest, Server, SinkFile, eventually, on_postgres, user_token,
};

const RACES: usize = 400;
/// People who are there, and whose text messages wait for a second, come first; as many others are away.
const PEOPLE: u64 = 8;
/// Races of one person that are under way at once.
const TOGETHER: usize = 10;
const SECOND: u64 = 1_000;
/// The lot of every so many: nobody confirms it.
const NOBODY: u64 = 5;

struct Race {
    id: i64,
    uuid: String,
    /// When the ack had been answered, in microseconds since 1970.
    answered: Option<u128>,
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_micros()
}

fn send(sender: &Rest, person: u64) -> (Instant, Race) {
    let sent = sender.send(&json!({
        "user_id": person, "type": "alarm", "title": "Look", "message": "Please look.", "priority": "high",
        "channels": ["websocket", "sms"], "escalation": {"after_seconds": 1},
    }));
    let (id, uuid) =
        (sent["id"].as_i64().expect("a number"), sent["uuid"].as_str().expect("a UUID").to_owned());
    (Instant::now(), Race { id, uuid, answered: None })
}

/// Nobody is there, so the text message goes at once: by REST it is read at the other server as soon.
fn away(nodes: [&Server; 2], person: u64, dice: &mut Dice, many: usize) -> Vec<Race> {
    let (sender, reader) = (Rest::backend(nodes[0]), Rest::user(nodes[1], person));
    let one = |_| {
        let (_, mut race) = send(&sender, person);
        if dice.below(NOBODY) > 0 {
            sleep(Duration::from_micros(dice.below(3_000)));
            reader.post(&format!("/api/v1/notifications/{}/read", race.id), &json!({})).expect(200);
            race.answered = Some(now());
        }
        race
    };
    (0..many).map(one).collect()
}

/// A socket at the other server acks it when the text message is due.
fn here(nodes: [&Server; 2], person: u64, dice: &mut Dice, many: usize) -> Vec<Race> {
    let sender = Rest::backend(nodes[0]);
    let mut socket = Raw::dial(nodes[1].address);
    socket.say(&format!("40{}", json!({"token": user_token(person)})));
    socket.wait_for("40");
    let mut all = Vec::with_capacity(many);
    while all.len() < many {
        let mut together: Vec<_> =
            (0..TOGETHER.min(many - all.len())).map(|_| send(&sender, person)).collect();
        for (sent, race) in &mut together {
            if dice.below(NOBODY) == 0 {
                continue;
            }
            let moment = Duration::from_millis(SECOND - 40 + dice.below(80));
            sleep((*sent + moment).saturating_duration_since(Instant::now()));
            socket.say(&format!(r#"427["ack",{{"notificationId":{}}}]"#, race.id));
            socket.wait_for("437[");
            race.answered = Some(now());
        }
        all.extend(together.into_iter().map(|(_, race)| race));
    }
    all
}

/// Text messages whose attempt began after the ack had been answered.
fn begun_too_late(server: &Server, races: &[Race]) -> i64 {
    let at = |micros| match server.is_on_sqlite() {
        true => format!("{micros}"),
        false => format!("to_timestamp({}.{:06})", micros / 1_000_000, micros % 1_000_000),
    };
    let acked = races.iter().filter_map(|race| Some(format!("({}, {})", race.id, at(race.answered?))));
    let acked: Vec<_> = acked.collect();
    let late = acked.chunks(500).map(|some| {
        server.rows(&format!(
            "SELECT 1 FROM (VALUES {}) AS acked JOIN deliveries AS d ON d.notification_id = acked.column1 \
             JOIN delivery_attempts AS a ON a.delivery_id = d.id WHERE a.state = 2 AND a.at > acked.column2",
            some.join(", ")
        ))
    });
    late.sum()
}

#[test]
fn two_servers_race_and_one_text_message_goes_out() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let settings = [
        (name, path.as_str()),
        ("sms.per_number_per_day", "0"),
        ("sms.per_user_per_day", "0"),
        ("sms.per_tenant_per_day", "0"),
    ];
    // An SQLite file is one server's.
    let cluster = Cluster::on(&Ground::usual(), if on_postgres() { 2 } else { 1 }, &settings);
    let nodes = [cluster.node(0), cluster.nodes().last().expect("a server")];
    for person in 1..=2 * PEOPLE {
        let phone = json!({"phone": format!("+1202555{:04}", 100 + person)});
        Rest::backend(nodes[0]).put(&format!("/api/v1/recipients/{person}"), &phone).expect(200);
    }

    let mut dice = Dice::thrown();
    let many = std::env::var("CARILLON_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(RACES);
    let each = many / (2 * PEOPLE) as usize;
    let races: Vec<Race> = scope(|all| {
        let threads: Vec<_> = (1..=2 * PEOPLE)
            .map(|person| {
                let mut dice = Dice::of(dice.below(u64::MAX));
                // Each is sent from both.
                let nodes = if person % 2 == 0 { nodes } else { [nodes[1], nodes[0]] };
                let race = if person <= PEOPLE { here } else { away };
                all.spawn(move || race(nodes, person, &mut dice, each))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("races")).collect()
    });

    eventually("all is decided", || {
        (nodes[0].rows("SELECT 1 FROM deliveries WHERE state < 2") == 0).then_some(())
    });
    let mut sent: HashMap<String, usize> = HashMap::new();
    for line in sink.by("sms") {
        *sent.entry(line["notification"].as_str().expect("a UUID").to_owned()).or_default() += 1;
    }
    let mut won = [0, 0];
    for race in &races {
        let times = sent.get(&race.uuid).copied().unwrap_or(0);
        match race.answered {
            Some(_) => assert!(times <= 1, "{}: {times} text messages", race.uuid),
            None => assert_eq!(times, 1, "{}: nobody has confirmed it", race.uuid),
        }
        if race.answered.is_some() {
            won[times] += 1;
        }
    }
    assert_eq!(begun_too_late(nodes[0], &races), 0);
    eprintln!("of {} races, acks won {} and text messages {}", races.len(), won[0], won[1]);
    assert!(won.iter().all(|times| *times > 0), "{won:?}: it was no race");
}
