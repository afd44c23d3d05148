//! `kill -9` of every service at random moments, each on a cadence of its own.

use std::cell::Cell;
use std::time::{Duration, Instant};

use end_to_end::{Process, within};
use futures_util::future::join_all;

use crate::room::{Plan, Room};

/// How long a service that was just seen to work again is left alone, at most.
const REST: Duration = Duration::from_secs(3);
/// How long it may take until it works again, whatever else is killed meanwhile.
const PATIENCE_SECONDS: u64 = 120;

/// Kills each service so often.
pub async fn of_each_service(count: u32, plan: Plan) {
    let mut room = Room::open(plan).await;
    let began_at = Instant::now();
    often(count, &mut room).await;
    let minutes = began_at.elapsed().as_secs_f64() / 60.0;
    room.prove(&format!("kill -9 of collector, consumer and api-backend, {count} times each, in {minutes:.1} min")).await;
}

/// In a few minutes what the great proofs do in an hour.
pub async fn of_everything(count: u32, plan: Plan) {
    let mut room = Room::open(plan).await;
    often(count, &mut room).await;
    room.site.kafka.broker("kill", 1);
    room.site.kafka.broker("start", 1);
    room.flow().await;
    let server = room.site.mariadb.as_ref().expect("the plan has a MariaDB");
    server.server("kill");
    server.server("revive");
    room.flow().await;
    room.prove(&format!("kill -9 of collector, consumer and api-backend, {count} times each, of the broker and of MariaDB"))
        .await;
}

async fn often(count: u32, room: &mut Room) {
    let Room { backends, consumers, collectors, site, .. } = &mut *room;
    let site = &*site;
    let epoch = async |index| Some(site.collected(index).await?.0);
    tokio::join!(
        kill_all(count, "api-backend", backends, |index| site.start_backend(index), async |_| site.slowest().await),
        kill_all(count, "consumer", consumers, |index| site.start_consumer(index), async |_| site.slowest().await),
        kill_all(count, "collector", collectors, |index| site.start_collector(index), epoch),
    );
    room.flow().await;
}

/// So many kills among these processes, of each on a cadence of its own. `progress` rises when reports come to the store that a process had a
/// hand in: no next kill before, or a backlog that is longer than the rests would never end.
async fn kill_all(
    count: u32,
    name: &str,
    processes: &mut [Process],
    start: impl Fn(usize) -> Process,
    progress: impl AsyncFn(usize) -> Option<i64>,
) {
    let (left, of) = (Cell::new(count), processes.len());
    let kills = processes.iter_mut().enumerate().map(async |(index, process)| {
        while let Some(next) = left.get().checked_sub(1) {
            left.set(next);
            // the moment is the point: anywhere in the life of a report
            tokio::time::sleep(REST.mul_f64(fastrand::f64())).await;
            process.assert_runs();
            process.kill();
            let killed_at = Instant::now();
            let before = within(PATIENCE_SECONDS, "the database answers", async || progress(index).await).await;
            *process = start(index);
            let works_again = async || (progress(index).await? > before).then_some(());
            within(PATIENCE_SECONDS, &format!("reports come through {name} again"), works_again).await;
            if next.is_multiple_of(20) || count < 10 {
                let seconds = killed_at.elapsed().as_secs_f64();
                println!("{name} {} of {of} killed, works again after {seconds:.1} s, {next} kills left", index + 1);
            }
        }
    });
    join_all(kills).await;
}
