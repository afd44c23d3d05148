//! Usage by the engine's stats API, for containers whose control groups cannot be reached: the engine runs on another
//! machine, or the layout is unknown. It costs the engine far more than reading files does.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bollard::Docker;
use bollard::models::{ContainerBlkioStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::{StreamExt, stream};
use service_runtime::Shutdown;
use tokio::sync::watch;
use tokio::time::timeout;

use super::engine::connect;
use super::usage::{Limits, Periods, Traffic, Usage};

const TIMEOUT: Duration = Duration::from_secs(5);
const REQUESTS_AT_ONCE: usize = 8;
/// The engine looks at its containers once a second.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Where ticks write down whom they cannot read, and find what the engine says of them.
#[derive(Clone)]
pub(crate) struct StatsBoard {
    wanted: Arc<watch::Sender<BTreeSet<String>>>,
    answers: Arc<Mutex<HashMap<String, (Instant, Usage)>>>,
}

impl StatsBoard {
    pub(crate) fn new() -> StatsBoard {
        StatsBoard { wanted: Arc::new(watch::Sender::new(BTreeSet::new())), answers: Arc::default() }
    }

    /// Names the containers to ask for.
    pub(super) fn want(&self, ids: BTreeSet<String>) {
        self.wanted.send_if_modified(|wanted| {
            let differs = *wanted != ids;
            if differs {
                *wanted = ids;
            }
            differs
        });
    }

    /// The latest answer about a container, and when it came.
    pub(super) fn answer(&self, id: &str) -> Option<(Instant, Usage)> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn keep(&self, answered: HashMap<String, (Instant, Usage)>, wanted: &BTreeSet<String>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.extend(answered);
        answers.retain(|id, _| wanted.contains(id));
    }
}

/// Asks for the usage of all wanted containers once an interval; sleeps while none is wanted.
pub(crate) async fn poll(docker_host: String, board: StatsBoard, interval: Duration, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut wanted = board.wanted.subscribe();
    let work = async {
        loop {
            if wanted.wait_for(|ids| !ids.is_empty()).await.is_err() {
                return;
            }
            let ids = wanted.borrow_and_update().clone();
            match ask_all(&docker_host, &ids).await {
                Ok(answers) => board.keep(answers, &ids),
                Err(error) => tracing::debug!(error = format!("{error:#}"), "cannot ask for stats"),
            }
            tokio::time::sleep(interval.max(SHORTEST_INTERVAL)).await;
        }
    };
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        () = work => Err(anyhow!("the board of stats is gone")),
    }
}

async fn ask_all(docker_host: &str, ids: &BTreeSet<String>) -> anyhow::Result<HashMap<String, (Instant, Usage)>> {
    let docker = connect(docker_host).await?;
    let asks = stream::iter(ids.clone()).map(|id| ask_in_time(docker.clone(), id)).buffer_unordered(REQUESTS_AT_ONCE);
    let answers: Vec<_> = asks.collect().await;
    Ok(answers.into_iter().flatten().collect())
}

/// An engine that hangs on one container is asked about the others all the same.
async fn ask_in_time(docker: Docker, id: String) -> Option<(String, (Instant, Usage))> {
    match timeout(TIMEOUT, ask(&docker, &id)).await {
        Ok(Ok(usage)) => return Some((id, (Instant::now(), usage))),
        Ok(Err(error)) => tracing::debug!(id, error = format!("{error:#}"), "no stats"),
        Err(_) => tracing::debug!(id, "no stats in time"),
    }
    None
}

async fn ask(docker: &Docker, id: &str) -> anyhow::Result<Usage> {
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let mut answers = std::pin::pin!(docker.stats(id, Some(options)));
    let stats = answers.next().await.context("ask for stats: no answer")?.context("ask for stats")?;
    Ok(usage(&stats))
}

fn usage(stats: &ContainerStatsResponse) -> Usage {
    let cpu = stats.cpu_stats.as_ref();
    let memory = stats.memory_stats.as_ref();
    let details = memory.and_then(|memory| memory.stats.as_ref());
    let periods = cpu
        .and_then(|cpu| cpu.throttling_data.as_ref())
        .and_then(|throttling| Some(Periods { all: throttling.periods?, throttled: throttling.throttled_periods? }));
    let network = stats.networks.as_ref().map(|networks| {
        networks.values().fold(Traffic::default(), |sum, one| Traffic {
            in_bytes: sum.in_bytes.wrapping_add(one.rx_bytes.unwrap_or_default()),
            out_bytes: sum.out_bytes.wrapping_add(one.tx_bytes.unwrap_or_default()),
        })
    });
    Usage {
        cpu_ns: cpu.and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage),
        periods,
        memory_bytes: memory.and_then(|memory| memory.usage),
        // version 1 counts what is below the group apart
        inactive_file_bytes: details.and_then(|stats| stats.get("total_inactive_file").or(stats.get("inactive_file")).copied()),
        network,
        disk: stats.blkio_stats.as_ref().map(disk),
        processes: stats.pids_stats.as_ref().and_then(|pids| pids.current),
        // the API does not say how many CPUs it may use
        limits: Limits { cpus: None, memory_bytes: memory.and_then(|memory| memory.limit) },
    }
}

fn disk(blkio: &ContainerBlkioStats) -> Traffic {
    let sum = |operation: &str| {
        let entries = blkio.io_service_bytes_recursive.iter().flatten();
        let of = entries.filter(|entry| entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(operation)));
        of.filter_map(|entry| entry.value).fold(0_u64, u64::wrapping_add)
    };
    Traffic { in_bytes: sum("read"), out_bytes: sum("write") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_engine_is_read() {
        let text = r#"{"id":"f3","pids_stats":{"current":3},
            "cpu_stats":{"cpu_usage":{"total_usage":2500000000},"throttling_data":{"periods":40,"throttled_periods":10,"throttled_time":1}},
            "memory_stats":{"usage":1048576,"limit":67108864,"stats":{"inactive_file":1,"total_inactive_file":8192}},
            "blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"Read","value":1024},{"major":8,"minor":0,"op":"write","value":2048},{"major":8,"minor":0,"op":"Total","value":3072}]},
            "networks":{"eth0":{"rx_bytes":1,"tx_bytes":2},"eth1":{"rx_bytes":10,"tx_bytes":20}}}"#;
        let expected = Usage {
            cpu_ns: Some(2_500_000_000),
            periods: Some(Periods { all: 40, throttled: 10 }),
            memory_bytes: Some(1_048_576),
            inactive_file_bytes: Some(8192),
            network: Some(Traffic { in_bytes: 11, out_bytes: 22 }),
            disk: Some(Traffic { in_bytes: 1024, out_bytes: 2048 }),
            processes: Some(3),
            limits: Limits { cpus: None, memory_bytes: Some(67_108_864) },
        };
        assert_eq!(usage(&serde_json::from_str(text).unwrap()), expected);
        assert_eq!(usage(&ContainerStatsResponse::default()), Usage::default());
    }

    #[test]
    fn the_board_forgets_whom_nobody_wants() {
        let board = StatsBoard::new();
        let answers = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), (Instant::now(), Usage::default()))).collect();
        board.keep(answers(&["a", "b"]), &BTreeSet::from(["b".to_owned()]));
        assert!(board.answer("a").is_none() && board.answer("b").is_some());
    }
}
