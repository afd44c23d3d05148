//! What is compared.

use std::path::PathBuf;

use secrecy::SecretString;
use service_runtime::kafka::KafkaConfig;
use service_runtime::{AdminListener, ConfigError, ServiceConfig};

/// Compares journal, database and streams: prints one line of JSON, and exits with 1 when they do not agree.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen ledger check", version)]
pub struct CheckConfig {
    /// What was sent and acknowledged (repeat for several); of one report the journal that is named first counts
    #[arg(long = "journal", required = true)]
    pub journals: Vec<PathBuf>,
    /// What the dead-letter topic holds, as recorded
    #[arg(long)]
    pub dead_letters: Option<PathBuf>,
    /// The api-backend's database: mysql://… or sqlite://PATH
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,
    /// What a follower of the stream recorded from its beginning (repeat for several): lines of {"id","name","body"}
    #[arg(long)]
    pub events: Vec<PathBuf>,
    /// How long the way of the last reports may take
    #[arg(long, default_value_t = 60)]
    pub settle_seconds: u64,
}

/// Reads the topic from its beginning to its present end and journals every report in it, as sent and acknowledged: for collectors,
/// which keep no journal.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen ledger record", version)]
pub struct RecordConfig {
    /// The cluster and the topic.
    #[command(flatten)]
    pub kafka: KafkaConfig,
    /// File to append to
    #[arg(long)]
    pub journal: PathBuf,
    /// Only reports of hosts whose id does not begin with this: those that have a journal
    #[arg(long)]
    pub except: Option<String>,
}

impl ServiceConfig for CheckConfig {
    fn admin_listener(&self) -> AdminListener {
        AdminListener::Off
    }
}

impl ServiceConfig for RecordConfig {
    fn admin_listener(&self) -> AdminListener {
        AdminListener::Off
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.kafka.check()
    }
}
