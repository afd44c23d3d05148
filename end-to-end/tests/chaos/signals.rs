//! Services that stand still, and services that are stopped in good order.

use std::time::Duration;

use crate::room::{Plan, Room};

const STILL: Duration = Duration::from_secs(15);

/// Longer than the group waits for a member.
pub async fn stop_and_continue() {
    let mut room = Room::open(Plan { consumers: 2, ..Plan::default() }).await;
    for service in 0..3 {
        let process = match service {
            0 => &room.collectors[0],
            1 => &room.consumers[0],
            _ => &room.backends[0],
        };
        process.pause();
        tokio::time::sleep(STILL).await;
        process.resume();
        room.flow().await;
    }
    room.prove("collector, consumer and api-backend stand still for 15 s each (SIGSTOP)").await;
}

/// As an upgrade does it.
pub async fn terminate(count: u32) {
    let mut room = Room::open(Plan { consumers: 2, collectors: 2, ..Plan::default() }).await;
    let mut longest = Duration::ZERO;
    for number in 0..count as usize {
        let Room { backends, consumers, collectors, site, .. } = &mut room;
        for service in 0..3 {
            let processes = [&mut *collectors, &mut *consumers, &mut *backends];
            let [collectors, consumers, backends] = processes;
            let (processes, start): (_, &dyn Fn(usize) -> end_to_end::Process) = match service {
                0 => (collectors, &|index| site.start_collector(index)),
                1 => (consumers, &|index| site.start_consumer(index)),
                _ => (backends, &|index| site.start_backend(index)),
            };
            let index = number % processes.len();
            let (status, took) = processes[index].terminate(Duration::from_secs(15)).await;
            assert!(status.success(), "{status}");
            longest = longest.max(took);
            processes[index] = start(index);
            site.flow().await;
        }
    }
    room.prove(&format!(
        "SIGTERM and restart of collector, consumer and api-backend, {count} times each; ended within {:.1} s",
        longest.as_secs_f64()
    ))
    .await;
}
