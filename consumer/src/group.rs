//! Membership in the consumer group: which partitions are ours, and where they go on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use service_runtime::Health;
use service_runtime::kafka::Complaints;
use wire_model::limits::MESSAGE_BYTES;

use crate::Config;
use crate::assignment::{Assignment, Rejoin};

pub(crate) type Consumer = StreamConsumer<Group>;

/// The health check's name.
pub(crate) const KAFKA: &str = "kafka";
/// The receive loop stands still meanwhile; the coordinator has just answered, so it is there.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after its first rebalance a client does not trust what is committed for a topic that was made anew. All members notice
/// within a refresh of the metadata, join again, and commit offsets of the new topic from then on.
const NEW_TOPIC: Duration = Duration::from_secs(120);

/// Where partitions go on that come to this client for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Behind what the group committed, or at the log's start.
    Committed,
    /// At the log's start, soon after the client joined: what is committed may be of another topic of the same name. The backend knows
    /// what it has.
    Beginning,
}

impl Start {
    /// How a partition starts that comes so long after the client's first rebalance.
    fn after(self, since_rebalanced: Duration) -> Start {
        if since_rebalanced < NEW_TOPIC { self } else { Start::Committed }
    }
}

/// Subscribes to the topic of reports.
pub(crate) fn join(config: &Config, start: Start, health: &Health, assignment: &Arc<Assignment>) -> KafkaResult<Arc<Consumer>> {
    let group = Group {
        topic: config.kafka.kafka_topic_name.clone(),
        start,
        health: health.clone(),
        complaints: Complaints::default(),
        assignment: Arc::clone(assignment),
        consumer: OnceLock::new(),
        seen: Mutex::default(),
        rebalanced_at: OnceLock::new(),
    };
    let consumer: Consumer = config
        .kafka
        .client_config()
        .set("group.id", &config.kafka_consumer_group_id)
        // a partition that stays with its consumer keeps flowing through a rebalance
        .set("partition.assignment.strategy", "cooperative-sticky")
        // how long the partitions of a killed consumer rest: the least that brokers allow by default
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        // how long the partitions of one whose receive loop hangs rest, and how long it holds up a rebalance of all others; the
        // loop turns every second, and the default is 5 minutes
        .set("max.poll.interval.ms", "60000")
        // how soon added partitions are found; the default is 5 minutes
        .set("topic.metadata.refresh.interval.ms", "15000")
        .set("auto.offset.reset", "earliest")
        // we store after the receipt, librdkafka commits what is stored
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "500")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        // after a full queue look again soon: the default is a whole second, which every sample would wait
        .set("fetch.queue.backoff.ms", "5")
        // messages wait in the partitions, where their bytes are counted; here only to keep the next fetch ahead
        .set("queued.max.messages.kbytes", "1024")
        .set("fetch.max.bytes", (2 * MESSAGE_BYTES).to_string())
        .set("statistics.interval.ms", "2000")
        // the only place where librdkafka tells of a topic that was made anew, see `KnownTopic`
        .set("debug", "metadata")
        .set_log_level(RDKafkaLogLevel::Debug)
        .create_with_context(group)?;
    let consumer = Arc::new(consumer);
    // nothing looks at it before the first poll
    consumer.context().consumer.get_or_init(|| Arc::downgrade(&consumer));
    consumer.subscribe(&[&config.kafka.kafka_topic_name])?;
    Ok(consumer)
}

/// What librdkafka tells this member of the group.
pub(crate) struct Group {
    topic: String,
    start: Start,
    health: Health,
    complaints: Complaints,
    assignment: Arc<Assignment>,
    /// Weak: it owns this.
    consumer: OnceLock<Weak<Consumer>>,
    /// Partitions that this client had before.
    seen: Mutex<HashSet<i32>>,
    /// When this client was in a rebalance for the first time.
    rebalanced_at: OnceLock<Instant>,
}

