//! What the end-to-end tests stand on: the real programs as processes of their own, each test with its own topic, group,
//! database and ports on the services that `scripts/test` starts; tests that kill and pause services start their own (`services`).
//!
//! Nothing here replaces a part of the product. A missing service or program fails the test and says what to start.

#![allow(clippy::unwrap_used, reason = "all of this is test code: a panic is how a test fails")]

pub mod api;
pub mod container;
pub mod database;
pub mod disk;
pub mod follower;
pub mod kafka;
pub mod process;
pub mod proxy;
pub mod services;
pub mod stack;
pub mod watch;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use api::{Api, Events};
pub use container::Container;
pub use database::Database;
pub use disk::SmallDisk;
pub use follower::Follower;
pub use process::Process;
pub use proxy::{Proxy, Weather};
pub use stack::Stack;
pub use watch::Watch;

/// The address of a service that the tests need.
pub fn service(variable: &str, start: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run scripts/test, or start one with scripts/services/{start} start"))
}

/// A name that no other test and no other run has.
pub fn unique(name: &str) -> String {
    format!("{name}-{}-{}", now_ms(), std::process::id())
}

/// Unix ms.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Waits until `check` gives a value; fails with `what` after `seconds`.
pub async fn within<T>(seconds: u64, what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
