//! Watches the database for `/readyz`: whether it answers, and takes what we have to write.
//!
//! A transaction that failed makes it not ready at once. From then on, and when the database says that it is read-only, the watch
//! writes itself: a balancer may send nobody here any more who would find out that it works again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use service_runtime::{Health, Shutdown};
use tokio::time::timeout;

use crate::ingest::Clock;
use crate::store::{Probe, Store, WriteState};
use crate::time::now_ms;

/// What is wrong is seen within a pause and the time for an answer, together less than two seconds.
const PAUSE: Duration = Duration::from_millis(250);
const ANSWER: Duration = Duration::from_secs(1);
/// How long a failure is believed more than a small write that worked after it: the disk may have place for that one alone.
const BELIEVED: Duration = Duration::from_secs(1);
const CHECK: &str = "database";
const CLOCK_CHECK: &str = "clock";

/// Keeps the readiness checks `database` and `clock` true, until shutdown.
pub async fn watch_database(store: Store, clock: Arc<Clock>, health: Health, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut probe = store.probe();
    loop {
        let looked = timeout(ANSWER, look(&store, &mut probe)).await;
        let state = match looked {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
        };
        health.set(CHECK, state);
        health.set(CLOCK_CHECK, clock.check(now_ms(), Instant::now()));
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = store.writes.changed() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
        if let WriteState::Failed(_, reason) = store.writes.state() {
            health.set(CHECK, Err(reason));
        }
    }
}

async fn look(store: &Store, probe: &mut Probe) -> anyhow::Result<()> {
    let before = store.writes.state();
    let looks_writable = probe.looks_writable().await?;
    if looks_writable && before == WriteState::Good {
        return Ok(());
    }
    probe.write().await?;
    match before {
        WriteState::Failed(at, reason) if at.elapsed() < BELIEVED => bail!(reason),
        _ => {}
    }
    // unless another one failed in the meantime
    if store.writes.state() == before {
        store.writes.clear();
    }
    Ok(())
}
