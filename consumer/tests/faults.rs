//! Reports that the backend fails at: isolated where they are to blame, and never where the backend is.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::backend::{Backend, Reply};
use support::kafka::{Kafka, New, mock_cluster, report};
use support::{Running, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_the_backend_fails_at_is_a_dead_letter_within_five_seconds() {
    const STATUSES: [u16; 3] = [500, 400, 422];
    const POISON: i64 = 611;
    let cluster = mock_cluster("fault", 3);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "fault");
    kafka.write_many(3, 3_000).await;
    let failed_at = Arc::new(Mutex::new(None));
    let first_failure = Arc::clone(&failed_at);
    let backend = Backend::start(move |post| {
        if !post.offsets.contains(&POISON) {
            return Reply::Accept;
        }
        first_failure.lock().unwrap().get_or_insert_with(Instant::now);
        Reply::Problem(STATUSES[post.partition as usize])
    })
    .await;
    let consumer = Running::start(&kafka.servers, "fault", &backend.url);
    eventually("all is committed", async || (kafka.committed(3) == [Some(1_000); 3]).then_some(())).await;
    // with the distance of commits
    let took = failed_at.lock().unwrap().unwrap().elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    for (partition, offsets) in backend.offsets() {
        let accepted: BTreeSet<i64> = offsets.into_iter().collect();
        assert!(accepted.into_iter().eq((0..1_000).filter(|offset| *offset != POISON)), "partition {partition}");
    }
    let letters = kafka.dead_letters();
    assert_eq!(letters.len(), 3, "{letters:?}");
    for letter in letters {
        let partition: usize = letter.header("partition").unwrap().parse().unwrap();
        assert_eq!(letter.payload.as_deref(), Some(report(POISON as usize * 3 + partition).as_bytes()));
        let reason = letter.header("reason").unwrap();
        assert!(reason.contains("fails at this report") && reason.contains(&STATUSES[partition].to_string()), "{reason}");
    }
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_fails_at_everything_condemns_nothing() {
    let cluster = mock_cluster("everything", 2);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "everything");
    kafka.write_many(2, 200).await;
    let backend = Backend::start(|_| Reply::Problem(500)).await;
    let consumer = Running::start(&kafka.servers, "everything", &backend.url);
    let until = Instant::now() + Duration::from_secs(8);
    let mut written = 200;
    // more keep coming, and are compared with
    while Instant::now() < until {
        kafka.write_many(2, 2).await;
        written += 2;
        assert_eq!(kafka.dead_letters(), []);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(backend.answered(500) >= 10 && backend.count() == 0);
    backend.now(|_| Reply::Accept);
    eventually("all is committed", async || (kafka.committed(2) == [Some(written / 2); 2]).then_some(())).await;
    assert_eq!(kafka.dead_letters(), []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_for_nothing_but_what_it_has_condemns_nothing() {
    let cluster = mock_cluster("has", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "has");
    kafka.write_many(1, 100).await;
    // as if every other one was stored before a restart, and since then nothing can be
    let backend =
        Backend::start(
            |post| {
                if post.offsets.iter().all(|offset| *offset % 2 == 0) { Reply::Duplicate } else { Reply::Problem(500) }
            },
        )
        .await;
    let consumer = Running::start(&kafka.servers, "has", &backend.url);
    eventually("it is tried for a while", async || (backend.answered(500) >= 12).then_some(())).await;
    eventually("the first of all is a duplicate", async || (kafka.committed(1) == [Some(1)]).then_some(())).await;
    assert_eq!(kafka.dead_letters(), []);
    backend.now(|_| Reply::Accept);
    eventually("all is committed", async || (kafka.committed(1) == [Some(100)]).then_some(())).await;
    assert_eq!(kafka.dead_letters(), []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_says_condemns_nothing_and_neither_does_a_backend_that_is_away() {
    let cluster = mock_cluster("away", 5);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "away");
    let tries = Arc::new([const { AtomicUsize::new(0) }; 4]);
    let tried = Arc::clone(&tries);
    let backend = Backend::start(move |post| {
        if let Some(tries) = tried.get(post.partition as usize) {
            tries.fetch_add(1, Ordering::Relaxed);
        }
        match post.partition {
            0 => Reply::Status(500),
            1 => Reply::Status(502),
            2 => Reply::Problem(503),
            3 => Reply::Status(504),
            _ => Reply::Accept,
        }
    })
    .await;
    kafka.write_many(5, 5).await;
    let consumer = Running::start(&kafka.servers, "away", &backend.url);
    eventually("all are tried while another partition flows", async || {
        kafka.write(New { partition: 4, key: None, payload: Some(report(1).as_bytes()) }).await;
        tries.iter().all(|tries| tries.load(Ordering::Relaxed) >= 6).then_some(())
    })
    .await;
    assert_eq!((kafka.dead_letters(), &kafka.committed(5)[..4]), (vec![], &[None; 4][..]));
    backend.now(|_| Reply::Accept);
    eventually("all is committed", async || (kafka.committed(5)[..4] == [Some(1); 4]).then_some(())).await;
    assert_eq!(kafka.dead_letters(), []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_with_nothing_to_compare_it_with_waits_until_there_is_something() {
    let cluster = mock_cluster("alone", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "alone");
    kafka.write_many(1, 1).await;
    let backend = Backend::start(|post| if post.offsets.contains(&0) { Reply::Problem(500) } else { Reply::Accept }).await;
    let consumer = Running::start(&kafka.servers, "alone", &backend.url);
    eventually("it is tried", async || (backend.answered(500) >= 5).then_some(())).await;
    assert_eq!((kafka.dead_letters(), kafka.committed(1)), (vec![], vec![None]));
    kafka.write_many(1, 3).await;
    eventually("all is committed", async || (kafka.committed(1) == [Some(4)]).then_some(())).await;
    assert_eq!(kafka.dead_letters().len(), 1);
    consumer.stop().await;
}
