//! The way of a report: how fast a backlog is stored on MariaDB and on SQLite, and how long after its sample a violation reaches a client of
//! the stream.

use std::time::{Duration, Instant};

use end_to_end::api::instant_ms;
use end_to_end::{Stack, now_ms, within};
use serde_json::json;

use crate::meter::{cpu_seconds, rss_mib};

const BACKLOG_HOSTS: i64 = 1_000;
const BACKLOG_ROUNDS: i64 = 20;
const CONTAINERS: i64 = 10;
const LIVE_SECONDS: u64 = 60;

pub async fn measure() {
    println!("| what | figure |\n|---|---|");
    let mariadb = store_backlog("MariaDB", Stack::new("measure").await).await;
    let mut on_sqlite = Stack::new("measure").await;
    on_sqlite.database.url = format!("sqlite://{}", on_sqlite.file("measure.db").display());
    let sqlite = store_backlog("SQLite", on_sqlite).await;
    println!("| SQLite / MariaDB | {:.2} |", sqlite / mariadb);
    follow_live().await;
}

/// Reports per second from a topic that is full to a store that is complete.
async fn store_backlog(name: &str, stack: Stack) -> f64 {
    let reports = BACKLOG_HOSTS * BACKLOG_ROUNDS;
    let arguments = [format!("--hosts={BACKLOG_HOSTS}"), format!("--containers={CONTAINERS}"), "--interval-ms=1000".to_owned()];
    let seconds = format!("--duration-seconds={BACKLOG_ROUNDS}");
    let mut loadgen = stack.start_loadgen(&[&arguments[0], &arguments[1], &arguments[2], &seconds]);
    let (status, _) = loadgen.ended(Duration::from_secs(120)).await;
    assert!(status.success(), "{status}");
    let backend = stack.start_ready_backend().await;
    let consumer = stack.start_consumer(&stack.group);
    let lag = || stack.lag(&stack.group);
    let total = lag();
    assert!(total > reports / 2, "{total} of {reports}");
    let (first, begun, before) = within(60, "the first reports are stored", async || {
        let left = lag();
        (left < total).then(|| (left, Instant::now(), cpu_seconds(consumer.id()) + cpu_seconds(backend.id())))
    })
    .await;
    within(300, "all reports are stored", async || (lag() == 0).then_some(())).await;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(consumer.id()) + cpu_seconds(backend.id()) - before;
    let rate = first as f64 / seconds;
    println!(
        "| {name}: stored and evaluated | {rate:.0} reports/s, {:.0} samples/s ({first} reports in {seconds:.1} s) |",
        rate * (CONTAINERS + 1) as f64
    );
    println!("| {name}: CPU of consumer and backend | {:.0} µs a report |", cpu / first as f64 * 1e6);
    println!("| {name}: RSS of consumer, of backend | {} MiB, {} MiB |", rss_mib(consumer.id()), rss_mib(backend.id()));
    rate
}

/// Time from a sample to its violation at the client, with 200 hosts of 10 containers at 2 s.
async fn follow_live() {
    let stack = Stack::new("measure").await;
    let backend = stack.start_ready_backend().await;
    let consumer = stack.start_consumer(&stack.group);
    let rule = json!({"scope": {"kind": "container"}, "metric": "container.memory.utilization", "direction": "above", "value": 0.5, "severity": "info"});
    stack.api.create("thresholds", &rule).await;
    let rule = json!({"scope": {"kind": "host"}, "metric": "system.cpu.utilization", "direction": "above", "value": 0.3, "severity": "info"});
    stack.api.create("thresholds", &rule).await;
    let mut loadgen = stack.start_loadgen(&["--hosts=200", "--containers=10", "--interval-ms=2000"]);
    within(60, "reports are stored", async || (stack.database.count_reports().await > 400).then_some(())).await;
    let mut events = stack.api.follow_violations().await;
    let mut latencies = Vec::new();
    let end = Instant::now() + Duration::from_secs(LIVE_SECONDS);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let Some(event) = events.next(left).await else { break };
        let field = if event.name == "violation.opened" { "opened_at" } else { "closed_at" };
        latencies.push(now_ms() - instant_ms(&event.data[field]));
    }
    loadgen.terminate(Duration::from_secs(30)).await;
    drop((consumer, backend));
    latencies.sort_unstable();
    let percentile = |share: usize| latencies[(latencies.len() - 1) * share / 100];
    println!(
        "| sample to client of the stream, 2,200 samples every 2 s | p50 {} ms, p99 {} ms, of {} events in {LIVE_SECONDS} s |",
        percentile(50),
        percentile(99),
        latencies.len()
    );
}
