//! Faults of the cluster.

use std::time::{Duration, Instant};

use end_to_end::within;

use crate::room::{Plan, Room};

/// Longer than consumers wait for a heartbeat, and than any request takes.
const LONG: Duration = Duration::from_secs(20);

/// A broker that is the only one is killed and terminated in turn, so often.
pub async fn restarts(count: u32, plan: Plan) {
    let mut room = Room::open(plan).await;
    let began_at = Instant::now();
    for number in 1..=count {
        tokio::time::sleep(Duration::from_secs(3).mul_f64(fastrand::f64())).await;
        room.site.kafka.broker(if number % 2 == 0 { "stop" } else { "kill" }, 1);
        let down_at = Instant::now();
        room.site.kafka.broker("start", 1);
        room.flow().await;
        if number % 10 == 0 || count < 10 {
            println!("broker restarted {number} times, reports flow after {:.1} s", down_at.elapsed().as_secs_f64());
        }
    }
    let minutes = began_at.elapsed().as_secs_f64() / 60.0;
    room.prove(&format!("the only broker restarted {count} times (kill -9 and SIGTERM in turn), in {minutes:.1} min")).await;
}

/// SIGSTOP: connections stay, and nobody answers.
pub async fn pause() {
    let mut room = Room::open(Plan::default()).await;
    for _ in 0..2 {
        room.site.kafka.broker("pause", 1);
        tokio::time::sleep(LONG).await;
        room.site.kafka.broker("resume", 1);
        room.flow().await;
    }
    room.prove("the only broker stands still for 20 s (SIGSTOP), twice").await;
}

/// The played fleet gives up after ten seconds; collectors have spools.
pub async fn down_longer_than_the_queue() {
    let mut room = Room::open(Plan { delivery_seconds: 10, collectors: 2, ..Plan::default() }).await;
    room.site.kafka.broker("kill", 1);
    tokio::time::sleep(Duration::from_secs(45)).await;
    room.site.kafka.broker("start", 1);
    room.flow().await;
    let verdict =
        room.prove("the broker is down for 45 s, the played fleet's queue holds 10 s, the collectors' spools all").await;
    assert!(verdict["reports"]["failed"].as_u64() > Some(500), "the queue was shorter than the outage");
}

/// `min.insync.replicas` is 2: with one broker down all goes on, with two nothing is acknowledged.
pub async fn of_three(down: u16) {
    let mut room = Room::open(Plan { brokers: 3, ..Plan::default() }).await;
    for broker in 1..=down {
        room.site.kafka.broker("kill", broker);
    }
    if down == 1 {
        room.flow().await;
    }
    tokio::time::sleep(LONG).await;
    for broker in 1..=down {
        room.site.kafka.broker("start", broker);
    }
    room.flow().await;
    // and the others, so that every partition has moved
    for broker in 1..=3 {
        room.site.kafka.broker("stop", broker);
        room.site.kafka.broker("start", broker);
        let servers = room.site.kafka.servers();
        let complete = async || end_to_end::kafka::has_all_replicas(&servers).then_some(());
        within(120, "all replicas are in sync", complete).await;
    }
    room.flow().await;
    room.prove(&format!("three brokers: {down} killed for 20 s, then each restarted in turn")).await;
}
