//! Disks that are full for a while: a tmpfs and a file that takes all that is left of it.

use std::time::Duration;

use end_to_end::SmallDisk;

use crate::room::{Plan, Room};

const FULL: Duration = Duration::from_secs(20);

/// While Kafka takes nothing either: reports wait in memory until the disk takes them.
pub async fn under_the_spool() {
    let disk = SmallDisk::mount(16);
    let mut room = Room::open(Plan { collectors: 2, spools: Some(disk.path().to_owned()), ..Plan::default() }).await;
    for _ in 0..2 {
        room.site.kafka.broker("kill", 1);
        disk.fill();
        tokio::time::sleep(FULL).await;
        disk.free();
        tokio::time::sleep(FULL / 4).await;
        room.site.kafka.broker("start", 1);
        room.flow().await;
    }
    // and with a Kafka that takes them
    disk.fill();
    room.flow().await;
    disk.free();
    room.flow().await;
    room.prove("the disk under the spools is full: for 20 s while the broker is down, twice, and once while it is up").await;
}

/// The backend answers 503, and the consumers wait.
pub async fn under_sqlite() {
    let disk = SmallDisk::mount(256);
    let mut room = Room::open(Plan { sqlite: Some(disk.file("store.db")), consumers: 2, ..Plan::default() }).await;
    for _ in 0..3 {
        disk.fill();
        tokio::time::sleep(FULL).await;
        disk.free();
        room.flow().await;
    }
    room.prove("the disk under SQLite is full for 20 s, three times").await;
}
