//! From `main` to the running service and back to an exit code.

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{self, ConfigError, ServiceConfig, Start};
use crate::{Shutdown, admin, telemetry};

/// `EX_CONFIG` of sysexits.h: the configuration is wrong, a restart will not help.
const EXIT_CONFIG: u8 = 78;

/// Reads the configuration, starts telemetry and the runtime, and runs the service until it ends or SIGTERM or SIGINT asks
/// it to. With `--healthcheck` it asks the running service's admin server instead.
///
/// Exit code 0 after an ordered shutdown, 78 for a wrong configuration (before anything is connected), 1 for the rest.
pub fn boot<C, F>(run: impl FnOnce(C, Shutdown) -> F) -> ExitCode
where
    C: ServiceConfig,
    F: Future<Output = anyhow::Result<()>>,
{
    boot_with(std::env::args_os().skip(1).collect(), run)
}

/// [`boot`] for one of several commands in a program: `arguments` are those behind the command's name.
pub fn boot_with<C, F>(arguments: Vec<OsString>, run: impl FnOnce(C, Shutdown) -> F) -> ExitCode
where
    C: ServiceConfig,
    F: Future<Output = anyhow::Result<()>>,
{
    let config = match config::start::<C>(arguments) {
        Ok(Start::Serve(config)) => config,
        Ok(Start::CheckHealth(config)) => return check_health(&config),
        Err(error) => return refuse(&error),
    };
    if let Err(error) = telemetry::start() {
        return refuse(&error);
    }
    allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the async runtime");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown.on_signal().context("listen for signals")?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
        run(config, shutdown).await
    });
    // A thread that hangs in the kernel (statvfs on a dead mount) must not hold up the exit.
    runtime.shutdown_background();
    match result {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(error) => refuse(error),
            None => {
                tracing::error!(error = format!("{error:#}"), "stopped by an error");
                ExitCode::FAILURE
            }
        },
    }
}

/// As many files and connections as the process may have: the lower limit that it starts with is for programs that use `select`.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    eprintln!("configuration error: {error}");
    ExitCode::from(EXIT_CONFIG)
}

fn check_health(config: &impl ServiceConfig) -> ExitCode {
    match admin::ask_ready(config.admin_listener()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("not ready: {error:#}");
            ExitCode::FAILURE
        }
    }
}
