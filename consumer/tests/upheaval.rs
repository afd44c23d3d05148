//! Topics and groups that change under a running consumer, on a real cluster: what is there arrives, and what is not is told.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, report};
use support::{Running, eventually};
use wire_model::SkippedRecords;

async fn write(kafka: &Kafka, partition: i32, numbers: std::ops::Range<usize>) {
    for number in numbers {
        kafka.write(New { partition, key: None, payload: Some(report(number).as_bytes()) }).await;
    }
}

/// With this, a consumer that took what it has for stalled would end within two of its looks, which are five seconds apart.
const PATIENCE: Duration = Duration::from_secs(1);

/// Long enough for a consumer that is mistaken to end.
async fn calmly(backend: &Backend) {
    let told = backend.statuses().len();
    eventually("more statuses", async || (backend.statuses().len() >= told + 4).then_some(())).await;
}

/// The numbers of all reports that were accepted.
fn numbers(backend: &Backend) -> BTreeSet<usize> {
    let number = |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap()["number"].as_u64().unwrap() as usize;
    backend.accepted().iter().flat_map(|post| &post.reports).map(number).collect()
}

/// Every range that was told as lost, once each.
fn skipped(backend: &Backend) -> Vec<SkippedRecords> {
    let mut skipped: Vec<SkippedRecords> = Vec::new();
    for range in backend.statuses().into_iter().flat_map(|status| status.skipped) {
        if !skipped.contains(&range) {
            skipped.push(range);
        }
    }
    skipped
}

fn range(partition: i32, from_offset: i64, to_offset: i64) -> SkippedRecords {
    SkippedRecords { partition, from_offset, to_offset }
}

