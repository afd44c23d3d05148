//! Stores reports, evaluates thresholds, answers REST and streams violations.
//!
//! `api/` (HTTP only) calls plain domain modules (`ingest`, `thresholds`, `history`, `live`, `absence`, `upkeep`), and those call `store/`
//! (all SQL). Knows nothing of Kafka: batches come over HTTP. Any number of backends may share one database.

pub mod absence;
pub mod api;
pub mod backtest;
mod config;
pub mod history;
pub mod ingest;
mod keeper;
mod label;
pub mod ledger;
pub mod live;
pub mod machine;
pub mod pipeline;
pub mod silence;
pub mod store;
pub mod thresholds;
pub mod time;
mod upkeep;
pub mod violation;
mod watch;

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;
use service_runtime::{Health, Shutdown, Supervisor, admin, backoff};
use tokio::net::TcpListener;
use tracing::{info, warn};

pub use config::Config;

use crate::ingest::Ingest;
use crate::live::Live;
use crate::store::Store;

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Listens where the configuration says and serves until shutdown.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(config.listen_addr).await.with_context(|| format!("listen on {} (LISTEN_ADDR)", config.listen_addr))?;
    serve(config, listener, shutdown).await
}

/// Serves on a listener that is already bound.
pub async fn serve(config: Config, listener: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    let health = Health::new();
    health.set("database", Err("not connected yet".to_owned()));
    let mut tasks = Supervisor::new(shutdown.clone());
    tasks.spawn("admin server", admin::serve(config.admin_listen_addr, health.clone(), shutdown.clone()));
    let same_listener = listener.as_fd().try_clone_to_owned().and_then(|fd| TcpListener::from_std(fd.into()));
    let connected = tokio::select! {
        connected = connect(&config, &health, &shutdown) => connected?,
        () = api::serve_nothing(same_listener.context("share the listener")?, shutdown.clone()) => None,
    };
    let Some(store) = connected else { return tasks.run().await };

    let newest = live::newest_event(&store).await.context("read the events")?;
    let live = Live::default();
    let ingest = Ingest::new(store.clone(), live.clone(), config.raw_retention_days);
    tasks.spawn("events", live::follow_events(store.clone(), live.clone(), newest, shutdown.clone()));
    tasks.spawn("values", live::follow_values(store.clone(), live.clone(), shutdown.clone()));
    tasks.spawn("rules", live::follow_rules(store.clone(), live.clone(), shutdown.clone()));
    let silences = ingest.silences();
    tasks.spawn("absence", absence::watch(store.clone(), live.clone(), shutdown.clone()));
    tasks.spawn("silences", silence::ending::announce_after_silences(store.clone(), live.clone(), silences, shutdown.clone()));
    let retention = upkeep::Retention { raw_days: config.raw_retention_days, rollup_days: config.rollup_retention_days };
    tasks.spawn("retention", upkeep::remove_old(store.clone(), retention, shutdown.clone()));
    let seal_after = Duration::from_secs(config.seal_after_seconds.into());
    tasks.spawn("history", keeper::keep_history(store.clone(), seal_after, shutdown.clone()));
    tasks.spawn("database watch", watch::watch_database(store.clone(), ingest.clock(), health, shutdown.clone()));
    info!(address = %listener.local_addr().context("read the address")?, "api-backend listens");
    let app = api::App::new(&config, store.clone(), ingest, live, shutdown.clone())?;
    tasks.spawn("api", api::serve(app, listener, shutdown));
    let result = tasks.run().await;
    store.close().await;
    result
}

/// Waits for a database that cannot be reached or written to; any other fault ends the service. `None` when the shutdown came first.
async fn connect(config: &Config, health: &Health, shutdown: &Shutdown) -> anyhow::Result<Option<Store>> {
    let database = config.database()?;
    for wait in backoff(FIRST_RETRY, LONGEST_RETRY) {
        let outcome = tokio::select! {
            () = shutdown.requested() => return Ok(None),
            outcome = store::connect(&database) => outcome,
        };
        match outcome {
            Ok(store) => {
                health.set("database", Ok(()));
                return Ok(Some(store));
            }
            Err(error) if is_passing(&error) => {
                warn!(error = format!("{error:#}"), retry_ms = wait.as_millis(), "the database cannot be used, trying again");
                health.set("database", Err(format!("{error:#}")));
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(None),
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(None)
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<sqlx::Error>()).any(store::is_passing)
}
