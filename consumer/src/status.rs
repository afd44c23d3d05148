//! Tells the backend how far behind each partition is, every few seconds, and what was found in the dead-letter topic; looks whether a partition
//! has stopped.
//!
//! Nothing here may hold up the forwarding: what cannot be asked or told is left to the next time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use reqwest::StatusCode;
use service_runtime::{Health, Shutdown};
use wire_model::limits::{NAME_CHARS, PARTITIONS};
use wire_model::{ConsumerStatus, PartitionStatus};

use crate::Config;
use crate::assignment::Assignment;
use crate::backend::{Backend, describe};
use crate::letters::{Letters, News};
use crate::offsets::{Led, Offsets};
use crate::partition::Snapshot;
use crate::stalls::Stalls;
use crate::waits::Waits;

/// The health check's name.
const PARTITIONS_FLOW: &str = "partitions";
const ROUTE: &str = "api/v1/pipeline/consumers";
/// While nothing changes …
const INTERVAL: Duration = Duration::from_secs(5);
/// … and when something does: several changes of one rebalance are told together.
const SOON: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Reporter {
    status: ConsumerStatus,
    assignment: Arc<Assignment>,
    backend: Arc<Backend>,
    offsets: Arc<Offsets>,
    letters: Arc<Letters>,
    health: Health,
    stalls: Stalls,
    /// What was found the last time.
    before: Vec<Snapshot>,
    waits: Waits,
    /// What went wrong the last time: said when it changes.
    problem: Option<String>,
}

/// What the brokers said; empty where they did not answer.
#[derive(Default)]
struct Answers {
    ends: HashMap<i32, i64>,
    starts: HashMap<i32, i64>,
}

impl Reporter {
    pub(crate) fn new(
        config: &Config,
        backend: Arc<Backend>,
        assignment: Arc<Assignment>,
        offsets: Arc<Offsets>,
        letters: Arc<Letters>,
        health: Health,
    ) -> Reporter {
        let status = ConsumerStatus {
            consumer: name(),
            group: config.kafka_consumer_group_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            topic: config.kafka.kafka_topic_name.clone(),
            partitions: Vec::new(),
            skipped: Vec::new(),
            dead_letters: None,
            letters: Vec::new(),
        };
        Reporter {
            status,
            assignment,
            backend,
            offsets,
            letters,
            health,
            stalls: Stalls::new(config.patience),
            before: Vec::new(),
            waits: Waits::default(),
            problem: None,
        }
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        loop {
            let assignment = Arc::clone(&self.assignment);
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                done = self.look_and_tell() => done?,
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
                () = async { tokio::time::sleep(SOON).await; assignment.changed.notified().await } => {}
            }
        }
    }

    async fn look_and_tell(&mut self) -> anyhow::Result<()> {
        // before the brokers are asked, so that no end is older than its position
        let snapshots = self.assignment.snapshots();
        let answers = self.ask(&snapshots).await?;
        self.pass_over(&snapshots, &answers);
        self.assignment.skipped.judge(&answers.starts);
        self.look_for_stalls(&snapshots, &answers);
        self.status.partitions =
            snapshots.iter().filter_map(|snapshot| partition_status(snapshot, &answers)).take(PARTITIONS).collect();
        self.waits.correct(&mut self.status.partitions, now_ms());
        self.status.skipped = self.assignment.skipped.unconfirmed();
        let news = self.letters.unconfirmed();
        (self.status.dead_letters, self.status.letters) = (news.count, news.letters);
        for partition in &self.status.partitions {
            if let Some(end) = partition.end_offset {
                let lag = (end - partition.position).max(0) as f64;
                metrics::gauge!("consumer_lag", "partition" => partition.partition.to_string()).set(lag);
            }
        }
        self.tell().await;
        Ok(())
    }

    /// Where Kafka's retention has taken everything that was left to read, no record comes that would show the hole.
    fn pass_over(&mut self, snapshots: &[Snapshot], answers: &Answers) {
        for Snapshot { number, next, fetched, .. } in snapshots {
            let (Some(next), Some(start)) = (*next, answers.starts.get(number).copied()) else { continue };
            // what librdkafka had fetched before it went on at the start has come since the last look
            let is_quiet = self.before.iter().any(|before| before.number == *number && before.next == Some(next));
            if is_quiet && next < start && start <= *fetched {
                self.assignment.passed_over(*number, next, start);
            }
        }
        self.before = snapshots.to_vec();
    }

    fn look_for_stalls(&mut self, snapshots: &[Snapshot], answers: &Answers) {
        let wish = self.stalls.look(snapshots, &answers.starts, &answers.ends, Instant::now());
        let stopped = self.stalls.stopped();
        let problem = format!("Kafka has records of the partitions {stopped:?} and this consumer does not get them");
        if let Some(why) = wish {
            tracing::error!(?why, problem);
            self.assignment.rejoin(why);
        }
        self.health.set(PARTITIONS_FLOW, if stopped.is_empty() { Ok(()) } else { Err(problem) });
    }

    async fn ask(&self, snapshots: &[Snapshot]) -> anyhow::Result<Answers> {
        let suspected = self.assignment.skipped.suspected();
        let snapshots = snapshots.to_vec();
        let (offsets, topic) = (Arc::clone(&self.offsets), self.status.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let led = |snapshot: &Snapshot| Led { number: snapshot.number, leader: snapshot.leader };
            let ends = offsets.ends(&topic, &snapshots.iter().map(led).collect::<Vec<_>>())?;
            let is_behind = |Snapshot { number, next, position, .. }: &Snapshot| {
                next == position && next.is_none_or(|next| ends.get(number).is_some_and(|end| next < *end))
            };
            let is_asked = |snapshot: &&Snapshot| is_behind(snapshot) || suspected.contains(&snapshot.number);
            let mut asked: Vec<Led> = snapshots.iter().filter(is_asked).map(led).collect();
            // a hole outlives the assignment
            let gone = suspected.iter().filter(|number| snapshots.iter().all(|snapshot| snapshot.number != **number));
            asked.extend(gone.map(|number| Led { number: *number, leader: -1 }));
            anyhow::Ok(Answers { starts: offsets.starts(&topic, &asked)?, ends })
        });
        Ok(asked.await.context("ask the brokers for offsets")?.unwrap_or_else(|error| {
            tracing::debug!(error = format!("{error:#}"), "offsets are not known at the moment");
            Answers::default()
        }))
    }

    async fn tell(&mut self) {
        let told = self.post().await;
        metrics::counter!("consumer_statuses_total", "result" => if told.is_ok() { "ok" } else { "failed" }).increment(1);
        let problem = told.err();
        match (&problem, &self.problem) {
            (None, _) => {
                self.assignment.skipped.confirmed(&self.status.skipped);
                let (count, letters) = (self.status.dead_letters, std::mem::take(&mut self.status.letters));
                self.letters.confirmed(&News { count, letters });
            }
            (Some(problem), None) => tracing::warn!(problem, "the backend does not hear how far behind this consumer is"),
            (Some(problem), Some(_)) => tracing::debug!(problem, "the backend still does not hear of this consumer"),
        }
        self.problem = problem;
    }

    async fn post(&self) -> Result<(), String> {
        let request = self.backend.request(ROUTE).timeout(TIMEOUT).json(&self.status);
        match request.send().await.map(|response| response.status()) {
            Ok(StatusCode::NO_CONTENT) => Ok(()),
            Ok(StatusCode::NOT_FOUND) => Err("it is too old to listen".to_owned()),
            Ok(status) => Err(format!("it answers {status}")),
            Err(error) => Err(describe(error)),
        }
    }
}

