//! How long queries of history take over HTTP on loopback, one after the other, out of 109 million samples: 30 days of 4 hosts with 20 containers,
//! as recorded. Two hours are ingested and sealed, and copied over and over; days are folded. The head is empty.
//!
//! And how long rules take that are asked of the last 7 days of all hosts and containers, and of one that opens 5 times a week at most.
//!
//! `cargo bench -p api-backend --bench history` with `TEST_MARIADB_URL` (scripts/services/mariadb), where what it fills stays for
//! the next time; on SQLite without.

#![allow(clippy::unwrap_used, reason = "a measurement that fails here fails loudly")]

use std::time::{Duration, Instant};

use api_backend::history::{QUARTER_MS, day_of, rollup, seal};
use api_backend::ingest::{DecodedBatch, Forms, Ingest};
use api_backend::live::Live;
use api_backend::store::{self, Store};
use api_backend::time::{DAY_MS, now_ms, rfc3339};
use api_backend::{Config, serve};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use service_runtime::Shutdown;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tokio::net::TcpListener;
use wire_model::{HostReport, IngestBatch, IngestRecord};

const RECORDING: &[u8] = include_bytes!("../../loadgen/recordings/host.jsonl.zst");
const HOSTS: i64 = 4;
const DAYS: i64 = 30;
/// What is ingested.
const PLAYED_MS: i64 = 8 * QUARTER_MS;
const HOUR_MS: i64 = 4 * QUARTER_MS;
const METRICS: &str = "container.cpu.usage,container.cpu.throttled,container.memory.usage,container.memory.working_set,\
    container.memory.utilization,container.network.receive,container.network.transmit,container.process.count";
