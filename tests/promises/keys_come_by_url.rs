//! Keys that come by URL follow their set: a new one counts within seconds, one that has left counts no more, a URL that
//! is down is asked again, and nobody is redirected to other keys.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use socket2::{Domain, Socket as Unheard, Type};

use crate::support::{
    BACKEND_TOKEN, Clients, JWT_SECRET, Server, Socket, certificates, eventually, in_seconds,
};

/// Keys that only these promises use.
const OLD: (&str, &str) = (
    "old",
    "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQMvSEu4GfY16PA8
Sa4VsutdESAti087o/oVGx9QfO2hRANCAAQTUjg6L+50iRPI5+76SzXyeFvWfJbW
kdDaPnT4naIJ/oT5bcgu5ZZwUJN80zQzwtAGL/Xwc0wu+EIJi647MdtC
-----END PRIVATE KEY-----",
);
const NEW: (&str, &str) = (
    "new",
    "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/w5d39JFS/sm6uGD
A4FMwRq0Rne9988llI0kPfdlRbOhRANCAATwLCIY1aZnNnVfzP20oh7aeaqQiaki
XwRH0FpKLC/riOHyaXe+hQR89dAhjHGXwK4CgU9s4HC9+bMMwSYacp+H
-----END PRIVATE KEY-----",
);

type Pair = (&'static str, &'static str);

fn private((_, pem): Pair) -> EncodingKey {
    EncodingKey::from_ec_pem(pem.as_bytes()).expect("a key")
}

/// Facilitator 2's token, signed by this key.
fn token(pair: Pair) -> String {
    let header = Header { kid: Some(pair.0.to_owned()), ..Header::new(Algorithm::ES256) };
    encode(&header, &json!({"sub": "2", "exp": in_seconds(3600)}), &private(pair)).expect("a token")
}

fn set_of(pairs: &[Pair]) -> String {
    let public = pairs.iter().map(|pair| {
        let mut jwk = Jwk::from_encoding_key(&private(*pair), Algorithm::ES256).expect("its public half");
        jwk.common.key_id = Some(pair.0.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk
    });
    // Such keys are in many sets, or should not be; none of them counts.
    let others = [
        json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": "YS1zZWNyZXQtdGhhdC1vbmx5LXRoZXNlLXByb21pc2VzLWtub3c"}),
        json!({"kty": "RSA", "kid": "rsa", "use": "enc", "n": "AQAB", "e": "AQAB"}),
    ];
    let keys: Vec<Value> = public.map(|jwk| json!(jwk)).chain(others).collect();
    json!({"keys": keys}).to_string()
}

trait Talk: Read + Write {}
impl<T: Read + Write> Talk for T {}

/// Answers every request with what it was told last.
struct Issuer {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    unheard: Option<Unheard>,
}

impl Issuer {
    /// Has an address, where connections are refused.
    fn down() -> Self {
        let socket = Unheard::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("its address");
        Self { address, answer: Arc::default(), asked: Arc::default(), unheard: Some(socket) }
    }

    fn with(keys: &[Pair]) -> Self {
        let mut issuer = Self::down();
        issuer.publish(keys);
        issuer.go_up();
        issuer
    }

    fn go_up(&mut self) {
        self.answer_by(|stream| Box::new(stream));
    }

    /// Speaks TLS, as `localhost`.
    fn go_up_encrypted(&mut self) {
        let certificates = CertificateDer::pem_file_iter(certificates::localhost()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(certificates::localhost_key()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates.map(|one| one.expect("a certificate")).collect(), key)
            .expect("a certificate and its key");
        let config = Arc::new(config);
        self.answer_by(move |stream| {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            Box::new(StreamOwned::new(connection, stream))
        });
    }

    fn answer_by(&mut self, speak: impl Fn(TcpStream) -> Box<dyn Talk> + Send + 'static) {
        let socket = self.unheard.take().expect("to be down");
        socket.listen(16).expect("to listen");
        let (listener, answer, asked): (TcpListener, _, _) =
            (socket.into(), self.answer.clone(), self.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = speak(stream);
                let head = BufReader::new(&mut stream).lines().map_while(Result::ok);
                head.take_while(|line| !line.is_empty()).for_each(drop);
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().expect("an answer").clone();
                stream.write_all(answer.as_bytes()).ok();
            }
        });
    }

    fn says(&self, status: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().expect("an answer") = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nCache-Control: max-age=86400\r\nConnection: close\r\n\r\n{body}"
        );
    }

    fn publish(&self, keys: &[Pair]) {
        self.says("200 OK", &set_of(keys));
    }

    fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn server_with(issuer: &Issuer, refresh: &str) -> Server {
    Server::with(&[
        ("auth.jwt_algorithm", "ES256"),
        ("auth.jwt_jwks_url", &issuer.url()),
        ("auth.jwt_jwks_refresh_seconds", refresh),
    ])
}

fn answer(page: &Socket, token: &str) -> Value {
    page.call("facilitator_connect", json!({"facilitator_id": 2, "token": token}))
}

fn is_good(page: &Socket, token: &str) -> bool {
    answer(page, token)["status"] == "authenticated"
}

/// Why it is refused.
fn refusal(page: &Socket, token: &str) -> String {
    let answer = answer(page, token);
    assert_eq!(answer["error"], "Invalid token", "{answer}");
    answer["detail"].as_str().expect("a reason").to_owned()
}

