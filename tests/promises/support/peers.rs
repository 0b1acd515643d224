//! Providers on loopback (`tests/clients/peers.py`), and what they got.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Server, certificates, eventually};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// As the peers know them.
pub const SENDGRID_KEY: &str = "SG.bells";
pub const TWILIO_SID: &str = "AC0123456789abcdef0123456789abcdef";
pub const TWILIO_TOKEN: &str = "twilio-token";

/// A mail server, push services, SendGrid, Twilio and SNS, and a program that is told by webhooks.
pub struct Peers {
    child: Child,
    told: Arc<Mutex<Vec<Value>>>,
    all: Value,
}

impl Peers {
    pub fn start() -> Self {
        let mut child = Command::new(format!("{CLIENTS}/.venv/bin/python"))
            .arg(format!("{CLIENTS}/peers.py"))
            .args([certificates::localhost(), certificates::localhost_key()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("the peers: {e}; what they need is installed by `make clients`"));
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = lines.next().and_then(Result::ok).expect("the peers to begin");
        let all = serde_json::from_str(&first).expect("JSON");
        let told = Arc::<Mutex<Vec<Value>>>::default();
        let kept = told.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().expect("the peers").push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { child, told, all }
    }

    pub fn port(&self, peer: &str) -> u16 {
        self.all["ports"][peer].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
    }

    pub fn url(&self, peer: &str) -> String {
        format!("http://127.0.0.1:{}", self.port(peer))
    }

    /// What the page of the peers' device sends, with an endpoint that answers like this: `201`, `410`, `hang`.
    pub fn subscription(&self, how: &str, name: &str) -> Value {
        let endpoint = format!("{}/{how}/{name}", self.url("push"));
        json!({
            "endpoint": endpoint, "expirationTime": null,
            "keys": {"p256dh": self.all["p256dh"], "auth": self.all["auth"]},
        })
    }

    /// Webhooks may be signed by this secret, too.
    pub fn know(&mut self, secret: &str) {
        let line = json!({"secret": secret});
        writeln!(self.child.stdin.as_mut().expect("their input"), "{line}").expect("that they listen");
        self.hear("known", |told| told["secret"] == secret);
    }

    /// What this peer told so far.
    pub fn told(&self, peer: &str) -> Vec<Value> {
        let told = self.told.lock().expect("the peers");
        told.iter().filter(|told| told["peer"] == peer).cloned().collect()
    }

    /// Waits until this peer tells something like it.
    #[track_caller]
    pub fn hear(&self, peer: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{peer} gets it: {:?}", self.told(peer)), || {
            self.told(peer).into_iter().find(|told| is_it(told))
        })
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server whose text messages go to this URL.
pub fn by_twilio(url: &str, more: &[(&str, &str)]) -> Server {
    let usual = [
        ("CARILLON_ENV", "development"),
        ("delivery.allow_loopback", "true"),
        ("TWILIO_ACCOUNT_SID", TWILIO_SID),
        ("TWILIO_AUTH_TOKEN", TWILIO_TOKEN),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("sms.twilio_url", url),
        ("delivery.public_url", "https://notify.example.com"),
    ];
    Server::with(&[&usual, more].concat())
}
