//! A group that is never at rest: consumers join and leave in turn while records flow.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::backend::{Backend, Reply};
use support::kafka::Kafka;
use support::{Running, eventually};

const PARTITIONS: i32 = 6;
const MEMBERS: usize = 3;
/// Two members leave and two others join in each.
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_rebalances_loses_nothing_commits_nothing_early_and_keeps_the_order() {
    let kafka = Kafka::with_topic("storm", PARTITIONS).await;
    // slow enough that rebalances meet batches in flight
    let backend = Backend::start(|_| {
        std::thread::sleep(Duration::from_millis(20));
        Reply::Accept
    })
    .await;
    let traffic_ends = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn(write_until(kafka.clone(), Arc::clone(&traffic_ends)));

    let start = || Running::start(&kafka.servers, &kafka.topic, &backend.url);
    let mut members: Vec<Running> = (0..MEMBERS).map(|_| start()).collect();
    eventually("records flow", async || (backend.count() > 0).then_some(())).await;
    for _ in 0..ROUNDS {
        let before = with_partitions(&backend);
        members.push(start());
        eventually("the new member gets partitions", async || (with_partitions(&backend) > before).then_some(())).await;
        // two changes at once: the group is still busy with the one that leaves
        members.push(start());
        members.remove(0).stop().await;
        members.remove(0).stop().await;
        committed_is_accepted(&kafka, &backend);
    }
    traffic_ends.store(true, Ordering::Relaxed);
    let written = traffic.await.unwrap();
    eventually("everything is committed", async || {
        committed_is_accepted(&kafka, &backend);
        kafka.committed(PARTITIONS).iter().all(|committed| *committed == Some(written)).then_some(())
    })
    .await;
    for member in members {
        member.stop().await;
    }

    println!("{} reports written, {} posted, in {ROUNDS} rounds", written * i64::from(PARTITIONS), backend.count());
    for (partition, offsets) in backend.offsets() {
        let mut seen = BTreeSet::new();
        let first: Vec<i64> = offsets.into_iter().filter(|offset| seen.insert(*offset)).collect();
        assert!(first.into_iter().eq(0..written), "partition {partition} is complete and in order");
    }
    assert_eq!(backend.answered(418), 0);
    assert!(backend.statuses().iter().all(|status| status.skipped.is_empty()));
}

/// How many consumers have ever said that they have partitions.
fn with_partitions(backend: &Backend) -> usize {
    let statuses = backend.statuses().into_iter().filter(|status| !status.partitions.is_empty());
    statuses.map(|status| status.consumer).collect::<BTreeSet<String>>().len()
}

/// Writes to all partitions alike; returns what the next offset of each would be.
async fn write_until(kafka: Kafka, end: Arc<AtomicBool>) -> i64 {
    const AT_ONCE: i64 = 20;
    let mut next = 0;
    while !end.load(Ordering::Relaxed) {
        kafka.write_many(PARTITIONS, (AT_ONCE as usize) * PARTITIONS as usize).await;
        next += AT_ONCE;
    }
    next
}

/// No offset is committed for which there was no receipt.
fn committed_is_accepted(kafka: &Kafka, backend: &Backend) {
    for (partition, committed) in (0..).zip(kafka.committed(PARTITIONS)) {
        let accepted: BTreeSet<i64> = backend.offsets().remove(&partition).unwrap_or_default().into_iter().collect();
        let missing = (0..committed.unwrap_or(0)).find(|offset| !accepted.contains(offset));
        assert_eq!(missing, None, "partition {partition} is committed up to {committed:?}");
    }
}
