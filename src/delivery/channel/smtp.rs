//! E-mail by a mail server (RFC 5321).
//!
//! Connections are kept here, not by the library: one that was left in the middle of something, because time was up, is
//! never used again. Its late answer would be taken for that to the next message.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, response::Code};
use tokio::sync::Semaphore;

use super::mail::Sender;
use super::{Channel, Fault, Parcel, Taken, Unusable};
use crate::delivery::settings::{EmailSettings, Security};
use crate::domain::Clock;

/// A connection that nobody used for so long is not used again: servers close them after a while.
const IDLE: Duration = Duration::from_secs(30);
/// Letters that go over one connection.
const MOST_LETTERS: u32 = 100;

/// A mail server.
pub struct Smtp {
    sender: Sender,
    host: String,
    port: u16,
    security: Security,
    tls: TlsParameters,
    hello: ClientId,
    credentials: Option<Credentials>,
    patience: Duration,
    clock: Arc<dyn Clock>,
    /// Those that nobody uses.
    idle: Mutex<Vec<Line>>,
    /// As many as may be used.
    free: Semaphore,
    connections: usize,
}

/// A connection.
struct Line {
    smtp: AsyncSmtpConnection,
    since: Instant,
    letters: u32,
}

/// Says hello to the mail server of `settings` as for a letter, with TLS and login, and leaves.
///
/// # Errors
/// Why that cannot be done.
pub async fn greet_mail_server(
    settings: &EmailSettings,
    patience: Duration,
    clock: Arc<dyn Clock>,
) -> Result<(), String> {
    let smtp = Smtp::new(settings, patience, clock).map_err(|why| why.to_string())?;
    let late = || Err(Fault::Retry { after: None, reason: "it does not answer".to_owned() });
    let connected = tokio::time::timeout(patience, smtp.connect()).await.unwrap_or_else(|_| late());
    match connected {
        Ok(mut line) => {
            line.smtp.abort().await;
            Ok(())
        }
        Err(Fault::Retry { reason, .. }) => Err(reason),
        Err(_) => Err("it cannot be used".to_owned()),
    }
}

impl Smtp {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(
        settings: &EmailSettings,
        patience: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Unusable> {
        let sender = Sender::new(&settings.from).map_err(Unusable)?;
        let mut tls = TlsParameters::builder(settings.smtp_host.clone());
        let wrong_file = |why: &dyn std::fmt::Display| {
            let file = &settings.smtp_ca_file;
            Unusable(format!("email.smtp_ca_file: {file} holds no certificate in PEM: {why}"))
        };
        if settings.smtp_ca_file.is_empty() {
            for found in rustls_native_certs::load_native_certs().certs {
                if let Ok(root) = Certificate::from_der(found.to_vec()) {
                    tls = tls.add_root_certificate(root);
                }
            }
        } else {
            let pem = std::fs::read(&settings.smtp_ca_file).map_err(|why| wrong_file(&why))?;
            tls = tls.certificate_store(CertificateStore::None);
            tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(|why| wrong_file(&why))?);
        }
        let tls = tls.build().map_err(|why| Unusable(format!("there is no TLS for e-mail: {why}")))?;
        let has_login = !settings.smtp_user.is_empty();
        let login = (settings.smtp_user.clone(), settings.smtp_password.expose().to_owned());
        Ok(Self {
            hello: ClientId::Domain(sender.from.email.domain().to_owned()),
            sender,
            host: settings.smtp_host.clone(),
            port: settings.smtp_port,
            security: settings.smtp_security,
            tls,
            credentials: has_login.then(|| Credentials::from(login)),
            patience,
            clock,
            idle: Mutex::default(),
            free: Semaphore::new(settings.smtp_connections.max(1)),
            connections: settings.smtp_connections.max(1),
        })
    }

