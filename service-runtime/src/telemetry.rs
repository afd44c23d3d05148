//! Logs and metrics of this process. Logs go to stderr: text on a terminal, one JSON object a line otherwise.

use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;

/// Upper bounds of every histogram whose name ends in `_seconds`.
const SECONDS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const DEFAULT_FILTER: &str = "info";

/// Starts logging by `RUST_LOG` (default `info`) and the metrics recorder.
pub(crate) fn start() -> Result<(), ConfigError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if filter.is_empty() => return Err(ConfigError::new("RUST_LOG", "is empty; give it a value or leave it out")),
        Ok(filter) => EnvFilter::try_new(&filter)
            .map_err(|error| ConfigError::new("RUST_LOG", format!("\"{filter}\" is not valid: {error}")))?,
        Err(_) => EnvFilter::new(DEFAULT_FILTER),
    };
    let terminal = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    if terminal {
        logs.init();
    } else {
        logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
    prometheus();
    Ok(())
}

/// The process's only recorder; the first call installs it.
pub(crate) fn prometheus() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .expect("the list of buckets is not empty")
            .install_recorder()
            .expect("nothing else installs a recorder")
    })
}
