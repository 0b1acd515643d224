//! Whoever floods a door gets what the limits say, and is told early that there is no more (429 or 503 with `Retry-After`,
//! 1013): memory, descriptors, threads and queues stay within bounds and are given back, and honest clients are served all
//! the while. How much slower they are, `bench/load` measures (the shape `flood`).

mod caller;
mod connections;
mod doors;
mod honest;
mod in_turn;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    AtTheEnd, BACKEND_TOKEN, METRICS_TOKEN, PATIENCE, Raw, Redis, Server, Shared, eventually, in_seconds,
    on_postgres, sign, sign_with, user_token,
};
use caller::{Answers, Caller, FLOODER, read_answer};
use honest::{Honest, Load};

/// One flood goes on for so long.
const SPAN: Duration = Duration::from_millis(1_200);
/// What no flood may add to what is resident, in KB: the walls of `SETTINGS` and what a debug build needs beside.
const CEILING: u64 = 96 * 1024;
/// Descriptors that one flood may add: what `limits.sockets` lets in, the reserve for connections that are none, those that are
/// told so, and a few of the server's own.
const MOST_DESCRIPTORS: usize = 300 + 256 + 32 + 44;

/// Walls that are low enough to be reached within a second.
const SETTINGS: [(&str, &str); 10] = [
    ("limits.sockets", "300"),
    ("server.trusted_proxies", "127.0.0.1"),
    ("limits.sockets_per_address", "100"),
    ("limits.opened_per_minute", "300"),
    ("limits.user_at_once", "4"),
    ("limits.service_at_once", "8"),
    ("limits.tenant_at_once", "12"),
    ("limits.requests_at_once", "20"),
    ("limits.bodies_at_once", "4000000"),
    ("limits.writes_waiting", "200"),
];

/// A server, and what has happened to it.
struct Stage {
    server: Server,
    honest: Honest,
}

impl Stage {
    fn new(settings: &[(&str, &str)]) -> Self {
        let server = Server::with(&[&SETTINGS[..], settings].concat());
        let stage = Self { server, honest: Honest::default() };
        // What is needed once is there before it is measured.
        stage.honest.begin(&stage.server).work(&AtomicBool::new(true));
        stage
    }

    fn flooder(&self, token: &str) -> Caller {
        Caller::flooder(self.server.address, token)
    }

    /// `many` flood this door for a while, each by doing `once` again and again; then they leave.
    fn flood<T: Send>(
        &self,
        door: &str,
        many: usize,
        begin: impl Fn(usize) -> T + Sync,
        once: impl Fn(&mut T, &Answers) + Sync,
    ) -> Answers {
        let (stop, over, answers) = (AtomicBool::new(false), AtomicBool::new(false), Answers::default());
        let bearer = format!("Bearer {METRICS_TOKEN}");
        let mut metrics = Caller::new(self.server.address, &[("Authorization", &bearer)]);
        let base = Load::told(&self.server, &mut metrics);
        let mut peak = base;
        let mut honest = self.honest.begin(&self.server);
        let served = scope(|all| {
            let _over = AtTheEnd(&over);
            let _stop = AtTheEnd(&stop);
            let honest = all.spawn(|| honest.work(&over));
            let flooders: Vec<_> = (0..many)
                .map(|nth| {
                    let (stop, answers, begin, once) = (&stop, &answers, &begin, &once);
                    all.spawn(move || {
                        let mut flooder = begin(nth);
                        while !stop.load(Ordering::Relaxed) {
                            once(&mut flooder, answers);
                        }
                        // All leave at once, so that all were there at once.
                        flooder
                    })
                })
                .collect();
            let until = Instant::now() + SPAN;
            while Instant::now() < until {
                peak = peak.most(Load::told(&self.server, &mut metrics));
                sleep(Duration::from_millis(30));
            }
            stop.store(true, Ordering::Relaxed);
            let held: Vec<_> =
                flooders.into_iter().map(|flooder| flooder.join().expect("a flooder")).collect();
            peak = peak.most(Load::told(&self.server, &mut metrics));
            drop(held);
            over.store(true, Ordering::Relaxed);
            honest.join().expect("honest clients are served")
        });
        println!(
            "{door}: {answers:?}; honest clients were served {served} times; {base:?}, at most {peak:?}"
        );
        assert!(peak.memory < base.memory + CEILING, "{door}: {base:?}, then {peak:?}");
        assert!(peak.descriptors < base.descriptors + MOST_DESCRIPTORS, "{door}: {base:?}, then {peak:?}");
        assert!(peak.threads < base.threads + 64, "{door}: {base:?}, then {peak:?}");
        assert!(peak.requests <= 20 && peak.writes <= 300, "{door}: {peak:?}");
        self.settles(door, base);
        answers
    }

