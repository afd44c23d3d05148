//! How long queries take on a large database, which is filled first unless it is there already.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use end_to_end::api::rfc3339;
use end_to_end::{Database, Stack, now_ms};
use serde_json::Value;

use crate::meter::peak_rss_mib;
use crate::played::{Play, RECORDING};
use crate::store::{sealed, settings};

const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;
/// Of a container, as the page's view of one machine shows them.
const METRICS: &str = "container.cpu.usage,container.cpu.throttled,container.memory.usage,container.memory.working_set,\
    container.memory.utilization,container.network.receive,container.network.transmit,container.process.count";
/// Queries of each kind that are not counted: files are opened, plans and pages come into memory.
const WARM_UP: usize = 20;
/// Until every host has reported something new.
const LIVE: Duration = Duration::from_secs(5);

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Hosts to fill the database with, each with 20 containers
    #[arg(long, default_value_t = 4)]
    hosts: u32,
    /// How long each of them reports, every 2 s; 4 hosts for 30 days are 109 million samples
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Queries of each kind
    #[arg(long, default_value_t = 1_000)]
    queries: usize,
    /// Database that a run before this one has filled and named
    #[arg(long)]
    database: Option<String>,
    /// Keep the database, and print its name
    #[arg(long)]
    keep: bool,
    /// A file with more queries to measure, a line each: NAME, a tab, and a path below /api/v1 in which {machine}, {host}, {from} (30 days
    /// ago), {hour} and {hour_end} (an hour at random) and {to} (now) are replaced
    #[arg(long)]
    more: Option<PathBuf>,
}

/// In the words of `--more`.
const QUERIES: [(&str, &str); 6] = [
    (
        "one hour raw, 8 metrics, one machine",
        "machines/{machine}/series?metric={metrics}&from={hour}&to={hour_end}&max_points=2000",
    ),
    ("30 days of one series", "machines/{machine}/series?metric=container.cpu.usage&from={from}&to={to}&max_points=1000"),
    ("30 days of a host's CPU", "machines/{host}/series?metric=system.cpu.utilization&from={from}&to={to}&max_points=1000"),
    ("top-20 containers by CPU now", "top?metric=container.cpu.usage&limit=20"),
    ("top-20 containers by CPU over an hour", "top?metric=container.cpu.usage&limit=20&from={hour}&to={hour_end}"),
    ("top-20 containers by CPU over 30 days", "top?metric=container.cpu.usage&limit=20&from={from}&to={to}"),
];

pub async fn measure(options: &Options) {
    let mut stack = Stack::new("measure").await;
    if let Some(name) = &options.database {
        let (server, _) = stack.database.url.rsplit_once('/').unwrap();
        let filled = Database::at(&format!("{server}/{name}"));
        std::mem::replace(&mut stack.database, filled).remove().await;
    }
    let backend = stack.start_ready_backend_with(&settings()).await;
    println!("| what | figure |\n|---|---|");
    if options.database.is_none() {
        fill(&stack, options).await;
    }
    let machines = |kind: &'static str| {
        let api = &stack.api;
        async move {
            let list = api.get("machines", &[("kind", kind)]).await;
            let ids = list["items"].as_array().unwrap().iter().map(|machine| machine["id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<String>>()
        }
    };
    let (hosts, containers) = (machines("host").await, machines("container").await);
    assert!(!hosts.is_empty() && !containers.is_empty(), "the database has machines");
    // the present goes on while the past is asked for
    let live = [format!("--hosts={}", options.hosts), format!("--recording={RECORDING}")];
    let mut loadgen = stack.start_direct_loadgen(&live);
    tokio::time::sleep(LIVE).await;
    loadgen.assert_runs();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let more = options.more.as_ref().map(|path| std::fs::read_to_string(path).unwrap()).unwrap_or_default();
    let more = more.lines().filter_map(|line| line.split_once('\t'));
    for (name, path) in QUERIES.into_iter().chain(more) {
        let (mut took, mut bytes) = (Vec::new(), 0);
        for number in 0..WARM_UP + options.queries {
            let now = now_ms();
            let begin = now - i64::from(options.days) * MS_PER_DAY;
            let hour = begin + fastrand::i64(0..(now - begin - MS_PER_HOUR).max(1));
            let path = path
                .replace("{machine}", &containers[fastrand::usize(..containers.len())])
                .replace("{host}", &hosts[fastrand::usize(..hosts.len())])
                .replace("{metrics}", METRICS)
                .replace("{from}", &rfc3339(begin))
                .replace("{to}", &rfc3339(now))
                .replace("{hour}", &rfc3339(hour))
                .replace("{hour_end}", &rfc3339(hour + MS_PER_HOUR));
            let began_at = Instant::now();
            let response = client.get(format!("http://{}/api/v1/{path}", stack.address)).send().await.unwrap();
            let status = response.status();
            let body = response.bytes().await.unwrap();
            assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
            if number >= WARM_UP {
                took.push(began_at.elapsed());
                bytes += body.len();
            }
        }
        took.sort_unstable();
        let ms = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1_000.0;
        println!(
            "| {name} | p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms, {} bytes an answer, of {} |",
            ms(50),
            ms(99),
            ms(100),
            bytes / took.len(),
            took.len()
        );
    }
    println!("| peak RSS of the backend | {} MiB |", peak_rss_mib(backend.id()));
    drop((loadgen, backend));
    let Stack { database, .. } = stack;
    if options.keep || options.database.is_some() {
        println!("| database | {} |", database.name());
    } else {
        database.remove().await;
    }
}

/// The past, as fast as it is stored, and all of it sealed.
async fn fill(stack: &Stack, options: &Options) {
    let play = Play { hosts: options.hosts, seconds: u64::from(options.days) * 86_400, containers: 20 };
    let began_at = Instant::now();
    let mut loadgen = stack.start_direct_loadgen(&[vec!["play".to_owned()], play.flags(play.hours())].concat());
    let (status, _) = loadgen.ended(Duration::from_secs(48 * 3_600)).await;
    assert!(status.success(), "{status}");
    let said: Value = serde_json::from_str(loadgen.stdout().trim()).unwrap();
    assert_eq!(said["failed"], 0, "{said}");
    let stored = began_at.elapsed().as_secs_f64();
    let left = sealed(stack, Duration::from_secs(24 * 3_600)).await;
    let sealed = began_at.elapsed().as_secs_f64();
    println!(
        "| filled | {} samples in {stored:.0} s, settled after {sealed:.0} s, {left} reports left in the head |",
        play.samples()
    );
}
