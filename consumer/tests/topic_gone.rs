//! A topic that is gone, and one that only seems to be.

mod support;

use std::time::Duration;

use rdkafka::types::RDKafkaRespErr;
use support::backend::{Backend, Reply};
use support::kafka::{Kafka, mock_cluster};
use support::{Running, eventually};

/// librdkafka asks again for the topic every 15 seconds.
const REFRESHED: Duration = Duration::from_secs(16);

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_know_the_topic_for_a_moment_makes_nobody_read_it_again() {
    let cluster = mock_cluster("unknown", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "unknown");
    let backend = Backend::start(|_| Reply::Accept).await;
    // longer than the moment, so that the topic is back when it is asked for
    let patience = REFRESHED + Duration::from_secs(2);
    let consumer = Running::start_with(&kafka.servers, "unknown", &backend.url, |config| config.patience = patience);
    kafka.write_many(1, 10).await;
    eventually("all is committed", async || (kafka.committed(1) == [Some(10)]).then_some(())).await;
    cluster.topic_error("unknown", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    tokio::time::sleep(REFRESHED).await;
    cluster.topic_error("unknown", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    // no record comes that would show that it is there
    tokio::time::sleep(patience).await;
    kafka.write_many(1, 1).await;
    eventually("it goes on", async || (kafka.committed(1) == [Some(11)]).then_some(())).await;
    assert_eq!(backend.offsets()[&0], (0..11).collect::<Vec<i64>>(), "nothing comes twice");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_nobody_makes_again_is_made_again_and_read_from_its_start() {
    let kafka = Kafka::with_topic("deleted", 1).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer =
        Running::start_with(&kafka.servers, &kafka.topic, &backend.url, |config| config.patience = Duration::from_secs(2));
    kafka.write_many(1, 10).await;
    eventually("all is committed", async || (kafka.committed(1) == [Some(10)]).then_some(())).await;
    kafka.delete_topic().await;
    // the consumer makes it with three
    kafka.until_partitions(3).await;
    // another producer: the old one knows the old topic
    let kafka = Kafka::new(&kafka.servers, &kafka.topic);
    kafka.write_many(3, 60).await;
    eventually("all is committed", async || (kafka.committed(3) == [Some(20); 3]).then_some(())).await;
    assert_eq!(backend.count(), 70);
    consumer.stop().await;
}
