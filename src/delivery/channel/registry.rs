//! Which provider takes what, by the settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::pumping::{Countries, Guarded};
use super::sendgrid::Sendgrid;
use super::sink::Sink;
use super::smtp::Smtp;
use super::sns::Sns;
use super::twilio::{Twilio, TwilioCallbacks};
use super::web_push::WebPush;
use super::{Channel, Unusable};
use crate::access::Vapid;
use crate::delivery::outbound::Outbound;
use crate::delivery::settings::{
    EmailProvider, EmailSettings, PushProvider, PushSettings, Settings, SmsProvider, SmsSettings,
};
use crate::domain::{self, Clock};
use crate::render::Pictures;

/// All settings that decide which provider takes what.
#[derive(Clone, Copy)]
pub struct ChannelSettings<'a> {
    /// `[delivery]`
    pub delivery: &'a Settings,
    /// `[email]`
    pub email: &'a EmailSettings,
    /// `[push]`
    pub push: &'a PushSettings,
    /// `[sms]`
    pub sms: &'a SmsSettings,
}

type Provider = Option<Arc<dyn Channel>>;

/// A provider for each way of delivery, as far as there is one.
pub struct Channels {
    email: Provider,
    push: Provider,
    sms: Provider,
    /// By what push services know this deployment; pages need its public key.
    pub vapid: Option<Arc<Vapid>>,
    /// What stands beside pushes whose senders name no pictures.
    pub pictures: Pictures,
    /// Reads what Twilio says of what it took.
    pub callbacks: Option<Arc<TwilioCallbacks>>,
    /// Whoever else calls an address that somebody named calls it by this.
    pub outbound: Arc<Outbound>,
}

impl Channels {
    /// As settings have it. Where none is set, the sink takes it; where there is no sink either, nobody does.
    ///
    /// # Errors
    /// When a setting cannot be used; it says which, and what to write.
    pub fn new(settings: ChannelSettings<'_>, clock: Arc<dyn Clock>) -> Result<Self, Unusable> {
        let ChannelSettings { delivery, email, push, sms } = settings;
        let patience = Duration::from_millis(delivery.timeout_ms);
        let outbound = Arc::new(Outbound::new(clock.clone(), patience, delivery.allow_loopback)?);
        let sink = sink(&delivery.sink_file, &clock)?;
        let vapid = match push.vapid_private_key.expose() {
            "" if push.vapid_public_key.is_empty() => None,
            private => {
                let vapid = Vapid::new(&push.vapid_public_key, private, &push.vapid_email);
                Some(Arc::new(vapid.map_err(|why| Unusable(why.to_string()))?))
            }
        };
        let pictures = Pictures::new(&push.icon, &push.badge).map_err(|which| {
            let rule = "write https://… or a path that begins with /, at most 512 bytes; or nothing";
            Unusable(format!("push.{which} is no picture's address; {rule}"))
        })?;
        let callbacks = match delivery.public_url.as_str() {
            _ if sms.twilio_auth_token.is_empty() => None,
            "" => None,
            url => {
                let token = sms.twilio_auth_token.clone();
                Some(Arc::new(TwilioCallbacks::new(url, &sms.twilio_account_sid, token)?))
            }
        };
        let named = |provider: &str, sink: &Provider| {
            let missing =
                format!("{provider}.provider is sink, but delivery.sink_file names no file; name one");
            sink.clone().map(Some).ok_or(Unusable(missing))
        };
        let is_set = |what: bool, provider: &'static str, needs: &'static str| {
            if what { Ok(()) } else { Err(Unusable(format!("{provider}; it needs {needs}"))) }
        };
        let provider = match email.provider {
            EmailProvider::Auto if !email.smtp_host.is_empty() => EmailProvider::Smtp,
            EmailProvider::Auto if !email.sendgrid_api_key.is_empty() => EmailProvider::Sendgrid,
            other => other,
        };
        let by_email: Provider = match provider {
            EmailProvider::Auto => sink.clone(),
            EmailProvider::Sink => named("email", &sink)?,
            EmailProvider::Smtp => {
                is_set(!email.smtp_host.is_empty(), "email goes by SMTP", "email.smtp_host (SMTP_HOST)")?;
                Some(Arc::new(Smtp::new(email, patience, clock.clone())?))
            }
            EmailProvider::Sendgrid => {
                let has_key = !email.sendgrid_api_key.is_empty();
                is_set(has_key, "email goes by SendGrid", "email.sendgrid_api_key (SENDGRID_API_KEY)")?;
                Some(Arc::new(Sendgrid::new(email, outbound.clone())?))
            }
        };
        let by_push: Provider = match (push.provider, &vapid) {
            (PushProvider::Sink, _) => named("push", &sink)?,
            (PushProvider::Auto, None) => None,
            (PushProvider::Auto, Some(vapid)) => {
                Some(Arc::new(WebPush::new(vapid.clone(), push.ttl_seconds, clock.clone(), outbound.clone())))
            }
        };
        let provider = match sms.provider {
            SmsProvider::Auto if !sms.twilio_account_sid.is_empty() => SmsProvider::Twilio,
            other => other,
        };
        let from = if provider == SmsProvider::Twilio { sms.twilio_from.as_str() } else { "" };
        let guarded = |inner: Arc<dyn Channel>| -> Result<Provider, Unusable> {
            Ok(Some(Arc::new(Guarded { inner, countries: Countries::new(&sms.countries, from)? })))
        };
        let by_sms: Provider = match provider {
            SmsProvider::Auto | SmsProvider::Sink => {
                let sink = if provider == SmsProvider::Sink { named("sms", &sink)? } else { sink };
                match sink {
                    // Nothing costs anything there.
                    Some(sink) if !sms.countries.is_empty() => guarded(sink)?,
                    sink => sink,
                }
            }
            SmsProvider::Twilio => {
                let has_token = !sms.twilio_auth_token.is_empty();
                is_set(has_token, "text messages go by Twilio", "sms.twilio_auth_token (TWILIO_AUTH_TOKEN)")?;
                is_set(
                    !sms.twilio_from.is_empty(),
                    "text messages go by Twilio",
                    "sms.twilio_from (TWILIO_PHONE_NUMBER): the number they come from",
                )?;
                guarded(Arc::new(Twilio::new(sms, callbacks.clone(), clock, outbound.clone())?))?
            }
            SmsProvider::Sns => guarded(Arc::new(Sns::new(sms, clock, outbound.clone())?))?,
        };
        Ok(Self { email: by_email, push: by_push, sms: by_sms, vapid, pictures, callbacks, outbound })
    }

    /// Who takes what goes this way; nobody, if none is set, and for what goes over sockets.
    pub fn of(&self, channel: domain::Channel) -> Option<&Arc<dyn Channel>> {
        match channel {
            domain::Channel::Realtime => None,
            domain::Channel::Email => self.email.as_ref(),
            domain::Channel::Push => self.push.as_ref(),
            domain::Channel::Sms => self.sms.as_ref(),
        }
    }
}

fn sink(file: &str, clock: &Arc<dyn Clock>) -> Result<Provider, Unusable> {
    if file.is_empty() {
        return Ok(None);
    }
    let sink = Sink::open(Path::new(file), clock.clone())
        .map_err(|why| Unusable(format!("delivery.sink_file: {file} cannot be opened: {why}")))?;
    Ok(Some(Arc::new(sink)))
}
