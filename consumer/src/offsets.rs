//! What the brokers say of their logs' ends, asked by a client of its own: one that reads nothing is not in trouble when the
//! reading one is, and a paused partition has news, too. All calls block, for no longer than the timeout.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use service_runtime::kafka::KafkaConfig;

const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Offsets {
    client: BaseConsumer,
}

impl Offsets {
    pub(crate) fn new(kafka: &KafkaConfig) -> anyhow::Result<Offsets> {
        let client = kafka
            .client_config()
            .set("allow.auto.create.topics", "false")
            // the end is where the reading client can get to
            .set("isolation.level", "read_committed")
            .create()?;
        Ok(Offsets { client })
    }

    /// Offset of the next record of each partition.
    pub(crate) fn ends(&self, topic: &str, partitions: &[i32]) -> anyhow::Result<HashMap<i32, i64>> {
        self.ask(topic, partitions, Offset::End).context("ask for the ends of the log")
    }

    /// Offset of the first record that each partition has, or would have.
    pub(crate) fn starts(&self, topic: &str, partitions: &[i32]) -> anyhow::Result<HashMap<i32, i64>> {
        self.ask(topic, partitions, Offset::Beginning).context("ask for the starts of the log")
    }

    /// How many records a topic has, where nothing but Kafka's retention takes any away.
    pub(crate) fn count(&self, topic: &str) -> anyhow::Result<u64> {
        let metadata = self.client.fetch_metadata(Some(topic), TIMEOUT).context("ask for the topic's partitions")?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let partitions = found.ok_or_else(|| anyhow!("there is no topic {topic}"))?.partitions();
        let partitions: Vec<i32> = partitions.iter().map(rdkafka::metadata::MetadataPartition::id).collect();
        let (starts, ends) = (self.starts(topic, &partitions)?, self.ends(topic, &partitions)?);
        let counts = ends.iter().filter_map(|(partition, end)| Some(end - starts.get(partition)?));
        Ok(counts.map(|count| u64::try_from(count).unwrap_or(0)).sum())
    }

    /// One request to each broker that leads a partition. Partitions that it cannot speak of are left out.
    fn ask(&self, topic: &str, partitions: &[i32], which: Offset) -> anyhow::Result<HashMap<i32, i64>> {
        // its events are served, so that they do not pile up
        while self.client.poll(Duration::ZERO).is_some() {}
        if partitions.is_empty() {
            return Ok(HashMap::new());
        }
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            asked.add_partition_offset(topic, *partition, which)?;
        }
        let answered = self.client.offsets_for_times(asked, TIMEOUT)?;
        let known = answered.elements().into_iter().filter(|element| element.error().is_ok());
        let offsets = known.filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        });
        Ok(offsets.collect())
    }
}
