//! How the answers about the pipeline look.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::{Counts, Gap};
use crate::pipeline::{self, Hops, Status};
use crate::store::consumers::{DeadLettersRow, PartitionRow, SkippedRow};
use crate::time::rfc3339;

/// What became of the reports of all hosts in a range, and how the hops do now.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Pipeline {
    #[schema(format = DateTime)]
    pub(super) from: String,
    #[schema(format = DateTime)]
    pub(super) to: String,
    pub(super) status: Status,
    /// What is wrong, for people.
    pub(super) summary: String,
    pub(super) hops: Hops,
    /// Absent while hosts can be judged.
    pub(super) late: Option<Late>,
    pub(super) ledger: Ledger,
    pub(super) partitions: Vec<Partition>,
    /// Records that were gone from Kafka before they could be read, newest first.
    pub(super) skipped: Vec<Skipped>,
    pub(super) dead_letters: Vec<DeadLetters>,
    /// Whose newest report is oldest, and of which most is missing.
    pub(super) hosts: Vec<PipelineHost>,
}

/// That the pipeline as a whole is late, so that silent hosts are not called down.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Late {
    pub(super) lag_seconds: f64,
    /// `consumer`, `broker`, `partition N` or `unknown`.
    pub(super) cause: String,
}

/// The same of one host.
#[derive(Serialize, ToSchema)]
pub(super) struct HostPipeline {
    pub(super) machine_id: String,
    pub(super) host_id: String,
    pub(super) host_name: String,
    #[schema(format = DateTime)]
    pub(super) from: String,
    #[schema(format = DateTime)]
    pub(super) to: String,
    /// The highest report that came.
    pub(super) position: Option<Position>,
    #[schema(format = DateTime)]
    pub(super) newest_report_at: String,
    #[schema(format = DateTime)]
    pub(super) received_at: String,
    pub(super) collector: Option<CollectorBody>,
    pub(super) ledger: Ledger,
    pub(super) gaps: Gaps,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Position {
    pub(super) epoch: i64,
    pub(super) seq: i64,
}

/// What a collector says of itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Collector)]
pub(super) struct CollectorBody {
    pub(super) version: Option<String>,
    pub(super) metrics: BTreeMap<String, Option<f64>>,
}

/// Reports, counted by the hour of their own time.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Ledger {
    totals: Counted,
    hours: Vec<Hour>,
}

#[derive(Clone, Serialize, ToSchema)]
struct Counted {
    #[serde(flatten)]
    counts: Counts,
    expected: i64,
}

#[derive(Clone, Serialize, ToSchema)]
struct Hour {
    #[schema(format = DateTime)]
    hour_at: String,
    #[serde(flatten)]
    counted: Counted,
}

/// A partition of the topic, as its consumer told of it last.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Partition {
    topic: String,
    partition: i64,
    consumer_group: String,
    consumer: String,
    consumer_version: String,
    position: i64,
    end_offset: Option<i64>,
    lag_records: Option<i64>,
    lag_seconds: Option<f64>,
    #[schema(format = DateTime)]
    heard_at: String,
    is_stale: bool,
}

#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Skipped {
    topic: String,
    partition: i64,
    from_offset: i64,
    to_offset: i64,
    #[schema(format = DateTime)]
    detected_at: String,
}

/// Records in a topic of dead letters.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct DeadLetters {
    /// The topic that they come from.
    topic: String,
    records: i64,
    #[schema(format = DateTime)]
    heard_at: String,
    /// The one of `/pipeline/dead_letters` that was heard of last.
    newest_letter: Option<String>,
}

#[derive(Clone, Serialize, ToSchema)]
pub(super) struct PipelineHost {
    pub(super) machine_id: Option<String>,
    pub(super) host_id: String,
    pub(super) host_name: String,
    pub(super) collector_version: Option<String>,
    #[schema(format = DateTime)]
    pub(super) newest_report_at: String,
    #[schema(format = DateTime)]
    pub(super) received_at: String,
    pub(super) late_seconds: f64,
    /// Only of one that sends a backlog.
    #[schema(format = DateTime)]
    pub(super) oldest_unsent_at: Option<String>,
    pub(super) spool_bytes: Option<f64>,
    pub(super) spool_reports: Option<f64>,
    pub(super) missing: Missing,
}