    /// A connection that has logged in. Whatever goes wrong here is no fault of a letter's.
    async fn connect(&self) -> Result<Line, Fault> {
        let at_once = (self.security == Security::Tls).then(|| self.tls.clone());
        let server = (self.host.as_str(), self.port);
        let fault = |why: Error| {
            let reason = format!("the mail server cannot be used: {}", in_words(&why));
            Fault::Retry { after: None, reason }
        };
        let mut smtp =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.patience), &self.hello, at_once, None)
                .await
                .map_err(fault)?;
        if self.security == Security::Starttls {
            smtp.starttls(self.tls.clone(), &self.hello).await.map_err(fault)?;
        }
        if let Some(credentials) = &self.credentials {
            smtp.auth(DEFAULT_MECHANISMS, credentials).await.map_err(fault)?;
        }
        Ok(Line { smtp, since: Instant::now(), letters: 0 })
    }

    /// One that nobody uses, if it still answers; else a new one.
    async fn line(&self) -> Result<Line, Fault> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
            let Some(mut line) = idle else { return self.connect().await };
            if line.since.elapsed() < IDLE && line.smtp.test_connected().await {
                return Ok(line);
            }
        }
    }

    async fn hand_over(&self, parcel: &Parcel) -> Result<Taken, Fault> {
        let message = self.sender.message(parcel, self.clock.now())?;
        let mut line = self.line().await?;
        let answer =
            line.smtp.send(message.envelope(), &message.formatted()).await.map_err(|why| fate(&why))?;
        line.letters += 1;
        line.since = Instant::now();
        if line.letters < MOST_LETTERS {
            self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line);
        } else {
            line.smtp.abort().await;
        }
        let said = answer.first_line().map(|said| said.chars().take(200).collect());
        Ok(Taken { provider_id: said })
    }
}

/// What a mail server's no means.
fn fate(why: &Error) -> Fault {
    let reason = format!("the mail server said no: {}", in_words(why));
    // A mailbox is full, or whoever writes to it for the first time has to come again.
    if matches!(why.status().map(u16::from), Some(450..=452)) {
        return Fault::Later { reason };
    }
    if !why.is_permanent() {
        // It is busy, or the line broke, whether it had taken the letter or not.
        return Fault::Retry { after: None, reason };
    }
    let code = why.status().map(u16::from).unwrap_or_default();
    match code {
        // It wants a login, or another one: no fault of the letter's.
        530 | 534 | 535 | 538 => Fault::Retry { after: None, reason },
        _ if enhanced(why).is_some_and(|code| is_nobody(&code)) => Fault::Gone { reason },
        _ => Fault::Reject { reason },
    }
}

/// What stands behind the code (RFC 3463): `5.1.1`.
fn enhanced(why: &Error) -> Option<String> {
    let said = std::error::Error::source(why)?.to_string();
    let word = said.split_whitespace().next()?;
    let is_code = word.split('.').count() == 3 && word.split('.').all(|part| part.parse::<u16>().is_ok());
    is_code.then(|| word.to_owned())
}

/// Whether it says that nobody has such an address: the mailbox is unknown or has moved, or the domain takes no mail. A mere
/// 550 may as well be about what was written.
fn is_nobody(enhanced: &str) -> bool {
    matches!(enhanced, "5.1.1" | "5.1.2" | "5.1.6" | "5.1.10")
}

/// The code, and its meaning where that is known. What else a server says may repeat the address.
fn in_words(why: &Error) -> String {
    match (why.status(), enhanced(why)) {
        (Some(code), Some(enhanced)) => format!("{} {enhanced}", shown(code)),
        (Some(code), None) => shown(code),
        (None, _) if why.is_timeout() => "it does not answer in time".to_owned(),
        (None, _) if why.is_client() => {
            "it does not offer what is set (STARTTLS, or a way to log in)".to_owned()
        }
        (None, _) if why.is_response() => "it broke off, or its answer is none".to_owned(),
        (None, _) => format!("the line to it broke, or it cannot be reached{}", below(why)),
    }
}

/// What the system, or TLS, says of a line; a mail server says none of it.
fn below(why: &Error) -> String {
    let mut text = String::new();
    let mut below = std::error::Error::source(why);
    while let Some(inner) = below {
        text = format!("{text}: {inner}");
        below = inner.source();
    }
    text
}

fn shown(code: Code) -> String {
    u16::from(code).to_string()
}

impl Channel for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn most_at_once(&self) -> usize {
        self.connections
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        Box::pin(async move {
            // The mail server is given its time from when it is asked.
            let _turn = self.free.acquire().await;
            let late = |_| {
                let reason = format!("the mail server did not answer within {:?}", self.patience);
                Err(Fault::Retry { after: None, reason })
            };
            tokio::time::timeout(self.patience, self.hand_over(parcel)).await.unwrap_or_else(late)
        })
    }
}
