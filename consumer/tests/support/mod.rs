//! What the service tests share: a broker, the consumer under test, and a stand-in for the api-backend.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(missing_docs, clippy::unwrap_used, reason = "helpers of tests are tests")]

pub mod backend;
pub mod kafka;
pub mod process;

use std::time::{Duration, Instant};

use consumer::Config;
use service_runtime::Shutdown;
use tokio::task::JoinHandle;

/// Everything here is done long before.
pub const DEADLINE: Duration = Duration::from_secs(60);
pub const TOKEN: &str = "the-ingest-token";
pub const GROUP: &str = "test-group";

/// Waits until `check` gives a value, and fails with `what` if that does not happen in time.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A consumer under test, run as `main` runs it.
pub struct Running {
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub fn start(bootstrap_servers: &str, topic: &str, api_base_url: &str) -> Running {
        Running::start_with(bootstrap_servers, topic, api_base_url, |_| {})
    }

    /// With what no setting can say.
    pub fn start_with(bootstrap_servers: &str, topic: &str, api_base_url: &str, change: impl FnOnce(&mut Config)) -> Running {
        let flags = [
            format!("--bootstrap-server={bootstrap_servers}"),
            format!("--kafka-topic-name={topic}"),
            format!("--kafka-consumer-group-id={GROUP}-{topic}"),
            "--kafka-topic-partitions=3".to_owned(),
            format!("--api-base-url={api_base_url}"),
            format!("--ingest-token={TOKEN}"),
            "--admin-listen-addr=off".to_owned(),
        ];
        let mut config: Config = service_runtime::config::read_with(&flags).unwrap();
        change(&mut config);
        let shutdown = Shutdown::new();
        Running { task: tokio::spawn(consumer::run(config, shutdown.clone())), shutdown }
    }

    /// Waits until it ends by itself, with what error.
    pub async fn fails(self) -> String {
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("it ends in time").unwrap();
        format!("{:#}", ended.unwrap_err())
    }

    /// An ordered shutdown; returns how long it took.
    pub async fn stop(self) -> Duration {
        let began_at = Instant::now();
        self.shutdown.begin();
        self.task.await.unwrap().unwrap();
        began_at.elapsed()
    }
}
