//! What the app is put together of, as far as settings decide.

mod room;

use std::collections::HashMap;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use self::room::room;
pub use self::room::{LEAST_SOCKETS, RAISE, descriptors, is_enough, room_in};
use crate::access::{Links, Mint};
use crate::config::{Config, Environment};
use crate::delivery::channel::{ChannelSettings, Channels};
use crate::delivery::webhooks::Webhooks;
use crate::delivery::{CatchUp, Dispatch, Letters, Live, Templates, Way};
use crate::domain::{Channel, Clock};
use crate::gateway::ingest::{Letterbox, Traces};
use crate::gateway::{Admission, Origins};
use crate::http::{DeadLetters, Demo, Letter};
use crate::listen::{Listener, Tls};
use crate::realtime::backplane::{self, Alone, Redis};
use crate::secrets;
use crate::service::{Alarms, BeyondReach, Crowd, CrowdLimits, Exporter, Outside, Quota, quota};
use crate::store::{DatabaseUrl, SmsCaps, Store};
use crate::telemetry::Metrics;

/// The demo's people, side by side.
const DEMO_PEOPLE: [(u32, &str); 2] = [(2, "Amara"), (5, "Björn")];
/// What to say when Redis cannot be used as it is set.
pub const UNUSABLE_REDIS: &str = "redis.url (REDIS_URL), redis.ca_file, or a name in [ingest] cannot be used; an address \
    looks like redis://host:6379, with TLS rediss://host:6380";
/// How long the demo's tokens last, in seconds.
const DEMO_TOKEN: i64 = 12 * 60 * 60;

/// The line to other nodes, if there can be any.
pub async fn backplane(
    config: &Config,
    store: &Store,
    node: &str,
    catch_up: &CatchUp,
    listening: &Arc<OnceLock<Weak<Live>>>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<backplane::Shared> {
    if config.redis.url.is_empty() {
        return Ok(Arc::new(Alone));
    }
    if !store.is_shared() {
        match config.ingest.stream.is_empty() {
            true => tracing::warn!(
                "REDIS_URL is not used: an SQLite database has one node; set DATABASE_URL for more"
            ),
            false => tracing::info!(
                "REDIS_URL is used only to take what other programs leave there: an SQLite database has one node; set \
                 DATABASE_URL for more"
            ),
        }
        return Ok(Arc::new(Alone));
    }
    let listening = listening.clone();
    let heard = move |recipient, text: &[u8]| {
        if let Some(live) = listening.get().and_then(Weak::upgrade) {
            live.heard(&recipient, text);
        }
    };
    let missed = catch_up.clone();
    let changed = move || missed.everybody();
    let deployment = store.deployment().await?;
    let redis = Redis::start(&config.redis, &deployment, node, Box::new(heard), changed, metrics.clone())
        .context(UNUSABLE_REDIS)?;
    Ok(Arc::new(redis))
}

/// Who counts requests: each node, or all of them together.
pub async fn quota(config: &Config, store: &Store) -> anyhow::Result<Quota> {
    let limits = quota::Limits {
        user: config.limits.user_per_minute,
        service: config.limits.service_per_minute,
        tenant: config.limits.tenant_per_minute,
    };
    let is_limited = [limits.user, limits.service, limits.tenant].into_iter().any(|limit| limit > 0);
    if config.redis.url.is_empty() || !store.is_shared() || !is_limited {
        return Ok(Quota::new(limits, None));
    }
    let shared = quota::Shared::start(&config.redis, &store.deployment().await?).context(UNUSABLE_REDIS)?;
    Ok(Quota::new(limits, Some(shared)))
}

/// Tells if whoever reads the database can read what stands there.
pub fn tell_of_keys(config: &Config) {
    let database = &config.database;
    if !database.encryption_keys.is_empty() || !database.encryption_keys_file.is_empty() {
        return;
    }
    match config.server.environment {
        Environment::Production => tracing::warn!(
            "texts, contacts, push keys and secrets of webhooks are stored in plain: set ENCRYPTION_KEYS to what `carillon keys \
             new` prints, and run `carillon keys rotate` once"
        ),
        Environment::Development => {
            tracing::info!("what is stored is not encrypted; in production, set ENCRYPTION_KEYS")
        }
    }
}

/// How clients are greeted, if lines are encrypted here; `metrics` tell until when.
pub fn tls(config: &Config, metrics: Arc<Metrics>) -> anyhow::Result<Option<Arc<Tls>>> {
    let server = &config.server;
    if server.tls_certificate.is_empty() {
        return Ok(None);
    }
    let tls = Tls::new((&server.tls_certificate).into(), (&server.tls_key).into(), metrics)?;
    Ok(Some(Arc::new(tls)))
}

/// Listeners where settings say: one, or one for encrypted lines beside it.
pub fn listeners(config: &Config, tls: Option<&Arc<Tls>>) -> anyhow::Result<Vec<Listener>> {
    let server = &config.server;
    let tls = tls.cloned();
    if server.tls_port == 0 {
        return Ok(vec![bind(&server.host, server.port, tls)?]);
    }
    Ok(vec![bind(&server.host, server.port, None)?, bind(&server.host, server.tls_port, tls)?])
}

fn bind(host: &str, port: u16, tls: Option<Arc<Tls>>) -> anyhow::Result<Listener> {
    let addresses = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("server.host is `{host}`, which is no address of this machine"))?;
    let mut fault = None;
    for address in addresses {
        match Listener::bind(address, tls.clone()) {
            Ok(listener) => return Ok(listener),
            Err(why) => fault = Some((address, why)),
        }
    }
    match fault {
        Some((address, why)) => Err(why).with_context(|| {
            format!(
                "cannot listen on {address}; if another program does, choose a port by --port or PORT (server.tls_port for \
                 encrypted lines beside it)"
            )
        }),
        None => anyhow::bail!("server.host is `{host}`, which has no address"),
    }
}