const QUERIES: [(&str, &str); 8] = [
    ("one hour raw, 8 metrics", "machines/{machine}/series?metric={metrics}&from={hour}&to={hour_end}&max_points=2000"),
    ("a day of one series", "machines/{machine}/series?metric=container.cpu.usage&from={day}&to={to}&max_points=1000"),
    ("30 days of one series", "machines/{machine}/series?metric=container.cpu.usage&from={from}&to={to}&max_points=1000"),
    ("30 days of a host's series", "machines/1/series?metric=system.cpu.utilization&from={from}&to={to}&max_points=1000"),
    ("top 20 over an hour", "top?metric=container.cpu.usage&from={hour}&to={hour_end}"),
    ("top 20 over the last day", "top?metric=container.cpu.usage&from={day}&to={to}"),
    ("top 20 over any 24 hours", "top?metric=container.cpu.usage&from={hour}&to={day_end}"),
    ("top 20 over 30 days", "top?metric=container.cpu.usage&from={from}&to={to}"),
];
/// Of 84 containers or of 4 hosts; the first never fires, the second often.
const RULES: [(&str, &str, &str, f64); 4] = [
    ("7 days of a rule that never fires", "backtest", "container.cpu.usage", 1e6),
    ("7 days of a rule that fires often", "backtest", "container.cpu.usage", 0.05),
    ("7 days of a state", "backtest", "container.restarts", 1e6),
    ("a suggestion out of 7 days", "suggest", "container.cpu.usage", 0.0),
];
const RULES_ASKED: usize = 5;
const ASKED: usize = 300;
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
    let end = match store::chunks::bounds(&mut store.read().await.unwrap(), store::chunks::Resolution::Raw).await.unwrap() {
        Some((_, last)) => last + QUARTER_MS,
        None => fill(&store, &url).await,
    };
    store.close().await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flags =
        ["api-backend", "--admin-listen-addr=off", "--tz=UTC", "--raw-retention-days=3650", "--seal-after-seconds=31536000"];
    let config = Config::parse_from(flags.map(str::to_owned).into_iter().chain([format!("--database-url={url}")]));
    let shutdown = Shutdown::new();
    let server = tokio::spawn(serve(config, listener, shutdown.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // who asks before it is connected is refused, or cut off
    let session = format!("http://{address}/api/v1/session");
    while !client.get(&session).send().await.is_ok_and(|response| response.status().is_success()) {
        tokio::task::yield_now().await;
    }
    for (name, path) in QUERIES {
        let (mut took, mut bytes) = (Vec::new(), 0);
        let mut rng = fastrand::Rng::with_seed(7);
        let mut used = Duration::ZERO;
        for number in 0..WARM_UP + ASKED {
            let hour = end - rng.i64(DAY_MS..DAYS * DAY_MS);
            let path = path
                .replace("{machine}", &rng.i64(1..=HOSTS * 21).to_string())
                .replace("{metrics}", METRICS)
                .replace("{from}", &rfc3339(end - DAYS * DAY_MS))
                .replace("{to}", &rfc3339(end))
                .replace("{day}", &rfc3339(end - DAY_MS))
                .replace("{hour}", &rfc3339(hour))
                .replace("{hour_end}", &rfc3339(hour + HOUR_MS))
                .replace("{day_end}", &rfc3339(hour + DAY_MS));
            let (begun, cpu) = (Instant::now(), cpu_time());
            let response = client.get(format!("http://{address}/api/v1/{path}")).send().await.unwrap();
            assert!(response.status().is_success(), "{path}: {}", response.status());
            let body = response.bytes().await.unwrap();
            if number >= WARM_UP {
                took.push(begun.elapsed());
                used += cpu_time() - cpu;
                bytes += body.len();
            }
        }
        took.sort_unstable();
        let ms = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
        println!(
            "{name}: p50 {:.2} ms, p99 {:.2} ms, {:.2} ms of our CPU; {} bytes an answer",
            ms(50),
            ms(99),
            used.as_secs_f64() * 1e3 / ASKED as f64,
            bytes / took.len()
        );
    }
    for (name, what, metric, value) in RULES {
        let mut body = json!({
            "threshold": {"scope": {"kind": "container"}, "metric": metric, "direction": "above", "value": value},
            "from": rfc3339(end - 7 * DAY_MS), "to": rfc3339(end),
        });
        if what == "suggest" {
            body["at_most_per_week"] = json!(5);
        }
        let mut took = Vec::new();
        let mut told = Value::Null;
        for _ in 0..RULES_ASKED {
            let begun = Instant::now();
            let request = client.post(format!("http://{address}/api/v1/thresholds/{what}")).json(&body);
            told = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        let count = if what == "suggest" { &told["proposed"]["caught"]["count"] } else { &told["count"] };
        let (seconds, machines) = (took[RULES_ASKED / 2].as_secs_f64(), &told["machines_in_scope"]);
        println!("{name}: {seconds:.2} s, {count} violations of {machines} machines in {} reports", told["reports"]);
    }
    shutdown.begin();
    server.await.unwrap().unwrap();
}

/// Fills the database up to the last full quarter of an hour. When that was.
async fn fill(store: &Store, url: &str) -> i64 {
    let begun = Instant::now();
    let end = now_ms() / QUARTER_MS * QUARTER_MS;
    let first_day = day_of(end - DAYS * DAY_MS);
    play(store, first_day).await;
    while let [head, ..] = seal::due(store, i64::MAX).await.unwrap()[..] {
        assert!(seal::seal(store, head).await.unwrap().reports > 0);
    }
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let mut copy = async |by: i64, resolution: i64, below: i64| {
        for sql in [
            format!(
                "INSERT INTO chunks SELECT resolution_ms, start_at + {by}, host_key, machine_id, part, data FROM chunks \
                 WHERE resolution_ms = {resolution} AND start_at < {below} AND start_at + {by} < {end}"
            ),
            format!(
                "INSERT INTO stretches SELECT start_at + {by}, host_key, reports, data FROM stretches WHERE start_at < {below} AND start_at + {by} < {end}"
            ),
        ] {
            if resolution == 0 || sql.contains("chunks") {
                sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            }
        }
    };
    for number in 1..DAY_MS / PLAYED_MS {
        copy(number * PLAYED_MS, 0, first_day + PLAYED_MS).await;
    }
    for due in rollup::due(store, i64::MAX, 100).await.unwrap() {
        rollup::roll_up(store, due).await.unwrap();
    }
    for day in 1..=DAYS {
        copy(day * DAY_MS, 0, first_day + DAY_MS).await;
        if first_day + (day + 1) * DAY_MS <= end {
            copy(day * DAY_MS, 300_000, first_day + DAY_MS).await;
        }
    }
    for host_key in 1..=HOSTS {
        let day_at = day_of(end);
        store::chunks::note_rollup_due(&mut connection, store.dialect(), host_key, day_at).await.unwrap();
    }
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    end
}

/// The recording of each host, from another place on.
async fn play(store: &Store, begin: i64) {
    let text = String::from_utf8(zstd::decode_all(RECORDING).unwrap()).unwrap();
    let recorded: Vec<_> = text.lines().map(|line| HostReport::decode(line.as_bytes(), i64::MAX).unwrap()).collect();
    let (ingest, forms) = (Ingest::new(store.clone(), Live::default(), 10_000), Forms::default());
    let reports = u64::try_from(PLAYED_MS / 2_000).unwrap();
    for host in 0..HOSTS {
        // one more, because the newest report of a host stays in the head
        for seqs in (1..=reports + 1).collect::<Vec<_>>().chunks(500) {
            let message = |seq: &u64| {
                let seq = *seq;
                let place = usize::try_from(seq).unwrap() + 450 * usize::try_from(host).unwrap();
                let mut report = recorded[place % recorded.len()].clone();
                (report.host.id, report.seq, report.epoch) = (format!("host-{host}"), seq, 1);
                (report.at, report.previous) = (begin + 2_000 * (seq.cast_signed() - 1) + 3 * host, None);
                String::from_utf8(report.encode()).unwrap()
            };
            let messages: Vec<_> = seqs.iter().map(message).collect();
            let records = (0..)
                .zip(&messages)
                .map(|(offset, message)| IngestRecord { offset, report: serde_json::from_str::<&RawValue>(message).unwrap() });
            let batch = IngestBatch { topic: "t".into(), partition: 0, records: records.collect() };
            let body = serde_json::to_vec(&batch).unwrap();
            let receipt = ingest.accept(DecodedBatch::decode(&body, false, &forms, now_ms()).unwrap()).await.unwrap();
            assert_eq!(receipt.stored, seqs.len(), "{receipt:?}");
        }
    }
}

async fn database(server: &str) -> String {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(server).await.unwrap();
    sqlx::raw_sql("CREATE DATABASE IF NOT EXISTS bench_history").execute(&mut connection).await.unwrap();
    format!("{}/bench_history", server.rsplit_once('/').unwrap().0)
}

/// User and system time of all threads, the client's included.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}
