//! Forwards reports from Kafka to the api-backend, and commits an offset only after the backend's receipt.
//!
//! The receive loop hands each message to its partition; a worker per partition makes batches, posts one at a time, writes
//! what can never be stored to the dead-letter topic, and stores the offset. Partitions do not wait for each other.
//!
//! Must never know what is in a report: a message is one JSON value, or it is not.

mod backend;
mod batch;
mod config;
mod dead_letters;
mod forward;
mod group;
mod outages;
mod partition;
mod receive;
mod sift;

use std::sync::Arc;

use anyhow::Context;
use service_runtime::kafka::{Topic, ensure_topics};
use service_runtime::{Health, Shutdown, Supervisor, admin};
use wire_model::limits::TOPIC_MESSAGE_BYTES;

pub use config::{BackendUrl, Config};

use crate::backend::{Backend, REQUEST_TIMEOUT};
use crate::dead_letters::DeadLetters;
use crate::forward::Forwarder;
use crate::outages::Outages;

/// `max.message.bytes` of the dead-letter topic, if it has to be created: what a topic of reports with a larger limit than
/// ours let through must fit, with its headers.
pub const DEAD_LETTER_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Runs until shutdown; the error is that of the first part that failed.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let health = Health::new();
    health.set("kafka", Err("not connected yet".to_owned()));
    let forwarder = Arc::new(Forwarder {
        backend: Backend::new(&config.api_base_url, config.ingest_token.as_ref(), REQUEST_TIMEOUT)
            .context("prepare the HTTP client")?,
        dead_letters: DeadLetters::new(&config.kafka).context("create the producer of dead letters")?,
        topic: config.kafka.kafka_topic_name.clone(),
        outages: Outages::new(health.clone()),
        shutdown: shutdown.clone(),
    });

    let mut supervisor = Supervisor::new(shutdown.clone());
    supervisor.spawn("admin", admin::serve(config.admin_listen_addr, health.clone(), shutdown.clone()));
    supervisor.spawn("dead-letter topic", keep_dead_letter_topic(config.clone(), shutdown.clone()));
    supervisor.spawn("receive", async move {
        let topic = Topic {
            name: config.kafka.kafka_topic_name.clone(),
            partitions: config.kafka.kafka_topic_partitions,
            max_message_bytes: TOPIC_MESSAGE_BYTES,
        };
        if !ensure_topics(&config.kafka, &[topic], &shutdown).await? {
            return Ok(());
        }
        let consumer = group::join(&config, health).context("join the consumer group")?;
        receive::run(consumer, forwarder, shutdown).await
    });
    supervisor.run().await
}

/// Beside the receive loop: reports are forwarded also where the cluster does not let us create this topic.
async fn keep_dead_letter_topic(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let topic = Topic {
        name: config.kafka.dead_letter_topic(),
        partitions: config.kafka.kafka_topic_partitions,
        max_message_bytes: DEAD_LETTER_MESSAGE_BYTES,
    };
    ensure_topics(&config.kafka, &[topic], &shutdown).await?;
    shutdown.requested().await;
    Ok(())
}