    /// What was taken is given back.
    fn settles(&self, door: &str, base: Load) {
        eventually(&format!("descriptors are given back after {door}"), || {
            (Load::of(&self.server).descriptors <= base.descriptors + 8).then_some(())
        });
        let ready = self.server.get("/health/ready");
        assert_eq!(ready.status, 200, "{door}: {ready:?}");
    }

    /// The log does not grow with the flood, and nothing in it says that the server fell over.
    fn ends_well(&self) {
        let log = self.server.log();
        assert!(log.len() < 3_000, "{} lines", log.len());
        let bad = log.iter().find(|line| line.contains("panicked") || line.contains("\"level\":\"ERROR\""));
        assert_eq!(bad, None);
    }
}

fn forged() -> String {
    let claims = json!({"sub": "2", "exp": in_seconds(600)});
    sign_with(&claims, "another secret altogether", jsonwebtoken::Algorithm::HS256)
}

#[test]
fn floods_of_requests() {
    let stage = Stage::new(&[]);
    let answers = stage.flood(
        "pages that anybody may ask for",
        12,
        |nth| {
            (
                stage.flooder(""),
                ["/health", "/stats", "/health/ready", "/metrics", "/nothing", "/api/v1/x"][nth % 6],
            )
        },
        |(flooder, path), answers| answers.note(flooder.ask("GET", path, "").as_ref()),
    );
    assert!(answers.of(200) > 0 && answers.of(0) == 0, "{answers:?}");

    let forged = forged();
    let answers = stage.flood(
        "the API, by forged tokens",
        32,
        |_| stage.flooder(&forged),
        |flooder, answers| {
            flooder.begin("GET", "/api/v1/notifications", 0, "");
            // Whoever guesses is held, for longer and longer.
            let answer = flooder.answered_within(Duration::from_millis(300));
            answers.note(answer.as_ref());
            *flooder = stage.flooder(&forged);
        },
    );
    assert!(answers.of(401) > 0, "{answers:?}");
    let answers = stage.flood(
        "the dashboard's login",
        16,
        |_| stage.flooder(""),
        |flooder, answers| {
            flooder.begin("POST", "/dashboard/login", 100, "token=x");
            answers.note(flooder.answered_within(Duration::from_millis(100)).as_ref());
            *flooder = stage.flooder("");
        },
    );
    assert_eq!(answers.of(303), 0, "{answers:?}");

    let token = user_token(66);
    let answers = stage.flood(
        "the API, by one person",
        24,
        |_| stage.flooder(&token),
        |flooder, answers| answers.note(flooder.ask("GET", "/api/v1/notifications", "").as_ref()),
    );
    assert!(answers.of(200) > 0 && answers.of(429) > 0, "{answers:?}");
    stage.ends_well();
}

