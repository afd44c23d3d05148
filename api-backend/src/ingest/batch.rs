//! From the body of an ingest request to reports that can be trusted.

use std::io::Read;
use std::sync::Arc;

use wire_model::{Figures, Form, IngestBatch, limits};

use super::body::Body;
use super::forms::{Forms, Message};
use super::name::ReportName;
use crate::history::deflate;

/// A batch, decoded and checked.
#[derive(Debug)]
pub struct DecodedBatch {
    /// Partition the records come from.
    pub partition: i32,
    /// What can be stored.
    pub reports: Vec<DecodedReport>,
    /// What never can.
    pub rejected: Vec<RejectedReport>,
}

/// One record that can never be stored.
#[derive(Clone, Debug)]
pub struct RejectedReport {
    /// Its offset in the partition.
    pub offset: i64,
    /// What was wrong with it.
    pub reason: String,
    /// Which report it would be; `None` when it does not say so.
    pub name: Option<ReportName>,
}

/// One report that can be stored.
#[derive(Debug)]
pub struct DecodedReport {
    /// Its offset in the partition.
    pub offset: i64,
    /// What it has in common with others of its host.
    pub form: Arc<Form>,
    /// What it says.
    pub figures: Figures,
    /// What is stored.
    pub body: Body,
}

/// Why a whole batch is refused.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Too many bytes or records; a smaller batch may pass.
    #[error("{0}")]
    TooLarge(String),
    /// Not a batch.
    #[error("{0}")]
    Malformed(String),
    /// Our own fault: the same batch may pass later.
    #[error("{0}")]
    Failed(String),
}

impl DecodedBatch {
    /// Decodes a body; `zstd` says whether it is compressed. Costs CPU: call it off the async threads.
    pub fn decode(body: &[u8], zstd: bool, forms: &Forms, now_ms: i64) -> Result<DecodedBatch, BatchError> {
        let inflated;
        let json = if zstd {
            inflated = inflate(body)?;
            &inflated[..]
        } else {
            body
        };
        let batch: IngestBatch =
            serde_json::from_slice(json).map_err(|error| BatchError::Malformed(format!("the body is no batch: {error}")))?;
        if batch.records.len() > limits::BATCH_RECORDS {
            return Err(BatchError::TooLarge(format!(
                "the batch has {} records, the limit is {}",
                batch.records.len(),
                limits::BATCH_RECORDS
            )));
        }
        let mut decoded =
            DecodedBatch { partition: batch.partition, reports: Vec::with_capacity(batch.records.len()), rejected: Vec::new() };
        let failed = |error: std::io::Error| BatchError::Failed(format!("a report cannot be compressed: {error}"));
        for record in batch.records {
            let message = record.report.get().as_bytes();
            match forms.read(message, now_ms) {
                Ok(Message { form, figures, packed }) => {
                    let body = match packed {
                        Some(packed) => Body::Packed(packed),
                        None => Body::Whole(deflate(message).map_err(failed)?),
                    };
                    decoded.reports.push(DecodedReport { offset: record.offset, form, figures, body });
                }
                Err(error) => {
                    let name = ReportName::of_message(message);
                    decoded.rejected.push(RejectedReport { offset: record.offset, reason: error.to_string(), name });
                }
            }
        }
        Ok(decoded)
    }
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, BatchError> {
    let malformed = |error: std::io::Error| BatchError::Malformed(format!("the body is not zstd: {error}"));
    let mut json = Vec::new();
    let decoder = zstd::Decoder::new(body).map_err(malformed)?;
    decoder.take(limits::BATCH_INFLATED_BYTES as u64 + 1).read_to_end(&mut json).map_err(malformed)?;
    if json.len() > limits::BATCH_INFLATED_BYTES {
        return Err(BatchError::TooLarge(format!("the batch inflates to more than {} bytes", limits::BATCH_INFLATED_BYTES)));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    use wire_model::HostReport;

    const NOW: i64 = 1_795_184_000_000;
    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json");

    fn body(records: &str) -> String {
        format!(r#"{{"topic":"t","partition":0,"records":[{records}]}}"#)
    }

    #[test]
    fn records_are_limited() {
        for (n, ok) in [(limits::BATCH_RECORDS - 1, true), (limits::BATCH_RECORDS, true), (limits::BATCH_RECORDS + 1, false)] {
            let records = vec![r#"{"offset":1,"report":0}"#; n].join(",");
            let decoded = DecodedBatch::decode(body(&records).as_bytes(), false, &Forms::default(), NOW);
            assert_eq!(decoded.is_ok(), ok, "{n}");
            if let Err(error) = decoded {
                assert!(matches!(error, BatchError::TooLarge(_)), "{error}");
            }
        }
    }

    #[test]
    fn inflated_bytes_are_limited() {
        let frame = body(r#"{"offset":1,"report":""}"#);
        for (bytes, ok) in [(-1, true), (0, true), (1, false)] {
            let padding = limits::BATCH_INFLATED_BYTES.strict_add_signed(bytes) - frame.len();
            let batch = body(&format!(r#"{{"offset":1,"report":"{}"}}"#, "x".repeat(padding)));
            let decoded = DecodedBatch::decode(&zstd::encode_all(batch.as_bytes(), 1).unwrap(), true, &Forms::default(), NOW);
            assert_eq!(decoded.is_ok(), ok, "{bytes}");
        }
    }

    #[test]
    fn a_bad_record_is_rejected_alone_and_a_bad_body_whole() {
        let records = format!(r#"{{"offset":7,"report":{{"schema":9}}}},{{"offset":8,"report":{REPORT}}}"#);
        let decoded = DecodedBatch::decode(body(&records).as_bytes(), false, &Forms::default(), NOW).unwrap();
        assert_eq!((decoded.reports.len(), decoded.rejected[0].offset), (1, 7));
        assert!(decoded.rejected[0].reason.contains("schema 9"), "{:?}", decoded.rejected);
        let DecodedReport { form, figures, body, .. } = &decoded.reports[0];
        let Body::Whole(payload) = body else { panic!("the first of its form") };
        let message = zstd::bulk::decompress(payload, limits::MESSAGE_BYTES).unwrap();
        assert_eq!(HostReport::decode(&message, NOW).unwrap(), form.report(figures));
        for (body, zstd) in [("{}", false), ("", false), ("not zstd", true)] {
            assert!(
                matches!(DecodedBatch::decode(body.as_bytes(), zstd, &Forms::default(), NOW), Err(BatchError::Malformed(_))),
                "{body}"
            );
        }
    }
}
