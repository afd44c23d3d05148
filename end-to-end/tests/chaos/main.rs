//! Faults, each in a room of its own, and after each the same proof: what Kafka acknowledged is stored once and unchanged, the violations are
//! the oracle's, and every follower of the stream had every event once.
//!
//! In every test run: a short version of the great proof. All else is run by `scripts/prove`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod absence;
mod brokers;
mod clocks;
mod databases;
mod disks;
mod groups;
mod kills;
mod networks;
mod pauses;
mod proof;
mod room;
mod signals;

use std::time::Duration;

use end_to_end::Weather;
use room::Plan;

/// `scripts/prove NAME COUNT`.
fn count(default: u32) -> u32 {
    std::env::var("PROVE_COUNT").map_or(default, |text| text.parse().expect("PROVE_COUNT is a number"))
}

/// 2,310 samples a second, and what the collectors add.
fn large() -> Plan {
    Plan { hosts: 220, containers: 20, interval_ms: 2_000, consumers: 2, collectors: 3, ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_kills_of_everything() {
    kills::of_everything(4, Plan { hosts: 100, consumers: 2, collectors: 2, ..Plan::default() }).await;
}

macro_rules! faults {
    ($($(#[$meta:meta])* $name:ident => $run:expr;)+) => {
        $($(#[$meta])*
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "scripts/prove runs it"]
        async fn $name() {
            $run.await;
        })+
    };
}

faults! {
    kills => kills::of_each_service(count(200), large());
    broker_restarts => brokers::restarts(count(50), large());
    broker_paused => brokers::pause();
    broker_down_longer_than_the_queue => brokers::down_longer_than_the_queue();
    one_of_three_brokers_down => brokers::of_three(1);
    two_of_three_brokers_down => brokers::of_three(2);
    services_paused => signals::stop_and_continue();
    services_terminated => signals::terminate(count(5));
    database_killed => databases::kill(count(6));
    database_paused => databases::pause();
    two_backends_killed => databases::shared(count(20));
    connections_cut => networks::cuts(count(20));
    connections_slow => networks::weather(Weather::Delay(Duration::from_millis(50)), Duration::from_secs(10), true, "all comes 50 ms later, in both directions");
    connections_narrow => networks::weather(Weather::Rate(400_000), Duration::from_secs(10), true, "400 kB/s");
    connections_stalled => networks::weather(Weather::Stall, Duration::from_secs(15), false, "nothing passes for 15 s");
    connections_refused => networks::weather(Weather::Refuse, Duration::from_secs(10), false, "new connections are reset for 10 s");
    disk_full_under_the_spool => disks::under_the_spool();
    disk_full_under_sqlite => disks::under_sqlite();
    clocks_step => clocks::steps();
    consumer_stopped => absence::consumer_stopped();
    consumers_come_and_go => groups::storm(count(40));
    partitions_added => groups::grows();
}
