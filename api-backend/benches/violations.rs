//! How long questions about violations, and about what happened to machines, take over HTTP on loopback, one after the other, with a million of each stored:
//! 400 days of 1,000 hosts with 20 containers, 3,000 violations open.
//!
//! `cargo bench -p api-backend --bench violations` with `TEST_MARIADB_URL` (scripts/services/mariadb), where what it fills stays for
//! the next time; on SQLite without. `cargo test -p api-backend --bench violations` does the same with the backend unoptimised.

#![allow(clippy::unwrap_used, reason = "a measurement that fails here fails loudly")]

use std::time::{Duration, Instant};

use api_backend::store::{self, Store};
use api_backend::time::{DAY_MS, now_ms, rfc3339};
use api_backend::{Config, serve};
use clap::Parser;
use service_runtime::Shutdown;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tokio::net::TcpListener;

const VIOLATIONS: i64 = 1_000_000;
const OPEN: i64 = 3_000;
const EVENTS: i64 = 1_000_000;
const DAYS: i64 = 400;
const HOSTS: i64 = 1_000;
const CONTAINERS: i64 = 20;
/// Of hosts and of containers; the first are the most frequent by far.
const METRICS: [&str; 16] = [
    "system.cpu.utilization",
    "container.memory.utilization",
    "system.memory.utilization",
    "system.filesystem.utilization",
    "container.restarts",
    "system.filesystem.inodes.utilization",
    "host.missing",
    "container.stopped",
    "container.unhealthy",
    "container.oom_killed",
    "container.exit_code",
    "container.missing",
    "collector.spool.age",
    "system.cpu.load_average.1m",
    "hw.temperature",
    "system.clock.skew",
];
const QUESTIONS: [(&str, &str); 26] = [
    ("newest", "violations"),
    ("newest, deep", "violations?cursor={deep}"),
    ("a day", "violations?from={day}&to={day_end}"),
    ("an hour", "violations?from={hour}&to={hour_end}"),
    ("an hour, oldest first", "violations?from={hour}&to={hour_end}&sort=opened_at"),
    ("opened within an hour", "violations?from={hour}&to={hour_end}&match=opened"),
    ("of a machine", "violations?machine_id={machine}"),
    ("of a machine, within a day", "violations?machine_id={machine}&from={day}&to={day_end}"),
    ("of a host", "violations?host_id={host}"),
    ("of a metric", "violations?metric={metric}"),
    ("of a metric, within a day", "violations?metric={metric}&from={day}&to={day_end}"),
    ("open", "violations?state=open"),
    ("open and critical", "violations?state=open&severity=critical"),
    ("of the rarest severity", "violations?severity=info"),
    ("of two severities", "violations?severity=info,critical"),
    ("of a label", "violations?label=rack=r{rack}"),
    ("30 days by day", "violations/counts?by=day&from={month}&to={month_end}"),
    ("30 days by severity, of a host", "violations/counts?by=severity&host_id={host}&from={month}&to={month_end}"),
    ("30 days by metric", "violations/counts?by=metric&from={month}&to={month_end}"),
    ("30 days by machine", "violations/counts?by=machine&from={month}&to={month_end}"),
    ("what happened, newest", "events"),
    ("what happened, deep", "events?cursor={deep}"),
    ("what happened to a machine", "events?machine_id={machine}"),
    ("what happened to a machine, within a day", "events?machine_id={machine}&from={day}&to={day_end}"),
    ("what happened to 50 machines", "events?machine_id={machines}"),
    ("reboots within 30 days", "events?type=machine.rebooted&from={month}&to={month_end}"),
];
const ASKED: usize = 200;
/// Not counted: pages and plans come into memory.
const WARM_UP: usize = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let url = match std::env::var("TEST_MARIADB_URL") {
        Ok(server) => database(&server).await,
        Err(_) => format!("sqlite://{}/bench.db", folder.path().display()),
    };
    let store = store::connect(&url.parse().unwrap()).await.unwrap();
    let newest = newest(&mut AnyConnection::connect(&url).await.unwrap()).await;
    let end = match newest {
        Some(newest) => newest,
        None => fill(&store).await,
    };
    let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM machine_events");
    if count.fetch_one(&mut AnyConnection::connect(&url).await.unwrap()).await.unwrap() == 0 {
        fill_events(&store, end).await;
    }
    store.close().await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flags = ["api-backend", "--admin-listen-addr=off", "--tz=UTC", "--raw-retention-days=3650"];
    let config = Config::parse_from(flags.map(str::to_owned).into_iter().chain([format!("--database-url={url}")]));
    let shutdown = Shutdown::new();
    let server = tokio::spawn(serve(config, listener, shutdown.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // who asks before it is connected is refused, or cut off
    let session = format!("http://{address}/api/v1/session");
    while !client.get(&session).send().await.is_ok_and(|response| response.status().is_success()) {
        tokio::task::yield_now().await;
    }
    for (name, path) in QUESTIONS {
        let (mut took, mut bytes) = (Vec::new(), 0);
        let mut rng = fastrand::Rng::with_seed(7);
        for number in 0..WARM_UP + ASKED {
            let hour = end - rng.i64(31 * DAY_MS..(DAYS - 31) * DAY_MS);
            let path = path
                .replace("{machine}", &rng.i64(1..=HOSTS * (1 + CONTAINERS)).to_string())
                .replace("{machines}", &(0..50).map(|_| rng.i64(1..=HOSTS).to_string()).collect::<Vec<_>>().join(","))
                .replace("{host}", &format!("host-{}", rng.i64(1..=HOSTS)))
                .replace("{metric}", METRICS[rng.usize(..METRICS.len())])
                .replace("{rack}", &rng.i64(0..50).to_string())
                .replace("{deep}", &format!("{}.0", end - DAYS * DAY_MS / 10))
                .replace("{hour}", &rfc3339(hour))
                .replace("{hour_end}", &rfc3339(hour + DAY_MS / 24))
                .replace("{day}", &rfc3339(hour))
                .replace("{day_end}", &rfc3339(hour + DAY_MS))
                .replace("{month}", &rfc3339(hour))
                .replace("{month_end}", &rfc3339(hour + 30 * DAY_MS));
            let begun = Instant::now();
            let response = client.get(format!("http://{address}/api/v1/{path}")).send().await.unwrap();
            assert!(response.status().is_success(), "{path}: {}", response.status());
            let body = response.bytes().await.unwrap();
            if number >= WARM_UP {
                took.push(begun.elapsed());
                bytes += body.len();
            }
        }
        took.sort_unstable();
        let ms = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
        println!("{name}: p50 {:.2} ms, p99 {:.2} ms; {} bytes an answer", ms(50), ms(99), bytes / took.len());
    }
    let begun = Instant::now();
    let all = client.get(format!("http://{address}/api/v1/violations")).header("Accept", "application/x-ndjson");
    let mut response = all.send().await.unwrap();
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        bytes += chunk.len();
    }
    println!("all as NDJSON: {:.1} s, {bytes} bytes", begun.elapsed().as_secs_f64());
    shutdown.begin();
    server.await.unwrap().unwrap();
}

