//! The boot that all services share: configuration, telemetry, supervised tasks, shutdown, the admin server, and what
//! every Kafka client here is configured with.
//!
//! Knows nothing of reports, thresholds or HTTP routes of a service. A service is `run(config, shutdown)` plus a `main.rs`
//! that hands it to [`boot`].

pub mod admin;
mod backoff;
mod boot;
#[cfg(feature = "kafka")]
mod complaints;
pub mod config;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod server;
mod shutdown;
mod supervisor;
mod telemetry;

pub use admin::{AdminListener, Health};
pub use backoff::backoff;
pub use boot::{boot, boot_with};
pub use config::{ConfigError, ServiceConfig};
pub use shutdown::Shutdown;
pub use supervisor::{DRAIN, Supervisor};