/// Reports that were made and did not come, by the reason.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Missing {
    pub(super) thinned: i64,
    pub(super) dropped: i64,
    pub(super) damaged: i64,
    pub(super) lost: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Gaps {
    pub(super) items: Vec<GapBody>,
    pub(super) next_cursor: Option<String>,
}

/// Where the numbers of the missing are not known, `from_seq` and `to_seq` are null.
#[derive(Serialize, ToSchema)]
#[schema(as = Gap)]
pub(super) struct GapBody {
    epoch: u64,
    from_seq: Option<u64>,
    to_seq: Option<u64>,
    #[schema(format = DateTime)]
    from_at: String,
    #[schema(format = DateTime)]
    to_at: String,
    missing: u64,
    thinned: u64,
    dropped: u64,
    damaged: u64,
    lost: u64,
    #[schema(format = DateTime)]
    detected_at: String,
}

impl Ledger {
    pub(super) fn of(hours: &[(i64, Counts)]) -> Ledger {
        let mut totals = Counts::default();
        for (_, counts) in hours {
            totals += *counts;
        }
        let hour = |(hour_at, counts): &(i64, Counts)| Hour { hour_at: rfc3339(*hour_at), counted: counted(counts) };
        Ledger { totals: counted(&totals), hours: hours.iter().map(hour).collect() }
    }
}

fn counted(counts: &Counts) -> Counted {
    Counted { counts: *counts, expected: counts.expected() }
}

impl Partition {
    pub(super) fn of(row: &PartitionRow, now: i64) -> Partition {
        Partition {
            topic: row.topic.clone(),
            partition: row.partition,
            consumer_group: row.group.clone(),
            consumer: row.consumer.clone(),
            consumer_version: row.version.clone(),
            position: row.position,
            end_offset: row.end_offset,
            lag_records: pipeline::lag_records(row),
            lag_seconds: pipeline::lag_ms(row).map(seconds),
            heard_at: rfc3339(row.heard_at),
            is_stale: now - row.heard_at > pipeline::CONSUMER_SILENT_MS,
        }
    }
}

impl From<&SkippedRow> for Skipped {
    fn from(row: &SkippedRow) -> Skipped {
        Skipped {
            topic: row.topic.clone(),
            partition: row.partition,
            from_offset: row.from_offset,
            to_offset: row.to_offset,
            detected_at: rfc3339(row.detected_at),
        }
    }
}

impl From<&DeadLettersRow> for DeadLetters {
    fn from(row: &DeadLettersRow) -> DeadLetters {
        DeadLetters {
            topic: row.topic.clone(),
            records: row.records,
            heard_at: rfc3339(row.heard_at),
            newest_letter: row.newest_letter.map(|id| id.to_string()),
        }
    }
}

impl From<Counts> for Missing {
    fn from(counts: Counts) -> Missing {
        Missing { thinned: counts.thinned, dropped: counts.dropped, damaged: counts.damaged, lost: counts.lost }
    }
}

impl From<&Gap> for GapBody {
    fn from(gap: &Gap) -> GapBody {
        let known = |seq: u64| (gap.to_seq > 0).then_some(seq);
        GapBody {
            epoch: gap.epoch,
            from_seq: known(gap.from_seq),
            to_seq: known(gap.to_seq),
            from_at: rfc3339(gap.from_at),
            to_at: rfc3339(gap.to_at),
            missing: gap.missing(),
            thinned: gap.removed.thinned,
            dropped: gap.removed.dropped,
            damaged: gap.removed.damaged,
            lost: gap.lost,
            detected_at: rfc3339(gap.detected_at),
        }
    }
}

pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
