//! `carillon worker`: what a server does beside serving, on its own.

use std::sync::{Arc, OnceLock, Weak};

use tokio_util::sync::CancellationToken;

use super::{App, until};
use crate::config::Config;
use crate::delivery::{CatchUp, Confirmations, Digesting, Live, Rounds, Spreading, Templates};
use crate::domain::{Clock, SystemClock};
use crate::parts::{
    alarms, backplane, channels, dispatch, exporter, mandatory, node, tell_of_keys, webhooks,
};
use crate::realtime::Hub;
use crate::service::{Retention, Rollup, Sealing, Worker};
use crate::store::{DatabaseUrl, Store};
use crate::telemetry::{Metrics, tell_of_silence};

impl App {
    /// What `carillon worker` runs until `stop`: it has no connections, and tells the servers that do.
    ///
    /// # Errors
    /// When the database cannot be opened, or is a file of one process.
    pub async fn worker(
        config: &Config,
        stop: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let shared = matches!(config.database.url.parse()?, DatabaseUrl::Postgres(_));
        anyhow::ensure!(
            shared,
            "`carillon worker` works beside servers that share a PostgreSQL; with an SQLite file the server does \
             everything itself. Set DATABASE_URL=postgres://…, or start `carillon serve` alone"
        );
        let metrics = Arc::new(Metrics::new());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Arc::new(Store::open(&config.database, mandatory(config), metrics.clone()).await?);
        tell_of_keys(config);
        let node = node(config)?;
        until(&stop, tell_of_silence());
        until(&stop, exporter(config, &store, &metrics, &node)?);
        let nobody = Arc::new(OnceLock::<Weak<Live>>::new());
        let catch_up = CatchUp::never();
        let backplane = backplane(config, &store, &node, &catch_up, &nobody, &metrics).await?;
        let hub = Arc::new(Hub::new(metrics.clone(), backplane, true));
        let confirmations =
            Arc::new(Confirmations::new(Rounds::new(&config.realtime), &node, metrics.clone()));
        let live = Live::new(hub, confirmations, catch_up, clock.clone(), metrics.clone());
        let channels = channels(config, clock.clone())?;
        let templates = Arc::new(Templates::new(store.clone()));
        let dispatch = dispatch(config, &channels, &templates, &store, &clock, &metrics)?;
        let webhooks = webhooks(config, &channels, &store, &clock, &metrics);
        let spreading = Spreading::new(store.clone(), live.clone(), dispatch.clone(), clock.clone());
        let rollup = Rollup::new(store.clone(), clock.clone(), &config.analytics);
        let retention = Retention::new(store.clone(), clock.clone(), &config.retention);
        let days = config.digests.keep_days;
        let alarms = alarms(config, &store, &webhooks, &clock, &metrics);
        let sealing = Sealing::new(store.clone(), clock.clone(), metrics, alarms.clone(), &config.audit);
        let digesting = Digesting::new(store.clone(), live, dispatch.clone(), templates, clock, days);
        Ok(async move {
            let worker = Worker::new(store);
            let worker = async {
                let kept = async { tokio::join!(rollup.run(), retention.run(), sealing.run(), alarms.run()) };
                tokio::join!(worker.run(), spreading.run(), digesting.run(), kept);
            };
            let (webhooks, dispatch) = (webhooks.run(stop.clone()), dispatch.run(stop.clone()));
            tokio::join!(stop.run_until_cancelled(worker), dispatch, webhooks);
        })
    }
}
