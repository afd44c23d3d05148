//! Membership in the consumer group: which partitions are ours, and where they go on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use service_runtime::Health;
use wire_model::limits::MESSAGE_BYTES;

use crate::Config;
use crate::assignment::{Assignment, Rejoin};

pub(crate) type Consumer = StreamConsumer<Group>;

/// The health check's name.
pub(crate) const KAFKA: &str = "kafka";
/// The receive loop stands still meanwhile; the coordinator has just answered, so it is there.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(5);
/// What librdkafka calls the id of a topic that it has not met before: sixteen zero bytes in base64.
const NO_TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Where partitions go on that come to this client for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Behind what the group committed, or at the log's start.
    Committed,
    /// At the log's start: what is committed may be of another topic of the same name. The backend knows what it has.
    Beginning,
}

/// Subscribes to the topic of reports.
pub(crate) fn join(config: &Config, start: Start, health: &Health, assignment: &Arc<Assignment>) -> KafkaResult<Arc<Consumer>> {
    let group = Group {
        topic: config.kafka.kafka_topic_name.clone(),
        start,
        health: health.clone(),
        assignment: Arc::clone(assignment),
        consumer: OnceLock::new(),
        seen: Mutex::default(),
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
        .set("allow.auto.create.topics", "false")
        // after a full queue look again soon: the default is a whole second, which every sample would wait
        .set("fetch.queue.backoff.ms", "5")
        // messages wait in the partitions, where their bytes are counted; here only to keep the next fetch ahead
        .set("queued.max.messages.kbytes", "1024")
        .set("fetch.max.bytes", (2 * MESSAGE_BYTES).to_string())
        .set("statistics.interval.ms", "2000")
        // the only place where librdkafka tells of a topic that was made anew, see `is_topic_anew`
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
    assignment: Arc<Assignment>,
    /// Weak: it owns this.
    consumer: OnceLock<Weak<Consumer>>,
    /// Partitions that this client had before.
    seen: Mutex<HashSet<i32>>,
}

impl Group {
    /// The partitions with the offsets where they go on: ours to know, because what is missing behind them is lost.
    fn starts(&self, consumer: &BaseConsumer<Group>, partitions: &TopicPartitionList) -> TopicPartitionList {
        if partitions.count() == 0 {
            return partitions.clone();
        }
        let starts = consumer.committed_offsets(partitions.clone(), COMMITTED_TIMEOUT).unwrap_or_else(|error| {
            // librdkafka asks again by itself, with patience; only the first hole would go unseen
            tracing::warn!(%error, "the committed offsets are not known");
            partitions.clone()
        });
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for number in numbers(&starts) {
            let is_first = seen.insert(number);
            let Some(mut element) = starts.find_partition(&self.topic, number) else { continue };
            if self.start == Start::Beginning && is_first {
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
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, message);
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, message),
            RDKafkaLogLevel::Debug if is_topic_anew(&self.topic, message) => {
                tracing::error!(topic = self.topic, "the topic was deleted and made anew; what nobody had read of it is lost");
                self.assignment.rejoin(Rejoin::TopicAnew);
            }
            _ => tracing::trace!(target: "librdkafka", facility, message),
        }
    }

    fn stats(&self, statistics: Statistics) {
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

/// librdkafka 2.12 goes on at its old offset in a topic that was deleted and made anew, and so skips what stands before it, if
/// there is as much already (see the FIXME in its `rd_kafka_topic_metadata_update2`). All it does is to say so at its debug
/// level: `Topic reports changed id from A to B`.
fn is_topic_anew(topic: &str, message: &str) -> bool {
    let Some((_, ids)) = message.split_once(&format!("Topic {topic} changed id from ")) else { return false };
    ids.split_once(" to ").is_some_and(|(before, now)| before != NO_TOPIC_ID && now != NO_TOPIC_ID)
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_anew_when_it_had_another_id_before() {
        let changed =
            |topic: &str, before: &str, now: &str| format!("[thrd:main]: Topic {topic} changed id from {before} to {now}");
        for (message, expected) in [
            (changed("reports", "u1Yb3Wl9QBa4bTn0oVvx2A", "0iGJ0NvTQSqXtqbRrZ0t4g"), true),
            (changed("reports", NO_TOPIC_ID, "0iGJ0NvTQSqXtqbRrZ0t4g"), false),
            (changed("reports", "u1Yb3Wl9QBa4bTn0oVvx2A", NO_TOPIC_ID), false),
            (changed("reports.dlq", "u1Yb3Wl9QBa4bTn0oVvx2A", "0iGJ0NvTQSqXtqbRrZ0t4g"), false),
            (changed("my-reports", "u1Yb3Wl9QBa4bTn0oVvx2A", "0iGJ0NvTQSqXtqbRrZ0t4g"), false),
            ("[thrd:main]: Topic reports [0] Leader 1 Epoch 0".to_owned(), false),
        ] {
            assert_eq!(is_topic_anew("reports", &message), expected, "{message}");
        }
    }
}
