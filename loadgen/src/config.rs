//! What is played, and where to.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use service_runtime::config::{SecretError, parse_token};
use service_runtime::kafka::KafkaConfig;
use service_runtime::{AdminListener, ConfigError, ServiceConfig};
use wire_model::limits::{BATCH_INFLATED_BYTES, CONTAINERS, INTERVAL_MS_MAX, INTERVAL_MS_MIN, NAME_CHARS};

const OTHERS: &str = "loadgen record --help: makes a recording of what a real collector reported.\n\
    loadgen ledger check --help and loadgen ledger record --help: whether what was played is stored.";
/// Host ids have four digits.
const HOSTS: i64 = 9_999;
/// Of each host of a generated fleet.
const GENERATED_CONTAINERS: u32 = 10;
const MS_PER_HOUR: i64 = 3_600_000;

/// Plays a fleet of hosts with containers into Kafka, or to the api-backend itself.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen", version, after_help = OTHERS)]
#[command(mut_arg("bootstrap_server", |argument| argument.required(false).required_unless_present("api_base_url")))]
pub struct Config {
    /// The cluster and the topic.
    #[command(flatten)]
    pub kafka: Option<KafkaConfig>,
    /// The api-backend.
    #[command(flatten)]
    pub ingest: IngestConfig,
    /// Hosts to play: `loadgen-0001`, `loadgen-0002`, …
    #[arg(long, env = "LOADGEN_HOSTS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=HOSTS))]
    pub hosts: u32,
    /// What the first hosts are called instead, separated by commas; their ids stay
    #[arg(long, env = "LOADGEN_HOST_NAMES", value_delimiter = ',', value_parser = parse_name)]
    pub host_names: Vec<String>,
    /// Containers on each host; of a recording the busiest ones [default: 10, or all of the recording]
    #[arg(long, env = "LOADGEN_CONTAINERS", value_parser = clap::value_parser!(u32).range(0..=CONTAINERS as i64))]
    pub containers: Option<u32>,
    /// Play what `loadgen record` wrote instead of random walks: each host from a moment and at a size of its own
    #[arg(long, env = "LOADGEN_RECORDING", conflicts_with = "churn")]
    pub recording: Option<PathBuf>,
    /// Distance of a host's reports
    #[arg(long, env = "LOADGEN_INTERVAL_MS", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(INTERVAL_MS_MIN as i64..=INTERVAL_MS_MAX as i64))]
    pub interval_ms: u32,
    /// How late a report may be made, at random; half an interval at most
    #[arg(long, env = "LOADGEN_JITTER_MS", default_value_t = 0)]
    pub jitter_ms: u32,
    /// How wrong hosts' clocks may run, at random, in parts per million
    #[arg(long, env = "LOADGEN_DRIFT_PPM", default_value_t = 0.0, value_parser = parse_ppm)]
    pub drift_ppm: f64,
    /// Play the last so many hours as fast as they are taken, and end with the present
    #[arg(long, env = "LOADGEN_BACKFILL_HOURS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub backfill_hours: Option<u32>,
    /// How long to play, in the time of the reports; without it until SIGTERM, or to the end of the backfill
    #[arg(long, env = "LOADGEN_DURATION_SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub duration_seconds: Option<u64>,
    /// File to which every report is appended before it is sent, and what became of it; for `loadgen ledger check`
    #[arg(long, env = "LOADGEN_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// How long it may take until a report is acknowledged, which has failed then
    #[arg(long, env = "LOADGEN_DELIVERY_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub delivery_seconds: u64,
    /// Share of reports in which something changes for a while: a container stops or goes, a device goes, a part cannot be read
    #[arg(long, env = "LOADGEN_CHURN", default_value_t = 0.0, value_parser = parse_share)]
    pub churn: f64,
    /// The same seed plays the same values
    #[arg(long, env = "LOADGEN_SEED", default_value_t = 1)]
    pub seed: u64,
}

/// Reports go to the api-backend itself, as a consumer would post them.
#[derive(Clone, Debug, clap::Args)]
pub struct IngestConfig {
    /// The api-backend to post to, instead of Kafka: http://host:port
    #[arg(long, env, value_parser = parse_url, conflicts_with = "bootstrap_server")]
    pub api_base_url: Option<Url>,
    /// What the api-backend is shown
    #[arg(long, env, hide_env_values = true, value_parser = parse_token)]
    pub ingest_token: Option<SecretString>,
    /// Batches on their way at once; a host's reports always wait for each other
    #[arg(long, env = "LOADGEN_POSTS_IN_FLIGHT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub posts_in_flight: u16,
    /// Bytes of a batch before compression; a consumer's are the default
    #[arg(long, env = "LOADGEN_BATCH_BYTES", default_value_t = 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1..=BATCH_INFLATED_BYTES as i64 / 2))]
    pub batch_bytes: u32,
    /// Posts batches as they are, uncompressed: cheaper where the backend is on the same machine
    #[arg(long, env = "LOADGEN_UNCOMPRESSED")]
    pub uncompressed: bool,
}

impl Config {
    /// How long to play, in the time of the reports.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let backfill = self.backfill_hours.map(|hours| Duration::from_millis(u64::from(hours) * MS_PER_HOUR.cast_unsigned()));
        self.duration_seconds.map(Duration::from_secs).into_iter().chain(backfill).min()
    }

    /// Time of the first reports, Unix ms.
    pub(crate) fn begins_at_ms(&self, now_ms: i64) -> i64 {
        now_ms - self.backfill_hours.map_or(0, |hours| i64::from(hours) * MS_PER_HOUR)
    }

    /// What a host is called, counted from 1.
    pub(crate) fn name_of(&self, number: u32, id: &str) -> String {
        self.host_names.get(number as usize - 1).map_or_else(|| id.to_owned(), String::clone)
    }

    /// On each host of a generated fleet.
    pub(crate) fn generated_containers(&self) -> u32 {
        self.containers.unwrap_or(GENERATED_CONTAINERS)
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("\"{text}\" is not a share from 0 to 1"))
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_name = (1..=NAME_CHARS).contains(&text.len()) && text.chars().all(is_plain);
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| format!("\"{text}\" is not a name of 1 to {NAME_CHARS} of A-Z, a-z, 0-9, -, . and _"))
}

fn parse_ppm(text: &str) -> Result<f64, String> {
    let ppm = text.parse().ok().filter(|ppm| (0.0..=100_000.0).contains(ppm));
    ppm.ok_or_else(|| format!("\"{text}\" is not a number from 0 to 100000"))
}

/// The text is never repeated: it may hold a password.
fn parse_url(text: &str) -> Result<Url, SecretError> {
    let url = Url::parse(text).map_err(|_| SecretError("it is not a URL like http://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SecretError("it does not begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SecretError("it has credentials; use INGEST_TOKEN"));
    }
    Ok(url)
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        AdminListener::Off
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.kafka.as_ref().map_or(Ok(()), KafkaConfig::check)
    }
}
