//! The whole pipeline on one machine at one rate: a recorded host's reports through Kafka, consumer and backend into MariaDB.

use std::time::{Duration, Instant};

use end_to_end::process::free_address;
use end_to_end::{Process, Stack, within};
use serde_json::Value;

use crate::meter::{Meter, kafka, mariadb, peak_rss_mib, shown};
use crate::played::RECORDING;
use crate::scrape::Scrape;
use crate::store::SEAL_AFTER_SECONDS;

/// Samples of one report with all recorded containers.
const SAMPLES: u32 = 21;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Until every host is known and what piled up meanwhile is stored.
const WARM_UP_SECONDS: u64 = 300;
/// A lag that grows by less than this share of the rate is flat: over ten minutes it is 6 s of reports.
const FLAT: f64 = 0.01;

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Samples per second: machines, each at one instant
    #[arg(long, default_value_t = 100_000)]
    rate: u32,
    /// How long to measure, after a warm-up
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// What all runs have in common
    #[command(flatten)]
    pub common: Common,
}

#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// Distance of a host's reports; with the rate it says how many hosts there are
    #[arg(long, default_value_t = 2_000)]
    interval_ms: u32,
    /// Partitions of the topic: each has one batch in flight
    #[arg(long, default_value_t = 12)]
    partitions: u32,
    /// A variable for backend and consumer (repeat for several)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "not NAME=VALUE".to_owned())
}

/// What was measured.
pub struct Outcome {
    pub stored_per_second: f64,
    pub is_flat: bool,
}

pub async fn measure(options: &Options) {
    println!("| what | figure |\n|---|---|");
    run(options.rate, options.seconds, &options.common).await;
}

/// One run, on a database and a topic of its own.
pub async fn run(rate: u32, seconds: u64, common: &Common) -> Outcome {
    let hosts = (u64::from(rate) * u64::from(common.interval_ms) / 1_000).div_ceil(u64::from(SAMPLES));
    let stack = Stack::new("measure").await;
    let (backend_admin, consumer_admin) = (free_address(), free_address());
    let with_admin = |address: &String| {
        let mut variables = vec![(SEAL_AFTER_SECONDS.0, SEAL_AFTER_SECONDS.1.to_owned()), ("ADMIN_LISTEN_ADDR", address.clone())];
        variables.extend(common.variables.iter().map(|(name, value)| (name.as_str(), value.clone())));
        variables
    };
    let backend = stack.start_ready_backend_with(&with_admin(&backend_admin)).await;
    let arguments = [
        format!("--hosts={hosts}"),
        format!("--interval-ms={}", common.interval_ms),
        format!("--kafka-topic-partitions={}", common.partitions),
        format!("--recording={RECORDING}"),
        "--jitter-ms=3".to_owned(),
        "--drift-ppm=20".to_owned(),
    ];
    let mut loadgen = stack.start_loadgen(&arguments.each_ref().map(String::as_str));
    let consumer = stack.start_consumer_with(&stack.group, &with_admin(&consumer_admin));
    let reports_per_second = rate as f64 / f64::from(SAMPLES);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let warm = within(WARM_UP_SECONDS, "all hosts are known and the lag is short", async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let known = stack.database.number("SELECT COUNT(*) FROM hosts").await;
        (known.cast_unsigned() >= hosts && (stack.lag(&stack.group) as f64) < reports_per_second * 2.0).then_some(())
    });
    // a pipeline that is too slow for the rate never gets there, and is measured as it is
    let is_warm = tokio::time::timeout(Duration::from_secs(WARM_UP_SECONDS - 5), warm).await.is_ok();
    if !is_warm {
        println!("| warm-up | the lag was still long after {WARM_UP_SECONDS} s |");
    }

    let processes = [
        ("loadgen", loadgen.id()),
        ("kafka", kafka()),
        ("mariadb", mariadb()),
        ("consumer", consumer.id()),
        ("backend", backend.id()),
    ];
    let meter = Meter::start(&processes);
    let before = (Scrape::of(&client, &backend_admin).await, Scrape::of(&client, &consumer_admin).await);
    let began_at = Instant::now();
    let mut lags: Vec<(f64, f64)> = Vec::new();
    while began_at.elapsed() < Duration::from_secs(seconds) {
        loadgen.assert_runs();
        // what is committed while it is asked for is no lag
        lags.push((began_at.elapsed().as_secs_f64(), stack.lag(&stack.group).max(0) as f64));
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = began_at.elapsed().as_secs_f64();
    let used = meter.used();
    let in_backend = &Scrape::of(&client, &backend_admin).await - &before.0;
    let in_consumer = &Scrape::of(&client, &consumer_admin).await - &before.1;

    let stored = in_backend.sum("ingest_samples_total", "");
    let reports = in_backend.sum("ingest_reports_total", "stored");
    let outcome = Outcome { stored_per_second: stored / took, is_flat: is_warm && slope(&lags) < FLAT * reports_per_second };
    println!("| wanted | {rate} samples/s of {hosts} hosts every {} ms, {seconds} s |", common.interval_ms);
    println!("| stored and evaluated | {:.0} samples/s, {:.0} reports/s |", outcome.stored_per_second, reports / took);
    println!("| lag | {} |", shown_lag(&lags, reports_per_second, outcome.is_flat));
    for (name, scrape, histogram) in [
        ("longest transaction", &in_backend, "ingest_transaction_seconds"),
        ("longest batch, from post to receipt", &in_consumer, "consumer_post_seconds"),
    ] {
        let longest = scrape.longest(histogram).map_or_else(|| "none".to_owned(), |bound| format!("at most {bound} s"));
        println!("| {name} | {longest}, of {:.0} |", scrape.sum(&format!("{histogram}_count"), ""));
    }
    println!(
        "| peak RSS | consumer {} MiB, backend {} MiB, mariadb {} MiB |",
        peak_rss_mib(consumer.id()),
        peak_rss_mib(backend.id()),
        peak_rss_mib(mariadb())
    );
    println!("| CPU in {took:.0} s | {} |", shown(&used));
    let per_report: Vec<String> = used.iter().map(|(name, cpu)| format!("{name} {:.0} µs", cpu / reports * 1e6)).collect();
    println!("| CPU a report | {} |", per_report.join(", "));
    println!("| loadgen | {} |", end(&mut loadgen).await);
    drop((consumer, backend));
    let Stack { database, .. } = stack;
    database.remove().await;
    outcome
}

