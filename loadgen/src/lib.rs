//! Plays a fleet of any size into Kafka, journals what it plays, and proves afterwards that all of it is where it should be.
//!
//! Hosts report one after the other, spread evenly over the interval, with values that wander as real ones do. The player must never
//! know who reads the topic; only `ledger/` looks at the other end. A new metric gets a line in `shapes.rs`.

mod churn;
mod config;
mod fleet;
mod host;
mod journal;
pub mod ledger;
mod publisher;
mod shapes;
mod tally;
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
pub use tally::Summary;

use crate::publisher::Publisher;
use crate::tally::Tally;

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
    let tally = Arc::new(Tally::new(config.journal.as_deref()).context("open the journal")?);
    let delivery_timeout = Duration::from_secs(config.delivery_seconds);
    let publisher = Publisher::new(&config.kafka, delivery_timeout, Arc::clone(&tally)).context("create the producer")?;
    if !ensure_topics(&config.kafka, &[topic], &shutdown).await? {
        return Ok(tally.summary(Duration::ZERO));
    }
    let mut fleet = Fleet::new(&config, now_ms());
    let began_at = Instant::now();
    loop {
        let due_at = began_at + fleet.next_is_due_after();
        if config.duration().is_some_and(|duration| due_at >= began_at + duration) {
            break;
        }
        tokio::select! {
            () = shutdown.requested() => break,
            () = tokio::time::sleep_until(due_at) => {}
        }
        publisher.publish(fleet.next_report(now_ms()), due_at.elapsed())?;
    }
    publisher.wait_for_deliveries().await?;
    tally.check().context("write the journal")?;
    Ok(tally.summary(began_at.elapsed()))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
