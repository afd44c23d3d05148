//! What can never be stored is in the dead-letter topic before its offset is committed; what adds up to nothing is retried.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use consumer::DEAD_LETTER_MESSAGE_BYTES;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster, report};
use support::{Running, eventually};
use wire_model::limits::MESSAGE_BYTES;
use wire_model::{IngestReceipt, Rejection};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_split_down_to_the_one_report_that_is() {
    let cluster = mock_cluster("split", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "split");
    kafka.write_many(1, 100).await;
    let backend = Backend::start(|post| match post.offsets[..] {
        [57] => Reply::TooLarge,
        [_] => Reply::Accept,
        _ => Reply::TooLarge,
    })
    .await;
    let consumer = Running::start(&kafka.servers, "split", &backend.url);
    eventually("all is committed", async || (kafka.committed(1) == [Some(100)]).then_some(())).await;
    let expected: Vec<i64> = (0..100).filter(|offset| *offset != 57).collect();
    assert_eq!(backend.offsets()[&0], expected);
    let letters = kafka.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].payload.as_deref(), Some(report(57).as_bytes()));
    assert_eq!(letters[0].header("offset"), Some("57"));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_takes_small_bodies_only_splits_batches_and_condemns_no_report() {
    let cluster = mock_cluster("proxy", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "proxy");
    kafka.write_many(1, 20).await;
    let alone = Arc::new(AtomicUsize::new(0));
    let tries = Arc::clone(&alone);
    let backend = Backend::start(move |post| match post.offsets[..] {
        [7] => {
            tries.fetch_add(1, Ordering::Relaxed);
            Reply::Status(413)
        }
        [_, _, _, ..] => Reply::Status(413),
        _ if post.offsets.contains(&7) => Reply::Status(413),
        _ => Reply::Accept,
    })
    .await;
    let consumer = Running::start(&kafka.servers, "proxy", &backend.url);
    eventually("the large one is tried again", async || (alone.load(Ordering::Relaxed) >= 3).then_some(())).await;
    assert_eq!(backend.offsets()[&0], (0..7).collect::<Vec<i64>>());
    assert_eq!(kafka.dead_letters(), []);
    backend.now(|_| Reply::Accept);
    eventually("all is committed", async || (kafka.committed(1) == [Some(20)]).then_some(())).await;
    assert_eq!(backend.offsets()[&0], (0..20).collect::<Vec<i64>>());
    assert_eq!(kafka.dead_letters(), []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_report_is_a_dead_letter_before_its_offset_is_committed() {
    let cluster = mock_cluster("rejected", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "rejected");
    for number in 0..10 {
        let payload = report(number);
        kafka.write(New { partition: 0, key: Some(b"host-1"), payload: Some(payload.as_bytes()) }).await;
    }
    // for a while no dead letter can be written
    let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 10_000];
    cluster.request_errors(RDKafkaApiKey::Produce, &refusals);
    let backend = Backend::start(|_| Reply::Reject(vec![3, 7])).await;
    let consumer = Running::start(&kafka.servers, "rejected", &backend.url);
    eventually("the receipt", async || (backend.answered(200) >= 1).then_some(())).await;
    // longer than the distance of commits
    let still = tokio::time::Instant::now() + Duration::from_millis(1_500);
    while tokio::time::Instant::now() < still {
        assert_eq!((kafka.committed(1), kafka.dead_letters()), (vec![None], vec![]));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    eventually("the batch is committed", async || (kafka.committed(1) == [Some(10)]).then_some(())).await;
    let letters = kafka.dead_letters();
    assert_eq!(letters.len(), 2, "{letters:?}");
    for (letter, offset) in letters.iter().zip([3, 7]) {
        assert_eq!(letter.key.as_deref(), Some(&b"host-1"[..]));
        assert_eq!(letter.payload.as_deref(), Some(report(offset).as_bytes()));
        let reason = format!("offset {offset} is no report");
        let offset = offset.to_string();
        for (name, value) in [("reason", &*reason), ("topic", "rejected"), ("partition", "0"), ("offset", &offset)] {
            assert_eq!(letter.header(name), Some(value));
        }
        let timestamp: i64 = letter.header("timestamp").unwrap().parse().unwrap();
        assert!(timestamp > 1_600_000_000_000, "{timestamp}");
    }
    assert_eq!(backend.count(), 8);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_never_reaches_the_backend_and_never_stops_the_partition() {
    let cluster = mock_cluster("poison", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "poison");
    let [largest, too_large] = [MESSAGE_BYTES, MESSAGE_BYTES + 1].map(|bytes| format!("\"{}\"", "x".repeat(bytes - 2)));
    let poison: [Option<&[u8]>; 8] = [
        None,
        Some(b""),
        Some(b"no json"),
        Some(b"{} {}"),
        Some(br#"{"value":NaN}"#),
        Some(b"\"\xff\""),
        Some(b"{\"cut\":"),
        Some(too_large.as_bytes()),
    ];
    for payload in poison {
        kafka.write(New { partition: 0, key: Some(b"k"), payload }).await;
        kafka.write(New { partition: 0, key: None, payload: Some(b" {\"good\": 1} \n") }).await;
    }
    kafka.write(New { partition: 0, key: None, payload: Some(largest.as_bytes()) }).await;
    kafka.write(New { partition: 0, key: None, payload: None }).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, "poison", &backend.url);
    eventually("all is committed", async || (kafka.committed(1) == [Some(18)]).then_some(())).await;
    assert_eq!(backend.offsets()[&0], [1, 3, 5, 7, 9, 11, 13, 15, 16]);
    let reports: Vec<String> = backend.accepted().into_iter().flat_map(|post| post.reports).collect();
    assert!(reports[..8].iter().all(|report| report == r#"{"good": 1}"#));
    assert_eq!(reports[8], largest);
    let letters = kafka.dead_letters();
    let payloads: Vec<Option<&[u8]>> = letters.iter().map(|letter| letter.payload.as_deref()).collect();
    assert_eq!(payloads, [&poison[..], &[None]].concat());
    assert!(letters.iter().all(|letter| letter.header("reason").is_some_and(|reason| !reason.is_empty())));
    assert_eq!(backend.answered(413) + backend.answered(418), 0);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_a_dead_letter_may_be_is_cut_and_says_so() {
    let cluster = mock_cluster("cut", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "cut");
    let (key, payload) = (vec![b'k'; 100_000], vec![b'p'; DEAD_LETTER_MESSAGE_BYTES + 1]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "large", value: Some(&vec![b'h'; 900_000]) })
        .insert(Header { key: "trace", value: Some("0af7") });
    kafka.write_with_headers(New { partition: 0, key: Some(&key), payload: Some(&payload) }, headers).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let consumer = Running::start(&kafka.servers, "cut", &backend.url);
    eventually("it is committed", async || (kafka.committed(1) == [Some(1)]).then_some(())).await;
    let letter = kafka.dead_letters().remove(0);
    assert!(letter.key.as_ref().is_some_and(|found| key.starts_with(found) && found.len() == 64 * 1024));
    let carried = DEAD_LETTER_MESSAGE_BYTES - 256 * 1024;
    assert!(letter.payload.as_ref().is_some_and(|found| payload.starts_with(found) && found.len() == carried));
    let payload_bytes = payload.len().to_string();
    for (name, value) in [("trace", "0af7"), ("key_bytes", "100000"), ("payload_bytes", &payload_bytes), ("dropped_headers", "1")]
    {
        assert_eq!(letter.header(name), Some(value), "{name}");
    }
    assert_eq!(letter.header("large"), None);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_does_not_add_up_is_a_failed_try() {
    let cluster = mock_cluster("receipt", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "receipt");
    kafka.write_many(1, 20).await;
    let tries = AtomicUsize::new(0);
    let backend = Backend::start(move |post| {
        let sent = post.offsets.len();
        let rejected = vec![Rejection { offset: 1_000_000, reason: "never sent".to_owned() }];
        match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::Receipt(IngestReceipt::default()),
            1 => Reply::Receipt(IngestReceipt { stored: sent + 1, ..IngestReceipt::default() }),
            2 => Reply::Receipt(IngestReceipt { stored: sent - 1, duplicate: 0, rejected }),
            _ => Reply::Accept,
        }
    })
    .await;
    let consumer = Running::start(&kafka.servers, "receipt", &backend.url);
    eventually("all is committed", async || (kafka.committed(1) == [Some(20)]).then_some(())).await;
    assert_eq!(backend.offsets()[&0], (0..20).collect::<Vec<i64>>());
    assert!(backend.answered(200) >= 4);
    assert_eq!(kafka.dead_letters(), []);
    consumer.stop().await;
}
