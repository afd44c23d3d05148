//! What consumer and backend say to each other over `POST /api/v1/ingest`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Reports of one partition, as received: the consumer does not decode them.
#[derive(Debug, Serialize, Deserialize)]
pub struct IngestBatch<'a> {
    /// Topic the records come from.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// Partition the records come from.
    pub partition: i32,
    /// In offset order; at most [`BATCH_RECORDS`](crate::limits::BATCH_RECORDS).
    #[serde(borrow)]
    pub records: Vec<IngestRecord<'a>>,
}

/// One report in a batch.
#[derive(Debug, Serialize, Deserialize)]
pub struct IngestRecord<'a> {
    /// Offset in the partition; a rejection names it.
    pub offset: i64,
    /// The message, which is one JSON value.
    #[serde(borrow)]
    pub report: &'a RawValue,
}

/// The backend's answer after COMMIT. `stored + duplicate + rejected.len()` equals the number of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestReceipt {
    /// Reports stored by this batch.
    pub stored: usize,
    /// Reports that were there before, by (host, at).
    pub duplicate: usize,
    /// Reports that can never be stored; they belong in the dead-letter topic.
    pub rejected: Vec<Rejection>,
}

/// One record that can never be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Offset of the record in its batch's partition.
    pub offset: i64,
    /// What was wrong with it, for people.
    pub reason: String,
}