/// The name of this process: another one after each start, since what an earlier one held died with it.
pub fn node(config: &Config) -> anyhow::Result<String> {
    let mut made = secrets::random()?;
    made.truncate(12);
    Ok(match config.server.node.as_str() {
        "" => made,
        name => format!("{name}-{made}"),
    })
}

/// Who may open a socket; and how many TCP connections there may be.
pub fn admission(config: &Config, metrics: &Arc<Metrics>) -> (Arc<Admission>, usize) {
    let (most, connections) = room(config);
    let limits = &config.limits;
    let (per_address, per_minute) = (limits.sockets_per_address, limits.opened_per_minute);
    let origins = Origins::new(&config.server.allowed_origins);
    (Admission::new(origins, per_address, per_minute, most, metrics.clone()), connections)
}

/// How many requests may be under way at once.
pub fn crowd(config: &Config, metrics: &Arc<Metrics>) -> Arc<Crowd> {
    let limits = &config.limits;
    let limits = CrowdLimits {
        user: limits.user_at_once,
        service: limits.service_at_once,
        tenant: limits.tenant_at_once,
        all: limits.requests_at_once,
        bodies: limits.bodies_at_once,
        longest: limits.max_request_bytes,
        writes: limits.writes_waiting.into(),
        at_work: [config.database.readers.saturating_mul(2), limits.writes_at_work],
    };
    Crowd::new(limits, metrics.clone())
}

