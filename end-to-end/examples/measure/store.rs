//! The same values three times: through our backend, by LOAD DATA into wide rows, and into `VictoriaMetrics`.

use std::time::{Duration, Instant};

use end_to_end::{Stack, now_ms, within};
use serde_json::Value;

use crate::meter::{Meter, folder_bytes, mariadb, services, shown, total};
use crate::played::{Play, rows};
use crate::{load_data, victoria};

/// Containers of the recording that work; the others are idle.
const BUSY: u32 = 8;
const MS_PER_HOUR: i64 = 3_600_000;
/// When nothing was sealed for so long, nothing more will be: the sealer looks every 15 s.
const SETTLED: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The backend's own default, which tests set to a year.
pub const SEAL_AFTER_SECONDS: (&str, &str) = ("SEAL_AFTER_SECONDS", "300");

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Hosts to play
    #[arg(long, default_value_t = 40)]
    hosts: u32,
    /// How long each of them reports, every 2 s, in the past
    #[arg(long, default_value_t = 3_600)]
    seconds: u64,
    /// Containers on each
    #[arg(long, default_value_t = 20)]
    containers: u32,
    /// How long sealing may take
    #[arg(long, default_value_t = 1_800)]
    seal_seconds: u64,
}

/// What our store made of it.
struct Stored {
    samples_per_second: f64,
    cpu_seconds: f64,
    /// Of the history's tables, indexes included.
    bytes: u64,
}

pub async fn measure(options: &Options) {
    let play = Play { hosts: options.hosts, seconds: options.seconds, containers: options.containers };
    let values = count_values(&play);
    println!("| what | figure |\n|---|---|");
    println!("| played | {} hosts × {} s, {} samples, {values} values |", play.hosts, play.seconds, play.samples());
    let ours = store(&play, values, options).await;

    let busy = Play { containers: BUSY, ..play };
    if play.containers > BUSY {
        let busy_values = count_values(&busy);
        println!("| without idle containers | {} samples, {busy_values} values |", busy.samples());
        let without_idle = store(&busy, busy_values, options).await;
        let idle_bytes = ours.bytes as f64 - without_idle.bytes as f64;
        println!("| bytes a value of idle containers (the difference) | {:.3} |", idle_bytes / (values - busy_values) as f64);
    }

    let rows_per_second = load_data::measure(&play).await;
    println!("| samples/s durable, ours / LOAD DATA | {:.2} |", ours.samples_per_second / rows_per_second);
    let theirs = victoria::measure(&play).await;
    println!("| values per CPU second, ours / VictoriaMetrics | {:.2} |", theirs.cpu_seconds / ours.cpu_seconds);
    println!("| bytes, ours / VictoriaMetrics | {:.2} |", ours.bytes as f64 / theirs.bytes as f64);
}

/// Numbers in the reports; what could not be read is none.
fn count_values(play: &Play) -> u64 {
    let mut values = 0;
    play.each(now_ms() - i64::from(play.hours()) * MS_PER_HOUR, |report| {
        values += rows(report).iter().map(|row| row.values.len() as u64).sum::<u64>();
    });
    values
}

async fn store(play: &Play, values: u64, options: &Options) -> Stored {
    let stack = Stack::new("measure").await;
    let backend = stack.start_ready_backend_with(&settings()).await;
    let processes = [("backend", backend.id()), ("mariadb", mariadb())];
    let meter = Meter::start(&processes);
    let mut loadgen = stack.start_direct_loadgen(&[vec!["play".to_owned()], play.flags(play.hours())].concat());
    let (status, _) = loadgen.ended(Duration::from_secs(24 * 3_600)).await;
    assert!(status.success(), "{status}");
    let said: Value = serde_json::from_str(loadgen.stdout().trim()).unwrap();
    assert_eq!((&said["acknowledged"], &said["failed"]), (&Value::from(play.reports()), &Value::from(0)), "{said}");
    let samples_per_second = said["samples_per_second"].as_f64().unwrap();
    let ingest = &said["ingest"];
    println!(
        "| ours: stored and evaluated | {samples_per_second:.0} samples/s, batches p50 {} ms, p99 {} ms, max {} ms |",
        ingest["batch_ms_p50"], ingest["batch_ms_p99"], ingest["batch_ms_max"]
    );
    println!("| ours: CPU until stored | {}; loadgen {} s |", shown(&meter.used()), said["cpu_seconds"]);

    let began_at = Instant::now();
    let left = sealed(&stack, Duration::from_secs(options.seal_seconds)).await;
    let used = meter.used();
    let took = (began_at.elapsed() - SETTLED).as_secs_f64();
    println!("| ours: sealed | after {took:.0} s more, {left} reports left in the head |");
    println!("| ours: CPU until sealed | {}, {:.0} values per CPU second |", shown(&used), values as f64 / total(&used));
    drop(backend);
    let mut payloads = Vec::new();
    for (name, sql) in PAYLOADS {
        // before there was a sealer there was no such table
        let bytes = stack.database.try_number(sql).await.unwrap_or_default();
        payloads.push(format!("{name} {:.2}", bytes as f64 / 1_048_576.0));
    }
    println!("| ours: payloads, MiB | {} |", payloads.join(", "));
    let bytes = history_bytes(stack.database.name(), left > i64::from(play.hosts));
    println!(
        "| ours: bytes a value, indexes included | {:.3} ({:.1} MiB) |",
        bytes as f64 / values as f64,
        bytes as f64 / 1_048_576.0
    );
    let Stack { database, .. } = stack;
    database.remove().await;
    Stored { samples_per_second, cpu_seconds: total(&used), bytes }
}

