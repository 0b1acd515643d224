//! A request's head that is slow or never ends costs its sender the connection, and nobody else anything: ten seconds, 64 KiB
//! and a hundred lines, on every door.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::support::{Server, user_token};

/// Paths of every kind of door.
fn doors() -> [String; 7] {
    let token = user_token(2);
    [
        "/health".to_owned(),
        "/api/v1/notifications".to_owned(),
        "/socket.io/?EIO=4&transport=polling".to_owned(),
        "/socket.io/?EIO=4&transport=websocket".to_owned(),
        format!("/ws/notify?token={token}"),
        format!("/api/v1/stream?token={token}"),
        "/dashboard/login".to_owned(),
    ]
}

const HANDSHAKE: &str = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn open(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("the server to listen");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    stream
}

/// The status of what is answered; nothing if the connection just ends.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

#[test]
fn who_is_slow_is_dropped_after_ten_seconds() {
    let server = Server::start();
    let ended = |begin: &str, drip: &str| {
        let mut stream = open(&server);
        stream.write_all(begin.as_bytes()).expect("the server to listen");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(25) {
            match stream.read(&mut [0; 1024]) {
                Ok(0) => return begun.elapsed(),
                Ok(_) => {}
                Err(fault) if matches!(fault.kind(), std::io::ErrorKind::WouldBlock) => {}
                Err(_) => return begun.elapsed(),
            }
            // Whoever says something now and then is no better.
            if stream.write_all(drip.as_bytes()).is_err() {
                return begun.elapsed();
            }
        }
        panic!("{begin:?} and then {drip:?} is waited for");
    };
    scope(|all| {
        let mut slow = vec![all.spawn(|| ended("", ""))];
        for path in doors() {
            let begin = format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}X-Slow: ");
            slow.push(all.spawn(move || ended(&begin, "x")));
        }
        // The second request of a connection is no better than the first.
        slow.push(
            all.spawn(|| ended("GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\n", "x")),
        );
        for _ in 0..40 {
            assert_eq!(server.get("/health/live").status, 200, "others are served meanwhile");
            sleep(Duration::from_millis(100));
        }
        for slow in slow {
            let lasted = slow.join().expect("an end").as_secs_f64();
            assert!((9.0..15.0).contains(&lasted), "{lasted} s");
        }
    });
}

#[test]
fn what_is_too_long_is_refused_with_431() {
    let server = Server::start();
    let long = "x".repeat(70_000);
    let many: String = (0..150).map(|number| format!("X-{number}: x\r\n")).collect();
    for path in doors() {
        for lines in [format!("X-Long: {long}\r\n"), format!("Cookie: {long}\r\n"), many.clone()] {
            let mut stream = open(&server);
            let head = format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}{lines}\r\n");
            // It may have been refused before all of it was said.
            let _ = stream.write_all(head.as_bytes());
            let answered = status(&mut stream);
            assert!(matches!(answered, Some(431) | None), "{path}: {answered:?}");
        }
    }
    let refused = |head: &str| {
        let mut stream = open(&server);
        stream.write_all(head.as_bytes()).expect("the server to listen");
        status(&mut stream)
    };
    // Nothing waits unread here, so the answer always arrives.
    assert_eq!(refused(&format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n")), Some(431));
    let path = format!("GET /health?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(66_000));
    assert!(matches!(refused(&path), Some(414 | 431)));
    let shorter = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(50_000));
    assert_eq!(refused(&shorter), Some(200), "what is merely long is read");
    // Endless, in small pieces, as fast as they are taken.
    let mut stream = open(&server);
    stream.write_all(b"GET /health HTTP/1.1\r\nX-Endless: ").expect("the server to listen");
    let written = (0..10_000).take_while(|_| stream.write_all(&[b'x'; 1024]).is_ok()).count();
    assert!(written < 10_000, "it takes whatever comes");
    assert_eq!(server.get("/health").status, 200);
}
