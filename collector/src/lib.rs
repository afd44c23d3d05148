//! The collector: at every tick it reads its host and all containers on it, and produces one report to Kafka.
//!
//! It opens its spool and says who it is ([`identity`]), then runs side by side: the ticks ([`ticks`], one report each from
//! [`sampler`]), the inventory of containers from the Docker engine ([`containers`]), and the way through the spool to Kafka
//! ([`publisher`]). A tick waits for none of them: what is not there is absent in the report, and counted. It knows nothing of who consumes its reports.

mod columns;
mod config;
mod containers;
mod fit;
mod host_root;
mod identity;
mod kept;
mod publisher;
mod rates;
mod readings;
mod sampler;
mod slow_calls;
mod telemetry;
mod ticks;

use std::path::PathBuf;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use service_runtime::{Health, Shutdown, Supervisor, admin};
use spool::Spool;
use tokio::sync::watch;

pub use crate::config::{Config, Labels};
use crate::containers::{Containers, StatsBoard, follow_engine, poll_stats};
use crate::host_root::HostRoot;
use crate::kept::Kept;
use crate::publisher::{Publisher, SpoolBoard};
use crate::sampler::{Sampler, Start};

/// Runs the collector until shutdown.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    allow_many_files();
    let host = HostRoot::new(&config.host_root);
    let kept = Kept::open(&config.spool_dir)?;
    let info = identity::identify(&config, &host, &kept)?;
    let spool = open_spool(config.spool_dir.join("spool"), config.spool_max_bytes).await?;
    let epoch = kept.next_epoch(spool.last_of_all().map_or(0, |last| last.epoch))?;
    tracing::info!(host_id = info.id, host_name = info.name, epoch, interval_ms = config.collect_interval_ms, "measuring");

    let health = Health::new();
    let start = Start { previous: spool.last(&info.id), info, epoch, interval_ms: config.collect_interval_ms };
    let board = SpoolBoard::default();
    let (handover, topic, sending) = Publisher::new(&config, spool, board.clone(), health.clone())?.start(&shutdown);
    let (inventory_sender, inventory) = watch::channel(None);
    let stats = StatsBoard::new();
    let containers = Containers::new(&host, inventory, stats.clone());
    let sampler = Sampler::new(&host, start, containers, board).context("prepare the readings")?;

    let mut supervisor = Supervisor::new(shutdown.clone());
    supervisor.spawn("admin", admin::serve(config.admin_listen_addr, health.clone(), shutdown.clone()));
    supervisor.spawn("topic", topic);
    supervisor.spawn("containers", follow_engine(config.docker_host.clone(), inventory_sender, shutdown.clone()));
    supervisor.spawn("stats", poll_stats(config.docker_host.clone(), stats, config.interval(), shutdown.clone()));
    supervisor.spawn("spool", sending);
    supervisor.spawn("ticks", ticks::run(sampler, handover, config.interval(), health, shutdown.clone()));
    supervisor.run().await
}

/// Reads all that is in it: some seconds where hundreds of megabytes wait.
async fn open_spool(folder: PathBuf, max_bytes: u64) -> anyhow::Result<Spool> {
    let shown = folder.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Spool::open(&folder, max_bytes)).await.context("open the spool")?;
    opened.with_context(|| format!("open the spool {shown} (SPOOL_DIR)"))
}

/// Each running container has some seven files that stay open; the usual soft limit of 1,024 is for programs that
/// select(2).
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, current = limit.current, "cannot raise the limit of open files");
    }
}
