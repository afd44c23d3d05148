//! The receive loop: takes what Kafka delivers and hands it on. It never waits for a backend, so that the group keeps this
//! consumer and rebalances go through during every outage.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::Message;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use service_runtime::{DRAIN, Shutdown};
use tokio::task::{JoinError, JoinSet};

use crate::batch::Record;
use crate::forward::Forwarder;
use crate::group::Consumer;

/// librdkafka's wake-ups get lost now and then (fede1024/rust-rdkafka#665): we look again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long batches in flight may take after the shutdown began …
const FINISH: Duration = Duration::from_secs(6);
/// … and then the last commit and the goodbye. Together less than the supervisor grants.
const LEAVE: Duration = Duration::from_secs(3);
const _: () = assert!(FINISH.as_secs() + LEAVE.as_secs() < DRAIN.as_secs(), "the supervisor waits long enough");

/// Receives until shutdown, then commits what was accepted and leaves the group.
pub(crate) async fn run(consumer: Arc<Consumer>, forwarder: Arc<Forwarder>, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut workers = JoinSet::new();
    let mut last_error = None;
    while !shutdown.is_requested() {
        let received = tokio::select! {
            () = shutdown.requested() => break,
            Some(ended) = workers.join_next() => {
                check(ended)?;
                continue;
            }
            received = tokio::time::timeout(LOOK_AGAIN, consumer.recv()) => received,
        };
        match received {
            Ok(Ok(message)) => {
                last_error = None;
                consumer.context().hand_over(message.partition(), record(&message), &consumer, |partition| {
                    let forwarder = Arc::clone(&forwarder);
                    workers.spawn(async move { forwarder.run(&partition).await })
                })?;
                // one loop is not to starve the workers on a machine with one CPU
                tokio::task::consume_budget().await;
            }
            Ok(Err(error)) => {
                if let KafkaError::MessageConsumptionFatal(_) = error {
                    bail!("Kafka refuses this consumer for good: {error}");
                }
                let code = error.rdkafka_error_code();
                if last_error != Some(code) {
                    tracing::warn!(%error, "Kafka cannot be read at the moment");
                    last_error = Some(code);
                }
            }
            Err(_) => {}
        }
    }
    finish(&mut workers).await?;
    leave(consumer).await
}

/// Batches in flight get their receipts; what is in a retry or waits is left to the next start.
async fn finish(workers: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let finished = tokio::time::timeout(FINISH, async {
        while let Some(ended) = workers.join_next().await {
            check(ended)?;
        }
        anyhow::Ok(())
    });
    let Ok(result) = finished.await else {
        tracing::warn!("some batches had no receipt in time; they will be sent again");
        workers.shutdown().await;
        return Ok(());
    };
    result
}

async fn leave(consumer: Arc<Consumer>) -> anyhow::Result<()> {
    let left = tokio::task::spawn_blocking(move || {
        let committed = match consumer.commit_consumer_state(CommitMode::Sync) {
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            committed => committed,
        };
        // the last reference: leaves the group
        drop(consumer);
        committed
    });
    match tokio::time::timeout(LEAVE, left).await {
        Ok(committed) => match committed.context("leave the consumer group")? {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the last offsets could not be committed; some batches will be sent again"),
        },
        Err(_) => tracing::warn!("Kafka did not answer the last commit in time; some batches will be sent again"),
    }
    Ok(())
}

/// A worker ends when it is aborted (its partition was revoked) or at shutdown; everything else ends the service.
fn check(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    match ended {
        Ok(result) => result.context("forward a partition"),
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => bail!("a partition's worker panicked: {error}"),
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis(),
        headers: message.headers().filter(|headers| headers.count() > 0).map(rdkafka::message::BorrowedHeaders::detach),
    }
}
