//! What is seen from outside of a consumer's process while something beside it is in trouble.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster, report};
use support::process::Process;
use support::{TOKEN, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_changed_on_both_sides_needs_no_restart() {
    let cluster = mock_cluster("token", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "token");
    kafka.write_many(1, 10).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Process::start(&kafka.servers, "token", &backend.url, "an-old-token");
    eventually("it is refused", async || (backend.answered(401) >= 3).then_some(())).await;
    let said = eventually("it says so", async || consumer.problems().await.filter(|said| said.contains("401"))).await;
    assert!(!said.contains("an-old-token"), "{said}");
    std::fs::write(consumer.token_file(), TOKEN).unwrap();
    eventually("all is committed", async || (kafka.committed(1) == [Some(10)]).then_some(())).await;
    eventually("it is ready", async || consumer.problems().await.filter(String::is_empty)).await;
    assert_eq!(backend.count(), 10);
    assert!(!consumer.log().contains(TOKEN));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_cannot_be_written_hold_up_their_partition_alone_and_readyz_says_so() {
    let cluster = mock_cluster("unwritable", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "unwritable");
    for payload in [&b"no json"[..], b"{}"] {
        kafka.write(New { partition: 0, key: None, payload: Some(payload) }).await;
    }
    for number in 0..100 {
        kafka.write(New { partition: 1, key: None, payload: Some(report(number).as_bytes()) }).await;
    }
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 10_000]);
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Process::start(&kafka.servers, "unwritable", &backend.url, TOKEN);
    eventually("the other partition flows", async || (kafka.committed(2) == [None, Some(100)]).then_some(())).await;
    let said =
        eventually("readyz says so", async || consumer.problems().await.filter(|said| said.contains("dead letters"))).await;
    assert!(said.contains("partition 0 waits"), "{said}");
    assert_eq!(kafka.committed(2), [None, Some(100)]);
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    eventually("all is committed", async || (kafka.committed(2) == [Some(2), Some(100)]).then_some(())).await;
    eventually("it is ready", async || consumer.problems().await.filter(String::is_empty)).await;
    assert_eq!(kafka.dead_letters().len(), 1);
    consumer.stop().await;
}
