//! Plays a fleet of any size into Kafka and keeps the ledger of what Kafka acknowledged.
//!
//! Hosts report one after the other, spread evenly over the interval, with values that wander as real ones do. Must never
//! know who reads the topic. A new metric gets a line in `shapes.rs`.

mod config;
mod fleet;
mod host;
mod ledger;
mod publisher;
mod shapes;
mod values;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use service_runtime::Shutdown;
use service_runtime::kafka::{Topic, ensure_topics};
use tokio::time::Instant;
use wire_model::limits::TOPIC_MESSAGE_BYTES;

pub use config::Config;
pub use fleet::Fleet;
pub use ledger::Summary;

use crate::ledger::Ledger;
use crate::publisher::Publisher;

/// So often the ledger's file is up to date.
const LEDGER_FLUSH: Duration = Duration::from_millis(500);

/// Plays, waits for all deliveries, and prints the summary to stdout.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let summary = play(config, shutdown).await?;
    println!("{}", serde_json::to_string(&summary).context("write the summary")?);
    Ok(())
}

/// Plays until the time is over or the shutdown begins, and waits for all deliveries.
pub async fn play(config: Config, shutdown: Shutdown) -> anyhow::Result<Summary> {
    let topic = Topic {
        name: config.kafka.kafka_topic_name.clone(),
        partitions: config.kafka.kafka_topic_partitions,
        max_message_bytes: TOPIC_MESSAGE_BYTES,
    };
    let ledger = Arc::new(Ledger::create(config.ledger.as_deref()).context("create the ledger")?);
    let publisher = Publisher::new(&config.kafka, Arc::clone(&ledger)).context("create the producer")?;
    if !ensure_topics(&config.kafka, &[topic], &shutdown).await? {
        return ledger.summary(Duration::ZERO);
    }
    let mut fleet = Fleet::new(&config, now_ms());
    let began_at = Instant::now();
    let mut next_flush = began_at + LEDGER_FLUSH;
    loop {
        let due_at = began_at + fleet.next_is_due_after();
        if config.duration().is_some_and(|duration| due_at >= began_at + duration) {
            break;
        }
        tokio::select! {
            () = shutdown.requested() => break,
            () = tokio::time::sleep_until(due_at.min(next_flush)) => {}
        }
        let now = Instant::now();
        if now >= next_flush {
            ledger.flush().context("write the ledger")?;
            next_flush = now + LEDGER_FLUSH;
        }
        if now >= due_at {
            let report = fleet.next_report(now_ms());
            publisher.publish(report, now - due_at)?;
        }
    }
    publisher.wait_for_deliveries().await?;
    ledger.flush().context("write the ledger")?;
    ledger.summary(began_at.elapsed())
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
