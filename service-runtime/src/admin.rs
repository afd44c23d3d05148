//! The admin server: `/livez` (the process runs), `/readyz` (it can do its work), `/metrics` (Prometheus).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::server::{self, Limits};
use crate::{Shutdown, telemetry};

/// Histograms keep raw values until upkeep folds them into buckets.
const UPKEEP: Duration = Duration::from_secs(5);
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// A few scrapers and health checks, each a moment.
const LIMITS: Limits = Limits {
    connections: 64,
    head_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(10),
    last_requests: Duration::from_secs(1),
};

/// `ADMIN_LISTEN_ADDR`: an address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminListener {
    /// No admin server, as in `standalone`, where one serves all three services.
    Off,
    /// Listens here.
    At(SocketAddr),
}

impl FromStr for AdminListener {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<AdminListener, Self::Err> {
        if text == "off" { Ok(AdminListener::Off) } else { text.parse().map(AdminListener::At) }
    }
}

/// What the service needs to do its work, by name; ready when all of it is there.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>);

impl Health {
    /// Ready, until a check is set that is not.
    pub fn new() -> Health {
        Health::default()
    }

    /// States that `check` is fine, or what is wrong with it.
    pub fn set(&self, check: &'static str, state: Result<(), String>) {
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = checks.insert(check, state.clone());
        match (&state, before) {
            (Err(problem), Some(Ok(()))) => tracing::warn!(check, problem, "no longer ready"),
            (Ok(()), Some(Err(_))) => tracing::info!(check, "ready"),
            _ => {}
        }
    }

    /// What is not ready, by name.
    pub fn problems(&self) -> BTreeMap<&'static str, String> {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().filter_map(|(check, state)| Some((*check, state.clone().err()?))).collect()
    }
}

/// Serves until shutdown; with [`AdminListener::Off`] it only keeps the metrics small.
pub async fn serve(listener: AdminListener, health: Health, shutdown: Shutdown) -> anyhow::Result<()> {
    match listener {
        AdminListener::Off => {
            tokio::select! {
                () = shutdown.requested() => {}
                () = keep_metrics_small() => {}
            }
            Ok(())
        }
        AdminListener::At(address) => {
            let listener =
                TcpListener::bind(address).await.with_context(|| format!("listen on {address} (ADMIN_LISTEN_ADDR)"))?;
            serve_on(listener, health, shutdown).await
        }
    }
}

/// Serves on a listener that is already bound.
pub async fn serve_on(listener: TcpListener, health: Health, shutdown: Shutdown) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr().context("read the admin address")?, "admin server listens");
    let routes = Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async || telemetry::prometheus().render()))
        .with_state(health);
    tokio::select! {
        () = server::serve(routes, listener, LIMITS, shutdown) => {}
        () = keep_metrics_small() => {}
    }
    Ok(())
}

/// Never ends. Several services in one process may do it side by side.
async fn keep_metrics_small() {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        telemetry::prometheus().run_upkeep();
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<BTreeMap<&'static str, String>>) {
    let problems = health.problems();
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(problems))
}

/// Asks a running service's `/readyz`; plain sockets, so that a health check costs nothing.
pub(crate) fn ask_ready(listener: AdminListener) -> anyhow::Result<()> {
    let AdminListener::At(mut address) = listener else { bail!("ADMIN_LISTEN_ADDR is off") };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let mut stream =
        TcpStream::connect_timeout(&address, HEALTHCHECK_TIMEOUT).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(HEALTHCHECK_TIMEOUT)).context("set a timeout")?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").context("send the request")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{}", answer.lines().last().unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resident memory of this process.
    fn memory_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn histograms_take_no_more_memory_with_time_where_nobody_asks_for_them() {
        const ROUNDS: usize = 20;
        const SAMPLES: usize = 500_000;
        telemetry::prometheus();
        let shutdown = Shutdown::new();
        let server = tokio::spawn(serve(AdminListener::Off, Health::new(), shutdown.clone()));
        let before_kib = memory_kib();
        for _ in 0..ROUNDS {
            let histogram = metrics::histogram!("admin_test_seconds");
            for _ in 0..SAMPLES {
                histogram.record(0.5);
            }
            tokio::time::sleep(UPKEEP).await;
        }
        let grown_kib = memory_kib().saturating_sub(before_kib);
        let raw_kib = ROUNDS * SAMPLES * size_of::<f64>() / 1024;
        assert!(grown_kib < raw_kib / 2, "{grown_kib} KiB more, all raw values are {raw_kib} KiB");
        shutdown.begin();
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn readiness_follows_the_checks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let server = tokio::spawn(serve_on(listener, health.clone(), shutdown.clone()));
        let ask =
            || tokio::task::spawn_blocking(move || ask_ready(AdminListener::At(address)).map_err(|error| error.to_string()));
        assert_eq!(ask().await.unwrap(), Ok(()));
        health.set("database", Err("connection refused".into()));
        assert_eq!(ask().await.unwrap(), Err(r#"{"database":"connection refused"}"#.into()));
        health.set("database", Ok(()));
        assert_eq!(ask().await.unwrap(), Ok(()));
        shutdown.begin();
        server.await.unwrap().unwrap();
    }
}
