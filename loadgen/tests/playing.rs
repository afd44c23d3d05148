//! What reaches Kafka is what the journal says.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use loadgen::Config;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use service_runtime::Shutdown;
use wire_model::HostReport;

const TOPIC: &str = "played";
const PARTITIONS: i32 = 3;
const TIMEOUT: Duration = Duration::from_secs(20);

fn config(servers: &str, flags: &[String]) -> Config {
    let kafka = [format!("--bootstrap-server={servers}"), format!("--kafka-topic-name={TOPIC}")];
    service_runtime::config::read_with(&[&kafka, flags].concat()).unwrap()
}

/// All messages, by partition.
fn read(servers: &str) -> BTreeMap<i32, Vec<(i64, HostReport, String)>> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "reader").create().unwrap();
    let mut found = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let (low, high) = client.fetch_watermarks(TOPIC, partition, TIMEOUT).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, partition, Offset::Offset(low)).unwrap();
        client.assign(&list).unwrap();
        let messages = (low..high).map(|_| {
            // `None` also after other events than messages
            let message = (0..10).find_map(|_| client.poll(TIMEOUT)).expect("a message below the high watermark").unwrap();
            let payload = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let report = HostReport::decode(payload.as_bytes(), i64::MAX - 1).unwrap();
            assert_eq!(message.key().unwrap(), report.host.id.as_bytes());
            (message.offset(), report, payload)
        });
        found.insert(partition, messages.collect());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_has_what_is_in_the_topic_and_nothing_else() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let flags = ["--hosts=20", "--containers=3", "--interval-ms=200", "--duration-seconds=1", "--churn=0.5"];
    let mut flags: Vec<String> = flags.map(str::to_owned).into();
    flags.push(format!("--journal={}", path.display()));

    let servers = cluster.bootstrap_servers();
    let summary = loadgen::play(config(&servers, &flags), Shutdown::new()).await.unwrap();
    assert_eq!((summary.sent, summary.acknowledged, summary.failed), (100, 100, 0));

    let mut found = Vec::new();
    for (partition, messages) in read(&servers) {
        let mut hosts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (offset, report, payload) in messages {
            let name = format!("{}\t{}\t{}", report.host.id, report.epoch, report.seq);
            found.push(format!("sent\t{name}\t{payload}"));
            found.push(format!("acknowledged\t{name}\t{partition}\t{offset}"));
            hosts.entry(report.host.id).or_default().push(report.seq);
        }
        assert!(hosts.values().all(|seqs| seqs.iter().copied().eq(1..=5)), "a host's reports are in order");
    }
    let journal = std::fs::read_to_string(&path).unwrap();
    let mut written: Vec<&str> = journal.lines().collect();
    let position = |line: String| written.iter().position(|other| *other == line).unwrap();
    assert!(position(found[0].clone()) < position(found[1].clone()), "journaled before it is acknowledged");
    written.sort_unstable();
    found.sort_unstable();
    assert_eq!(written, found);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_end_it_plays_until_it_is_told_to_stop() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let flags = ["--hosts=5".to_owned(), "--interval-ms=100".to_owned(), format!("--journal={}", path.display())];
    let shutdown = Shutdown::new();
    let playing = tokio::spawn(loadgen::play(config(&cluster.bootstrap_servers(), &flags), shutdown.clone()));
    let lines = || std::fs::read_to_string(&path).unwrap_or_default().lines().count();
    let deadline = Instant::now() + TIMEOUT;
    while lines() < 20 {
        assert!(Instant::now() < deadline, "the journal does not grow while it plays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.begin();
    let summary = playing.await.unwrap().unwrap();
    assert_eq!((summary.acknowledged, summary.failed), (summary.sent, 0));
    assert_eq!(lines() as u64, 2 * summary.acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_refuses_is_counted_and_journaled_as_failed() {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 1_000]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut flags: Vec<String> = ["--hosts=5", "--duration-seconds=1", "--interval-ms=1000"].map(str::to_owned).into();
    flags.push(format!("--journal={}", path.display()));
    let summary = loadgen::play(config(&cluster.bootstrap_servers(), &flags), Shutdown::new()).await.unwrap();
    assert_eq!((summary.sent, summary.acknowledged, summary.failed), (5, 0, 5));
    let journal = std::fs::read_to_string(&path).unwrap();
    let count = |kind: &str| journal.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!((count("sent\t"), count("acknowledged\t"), count("failed\t")), (5, 0, 5));
}
