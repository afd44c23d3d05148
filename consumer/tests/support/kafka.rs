//! A broker's topic as the tests see it: written to, read from, and what the group has committed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use super::GROUP;

const TIMEOUT: Duration = Duration::from_secs(20);
/// The cluster's own: as many as it has brokers.
const DEFAULT_REPLICATION: TopicReplication = TopicReplication::Fixed(-1);

/// librdkafka's in-process broker with the topic and its dead-letter topic.
pub fn mock_cluster(topic: &str, partitions: i32) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster.create_topic(&format!("{topic}.dlq"), 1, 1).unwrap();
    cluster
}

/// The bootstrap servers of the real cluster.
pub fn real_cluster() -> String {
    std::env::var("TEST_KAFKA_BOOTSTRAP_SERVER")
        .expect("TEST_KAFKA_BOOTSTRAP_SERVER names no Kafka: start one (scripts/services/kafka start) or run scripts/test")
}

#[derive(Clone)]
pub struct Kafka {
    pub servers: String,
    pub topic: String,
    producer: FutureProducer,
}

/// One message to write.
pub struct New<'a> {
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
}

/// One message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, String)>,
}

impl Found {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Kafka {
    pub fn new(servers: &str, topic: &str) -> Kafka {
        let producer = config(servers).set("message.max.bytes", "20000000").set("compression.type", "zstd").create().unwrap();
        Kafka { servers: servers.to_owned(), topic: topic.to_owned(), producer }
    }

    pub async fn write(&self, message: New<'_>) -> i64 {
        self.write_with_headers(message, OwnedHeaders::new()).await
    }

    pub async fn write_with_headers(&self, message: New<'_>, headers: OwnedHeaders) -> i64 {
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic).partition(message.partition).headers(headers);
        (record.key, record.payload) = (message.key, message.payload);
        self.producer.send(record, TIMEOUT).await.unwrap().offset
    }

    /// `count` small reports, one after the other, spread evenly over the partitions.
    pub async fn write_many(&self, partitions: i32, count: usize) {
        let sent = (0..count).map(|number| {
            let payload = report(number);
            async move {
                let partition = number as i32 % partitions;
                let record = FutureRecord::<[u8], String>::to(&self.topic).partition(partition).payload(&payload);
                self.producer.send_result(record).map_err(|(error, _)| error).unwrap().await.unwrap().unwrap();
            }
        });
        // in the order of the list: futures run up to their delivery when they are first polled
        futures_util::future::join_all(sent).await;
    }

    /// What the group of the topic's consumer has committed, by partition; `None` where it has nothing.
    pub fn committed(&self, partitions: i32) -> Vec<Option<i64>> {
        let group = format!("{GROUP}-{}", self.topic);
        let client: BaseConsumer = config(&self.servers).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, partitions - 1);
        let deadline = Instant::now() + TIMEOUT;
        let committed = loop {
            match client.committed_offsets(list.clone(), TIMEOUT) {
                Ok(committed) => break committed,
                // a cluster that is still young moves the group's coordinator about
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        committed
            .elements()
            .iter()
            .map(|element| match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
            .collect()
    }

    /// All messages of the dead-letter topic's partitions, in order of partition and offset.
    pub fn dead_letters(&self) -> Vec<Found> {
        let topic = format!("{}.dlq", self.topic);
        let client: BaseConsumer = config(&self.servers).set("group.id", "dead-letter-reader").create().unwrap();
        let metadata = client.fetch_metadata(Some(&topic), TIMEOUT).unwrap();
        let mut found = Vec::new();
        for partition in metadata.topics()[0].partitions() {
            let (low, high) = client.fetch_watermarks(&topic, partition.id(), TIMEOUT).unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, partition.id(), Offset::Offset(low)).unwrap();
            client.assign(&list).unwrap();
            for _ in low..high {
                // `None` also after other events than messages
                let message = (0..10).find_map(|_| client.poll(TIMEOUT)).expect("a message below the high watermark").unwrap();
                let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
                let headers = message
                    .headers()
                    .map(|headers| headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect());
                found.push(Found {
                    key: message.key().map(<[u8]>::to_vec),
                    payload: message.payload().map(<[u8]>::to_vec),
                    headers: headers.unwrap_or_default(),
                });
            }
        }
        found
    }

    /// On the real cluster: a topic with a name of its own for this test and run.
    pub async fn with_topic(name: &str, partitions: i32) -> Kafka {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let kafka = Kafka::new(&real_cluster(), &format!("consumer-{name}-{}", now.as_nanos()));
        kafka.create_topic(partitions).await;
        kafka
    }

    pub async fn create_topic(&self, partitions: i32) {
        let new = NewTopic::new(&self.topic, partitions, DEFAULT_REPLICATION);
        self.admin().create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        self.until_partitions(partitions).await;
    }

    pub async fn delete_topic(&self) {
        self.admin().delete_topics(&[&self.topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        self.until_partitions(0).await;
    }

    /// More partitions, so that there are so many.
    pub async fn add_partitions(&self, partitions: i32) {
        let new = NewPartitions::new(&self.topic, partitions as usize);
        self.admin().create_partitions([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        self.until_partitions(partitions).await;
    }

    /// Not every broker knows of a change at once.
    pub async fn until_partitions(&self, partitions: i32) {
        let client: BaseConsumer = config(&self.servers).create().unwrap();
        super::eventually("the topic has its partitions", async || {
            let metadata = client.fetch_metadata(Some(&self.topic), TIMEOUT).unwrap();
            (metadata.topics()[0].partitions().len() == partitions as usize).then_some(())
        })
        .await;
    }

    /// As Kafka's retention does it: the partition's log begins at this offset from now on.
    pub async fn delete_before(&self, partition: i32, offset: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.topic, partition, Offset::Offset(offset)).unwrap();
        let deleted = self.admin().delete_records(&offsets, &AdminOptions::new()).await.unwrap();
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
    }

    /// Deletes what the consumer's group has committed. The group must have no members.
    pub async fn delete_group(&self) {
        let group = format!("{GROUP}-{}", self.topic);
        super::eventually("the group is deleted", async || {
            self.admin().delete_groups(&[&group], &AdminOptions::new()).await.unwrap().remove(0).ok()
        })
        .await;
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        config(&self.servers).create().unwrap()
    }
}

/// A report that tells its number.
pub fn report(number: usize) -> String {
    format!(r#"{{"schema":1,"number":{number}}}"#)
}

fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    // not to wait for a broker that hangs for longer than the consumer does
    config.set("socket.timeout.ms", "10000").set("topic.metadata.refresh.interval.ms", "5000");
    config
}