#[test]
fn floods_of_what_is_to_be_stored() {
    let stage = Stage::new(&[]);
    let claims =
        json!({"sub": "noisy", "tenant_id": "noisy", "scope": "notifications:send", "exp": in_seconds(600)});
    let noisy = sign(&claims);
    let (nth, accepted) = (AtomicU64::new(0), AtomicU64::new(0));
    let note = |size: usize| {
        let nth = nth.fetch_add(1, Ordering::Relaxed);
        json!({"user_id": 66, "type": "note", "title": format!("n{nth}"), "message": "x".repeat(size)})
            .to_string()
    };
    let answers = stage.flood(
        "what another tenant's service sends",
        24,
        |_| stage.flooder(&noisy),
        |flooder, answers| {
            let answer = flooder.ask("POST", "/api/v1/notifications", &note(200));
            accepted.fetch_add(
                u64::from(answer.as_ref().is_some_and(|one| one.status == 201)),
                Ordering::Relaxed,
            );
            answers.note(answer.as_ref());
        },
    );
    assert!(answers.of(201) > 0 && answers.of(429) > 0, "{answers:?}");
    let stored = || stage.server.rows("SELECT 1 FROM notifications WHERE tenant = 'noisy'");
    assert_eq!(stored(), accepted.load(Ordering::Relaxed) as i64, "what was accepted is there, once each");

    // Nobody waits for these answers, so nothing but the queue itself bounds the queue.
    stage.flood(
        "senders who leave before they are answered",
        24,
        |_| stage.flooder(&noisy),
        |flooder, answers| {
            flooder.ask_and_leave("POST", "/api/v1/notifications", &note(2_000));
            answers.note(None);
        },
    );
    let answers = stage.flood(
        "bodies that are half sent",
        16,
        |_| (Vec::new(), "x".repeat(600_000)),
        |(held, half): &mut (Vec<Caller>, String), answers| {
            if held.len() == 8 {
                return sleep(Duration::from_millis(20));
            }
            let mut flooder = stage.flooder(&noisy);
            flooder.begin("POST", "/api/v1/notifications", 900_000, half);
            answers.note(flooder.answered_within(Duration::from_millis(20)).as_ref());
            held.push(flooder);
        },
    );
    assert!(answers.of(429) + answers.of(503) > 0, "{answers:?}");
    let from = format!("http://{}", stage.server.address);
    let form = [
        ("X-Forwarded-For", FLOODER),
        ("Origin", &*from),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let answers = stage.flood(
        "half a form for the dashboard, of nobody",
        16,
        |_| (Vec::new(), "x".repeat(600_000)),
        |(held, half): &mut (Vec<Caller>, String), answers| {
            if held.len() == 8 {
                return sleep(Duration::from_millis(20));
            }
            let mut flooder = Caller::new(stage.server.address, &form);
            flooder.begin("POST", "/dashboard/login", 900_000, half);
            answers.note(flooder.answered_within(Duration::from_millis(20)).as_ref());
            held.push(flooder);
        },
    );
    assert!(answers.of(429) + answers.of(503) > 0, "{answers:?}");
    stage.ends_well();
}

/// Bodies that are never whole hold memory: whose they are is said to whoever finds none left.
#[test]
fn who_finds_no_memory_is_told_whose_bodies_hold_it() {
    let stage = Stage::new(&[("limits.service_at_once", "100"), ("limits.tenant_at_once", "100")]);
    let sends = |who: &str, tenant: &str, size: usize| {
        let claims =
            json!({"sub": who, "tenant_id": tenant, "scope": "notifications:send", "exp": in_seconds(600)});
        let mut caller = stage.flooder(&sign(&claims));
        caller.begin("POST", "/api/v1/notifications", 999_000, &"x".repeat(size));
        caller
    };
    // Of four million bytes a caller may hold one, and a tenant two. Whoever comes last asks for so little that the server has
    // read all of it, and the answer is not taken away by the rest. Should it come before the others, it is begun anew.
    let told = |held: &[(&str, &str)], who: &str, tenant: &str, status: u16, why: &str| {
        eventually(why, || {
            let _held: Vec<_> = held.iter().map(|(who, tenant)| sends(who, tenant, 995_000)).collect();
            sleep(Duration::from_millis(200));
            let answer = sends(who, tenant, 24_000).answered_within(Duration::from_millis(500))?;
            assert_eq!(answer.retry_after, Some(1), "{answer:?}");
            (answer.status == status && answer.body.contains(why)).then_some(())
        });
    };
    let (one, two) = (("one", "a"), ("two", "a"));
    told(&[one], "one", "a", 429, "Bodies of your own requests hold 1000000 bytes");
    told(&[one, two], "three", "a", 429, "Bodies of your tenant's requests hold 2000000 bytes");
    told(&[one, two, ("three", "b"), ("four", "b")], "five", "c", 503, "Bodies of requests take all memory");
}

#[test]
fn floods_of_sockets() {
    let stage = Stage::new(&[("limits.sockets_per_user", "5")]);
    let handshake = |path: &str| {
        let mut stream = TcpStream::connect(stage.server.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {FLOODER}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let (answer, _) = read_answer(&mut stream).ok()?;
        Some((answer, stream))
    };
    // So many are held, one after the other.
    let hold = |path: &'static str| {
        let handshake = &handshake;
        move |held: &mut Vec<TcpStream>, answers: &Answers| match handshake(path) {
            Some((answer, stream)) => {
                answers.note(Some(&answer));
                held.extend((answer.status == 101).then_some(stream));
            }
            None => answers.note(None),
        }
    };
    let answers = stage.flood(
        "sockets that are opened and left",
        8,
        |_| Vec::new(),
        hold("/socket.io/?EIO=4&transport=websocket"),
    );
    assert!((80..=100).contains(&answers.of(101)) && answers.of(429) > 0, "{answers:?}");
    let answers = stage.flood(
        "handshakes in a loop",
        8,
        |_| (),
        |(), answers| {
            answers
                .note(handshake("/socket.io/?EIO=4&transport=websocket").map(|(answer, _)| answer).as_ref())
        },
    );
    // Three hundred in a minute, of which a hundred are gone, and some have come back since.
    assert!(answers.of(101) < 230 && answers.of(429) > 0, "{answers:?}");
    let answers = stage.flood(
        "sessions by polling",
        8,
        |_| stage.flooder(""),
        |flooder, answers| {
            answers.note(flooder.ask("GET", "/socket.io/?EIO=4&transport=polling", "").as_ref())
        },
    );
    assert!(answers.of(200) <= 100 && answers.of(429) > 0, "{answers:?}");
    let answers = stage.flood("raw WebSockets without a token", 8, |_| Vec::new(), hold("/ws/notify"));
    assert!(answers.of(101) <= 100 && answers.of(429) > 0, "{answers:?}");
    let answers = stage.flood(
        "streams of nobody in particular",
        8,
        |_| stage.flooder(&user_token(66)),
        |flooder, answers| answers.note(flooder.ask("GET", "/api/v1/stream", "").as_ref()),
    );
    assert!(answers.of(200) <= 100 && answers.of(429) > 0, "{answers:?}");
    Raw::dial(stage.server.address);
    stage.ends_well();
}

#[test]
fn floods_of_streams_and_packets() {
    // Of one person, from a place that may open as many as it likes.
    let stage = Stage::new(&[
        ("limits.sockets_per_user", "5"),
        ("limits.opened_per_minute", "0"),
        ("limits.sockets_per_address", "300"),
    ]);
    let address = stage.server.address;
    let bearer = format!("Bearer {}", user_token(66));
    let answers = stage.flood(
        "streams of one person",
        8,
        |_| Vec::new(),
        |held: &mut Vec<Caller>, answers| {
            let mut flooder = Caller::new(address, &[("Authorization", &bearer)]);
            flooder.begin("GET", "/api/v1/stream", 0, "");
            let answer = flooder.answered_within(PATIENCE);
            answers.note(answer.as_ref());
            held.extend(answer.filter(|answer| answer.status == 200).map(|_| flooder));
        },
    );
    assert!((1..=5).contains(&answers.of(200)) && answers.of(429) > 0, "{answers:?}");
    let path = format!("/ws/notify?token={}", user_token(66));
    let raw = || Raw::upgrade(&mut TcpStream::connect(address).ok()?, &path, &[]).ok();
    let held: Vec<_> = (0..5).map(|_| raw().expect("a WebSocket")).collect();
    let turned_away = AtomicU64::new(0);
    stage.flood(
        "raw WebSockets of one person",
        4,
        |_| (),
        |(), _| {
            if let Some(mut one_more) = raw() {
                assert_eq!(one_more.close_code(), Some(1013), "try again later");
                turned_away.fetch_add(1, Ordering::Relaxed);
            }
        },
    );
    assert!(turned_away.load(Ordering::Relaxed) > 0);
    drop(held);
    stage.flood(
        "namespaces, one after the other",
        4,
        |_| (Raw::join(address), 0),
        |(raw, nth), _| {
            *nth += 1;
            // The answers are not read: in the end it is cut off.
            if !raw.try_to_say(&format!("40/flood-{nth},")) {
                *raw = Raw::join(address);
            }
        },
    );
    stage.flood(
        "attachments that never all come",
        8,
        |_| Vec::new(),
        |held: &mut Vec<Raw>, _| {
            if held.len() < 10 {
                let mut raw = Raw::join(address);
                raw.try_to_say(r#"4510-["booking_notification",{"_placeholder":true,"num":0}]"#);
                for _ in 0..9 {
                    raw.say_bytes(&[0; 10_000]);
                }
                held.push(raw);
            } else {
                sleep(Duration::from_millis(20));
            }
        },
    );
    stage.flood(
        "messages that are never ended",
        8,
        |_| Vec::new(),
        |held: &mut Vec<Raw>, _| {
            if held.len() < 10 {
                let mut raw = Raw::join(address);
                // The head of a message of 99,000 bytes, and most of it.
                raw.say_raw(
                    &[&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0x82, 0xb8, 0, 0, 0, 0][..], &[b'x'; 90_000]].concat(),
                );
                held.push(raw);
            } else {
                sleep(Duration::from_millis(20));
            }
        },
    );
    let large = "x".repeat(30_000);
    let backend = format!("Bearer {BACKEND_TOKEN}");
    let answers = stage.flood(
        "much for somebody who never reads",
        4,
        |nth| {
            let user = 90 + nth as u64;
            (Raw::facilitator(address, user), Caller::new(address, &[("Authorization", &backend)]), user)
        },
        |(_, sender, user), answers| {
            let body =
                json!({"user_id": *user, "type": "note", "title": "large", "message": large}).to_string();
            answers.note(sender.ask("POST", "/api/v1/notifications", &body).as_ref());
        },
    );
    assert!(answers.of(201) > 0, "{answers:?}");
    stage.ends_well();
}

#[test]
fn a_flood_of_letters_waits_in_redis() {
    if !on_postgres() {
        return;
    }
    let redis = Redis::private();
    let server = Server::on(&Shared::fresh().with_redis(&redis.url()).into(), &[]);
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let mut metrics = Caller::new(server.address, &[("Authorization", &bearer)]);
    let base = Load::told(&server, &mut metrics);
    let mut peak = base;
    let letter = json!({"userId": 2, "type": "note", "title": "by Redis", "message": "x".repeat(2_000)});
    for _ in 0..600 {
        redis.add(&letter);
        peak = peak.most(Load::of(&server));
    }
    eventually("all of them are stored", || {
        peak = peak.most(Load::told(&server, &mut metrics));
        (server.rows("SELECT 1 FROM notifications") == 600).then_some(())
    });
    println!("letters: {base:?}, at most {peak:?}");
    assert!(peak.memory < base.memory + CEILING && peak.writes <= 150, "{base:?}, then {peak:?}");
}
