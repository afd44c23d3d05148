//! The receive loop: takes what Kafka delivers and hands it on. It never waits for a backend, so that the group keeps this
//! consumer and rebalances go through during every outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::Message;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use service_runtime::kafka::{Topic, ensure_topics};
use service_runtime::{DRAIN, Health, Shutdown};
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
/// How long the cluster may take to say whether the topic is there. The receive loop stands still meanwhile.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
/// A new client that stalls as soon as this after the old one does not help: perhaps a new process does.
const STALLED_AGAIN: Duration = Duration::from_secs(300);

/// Receives, and hands over to the workers that it starts.
pub(crate) struct Receiver {
    pub(crate) config: Config,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) health: Health,
    /// That the loop turns.
    pub(crate) promise: Promise,
    pub(crate) shutdown: Shutdown,
}

/// Why a client's time is over.
enum End {
    Shutdown,
    /// As wished.
    Rejoin,
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
            let mut workers = JoinSet::new();
            let end = self.receive(&consumer, &mut workers).await?;
            self.promise.rest();
            if matches!(end, End::Shutdown) {
                finish(&mut workers).await?;
                if !leave(consumer, LEAVE).await? {
                    tracing::warn!("Kafka did not answer the last commit in time; some batches will be sent again");
                }
                return Ok(());
            }
            metrics::counter!("consumer_rejoins_total").increment(1);
            self.health.set(KAFKA, Err("joining the group anew".to_owned()));
            // what is held comes again
            self.assignment.remove_all();
            workers.shutdown().await;
            let mut why = self.assignment.take_wish();
            if why == Some(Rejoin::TopicAnew)
                && let Err(error) = forget_stored(&consumer)
            {
                tracing::warn!(%error, "offsets of the old topic may be committed for the new one");
            }
            if !leave(consumer, CLOSE).await? {
                bail!("the Kafka client cannot be closed");
            }
            // what was wished until now the new client grants
            why = why.max(self.assignment.take_wish());
            tracing::warn!(?why, "the Kafka client is replaced by a new one");
            start = if why == Some(Rejoin::TopicAnew) { Start::Beginning } else { Start::Committed };
            if why == Some(Rejoin::Stalled) && stalled_at.replace(Instant::now()).is_some_and(|at| at.elapsed() < STALLED_AGAIN) {
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
                () = self.assignment.rejoin_wished() => return Ok(End::Rejoin),
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
            // whoever deleted the topic had this long to make another one, which librdkafka would have found
            if topic_gone_at.is_some_and(|at| at.elapsed() >= self.config.patience) {
                topic_gone_at = match is_there(consumer, &self.config.kafka.kafka_topic_name) {
                    Ok(true) => None,
                    Ok(false) => {
                        self.assignment.topic.forget();
                        self.assignment.rejoin(Rejoin::TopicAnew);
                        None
                    }
                    Err(error) => {
                        tracing::debug!(%error, "Kafka does not say whether the topic is there");
                        Some(Instant::now())
                    }
                };
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

/// Whether the cluster has the topic. An error about one topic may be that of a broker that did not know it yet.
fn is_there(consumer: &Consumer, topic: &str) -> KafkaResult<bool> {
    let metadata = tokio::task::block_in_place(|| consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT))?;
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    Ok(metadata.topics().iter().any(|found| found.name() == topic && found.error() != Some(unknown)))
}

/// Offsets of a log that is gone are not to be committed for the one that took its name.
fn forget_stored(consumer: &Consumer) -> KafkaResult<()> {
    let mut stored = TopicPartitionList::new();
    for element in consumer.assignment()?.elements() {
        stored.add_partition_offset(element.topic(), element.partition(), Offset::Invalid)?;
    }
    consumer.store_offsets(&stored)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};

    use super::*;
    use crate::watchdog::Watchdog;

    const DEADLINE: Duration = Duration::from_secs(60);

    type Cluster = MockCluster<'static, DefaultProducerContext>;

    /// With a topic "t" of one partition, and a member of the group.
    fn join() -> (Cluster, Config, Arc<Consumer>) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let flags = [format!("--bootstrap-server={}", cluster.bootstrap_servers()), "--kafka-topic-name=t".to_owned()];
        let config: Config = service_runtime::config::read_with(&flags).unwrap();
        let assignment = Arc::new(Assignment::new("t", Watchdog::default()));
        let consumer = group::join(&config, Start::Committed, &Health::new(), &assignment).unwrap();
        (cluster, config, consumer)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_is_gone_when_the_cluster_says_so() {
        let (cluster, _, consumer) = join();
        assert_eq!(is_there(&consumer, "t"), Ok(true));
        for (error, expected) in [
            (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, false),
            (RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, true),
            (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, true),
        ] {
            cluster.topic_error("t", error).unwrap();
            assert_eq!(is_there(&consumer, "t"), Ok(expected), "{error:?}");
        }
        cluster.broker_down(1).unwrap();
        assert!(is_there(&consumer, "t").is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn offsets_of_a_log_that_is_gone_are_not_committed() {
        for forgets in [false, true] {
            let (_cluster, config, consumer) = join();
            let producer: ThreadedProducer<DefaultProducerContext> = config.kafka.client_config().create().unwrap();
            producer.send(BaseRecord::<[u8], str>::to("t").payload("{}")).map_err(|(error, _)| error).unwrap();
            let message = tokio::time::timeout(DEADLINE, consumer.recv()).await.unwrap().unwrap();
            let (partition, offset) = (message.partition(), message.offset());
            drop(message);
            consumer.store_offset("t", partition, offset).unwrap();
            if forgets {
                forget_stored(&consumer).unwrap();
            }
            assert!(leave(consumer, DEADLINE).await.unwrap());
            let group = &config.kafka_consumer_group_id;
            let client: rdkafka::consumer::BaseConsumer = config.kafka.client_config().set("group.id", group).create().unwrap();
            let mut asked = TopicPartitionList::new();
            asked.add_partition("t", partition);
            let committed = client.committed_offsets(asked, DEADLINE).unwrap().elements()[0].offset();
            assert_eq!(committed, if forgets { Offset::Invalid } else { Offset::Offset(1) });
        }
    }
}
