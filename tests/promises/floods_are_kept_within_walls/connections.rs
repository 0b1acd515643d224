//! Connections beyond what there is place for: who says nothing makes room, who is busy stays, and who finds no place is told.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::caller::{Answers, read_answer};
use super::honest::Load;
use crate::support::{
    AtTheEnd, BACKEND_TOKEN, DESCRIPTORS, METRICS_TOKEN, Raw, Rest, Server, booking, eventually, get_with,
    user_token,
};

/// A back end and a page that were here before there was no more room.
struct Here {
    backend: Raw,
    page: Raw,
    booked: u64,
}

impl Here {
    fn new(server: &Server) -> Self {
        let mut backend = Raw::join(server.address);
        backend.emit("backend_connect", &json!({"token": BACKEND_TOKEN}));
        backend.hear_event("backend_auth_success");
        Self { backend, page: Raw::facilitator(server.address, 2), booked: 0 }
    }

    /// What one books, the other hears.
    fn goes_on(&mut self) {
        self.booked += 1;
        self.backend.emit("booking_notification", &booking(self.booked, 2));
        let heard = self.page.hear_event("new_booking_notification");
        assert_eq!(heard["booking_id"], self.booked, "{heard}");
        self.backend.hear_event("notification_delivered");
    }
}

/// How long the server computed, in all.
fn computed(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("a process");
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .expect("a name")
        .1
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    Duration::from_millis((fields[11] + fields[12]) * 10)
}

/// Connections that ask one thing and are busy with another from then on, each for somebody else; what each was answered, and
/// whether they came faster than the first of them could be made to leave.
fn ask_and_stay(server: &Server, many: usize) -> (Vec<TcpStream>, Answers, bool) {
    let (answers, since) = (Answers::default(), Instant::now());
    let address = server.address;
    let held = (0..many).map(|nth| {
        let mut stream = TcpStream::connect(server.address).expect("the kernel to take it");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let asked = format!(
            "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nPOST /dashboard/login HTTP/1.1\r\nHost: {address}\r\n\
             X-Forwarded-For: 198.51.{}.{}\r\nOrigin: http://{address}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntoken=",
            nth / 250,
            nth % 250 + 1
        );
        stream.write_all(asked.as_bytes()).ok();
        answers.note(read_answer(&mut stream).ok().map(|(answer, _)| answer).as_ref());
        stream
    });
    let held = held.collect();
    (held, answers, since.elapsed() < Duration::from_secs(1))
}

/// Opens a connection and says this.
fn say(server: &Server, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).expect("the kernel to take it");
    stream.write_all(words.as_bytes()).ok();
    stream
}

/// As Kubernetes asks, and as honest programs do: on new connections.
fn others_are_served(server: &Server) {
    for nth in 0..5 {
        for path in ["/health/live", "/health/ready"] {
            let answer = server.get(path);
            assert_eq!(answer.status, 200, "{path}, {nth}: {answer:?}");
        }
        let note = json!({"user_id": 2, "type": "note", "title": "honest", "message": "x"});
        let created = Rest::backend(server).post("/api/v1/notifications", &note);
        assert_eq!(created.status, 201, "{created:?}");
    }
}

#[test]
fn who_says_nothing_makes_room_for_who_comes() {
    let server = Server::with(&[(DESCRIPTORS, "256")]);
    let mut here = Here::new(&server);
    let mut sockets: Vec<_> = (0..126).map(|_| Raw::join(server.address)).collect();
    let full = Raw::dial_with(server.address, &[]).err();
    assert_eq!(full, Some(503), "there are as many sockets as may be");
    for (what, words) in [
        ("nothing", ""),
        ("part of a head", "GET /health/live HTTP/1.1\r\nHost: "),
        ("a question, and nothing more", "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a question, and part of a head", "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health"),
        ("most of a head that is too long", &format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000))),
    ] {
        let silent: Vec<_> = (0..150).map(|_| say(&server, words)).collect();
        println!("{what}: {} descriptors", server.descriptors());
        others_are_served(&server);
        assert!(server.descriptors() <= 256);
        drop(silent);
    }
    here.goes_on();
    for socket in &mut sockets {
        assert!(socket.try_to_say("3"), "who has a socket keeps it");
    }
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let idle =
        metrics.lines().find_map(|line| line.strip_prefix("carillon_refusals_total{reason=\"idle\"} "));
    assert!(idle.is_some_and(|number| number != "0"), "{metrics}");
    let told = server.log().iter().filter(|line| line.contains("told to come again")).count();
    assert!(told <= 2, "{told} lines");
}

/// An answer that nobody reads holds its connection no longer than the next one needs it.
#[test]
fn who_does_not_read_makes_room_for_who_comes() {
    let server = Server::with(&[(DESCRIPTORS, "256"), ("CARILLON_ENV", "development")]);
    let mut here = Here::new(&server);
    let much = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    for round in 0..2 {
        let unread: Vec<_> = (0..300).map(|_| say(&server, &much)).collect();
        sleep(Duration::from_millis(1_500));
        println!("{round}: {} descriptors", server.descriptors());
        let since = Instant::now();
        others_are_served(&server);
        println!("{round}: others were served within {:?}", since.elapsed());
        drop(unread);
    }
    here.goes_on();
}

