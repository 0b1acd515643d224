//! The doors, and what must hold at each.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::{Target, bombard};
use crate::support::{
    Dice, Raw, Redis, Rest, Server, SinkFile, TWILIO_SID, TWILIO_TOKEN, eventually, user_token,
};

/// A connection whose other end is given this long.
const PATIENCE: Duration = Duration::from_secs(20);

fn connected(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// All that is answered until the connection ends.
fn answered(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => Err("no end".to_owned()),
        // It may be cut off while more is said.
        _ => Ok(all),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// Bytes that may stand in a head's line.
fn line(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
}

fn escaped(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#');
    path.iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

const FORWARDED: &str = "X-Forwarded-For";

/// A request from an address of its own, unless it names one; the status that it is answered with.
fn request(
    target: &Target,
    dice: &mut Dice,
    first: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Result<u16, String> {
    let mut head =
        format!("{first} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == FORWARDED) {
        head.push_str(&format!("{FORWARDED}: 203.0.{}.{}\r\n", dice.below(256), dice.below(256)));
    }
    let mut head = head.into_bytes();
    for (name, value) in headers {
        head.extend([name.as_bytes(), b": ", line(value).as_slice(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    let mut stream = connected(&target.server);
    let _ = stream.write_all(&head).and_then(|()| stream.write_all(body));
    let answer = answered(&mut stream)?;
    match status(&answer) {
        Some(status) if status < 500 => Ok(status),
        _ if answer.is_empty() => Ok(0),
        // Nobody has made keys for it here: no fault.
        Some(503) if String::from_utf8_lossy(&answer).contains("push_unavailable") => Ok(503),
        _ => Err(String::from_utf8_lossy(&answer).chars().take(600).collect()),
    }
}

#[test]
fn heads() {
    let target = Target::with(&[]);
    bombard("heads", &target, |case, _| {
        let mut stream = connected(&target.server);
        let _ = stream.write_all(case);
        let _ = stream.shutdown(Shutdown::Write);
        let answer = answered(&mut stream)?;
        match status(&answer) {
            Some(500) => Err(String::from_utf8_lossy(&answer).into_owned()),
            _ => Ok(()),
        }
    });
}

#[test]
fn frames() {
    let target = Target::with(&[]);
    bombard("frames", &target, |case, dice| {
        let mut stream = connected(&target.server);
        let path = match dice.below(2) {
            0 => "/socket.io/?EIO=4&transport=websocket".to_owned(),
            _ => format!("/ws/notify?token={}", target.attacker(true)),
        };
        Raw::upgrade(&mut stream, &path, &[]).map_err(|status| format!("refused with {status}"))?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let _ = stream.write_all(case);
        let _ = stream.shutdown(Shutdown::Write);
        answered(&mut stream).map(drop)
    });
}

/// Says `case` as one message, then asks whether anybody is there.
fn said(socket: &mut Option<Raw>, open: impl Fn() -> Raw, case: &[u8], is_text: bool) -> Result<(), String> {
    let raw = socket.get_or_insert_with(open);
    raw.say_frame(if is_text { 0x81 } else { 0x82 }, case);
    raw.say_frame(0x89, b"there?");
    // Or it has ended this connection.
    if raw.hear_frame(0x0a).is_none() {
        *socket = None;
    }
    Ok(())
}

#[test]
fn packets() {
    let target = Target::with(&[]);
    let mut socket = None;
    bombard("packets", &target, |case, dice| {
        let open = || {
            let mut raw = Raw::dial(target.server.address);
            raw.say(&format!("40{}", json!({"token": target.attacker(true)})));
            raw
        };
        said(&mut socket, open, case, dice.below(20) > 0)
    });
}

#[test]
fn messages() {
    let target = Target::with(&[]);
    let mut socket = None;
    bombard("messages", &target, |case, dice| {
        let open = || {
            let path = format!("/ws/notify?token={}&events=all", target.attacker(true));
            Raw::upgrade(&mut connected(&target.server), &path, &[]).expect("a WebSocket")
        };
        said(&mut socket, open, case, dice.below(20) > 0)
    });
}

#[test]
fn polls() {
    let target = Target::with(&[]);
    let path = "/socket.io/?EIO=4&transport=polling";
    bombard("polls", &target, |case, dice| {
        let opened = target.server.get(path);
        let sid = opened.body.split('"').nth(3).unwrap_or_default().to_owned();
        let first = format!("POST {path}&sid={sid}");
        let kind: &[u8] = b"text/plain;charset=UTF-8";
        request(&target, dice, &first, &[("Content-Type", kind)], b"40")?;
        request(&target, dice, &first, &[("Content-Type", kind)], case).map(drop)
    });
}

/// `METHOD /path`, and a body in the lines behind it.
#[test]
fn requests() {
    let target = Target::with(&[("limits.user_per_minute", "0")]);
    let tokens = [target.attacker(false), target.attacker(true)].map(|token| format!("Bearer {token}"));
    bombard("requests", &target, |case, dice| {
        let end = case.iter().position(|byte| *byte == b'\n').unwrap_or(case.len());
        let (first, body) = (&case[..end], case.get(end + 1..).unwrap_or_default());
        let middle = first.iter().position(|byte| *byte == b' ').unwrap_or(0);
        let method = ["GET", "POST", "PUT", "DELETE"]
            .into_iter()
            .find(|known| known.as_bytes() == &first[..middle])
            .unwrap_or("POST");
        let path = escaped(first.get(middle + 1..).unwrap_or_default());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        // A stream does not end.
        if path.starts_with("/api/v1/stream") {
            return Ok(());
        }
        let token = tokens[dice.below(2) as usize].as_bytes();
        let headers = [("Authorization", token), ("Content-Type", b"application/json".as_slice())];
        request(&target, dice, &format!("{method} {path}"), &headers, body).map(drop)
    });
}

#[test]
fn tokens() {
    let target = Target::with(&[]);
    let good = [target.attacker(true), user_token(2)];
    bombard("tokens", &target, |case, dice| {
        // What stands in the corpus are ways to say it; a good one is often what is mutilated.
        let token = match dice.below(2) {
            0 => super::mutilated(&good.each_ref().map(|token| token.as_bytes().to_vec()), dice),
            _ => case.to_vec(),
        };
        let shown = line(&token);
        let shown = shown.trim_ascii();
        let bearer = [b"Bearer ".as_slice(), shown].concat();
        // From this machine itself: others are held back for thousands of wrong ones.
        let headers = [("Authorization", bearer.as_slice()), (FORWARDED, b"127.0.0.1")];
        let status = request(&target, dice, "GET /api/v1/notifications", &headers, b"")?;
        if status == 200 && !good.iter().any(|good| good.as_bytes() == shown) {
            return Err(format!("a forged token is let in: {}", String::from_utf8_lossy(shown)));
        }
        Ok(())
    });
}

#[test]
fn links() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let target = Target::with(&[(name, &path), ("PUBLIC_URL", "https://notify.example.com")]);
    let backend = Rest::backend(&target.server);
    backend.put("/api/v1/recipients/3", &json!({"email": "three@example.com"})).expect(200);
    backend.send(&json!({"user_id": 3, "type": "news", "title": "x", "channels": ["email"]}));
    let mail = eventually("a mail goes out", || sink.by("email").into_iter().next());
    let link = mail["unsubscribe"].as_str().expect("a link").rsplit('/').next().expect("it").to_owned();
    bombard("links", &target, |case, dice| {
        let shown = match dice.below(2) {
            0 => super::mutilated(&[link.as_bytes().to_vec()], dice),
            _ => case.to_vec(),
        };
        let method = if dice.below(2) == 0 { "GET" } else { "POST" };
        let shown = escaped(&shown);
        let status = request(&target, dice, &format!("{method} /unsubscribe/{shown}"), &[], b"")?;
        if status == 200 && shown != link {
            return Err(format!("a link that is not ours: {shown}, and ours is {link}"));
        }
        Ok(())
    });
}

#[test]
fn reports() {
    let target = Target::with(&[
        ("CARILLON_ENV", "development"),
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("delivery.public_url", "https://notify.example.com"),
    ]);
    bombard("reports", &target, |case, dice| {
        // The name of the address, then the form.
        let end = case.iter().position(|byte| *byte == b'\n').unwrap_or(case.len());
        let (name, form) = (escaped(&case[..end]), case.get(end + 1..).unwrap_or_default());
        let headers = [
            ("Content-Type", b"application/x-www-form-urlencoded".as_slice()),
            ("X-Twilio-Signature", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=".as_slice()),
        ];
        match request(&target, dice, &format!("POST /callbacks/twilio/{name}"), &headers, form)? {
            200..300 => Err("a report that nobody signed is believed".to_owned()),
            _ => Ok(()),
        }
    });
}

#[test]
fn cookies_and_forms() {
    let target = Target::with(&[]);
    let cookie = format!("carillon_dashboard={}", target.attacker(false));
    bombard("forms", &target, |case, dice| {
        let paths =
            ["/dashboard/login", "/dashboard/new-template", "/dashboard/templates/x", "/dashboard/logout"];
        let path = paths[dice.below(4) as usize];
        let kind = ("Content-Type", b"application/x-www-form-urlencoded".as_slice());
        let own = ("Origin", b"http://x".as_slice());
        request(&target, dice, &format!("POST {path}"), &[kind, own, ("Cookie", cookie.as_bytes())], case)?;
        // The same as a cookie opens nothing.
        let shown = match dice.below(2) {
            0 => super::mutilated(&[cookie.as_bytes().to_vec()], dice),
            _ => [b"carillon_dashboard=".as_slice(), case].concat(),
        };
        let status = request(&target, dice, "GET /dashboard", &[("Cookie", &shown)], b"")?;
        let holds = |whole: &[u8], part: &[u8]| whole.windows(part.len()).any(|window| window == part);
        if status == 200 && !holds(&line(&shown), cookie.as_bytes()) {
            return Err(format!("a cookie that is none: {}", String::from_utf8_lossy(&shown)));
        }
        Ok(())
    });
}

#[test]
fn templates() {
    let target = Target::with(&[]);
    let token = format!("Bearer {}", target.attacker(false));
    bombard("templates", &target, |case, dice| {
        let source = String::from_utf8_lossy(case);
        let wording = json!({"title": source, "message": source, "sms": source,
            "email": {"subject": source, "text": source, "html": source}});
        let template = json!({"type": "x", "default_locale": "en", "optional": ["name", "items"], "locales": {"en": wording}});
        let data = json!({"name": "Zoë <b>", "items": [1, "two", {"three": 3}]});
        let body = json!({"template": template, "data": data}).to_string();
        let headers = [("Authorization", token.as_bytes()), ("Content-Type", b"application/json".as_slice())];
        let first = "POST /api/v1/templates/preview";
        request(&target, dice, first, &headers, body.as_bytes()).map(drop)
    });
}

/// A command with arguments of any bytes.
fn redis(stream: &mut impl std::io::Write, words: &[&[u8]]) {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend([format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat());
    }
    stream.write_all(&command).expect("Redis");
}

#[test]
fn letters() {
    let store = Redis::private();
    let target = Target::with(&[("redis.url", &store.url())]);
    store.wait_for_listener();
    let mut line = std::os::unix::net::UnixStream::connect(store.socket()).expect("Redis");
    let mut answers = line.try_clone().expect("a socket");
    std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    let mut many = 0;
    bombard("letters", &target, |case, dice| {
        match dice.below(3) {
            0 => redis(&mut line, &[b"PUBLISH", b"notifications:send", case]),
            1 => redis(&mut line, &[b"XADD", b"notifications:stream", b"*", b"notification", case]),
            _ => redis(&mut line, &[b"XADD", b"notifications:stream", b"*", case, case]),
        }
        many += 1;
        if many % 200 == 0 {
            // One that is good arrives behind them.
            let title = format!("after {many}");
            let good = json!({"userId": 8, "type": "note", "title": title}).to_string();
            redis(&mut line, &[b"XADD", b"notifications:stream", b"*", b"notification", good.as_bytes()]);
            eventually("a good letter comes behind bad ones", || {
                Rest::user(&target.server, 8)
                    .titles()
                    .first()
                    .is_some_and(|first| *first == title)
                    .then_some(())
            });
        }
        Ok(())
    });
}
