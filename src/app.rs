//! The composition root: the only file that names every concrete type.

mod worker;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Keyring, Links};
use crate::config::{Config, Environment};
use crate::delivery::{
    CatchUp, Confirmations, Digesting, Live, Replays, Rounds, Spreading, Templates, catch_up,
};
use crate::domain::{Channel, Clock, SystemClock, USUAL_AFTER};
use crate::gateway::ingest::Ingest;
use crate::gateway::socketio::{self, Booking, Door, Feed, Namespace, Services};
use crate::gateway::sse;
use crate::gateway::websocket::{self, Replayer, WebSockets};
use crate::gateway::{Admission, Origins};
use crate::http::{self, Dashboard, Doorman, Readiness};
use crate::listen::{Away, Open, Places, Proxies, Servant, Tls};
use crate::parts::{
    UNUSABLE_REDIS, admission, alarms, backplane, beyond_reach, channels, crowd, demo, dispatch, exporter,
    letters, listeners, mandatory, node, outside, quota, tell_of_keys, tls, usual, webhooks,
};
use crate::realtime::Hub;
use crate::service::{
    Addresses, Audit, Choices, Devices, Digests, Explain, Failures, Hooks, Inbox, IngestLine, Library,
    Notify, Outgoing, Presences, Privacy, Reckoning, RecurringLimits, Recurrings, Reports, Retention, Rollup,
    Roster, Sealing, Session, StatsService, Topics, Watch, Worker,
};
use crate::store::Store;
use crate::telemetry::{Metrics, tell_of_silence, vital};

/// Where who comes by no network comes from.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server that has been put together.
pub struct App {
    /// Who is here.
    pub hub: Arc<Hub>,
    /// The database.
    pub store: Arc<Store>,
    /// Who is connected, as the database knows it.
    pub presences: Arc<Presences>,
    /// Who tried in vain.
    pub failures: Arc<Failures>,
    /// Who seals the audit log.
    pub sealing: Arc<Sealing>,
    /// Who may come in.
    pub admission: Arc<Admission>,
    /// Whether new work is taken.
    pub readiness: Readiness,
    /// Ends what this process takes by itself: what comes by Redis, and what is due beyond sockets.
    pub intake: CancellationToken,
    /// Ends the listener.
    pub stop: CancellationToken,
    /// Everything that serves a client.
    pub tasks: TaskTracker,
    /// What goes out beyond sockets; it ends when what is under way has been answered.
    pub deliveries: TaskTracker,
    /// How long that may take.
    pub delivering: Duration,
    /// Where it listens, and whether lines are encrypted there.
    pub addresses: Vec<(SocketAddr, bool)>,
    /// The certificate that is shown where they are.
    pub tls: Option<Arc<Tls>>,
    /// This process's name among its like.
    pub node: String,
}

