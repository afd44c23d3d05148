//! The receive loop: takes what Kafka delivers and hands it on. It never waits for a backend, so that the group keeps this
//! consumer and rebalances go through during every outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::Message;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use service_runtime::kafka::{Topic, ensure_topics};
use service_runtime::{DRAIN, Health, Shutdown};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use wire_model::limits::TOPIC_MESSAGE_BYTES;

use crate::Config;
use crate::assignment::{Assignment, Rejoin};
use crate::batch::Record;
use crate::forward::Forwarder;
use crate::group::{self, Consumer, KAFKA, Start};
use crate::watchdog::Promise;

/// librdkafka's wake-ups get lost now and then (fede1024/rust-rdkafka#665): we look again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long one turn of the loop may take: a rebalance waits for the committed offsets, and librdkafka for its threads.
const TURN: Duration = Duration::from_secs(15);
/// How long batches in flight may take after the shutdown began …
const FINISH: Duration = Duration::from_secs(6);
/// … and then the last commit and the goodbye. Together less than the supervisor grants.
const LEAVE: Duration = Duration::from_secs(3);
const _: () = assert!(FINISH.as_secs() + LEAVE.as_secs() < DRAIN.as_secs(), "the supervisor waits long enough");

/// How long a client may take to close that is to be replaced.
const CLOSE: Duration = Duration::from_secs(10);
/// How long whoever deleted the topic may take to make another one, before we do it.
const TOPIC_GONE: Duration = Duration::from_secs(30);
/// A new client that stalls as soon as this after the old one does not help: perhaps a new process does.
const STALLED_AGAIN: Duration = Duration::from_secs(300);

/// Receives, and hands over to the workers that it starts.
pub(crate) struct Receiver {
    pub(crate) config: Config,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) rejoins: mpsc::Receiver<Rejoin>,
    pub(crate) health: Health,
    /// That the loop turns.
    pub(crate) promise: Promise,
    pub(crate) shutdown: Shutdown,
}

/// Why a client's time is over.
enum End {
    Shutdown,
    Rejoin(Rejoin),
}

impl Receiver {
    /// Receives until shutdown, then commits what was accepted and leaves the group. A client that lost its way is replaced.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let topic = [Topic {
            name: self.config.kafka.kafka_topic_name.clone(),
            partitions: self.config.kafka.kafka_topic_partitions,
            max_message_bytes: TOPIC_MESSAGE_BYTES,
        }];
        let mut start = Start::Committed;
        let mut stalled_at: Option<Instant> = None;
        while ensure_topics(&self.config.kafka, &topic, &self.shutdown).await? {
            let consumer = group::join(&self.config, start, &self.health, &self.assignment).context("join the consumer group")?;
            // what was wished before is granted
            while self.rejoins.try_recv().is_ok() {}
            let mut workers = JoinSet::new();
            let end = self.receive(&consumer, &mut workers).await?;
            self.promise.rest();
            let why = match end {
                End::Rejoin(why) => why,
                End::Shutdown => {
                    finish(&mut workers).await?;
                    if !leave(consumer, LEAVE).await? {
                        tracing::warn!("Kafka did not answer the last commit in time; some batches will be sent again");
                    }
                    return Ok(());
                }
            };
            metrics::counter!("consumer_rejoins_total").increment(1);
            tracing::warn!(?why, "the Kafka client is replaced by a new one");
            self.health.set(KAFKA, Err("joining the group anew".to_owned()));
            // what is held comes again
            self.assignment.remove_all();
            workers.shutdown().await;
            if !leave(consumer, CLOSE).await? {
                bail!("the Kafka client cannot be closed");
            }
            start = if why == Rejoin::TopicAnew { Start::Beginning } else { Start::Committed };
            if why == Rejoin::Stalled && stalled_at.replace(Instant::now()).is_some_and(|at| at.elapsed() < STALLED_AGAIN) {
                bail!("a new Kafka client does not get the records either");
            }
        }
        Ok(())
    }

    async fn receive(&mut self, consumer: &Arc<Consumer>, workers: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<End> {
        let mut last_error = None;
        let mut topic_gone_at: Option<Instant> = None;
        loop {
            self.promise.within(TURN);
            let received = tokio::select! {
                () = self.shutdown.requested() => return Ok(End::Shutdown),
                Some(why) = self.rejoins.recv() => return Ok(End::Rejoin(why)),
                Some(ended) = workers.join_next() => {
                    check(ended)?;
                    continue;
                }
                received = tokio::time::timeout(LOOK_AGAIN, consumer.recv()) => received,
            };
            match received {
                Ok(Ok(message)) => {
                    (last_error, topic_gone_at) = (None, None);
                    self.assignment.hand_over(message.partition(), record(&message), consumer, |partition| {
                        let forwarder = Arc::clone(&self.forwarder);
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
                    if code == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
                        topic_gone_at.get_or_insert_with(Instant::now);
                    }
                    if last_error != Some(code) {
                        tracing::warn!(%error, "Kafka cannot be read at the moment");
                        last_error = Some(code);
                    }
                }
                Err(_) => {}
            }
            if topic_gone_at.is_some_and(|at| at.elapsed() >= TOPIC_GONE) {
                return Ok(End::Rejoin(Rejoin::TopicAnew));
            }
        }
    }
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

/// Commits what was accepted and leaves the group; `false` when that takes longer than `limit`.
async fn leave(consumer: Arc<Consumer>, limit: Duration) -> anyhow::Result<bool> {
    let left = tokio::task::spawn_blocking(move || {
        let committed = match consumer.commit_consumer_state(CommitMode::Sync) {
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            committed => committed,
        };
        // the last reference: leaves the group
        drop(consumer);
        committed
    });
    let Ok(left) = tokio::time::timeout(limit, left).await else { return Ok(false) };
    if let Err(error) = left.context("leave the consumer group")? {
        tracing::warn!(%error, "the last offsets could not be committed; some batches will be sent again");
    }
    Ok(true)
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
