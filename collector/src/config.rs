//! The collector's settings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use service_runtime::config::ServiceConfig;
use service_runtime::kafka::KafkaConfig;
use service_runtime::{AdminListener, ConfigError};
use spool::SPOOL_BYTES_MIN;
use wire_model::limits;

/// Everything that can be set; see `.env.example`.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "collector", version, about = "Reads a host and its containers and produces reports to Kafka")]
pub struct Config {
    /// How to reach Kafka
    #[command(flatten)]
    pub kafka: KafkaConfig,
    /// Milliseconds between two reports
    #[arg(long, env, default_value_t = 2000, value_parser = interval_parser())]
    pub collect_interval_ms: u32,
    /// Where the root of the measured host is: `/` natively, `/host` in the container
    #[arg(long, env, default_value = "/")]
    pub host_root: PathBuf,
    /// Id of the host [default: its machine-id]
    #[arg(long, env, value_parser = parse_name)]
    pub host_id: Option<String>,
    /// Name of the host [default: its own]
    #[arg(long, env, value_parser = parse_name)]
    pub host_name: Option<String>,
    /// Labels of the host, as `rack=a1,role=db`
    #[arg(long, env, default_value = NO_LABELS, hide_default_value = true, value_parser = parse_labels)]
    pub host_labels: Labels,
    /// The Docker engine: unix://, tcp:// or http://
    #[arg(long, env, default_value = "unix:///var/run/docker.sock", value_parser = parse_docker_host)]
    pub docker_host: String,
    /// Where the collector keeps what must survive its restart
    #[arg(long, env, default_value = "/var/lib/server-monitoring")]
    pub spool_dir: PathBuf,
    /// Bytes that the reports which Kafka has not taken may have on disk, in SPOOL_DIR
    #[arg(long, env, default_value_t = SPOOL_MAX_BYTES, value_parser = clap::value_parser!(u64).range(SPOOL_BYTES_MIN..))]
    pub spool_max_bytes: u64,
    /// Where /livez, /readyz and /metrics are served, or `off`
    #[arg(long, env, default_value = "127.0.0.1:8001")]
    pub admin_listen_addr: AdminListener,
}

/// Labels of the host by key.
pub type Labels = BTreeMap<String, String>;

/// Six days of a host without containers at the default interval, before anything is thinned.
const SPOOL_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Stands for no labels at all; an empty variable is an error like every other.
const NO_LABELS: &str = "";

impl Config {
    /// Distance of two reports.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.collect_interval_ms))
    }
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        self.admin_listen_addr
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.kafka.check()?;
        if !self.host_root.is_dir() {
            return Err(ConfigError::new("HOST_ROOT", format!("\"{}\" is not a folder", self.host_root.display())));
        }
        Ok(())
    }
}

fn interval_parser() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(limits::INTERVAL_MS_MIN)..=i64::from(limits::INTERVAL_MS_MAX))
}

fn parse_name(text: &str) -> Result<String, String> {
    check_text("the name", text, limits::NAME_CHARS)?;
    if text.is_empty() || text.ends_with(' ') {
        return Err("a name is not empty and does not end with a space".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_labels(text: &str) -> Result<Labels, String> {
    let mut labels = Labels::new();
    if text == NO_LABELS {
        return Ok(labels);
    }
    for pair in text.split(',') {
        let Some((key, value)) = pair.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            return Err(format!("\"{pair}\" is not key=value"));
        };
        if key.is_empty() {
            return Err(format!("\"{pair}\" has no key"));
        }
        check_text("a key", key, limits::LABEL_CHARS)?;
        check_text("a value", value, limits::LABEL_CHARS)?;
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{key} stands twice"));
        }
    }
    if labels.len() > limits::LABELS {
        return Err(format!("there are {} labels, the limit is {}", labels.len(), limits::LABELS));
    }
    Ok(labels)
}

fn check_text(what: &str, text: &str, limit: usize) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err(format!("{what} has control characters"));
    }
    match text.chars().count() {
        count if count > limit => Err(format!("{what} has {count} characters, the limit is {limit}")),
        _ => Ok(()),
    }
}

fn parse_docker_host(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(text.to_owned()),
        Some(("tcp" | "http", address)) if !address.is_empty() => Ok(text.to_owned()),
        _ => Err("it is unix:///path, tcp://host:port or http://host:port".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs_within_the_limits() {
        let pairs = |count: usize| (0..count).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
        let value = |chars: usize| format!("k={}", "ä".repeat(chars));
        for (text, count) in [
            ("rack=a1, role=db".to_owned(), Some(2)),
            (String::new(), Some(0)),
            ("empty=".to_owned(), Some(1)),
            ("url=a=b".to_owned(), Some(1)),
            ("rack".to_owned(), None),
            ("=x".to_owned(), None),
            ("a=1,".to_owned(), None),
            ("a=1,a=2".to_owned(), None),
            ("a=\u{7}".to_owned(), None),
            (pairs(limits::LABELS), Some(limits::LABELS)),
            (pairs(limits::LABELS + 1), None),
            (value(limits::LABEL_CHARS), Some(1)),
            (value(limits::LABEL_CHARS + 1), None),
        ] {
            assert_eq!(parse_labels(&text).ok().map(|labels| labels.len()), count, "{text}");
        }
    }

    #[test]
    fn names_are_those_that_a_report_may_carry() {
        let long = |chars| "x".repeat(chars);
        for (text, ok) in [
            ("db-01".to_owned(), true),
            ("db ".to_owned(), false),
            ("a\nb".to_owned(), false),
            (long(limits::NAME_CHARS), true),
            (long(limits::NAME_CHARS + 1), false),
        ] {
            assert_eq!(parse_name(&text).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_docker_host_is_a_socket_or_an_address() {
        for (text, ok) in [
            ("unix:///var/run/docker.sock", true),
            ("tcp://10.0.0.1:2375", true),
            ("http://engine:2375", true),
            ("ssh://root@engine", false),
            ("unix://docker.sock", false),
            ("tcp://", false),
            ("/var/run/docker.sock", false),
        ] {
            assert_eq!(parse_docker_host(text).is_ok(), ok, "{text}");
        }
    }
}
