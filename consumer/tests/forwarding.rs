//! What arrives, in which order, and what is committed, while all is well and while the backend is not.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster, report};
use support::{Running, eventually};
use tokio::net::TcpListener;

/// Every offset of every partition, once and in order.
fn all(partitions: i32, count: usize) -> BTreeMap<i32, Vec<i64>> {
    let each = (count / partitions as usize) as i64;
    (0..partitions).map(|partition| (partition, (0..each).collect())).collect()
}

async fn until_committed(kafka: &Kafka, partitions: i32, offset: i64) {
    eventually("all is committed", async || {
        kafka.committed(partitions).iter().all(|committed| *committed == Some(offset)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_reports_arrive_complete_in_order_and_as_received() {
    let cluster = mock_cluster("reports", 4);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "reports");
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, "reports", &backend.url);
    kafka.write_many(4, 10_000).await;
    eventually("10,000 reports", async || (backend.count() >= 10_000).then_some(())).await;
    assert_eq!(backend.offsets(), all(4, 10_000));
    for post in backend.accepted() {
        assert_eq!(post.topic, "reports");
        for (offset, received) in post.offsets.iter().zip(&post.reports) {
            assert_eq!(*received, report(*offset as usize * 4 + post.partition as usize));
        }
    }
    until_committed(&kafka, 4, 2_500).await;
    assert_eq!(backend.answered(418), 0);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_backend_answers_but_success_is_tried_again() {
    let cluster = mock_cluster("refused", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "refused");
    kafka.write_many(2, 100).await;
    // nobody listens at first
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let consumer = Running::start(&kafka.servers, "refused", &format!("http://{address}"));
    eventually("the consumer has a group", async || (kafka.committed(2) == [None, None]).then_some(())).await;
    let backend = Backend::start_on(TcpListener::bind(address).await.unwrap(), |_| Reply::Status(503));
    for status in [503, 401, 403, 404, 408, 429, 500, 302, 204, 202] {
        backend.now(move |_| Reply::Status(status));
        eventually("the status is met", async || (backend.answered(status) >= 1).then_some(())).await;
    }
    assert_eq!(kafka.committed(2), [None, None]);
    backend.now(|_| Reply::Accept);
    eventually("all reports", async || (backend.count() >= 100).then_some(())).await;
    assert_eq!(backend.offsets(), all(2, 100));
    until_committed(&kafka, 2, 50).await;
    assert_eq!(kafka.dead_letters(), []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_in_trouble_holds_up_no_other_however_much_waits_in_it() {
    let cluster = mock_cluster("trouble", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "trouble");
    let backend = Backend::start(|post| if post.partition == 0 { Reply::Status(500) } else { Reply::Accept }).await;
    let consumer = Running::start(&kafka.servers, "trouble", &backend.url);
    // 4 MB wait in partition 0: it is paused, more than once while it drains
    let large = format!("\"{}\"", "x".repeat(40_000));
    for _ in 0..100 {
        kafka.write(New { partition: 0, key: None, payload: Some(large.as_bytes()) }).await;
    }
    for offset in 0..500 {
        kafka.write(New { partition: 1, key: None, payload: Some(report(offset).as_bytes()) }).await;
    }
    let healthy: Vec<i64> = (0..500).collect();
    eventually("the healthy partition", async || (backend.offsets().get(&1) == Some(&healthy)).then_some(())).await;
    assert_eq!(backend.offsets().get(&0), None);
    backend.now(|_| Reply::Accept);
    eventually("the other one", async || (backend.count() >= 600).then_some(())).await;
    assert_eq!(backend.offsets()[&0], (0..100).collect::<Vec<i64>>());
    eventually("both are committed", async || (kafka.committed(2) == [Some(100), Some(500)]).then_some(())).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_in_the_midst_the_next_start_goes_on_exactly_behind_what_was_accepted() {
    let cluster = mock_cluster("restart", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "restart");
    kafka.write_many(2, 10_000).await;
    let backend = Backend::start(|_| {
        // a slow backend: the shutdown meets batches in flight
        std::thread::sleep(Duration::from_millis(50));
        Reply::Accept
    })
    .await;
    let consumer = Running::start(&kafka.servers, "restart", &backend.url);
    eventually("the first reports", async || (backend.count() > 0).then_some(())).await;
    let took = consumer.stop().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    let offsets = backend.offsets();
    let next = |partition| offsets.get(&partition).and_then(|offsets| offsets.last()).map(|last| last + 1);
    assert_eq!(kafka.committed(2), [next(0), next(1)], "what was accepted is committed, and no more");
    assert!(backend.count() < 10_000, "it was in the midst");

    let consumer = Running::start(&kafka.servers, "restart", &backend.url);
    eventually("the rest", async || (backend.count() >= 10_000).then_some(())).await;
    assert_eq!(backend.offsets(), all(2, 10_000));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_a_backend_that_is_down() {
    let cluster = mock_cluster("down", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "down");
    kafka.write_many(1, 10).await;
    let backend = Backend::start(|_| Reply::Status(503)).await;
    let consumer = Running::start(&kafka.servers, "down", &backend.url);
    // by then the waits are longer than the shutdown may take
    eventually("some tries", async || (backend.answered(503) >= 6).then_some(())).await;
    let took = consumer.stop().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(kafka.committed(1), [None]);
}
