//! Violations that opened under a silence and are still open when it ends are announced then, by whichever backend is first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use service_runtime::Shutdown;
use tracing::{info, warn};

use super::{Active, Silences};
use crate::live::Live;
use crate::store::{self, Result, Store};
use crate::time::now_ms;
use crate::upkeep::Rounds;
use crate::violation::{Violation, opening};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A transaction that began when other silences were active may still store what it found to be silenced: longer than requests may take.
const SETTLED: Duration = Duration::from_secs(40);
/// As long as the same silences are active, those that wait still have to. But labels of machines change, and another backend's clock may differ.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A round that takes longer waits for a connection that is dead; the next one goes on where it was.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);
/// Violations that are announced in one transaction, so that ingest has to wait for few hosts.
const STEP: i64 = 100;

/// The silences that are active, and when all that wait were looked at.
struct Seen {
    active: Arc<Active>,
    since: Instant,
    looked: Instant,
}

/// Announces what silences held back, until shutdown.
pub async fn announce_after_silences(store: Store, live: Live, silences: Silences, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut rounds = Rounds::every(LOOK_EVERY, shutdown.clone());
    let mut seen: Option<Seen> = None;
    while rounds.next().await {
        let round = look(&store, &live, &silences, &mut seen, &shutdown);
        if let Err(error) = store::in_time(ROUND_TIMEOUT, round).await {
            seen = None;
            warn!(%error, "cannot announce what silences held back, trying again");
        }
    }
    Ok(())
}

async fn look(store: &Store, live: &Live, silences: &Silences, seen: &mut Option<Seen>, shutdown: &Shutdown) -> Result<()> {
    let active = silences.active(&mut *store.read().await?, now_ms()).await?;
    let now = Instant::now();
    let since = match seen {
        Some(seen) if Arc::ptr_eq(&seen.active, &active) => {
            if now - seen.since > SETTLED && now - seen.looked < LOOK_AGAIN {
                return Ok(());
            }
            seen.since
        }
        _ => now,
    };
    if announce_all(store, live, silences, shutdown).await? {
        *seen = Some(Seen { active, since, looked: now });
    }
    Ok(())
}

/// Announces all of those that wait that are under no silence any more; whether all were looked at.
async fn announce_all(store: &Store, live: &Live, silences: &Silences, shutdown: &Shutdown) -> Result<bool> {
    let mut after = 0;
    loop {
        let mut connection = store.read().await?;
        let mut waiting = store::violations::unannounced(&mut connection, after, STEP).await?;
        silences.mark(&mut connection, &mut waiting, now_ms()).await?;
        drop(connection);
        let Some(last) = waiting.last().map(|last| last.id) else { return Ok(true) };
        after = last;
        waiting.retain(|violation| violation.attention.silenced.is_none());
        let announced = match waiting.is_empty() {
            true => 0,
            false => store.with_patience(|| announce(store, silences, waiting.clone())).await?,
        };
        if announced > 0 {
            live.wake();
            info!(violations = announced, "violations are announced that a silence had held back");
        }
        if shutdown.is_requested() {
            return Ok(false);
        }
    }
}

/// Announces those of them that are still open and under no silence, unless somebody else did. How many.
async fn announce(store: &Store, silences: &Silences, mut due: Vec<Violation>) -> Result<usize> {
    let mut transaction = store.begin().await?;
    let now = now_ms();
    let mut host_ids: Vec<&str> = due.iter().map(|violation| violation.host_id.as_str()).collect();
    host_ids.sort_unstable();
    host_ids.dedup();
    // violations are written by whoever has locked their hosts
    store::hosts::lock(&mut transaction, store.dialect(), &host_ids).await?;
    silences.mark(&mut transaction, &mut due, now).await?;
    let mut events = Vec::new();
    for violation in due.iter().filter(|violation| violation.attention.silenced.is_none()) {
        if let Some(violation) = store::violations::announce(&mut transaction, violation.id, now).await? {
            events.push(opening::event("violation.opened", &violation));
        }
    }
    store::events::append(&mut transaction, &events, now).await?;
    transaction.commit().await?;
    Ok(events.len())
}
