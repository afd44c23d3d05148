//! What no report carries: that a host is silent, that the pipeline is late, which is why hosts seem to be, and that a host's clock is off.
//!
//! `lateness` tells the first two from each other, `skew` looks at clocks, and `course` says what becomes of a rule, all without database or clock; `hosts`,
//! `pipeline` and `clocks` write it down. Every backend looks once a second. What they found stands in the database, so that two do no more than one, and a restart
//! changes nothing.

mod clocks;
pub mod course;
mod hosts;
pub mod lateness;
mod pipeline;
mod series;
pub mod skew;

use std::sync::Arc;
use std::time::Duration;

use service_runtime::Shutdown;
use tokio::sync::Mutex;
use tracing::warn;

use self::clocks::Clocks;
use self::lateness::{Evidence, Verdict};
use crate::ingest::RuleCache;
use crate::live::Live;
use crate::pipeline::PARTITION_FORGOTTEN_MS;
use crate::silence::Silences;
use crate::store::{self, Connection, Store, absences, consumers};
use crate::time::now_ms;
use crate::upkeep::Rounds;

pub(crate) use hosts::is_back;

const LOOK: Duration = Duration::from_secs(1);
/// A look that takes longer waits for a connection that is dead; the next one goes on where it was.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// After a start the consumers first bring what waited in Kafka: until then nobody is called down, and nothing late.
const GRACE_MS: i64 = 30_000;
/// Whoever did not look for longer begins anew: the database was gone, the machine asleep, or the clock was set.
const INTERRUPTED_MS: i64 = 10_000;

/// Looks for silent hosts and a late pipeline.
pub async fn watch(store: Store, live: Live, shutdown: Shutdown) -> anyhow::Result<()> {
    let watch = Watch::new(store, live);
    let mut grace = Grace::default();
    let mut rounds = Rounds::every(LOOK, shutdown.clone());
    while rounds.next().await {
        let now = now_ms();
        if grace.is_over(now) {
            match store::in_time(LOOK_TIMEOUT, watch.look(now, &shutdown)).await {
                Ok(()) => grace.looked(now_ms()),
                Err(error) => warn!(%error, "cannot look for silent hosts, trying again"),
            }
        }
    }
    Ok(())
}

/// When looking begins, and begins anew.
#[derive(Debug, Default)]
struct Grace {
    begun_at: Option<i64>,
    looked_at: Option<i64>,
}

impl Grace {
    fn is_over(&mut self, now: i64) -> bool {
        if self.looked_at.is_some_and(|looked_at| !(0..=INTERRUPTED_MS).contains(&(now - looked_at))) {
            *self = Grace::default();
        }
        let begun_at = *self.begun_at.get_or_insert(now);
        if now < begun_at {
            *self = Grace { begun_at: Some(now), looked_at: None };
            return false;
        }
        now - begun_at >= GRACE_MS
    }

    fn looked(&mut self, now: i64) {
        self.looked_at = Some(now);
    }
}

/// Looks, and writes down what it sees.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    live: Live,
    rules: Arc<RuleCache>,
    clocks: Mutex<Clocks>,
    silences: Silences,
}

impl Watch {
    /// On this database; `live` is woken when there is something to tell.
    pub fn new(store: Store, live: Live) -> Watch {
        Watch { store, live, rules: Arc::default(), clocks: Mutex::default(), silences: Silences::default() }
    }

    /// Looks once.
    pub async fn look(&self, now: i64, shutdown: &Shutdown) -> store::Result<()> {
        let mut connection = self.store.read().await?;
        let rules = self.rules.current(&mut connection).await?;
        let verdict = judge(&mut connection, now).await?;
        drop(connection);
        let on_time_since = pipeline::settle(self, &rules, verdict, now).await?;
        let as_of = match verdict {
            Verdict::OnTime { stored_until, .. } => Some(stored_until),
            Verdict::Late { .. } => None,
        };
        hosts::settle(self, &rules, hosts::Time { now, as_of, on_time_since }, shutdown).await?;
        clocks::settle(self, &rules, verdict, now, shutdown).await
    }
}

/// Whether the pipeline is on time.
pub(crate) async fn judge(connection: &mut Connection, now: i64) -> store::Result<Verdict> {
    let on_time_since = absences::pipeline(connection).await?.on_time_since;
    let heard_at = consumers::last_heard(connection).await?;
    // of consumers that are all silent the last word counts
    let since = heard_at.map_or(0, |heard_at| heard_at.min(now) - PARTITION_FORGOTTEN_MS);
    let partitions = consumers::partitions(connection, since).await?;
    // while nobody is silent hosts say nothing, and there are many
    let is_quiet = store::hosts::silent(connection, now, on_time_since).await?.is_empty();
    let hosts = if is_quiet { Vec::new() } else { absences::expected(connection).await? };
    Ok(lateness::judge(Evidence { now, partitions: &partitions, hosts: &hosts, on_time_since }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_begins_after_the_grace_and_anew_after_an_interruption() {
        let mut grace = Grace::default();
        let mut check = |now: i64, expected: bool| {
            assert_eq!(grace.is_over(now), expected, "{now}");
            if expected {
                grace.looked(now);
            }
        };
        check(1_000_000, false);
        check(1_000_000 + GRACE_MS - 1, false);
        check(1_000_000 + GRACE_MS, true);
        let looked = 1_000_000 + GRACE_MS + INTERRUPTED_MS;
        check(looked, true);
        check(looked + INTERRUPTED_MS + 1, false);
        check(looked + INTERRUPTED_MS + GRACE_MS, false);
        check(looked + INTERRUPTED_MS + GRACE_MS + 1, true);
        // the clock is set back
        check(5_000, false);
        check(4_000, false);
        check(4_000 + GRACE_MS, true);
    }
}