/// The demo page's facts.
pub fn demo(config: &Config, clock: Arc<dyn Clock>) -> Demo {
    let auth = config.auth.clone();
    let (secrets, time) = (auth.clone(), clock.clone());
    let token = move |role: &str| {
        let (iat, roles) = (time.now().as_seconds(), vec![role.to_owned()]);
        let mint = Mint { sub: "developer".to_owned(), roles, iat, exp: iat + DEMO_TOKEN, ..Mint::default() };
        mint.sign(&secrets).ok()
    };
    let facts = move || {
        let now = clock.now().as_seconds();
        let people: Vec<_> = DEMO_PEOPLE
            .iter()
            .map(|(id, name)| {
                let mint = Mint { sub: id.to_string(), iat: now, exp: now + DEMO_TOKEN, ..Mint::default() };
                json!({ "id": id, "name": name, "token": mint.sign(&auth).unwrap_or_default() })
            })
            .collect();
        let backend = auth.backend_token.expose().split(',').next().unwrap_or_default().trim().to_owned();
        json!({
            "people": people,
            "backend_token": backend,
            "version": env!("CARGO_PKG_VERSION"),
        })
    };
    Demo::new(facts, token)
}

/// Where notifications go whose senders do not say.
///
/// # Errors
/// When a word is none.
pub fn usual(config: &Config) -> anyhow::Result<Vec<Channel>> {
    let known = |word: &String| {
        Channel::named(word)
            .with_context(|| format!("delivery.channels: `{word}` is none of in_app, email, push and sms"))
    };
    let channels = config.delivery.channels.iter().map(known).collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(!channels.is_empty(), "delivery.channels names no channel; in_app is the usual one");
    Ok(channels)
}

/// The types that nobody can mute.
pub fn mandatory(config: &Config) -> Arc<[String]> {
    config.notifications.mandatory_types.clone().into()
}

