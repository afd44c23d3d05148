//! What is played, and where to.

use std::path::PathBuf;
use std::time::Duration;

use service_runtime::kafka::KafkaConfig;
use service_runtime::{AdminListener, ConfigError, ServiceConfig};
use wire_model::limits::{CONTAINERS, INTERVAL_MS_MAX, INTERVAL_MS_MIN};

/// Host ids have four digits.
const HOSTS: i64 = 9_999;

/// Plays a fleet of hosts with containers into Kafka.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen", version)]
pub struct Config {
    /// The cluster and the topic.
    #[command(flatten)]
    pub kafka: KafkaConfig,
    /// Hosts to play: `loadgen-0001`, `loadgen-0002`, …
    #[arg(long, env = "LOADGEN_HOSTS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=HOSTS))]
    pub hosts: u32,
    /// Containers on each host
    #[arg(long, env = "LOADGEN_CONTAINERS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=CONTAINERS as i64))]
    pub containers: u32,
    /// Distance of a host's reports
    #[arg(long, env = "LOADGEN_INTERVAL_MS", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(INTERVAL_MS_MIN as i64..=INTERVAL_MS_MAX as i64))]
    pub interval_ms: u32,
    /// How long to play; without it until SIGTERM
    #[arg(long, env = "LOADGEN_DURATION_SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub duration_seconds: Option<u64>,
    /// File that gets one line for each report that Kafka acknowledged: host id, epoch, seq, at (Unix ms)
    #[arg(long, env = "LOADGEN_LEDGER")]
    pub ledger: Option<PathBuf>,
    /// The same seed plays the same values
    #[arg(long, env = "LOADGEN_SEED", default_value_t = 1)]
    pub seed: u64,
}

impl Config {
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.duration_seconds.map(Duration::from_secs)
    }
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        AdminListener::Off
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.kafka.check()
    }
}
