//! librdkafka's in-process broker: speaks Kafka's protocol on a loopback port, keeps everything in memory.

use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use tracing::warn;

/// How long an ordered end waits for the consumer to take what is left.
const DRAIN: Duration = Duration::from_secs(3);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const ASK_AGAIN: Duration = Duration::from_millis(50);
const ONE_REPLICA: i32 = 1;

/// The broker; it ends when this is dropped.
pub(crate) struct Broker(MockCluster<'static, DefaultProducerContext>);

impl Broker {
    pub(crate) fn start() -> anyhow::Result<Broker> {
        MockCluster::new(1).map(Broker).context("start the in-process broker")
    }

    pub(crate) fn bootstrap_server(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// It does not take CreateTopics requests, so the topics are there before anybody asks.
    pub(crate) fn create_topics(&self, consumer: &consumer::Config) -> anyhow::Result<()> {
        let kafka = &consumer.kafka;
        for topic in [&kafka.kafka_topic_name, &kafka.dead_letter_topic()] {
            self.0
                .create_topic(topic, kafka.kafka_topic_partitions, ONE_REPLICA)
                .with_context(|| format!("create the topic {topic}"))?;
        }
        Ok(())
    }
}

/// Waits until the consumer has committed all there is: what stays in memory is lost.
pub(crate) async fn drain(consumer: &consumer::Config) {
    let consumer = consumer.clone();
    let drained = tokio::task::spawn_blocking(move || wait_until_committed(&consumer)).await;
    match drained {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => warn!("reports that were not stored yet end with the in-process broker"),
        Ok(Err(error)) => warn!(error = format!("{error:#}"), "cannot see whether all reports were stored"),
        Err(error) => warn!(%error, "cannot see whether all reports were stored"),
    }
}

fn wait_until_committed(config: &consumer::Config) -> anyhow::Result<bool> {
    let kafka = &config.kafka;
    let client: BaseConsumer =
        kafka.client_config().set("group.id", &config.kafka_consumer_group_id).create().context("create a Kafka client")?;
    let deadline = Instant::now() + DRAIN;
    while Instant::now() < deadline {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&kafka.kafka_topic_name, 0, kafka.kafka_topic_partitions - 1);
        let committed = client.committed_offsets(partitions, ASK_TIMEOUT).context("ask for committed offsets")?;
        let mut is_behind = false;
        for partition in committed.elements() {
            let (low, high) =
                client.fetch_watermarks(partition.topic(), partition.partition(), ASK_TIMEOUT).context("ask for the end")?;
            let next = match partition.offset() {
                Offset::Offset(offset) => offset,
                _ => low,
            };
            is_behind |= next < high;
        }
        if !is_behind {
            return Ok(true);
        }
        std::thread::sleep(ASK_AGAIN);
    }
    Ok(false)
}
