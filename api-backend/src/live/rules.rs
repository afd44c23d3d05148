//! Versions of the rules and of the silences, for pages that show them: who hears of another one reads them again.
//!
//! A state and no event: it has no number, and who missed two changes reads once.

use std::time::Duration;

use serde::Serialize;
use service_runtime::Shutdown;
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::{Live, READ_TIMEOUT};
use crate::store::counters::{self, Counter};
use crate::store::{self, Store};

/// How long a change stays unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Both only rise: the body of the SSE event `rules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleVersions {
    /// Of all thresholds together.
    pub thresholds: i64,
    /// Of all silences together.
    pub silences: i64,
}

/// Looks once a second whether rules or silences were changed, here or by another backend, as long as somebody follows.
pub async fn follow_rules(store: Store, live: Live, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = looks.tick() => {}
        }
        if live.rules.receiver_count() == 0 {
            continue;
        }
        match store::in_time(READ_TIMEOUT, read(&store)).await {
            Ok(versions) => {
                live.rules.send_if_modified(|known| known.replace(versions) != Some(versions));
            }
            // whoever passes events on has said it louder
            Err(error) => debug!(%error, "cannot read the versions of rules, trying again"),
        }
    }
}

async fn read(store: &Store) -> store::Result<RuleVersions> {
    let mut connection = store.read().await?;
    Ok(RuleVersions {
        thresholds: counters::read(&mut connection, Counter::ThresholdsVersion).await?,
        silences: counters::read(&mut connection, Counter::SilencesVersion).await?,
    })
}