/// A request that does not come whole holds its connection no longer than the next one needs it, whoever asks it and however it trickles.
#[test]
fn who_does_not_send_makes_room_for_who_comes() {
    let server = Server::with(&[(DESCRIPTORS, "256")]);
    let mut here = Here::new(&server);
    let login =
        "POST /dashboard/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for (what, head) in [
        (
            "a person's",
            "POST /api/v1/notifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
        ),
        ("a stranger's", login),
    ] {
        let unsent: Vec<_> = (0..300)
            .map(|nth| {
                let bearer = format!("Authorization: Bearer {}\r\n", user_token(100 + nth % 6));
                say(&server, &format!("{head}{bearer}Content-Length: 300\r\n\r\n{{"))
            })
            .collect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|all| {
            let _end = AtTheEnd(&is_over);
            all.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    unsent.iter().step_by(2).for_each(|mut stream| drop(stream.write_all(b" ")));
                    sleep(Duration::from_millis(100));
                }
            });
            sleep(Duration::from_millis(1_500));
            println!("{what}: {} descriptors", server.descriptors());
            others_are_served(&server);
        });
    }
    here.goes_on();
}

/// Whoever guesses is answered later and later, and holds no place with that when somebody else wants it.
#[test]
fn who_is_held_back_makes_room_for_who_comes() {
    let server = Server::with(&[(DESCRIPTORS, "256"), ("server.trusted_proxies", "127.0.0.1")]);
    let mut here = Here::new(&server);
    let held: Vec<_> = (0..300)
        .map(|nth| {
            let address = format!("198.51.100.{}", 1 + nth % 6);
            say(
                &server,
                &format!(
                    "GET /api/v1/notifications HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\
                     Authorization: Bearer guess-{nth}\r\n\r\n"
                ),
            )
        })
        .collect();
    sleep(Duration::from_millis(1_500));
    println!("{} descriptors", server.descriptors());
    others_are_served(&server);
    here.goes_on();
    drop(held);
}

#[test]
fn who_finds_no_place_is_told() {
    let server = Server::with(&[("limits.sockets", "20"), ("server.trusted_proxies", "127.0.0.1")]);
    let mut here = Here::new(&server);
    here.goes_on();
    let base = Load::of(&server);
    let (held, answers, is_fast) = ask_and_stay(&server, 500);
    println!("{answers:?}");
    assert!(answers.of(200) > 16 && answers.of(0) == 0, "{answers:?}");
    assert!(answers.of(503) > 100 || !is_fast, "{answers:?}");
    let peak = Load::of(&server);
    assert!(peak.descriptors < base.descriptors + 320, "{base:?}, then {peak:?}");
    here.goes_on();
    drop(held);
    eventually("there is room again", || (server.get("/health/live").status == 200).then_some(()));
    let told = server.log().iter().filter(|line| line.contains("told to come again")).count();
    assert!(told <= 3 && (told > 0 || !is_fast), "{told} lines");
}

#[test]
fn when_no_descriptor_is_left_it_is_said_and_all_goes_on() {
    let server = Server::with(&[("server.trusted_proxies", "127.0.0.1")]);
    let mut here = Here::new(&server);
    here.goes_on();
    let base = server.descriptors();
    // Somebody lowers what the process may have while it runs; as if other things had taken all there was.
    let limit = |most: usize| {
        let limit = format!("--nofile={most}");
        let pid = server.pid().to_string();
        let set = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(set.expect("prlimit, of util-linux").success());
    };
    limit(base + 10);
    let (held, answers, is_fast) = ask_and_stay(&server, 200);
    println!("{answers:?}");
    assert!(answers.of(200) > 0 && (answers.of(503) >= 150 || !is_fast), "{answers:?}");
    assert!(answers.of(0) <= 4, "{answers:?}");
    // Numbers of descriptors are limited, and some below were free.
    assert!(server.descriptors() <= base + 40);
    // Nothing comes and nothing ends now: nobody turns in circles.
    let waiting: Vec<_> =
        (0..20).map(|_| TcpStream::connect(server.address).expect("the kernel to take it")).collect();
    sleep(Duration::from_millis(500));
    let before = computed(&server);
    sleep(Duration::from_secs(2));
    let spent = computed(&server) - before;
    assert!(spent < Duration::from_millis(700), "{spent:?} of two seconds");
    here.goes_on();
    drop((held, waiting));
    eventually("there is room again", || {
        let mut stream = TcpStream::connect(server.address).ok()?;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        read_answer(&mut stream).ok().filter(|(answer, _)| answer.status == 200)
    });
    let told = server.log().iter().filter(|line| line.contains("no descriptor is left")).count();
    assert!((1..=5).contains(&told), "{told} lines");
}

#[test]
fn who_opens_connections_and_says_nothing_is_dropped() {
    let server = Server::start();
    let base = server.descriptors();
    let mut held: Vec<_> =
        (0..600).map(|_| TcpStream::connect(server.address).expect("the kernel to take it")).collect();
    eventually("they are accepted", || (server.descriptors() > base + 500).then_some(()));
    assert_eq!(server.get("/health/ready").status, 200, "others are served");
    eventually("they are dropped", || (server.descriptors() < base + 20).then_some(()));
    for stream in &mut held {
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        let read = stream.read(&mut [0; 64]);
        assert!(
            read.as_ref().is_ok_and(|read| *read == 0)
                || read.is_err_and(|fault| fault.kind() != ErrorKind::WouldBlock)
        );
    }
}
