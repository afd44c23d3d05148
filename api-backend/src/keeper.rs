//! Keeps history: seals what is old enough and folds days, in one backend at a time. Two that do it do not harm each other; a lease saves the
//! second one's work.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use service_runtime::Shutdown;
use tracing::{debug, info, warn};

use crate::history::rollup::{self, RolledUp};
use crate::history::seal::{self, Sealed};
use crate::store::reports::Head;
use crate::store::{self, Store, leases};
use crate::time::now_ms;
use crate::upkeep::Rounds;

const LOOK: Duration = Duration::from_secs(15);
const LEASE: &str = "sealer";
/// Longer than a look and a piece of work, so that the holder keeps it.
const LEASE_MS: i64 = 60_000;
/// A piece of work that takes longer waits for a connection that is dead.
const TIMEOUT: Duration = Duration::from_secs(120);
/// So long the end of a process may wait to let another one begin at once.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// A day is folded an hour after its end: what comes late by less needs no second folding.
const ROLLUP_AFTER_MS: i64 = 3_600_000;
/// Days that are read from the list at once.
const ROLLUPS: i64 = 100;

/// Seals stretches that ended `after` ago, and folds days.
pub async fn keep_history(store: Store, after: Duration, shutdown: Shutdown) -> anyhow::Result<()> {
    let keeper = Keeper {
        store,
        after_ms: after.as_millis().try_into().unwrap_or(i64::MAX),
        holder: fastrand::i64(1..),
        held_until: AtomicI64::new(0),
        shutdown,
    };
    let mut rounds = Rounds::every(LOOK, keeper.shutdown.clone());
    while rounds.next().await {
        if let Err(error) = keeper.round().await {
            warn!(%error, "cannot keep history, trying again");
        }
    }
    if let Err(error) = store::in_time(RELEASE_TIMEOUT, keeper.release()).await {
        info!(%error, "the lease of history ends by itself");
    }
    Ok(())
}

struct Keeper {
    store: Store,
    after_ms: i64,
    /// Names this process in the lease.
    holder: i64,
    /// Until when the lease was taken last, Unix ms.
    held_until: AtomicI64,
    shutdown: Shutdown,
}

impl Keeper {
    async fn round(&self) -> store::Result<()> {
        if !self.has_lease().await? {
            return Ok(());
        }
        let mut heads = store::in_time(TIMEOUT, seal::due(&self.store, now_ms() - self.after_ms)).await?;
        // each pass seals one stretch of each host; after a long stop there are many
        while !heads.is_empty() {
            let (mut sealed, mut next) = (Sealed::default(), Vec::new());
            for head in heads {
                if !self.has_lease().await? {
                    return Ok(());
                }
                match store::in_time(TIMEOUT, self.seal(head)).await {
                    Ok((one, following)) => {
                        sealed += one;
                        next.extend(following);
                    }
                    // that of one host must not stop the others'
                    Err(error) => {
                        warn!(%error, host_key = head.host_key, at = head.oldest_at, "cannot seal a stretch, trying again");
                    }
                }
            }
            metrics::counter!("history_sealed_reports_total").increment(sealed.reports);
            metrics::counter!("history_chunk_bytes_total").increment(sealed.bytes);
            debug!(sealed.reports, sealed.stretches, sealed.bytes, "sealed");
            heads = next;
        }
        let before = now_ms() - ROLLUP_AFTER_MS;
        let mut count = 0;
        for due in store::in_time(TIMEOUT, rollup::due(&self.store, before, ROLLUPS)).await? {
            if !self.has_lease().await? {
                return Ok(());
            }
            match store::in_time(TIMEOUT, rollup::roll_up(&self.store, due)).await {
                Ok(RolledUp::Yes) => count += 1,
                Ok(RolledUp::Changed) => {}
                Ok(RolledUp::TooLate) => {
                    info!(due.host_key, due.day_at, "samples came after their day was removed, and were, too");
                }
                Err(error) => warn!(%error, due.host_key, due.day_at, "cannot fold a day, trying again"),
            }
        }
        metrics::counter!("history_days_folded_total").increment(count);
        Ok(())
    }

    /// Seals a stretch, and says what follows it; nothing when somebody changed it meanwhile.
    async fn seal(&self, head: Head) -> store::Result<(Sealed, Option<Head>)> {
        let sealed = seal::seal(&self.store, head).await?;
        let following = if sealed.reports > 0 { seal::next(&self.store, head, now_ms() - self.after_ms).await? } else { None };
        Ok((sealed, following))
    }

    /// Another one may take over.
    async fn release(&self) -> store::Result<()> {
        self.store.change(|connection| Box::pin(leases::take(connection, LEASE, self.holder, 0, 0))).await?;
        Ok(())
    }

    /// Whether this backend goes on.
    async fn has_lease(&self) -> store::Result<bool> {
        if self.shutdown.is_requested() {
            return Ok(false);
        }
        let now = now_ms();
        if self.held_until.load(Ordering::Relaxed) - now > LEASE_MS / 2 {
            return Ok(true);
        }
        let take = self.store.change(|connection| Box::pin(leases::take(connection, LEASE, self.holder, now, now + LEASE_MS)));
        let has_it = store::in_time(TIMEOUT, take).await?;
        self.held_until.store(if has_it { now + LEASE_MS } else { 0 }, Ordering::Relaxed);
        Ok(has_it)
    }
}
