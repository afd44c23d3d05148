//! Consumers that come and go, and a topic that grows.

use std::time::Duration;

use end_to_end::kafka;

use crate::room::{Plan, Room};

/// Up to four members, of which one joins or leaves (in good order or killed) every second.
pub async fn storm(count: u32) {
    let mut room = Room::open(Plan { consumers: 2, hosts: 80, ..Plan::default() }).await;
    for number in 0..count {
        let members = room.consumers.len();
        if members < 2 || (members < 4 && fastrand::bool()) {
            let consumer = room.site.start_consumer(number as usize + 2);
            room.consumers.push(consumer);
        } else {
            let mut leaving = room.consumers.swap_remove(fastrand::usize(..members));
            if fastrand::bool() {
                leaving.kill();
            } else {
                let (status, _) = leaving.terminate(Duration::from_secs(15)).await;
                assert!(status.success(), "{status}");
            }
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(200..1_800))).await;
    }
    room.flow().await;
    room.prove(&format!("a rebalance every second: {count} times a consumer joins, leaves or is killed")).await;
}

/// The sources learn of the new partitions when they start, and hosts move to them.
pub async fn grows() {
    // what came late by way of another partition is told by the time at which it came, which sealing forgets
    let mut room = Room::open(Plan { consumers: 2, seal_after_seconds: 31_536_000, ..Plan::default() }).await;
    let topic = room.site.topic.clone();
    room.site.kafka.tool(&["topics", "--alter", "--topic", &topic, "--partitions", "20"]);
    room.flow().await;
    let (status, _) = room.loadgen.terminate(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}");
    room.loadgen = room.site.start_loadgen();
    room.collectors[0].kill();
    room.collectors[0] = room.site.start_collector(0);
    room.flow().await;
    room.flow().await;
    let in_use = kafka::partitions_in_use(&room.site.kafka.servers(), &topic);
    assert!(in_use > 12, "{in_use} partitions are in use");
    room.prove("12 partitions become 20 while reports flow, and hosts move").await;
}
