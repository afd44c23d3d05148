//! How far a consumer group is, and messages that no collector would write.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::service;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Kafka's address.
pub fn bootstrap_server() -> String {
    service("TEST_KAFKA_BOOTSTRAP_SERVER", "kafka")
}

/// Messages of the topic that the group has not committed yet.
pub fn lag(servers: &str, topic: &str, group: &str) -> i64 {
    let client = client(servers, group);
    let mut lag = 0;
    for (partition, low, high) in watermarks(&client, topic) {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = committed(&client, &list);
        let committed = match committed.elements()[0].offset() {
            Offset::Offset(offset) => offset,
            _ => low,
        };
        lag += high - committed;
    }
    lag
}

/// A cluster that is still young moves the group's coordinator about: asked again until it answers.
fn committed(client: &BaseConsumer, list: &TopicPartitionList) -> TopicPartitionList {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match client.committed_offsets(list.clone(), TIMEOUT) {
            Ok(committed) => return committed,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a topic has been made.
pub fn has_topic(servers: &str, topic: &str) -> bool {
    let metadata = client(servers, "topics").fetch_metadata(Some(topic), TIMEOUT).expect("Kafka answers");
    metadata.topics().iter().any(|found| found.error().is_none() && !found.partitions().is_empty())
}

/// Messages in a topic; 0 if it does not exist.
pub fn count(servers: &str, topic: &str) -> i64 {
    watermarks(&client(servers, "counter"), topic).iter().map(|(_, low, high)| high - low).sum()
}

/// Writes a message as anybody may; the topic must be there.
pub async fn write(servers: &str, topic: &str, key: &str, payload: &[u8]) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    producer.send(FutureRecord::to(topic).key(key).payload(payload), TIMEOUT).await.expect("Kafka takes the message");
}

/// How many partitions of a topic have messages.
pub fn partitions_in_use(servers: &str, topic: &str) -> usize {
    watermarks(&client(servers, "counter"), topic).iter().filter(|(_, low, high)| high > low).count()
}

fn client(servers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", servers).set("group.id", group).create().unwrap()
}

/// Partition, first and next offset.
fn watermarks(client: &BaseConsumer, topic: &str) -> Vec<(i32, i64, i64)> {
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT).expect("Kafka answers");
    let partitions = metadata.topics()[0].partitions().iter().map(|partition| {
        let (low, high) = client.fetch_watermarks(topic, partition.id(), TIMEOUT).unwrap();
        (partition.id(), low, high)
    });
    partitions.collect()
}

/// Whether every partition of the cluster has all its replicas in sync.
pub fn has_all_replicas(servers: &str) -> bool {
    let Ok(metadata) = client(servers, "replicas").fetch_metadata(None, TIMEOUT) else { return false };
    let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
    partitions.all(|partition| partition.isr().len() == partition.replicas().len())
}
