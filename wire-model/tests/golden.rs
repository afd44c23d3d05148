//! The shapes, pinned: what is written equals the golden files byte for byte, and they read back to the same values.

use wire_model::{Cell, HostReport, IngestBatch, IngestReceipt, Rejection};

const REPORT: &str = include_str!("../golden/host-report.json");
const BATCH: &str = include_str!("../golden/ingest-batch.json");
const RECEIPT: &str = include_str!("../golden/ingest-receipt.json");

#[test]
fn the_report_reads_and_writes_as_pinned() {
    let report = HostReport::decode(REPORT.as_bytes(), 1_795_184_000_000).unwrap();
    assert_eq!(report.metrics["system.cpu.utilization"], Some(0.4219));
    assert_eq!(report.metrics["system.cpu.steal.utilization"], None);
    assert_eq!(report.tables["container"].rows[1][8], Cell::Null);
    assert_eq!(String::from_utf8(report.encode()).unwrap(), REPORT.trim_end());
}

#[test]
fn the_batch_carries_reports_untouched() {
    let batch: IngestBatch = serde_json::from_str(BATCH).unwrap();
    assert_eq!(batch.records[0].report.get(), r#"{"schema":1,"any":["thing",  1e400]}"#);
    assert_eq!(serde_json::to_string(&batch).unwrap(), BATCH.trim_end());
}

#[test]
fn the_receipt_reads_and_writes_as_pinned() {
    let receipt = IngestReceipt {
        stored: 1,
        duplicate: 2,
        rejected: vec![Rejection { offset: 43, reason: "not a report: invalid type: null".to_owned() }],
    };
    assert_eq!(serde_json::to_string(&receipt).unwrap(), RECEIPT.trim_end());
    assert_eq!(serde_json::from_str::<IngestReceipt>(RECEIPT).unwrap(), receipt);
}
