//! Plays a fleet of any size into Kafka or to the api-backend, journals what it plays, and proves afterwards that all of it is where it
//! should be.
//!
//! Hosts report one after the other, spread evenly over the interval, with values that wander as real ones do, or with those of a recorded
//! host. The player must never know who reads the topic; only `ledger/` looks at the other end. A new metric gets a line in `shapes.rs`.

mod churn;
mod clock;
mod config;
mod fleet;
mod host;
mod ingest;
mod journal;
pub mod ledger;
mod publisher;
pub mod recording;
mod shapes;
mod sink;
mod tally;
mod timeline;
mod values;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service_runtime::Shutdown;

pub use config::{Config, IngestConfig};
pub use fleet::{Fleet, Message};
pub use tally::{IngestSummary, Summary};

use crate::clock::{Clock, now_ms};
use crate::sink::Sink;
use crate::tally::Tally;

/// Plays, waits for all deliveries, and prints the summary to stdout.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let summary = play(config, shutdown).await?;
    println!("{}", serde_json::to_string(&summary).context("write the summary")?);
    Ok(())
}

/// Plays until the time is over or the shutdown begins, and waits for all deliveries.
pub async fn play(config: Config, shutdown: Shutdown) -> anyhow::Result<Summary> {
    let tally = Arc::new(Tally::new(config.journal.as_deref()).context("open the journal")?);
    let started_at_ms = now_ms();
    let begins_at_ms = config.begins_at_ms(started_at_ms);
    let mut fleet = Fleet::new(&config, started_at_ms, begins_at_ms)?;
    let Some(mut sink) = Sink::open(&config, &tally, &shutdown).await? else { return Ok(tally.summary(Duration::ZERO)) };
    tally.begin();
    let mut clock = Clock::start(begins_at_ms, config.backfill_hours.is_none());
    loop {
        let due = fleet.next_is_due_after();
        if config.duration().is_some_and(|duration| due >= duration) || !clock.wait_until(due, &shutdown).await {
            break;
        }
        let (at_ms, overdue) = clock.time_of(due);
        sink.send(&fleet.next_message(at_ms), overdue).await?;
    }
    sink.wait_for_deliveries().await?;
    tally.check().context("write the journal")?;
    Ok(tally.summary(clock.elapsed()))
}
