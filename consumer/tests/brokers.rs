//! A cluster whose brokers are killed, paused and stopped, and a consumer that is stopped itself. Takes ten minutes and a cluster of its
//! own, so it is no part of every test run: `scripts/prove-consumer`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::backend::{Backend, Reply};
use support::kafka::{Kafka, mock_cluster};
use support::process::Process;
use support::{GROUP, Running, TOKEN, eventually};

const PARTITIONS: i32 = 6;
/// Written to each partition at a time.
const AT_ONCE: i64 = 10;

/// Kafka's own script with the cluster of this run.
fn brokers(arguments: &[&str]) -> String {
    assert!(std::env::var_os("SERVICES_DIR").is_some(), "these tests kill brokers: run scripts/prove-consumer");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services/kafka");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Records that flow until they are stopped, however long Kafka takes them.
struct Traffic {
    ends: Arc<AtomicBool>,
    written: tokio::task::JoinHandle<i64>,
}

impl Traffic {
    /// `already` are in each partition.
    fn start(kafka: &Kafka, already: i64) -> Traffic {
        let ends = Arc::new(AtomicBool::new(false));
        let (kafka, ended) = (kafka.clone(), Arc::clone(&ends));
        let written = tokio::spawn(async move {
            let mut written = already;
            while !ended.load(Ordering::Relaxed) {
                kafka.write_many(PARTITIONS, AT_ONCE as usize * PARTITIONS as usize).await;
                written += AT_ONCE;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            written
        });
        Traffic { ends, written }
    }

    /// Stops, waits until everything is committed, and looks whether it was accepted, complete and in order.
    async fn settle(self, kafka: &Kafka, backend: &Backend) -> i64 {
        self.ends.store(true, Ordering::Relaxed);
        let written = self.written.await.unwrap();
        eventually("everything is committed", async || {
            kafka.committed(PARTITIONS).iter().all(|committed| *committed >= Some(written)).then_some(())
        })
        .await;
        for (partition, offsets) in backend.offsets() {
            let mut seen = BTreeSet::new();
            let first: Vec<i64> = offsets.into_iter().filter(|offset| seen.insert(*offset)).collect();
            // a write that was tried again may stand in the log twice
            assert!(first.len() as i64 >= written, "partition {partition} is complete");
            assert!(first.iter().copied().eq(0..first.len() as i64), "partition {partition} is in order");
        }
        assert!(backend.statuses().iter().all(|status| status.skipped.is_empty()));
        assert_eq!(backend.answered(418), 0);
        written * i64::from(PARTITIONS)
    }
}

/// A paused broker, which goes on when this is dropped, so that a failing test leaves the cluster to the others.
struct Paused(&'static str);

impl Paused {
    fn new(id: &'static str) -> Paused {
        brokers(&["pause-one", id]);
        Paused(id)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        brokers(&["resume-one", self.0]);
    }
}

/// Waits until more is accepted; returns how long that took.
async fn until_more(backend: &Backend) -> Duration {
    let (before, began_at) = (backend.count(), Instant::now());
    // more than was in flight
    eventually("records flow", async || (backend.count() >= before + 500).then_some(())).await;
    began_at.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and kills brokers: scripts/prove-consumer"]
async fn a_consumer_that_was_stopped_for_longer_than_max_poll_interval_comes_back() {
    let kafka = Kafka::with_topic("stopped", PARTITIONS).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let mut stopped = Process::start(&kafka.servers, &kafka.topic, &backend.url, TOKEN);
    let other = Running::start(&kafka.servers, &kafka.topic, &backend.url);
    let traffic = Traffic::start(&kafka, 0);
    eventually("both have partitions", async || {
        let statuses = backend.statuses().into_iter().filter(|status| status.partitions.len() == PARTITIONS as usize / 2);
        (statuses.map(|status| status.consumer).collect::<BTreeSet<_>>().len() == 2).then_some(())
    })
    .await;
    stopped.signal("STOP");
    let stopped_at = Instant::now();
    eventually("the other one has all partitions", async || {
        backend.statuses().last().is_some_and(|status| status.partitions.len() == PARTITIONS as usize).then_some(())
    })
    .await;
    println!("its partitions were taken over after {:.1?}", stopped_at.elapsed());
    tokio::time::sleep(Duration::from_secs(75).saturating_sub(stopped_at.elapsed())).await;
    until_more(&backend).await;
    stopped.signal("CONT");
    let back_at = Instant::now();
    eventually("it has partitions again", async || {
        let last = backend.statuses().into_iter().rev().take(2);
        last.map(|status| status.partitions.len()).eq([PARTITIONS as usize / 2; 2]).then_some(())
    })
    .await;
    println!("it had partitions again after {:.1?}", back_at.elapsed());
    until_more(&backend).await;
    assert_eq!(stopped.ended(), None, "{}", stopped.log());
    let written = traffic.settle(&kafka, &backend).await;
    println!("{written} reports, stopped for 75 s: complete and in order, {} came twice", backend.count() as i64 - written);
    other.stop().await;
    stopped.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and kills brokers: scripts/prove-consumer"]
async fn the_groups_coordinator_is_killed_and_another_one_takes_over() {
    let kafka = Kafka::with_topic("coordinator", PARTITIONS).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let mut consumer = Process::start(&kafka.servers, &kafka.topic, &backend.url, TOKEN);
    let traffic = Traffic::start(&kafka, 0);
    until_more(&backend).await;
    for round in 1..=3 {
        let state = brokers(&["groups", "--describe", "--state", "--group", &format!("{GROUP}-{}", kafka.topic)]);
        // "127.0.0.1:23093 (2)"
        let (_, id) = state.lines().last().unwrap().split_once('(').unwrap();
        let (id, _) = id.split_once(')').unwrap();
        brokers(&["kill-one", id]);
        println!("round {round}: coordinator {id} killed, records flowed after {:.1?}", until_more(&backend).await);
        let committed = kafka.committed(PARTITIONS);
        eventually("commits go on", async || (kafka.committed(PARTITIONS) > committed).then_some(())).await;
        brokers(&["start-one", id]);
        until_more(&backend).await;
    }
    assert_eq!(consumer.ended(), None, "{}", consumer.log());
    let written = traffic.settle(&kafka, &backend).await;
    println!("{written} reports, 3 coordinators killed: complete and in order, {} came twice", backend.count() as i64 - written);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and kills brokers: scripts/prove-consumer"]
async fn all_brokers_are_away_for_two_minutes() {
    let kafka = Kafka::with_topic("all-away", PARTITIONS).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let mut consumer = Process::start(&kafka.servers, &kafka.topic, &backend.url, TOKEN);
    // a producer's own time-outs are not tried here
    kafka.write_many(PARTITIONS, 6_000).await;
    eventually("all are accepted", async || (backend.count() >= 6_000).then_some(())).await;
    for id in ["1", "2", "3"] {
        brokers(&["kill-one", id]);
    }
    let away_at = Instant::now();
    let said =
        eventually("it says so", async || consumer.problems().await.filter(|said| said.contains("consumer group is"))).await;
    println!("not ready after {:.1?}: {said}", away_at.elapsed());
    while away_at.elapsed() < Duration::from_secs(120) {
        assert_eq!(consumer.ended(), None, "{}", consumer.log());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    brokers(&["start", "3"]);
    let back_at = Instant::now();
    let traffic = Traffic::start(&kafka, 1_000);
    until_more(&backend).await;
    println!("the brokers were away for 120 s, records flowed {:.1?} after they were back", back_at.elapsed());
    eventually("it is ready", async || consumer.problems().await.filter(String::is_empty)).await;
    assert!(!consumer.log().contains("replaced"), "no false alarm: {}", consumer.log());
    let written = traffic.settle(&kafka, &backend).await;
    println!("{written} reports: complete and in order");
    assert_eq!(consumer.ended(), None, "{}", consumer.log());
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and kills brokers: scripts/prove-consumer"]
async fn a_broker_that_hangs_is_done_without() {
    let kafka = Kafka::with_topic("hangs", PARTITIONS).await;
    let backend = Backend::start(|_| Reply::Accept).await;
    let mut consumer = Process::start(&kafka.servers, &kafka.topic, &backend.url, TOKEN);
    let traffic = Traffic::start(&kafka, 0);
    until_more(&backend).await;
    let paused = Paused::new("2");
    println!("a broker hangs, records flowed after {:.1?}", until_more(&backend).await);
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(paused);
    until_more(&backend).await;
    assert_eq!(consumer.ended(), None, "{}", consumer.log());
    let written = traffic.settle(&kafka, &backend).await;
    println!("{written} reports, a broker paused for 60 s: complete and in order");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/prove-consumer"]
async fn a_client_that_gets_nothing_of_what_there_is_is_replaced_and_then_the_process() {
    let cluster = mock_cluster("stalled", 1);
    let kafka = Kafka::new(&cluster.bootstrap_servers(), "stalled");
    let backend = Backend::start(|_| Reply::Accept).await;
    let mut consumer = Process::start(&kafka.servers, "stalled", &backend.url, TOKEN);
    kafka.write_many(1, 10).await;
    eventually("all is committed", async || (kafka.committed(1) == [Some(10)]).then_some(())).await;
    // the broker answers all but the reading
    let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 100_000];
    cluster.request_errors(RDKafkaApiKey::Fetch, &refusals);
    kafka.write_many(1, 10).await;
    let began_at = Instant::now();
    eventually("the client is replaced", async || consumer.log().contains("replaced by a new one").then_some(())).await;
    println!("the client was replaced after {:.1?}", began_at.elapsed());
    assert!(began_at.elapsed() < Duration::from_secs(60));
    cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    eventually("all is committed", async || (kafka.committed(1) == [Some(20)]).then_some(())).await;
    assert_eq!(consumer.ended(), None);

    cluster.request_errors(RDKafkaApiKey::Fetch, &refusals);
    kafka.write_many(1, 10).await;
    let began_at = Instant::now();
    let status = eventually("the process ends", async || consumer.ended()).await;
    println!("the second time the process ended after {:.1?}: {status}", began_at.elapsed());
    assert!(!status.success() && consumer.log().contains("does not get the records either"), "{}", consumer.log());
    assert!(began_at.elapsed() < Duration::from_secs(60));
    cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    let consumer = Process::start(&kafka.servers, "stalled", &backend.url, TOKEN);
    eventually("all is committed", async || (kafka.committed(1) == [Some(30)]).then_some(())).await;
    assert_eq!(backend.offsets()[&0].iter().copied().collect::<BTreeSet<i64>>(), (0..30).collect());
    consumer.stop().await;
}
