//! Reports that are posted together.

use std::io::{self, Write};

use bytes::Bytes;
use wire_model::IngestReceipt;

use crate::tally::Delivery;

/// A consumer's level.
const ZSTD_LEVEL: i32 = 1;
const TOPIC: &str = "loadgen";
/// What the body has around each record: `{"offset":-9223372036854775808,"report":…},`
pub(super) const RECORD_FRAME_BYTES: usize = 48;

/// One report on its way.
pub(crate) struct Report {
    pub(crate) delivery: Delivery,
    pub(crate) message: Vec<u8>,
}

/// The body of `POST /api/v1/ingest` ([`wire_model::IngestBatch`]); messages are JSON and go into it as they are.
pub(super) fn body(partition: i32, first_offset: i64, reports: &[Report], uncompressed: bool) -> io::Result<Bytes> {
    if uncompressed {
        let bytes = reports.iter().map(|report| report.message.len() + RECORD_FRAME_BYTES).sum::<usize>();
        let mut body = Vec::with_capacity(bytes + RECORD_FRAME_BYTES);
        write_body(&mut body, partition, first_offset, reports)?;
        return Ok(body.into());
    }
    let mut body = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    write_body(&mut body, partition, first_offset, reports)?;
    Ok(body.finish()?.into())
}

fn write_body(body: &mut impl Write, partition: i32, first_offset: i64, reports: &[Report]) -> io::Result<()> {
    write!(body, r#"{{"topic":"{TOPIC}","partition":{partition},"records":["#)?;
    for (offset, report) in (first_offset..).zip(reports) {
        let comma = if offset > first_offset { "," } else { "" };
        write!(body, r#"{comma}{{"offset":{offset},"report":"#)?;
        body.write_all(&report.message)?;
        body.write_all(b"}")?;
    }
    body.write_all(b"]}")
}

/// A receipt that does not add up is of another batch.
pub(super) fn check(receipt: &IngestReceipt, first_offset: i64, reports: usize) -> Result<(), String> {
    let offsets = first_offset..first_offset.saturating_add_unsigned(reports as u64);
    let is_ours = receipt.rejected.iter().all(|rejection| offsets.contains(&rejection.offset));
    let answered = receipt.stored.saturating_add(receipt.duplicate).saturating_add(receipt.rejected.len());
    if is_ours && answered == reports {
        return Ok(());
    }
    Err(format!("the receipt speaks of {answered} records, {reports} were sent"))
}

#[cfg(test)]
mod tests {
    use wire_model::{IngestBatch, Rejection, ReportId};

    use super::*;

    #[test]
    fn a_body_is_an_ingest_batch() {
        let report = |seq| {
            let delivery = Delivery { host_id: "a".to_owned(), id: ReportId { epoch: 1, seq }, samples: 1 };
            Report { delivery, message: format!("{{\"seq\":  {seq}}}").into_bytes() }
        };
        for count in 0..3 {
            let reports: Vec<Report> = (0..count).map(report).collect();
            let text = zstd::decode_all(&body(3, 40, &reports, false).unwrap()[..]).unwrap();
            assert_eq!(body(3, 40, &reports, true).unwrap(), text);
            let batch: IngestBatch<'_> = serde_json::from_slice(&text).unwrap();
            assert_eq!((&*batch.topic, batch.partition, batch.records.len()), (TOPIC, 3, reports.len()));
            for (record, report) in batch.records.iter().zip(&reports) {
                assert_eq!(record.offset, 40 + report.delivery.id.seq.cast_signed());
                assert_eq!(record.report.get().as_bytes(), report.message);
            }
        }
    }

    #[test]
    fn a_receipt_must_account_for_every_record() {
        for (stored, duplicate, offsets, is_ours) in [
            (3, 0, &[][..], true),
            (1, 1, &[42], true),
            (2, 0, &[], false),
            (2, 0, &[43], false),
            (2, 0, &[39], false),
            (4, 0, &[], false),
        ] {
            let rejected = offsets.iter().map(|offset| Rejection { offset: *offset, reason: String::new() }).collect();
            assert_eq!(
                check(&IngestReceipt { stored, duplicate, rejected }, 40, 3).is_ok(),
                is_ours,
                "{stored} {duplicate} {offsets:?}"
            );
        }
    }
}
