//! What crosses a process boundary between our services: the report of a host, the batch that carries reports to the
//! backend, its receipt, what a consumer says of itself, the metric catalog and the limits.
//!
//! Knows serde and nothing else: no I/O, no clock (`now` is an argument), no async. Every shape is pinned by a JSON file
//! in `golden/`; change both in one commit. A new metric is one line in `catalog.rs`.

pub mod catalog;
mod container_identity;
mod dead_letter;
mod decode;
mod form;
mod ingest;
pub mod limits;
mod number;
mod pack;
mod pipeline;
mod report;
mod validate;

pub use container_identity::{IDENTITY_CHARS, container_identities};
pub use dead_letter::{DeadLetter, dead_letter_topic, is_letter_char};
pub use decode::ReportError;
pub use form::{Figures, Form, Packed, guess_host_id};
pub use ingest::{IngestBatch, IngestReceipt, IngestRecord, Rejection};
pub use pipeline::{ConsumerStatus, PartitionStatus, SkippedRecords};
pub use report::{
    CONTAINER_TABLE, Cell, HostInfo, HostReport, REMOVED_BYTES, Removed, ReportId, SCHEMA, Table, is_metric, with_removed,
};