/// When the newest violation opened.
async fn newest(connection: &mut AnyConnection) -> Option<i64> {
    sqlx::query_scalar("SELECT MAX(opened_at) FROM violations").fetch_one(connection).await.unwrap()
}

/// Fills the database. When the newest violation opened.
async fn fill(store: &Store) -> i64 {
    let begun = Instant::now();
    let mut rng = fastrand::Rng::with_seed(3);
    let end = now_ms();
    let hosts = (1..=HOSTS).map(|host| format!("({host}, 'host-{host}', 2000, {end}, {end}, 1, 1, 1, 1, '')"));
    let into = "hosts (host_key, host_id, interval_ms, last_report_at, last_received_at, last_epoch, last_seq, is_down, inventory_version, evaluation)";
    insert(store, into, hosts.collect()).await;
    let machines = (1..=HOSTS * (1 + CONTAINERS)).map(|id| {
        let (host, number) = place(id);
        let (kind, labels) = if number == 0 {
            ("host", format!(r#"{{"rack":"r{}","role":"db"}}"#, host % 50))
        } else {
            ("container", format!(r#"{{"com.docker.compose.project":"shop","com.docker.compose.service":"web-{number}"}}"#))
        };
        format!("({id}, {host}, '{kind}', 'shop/{number}', 'web-{number}', 'running', '{labels}', '{{}}', 0, NULL)")
    });
    let into = "machines (machine_id, host_key, kind, identity, name, state, labels, facts, first_seen_at, gone_at)";
    insert(store, into, machines.collect()).await;
    let into = "violations (machine_id, machine_name, host_id, host_name, kind, metric, device, direction, severity, threshold_id, threshold_value, \
                opened_at, opened_value, peak_value, closed_at, closed_value, close_reason, detected_at)";
    let mut opened_at = end - DAYS * DAY_MS;
    for page in 0..VIOLATIONS / 10_000 {
        let rows = (page * 10_000..(page + 1) * 10_000).map(|number| {
            opened_at += rng.i64(0..2 * DAYS * DAY_MS / VIOLATIONS);
            violation(&mut rng, number, opened_at)
        });
        insert(store, into, rows.collect()).await;
    }
    if store.dialect() == store::Dialect::MySql {
        let mut connection = store.read().await.unwrap();
        sqlx::raw_sql("ANALYZE TABLE violations").execute(&mut *connection).await.unwrap();
    }
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    opened_at
}

/// What happened to machines until then.
async fn fill_events(store: &Store, end: i64) {
    let begun = Instant::now();
    let mut rng = fastrand::Rng::with_seed(5);
    let into = "machine_events (event_id, machine_id, name, occurred_at, body)";
    for page in 0..EVENTS / 10_000 {
        let rows = (page * 10_000..(page + 1) * 10_000).map(|number| {
            // some machines have most of them
            let machine_id = 1 + (rng.f64().powi(2) * ((HOSTS * (1 + CONTAINERS)) as f64)) as i64;
            let (name, state) = match rng.u32(..1_000) {
                0 => ("machine.rebooted", "rebooted"),
                1..500 => ("machine.down", "exited"),
                _ => ("machine.up", "running"),
            };
            let ((host, place), at) = (place(machine_id), end - (EVENTS - number) * (DAYS * DAY_MS / EVENTS));
            let kind = if place == 0 { "host" } else { "container" };
            let body = format!(
                r#"{{"at":"{}","host_id":"host-{host}","host_name":"host-{host}.example","kind":"{kind}","machine_id":"{machine_id}","name":"web-{place}","state":"{state}"}}"#,
                rfc3339(at)
            );
            format!("({number}, {machine_id}, '{name}', {at}, '{body}')")
        });
        insert(store, into, rows.collect()).await;
    }
    if store.dialect() == store::Dialect::MySql {
        let mut connection = store.read().await.unwrap();
        sqlx::raw_sql("ANALYZE TABLE machine_events").execute(&mut *connection).await.unwrap();
    }
    println!("filled with events in {:.0} s", begun.elapsed().as_secs_f64());
}

/// Host and number on it of a machine; 0 is the host itself.
fn place(machine_id: i64) -> (i64, i64) {
    ((machine_id - 1) / (1 + CONTAINERS) + 1, (machine_id - 1) % (1 + CONTAINERS))
}

fn violation(rng: &mut fastrand::Rng, number: i64, opened_at: i64) -> String {
    // some machines have most of them
    let machine_id = 1 + (rng.f64().powi(2) * ((HOSTS * (1 + CONTAINERS)) as f64)) as i64;
    let (host, place) = place(machine_id);
    let kind = if place == 0 { "host" } else { "container" };
    let metric = METRICS[(rng.f64().powi(3) * METRICS.len() as f64) as usize];
    let severity = match rng.u32(..1_000) {
        0 => "info",
        1..200 => "critical",
        _ => "warning",
    };
    // from seconds to weeks, as many of a minute as of an hour
    let lasted = Duration::from_secs_f64(10.0 * 10f64.powf(rng.f64() * 5.0)).as_millis();
    let is_open = number >= VIOLATIONS - 10 * OPEN && number % 10 == 0;
    let closed = if is_open { "NULL, NULL, NULL".to_owned() } else { format!("{}, 0.5, 'recovered'", opened_at + lasted as i64) };
    format!(
        "({machine_id}, 'web-{place}', 'host-{host}', 'host-{host}.example', '{kind}', '{metric}', '', 'above', '{severity}', {number}, 0.9, \
         {opened_at}, 0.95, 0.99, {closed}, {opened_at})"
    )
}

async fn insert(store: &Store, into: &str, rows: Vec<String>) {
    let mut transaction = store.begin().await.unwrap();
    for rows in rows.chunks(500) {
        let sql = format!("INSERT INTO {into} VALUES {}", rows.join(", "));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn database(server: &str) -> String {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(server).await.unwrap();
    sqlx::raw_sql("CREATE DATABASE IF NOT EXISTS bench_violations").execute(&mut connection).await.unwrap();
    format!("{}/bench_violations", server.rsplit_once('/').unwrap().0)
}
