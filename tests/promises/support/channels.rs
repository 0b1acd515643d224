//! Providers as the server has them, without a server around them.

use std::sync::Arc;

use carillon::config::{Config, Environment};
use carillon::delivery::channel::{Channels, Fault, Letter, Parcel, Taken};
use carillon::domain::{Channel, Email, Phone, Priority, SystemClock, Tenant};
use uuid::Uuid;

/// Providers by some settings, and a runtime to ask them in.
pub struct Provided {
    runtime: tokio::runtime::Runtime,
    pub channels: Channels,
}

impl Provided {
    /// Loopback is allowed, as it is nowhere else.
    pub fn with(settings: impl FnOnce(&mut Config)) -> Self {
        Self::try_with(settings).expect("settings that can be used")
    }

    pub fn try_with(settings: impl FnOnce(&mut Config)) -> Result<Self, String> {
        let mut config = Config::default();
        config.server.environment = Environment::Production;
        config.delivery.allow_loopback = true;
        settings(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        let channels = carillon::parts::channels(&config, Arc::new(SystemClock));
        drop(inside);
        Ok(Self { runtime, channels: channels.map_err(|fault| format!("{fault:#}"))? })
    }

    pub async fn to(&self, channel: Channel, parcel: Parcel) -> Result<Taken, Fault> {
        self.channels.of(channel).expect("a provider").send(&parcel).await
    }

    pub fn send(&self, channel: Channel, parcel: Parcel) -> Result<Taken, Fault> {
        self.runtime.block_on(self.to(channel, parcel))
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// One of several keys.
pub fn key(number: u128) -> Uuid {
    Uuid::from_u128((0x0193_0000_0000_7000_8000 << 48) + number)
}

/// Anything to anybody.
pub fn parcel(letter: Letter, key: Uuid) -> Parcel {
    Parcel {
        key,
        tenant: Tenant::default(),
        notification: Uuid::from_u128(7),
        kind: "note".to_owned(),
        priority: Priority::High,
        expires_at: None,
        letter,
    }
}

/// An e-mail that would like to be more than one.
pub fn email(to: &str, key: Uuid) -> Parcel {
    let letter = Letter::Email {
        to: Email::new(to).expect("an address"),
        subject: "Hello\r\nBcc: eve@example.com".to_owned(),
        text: "before the dot\r\n.\r\nMAIL FROM:<eve@example.com>".to_owned(),
        html: "<p>Γειά σου</p>".to_owned(),
        unsubscribe: Some("https://c.example/u/1".to_owned()),
    };
    parcel(letter, key)
}

/// A text message.
pub fn sms(to: &str, text: &str, key: Uuid) -> Parcel {
    parcel(Letter::Sms { to: Phone::new(to).expect("a number"), text: text.to_owned() }, key)
}
