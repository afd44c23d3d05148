//! Removal of what is old, in whole days: a day's rollup is made of all of its samples or of none.

use tracing::warn;

use crate::store::chunks::Resolution;
use crate::store::counters::{self, Counter};
use crate::store::reports::Head;
use crate::store::{self, Connection, Dialect, Result, Store, retention};

use super::time::{day_of, quarter_of};

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

/// One round of removal: what was found to be old at its beginning.
#[derive(Debug)]
pub struct Removal {
    limits: Limits,
    /// Hosts with reports that could not be sealed until they were too old.
    given_up: Vec<Head>,
    /// Samples from before go.
    raw_before: i64,
}

impl Removal {
    /// Finds out what may go, and says so to those who seal and fold.
    pub async fn begin(store: &Store, limits: Limits) -> Result<Removal> {
        let mut unsealed = store::reports::heads(&mut *store.read().await?, limits.raw_before).await?;
        let oldest = unsealed.iter().map(|head| day_of(head.oldest_at)).min().unwrap_or(limits.raw_before);
        let raw_before = store.change(|connection| Box::pin(give_up(connection, store.dialect(), limits, oldest))).await?;
        unsealed.retain(|head| head.oldest_at < limits.given_up_before);
        Ok(Removal { limits, given_up: unsealed, raw_before })
    }

    /// One small step. How many rows went; 0 when nothing is left that is old.
    pub async fn step(&mut self, store: &Store) -> Result<u64> {
        let before = self.limits.given_up_before;
        while let Some(&head) = self.given_up.last() {
            let removed = store.change(|connection| Box::pin(remove_reports(connection, head, before))).await?;
            if removed > 0 {
                metrics::counter!("retention_reports_removed_total").increment(removed);
                warn!(head.host_key, removed, "removed reports that could not be sealed until they were too old");
                return Ok(removed);
            }
            self.given_up.pop();
        }
        for (resolution, before) in [(Resolution::Raw, self.raw_before), (Resolution::FiveMinutes, self.limits.rollups_before)] {
            let removed = store.change(|connection| Box::pin(retention::remove_chunks(connection, resolution, before))).await?;
            if removed > 0 {
                metrics::counter!("retention_chunks_removed_total").increment(removed);
                return Ok(removed);
            }
        }
        store.change(|connection| Box::pin(retention::remove_stretches(connection, self.raw_before))).await
    }
}

/// Says from which day on samples are kept: as wanted, or an older one while something of it is to be folded or sealed.
async fn give_up(connection: &mut Connection, dialect: Dialect, limits: Limits, oldest_unsealed: i64) -> Result<i64> {
    let now = counters::lock(connection, dialect, Counter::RawRemovedBefore).await?;
    let oldest_due = store::chunks::oldest_rollup_due(connection).await?.unwrap_or(limits.raw_before);
    let next = limits.raw_before.min(oldest_due).min(oldest_unsealed).max(limits.given_up_before).max(now);
    if next > now {
        counters::raise(connection, Counter::RawRemovedBefore, next - now).await?;
    }
    Ok(next)
}

async fn remove_reports(connection: &mut Connection, head: Head, before: i64) -> Result<u64> {
    let removed = retention::remove_reports(connection, head.host_key, before, head.newest_at).await?;
    if removed == 0 {
        // nothing refers to them any more, or will: reports that come now are older than the newest
        let before = quarter_of(before.min(head.newest_at));
        store::forms::remove(connection, head.host_key, i64::MIN, before).await?;
    }
    Ok(removed)
}
