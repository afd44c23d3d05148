//! `kill -9` of every service at random moments, each on a cadence of its own.

use std::time::{Duration, Instant};

use end_to_end::{Process, within};

use crate::room::{Plan, Room};

/// How long a service that was just seen to work again is left alone, at most.
const REST: Duration = Duration::from_secs(3);
/// How long it may take until it works again, whatever else is killed meanwhile.
const PATIENCE_SECONDS: u64 = 120;

/// Kills each service so often.
pub async fn of_each_service(count: u32, plan: Plan) {
    let mut room = Room::open(plan).await;
    let began_at = Instant::now();
    let Room { backends, consumers, collectors, site, .. } = &mut room;
    let site = &*site;
    tokio::join!(
        kill(count, "api-backend", backends, |index| site.start_backend(index), async |_| site.played().await),
        kill(count, "consumer", consumers, |index| site.start_consumer(index), async |_| site.played().await),
        // the epoch
        kill(
            count,
            "collector",
            collectors,
            |index| site.start_collector(index),
            async |index| Some(site.collected(index).await?.0)
        ),
    );
    room.flow().await;
    let minutes = began_at.elapsed().as_secs_f64() / 60.0;
    room.prove(&format!("kill -9 of collector, consumer and api-backend, {count} times each, in {minutes:.1} min")).await;
}

/// `progress` rises when reports come to the store that the killed process had a hand in.
async fn kill(
    count: u32,
    name: &str,
    processes: &mut [Process],
    start: impl Fn(usize) -> Process,
    progress: impl AsyncFn(usize) -> Option<i64>,
) {
    for number in 1..=count {
        // the moment is the point: anywhere in the life of a report
        tokio::time::sleep(REST.mul_f64(fastrand::f64())).await;
        let index = number as usize % processes.len();
        processes[index].assert_runs();
        processes[index].kill();
        let killed_at = Instant::now();
        let before = within(PATIENCE_SECONDS, "the database answers", async || progress(index).await).await;
        processes[index] = start(index);
        let works_again = async || (progress(index).await? > before).then_some(());
        within(PATIENCE_SECONDS, &format!("reports come through {name} again"), works_again).await;
        if number % 10 == 0 || count < 10 {
            println!("{name} killed {number} times, works again after {:.1} s", killed_at.elapsed().as_secs_f64());
        }
    }
}
