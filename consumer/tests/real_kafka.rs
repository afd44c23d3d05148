//! What only a real cluster shows: the group's rebalances, and the topics as the broker made them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consumer::DEAD_LETTER_MESSAGE_BYTES;
use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::message::{Header, OwnedHeaders};
use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, real_cluster, report};
use support::{Running, eventually};
use wire_model::limits::{MESSAGE_BYTES, TOPIC_MESSAGE_BYTES};

const PARTITIONS: i32 = 6;

/// A topic of its own for each test and run.
fn new_topic(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("consumer-{name}-{}", now.as_nanos())
}

/// Bytes that compression cannot make smaller.
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topics_are_created_and_take_what_they_must() {
    let kafka = Kafka::new(&real_cluster(), &new_topic("created"));
    let dead_letter_topic = format!("{}.dlq", kafka.topic);
    let backend = Backend::start(|post| if post.offsets == [0] { Reply::TooLarge } else { Reply::Accept }).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    let topics = [(kafka.topic.as_str(), TOPIC_MESSAGE_BYTES), (&dead_letter_topic, DEAD_LETTER_MESSAGE_BYTES)];
    for (topic, max_message_bytes) in topics {
        let limit = eventually("the topic is there", async || {
            let resource = ResourceSpecifier::Topic(topic);
            let described = kafka.admin().describe_configs([&resource], &AdminOptions::new()).await.unwrap().remove(0);
            described.ok()?.get("max.message.bytes")?.value.clone()
        })
        .await;
        assert_eq!(limit, max_message_bytes.to_string(), "{topic}");
    }
    // the largest report there may be passes the topic, and as a dead letter the other one
    let largest = format!("\"{}\"", "x".repeat(MESSAGE_BYTES - 2));
    kafka.write(New { partition: 0, key: Some(&[b'k'; 128]), payload: Some(largest.as_bytes()) }).await;
    eventually("it is committed", async || (kafka.committed(3)[0] == Some(1)).then_some(())).await;
    let letters = kafka.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].payload.as_deref(), Some(largest.as_bytes()));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_told_of_and_what_a_transaction_took_back_is_not() {
    use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
    let kafka = Kafka::new(&real_cluster(), &new_topic("told"));
    let dead_letter_topic = format!("{}.dlq", kafka.topic);
    let limit = DEAD_LETTER_MESSAGE_BYTES.to_string();
    let new = [&kafka.topic, &dead_letter_topic]
        .map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &limit));
    for created in kafka.admin().create_topics(&new, &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
    let backend = Backend::start(|_| Reply::Accept).await;
    let told = || -> Vec<(i64, Option<String>)> {
        let letters = backend.statuses().into_iter().flat_map(|status| status.letters);
        letters.map(|letter| (letter.offset, letter.payload_start)).collect()
    };
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    kafka.write(New { partition: 0, key: None, payload: Some(b"poison") }).await;
    eventually("the first one is told of", async || (told() == [(0, Some("poison".to_owned()))]).then_some(())).await;

    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &kafka.servers)
        .set("transactional.id", &kafka.topic)
        .create()
        .unwrap();
    let topic = dead_letter_topic.clone();
    tokio::task::spawn_blocking(move || {
        let timeout = Duration::from_secs(30);
        producer.init_transactions(timeout).unwrap();
        for payload in ["by another program", "taken back"] {
            producer.begin_transaction().unwrap();
            let record: BaseRecord<[u8], str> = BaseRecord::to(&topic).partition(0).payload(payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            if payload == "taken back" {
                producer.flush(timeout).unwrap();
                producer.abort_transaction(timeout).unwrap();
            } else {
                producer.commit_transaction(timeout).unwrap();
            }
        }
    })
    .await
    .unwrap();
    // makes it look
    kafka.write(New { partition: 0, key: None, payload: Some(b"more poison") }).await;
    // 1, a marker, what was taken back, a marker
    let expected =
        [(0, "poison"), (1, "by another program"), (5, "more poison")].map(|(offset, text)| (offset, Some(text.to_owned())));
    eventually("all are told of, each once", async || (told() == expected).then_some(())).await;
    consumer.stop().await;
    // one that is larger than what is fetched at once, and that compression does not make small
    let large: Vec<u8> = noise().take(DEAD_LETTER_MESSAGE_BYTES - 100_000).collect();
    let letters = Kafka::new(&kafka.servers, &dead_letter_topic);
    letters.write(New { partition: 0, key: None, payload: Some(&large) }).await;
    // the next start tells of all again
    let again = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    eventually("the large one is told of", async || {
        let letters = backend.statuses().into_iter().flat_map(|status| status.letters);
        letters.into_iter().find(|letter| letter.payload_bytes == Some(large.len() as u64) && letter.offset == 6)
    })
    .await;
    let found = told();
    assert_eq!(found[3..].iter().filter(|letter| letter.0 < 6).cloned().collect::<Vec<_>>(), expected);
    again.stop().await;
}

