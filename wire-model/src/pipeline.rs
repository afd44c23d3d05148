//! What a consumer says of itself over `POST /api/v1/pipeline/consumers`, every few seconds: how far behind each of its partitions is.

use serde::{Deserialize, Serialize};

use crate::DeadLetter;

/// One consumer with the partitions that it has now. Answered with 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerStatus {
    /// Names this start of this consumer; at most [`NAME_CHARS`](crate::limits::NAME_CHARS).
    pub consumer: String,
    /// Its consumer group.
    pub group: String,
    /// Version of the program.
    pub version: String,
    /// Topic of reports.
    pub topic: String,
    /// Every partition that it has, idle ones too; at most [`PARTITIONS`](crate::limits::PARTITIONS).
    pub partitions: Vec<PartitionStatus>,
    /// Ranges that were gone before they could be read and that no backend has confirmed to have heard of; at most
    /// [`PARTITIONS`](crate::limits::PARTITIONS). Hearing of one twice changes nothing.
    pub skipped: Vec<SkippedRecords>,
    /// Records in the dead-letter topic, whoever wrote them; `None` while not known, and when it was told.
    pub dead_letters: Option<u64>,
    /// The newest of them, as far as no backend has confirmed to have heard of them; at most [`LETTERS`](crate::limits::LETTERS). Hearing of one
    /// twice changes nothing.
    #[serde(default)]
    pub letters: Vec<DeadLetter>,
}

/// One partition of the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: i32,
    /// Everything before this offset is stored or in the dead-letter topic.
    pub position: i64,
    /// Offset of the next record that Kafka will give out; `None` while not known. The lag in records is the distance.
    pub end_offset: Option<i64>,
    /// Unix ms at which the oldest record at or behind `position` came to Kafka; `None` when none waits or it was not read yet.
    pub waiting_since: Option<i64>,
}

/// Records [`from_offset`, `to_offset`) that Kafka no longer had when they should have been read: retention overtook the group, or the
/// topic was made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRecords {
    /// Partition.
    pub partition: i32,
    /// First one that is gone.
    pub from_offset: i64,
    /// First one that was there again.
    pub to_offset: i64,
}
