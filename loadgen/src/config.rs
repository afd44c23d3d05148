//! What is played, and where to.

use std::path::PathBuf;
use std::time::Duration;

use service_runtime::kafka::KafkaConfig;
use service_runtime::{AdminListener, ConfigError, ServiceConfig};
use wire_model::limits::{CONTAINERS, INTERVAL_MS_MAX, INTERVAL_MS_MIN};

const OTHERS: &str = "loadgen ledger check --help and loadgen ledger record --help: whether what was played is stored.";
/// Host ids have four digits.
const HOSTS: i64 = 9_999;

/// Plays a fleet of hosts with containers into Kafka.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen", version, after_help = OTHERS)]
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
    /// File to which every report is appended before it is sent, and what became of it; for `loadgen ledger check`
    #[arg(long, env = "LOADGEN_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// How long Kafka may take to acknowledge a report, which has failed then
    #[arg(long, env = "LOADGEN_DELIVERY_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub delivery_seconds: u64,
    /// Share of reports in which something changes for a while: a container stops or goes, a device goes, a part cannot be read
    #[arg(long, env = "LOADGEN_CHURN", default_value_t = 0.0, value_parser = parse_share)]
    pub churn: f64,
    /// The same seed plays the same values
    #[arg(long, env = "LOADGEN_SEED", default_value_t = 1)]
    pub seed: u64,
}

impl Config {
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.duration_seconds.map(Duration::from_secs)
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("\"{text}\" is not a share from 0 to 1"))
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        AdminListener::Off
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.kafka.check()
    }
}
