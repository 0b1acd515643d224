//! A file that takes what no provider is set for: one line of JSON for each parcel. For development, where everything is
//! to work without accounts, and for measuring.
//!
//! What is in the file are people's addresses and what they were told, so only its owner may read it.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{Channel, Fault, Letter, Parcel, Taken};
use crate::domain::Clock;

/// Lines that may wait to be written.
const WAITING: usize = 4_096;

/// One line, and who waits until it is in the file.
struct Line {
    text: String,
    told: oneshot::Sender<Result<(), String>>,
}

/// The file.
pub struct Sink {
    lines: mpsc::Sender<Line>,
    clock: Arc<dyn Clock>,
}

impl Sink {
    /// Opens `path`, and goes on behind what is there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let (lines, waiting) = mpsc::channel(WAITING);
        let path = path.to_owned();
        // It ends when nobody can send any more.
        std::thread::Builder::new().name("sink".to_owned()).spawn(move || write(file, &path, waiting))?;
        Ok(Self { lines, clock })
    }

    fn line(&self, parcel: &Parcel) -> String {
        let (channel, to, said) = match &parcel.letter {
            Letter::Email { to, subject, text, html, unsubscribe } => {
                let said =
                    json!({"subject": subject, "text": text, "html": html, "unsubscribe": unsubscribe});
                ("email", to.expose().to_owned(), said)
            }
            Letter::Push { to, payload } => {
                // What is an object is shown as one.
                let payload: Value = serde_json::from_str(payload).unwrap_or_else(|_| json!(payload));
                let keys = json!({
                    "p256dh": URL_SAFE_NO_PAD.encode(&to.p256dh), "auth": URL_SAFE_NO_PAD.encode(&to.auth),
                });
                ("push", to.endpoint.clone(), json!({"payload": payload, "keys": keys}))
            }
            Letter::Sms { to, text } => ("sms", to.expose().to_owned(), json!({"text": text})),
        };
        let mut line = json!({
            "at": self.clock.now(),
            "key": parcel.key,
            "channel": channel,
            "to": to,
            "tenant": parcel.tenant.as_str(),
            "notification": parcel.notification,
            "type": parcel.kind,
            "priority": parcel.priority.name(),
            "expires_at": parcel.expires_at,
        });
        if let (Value::Object(line), Value::Object(said)) = (&mut line, said) {
            line.extend(said);
        }
        format!("{line}\n")
    }
}

/// Writes what waits, all at once, and tells whoever waits for it.
fn write(mut file: File, path: &Path, mut waiting: mpsc::Receiver<Line>) {
    let (mut bytes, mut told) = (Vec::new(), Vec::new());
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        while let Some(line) = next {
            bytes.extend_from_slice(line.text.as_bytes());
            told.push(line.told);
            next = if told.len() < WAITING { waiting.try_recv().ok() } else { None };
        }
        let outcome = file.write_all(&bytes).map_err(|fault| {
            tracing::error!(file = %path.display(), %fault, "the sink cannot be written to");
            fault.to_string()
        });
        for told in told.drain(..) {
            told.send(outcome.clone()).ok();
        }
        bytes.clear();
    }
}

impl Channel for Sink {
    fn name(&self) -> &'static str {
        "sink"
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        Box::pin(async move {
            let closed = || "the sink is closed".to_owned();
            let (told, hear) = oneshot::channel();
            let sent = self.lines.send(Line { text: self.line(parcel), told }).await;
            let written = match sent {
                Ok(()) => hear.await.unwrap_or_else(|_| Err(closed())),
                Err(_) => Err(closed()),
            };
            match written {
                Ok(()) => Ok(Taken { provider_id: None }),
                Err(fault) => Err(Fault::Retry {
                    after: None,
                    reason: format!("the sink cannot be written to: {fault}"),
                }),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::delivery::channel::sample;
    use crate::domain::{Email, SystemClock};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_taken_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sink.jsonl");
        let sink = Arc::new(Sink::open(&path, Arc::new(SystemClock)).unwrap());
        let to = Email::new("ana@example.com").unwrap();
        let (subject, text, html) = ("Hello\nthere".to_owned(), "text".to_owned(), "<p>html</p>".to_owned());
        let letter = Letter::Email { to, subject, text, html, unsubscribe: None };
        let began = std::time::Instant::now();
        let sends = (0..20_000).map(|_| {
            let (sink, parcel) = (sink.clone(), sample(letter.clone()));
            async move { sink.send(&parcel).await }
        });
        use futures_util::stream::StreamExt as _;
        let taken = futures_util::stream::iter(sends).buffer_unordered(256).collect::<Vec<_>>().await;
        let spent = began.elapsed();
        assert!(taken.iter().all(Result::is_ok));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 20_000);
        for line in text.lines().take(10) {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["channel"], &line["to"]), (&json!("email"), &json!("ana@example.com")));
            assert_eq!(line["subject"], "Hello\nthere");
        }
        println!("{:.0} parcels per second", 20_000.0 / spent.as_secs_f64());
    }
}
