//! Partitions that get nothing although Kafka has something.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::time::Duration;

use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster, report};
use support::{Running, eventually};

/// No broker has this number: whoever asks the leader for records is sent there in vain.
const NOBODY: i32 = 99;
/// More than the five seconds between two looks, in which others must be seen to flow.
const PATIENCE: Duration = Duration::from_secs(6);

async fn problems(admin: &str) -> Option<String> {
    reqwest::get(format!("{admin}/readyz")).await.ok()?.text().await.ok()
}

/// A consumer that is short of patience, with an admin server.
fn start(kafka: &Kafka, backend: &Backend) -> (Running, String) {
    // free when asked for, and hardly taken a moment later
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let consumer = Running::start_with(&kafka.servers, &kafka.topic, &backend.url, |config| {
        config.patience = PATIENCE;
        config.admin_listen_addr = service_runtime::AdminListener::At(address);
    });
    (consumer, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stalled_partition_is_named_and_the_others_flow_on() {
    let cluster = mock_cluster("one-stalls", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "one-stalls");
    cluster.partition_follower("one-stalls", 0, NOBODY).unwrap();
    let backend = Backend::start(|_| Reply::Accept).await;
    let (consumer, admin) = start(&kafka, &backend);
    kafka.write(New { partition: 0, key: None, payload: Some(report(0).as_bytes()) }).await;
    let named = "the partitions [0]";
    let mut written = 0;
    let mut write_to_the_other = async || {
        kafka.write(New { partition: 1, key: None, payload: Some(report(1).as_bytes()) }).await;
        written += 1;
        problems(&admin).await.is_some_and(|problems| problems.contains(named))
    };
    eventually("it is named", async || write_to_the_other().await.then_some(())).await;
    // past the second new client, at which a consumer of which nothing flows ends
    let told = backend.statuses().len();
    eventually("it is still named", async || {
        let is_named = write_to_the_other().await;
        (is_named && backend.statuses().len() >= told + 5).then_some(())
    })
    .await;
    eventually("the other one is committed", async || (kafka.committed(2) == [None, Some(written)]).then_some(())).await;
    cluster.partition_follower("one-stalls", 0, -1).unwrap();
    eventually("it flows", async || (kafka.committed(2) == [Some(1), Some(written)]).then_some(())).await;
    eventually("all is well", async || (!problems(&admin).await?.contains(named)).then_some(())).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_gets_nothing_tries_a_new_client_and_then_ends() {
    let cluster = mock_cluster("all-stall", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "all-stall");
    kafka.write_many(2, 2).await;
    for partition in 0..2 {
        cluster.partition_follower("all-stall", partition, NOBODY).unwrap();
    }
    let backend = Backend::start(|_| Reply::Accept).await;
    let (consumer, _) = start(&kafka, &backend);
    let problem = consumer.fails().await;
    assert!(problem.contains("a new Kafka client does not get the records either"), "{problem}");
    assert_eq!(backend.count(), 0);
}
