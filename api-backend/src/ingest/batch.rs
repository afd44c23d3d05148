//! From the body of an ingest request to reports that can be trusted.

use std::io::Read;
use std::sync::Arc;

use wire_model::{Figures, Form, IngestBatch, ReportError, limits};

use super::body::Body;
use super::forms::{Forms, Message};
use super::name::ReportName;
use super::records::{Next, Records};
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
        match DecodedBatch::in_one_pass(json, forms, now_ms) {
            Some(decoded) => decoded,
            None => DecodedBatch::by_serde(json, forms, now_ms),
        }
    }

    /// Of a body as consumers write it; `None` for every other, which may be one all the same.
    fn in_one_pass(json: &[u8], forms: &Forms, now_ms: i64) -> Option<Result<DecodedBatch, BatchError>> {
        let (partition, mut records) = Records::open(json)?;
        let mut decoded = DecodedBatch { partition, reports: Vec::new(), rejected: Vec::new() };
        while let Next::Record(offset) = records.next()? {
            if decoded.len() == limits::BATCH_RECORDS {
                return None;
            }
            let (text, read) = match forms.read_start(records.rest(), now_ms) {
                Some((message, length)) => (records.take(length)?, Ok(message)),
                None => {
                    let text = records.value()?.get().as_bytes();
                    (text, forms.read(text, now_ms))
                }
            };
            if let Err(error) = decoded.add(offset, text, read) {
                return Some(Err(error));
            }
        }
        Some(Ok(decoded))
    }

    fn by_serde(json: &[u8], forms: &Forms, now_ms: i64) -> Result<DecodedBatch, BatchError> {
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
        for record in batch.records {
            let message = record.report.get().as_bytes();
            decoded.add(record.offset, message, forms.read(message, now_ms))?;
        }
        Ok(decoded)
    }

    fn len(&self) -> usize {
        self.reports.len() + self.rejected.len()
    }

    fn add(&mut self, offset: i64, text: &[u8], read: Result<Message, ReportError>) -> Result<(), BatchError> {
        match read {
            Ok(Message { form, figures, packed }) => {
                let failed = |error: std::io::Error| BatchError::Failed(format!("a report cannot be compressed: {error}"));
                let body = packed.map_or_else(|| deflate(text).map(Body::Whole), |packed| Ok(Body::Packed(packed)));
                self.reports.push(DecodedReport { offset, form, figures, body: body.map_err(failed)? });
            }
            Err(error) => {
                let name = ReportName::of_message(text);
                self.rejected.push(RejectedReport { offset, reason: error.to_string(), name });
            }
        }
        Ok(())
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
    /// Without the line break at its end.
    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json").trim_ascii();

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

    /// What becomes of each record.
    fn told(decoded: &DecodedBatch) -> Vec<(i64, Result<HostReport, &str>)> {
        let reports = decoded.reports.iter().map(|report| (report.offset, Ok(report.form.report(&report.figures))));
        let rejected = decoded.rejected.iter().map(|rejected| (rejected.offset, Err(&*rejected.reason)));
        reports.chain(rejected).collect()
    }

    #[test]
    fn in_one_pass_a_body_says_what_it_says() {
        let another = REPORT.replace("\"seq\":1234", "\"seq\":1235");
        let stopped = REPORT.replace("running", "exited");
        let record = |offset: i64, report: &str| format!(r#"{{"offset":{offset},"report":{report}}}"#);
        let [first, second, third] = [record(1, REPORT), record(-2, &another), record(3, &stopped)];
        let forms = Forms::default();
        forms.read(REPORT.as_bytes(), NOW).unwrap();
        for (body, in_one_pass) in [
            (body(""), true),
            (body(&first), true),
            (body(&[first.clone(), second.clone(), third.clone(), second.clone()].join(",")), true),
            (body(&[&second, r#"{"offset":4,"report":{"schema":9}}"#, &first].join(",")), true),
            (body(&[&second, r#"{"offset":4,"report":17}"#].join(",")), true),
            (body(&[&second, r#"{"offset":4,"report":null}"#].join(",")), true),
            (body(&first).replace(r#""offset":1"#, r#""offset": 1"#), true),
            (body(&[first.clone(), second.clone()].join(", ")), false),
            (format!("{} ", body(&first)), false),
            (body(&first).replace(r#""partition":0"#, r#""partition": 0"#), true),
            (body(&first).replace(r#""partition":0,"#, r#""partition":0,"more":1,"#), false),
        ] {
            let one = DecodedBatch::in_one_pass(body.as_bytes(), &forms, NOW);
            let other = DecodedBatch::by_serde(body.as_bytes(), &forms, NOW).unwrap();
            assert_eq!(one.is_some(), in_one_pass, "{body}");
            if let Some(one) = one {
                let one = one.unwrap();
                assert_eq!((one.partition, told(&one)), (other.partition, told(&other)), "{body}");
            }
        }
        // whatever is damaged, it says nothing else
        let whole = body(&[first, second].join(","));
        let edges = [0..60, whole.len() / 2 - 40..whole.len() / 2 + 40, whole.len() - 40..whole.len()];
        for at in edges.into_iter().flatten() {
            for byte in [b" ", b",", b"}", b"]", b"1", b"\"", &b""[..]] {
                let mut damaged = whole.clone().into_bytes();
                damaged.splice(at..=at, byte.iter().copied());
                if let Some(one) = DecodedBatch::in_one_pass(&damaged, &forms, NOW) {
                    let other = DecodedBatch::by_serde(&damaged, &forms, NOW).unwrap();
                    assert_eq!(told(&one.unwrap()), told(&other), "{at}");
                }
            }
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
