//! From bytes to a report that can be trusted, or to the reason why not.

use serde::Deserialize;

use crate::limits::REASON_CHARS;
use crate::report::{HostReport, SCHEMA};
use crate::validate::validate;

/// Room for what stands before the parser's words.
const PREFIX_CHARS: usize = 20;

/// Why a message is no report. No longer than [`REASON_CHARS`]. The texts reach operators as the dead letter's reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not JSON, or not of the report's shape.
    #[error("not a report: {0}")]
    Undecodable(String),
    /// Of a schema that this version does not read.
    #[error("schema {0} is not supported, this version reads schema {SCHEMA}")]
    Schema(u64),
    /// Longer, larger or later than allowed.
    #[error("{what} is {actual}, the limit is {limit}")]
    Limit {
        /// Which part of the report.
        what: String,
        /// What it has.
        actual: i64,
        /// What it may have.
        limit: i64,
    },
    /// Anything else that makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl HostReport {
    /// Decodes and checks one message. `now_ms` is the Unix time against which `at` must not lie in the future.
    pub fn decode(message: &[u8], now_ms: i64) -> Result<HostReport, ReportError> {
        crate::validate::at_most("the message's bytes", message.len(), crate::limits::MESSAGE_BYTES)?;
        let report: HostReport = serde_json::from_slice(message).map_err(|error| undecodable(message, &error))?;
        validate(&report, now_ms)?;
        Ok(report)
    }

    /// As a Kafka message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report has only text keys and writes to memory")
    }
}

/// A report of another schema may have any other shape, so the schema is the better reason.
fn undecodable(message: &[u8], error: &serde_json::Error) -> ReportError {
    #[derive(Deserialize)]
    struct Probe {
        schema: u64,
    }
    match serde_json::from_slice::<Probe>(message) {
        Ok(Probe { schema }) if schema != u64::from(SCHEMA) => ReportError::Schema(schema),
        // the parser repeats what it did not expect, however long that is
        _ => ReportError::Undecodable(error.to_string().chars().take(REASON_CHARS - PREFIX_CHARS).collect()),
    }
}
