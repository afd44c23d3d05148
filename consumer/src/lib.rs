//! Forwards reports from Kafka to the api-backend, and commits an offset only after the backend's receipt.
//!
//! The receive loop hands each message to its partition; a worker per partition makes batches, posts one at a time, writes
//! what can never be stored to the dead-letter topic, and stores the offset. Partitions do not wait for each other.
//! Beside it, the backend is told how far behind each partition is, and what stands in the dead-letter topic.
//!
//! Must never know what is in a report: a message is one JSON value, or it is not.

mod assignment;
mod backend;
mod batch;
mod config;
mod dead_letters;
mod deliver;
mod forward;
mod group;
mod letter;
mod letter_reader;
mod letters;
mod load;
mod offsets;
mod outages;
mod partition;
mod progress;
mod receive;
mod sift;
mod skipped;
mod stalls;
mod status;
mod token;
mod topic;
mod trial;
mod waits;
mod watchdog;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context;
use service_runtime::config::secret_file;
use service_runtime::kafka::{Topic, ensure_topics};
use service_runtime::{Health, Shutdown, Supervisor, admin};

pub use config::{BackendUrl, Config};

use crate::assignment::Assignment;
use crate::backend::{Backend, REQUEST_TIMEOUT};
use crate::dead_letters::DeadLetters;
use crate::forward::Forwarder;
use crate::letters::{Letters, Watch};
use crate::load::Load;
use crate::offsets::Offsets;
use crate::outages::Outages;
use crate::receive::Receiver;
use crate::status::Reporter;
use crate::token::Token;
use crate::watchdog::Watchdog;

/// `max.message.bytes` of the dead-letter topic, if it has to be created: what a topic of reports with a larger limit than
/// ours let through must fit, with its headers.
pub const DEAD_LETTER_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Runs until shutdown; the error is that of the first part that failed.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let health = Health::new();
    health.set(group::KAFKA, Err("not connected yet".to_owned()));
    let token = Token::new(config.ingest_token.as_ref(), secret_file("INGEST_TOKEN"))?;
    let backend = Backend::new(&config.api_base_url, token, REQUEST_TIMEOUT).context("prepare the HTTP client")?;
    let backend = Arc::new(backend);
    let watchdog = Watchdog::default();
    let promise = watchdog.promise("the receive loop".to_owned());
    let assignment = Arc::new(Assignment::new(&config.kafka.kafka_topic_name, watchdog.clone()));
    let offsets = Arc::new(Offsets::new(&config.kafka).context("create the client that asks for offsets")?);
    let letters = Arc::new(Letters::default());
    let watch = Watch::new(&config, Arc::clone(&offsets), Arc::clone(&assignment), Arc::clone(&letters));
    let (told, shared) = (Arc::clone(&letters), Arc::clone(&assignment));
    let reporter = Reporter::new(&config, Arc::clone(&backend), shared, offsets, told, health.clone());
    let dead_letters = DeadLetters::new(&config.kafka, letters, health.clone()).context("create the producer of dead letters")?;
    let forwarder = Arc::new(Forwarder {
        backend,
        dead_letters,
        topic: config.kafka.kafka_topic_name.clone(),
        outages: Outages::new("api", health.clone()),
        stored: AtomicU64::new(0),
        load: Mutex::new(Load::new(Instant::now())),
        shutdown: shutdown.clone(),
    });

    let mut supervisor = Supervisor::new(shutdown.clone());
    supervisor.spawn("admin", admin::serve(config.admin_listen_addr, health.clone(), shutdown.clone()));
    supervisor.spawn("dead-letter topic", keep_dead_letter_topic(config.clone(), shutdown.clone()));
    supervisor.spawn("status", reporter.run(shutdown.clone()));
    supervisor.spawn("letters", watch.run(shutdown.clone()));
    supervisor.spawn("receive", Receiver { config, forwarder, assignment, health, promise, shutdown }.run());
    watchdog.start().context("start the watchdog's thread")?;
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
