//! The consumer's configuration.

use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use service_runtime::config::{SecretError, parse_token};
use service_runtime::kafka::KafkaConfig;
use service_runtime::{AdminListener, ConfigError, ServiceConfig};

/// Long enough for a new leader, a new connection and a slow first fetch; short enough for a new client to be at work within a
/// minute.
const PATIENCE: Duration = Duration::from_secs(30);

/// Forwards reports from Kafka to the api-backend.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "consumer", version)]
pub struct Config {
    /// The cluster and the topic.
    #[command(flatten)]
    pub kafka: KafkaConfig,
    /// Consumer group; consumers with the same id share the partitions
    #[arg(long, env, default_value = "server-monitoring")]
    pub kafka_consumer_group_id: String,
    /// Where the api-backend listens, as `http://host:port`
    #[arg(long, env, default_value = "http://api-backend:8004")]
    pub api_base_url: BackendUrl,
    /// Token that the api-backend expects from consumers
    #[arg(long, env, hide_env_values = true, value_parser = parse_token)]
    pub ingest_token: Option<SecretString>,
    /// Where `/livez`, `/readyz` and `/metrics` are served; `off` for nowhere
    #[arg(long, env, default_value = "127.0.0.1:8000")]
    pub admin_listen_addr: AdminListener,
    /// How long a partition may get nothing although Kafka has something, and the topic may be gone. No setting: only tests have less
    #[arg(skip = PATIENCE)]
    pub patience: Duration,
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        self.admin_listen_addr
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.kafka.check()
    }
}

/// An http(s) URL without credentials, query and fragment. It may have a path, under which a proxy serves the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendUrl(Url);

impl BackendUrl {
    /// The URL of a route, given without a leading slash.
    pub fn route(&self, route: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{route}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for BackendUrl {
    type Err = SecretError;

    /// The text is never repeated: it may hold a password.
    fn from_str(text: &str) -> Result<BackendUrl, SecretError> {
        let url = Url::parse(text).map_err(|_| SecretError("it is not a URL like http://host:port"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SecretError("it does not begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SecretError("it has credentials; use INGEST_TOKEN"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SecretError("it has a query or a fragment"));
        }
        Ok(BackendUrl(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_is_an_http_url_without_credentials() {
        for (text, expected) in [
            ("http://api-backend:8004", Some("http://api-backend:8004/api/v1/ingest")),
            ("https://proxy/monitoring/", Some("https://proxy/monitoring/api/v1/ingest")),
            ("http://[::1]:8004", Some("http://[::1]:8004/api/v1/ingest")),
            ("api-backend:8004", None),
            ("ftp://a", None),
            ("http://", None),
            ("http://user:secret@a", None),
            ("http://a?b", None),
            ("http://a#b", None),
        ] {
            let url = text.parse::<BackendUrl>().map(|url| url.route("api/v1/ingest").to_string());
            assert_eq!(url.as_deref().ok(), expected, "{text}");
        }
    }
}