/// In reports per second: the line through all looks with the least squares.
fn slope(lags: &[(f64, f64)]) -> f64 {
    let count = lags.len() as f64;
    let (time, lag) = lags.iter().fold((0.0, 0.0), |sum, look| (sum.0 + look.0 / count, sum.1 + look.1 / count));
    let (above, below) =
        lags.iter().fold((0.0, 0.0), |sum, look| (sum.0 + (look.0 - time) * (look.1 - lag), sum.1 + (look.0 - time).powi(2)));
    if below > 0.0 { above / below } else { 0.0 }
}

fn shown_lag(lags: &[(f64, f64)], reports_per_second: f64, is_flat: bool) -> String {
    let mut sorted: Vec<f64> = lags.iter().map(|look| look.1).collect();
    sorted.sort_by(f64::total_cmp);
    let (last, median, most) = (lags[lags.len() - 1].1, sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    format!(
        "{}: median {median:.0} reports ({:.2} s), at most {most:.0} ({:.2} s), at the end {last:.0}, growing by {:.1} reports/s",
        if is_flat { "flat" } else { "NOT flat" },
        median / reports_per_second,
        most / reports_per_second,
        slope(lags)
    )
}

/// Its own words on how it went.
async fn end(loadgen: &mut Process) -> String {
    let (status, _) = loadgen.terminate(Duration::from_secs(180)).await;
    assert!(status.success(), "{status}");
    let summary: Value = serde_json::from_str(loadgen.stdout().trim()).unwrap();
    assert_eq!(summary["failed"], 0, "{summary}");
    format!(
        "{} reports, {} of them more than 100 ms late; own CPU {} µs a report",
        summary["sent"], summary["late"], summary["cpu_us_per_report"]
    )
}