/// What sends over channels that are not sockets.
pub fn dispatch(
    config: &Config,
    channels: &Channels,
    templates: &Arc<Templates>,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Arc<Dispatch>> {
    let way = |channel| {
        let provider = channels.of(channel)?.clone();
        let at_once = config.delivery.at_once.min(provider.most_at_once());
        Some((channel, Way { provider, at_once, per_second: config.delivery.per_second }))
    };
    let ways: HashMap<Channel, Way> = Channel::BEYOND.into_iter().filter_map(way).collect();
    let base_url = Some(config.delivery.public_url.clone()).filter(|url| !url.is_empty());
    let (sender, links) = (config.delivery.sender_name.clone(), Arc::new(Links::new(&config.auth)));
    let pictures = channels.pictures.clone();
    let letters = Letters::new(templates.clone(), sender, base_url, links, mandatory(config), pictures);
    let consent = config.privacy.consent()?;
    let caps = SmsCaps {
        per_number: config.sms.per_number_per_day,
        per_user: config.sms.per_user_per_day,
        per_tenant: config.sms.per_tenant_per_day,
        mails_to_oneself: config.email.to_oneself_per_day,
        consent,
    };
    let pauses = config.delivery.retry_ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
    Ok(Dispatch::new(store.clone(), letters, ways, caps, pauses, clock.clone(), metrics.clone()))
}

/// What tells a tenant's own programs what becomes of notifications.
pub fn webhooks(
    config: &Config,
    channels: &Channels,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Arc<Webhooks> {
    let outbound = channels.outbound.clone();
    Webhooks::new(store.clone(), outbound, &config.webhooks, clock.clone(), metrics.clone())
}

/// What tells those who keep watch.
pub fn alarms(
    config: &Config,
    store: &Arc<Store>,
    webhooks: &Arc<Webhooks>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Arc<Alarms> {
    Alarms::new(store.clone(), webhooks.clone(), clock.clone(), metrics.clone(), &config.alerts)
}

/// What tells a collector what happens; without end, if there is one.
///
/// # Errors
/// When a setting cannot be used.
pub fn exporter(
    config: &Config,
    store: &Arc<Store>,
    metrics: &Arc<Metrics>,
    node: &str,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let exporter = Exporter::new(&config.telemetry, store.clone(), metrics.clone(), node)?;
    Ok(async move {
        if let Some(exporter) = exporter {
            exporter.run().await;
        }
    })
}

/// Where something of people stands that is not this server's to remove, for whoever asked to be forgotten.
pub fn beyond_reach(config: &Config) -> BeyondReach {
    let mut known: Vec<String> = Vec::new();
    let has_sink =
        !config.delivery.sink_file.is_empty() || config.server.environment == Environment::Development;
    if has_sink {
        known.push("messages that a file took in place of a provider (delivery.sink_file): whoever runs the server removes it".into());
    }
    if !config.redis.url.is_empty() && !config.ingest.stream.is_empty() {
        known.push(
            "what came by Redis, in its own files (appendonly, snapshots), until it writes them anew".into(),
        );
    }
    let file = match config.database.url.parse() {
        Ok(DatabaseUrl::Sqlite(path)) => Some(path),
        _ => None,
    };
    Box::new(move || {
        let mut all = known.clone();
        let kept = file.as_deref().map_or(0, replaced);
        if kept > 0 {
            all.push(format!(
                "{kept} earlier states of the database that `carillon restore` has kept (….replaced-…)"
            ));
        }
        all
    })
}

/// How many earlier states of the database at `path` stand beside it.
fn replaced(path: &Path) -> usize {
    let (Some(name), folder) =
        (path.file_name(), path.parent().filter(|folder| !folder.as_os_str().is_empty()))
    else {
        return 0;
    };
    let begins = format!("{}.replaced-", name.to_string_lossy());
    let files = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    files.filter(|file| file.file_name().to_string_lossy().starts_with(&begins)).count()
}

/// Who takes what leaves this server.
///
/// # Errors
/// When a provider is set in a way that cannot work.
pub fn channels(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Channels> {
    let mut delivery = config.delivery.clone();
    if delivery.sink_file.is_empty() && config.server.environment == Environment::Development {
        delivery.sink_file = secrets::sink(config).display().to_string();
    }
    let (email, push, sms) = (&config.email, &config.push, &config.sms);
    let settings = ChannelSettings { delivery: &delivery, email, push, sms };
    let channels = Channels::new(settings, clock)?;
    let by = |channel| channels.of(channel).map_or("nobody", |provider| provider.name());
    let (email, push, sms) = (by(Channel::Email), by(Channel::Push), by(Channel::Sms));
    tracing::info!(email, push, sms, "what leaves this server is taken by these");
    Ok(channels)
}

/// Dead letters that are shown at once.
const LETTERS: usize = 50;

/// What asks for the dead letters of what came by Redis; `None` if none are kept.
///
/// # Errors
/// When Redis's address cannot be used.
pub fn letters(config: &Config) -> anyhow::Result<Option<DeadLetters>> {
    let Some(kept) = Letterbox::new(&config.ingest, &config.redis)? else { return Ok(None) };
    let kept = Arc::new(kept);
    let ask: DeadLetters = Arc::new(move || {
        let kept = kept.clone();
        Box::pin(async move {
            let latest = kept.latest(LETTERS).await.map_err(|fault| {
                format!("Redis does not answer, so they cannot be shown: {fault}. Look again later.")
            })?;
            let letter = |(id, fields): (String, HashMap<String, Vec<u8>>)| {
                let of = |name: &str| fields.get(name).map(|text| String::from_utf8_lossy(text).into_owned());
                let of = |name: &str| of(name).unwrap_or_default();
                Letter {
                    code: of("code"),
                    reason: of("reason"),
                    at: of("at"),
                    source: of("source"),
                    bytes: of("bytes"),
                    text: of("notification"),
                    id,
                }
            };
            Ok(latest.into_iter().map(letter).collect())
        })
    });
    Ok(Some(ask))
}

/// What other programs left in Redis, for those who ask what is kept of them.
///
/// # Errors
/// When the settings cannot be used.
pub fn outside(config: &Config) -> anyhow::Result<Option<Arc<dyn Outside>>> {
    if config.redis.url.is_empty() || config.ingest.stream.is_empty() {
        return Ok(None);
    }
    let traces = Traces::new(&config.ingest, &config.redis).context(UNUSABLE_REDIS)?;
    Ok(Some(Arc::new(traces)))
}
