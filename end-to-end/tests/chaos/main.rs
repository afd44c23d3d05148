//! Faults, each in a room of its own, and after each the same proof: what Kafka acknowledged is stored once and unchanged, the violations are
//! the oracle's, and every follower of the stream had every event once.
//!
//! In every test run: a short version of the great proof. All else is run by `scripts/prove`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod kills;
mod pauses;
mod room;

use room::Plan;

/// `scripts/prove NAME COUNT`.
fn count(default: u32) -> u32 {
    std::env::var("PROVE_COUNT").map_or(default, |text| text.parse().expect("PROVE_COUNT is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_kills_of_each_service() {
    let plan = Plan { hosts: 100, consumers: 2, collectors: 2, ..Plan::default() };
    kills::of_each_service(4, plan).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half an hour: scripts/prove kills 200"]
async fn kills() {
    let plan = Plan { hosts: 200, containers: 20, interval_ms: 2_000, consumers: 2, collectors: 3, ..Plan::default() };
    kills::of_each_service(count(200), plan).await;
}