/// The backend keeps all that is played, and seals as soon as an operator's does.
pub fn settings() -> [(&'static str, String); 2] {
    [("RAW_RETENTION_DAYS", "100".to_owned()), (SEAL_AFTER_SECONDS.0, SEAL_AFTER_SECONDS.1.to_owned())]
}

/// Waits until nothing was sealed for a while; how many reports are left in the head.
pub async fn sealed(stack: &Stack, patience: Duration) -> i64 {
    let (mut last, mut changed_at) = (0, Instant::now());
    within(patience.as_secs(), "what is to be sealed is", async || {
        tokio::time::sleep(LOOK_EVERY).await;
        // before there was a sealer there was no such table; counting the reports themselves would read all of them
        let stretches = stack.database.try_number("SELECT COUNT(*) FROM stretches").await.unwrap_or_default();
        if stretches != last {
            (last, changed_at) = (stretches, Instant::now());
        }
        (changed_at.elapsed() > SETTLED).then_some(())
    })
    .await;
    stack.database.count_reports().await
}

/// The files of the tables that hold the history. The head keeps its file when all of it is sealed, and uses the room again, so that it
/// counts only while more is left in it than each host's newest report.
fn history_bytes(database: &str, with_head: bool) -> u64 {
    let folder = services().join("mariadb/run/data").join(database);
    let mut sizes: Vec<(String, u64)> = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if let Some(table) = name.strip_suffix(".ibd") {
            sizes.push((table.to_owned(), entry.metadata().unwrap().len()));
        }
    }
    sizes.sort();
    let shown: Vec<String> = sizes.iter().map(|(table, bytes)| format!("{table} {:.1}", *bytes as f64 / 1_048_576.0)).collect();
    println!("| ours: files, MiB | {}; all {:.1} |", shown.join(", "), folder_bytes(&folder) as f64 / 1_048_576.0);
    let sum = |names: &[&str]| {
        let tables = sizes.iter().filter(|(table, _)| names.contains(&table.split('#').next().unwrap_or_default()));
        tables.map(|(_, bytes)| bytes).sum::<u64>()
    };
    sum(&HISTORY) + if with_head { sum(&["reports"]) } else { 0 }
}

/// Tables of what is sealed.
const HISTORY: [&str; 3] = ["chunks", "stretches", "rollups_due"];

/// Without what InnoDB adds, by whose values they are.
const PAYLOADS: [(&str, &str); 5] = [
    (
        "raw, hosts",
        "SELECT CAST(COALESCE(SUM(LENGTH(data)), 0) AS SIGNED) FROM chunks JOIN machines USING (machine_id) WHERE resolution_ms = 0 AND kind = 'host'",
    ),
    (
        "raw, busy containers",
        "SELECT CAST(COALESCE(SUM(LENGTH(data)), 0) AS SIGNED) FROM chunks JOIN machines USING (machine_id) \
         WHERE resolution_ms = 0 AND kind = 'container' AND name <= 'container-008'",
    ),
    (
        "raw, idle containers",
        "SELECT CAST(COALESCE(SUM(LENGTH(data)), 0) AS SIGNED) FROM chunks JOIN machines USING (machine_id) \
         WHERE resolution_ms = 0 AND kind = 'container' AND name > 'container-008'",
    ),
    ("raw, times and names of reports", "SELECT CAST(COALESCE(SUM(LENGTH(data)), 0) AS SIGNED) FROM stretches"),
    ("rollups", "SELECT CAST(COALESCE(SUM(LENGTH(data)), 0) AS SIGNED) FROM chunks WHERE resolution_ms > 0"),
];
