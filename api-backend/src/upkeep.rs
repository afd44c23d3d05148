//! What a backend does without being asked: announce hosts that went silent, remove what is old, watch the database. Every
//! backend does all of it; the statements are such that two of them do no more than one.

use std::time::Duration;

use service_runtime::{Health, Shutdown};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::live::Live;
use crate::store::{self, Store};
use crate::thresholds::Kind;
use crate::time::now_ms;
use crate::{machine, store::retention::STEP_ROWS};

const LOOK_FOR_SILENT_HOSTS: Duration = Duration::from_secs(1);
/// After a start the consumers first bring what waited in Kafka: until then nobody is called down.
const GRACE: Duration = Duration::from_secs(30);
const REMOVE_OLD: Duration = Duration::from_secs(60);
/// Pause between two steps of removal, so that ingest goes first.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
const WATCH_DATABASE: Duration = Duration::from_secs(1);
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
const DAY_MS: i64 = 86_400_000;

/// Announces hosts that went silent.
pub async fn announce_silent_hosts(store: Store, live: Live, shutdown: Shutdown) -> anyhow::Result<()> {
    tokio::select! {
        () = shutdown.requested() => return Ok(()),
        () = tokio::time::sleep(GRACE) => {}
    }
    let mut rounds = Rounds::every(LOOK_FOR_SILENT_HOSTS, shutdown.clone());
    while rounds.next().await {
        if let Err(error) = announce(&store, &live, &shutdown).await {
            warn!(%error, "cannot look for silent hosts, trying again");
        }
    }
    Ok(())
}

async fn announce(store: &Store, live: &Live, shutdown: &Shutdown) -> store::Result<()> {
    let now = now_ms();
    let silent = store::hosts::silent(&mut *store.read().await?, now).await?;
    for host_id in silent {
        // a whole room may have gone silent at once
        if shutdown.is_requested() {
            return Ok(());
        }
        let mut transaction = store.begin().await?;
        if !store::hosts::mark_down(&mut transaction, &host_id, now).await? {
            continue;
        }
        let hosts = store::hosts::lock_or_create(&mut transaction, store.dialect(), &[&host_id]).await?;
        let Some(host) = hosts.first().map(|host| &host.row) else { continue };
        let machines = store::machines::present(&mut transaction, host.host_key).await?;
        let Some(row) = machines.iter().find(|row| row.kind == Kind::Host) else { continue };
        let event = machine::event("machine.down", row, &host.host_id, &row.name, "down", host.last_report_at);
        store::events::append(&mut transaction, &[event], now).await?;
        transaction.commit().await?;
        live.wake();
        info!(host_id, host_name = row.name, "host is silent");
    }
    Ok(())
}

/// Removes reports and events older than `days`, and containers that are gone for as long.
pub async fn remove_old(store: Store, days: u32, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut rounds = Rounds::every(REMOVE_OLD, shutdown.clone());
    while rounds.next().await {
        if let Err(error) = remove(&store, now_ms() - i64::from(days) * DAY_MS, &shutdown).await {
            warn!(%error, "cannot remove what is old, trying again");
        }
    }
    Ok(())
}

async fn remove(store: &Store, before: i64, shutdown: &Shutdown) -> store::Result<()> {
    let hosts = store::hosts::all(&mut *store.read().await?).await?;
    for host in hosts {
        loop {
            let mut transaction = store.begin().await?;
            let removed = store::retention::remove_reports(&mut transaction, host.host_key, before, host.last_report_at).await?;
            transaction.commit().await?;
            metrics::counter!("retention_reports_removed_total").increment(removed);
            if removed < STEP_ROWS.unsigned_abs() || shutdown.is_requested() {
                break;
            }
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
        if shutdown.is_requested() {
            return Ok(());
        }
    }
    for host_id in store::retention::hosts_with_gone_machines(&mut *store.read().await?, before).await? {
        let mut transaction = store.begin().await?;
        let hosts = store::hosts::lock_or_create(&mut transaction, store.dialect(), &[&host_id]).await?;
        for host in hosts {
            store::retention::remove_gone_machines(&mut transaction, host.row.host_key, before).await?;
        }
        transaction.commit().await?;
        if shutdown.is_requested() {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    loop {
        let mut transaction = store.begin().await?;
        let removed = store::retention::remove_events(&mut transaction, before).await?;
        transaction.commit().await?;
        if removed < STEP_ROWS.unsigned_abs() || shutdown.is_requested() {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}

/// Keeps the readiness check `database` true.
pub async fn watch_database(store: Store, health: Health, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut rounds = Rounds::every(WATCH_DATABASE, shutdown);
    while rounds.next().await {
        let state = match tokio::time::timeout(DATABASE_TIMEOUT, store.ping()).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DATABASE_TIMEOUT.as_secs())),
        };
        health.set("database", state);
    }
    Ok(())
}

/// Ticks until shutdown.
struct Rounds {
    ticks: Interval,
    shutdown: Shutdown,
}

impl Rounds {
    fn every(period: Duration, shutdown: Shutdown) -> Rounds {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Rounds { ticks, shutdown }
    }

    /// Waits for the next one; false when it is time to end.
    async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.shutdown.requested() => false,
            _ = self.ticks.tick() => true,
        }
    }
}