/// `None` while nothing is known of it but that it is ours.
fn partition_status(snapshot: &Snapshot, answers: &Answers) -> Option<PartitionStatus> {
    Some(PartitionStatus {
        partition: snapshot.number,
        position: snapshot.position.or_else(|| answers.starts.get(&snapshot.number).copied())?,
        end_offset: answers.ends.get(&snapshot.number).copied(),
        // a producer may say anything, and no time of ours is that old
        waiting_since: snapshot.waiting_since.filter(|since| *since > 0),
    })
}

/// Unix ms; 0 before.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The machine's name, and something that no other start has.
fn name() -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let start = uuid::Uuid::new_v4().simple().to_string();
    let machine: String = machine.chars().take(NAME_CHARS - 1 - START_CHARS).collect();
    format!("{machine}-{}", &start[..START_CHARS])
}

const START_CHARS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_name_of_its_own_that_fits() {
        let (one, other) = (name(), name());
        assert_ne!(one, other);
        assert!(one.chars().count() <= NAME_CHARS && one.len() > START_CHARS + 1, "{one}");
    }

    #[test]
    fn a_partition_of_which_nothing_came_is_told_when_its_logs_start_is_known() {
        let (fetched, leader) = (-1, -1);
        let snapshot = Snapshot { number: 4, position: None, next: None, fetched, leader, waiting_since: None, paused: false };
        assert_eq!(partition_status(&snapshot, &Answers::default()), None);
        let answers = Answers { ends: HashMap::from([(4, 9)]), starts: HashMap::from([(4, 7)]) };
        let expected = PartitionStatus { partition: 4, position: 7, end_offset: Some(9), waiting_since: None };
        assert_eq!(partition_status(&snapshot, &answers), Some(expected.clone()));
        for (since, told) in [(1, Some(1)), (0, None), (-1, None)] {
            let snapshot = Snapshot { position: Some(8), waiting_since: Some(since), ..snapshot };
            let expected = PartitionStatus { position: 8, waiting_since: told, ..expected.clone() };
            assert_eq!(partition_status(&snapshot, &answers), Some(expected));
        }
    }
}
