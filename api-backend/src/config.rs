//! What an operator can set.

use std::net::SocketAddr;
use std::str::FromStr;

use jiff::tz::TimeZone;
use secrecy::SecretString;
use service_runtime::config::parse_token;
use service_runtime::{AdminListener, ConfigError, ServiceConfig};

use crate::api::Origins;
use crate::store::DatabaseUrl;

/// Stores reports, evaluates thresholds, answers REST and streams violations
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "api-backend", version)]
pub struct Config {
    /// Where REST, the stream and the page are served
    #[arg(long, env, default_value = "127.0.0.1:8004")]
    pub listen_addr: SocketAddr,
    /// Where the admin server listens, or `off`
    #[arg(long, env, default_value = "127.0.0.1:8005")]
    pub admin_listen_addr: AdminListener,
    /// `mysql://USER:PASSWORD@HOST:PORT/DATABASE` or `sqlite://PATH`; wins over the parts below
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Option<DatabaseUrl>,
    /// MySQL server as HOST:PORT
    #[arg(long, env, default_value = "mysql:3306")]
    pub database_host: String,
    /// MySQL database
    #[arg(long, env, default_value = "server_monitoring")]
    pub database_name: String,
    /// MySQL user
    #[arg(long, env)]
    pub database_username: Option<String>,
    /// MySQL password
    #[arg(long, env, hide_env_values = true)]
    pub database_password: Option<SecretString>,
    /// What consumers show to be let in; required unless the listener is on loopback
    #[arg(long, env, hide_env_values = true, value_parser = parse_token)]
    pub ingest_token: Option<SecretString>,
    /// What users show to be let in; required unless the listener is on loopback
    #[arg(long, env, hide_env_values = true, value_parser = parse_token)]
    pub api_token: Option<SecretString>,
    /// Origins of other sites whose pages may call the API, separated by commas, or `*`
    #[arg(long, env)]
    pub cors_allowed_origins: Option<Origins>,
    /// Days that every sample, gaps and events are kept
    #[arg(long, env, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub raw_retention_days: u32,
    /// Days that samples folded into points of 5 minutes are kept; not fewer than RAW_RETENTION_DAYS
    #[arg(long, env, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub rollup_retention_days: u32,
    /// Age at which the reports of a quarter of an hour are compressed, counted from its end
    #[arg(long, env, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    pub seal_after_seconds: u32,
    /// Zone in which dates in queries are read, by IANA name; default the system's
    #[arg(long, env)]
    pub tz: Option<Zone>,
}

/// A time zone by its IANA name.
#[derive(Clone, Debug)]
pub struct Zone(pub TimeZone);

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Zone, String> {
        TimeZone::get(name).map(Zone).map_err(|_| "no such time zone; names are like Asia/Seoul or UTC".to_owned())
    }
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        self.admin_listen_addr
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !self.listen_addr.ip().is_loopback() {
            for (variable, token) in [("INGEST_TOKEN", &self.ingest_token), ("API_TOKEN", &self.api_token)] {
                if token.is_none() {
                    let problem = format!("is required because LISTEN_ADDR {} is not on loopback", self.listen_addr);
                    return Err(ConfigError::new(variable, problem));
                }
            }
        }
        if self.rollup_retention_days < self.raw_retention_days {
            let problem =
                format!("{} is less than RAW_RETENTION_DAYS, which is {}", self.rollup_retention_days, self.raw_retention_days);
            return Err(ConfigError::new("ROLLUP_RETENTION_DAYS", problem));
        }
        self.database().map(|_| ())
    }
}

impl Config {
    /// The database, from `DATABASE_URL` or from its parts.
    pub fn database(&self) -> Result<DatabaseUrl, ConfigError> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let Some(user) = &self.database_username else {
            return Err(ConfigError::new("DATABASE_URL", "is required, or DATABASE_USERNAME and DATABASE_PASSWORD"));
        };
        let Some(password) = &self.database_password else {
            return Err(ConfigError::new("DATABASE_PASSWORD", "is required next to DATABASE_USERNAME"));
        };
        let host_and_port =
            self.database_host.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if host_and_port.is_none() || self.database_host.contains(['/', '@', '?', '#', '%']) {
            return Err(ConfigError::new("DATABASE_HOST", format!("\"{}\" is not HOST:PORT", self.database_host)));
        }
        DatabaseUrl::of_parts(&self.database_host, &self.database_name, user, password)
            .map_err(|problem| ConfigError::new("DATABASE_HOST", problem))
    }
}
