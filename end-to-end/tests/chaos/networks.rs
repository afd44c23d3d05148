//! Faults between every two programs.

use std::time::Duration;

use end_to_end::{Proxy, Weather};

use crate::room::{Plan, Room, Site};

fn hops(site: &Site) -> [(&'static str, Vec<&Proxy>); 4] {
    [
        ("sources and Kafka", site.to_kafka.iter().collect()),
        ("Kafka and consumers", site.from_kafka.iter().collect()),
        ("consumers and api-backends", site.to_backend.iter().collect()),
        ("api-backends and database", site.to_database.iter().collect()),
    ]
}

async fn room() -> Room {
    Room::open(Plan { consumers: 2, ..Plan::default() }).await
}

/// All connections are reset, at random moments.
pub async fn cuts(count: u32) {
    let mut room = room().await;
    for _ in 0..count {
        for (_, proxies) in hops(&room.site) {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1_500))).await;
            proxies.iter().for_each(|proxy| proxy.cut());
        }
    }
    room.flow().await;
    room.prove(&format!("all connections of every hop cut {count} times, at random moments")).await;
}

/// Each hop in turn has this weather for so long, then all have it at once.
pub async fn weather(weather: Weather, lasts: Duration, flows: bool, what: &str) {
    let mut room = room().await;
    let all = hops(&room.site).len();
    for hop in 0..=all {
        let set = |weather| {
            for (_, proxies) in
                hops(&room.site).iter().enumerate().filter(|(index, _)| hop == all || *index == hop).map(|(_, one)| one)
            {
                proxies.iter().for_each(|proxy| proxy.set(weather));
            }
        };
        set(weather);
        tokio::time::sleep(lasts).await;
        if flows {
            room.site.flow().await;
        }
        set(Weather::Clear);
        room.flow().await;
    }
    room.prove(&format!("every hop in turn, then all at once: {what}")).await;
}
