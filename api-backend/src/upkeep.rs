//! Removes what is old. Every backend does all of it; the statements are such that two of them do no more than one.

use std::time::Duration;

use service_runtime::Shutdown;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

use crate::history::day_of;
use crate::history::removal::{Limits, Removal};
use crate::store::retention::{self, STEP_ROWS};
use crate::store::{self, Connection, Dialect, Store};
use crate::time::{DAY_MS, now_ms};

const REMOVE_OLD: Duration = Duration::from_secs(60);
/// Pause between two steps of removal, so that ingest goes first.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// A round that takes longer waits for a connection that is dead; the next one goes on where it was.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long samples wait for being folded beyond their time: what cannot be in a week has to go.
const GRACE_DAYS: u32 = 7;
/// Days that the ledger is kept, if reports are not kept for longer: enough for a year against the year before, at one row a host and hour.
pub(crate) const LEDGER_DAYS: i64 = 400;

/// For how many days what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Samples, gaps and the stream's events.
    pub raw_days: u32,
    /// Points of 5 minutes, the containers that they are of, and what happened to machines.
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
    let aged = retention::AGED.iter().map(|aged| (*aged, before)).chain([(retention::MACHINE_EVENTS, gone_before)]);
    for (aged, before) in aged {
        while store.change(|connection| Box::pin(retention::remove_aged(connection, aged, before))).await?
            >= STEP_ROWS.unsigned_abs()
        {
            if shutdown.is_requested() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }
    store.change(|connection| Box::pin(store::silences::remove_ended(connection, before))).await?;
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
