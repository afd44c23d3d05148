//! Removal of what is old, in whole days: a day's rollup is made of all of its samples or of none.

use tracing::warn;

use crate::store::chunks::Resolution;
use crate::store::counters::{self, Counter};
use crate::store::reports::Head;
use crate::store::{self, Result, Store};

use super::time::day_of;

/// Starts of days, Unix ms.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Samples from before go, once they are folded.
    pub raw_before: i64,
    /// Samples from before go in any case: whatever could not be sealed or folded until now never will be.
    pub given_up_before: i64,
    /// Points of 5 minutes from before go.
    pub rollups_before: i64,
}

/// One small step. How many rows went; 0 when nothing is left that is old.
pub async fn step(store: &Store, limits: Limits) -> Result<u64> {
    let unsealed = store::reports::heads(&mut *store.read().await?, limits.raw_before).await?;
    if let Some(head) = unsealed.iter().find(|head| head.oldest_at < limits.given_up_before) {
        let removed = store.with_patience(|| remove_reports(store, *head, limits.given_up_before)).await?;
        metrics::counter!("retention_reports_removed_total").increment(removed);
        warn!(head.host_key, removed, "removed reports that could not be sealed until they were too old");
        return Ok(removed);
    }
    let oldest = unsealed.iter().map(|head| day_of(head.oldest_at)).min().unwrap_or(limits.raw_before);
    let raw_before = store.with_patience(|| give_up(store, limits, oldest)).await?;
    for (resolution, before) in [(Resolution::Raw, raw_before), (Resolution::FiveMinutes, limits.rollups_before)] {
        let removed = store.with_patience(|| remove_chunks(store, resolution, before)).await?;
        if removed > 0 {
            metrics::counter!("retention_chunks_removed_total").increment(removed);
            return Ok(removed);
        }
    }
    store.with_patience(|| remove_stretches(store, raw_before)).await
}

/// Says from which day on samples are kept: as wanted, or an older one while something of it is to be folded or sealed.
async fn give_up(store: &Store, limits: Limits, oldest_unsealed: i64) -> Result<i64> {
    let mut transaction = store.begin().await?;
    let now = counters::lock(&mut transaction, store.dialect(), Counter::RawRemovedBefore).await?;
    let oldest_due = store::chunks::oldest_rollup_due(&mut transaction).await?.unwrap_or(limits.raw_before);
    let next = limits.raw_before.min(oldest_due).min(oldest_unsealed).max(limits.given_up_before).max(now);
    if next > now {
        counters::raise(&mut transaction, Counter::RawRemovedBefore, next - now).await?;
    }
    transaction.commit().await?;
    Ok(next)
}

async fn remove_reports(store: &Store, head: Head, before: i64) -> Result<u64> {
    let mut transaction = store.begin().await?;
    let removed = store::retention::remove_reports(&mut transaction, head.host_key, before, head.newest_at).await?;
    transaction.commit().await?;
    Ok(removed)
}

async fn remove_chunks(store: &Store, resolution: Resolution, before: i64) -> Result<u64> {
    let mut transaction = store.begin().await?;
    let removed = store::retention::remove_chunks(&mut transaction, resolution, before).await?;
    transaction.commit().await?;
    Ok(removed)
}

async fn remove_stretches(store: &Store, before: i64) -> Result<u64> {
    let mut transaction = store.begin().await?;
    let removed = store::retention::remove_stretches(&mut transaction, before).await?;
    transaction.commit().await?;
    Ok(removed)
}
