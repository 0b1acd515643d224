//! Floods of doors that are reached in other ways: lines that are encrypted, the dashboard's live pages, and what is sent by
//! polling.

use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::Stage;
use super::caller::{Answer, Caller, FLOODER, read_answer};
use crate::support::{Authority, PATIENCE, call, in_seconds, quiet_port, sign};

/// Whoever trusts this authority.
fn trusting(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).expect("a certificate")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn dial(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// Says this over an encrypted line of its own, and takes the answer; the line stays.
fn ask_encrypted(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    words: &str,
) -> Option<(Answer, impl Read)> {
    let name = ServerName::try_from("127.0.0.1").ok()?;
    let line = ClientConnection::new(config.clone(), name).ok()?;
    let mut stream = StreamOwned::new(line, dial(address)?);
    stream.write_all(words.as_bytes()).ok()?;
    let (answer, _) = read_answer(&mut stream).ok()?;
    Some((answer, stream))
}

#[test]
fn floods_of_encrypted_lines() {
    let authority = Authority::new();
    let identity = authority.vouch_for("IP:127.0.0.1");
    let address = SocketAddr::from(([127, 0, 0, 1], quiet_port()));
    let stage = Stage::new(&[
        ("server.tls_certificate", &identity.certificate.display().to_string()),
        ("server.tls_key", &identity.key.display().to_string()),
        ("server.tls_port", &address.port().to_string()),
    ]);
    let config = trusting(&authority);
    let live = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = stage.flood(
        "encrypted lines, one after the other",
        8,
        |_| (),
        |(), answers| {
            answers.note(ask_encrypted(&config, address, live).map(|(answer, _)| answer).as_ref());
        },
    );
    assert!(answers.of(200) > 0, "{answers:?}");
    let answers = stage.flood(
        "encrypted lines that are kept and not used",
        8,
        |_| Vec::new(),
        |held, answers| match held.len() {
            0..60 => {
                let asked = ask_encrypted(&config, address, live);
                answers.note(asked.as_ref().map(|(answer, _)| answer));
                held.extend(asked.map(|(_, stream)| stream));
            }
            _ => sleep(Duration::from_millis(20)),
        },
    );
    assert!(answers.of(200) > 0, "{answers:?}");
    // The first bytes of a greeting that says it is longer; then whatever is no greeting at all.
    for (door, words) in [
        ("greetings that are never ended", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..]),
        ("greetings that are none", &[b'x'; 4_000][..]),
        ("encrypted lines on which nothing is said", &[][..]),
    ] {
        stage.flood(
            door,
            8,
            |_| Vec::new(),
            |held: &mut Vec<TcpStream>, answers| {
                if held.len() == 150 {
                    return sleep(Duration::from_millis(20));
                }
                let Some(mut stream) = dial(address) else { return answers.note(None) };
                stream.write_all(words).ok();
                held.push(stream);
            },
        );
        let asked = ask_encrypted(&config, address, live).map(|(answer, _)| answer.status);
        assert_eq!(asked, Some(200), "{door}");
    }
    stage.ends_well();
}

#[test]
fn floods_of_the_dashboards_live_pages() {
    let stage = Stage::new(&[("limits.sockets_per_address", "300")]);
    let token = sign(&json!({"sub": "the-viewer", "role": "viewer", "exp": in_seconds(600)}));
    let from = stage.server.url();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let login = [("Origin", from.as_str()), kind];
    let form = format!("token={token}");
    let reply = call(stage.server.address, "POST", "/dashboard/login", &login, Some(form.as_str()));
    let cookie =
        reply.header("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie").to_owned();
    let headers = [("X-Forwarded-For", FLOODER), ("Cookie", &*cookie)];
    for page in ["overview", "nodes"] {
        let path = format!("/dashboard/live?page={page}");
        let answers = stage.flood(
            &format!("live pages: {page}"),
            8,
            |_| Vec::new(),
            |held: &mut Vec<Caller>, answers| {
                let mut flooder = Caller::new(stage.server.address, &headers);
                flooder.begin("GET", &path, 0, "");
                let answer = flooder.answered_within(PATIENCE);
                answers.note(answer.as_ref());
                held.extend(answer.filter(|answer| answer.status == 200).map(|_| flooder));
            },
        );
        assert!((1..=64).contains(&answers.of(200)) && answers.of(503) > 0, "{answers:?}");
    }
    let answers = stage.flood(
        "live pages that are opened and left",
        8,
        |_| (),
        |(), answers| {
            let mut flooder = Caller::new(stage.server.address, &headers);
            flooder.begin("GET", "/dashboard/live?page=overview", 0, "");
            answers.note(flooder.answered_within(PATIENCE).as_ref());
        },
    );
    assert!(answers.of(200) > 0, "{answers:?}");
    stage.ends_well();
}

/// Opens a session by polling, in the name of the flooder; its path.
fn session(flooder: &mut Caller) -> Option<String> {
    const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
    let answer = flooder.ask("GET", OPEN, "").filter(|answer| answer.status == 200)?;
    let opened: serde_json::Value = serde_json::from_str(answer.body.strip_prefix('0')?).ok()?;
    Some(format!("{OPEN}&sid={}", opened["sid"].as_str()?))
}

#[test]
fn floods_of_what_is_sent_by_polling() {
    let stage = Stage::new(&[("limits.opened_per_minute", "0")]);
    let answers = stage.flood(
        "events by polling",
        16,
        |_| (stage.flooder(""), None::<String>),
        |(flooder, path), answers| {
            if let Some(known) = path {
                let event = r#"42["mark_notification_read",{"facilitator_id":1}]"#;
                let answer = flooder.ask("POST", known, &vec![event; 200].join("\u{1e}"));
                answers.note(answer.as_ref());
                if answer.is_none_or(|answer| answer.status != 200) {
                    *path = None;
                }
            } else if let Some(opened) = session(flooder) {
                answers.note(flooder.ask("POST", &opened, "40").as_ref());
                *path = Some(opened);
            } else {
                sleep(Duration::from_millis(5));
            }
        },
    );
    assert!(answers.of(200) > 0, "{answers:?}");
    for (door, piece) in [
        ("messages by polling that are half sent", "4"),
        ("packets by polling that are half sent", "4x\u{1e}"),
    ] {
        let half = match piece.len() {
            1 => format!("42[\"x\",\"{}", "x".repeat(600_000)),
            _ => piece.repeat(200_000),
        };
        let answers = stage.flood(
            door,
            16,
            |_| Vec::new(),
            |held: &mut Vec<Caller>, answers| {
                if held.len() == 6 {
                    return sleep(Duration::from_millis(20));
                }
                let mut flooder = stage.flooder("");
                let Some(path) = session(&mut flooder) else { return sleep(Duration::from_millis(5)) };
                flooder.begin("POST", &path, 900_000, &half);
                // One of these is refused at once, however long that takes on a busy machine.
                let patience = Duration::from_millis(if piece.len() > 1 { 20 } else { 3_000 });
                answers.note(flooder.answered_within(patience).as_ref());
                held.push(flooder);
            },
        );
        // A message that is longer than any may be is not waited for.
        assert!(piece.len() > 1 || answers.of(400) > 0, "{door}: {answers:?}");
    }
    stage.ends_well();
}
