//! Faults of the database's server.

use std::time::Duration;

use crate::room::{Plan, Room};

const DOWN: Duration = Duration::from_secs(10);

/// Killed in the middle of transactions, and gone for a while.
pub async fn kill(count: u32) {
    let mut room = Room::open(Plan { consumers: 2, ..Plan::default() }).await;
    for number in 0..count {
        let server = room.site.mariadb.as_ref().unwrap();
        server.server("kill");
        if number % 2 == 0 {
            tokio::time::sleep(DOWN).await;
        }
        server.server("revive");
        room.flow().await;
    }
    room.prove(&format!("MariaDB killed (kill -9) {count} times and restarted, every other time after 10 s")).await;
}

/// Connections stay, and no statement ends.
pub async fn pause() {
    let mut room = Room::open(Plan { consumers: 2, ..Plan::default() }).await;
    for seconds in [2, 20] {
        let server = room.site.mariadb.as_ref().unwrap();
        server.server("pause");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        server.server("resume");
        room.flow().await;
    }
    room.prove("MariaDB stands still for 2 and for 20 s (SIGSTOP)").await;
}

/// Two of everything on one database.
pub async fn shared(count: u32) {
    let plan = || Plan { backends: 2, consumers: 2, collectors: 2, hosts: 80, ..Plan::default() };
    crate::kills::of_each_service(count, plan()).await;
}
