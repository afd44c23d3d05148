//! What the consumer tells the backend of the dead-letter topic, whoever wrote to it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use consumer::DEAD_LETTER_MESSAGE_BYTES;
use rdkafka::message::{Header, OwnedHeaders};
use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster};
use support::process::Process;
use support::{Running, TOKEN, eventually};
use wire_model::DeadLetter;
use wire_model::limits::{LETTER_TEXT_CHARS, NAME_CHARS};

/// All letters that were told of, by their place, with how often.
fn told(backend: &Backend) -> BTreeMap<(i32, i64), (DeadLetter, usize)> {
    let mut told = BTreeMap::new();
    for letter in backend.statuses().into_iter().flat_map(|status| status.letters) {
        let place = (letter.partition, letter.offset);
        told.entry(place).or_insert((letter, 0)).1 += 1;
    }
    told
}

async fn until_told(backend: &Backend, count: usize) -> Vec<DeadLetter> {
    let told = eventually("they are told of", async || Some(told(backend)).filter(|told| told.len() >= count)).await;
    assert!(told.values().all(|(letter, _)| letter.check() == Ok(())), "{told:?}");
    told.into_values().map(|(letter, _)| letter).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_told_until_the_backend_has_heard_of_it_and_then_no_more() {
    let cluster = mock_cluster("letters", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "letters");
    let backend = Backend::start(|_| Reply::Reject(vec![1])).await;
    backend.answer_statuses(503);
    let consumer = Running::start(&kafka.servers, "letters", &backend.url);
    eventually("it speaks, and knows that there are none", async || {
        backend.statuses().iter().any(|status| status.dead_letters == Some(0) && status.letters.is_empty()).then_some(())
    })
    .await;
    kafka.write(New { partition: 1, key: Some(b"db-01"), payload: Some(b"no json \xff") }).await;
    kafka.write(New { partition: 1, key: None, payload: Some(b"{\"number\":1}") }).await;
    let [unread, rejected] = &until_told(&backend, 2).await[..] else { panic!("{:?}", told(&backend)) };
    assert_eq!((unread.partition, unread.offset, unread.origin_offset), (0, 0, Some(0)));
    assert_eq!((unread.origin_topic.as_deref(), unread.origin_partition), (Some("letters"), Some(1)));
    assert_eq!((unread.key.as_deref(), unread.payload_bytes), (Some("db-01"), Some(9)));
    assert_eq!(unread.payload_start.as_deref(), Some("no json \u{fffd}"));
    assert!(unread.reason.as_ref().is_some_and(|reason| !reason.is_empty()), "{unread:?}");
    assert!(unread.origin_at.is_some_and(|at| at > 1_600_000_000_000) && unread.written_at >= unread.origin_at, "{unread:?}");
    assert_eq!((rejected.reason.as_deref(), rejected.key.as_deref()), (Some("offset 1 is no report"), None));

    // nobody has heard of them yet
    let times = |backend: &Backend| told(backend).values().map(|(_, times)| *times).min().unwrap();
    let before = times(&backend);
    eventually("again", async || (times(&backend) > before).then_some(())).await;
    backend.answer_statuses(204);
    let heard = backend.statuses().len();
    eventually("it says no more of them", async || {
        let after = &backend.statuses()[heard..];
        after.iter().any(|status| status.letters.is_empty() && status.dead_letters.is_none()).then_some(())
    })
    .await;
    let last = backend.statuses().into_iter().rev().find_map(|status| status.dead_letters);
    assert_eq!(last, Some(2));
    assert_eq!(kafka.committed(2), [None, Some(2)], "nobody read in the name of the group");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_consumer_that_was_killed_and_those_of_others_are_told_by_the_next_one() {
    let cluster = mock_cluster("orphaned", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "orphaned");
    kafka.write(New { partition: 0, key: None, payload: Some(b"poison") }).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    backend.answer_statuses(503);
    let killed = Process::start(&kafka.servers, "orphaned", &backend.url, TOKEN);
    eventually("it is committed", async || (kafka.committed(1) == [Some(1)]).then_some(())).await;
    drop(killed);
    let deaf = backend.statuses().len();

    // a hand, another program, and one that nobody can show
    let letters = Kafka::new(&kafka.servers, "orphaned.dlq");
    let foreign = OwnedHeaders::new()
        .insert(Header { key: "reason", value: Some(&b"\x1b[31m<b>\0"[..]) })
        .insert(Header { key: "offset", value: Some(&b"-3"[..]) })
        .insert(Header { key: "partition", value: None::<&[u8]> });
    letters.write(New { partition: 0, key: None, payload: None }).await;
    letters.write_with_headers(New { partition: 0, key: Some(&[b'k'; 200]), payload: Some(b"<img src=x>") }, foreign).await;
    let large = vec![0xf0; DEAD_LETTER_MESSAGE_BYTES / 8];
    letters.write(New { partition: 0, key: None, payload: Some(&large) }).await;

    backend.answer_statuses(204);
    let consumer = Running::start(&kafka.servers, "orphaned", &backend.url);
    let [orphan, nothing, odd, large] = &until_told(&backend, 4).await[..] else { panic!("{:?}", told(&backend)) };
    assert_eq!((orphan.origin_offset, orphan.payload_start.as_deref()), (Some(0), Some("poison")));
    assert_eq!((&nothing.reason, &nothing.key, &nothing.payload_start, nothing.payload_bytes), (&None, &None, &None, None));
    assert!(nothing.written_at.is_some());
    assert_eq!(odd.reason.as_deref(), Some("\u{fffd}[31m<b>\u{fffd}"));
    assert_eq!((odd.origin_offset, odd.origin_partition, &odd.origin_topic), (None, None, &None));
    assert_eq!((odd.key.as_ref().map(String::len), odd.payload_start.as_deref()), (Some(NAME_CHARS), Some("<img src=x>")));
    assert_eq!(large.payload_bytes, Some(DEAD_LETTER_MESSAGE_BYTES as u64 / 8));
    assert_eq!(large.payload_start, Some("\u{fffd}".repeat(LETTER_TEXT_CHARS)));
    let heard = backend.statuses()[deaf..].iter().find_map(|status| status.dead_letters);
    assert_eq!(heard, Some(4));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_topic_that_cannot_be_read_holds_up_nothing() {
    let cluster = mock_cluster("unreadable", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "unreadable");
    kafka.write(New { partition: 0, key: None, payload: Some(b"poison") }).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, "unreadable", &backend.url);
    until_told(&backend, 1).await;
    // whoever asks for it is told that it is not there
    cluster.topic_error("unreadable.dlq", rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let statuses = backend.statuses().len();
    let began_at = std::time::Instant::now();
    kafka.write_many(1, 50).await;
    eventually("all is accepted", async || (backend.count() == 50).then_some(())).await;
    eventually("it speaks as ever", async || (backend.statuses().len() >= statuses + 3).then_some(())).await;
    assert!(began_at.elapsed() < Duration::from_secs(30), "{:?}", began_at.elapsed());
    consumer.stop().await;
}