/// Tries again as patiently as a person would.
fn in_the_end(hope: &str, mut ask: impl FnMut() -> bool) {
    eventually(hope, || {
        sleep(Duration::from_millis(300));
        ask().then_some(())
    });
}

#[test]
fn a_new_key_counts_within_seconds_and_a_removed_one_no_more() {
    let issuer = Issuer::with(&[OLD]);
    let server = server_with(&issuer, "300");
    let page = Clients::of(&server).stranger();
    assert!(is_good(&page, &token(OLD)), "a key of the first set");
    let (name, _) = NEW;
    let pretender = token((name, OLD.1));
    issuer.publish(&[NEW]);
    assert!(is_good(&page, &token(OLD)), "nobody has asked for another");
    assert!(refusal(&page, &token(NEW)).contains("kid"), "it is told what is amiss");
    in_the_end("the new key counts", || is_good(&page, &token(NEW)));
    assert!(refusal(&page, &token(OLD)).contains("kid"));
    assert!(refusal(&page, &pretender).contains("not signed"), "an old key under a new name");
    // However many tokens ask for keys that nobody has, the issuer is asked once in ten seconds.
    let (before, start) = (issuer.asked(), Instant::now());
    for _ in 0..20 {
        refusal(&page, &token(("neither", NEW.1)));
        sleep(Duration::from_millis(100));
    }
    let asked = issuer.asked() - before;
    assert!(asked as u64 <= 1 + start.elapsed().as_secs() / 10, "{asked} requests");
}

#[test]
fn a_removed_key_goes_without_anybody_asking() {
    let issuer = Issuer::with(&[OLD, NEW]);
    let server = server_with(&issuer, "10");
    let page = Clients::of(&server).stranger();
    assert!(is_good(&page, &token(OLD)) && is_good(&page, &token(NEW)));
    // What is no key set changes nothing.
    issuer.says("500 Internal Server Error", &set_of(&[NEW]));
    let warned = |what: &str| server.log().iter().any(|line| line.contains("WARN") && line.contains(what));
    in_the_end("a failed fetch is told", || warned("those there are stay"));
    assert!(is_good(&page, &token(OLD)) && is_good(&page, &token(NEW)));
    issuer.publish(&[NEW]);
    in_the_end("the removed key counts no more", || !is_good(&page, &token(OLD)));
    assert!(is_good(&page, &token(NEW)));
}

#[test]
fn a_url_that_is_down_at_the_start_is_asked_again() {
    let mut issuer = Issuer::down();
    let server = server_with(&issuer, "300");
    let clients = Clients::of(&server);
    let told = |line: &String| line.contains("WARN") && line.contains("there are no keys");
    server.wait_for_line("the log tells of it", told);
    let page = clients.stranger();
    assert!(refusal(&page, &token(OLD)).contains("has not got the keys yet"));
    let backend = clients.stranger();
    backend.emit("backend_connect", json!({"token": BACKEND_TOKEN}));
    backend.hear("backend_auth_success"); // needs no key
    issuer.publish(&[OLD]);
    issuer.go_up();
    in_the_end("the keys are there", || is_good(&page, &token(OLD)));
}

#[test]
fn an_encrypted_url_is_believed_by_its_certificate() {
    for (roots, is_believed) in [(certificates::authority(), true), (certificates::stranger(), false)] {
        let mut issuer = Issuer::down();
        issuer.publish(&[OLD]);
        issuer.go_up_encrypted();
        let url = format!("https://localhost:{}/keys", issuer.address.port());
        let server = Server::with(&[
            ("auth.jwt_algorithm", "ES256"),
            ("auth.jwt_jwks_url", &url),
            ("SSL_CERT_FILE", &roots),
        ]);
        let page = Clients::of(&server).stranger();
        assert_eq!(is_good(&page, &token(OLD)), is_believed);
        let told = |line: &String| line.contains("invalid peer certificate");
        if is_believed {
            assert!(!server.log().iter().any(told));
        } else {
            server.wait_for_line("the log tells why", told);
        }
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Issuer::with(&[OLD]);
    let issuer = Issuer::with(&[]);
    issuer.says(&format!("302 Found\r\nLocation: {}", elsewhere.url()), "");
    let server = server_with(&issuer, "10");
    let page = Clients::of(&server).stranger();
    assert!(refusal(&page, &token(OLD)).contains("has not got the keys yet"));
    in_the_end("it is asked again", || issuer.asked() >= 2);
    assert!(refusal(&page, &token(OLD)).contains("has not got the keys yet"));
    assert_eq!(elsewhere.asked(), 0);
    server.wait_for_line("the log tells why", |line| line.contains("redirects are not followed"));
}

#[test]
fn a_huge_answer_and_a_shared_secret_open_nothing() {
    let issuer = Issuer::with(&[]);
    issuer.says("200 OK", &format!("{}{}", " ".repeat(1_000_000), set_of(&[OLD])));
    let server = server_with(&issuer, "10");
    let page = Clients::of(&server).stranger();
    assert!(refusal(&page, &token(OLD)).contains("has not got the keys yet"));
    issuer.publish(&[OLD]);
    in_the_end("the set is there", || is_good(&page, &token(OLD)));
    let claims = json!({"sub": "2", "exp": in_seconds(3600)});
    let header = Header { kid: Some("shared".to_owned()), ..Header::new(Algorithm::HS256) };
    let forged = encode(&header, &claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes())).expect("a token");
    assert!(refusal(&page, &forged).contains("not signed"));
}
