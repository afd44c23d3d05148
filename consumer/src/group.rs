//! Membership in the consumer group: which partitions are ours, and what becomes of those that are not any more.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, TopicPartitionList};
use service_runtime::Health;
use tokio::task::AbortHandle;
use wire_model::limits::MESSAGE_BYTES;

use crate::Config;
use crate::batch::Record;
use crate::partition::Partition;

pub(crate) type Consumer = StreamConsumer<Group>;

/// Subscribes to the topic of reports.
pub(crate) fn join(config: &Config, health: Health) -> KafkaResult<Arc<Consumer>> {
    let group = Group { topic: config.kafka.kafka_topic_name.clone(), health, workers: Mutex::default(), held: Arc::default() };
    let consumer: Consumer = config
        .kafka
        .client_config()
        .set("group.id", &config.kafka_consumer_group_id)
        // a partition that stays with its consumer keeps flowing through a rebalance
        .set("partition.assignment.strategy", "cooperative-sticky")
        // how long the partitions of a killed consumer rest: the least that brokers allow by default
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
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
        .create_with_context(group)?;
    consumer.subscribe(&[&config.kafka.kafka_topic_name])?;
    Ok(Arc::new(consumer))
}

/// What librdkafka tells this member of the group, and the partitions it has.
pub(crate) struct Group {
    topic: String,
    health: Health,
    workers: Mutex<HashMap<i32, Worker>>,
    held: Arc<AtomicUsize>,
}

struct Worker {
    partition: Arc<Partition>,
    task: AbortHandle,
}

impl Group {
    /// Gives a record to its partition. The first one of a partition starts its worker.
    pub(crate) fn hand_over(
        &self,
        number: i32,
        record: Record,
        consumer: &Arc<Consumer>,
        start: impl FnOnce(Arc<Partition>) -> AbortHandle,
    ) -> anyhow::Result<()> {
        let mut workers = self.lock();
        let worker = workers.entry(number).or_insert_with(|| {
            let held = Arc::clone(&self.held);
            let partition = Arc::new(Partition::new(&self.topic, number, Arc::downgrade(consumer), held));
            Worker { task: start(Arc::clone(&partition)), partition }
        });
        worker.partition.push(record)
    }

    fn revoke(&self, number: i32) {
        if let Some(worker) = self.lock().remove(&number) {
            worker.partition.revoke();
            worker.task.abort();
        }
        metrics::gauge!("consumer_lag", "partition" => number.to_string()).set(0.0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Group {
    fn stats(&self, statistics: Statistics) {
        let group = statistics.cgrp.as_ref();
        self.health.set(
            "kafka",
            match group {
                Some(group) if group.state == "up" => Ok(()),
                Some(group) => Err(format!("the consumer group is {}", group.state)),
                None => Err("no consumer group yet".to_owned()),
            },
        );
        let assigned = self.lock().keys().copied().collect::<Vec<_>>();
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        for number in assigned {
            // -1: not known yet
            if let Some(partition) = topic.partitions.get(&number).filter(|partition| partition.consumer_lag_stored >= 0) {
                let lag = partition.consumer_lag_stored as f64;
                metrics::gauge!("consumer_lag", "partition" => number.to_string()).set(lag);
            }
        }
    }
}

impl ConsumerContext for Group {
    /// Runs inside `recv`, before librdkafka commits what is stored and lets the partitions go.
    fn pre_rebalance(&self, _: &BaseConsumer<Group>, rebalance: &Rebalance<'_>) {
        metrics::counter!("consumer_rebalances_total").increment(1);
        match rebalance {
            Rebalance::Assign(partitions) => tracing::info!(partitions = ?numbers(partitions), "partitions assigned"),
            Rebalance::Revoke(partitions) => {
                for number in numbers(partitions) {
                    self.revoke(number);
                }
                tracing::info!(partitions = ?numbers(partitions), "partitions revoked");
            }
            Rebalance::Error(error) => tracing::warn!(%error, "the group's rebalance failed"),
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