// the backend's sleep blocks as many threads as there are partitions
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn batches_grow_while_the_backend_is_laden() {
    let kafka = Kafka::new(&real_cluster(), &new_topic("laden"));
    let backend = Backend::start(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Reply::Accept
    })
    .await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    eventually("the topic is there", async || (kafka.committed(3) == [None; 3]).then_some(())).await;
    kafka.write_many(3, 30).await;
    eventually("the first reports", async || (backend.count() >= 30).then_some(())).await;
    let (first, began_at) = (backend.accepted().len() as u32, Instant::now());
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..100 {
        ticks.tick().await;
        kafka.write_many(3, 30).await;
    }
    eventually("all reports", async || (backend.count() >= 3_030).then_some(())).await;
    let took = began_at.elapsed();
    let each: Vec<i64> = (0..1_010).collect();
    assert_eq!(backend.offsets(), (0..3).map(|partition| (partition, each.clone())).collect());
    let posts = backend.accepted().len() as u32 - first;
    // three that do not rest keep the backend busy: one posts every 30 ms then
    assert!(took * 3 / posts >= Duration::from_millis(50), "{posts} posts of three partitions in {took:?}");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_topic_with_kafkas_own_limit_takes_the_largest_report_and_a_smaller_one_can_be_raised() {
    let kafka = Kafka::new(&real_cluster(), &new_topic("limited"));
    let dead_letter_topic = format!("{}.dlq", kafka.topic);
    let limit = TOPIC_MESSAGE_BYTES.to_string();
    let topics = [
        NewTopic::new(&kafka.topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &limit),
        NewTopic::new(&dead_letter_topic, 1, TopicReplication::Fixed(1)),
    ];
    for created in kafka.admin().create_topics(&topics, &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
    let backend = Backend::start(|post| Reply::Reject(post.offsets.clone())).await;
    let consumer = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    let largest = format!("\"{}\"", "x".repeat(MESSAGE_BYTES - 2));
    let large_header = || OwnedHeaders::new().insert(Header { key: "large", value: Some(&vec![b'h'; 900_000]) });
    let write = || New { partition: 0, key: Some(b"k"), payload: Some(largest.as_bytes()) };
    kafka.write_with_headers(write(), large_header()).await;
    eventually("it is committed", async || (kafka.committed(1) == [Some(1)]).then_some(())).await;
    let letter = kafka.dead_letters().remove(0);
    assert_eq!(letter.payload.as_deref(), Some(largest.as_bytes()));
    assert_eq!(letter.header("dropped_headers"), Some("1"));

    // digits that compression cannot make small enough
    let set_limit = async |bytes: usize| {
        let limit = bytes.to_string();
        let config = AlterConfig::new(ResourceSpecifier::Topic(&dead_letter_topic)).set("max.message.bytes", &limit);
        kafka.admin().alter_configs([&config], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    };
    set_limit(1_000).await;
    let digits = noise().map(|byte| char::from(b'0' + byte % 10));
    let random: String = std::iter::once('1').chain(digits.take(100_000)).collect();
    kafka.write(New { partition: 0, key: None, payload: Some(random.as_bytes()) }).await;
    eventually("it is rejected", async || (backend.answered(200) >= 2).then_some(())).await;
    assert_eq!((kafka.committed(1), kafka.dead_letters().len()), (vec![Some(1)], 1));
    set_limit(DEAD_LETTER_MESSAGE_BYTES).await;
    eventually("it is committed", async || (kafka.committed(1) == [Some(2)]).then_some(())).await;
    assert_eq!(kafka.dead_letters()[1].payload.as_deref(), Some(random.as_bytes()));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_come_and_go_in_the_midst_of_traffic() {
    let kafka = Kafka::new(&real_cluster(), &new_topic("rebalance"));
    let new = NewTopic::new(&kafka.topic, PARTITIONS, TopicReplication::Fixed(1));
    kafka.admin().create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let [one, two, three] = [start_backend().await, start_backend().await, start_backend().await];
    let backends = [&one, &two, &three];

    let traffic_ends = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn(write_until(kafka.clone(), Arc::clone(&traffic_ends)));

    let start = |backend: &Backend| Running::start(&kafka.servers, &kafka.topic, &backend.url);
    let first = start(&one);
    gets_reports(&kafka, &backends, 0, 1).await;
    let second = start(&two);
    gets_reports(&kafka, &backends, 1, 1).await;
    let third = start(&three);
    gets_reports(&kafka, &backends, 2, 1).await;
    first.stop().await;
    let before = (two.count(), three.count());
    gets_reports(&kafka, &backends, 1, before.0 + 100).await;
    gets_reports(&kafka, &backends, 2, before.1 + 100).await;
    let first = start(&one);
    let before = one.count();
    gets_reports(&kafka, &backends, 0, before + 100).await;
    second.stop().await;
    third.stop().await;
    let before = one.count();
    gets_reports(&kafka, &backends, 0, before + 100).await;

    traffic_ends.store(true, Ordering::Relaxed);
    let written: BTreeMap<i32, i64> = traffic.await.unwrap();
    eventually("everything is committed", async || {
        committed_is_accepted(&kafka, &backends);
        let committed = kafka.committed(PARTITIONS);
        written.iter().all(|(partition, next)| committed[*partition as usize] == Some(*next)).then_some(())
    })
    .await;
    first.stop().await;

    let posted: usize = backends.iter().map(|backend| backend.count()).sum();
    let total: i64 = written.values().sum();
    println!("{total} reports written, {posted} posted, in 5 rebalances");
    for (partition, next) in &written {
        let accepted = accepted(&backends, *partition);
        assert!(accepted.iter().copied().eq(0..*next), "partition {partition} is complete");
    }
    for backend in backends {
        assert_eq!(backend.answered(418), 0);
        // between two consumers records may come twice, and never out of order within one assignment
        for post in backend.accepted() {
            assert!(post.offsets.iter().zip(&post.reports).all(|(offset, found)| *found == report(*offset as usize)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_taken_away_while_it_was_full_flows_when_it_comes_back() {
    let kafka = Kafka::new(&real_cluster(), &new_topic("paused"));
    let new = NewTopic::new(&kafka.topic, 2, TopicReplication::Fixed(1));
    kafka.admin().create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    // 4 MB for each partition: more than it takes while the backend refuses
    let large = format!("\"{}\"", "x".repeat(400_000));
    for _ in 0..10 {
        for partition in 0..2 {
            kafka.write(New { partition, key: None, payload: Some(large.as_bytes()) }).await;
        }
    }
    let refuse = |_: &_| Reply::Status(503);
    let (one, two) = (Backend::start(refuse).await, Backend::start(refuse).await);
    let first = Running::start(&kafka.servers, &kafka.topic, &one.url);
    eventually("the first consumer tries", async || (one.answered(503) >= 4).then_some(())).await;
    let second = Running::start(&kafka.servers, &kafka.topic, &two.url);
    eventually("the second one has got a partition", async || (two.answered(503) >= 4).then_some(())).await;
    second.stop().await;
    assert_eq!(kafka.committed(2), [None, None]);
    one.now(|_| Reply::Accept);
    eventually("all is committed", async || (kafka.committed(2) == [Some(10), Some(10)]).then_some(())).await;
    let all: Vec<i64> = (0..10).collect();
    assert_eq!(one.offsets(), BTreeMap::from([(0, all.clone()), (1, all)]));
    first.stop().await;
}

/// Slow enough that rebalances meet batches in flight.
async fn start_backend() -> Backend {
    Backend::start(|_| {
        std::thread::sleep(Duration::from_millis(20));
        Reply::Accept
    })
    .await
}

/// Writes to all partitions in turn; returns what the next offset of each would be.
async fn write_until(kafka: Kafka, end: Arc<AtomicBool>) -> BTreeMap<i32, i64> {
    let mut next = BTreeMap::new();
    while !end.load(Ordering::Relaxed) {
        for partition in 0..PARTITIONS {
            let number = next.entry(partition).or_insert(0);
            let payload = report(*number as usize);
            assert_eq!(kafka.write(New { partition, key: None, payload: Some(payload.as_bytes()) }).await, *number);
            *number += 1;
        }
    }
    next
}

/// Waits until this backend has so many reports, and looks after the invariant meanwhile.
async fn gets_reports(kafka: &Kafka, backends: &[&Backend], which: usize, count: usize) {
    eventually("the consumer gets its share", async || {
        committed_is_accepted(kafka, backends);
        (backends[which].count() >= count).then_some(())
    })
    .await;
}

/// No offset is committed for which there was no receipt.
fn committed_is_accepted(kafka: &Kafka, backends: &[&Backend]) {
    let committed = kafka.committed(PARTITIONS);
    for (partition, committed) in (0..).zip(committed) {
        let accepted = accepted(backends, partition);
        let missing = (0..committed.unwrap_or(0)).find(|offset| !accepted.contains(offset));
        assert_eq!(missing, None, "partition {partition} is committed up to {committed:?}");
    }
}

fn accepted(backends: &[&Backend], partition: i32) -> BTreeSet<i64> {
    backends.iter().flat_map(|backend| backend.offsets().remove(&partition).unwrap_or_default()).collect()
}