async fn until_committed(kafka: &Kafka, expected: &[Option<i64>]) {
    eventually("all is committed", async || (kafka.committed(expected.len() as i32) == expected).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_took_from_a_consumer_that_was_away_is_told_until_the_backend_has_heard() {
    let kafka = Kafka::with_topic("overtaken", 2).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    write(&kafka, 0, 0..10).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    until_committed(&kafka, &[Some(10), None]).await;
    consumer.stop().await;

    write(&kafka, 0, 10..30).await;
    kafka.delete_before(0, 25).await;
    backend.answer_statuses(500);
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    until_committed(&kafka, &[Some(30), None]).await;
    eventually("it is told", async || (skipped(&backend) == [range(0, 10, 25)]).then_some(())).await;
    let heard = backend.statuses().len();
    eventually("it is told again", async || {
        backend.statuses()[heard..].iter().any(|status| !status.skipped.is_empty()).then_some(())
    })
    .await;
    backend.answer_statuses(204);
    eventually("it is told no more", async || {
        backend.statuses().last().is_some_and(|status| status.skipped.is_empty()).then_some(())
    })
    .await;
    assert_eq!(numbers(&backend), (0..10).chain(25..30).collect());
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_takes_while_the_backend_is_down_is_told_exactly() {
    let kafka = Kafka::with_topic("overtaking", 1).await;
    let backend = Backend::start(|_| Reply::Status(503)).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    // more than the partition takes in: it is paused
    let large = |number: usize| format!(r#"{{"number":{number},"text":"{}"}}"#, "x".repeat(300_000));
    for number in 0..30 {
        kafka.write(New { partition: 0, key: None, payload: Some(large(number).as_bytes()) }).await;
    }
    eventually("the consumer tries", async || (backend.answered(503) >= 3).then_some(())).await;
    kafka.delete_before(0, 28).await;
    backend.now(|_| Reply::Accept);
    until_committed(&kafka, &[Some(30)]).await;
    let lost = eventually("it is told", async || skipped(&backend).first().cloned()).await;
    let accepted = numbers(&backend);
    let expected: BTreeSet<usize> =
        (0..30).filter(|number| !(lost.from_offset..lost.to_offset).contains(&(*number as i64))).collect();
    assert_eq!(accepted, expected, "{lost:?}");
    assert!(lost.from_offset > 0 && lost.to_offset == 28, "{lost:?}");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_is_no_loss_is_not_called_one() {
    use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
    let kafka = Kafka::with_topic("transactions", 1).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &kafka.servers)
        .set("transactional.id", &kafka.topic)
        .create()
        .unwrap();
    let consumer = Running::start_with(&kafka.servers, &kafka.topic, &backend.url, |config| config.patience = PATIENCE);
    let timeout = Duration::from_secs(30);
    let topic = kafka.topic.clone();
    tokio::task::spawn_blocking(move || {
        producer.init_transactions(timeout).unwrap();
        for number in 0..3 {
            producer.begin_transaction().unwrap();
            let payload = report(number);
            let record: BaseRecord<[u8], String> = BaseRecord::to(&topic).partition(0).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            producer.commit_transaction(timeout).unwrap();
        }
    })
    .await
    .unwrap();
    eventually("all arrive", async || (numbers(&backend) == (0..3).collect()).then_some(())).await;
    assert_eq!(backend.offsets()[&0], [0, 2, 4], "there are holes");
    // the last marker is no record that could come: this is no stall, which would end the consumer by now
    calmly(&backend).await;
    assert_eq!(skipped(&backend), []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_told_where_nothing_is_left_and_nothing_new_comes() {
    let kafka = Kafka::with_topic("emptied", 1).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let start = || Running::start_with(&kafka.servers, &kafka.topic, &backend.url, |config| config.patience = PATIENCE);
    write(&kafka, 0, 0..10).await;
    let consumer = start();
    until_committed(&kafka, &[Some(10)]).await;
    consumer.stop().await;
    write(&kafka, 0, 10..30).await;
    kafka.delete_before(0, 30).await;
    let consumer = start();
    eventually("it is told", async || (skipped(&backend) == [range(0, 10, 30)]).then_some(())).await;
    eventually("nothing is behind", async || {
        backend.statuses().last()?.partitions.iter().find(|partition| partition.position == 30).map(|_| ())
    })
    .await;
    calmly(&backend).await;
    write(&kafka, 0, 30..35).await;
    until_committed(&kafka, &[Some(35)]).await;
    assert_eq!(skipped(&backend), [range(0, 10, 30)], "once");
    assert_eq!(numbers(&backend), (0..10).chain(30..35).collect());
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_is_read_from_its_start() {
    let kafka = Kafka::with_topic("anew", 2).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    write(&kafka, 0, 0..20).await;
    write(&kafka, 1, 20..40).await;
    until_committed(&kafka, &[Some(20), Some(20)]).await;
    // one partition soon has more than the old one had, the other one less: neither may be read from the old offset
    kafka.delete_topic().await;
    kafka.create_topic(2).await;
    write(&kafka, 0, 100..150).await;
    write(&kafka, 1, 200..205).await;
    let expected: BTreeSet<usize> = (0..40).chain(100..150).chain(200..205).collect();
    eventually("all arrive", async || (numbers(&backend) == expected).then_some(())).await;
    until_committed(&kafka, &[Some(50), Some(5)]).await;
    write(&kafka, 1, 300..310).await;
    until_committed(&kafka, &[Some(50), Some(15)]).await;
    assert_eq!(backend.answered(418), 0);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_at_once_is_read_from_its_start_even_where_it_has_more_than_before() {
    let kafka = Kafka::with_topic("at-once", 1).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    write(&kafka, 0, 0..3).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    until_committed(&kafka, &[Some(3)]).await;
    // many records in one request: they are there before the consumer has asked for more
    kafka.delete_topic().await;
    kafka.create_topic(1).await;
    kafka.write_many(1, 5_000).await;
    eventually("all arrive", async || (numbers(&backend) == (0..5_000).collect()).then_some(())).await;
    until_committed(&kafka, &[Some(5_000)]).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_found_and_read_from_their_start() {
    let kafka = Kafka::with_topic("added", 1).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    write(&kafka, 0, 0..5).await;
    until_committed(&kafka, &[Some(5)]).await;
    kafka.add_partitions(3).await;
    // another producer: the old one does not know of them yet
    let kafka = Kafka::new(&kafka.servers, &kafka.topic);
    // a minute is what `until_committed` waits: librdkafka itself would look after five
    for partition in 0..3 {
        write(&kafka, partition, 10 * (partition as usize + 1)..10 * (partition as usize + 1) + 5).await;
    }
    until_committed(&kafka, &[Some(10), Some(5), Some(5)]).await;
    assert_eq!(numbers(&backend).len(), 20);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_offsets_are_lost_begins_at_the_start() {
    let kafka = Kafka::with_topic("offsets-lost", 1).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    write(&kafka, 0, 0..10).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    until_committed(&kafka, &[Some(10)]).await;
    consumer.stop().await;
    kafka.delete_group().await;
    assert_eq!(kafka.committed(1), [None]);
    write(&kafka, 0, 10..15).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    until_committed(&kafka, &[Some(15)]).await;
    assert_eq!(numbers(&backend), (0..15).collect());
    assert_eq!(backend.count(), 25, "the first ten came twice");
    assert_eq!(skipped(&backend), []);
    consumer.stop().await;
}
