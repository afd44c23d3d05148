//! What the consumer tells the backend of itself.

mod support;

use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster, report};
use support::{Running, eventually};
use wire_model::{ConsumerStatus, PartitionStatus};

/// Waits for a status that is as it should be, and fails with the last one.
async fn until_told(backend: &Backend, what: &str, is_right: impl Fn(&ConsumerStatus) -> bool) -> ConsumerStatus {
    eventually(what, async || backend.statuses().into_iter().rev().find(&is_right)).await
}

fn partition(partition: i32, position: i64, end_offset: i64) -> PartitionStatus {
    PartitionStatus { partition, position, end_offset: Some(end_offset), waiting_since: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_is_told_with_its_lag_and_the_age_of_its_oldest_record() {
    let cluster = mock_cluster("told", 3);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "told");
    for number in 0..5 {
        kafka.write(New { partition: 1, key: None, payload: Some(report(number).as_bytes()) }).await;
    }
    kafka.write(New { partition: 0, key: None, payload: Some(b"no json") }).await;
    let backend = Backend::start(|_| Reply::Status(503)).await;
    let consumer = Running::start(&kafka.servers, "told", &backend.url);
    let behind = until_told(&backend, "a partition is behind", |status| {
        status.partitions.iter().any(|partition| partition.waiting_since.is_some())
    })
    .await;
    assert_eq!((behind.topic.as_str(), behind.group.as_str()), ("told", "test-group-told"));
    assert_eq!((behind.version.as_str(), behind.skipped.len()), (env!("CARGO_PKG_VERSION"), 0));
    assert_eq!(behind.partitions[0].end_offset, Some(1));
    assert_eq!(behind.partitions[2], partition(2, 0, 0), "an idle partition is told, too");
    let [_, waiting, _] = &behind.partitions[..] else { panic!("{behind:?}") };
    assert_eq!((waiting.position, waiting.end_offset), (0, Some(5)));
    assert!(waiting.waiting_since.is_some_and(|at| at > 1_600_000_000_000), "{waiting:?}");

    backend.now(|_| Reply::Accept);
    let told = until_told(&backend, "all is accepted", |status| {
        status.partitions == [partition(0, 1, 1), partition(1, 5, 5), partition(2, 0, 0)]
    })
    .await;
    assert_eq!(told.consumer, behind.consumer, "it is the same start");
    consumer.stop().await;

    let consumer = Running::start(&kafka.servers, "told", &backend.url);
    let again = until_told(&backend, "the next start goes on there", |status| {
        status.consumer != told.consumer && status.partitions == told.partitions
    });
    again.await;
    let counted = until_told(&backend, "and counts the dead letter", |status| {
        status.consumer != told.consumer && status.dead_letters == Some(1)
    });
    counted.await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_does_not_listen_disturbs_nothing() {
    let cluster = mock_cluster("unheard", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "unheard");
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, "unheard", &backend.url);
    let mut written = 0;
    for answer in [404, 500, 401, 302] {
        backend.answer_statuses(answer);
        let before = backend.statuses().len();
        kafka.write_many(1, 10).await;
        written += 10;
        eventually("all is accepted", async || (backend.count() == written).then_some(())).await;
        eventually("a status was refused", async || (backend.statuses().len() > before).then_some(())).await;
    }
    eventually("all is committed", async || (kafka.committed(1) == [Some(written as i64)]).then_some(())).await;
    consumer.stop().await;
}
