//! What a backend does without being asked: announce hosts that went silent, remove what is old. Every
//! backend does all of it; the statements are such that two of them do no more than one.

use std::time::Duration;

use service_runtime::Shutdown;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::history::day_of;
use crate::history::removal::{Limits, Removal};
use crate::live::Live;
use crate::machine;
use crate::store::retention::{self, STEP_ROWS};
use crate::store::{self, Connection, Dialect, Store};
use crate::thresholds::Kind;
use crate::time::{DAY_MS, now_ms};

const LOOK_FOR_SILENT_HOSTS: Duration = Duration::from_secs(1);
/// After a start the consumers first bring what waited in Kafka: until then nobody is called down.
const GRACE: Duration = Duration::from_secs(30);
const REMOVE_OLD: Duration = Duration::from_secs(60);
/// Pause between two steps of removal, so that ingest goes first.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// A round that takes longer waits for a connection that is dead; the next one goes on where it was.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(60);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long samples wait for being folded beyond their time: what cannot be in a week has to go.
const GRACE_DAYS: u32 = 7;
/// Days that the ledger is kept, if reports are not kept for longer: enough for a year against the year before, at one row a host and hour.
pub(crate) const LEDGER_DAYS: i64 = 400;

/// Announces hosts that went silent.
pub async fn announce_silent_hosts(store: Store, live: Live, shutdown: Shutdown) -> anyhow::Result<()> {
    tokio::select! {
        () = shutdown.requested() => return Ok(()),
        () = tokio::time::sleep(GRACE) => {}
    }
    let mut rounds = Rounds::every(LOOK_FOR_SILENT_HOSTS, shutdown.clone());
    while rounds.next().await {
        if let Err(error) = store::in_time(ANNOUNCE_TIMEOUT, announce(&store, &live, &shutdown)).await {
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
        if let Some(name) = store.with_patience(|| announce_one(store, &host_id, now)).await? {
            live.wake();
            info!(host_id, host_name = name, "host is silent");
        }
    }
    Ok(())
}

/// Marks a host as down, unless somebody else did or it is back. Its name if it was this one.
async fn announce_one(store: &Store, host_id: &str, now: i64) -> store::Result<Option<String>> {
    let mut transaction = store.begin().await?;
    if !store::hosts::mark_down(&mut transaction, host_id, now).await? {
        return Ok(None);
    }
    let hosts = store::hosts::lock(&mut transaction, store.dialect(), &[host_id]).await?;
    let Some(host) = hosts.first().map(|host| &host.row) else { return Ok(None) };
    let machines = store::machines::present(&mut transaction, &[host.host_key]).await?;
    let Some(row) = machines.iter().find(|row| row.kind == Kind::Host) else { return Ok(None) };
    let event = machine::event("machine.down", row, &host.host_id, &row.name, "down", host.last_report_at);
    store::events::append(&mut transaction, &[event], now).await?;
    transaction.commit().await?;
    Ok(Some(row.name.clone()))
}

/// For how many days what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Samples, gaps and events.
    pub raw_days: u32,
    /// Points of 5 minutes, and the containers that they are of.
    pub rollup_days: u32,
}

/// Removes what is older than `retention` says, and the ledger after [`LEDGER_DAYS`].
pub async fn remove_old(store: Store, retention: Retention, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut rounds = Rounds::every(REMOVE_OLD, shutdown.clone());
    while rounds.next().await {
        let round = remove(&store, retention, &shutdown);
        if let Err(error) = store::in_time(REMOVE_TIMEOUT, round).await {
            warn!(%error, "cannot remove what is old, trying again");
        }
    }
    Ok(())
}

async fn remove(store: &Store, retention: Retention, shutdown: &Shutdown) -> store::Result<()> {
    let (before, dialect) = (now_ms() - i64::from(retention.raw_days) * DAY_MS, store.dialect());
    remove_history(store, retention, shutdown).await?;
    let gone_before = before.min(now_ms() - i64::from(retention.rollup_days) * DAY_MS);
    for host_id in retention::hosts_with_gone_machines(&mut *store.read().await?, gone_before).await? {
        store.change(|connection| Box::pin(remove_gone_machines(connection, dialect, host_id.clone(), gone_before))).await?;
        if shutdown.is_requested() {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    for aged in retention::AGED {
        while store.change(|connection| Box::pin(retention::remove_aged(connection, *aged, before))).await?
            >= STEP_ROWS.unsigned_abs()
        {
            if shutdown.is_requested() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }
    let ledger_before = before.min(now_ms() - LEDGER_DAYS * DAY_MS);
    while store.change(|connection| Box::pin(retention::remove_ledger_hour(connection, ledger_before))).await? {
        if shutdown.is_requested() {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    loop {
        let removed = store.change(|connection| Box::pin(retention::remove_events(connection, before))).await?;
        if removed < STEP_ROWS.unsigned_abs() || shutdown.is_requested() {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
}

async fn remove_history(store: &Store, retention: Retention, shutdown: &Shutdown) -> store::Result<()> {
    let old = |days: u32| day_of(now_ms() - i64::from(days) * DAY_MS);
    let limits = Limits {
        raw_before: old(retention.raw_days),
        given_up_before: old(retention.raw_days + GRACE_DAYS),
        rollups_before: old(retention.rollup_days),
    };
    let mut removal = Removal::begin(store, limits).await?;
    while removal.step(store).await? > 0 && !shutdown.is_requested() {
        tokio::time::sleep(BETWEEN_STEPS).await;
    }
    Ok(())
}

async fn remove_gone_machines(connection: &mut Connection, dialect: Dialect, host_id: String, before: i64) -> store::Result<()> {
    for host in store::hosts::lock(connection, dialect, &[&host_id]).await? {
        retention::remove_gone_machines(connection, host.row.host_key, before).await?;
    }
    Ok(())
}

/// Ticks until shutdown.
pub(crate) struct Rounds {
    ticks: Interval,
    shutdown: Shutdown,
}

impl Rounds {
    pub(crate) fn every(period: Duration, shutdown: Shutdown) -> Rounds {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Rounds { ticks, shutdown }
    }

    /// Waits for the next one; false when it is time to end.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.shutdown.requested() => false,
            _ = self.ticks.tick() => true,
        }
    }
}