impl Group {
    /// The partitions with the offsets where they go on: ours to know, because what is missing behind them is lost.
    fn starts(&self, consumer: &BaseConsumer<Group>, partitions: &TopicPartitionList) -> TopicPartitionList {
        let start = self.start.after(self.rebalanced_at.get_or_init(Instant::now).elapsed());
        if partitions.count() == 0 {
            return partitions.clone();
        }
        // the workers go on meanwhile, also on a machine with one CPU
        let committed = tokio::task::block_in_place(|| consumer.committed_offsets(partitions.clone(), COMMITTED_TIMEOUT));
        let starts = committed.unwrap_or_else(|error| {
            // librdkafka asks again by itself, with patience; only the first hole would go unseen
            tracing::warn!(%error, "the committed offsets are not known");
            partitions.clone()
        });
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for number in numbers(&starts) {
            let is_first = seen.insert(number);
            let Some(mut element) = starts.find_partition(&self.topic, number) else { continue };
            if start == Start::Beginning && is_first {
                element.set_offset(Offset::Beginning).expect("the beginning is an offset");
            } else if element.error().is_err() {
                element.set_offset(Offset::Invalid).expect("to be looked up is an offset");
            }
        }
        starts
    }

    fn assign(&self, consumer: &BaseConsumer<Group>, partitions: &TopicPartitionList) {
        let starts = self.starts(consumer, partitions);
        if let Err(error) = consumer.incremental_assign(&starts) {
            tracing::error!(%error, "the assigned partitions could not be taken");
            return self.assignment.rejoin(Rejoin::Stalled);
        }
        let this = self.consumer.get().cloned().unwrap_or_default();
        for element in starts.elements() {
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            self.assignment.add(element.partition(), committed, &this);
        }
        tracing::info!(partitions = ?numbers(partitions), "partitions assigned");
    }

    fn revoke(&self, consumer: &BaseConsumer<Group>, partitions: &TopicPartitionList) {
        for number in numbers(partitions) {
            self.assignment.remove(number);
        }
        // commits what is stored
        if let Err(error) = consumer.incremental_unassign(partitions) {
            tracing::error!(%error, "the revoked partitions could not be let go");
            return self.assignment.rejoin(Rejoin::Stalled);
        }
        tracing::info!(partitions = ?numbers(partitions), "partitions revoked");
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug if self.assignment.topic.is_anew(message) => {
                tracing::error!(topic = self.topic, "the topic was deleted and made anew; what nobody had read of it is lost");
                self.assignment.rejoin(Rejoin::TopicAnew);
            }
            RDKafkaLogLevel::Debug => tracing::trace!(target: "librdkafka", facility, message),
            _ => self.complaints.log(level, facility, message),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        for (number, partition) in statistics.topics.get(&self.topic).into_iter().flat_map(|topic| &topic.partitions) {
            self.assignment.fetches(*number, partition.next_offset, partition.leader);
        }
        let state = match statistics.cgrp {
            Some(group) if group.state == "up" => Ok(()),
            Some(group) => Err(format!("the consumer group is {}", group.state)),
            None => Err("no consumer group yet".to_owned()),
        };
        self.health.set(KAFKA, state);
    }
}

impl ConsumerContext for Group {
    /// Runs inside `recv`. A partition is revoked here before librdkafka commits what is stored and lets it go.
    fn rebalance(&self, consumer: &BaseConsumer<Group>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        metrics::counter!("consumer_rebalances_total").increment(1);
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, partitions);
        } else {
            self.revoke(consumer, partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            // the offsets stay stored, the next commit carries them
            Err(error) => tracing::warn!(%error, "offsets could not be committed"),
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_trusted_again_some_time_after_a_topic_was_made_anew() {
        let soon = NEW_TOPIC.saturating_sub(Duration::from_millis(1));
        assert_eq!(Start::Beginning.after(soon), Start::Beginning);
        assert_eq!(Start::Beginning.after(NEW_TOPIC), Start::Committed);
        assert_eq!(Start::Committed.after(soon), Start::Committed);
    }
}
