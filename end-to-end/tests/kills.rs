//! `kill -9` of consumer and backend at any moment loses nothing and repeats nothing.
//!
//! `KILLS` is how often each is killed: 2 unless set, 10 for the proof.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use end_to_end::{Process, Stack, kafka, within};

const HOSTS: &str = "200";
const CONTAINERS: &str = "10";

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_report_is_stored_exactly_once() {
    let kills: u32 = std::env::var("KILLS").map_or(2, |text| text.parse().expect("KILLS is a number"));
    let stack = Stack::new("kills").await;
    let mut backend = stack.start_ready_backend().await;
    let mut consumer = stack.start_consumer(&stack.group);
    let hosts = format!("--hosts={HOSTS}");
    let containers = format!("--containers={CONTAINERS}");
    let mut loadgen = stack.start_loadgen(&[&hosts, &containers, "--interval-ms=2000"]);

    let began_at = Instant::now();
    let mut longest_pause = Duration::ZERO;
    for kill in 1..=kills {
        for victim in [Victim::Consumer, Victim::Backend] {
            flows(&stack, &mut loadgen).await;
            // the moment is the point: anywhere in the life of a batch
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..2_000))).await;
            let killed_at = Instant::now();
            match victim {
                Victim::Consumer => {
                    consumer.kill();
                    consumer = stack.start_consumer(&stack.group);
                }
                Victim::Backend => {
                    backend.kill();
                    backend = stack.start_backend();
                }
            }
            flows(&stack, &mut loadgen).await;
            longest_pause = longest_pause.max(killed_at.elapsed());
            println!("kill {kill} of {victim:?}: reports flow again after {:.1} s", killed_at.elapsed().as_secs_f64());
        }
    }
    let (status, _) = loadgen.terminate(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}");
    println!("loadgen: {}", loadgen.stdout().trim());
    within(120, "the consumer has caught up", async || (kafka::lag(&stack.topic, &stack.group) == 0).then_some(())).await;

    // by epoch and seq, so that a report stored twice under two times would be seen
    let key = |(host, epoch, seq, at): (String, u64, u64, i64)| ((host, epoch, seq), at);
    let ledger: BTreeMap<_, _> = stack.ledger().into_iter().map(key).collect();
    let stored = stack.database.reports().await;
    let rows = stored.len();
    let stored: BTreeMap<_, _> = stored.into_iter().map(key).collect();
    let lost = ledger.iter().filter(|(report, at)| stored.get(report) != Some(at)).count();
    let phantom = stored.keys().filter(|report| !ledger.contains_key(report)).count();
    let duplicate = rows - stored.len();
    println!(
        "{} kills of each in {:.0} s: acknowledged {}, stored {rows}, lost {lost}, duplicate {duplicate}, phantom {phantom}; longest pause {:.1} s",
        kills,
        began_at.elapsed().as_secs_f64(),
        ledger.len(),
        longest_pause.as_secs_f64()
    );
    assert!(ledger.len() > 1_000, "the fleet has played");
    assert_eq!((lost, duplicate, phantom), (0, 0, 0));
    assert_eq!(rows, ledger.len());
    assert_eq!(kafka::count(&format!("{}.dlq", stack.topic)), 0, "dead letters");
    for (mut process, name) in [(consumer, "consumer"), (backend, "api-backend")] {
        let (status, took) = process.terminate(Duration::from_secs(10)).await;
        assert!(status.success(), "{name}: {status} after {took:?}");
    }
}

#[derive(Debug)]
enum Victim {
    Consumer,
    Backend,
}

/// Reports arrive in the store.
async fn flows(stack: &Stack, loadgen: &mut Process) {
    let before = stack.database.count_reports().await;
    within(60, "reports are stored", async || {
        loadgen.assert_runs();
        (stack.database.count_reports().await >= before + 50).then_some(())
    })
    .await;
}
