//! What standalone adds to the configuration of its three services.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use service_runtime::{AdminListener, ServiceConfig};

/// Collector, consumer and api-backend in one process. The variables of all three apply; see .env.example
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "standalone", version)]
pub struct Config {
    /// Folder of the database and of what the collector keeps
    #[arg(long, env, default_value = "data")]
    pub data_dir: PathBuf,
    /// Kafka's bootstrap servers, as `host:port,host:port` [default: a broker in this process]
    #[arg(long, env)]
    pub bootstrap_server: Option<String>,
    /// `mysql://USER:PASSWORD@HOST:PORT/DATABASE` or `sqlite://PATH` [default: a SQLite file in DATA_DIR]
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Where REST, the stream and the page are served
    #[arg(long, env, default_value = "127.0.0.1:8004")]
    pub listen_addr: SocketAddr,
    /// Where the admin server listens, or `off`
    #[arg(long, env, default_value = "127.0.0.1:8005")]
    pub admin_listen_addr: AdminListener,
}

impl ServiceConfig for Config {
    fn admin_listener(&self) -> AdminListener {
        self.admin_listen_addr
    }
}

impl Config {
    pub(crate) fn backend_flags(&self) -> Vec<String> {
        let admin = match self.admin_listen_addr {
            AdminListener::Off => "off".to_owned(),
            AdminListener::At(address) => address.to_string(),
        };
        let mut flags = vec![format!("--listen-addr={}", self.listen_addr), format!("--admin-listen-addr={admin}")];
        match &self.database_url {
            Some(url) => flags.push(format!("--database-url={}", url.expose_secret())),
            // DATABASE_USERNAME and its kind mean a MySQL, as they do for the api-backend
            None if std::env::var_os("DATABASE_USERNAME").is_some() => {}
            None => flags.push(format!("--database-url=sqlite://{}", self.data_dir.join("server-monitoring.db").display())),
        }
        flags
    }

    pub(crate) fn collector_flags(&self, bootstrap_server: &str) -> Vec<String> {
        let mut flags = vec![format!("--bootstrap-server={bootstrap_server}"), "--admin-listen-addr=off".to_owned()];
        if std::env::var_os("SPOOL_DIR").is_none() {
            flags.push(format!("--spool-dir={}", self.data_dir.join("collector").display()));
        }
        flags
    }

    pub(crate) fn consumer_flags(&self, bootstrap_server: &str, backend: SocketAddr) -> Vec<String> {
        vec![
            format!("--bootstrap-server={bootstrap_server}"),
            format!("--api-base-url=http://{backend}"),
            "--admin-listen-addr=off".to_owned(),
        ]
    }
}