impl App {
    /// Opens the database, binds the port and starts to serve.
    ///
    /// # Errors
    /// When a setting cannot be used, the database cannot be opened or the port is taken.
    pub async fn start(config: &Config) -> anyhow::Result<Arc<Self>> {
        let metrics = Arc::new(Metrics::new());
        let tls = tls(config, metrics.clone())?;
        let listeners = listeners(config, tls.as_ref())?;
        let addresses: Vec<_> = listeners
            .iter()
            .map(|listener| Ok((listener.address()?, listener.is_encrypted())))
            .collect::<std::io::Result<_>>()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keyring = Arc::new(Keyring::new(&config.auth)?);
        let store = Arc::new(Store::open(&config.database, mandatory(config), metrics.clone()).await?);
        tell_of_keys(config);
        let channels = channels(config, clock.clone())?;
        let (intake, stop, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let deliveries = TaskTracker::new();
        keyring.fetch().await;
        until(&stop, keyring.clone().refresh());
        let node = node(config)?;
        until(&stop, exporter(config, &store, &metrics, &node)?);
        let (catch_up, missed) = match store.is_shared() {
            true => {
                let (catch_up, missed) = CatchUp::new();
                (catch_up, Some(missed))
            }
            false => (CatchUp::never(), None),
        };
        let listening = Arc::new(OnceLock::<Weak<Live>>::new());
        let backplane = backplane(config, &store, &node, &catch_up, &listening, &metrics).await?;
        let hub = Arc::new(Hub::new(metrics.clone(), backplane, store.is_shared()));
        let arrived = catch_up.clone();
        hub.on_arrival(move |recipient| arrived.arrived(recipient));

        let rounds = Rounds::new(&config.realtime);
        let confirmations = Arc::new(Confirmations::new(rounds, &node, metrics.clone()));
        let live =
            Live::new(hub.clone(), confirmations.clone(), catch_up.clone(), clock.clone(), metrics.clone());
        listening.set(Arc::downgrade(&live)).ok();
        let templates = Arc::new(Templates::new(store.clone()));
        let dispatch = dispatch(config, &channels, &templates, &store, &clock, &metrics)?;
        let webhooks = webhooks(config, &channels, &store, &clock, &metrics);
        let spreading = Spreading::new(store.clone(), live.clone(), dispatch.clone(), clock.clone());
        let notify = Arc::new(
            Notify::new(
                store.clone(),
                live.clone(),
                spreading.clone(),
                dispatch.clone(),
                clock.clone(),
                metrics.clone(),
            )
            .usually(usual(config)?, rounds.seconds().max(USUAL_AFTER)),
        );
        let choices = Arc::new(Choices::new(store.clone(), spreading.clone(), mandatory(config)));
        let limits = RecurringLimits {
            of_tenant: config.limits.recurring_per_tenant.into(),
            of_user: config.limits.recurring_per_user.into(),
        };
        let recurrings = Arc::new(Recurrings::new(store.clone(), notify.clone(), spreading.clone(), limits));
        if config.worker.enabled {
            until(&stop, spreading.clone().run());
            vital("dispatch", deliveries.track_future(dispatch.clone().run(intake.clone())));
            vital("webhooks", deliveries.track_future(webhooks.clone().run(intake.clone())));
            until(&stop, Rollup::new(store.clone(), clock.clone(), &config.analytics).run());
            until(&stop, Retention::new(store.clone(), clock.clone(), &config.retention).run());
            let days = config.digests.keep_days;
            let (live, clock) = (live.clone(), clock.clone());
            until(
                &stop,
                Digesting::new(store.clone(), live, dispatch.clone(), templates.clone(), clock, days).run(),
            );
        }
        let largest = config.limits.max_request_bytes;
        let ingesting = IngestLine::default();
        let from_redis = Ingest::new(
            &config.ingest,
            &config.redis,
            notify.clone(),
            metrics.clone(),
            &node,
            largest,
            ingesting.clone(),
        )
        .context(UNUSABLE_REDIS)?;
        let limit = config.booking.pending_limit;
        let replays = Replays::new(
            store.clone(),
            hub.clone(),
            confirmations.clone(),
            catch_up.clone(),
            clock.clone(),
            config.realtime.send_buffer,
        );
        let inbox = Arc::new(
            Inbox::new(
                store.clone(),
                hub.clone(),
                catch_up,
                replays,
                spreading.clone(),
                clock.clone(),
                metrics.clone(),
            )
            .listing(limit)
            .tracked(tasks.clone()),
        );
        let presences = Presences::new(store.clone(), node.clone());
        vital("presences", presences.clone().run());
        let topics = Arc::new(Topics::new(store.clone(), config.topics.restrictions()?));
        let quota = Arc::new(quota(config, &store).await?);
        let alarms = alarms(config, &store, &webhooks, &clock, &metrics);
        let sealing =
            Sealing::new(store.clone(), clock.clone(), metrics.clone(), alarms.clone(), &config.audit);
        until(&stop, alarms.clone().run());
        if config.worker.enabled {
            until(&stop, sealing.clone().run());
        }
        let failures = Failures::new(store.clone(), clock.clone(), alarms.clone());
        vital("failures", failures.clone().run());
        let session = Session::new(
            hub.clone(),
            presences.clone(),
            keyring.clone(),
            clock.clone(),
            metrics.clone(),
            failures.clone(),
            config.limits.sockets_per_user,
        );
        let (admission, connections) = admission(config, &metrics);
        let replayer = Replayer::new(hub.clone(), inbox.clone());
        let streams = Arc::new(sse::Streams::new(
            hub.clone(),
            session.clone(),
            replayer,
            clock.clone(),
            tasks.clone(),
            &config.realtime,
        ));
        let outgoing = Arc::new(Outgoing::new(store.clone(), dispatch.clone(), clock.clone()));
        let library = Arc::new(Library::new(store.clone(), templates, clock.clone()));
        let stats = StatsService::new(
            hub.clone(),
            store.clone(),
            presences.clone(),
            dispatch,
            clock.clone(),
            ingesting,
        );
        let stats = Arc::new(stats);
        let reckoning = Arc::new(Reckoning::new(store.clone(), clock.clone()));
        let watch = Arc::new(Watch::new(
            store.clone(),
            stats.clone(),
            reckoning.clone(),
            metrics.clone(),
            clock.clone(),
            node.clone(),
        ));
        let api = http::Services {
            outgoing: outgoing.clone(),
            links: Arc::new(Links::new(&config.auth)),
            quota,
            crowd: crowd(config, &metrics),
            doorman: Arc::new(Doorman::new(keyring.clone(), metrics.clone(), failures.clone())),
            notify: notify.clone(),
            inbox: inbox.clone(),
            topics: topics.clone(),
            choices: choices.clone(),
            explain: Arc::new(
                Explain::new(
                    store.clone(),
                    hub.clone(),
                    live.clone(),
                    notify.clone(),
                    outgoing,
                    clock.clone(),
                    mandatory(config),
                )
                .agreed(config.privacy.consent()?),
            ),
            devices: Arc::new(Devices::new(
                store.clone(),
                channels.outbound.clone(),
                channels.vapid.clone(),
                channels.of(Channel::Push).is_some(),
                clock.clone(),
                config.limits.devices_per_user.into(),
            )),
            addresses: Arc::new(Addresses::new(store.clone(), clock.clone())),
            reports: Arc::new(Reports::new(store.clone(), channels.callbacks.clone(), clock.clone())),
            recurrings,
            digests: Arc::new(Digests::new(store.clone(), clock.clone())),
            library,
            hooks: Arc::new(Hooks::new(
                store.clone(),
                channels.outbound.clone(),
                webhooks,
                clock.clone(),
                &config.webhooks,
            )),
            audit: Arc::new(Audit::new(store.clone(), clock.clone())),
            privacy: Arc::new(Privacy::new(
                store.clone(),
                hub.clone(),
                presences.clone(),
                outside(config)?,
                alarms.clone(),
                clock.clone(),
                beyond_reach(config),
                config.privacy.vacuum_mb.saturating_mul(1024 * 1024),
                config.privacy.bookings_name_users,
                metrics.clone(),
                config.audit.clone(),
            )),
            alarms,
            reckoning,
            streams: {
                let admission = admission.clone();
                Arc::new(move |who, address, last, events| {
                    let (streams, permit) = (streams.clone(), admission.enter(address.unwrap_or(LOCAL)));
                    Box::pin(
                        async move { streams.open(who, address, last, events.as_deref(), permit?).await },
                    )
                })
            },
            max_body: config.limits.max_request_bytes,
        };
        if let Some(missed) = missed {
            let roster = Roster::new(
                hub.clone(),
                store.clone(),
                session.clone(),
                presences.clone(),
                clock.clone(),
                node.clone(),
            );
            roster.sign(false).await?;
            until(&stop, roster.run());
            if config.worker.enabled {
                until(&stop, Worker::new(store.clone()).run());
            }
            vital("catch-up", catch_up::run(missed, hub.clone(), store.clone(), live));
        }

        let in_flight = config.limits.requests_in_flight;
        let booking = Booking::new(
            hub.clone(),
            session.clone(),
            inbox.clone(),
            notify,
            tasks.clone(),
            &config.booking,
            in_flight,
        );
        let websockets = websocket::Services {
            session: session.clone(),
            inbox: inbox.clone(),
            topics: topics.clone(),
            confirmations: confirmations.clone(),
        };
        let feed = Feed::new(
            hub.clone(),
            Services { session: session.clone(), inbox, topics, choices },
            tasks.clone(),
            &config.booking,
            in_flight,
        );
        let protocol = Arc::new(Namespace::new(hub.clone(), session.clone(), tasks.clone(), booking, feed));
        let door = Door::new(
            hub.clone(),
            protocol,
            metrics.clone(),
            &config.realtime,
            &config.limits,
            admission.clone(),
            clock.clone(),
        );

        let websockets = WebSockets::new(
            hub.clone(),
            websockets,
            metrics.clone(),
            clock.clone(),
            tasks.clone(),
            &config.websocket,
            &config.realtime,
            &config.limits,
        );

        let readiness = Readiness::default();
        let development = config.server.environment == Environment::Development;
        let origins = match admission.origins() {
            Origins::Any => None,
            Origins::Listed(listed) => Some(listed.clone()),
        };
        let demo = development.then(|| Arc::new(demo(config, clock.clone())));
        let api = http::Api::from(api);
        let letters = letters(config).context(UNUSABLE_REDIS)?;
        let dashboard = config.dashboard.enabled.then(|| {
            until(&stop, watch.clone().run());
            Dashboard::new(api.clone(), watch, demo.clone(), letters, stop.clone())
        });
        let state = http::State {
            api,
            origins,
            stats,
            metrics: metrics.clone(),
            metrics_token: Arc::new(config.metrics.token.clone()),
            events: socketio::description,
            development,
            readiness: readiness.clone(),
            demo,
            dashboard,
        };
        let servant = Arc::new(Servant {
            door,
            websockets,
            pages: http::Pages::new(&state),
            proxies: Proxies::new(config.server.proxies()?),
            bytes_per_second: config.limits.bytes_per_second,
            tcp_user_timeout: Duration::from_millis(config.realtime.tcp_user_timeout_ms),
            open: Open::new(metrics.clone()),
            away: Away::new(metrics.clone()),
            places: Places::new(connections, config.limits.sockets_per_address),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });

        until(&stop, tell_of_silence());
        until(&stop, session.expire());
        // Confirmations go on until the very end: what survived its round is confirmed.
        vital("confirmations", confirmations.run(hub.clone(), store.clone(), clock));
        for listener in listeners {
            vital("listener", listener.run(servant.clone()));
        }
        if let Some(tls) = &tls {
            until(&stop, tls.clone().watch());
        }
        if let Some(from_redis) = from_redis {
            vital("ingest", tasks.track_future(from_redis.run(intake.clone())));
        }
        readiness.set(true);
        Ok(Arc::new(Self {
            hub,
            store,
            presences,
            failures,
            sealing,
            admission,
            readiness,
            intake,
            stop,
            tasks,
            deliveries,
            delivering: Duration::from_millis(config.delivery.timeout_ms),
            addresses,
            tls,
            node,
        }))
    }
}

/// Runs `work` until told to stop.
fn until(stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    vital("until the stop", async move {
        stop.run_until_cancelled(work).await;
    });
}
