//! The shapes, pinned: what is written equals the golden files byte for byte, and they read back to the same values.

use wire_model::{
    Cell, ConsumerStatus, DeadLetter, HostReport, IngestBatch, IngestReceipt, PartitionStatus, REMOVED_BYTES, Rejection, Removed,
    ReportId, SkippedRecords, with_removed,
};

const REPORT: &str = include_str!("../golden/host-report.json");
const BATCH: &str = include_str!("../golden/ingest-batch.json");
const RECEIPT: &str = include_str!("../golden/ingest-receipt.json");
const STATUS: &str = include_str!("../golden/consumer-status.json");

#[test]
fn the_report_reads_and_writes_as_pinned() {
    let report = HostReport::decode(REPORT.as_bytes(), 1_795_184_000_000).unwrap();
    assert_eq!(report.metrics["system.cpu.utilization"], Some(0.4219));
    assert_eq!(report.metrics["system.cpu.steal.utilization"], None);
    assert_eq!(report.tables["container"].rows[1][10], Cell::Null);
    assert_eq!(report.previous, Some(ReportId { epoch: 2, seq: 900 }));
    assert_eq!(report.removed, Removed { thinned: 9, ..Removed::default() });
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

#[test]
fn what_was_removed_is_added_to_an_encoded_report() {
    let mut report = HostReport::decode(REPORT.as_bytes(), 1_795_184_000_000).unwrap();
    report.removed = Removed::default();
    let message = report.encode();
    for thinned in [0, 1, u64::MAX] {
        report.removed = Removed { thinned, dropped: thinned, damaged: thinned };
        let with = with_removed(&message, report.removed);
        assert_eq!(*with, report.encode());
        assert!(with.len() <= message.len() + REMOVED_BYTES);
    }
}

#[test]
fn the_consumer_status_reads_and_writes_as_pinned() {
    let status = ConsumerStatus {
        consumer: "consumer-1-0f6f".to_owned(),
        group: "server-monitoring".to_owned(),
        version: "0.1.0".to_owned(),
        topic: "server-metrics".to_owned(),
        partitions: vec![
            PartitionStatus { partition: 0, position: 41, end_offset: Some(43), waiting_since: Some(1_795_184_000_000) },
            PartitionStatus { partition: 1, position: 7, end_offset: None, waiting_since: None },
        ],
        skipped: vec![SkippedRecords { partition: 0, from_offset: 3, to_offset: 9 }],
        dead_letters: Some(2),
        letters: vec![DeadLetter {
            partition: 1,
            offset: 17,
            written_at: Some(1_795_184_000_500),
            reason: Some("not JSON: expected value at line 1 column 1".to_owned()),
            origin_topic: Some("server-metrics".to_owned()),
            origin_partition: Some(0),
            origin_offset: Some(40),
            origin_at: None,
            key: Some("db-01".to_owned()),
            payload_bytes: Some(11),
            payload_start: Some("no\tJSON \u{fffd}".to_owned()),
        }],
    };
    assert_eq!(serde_json::to_string(&status).unwrap(), STATUS.trim_end());
    assert_eq!(serde_json::from_str::<ConsumerStatus>(STATUS).unwrap(), status);
    // consumers of before told of no letters
    let (before, _) = STATUS.split_once(r#","letters""#).unwrap();
    let before: ConsumerStatus = serde_json::from_str(&format!("{before}}}")).unwrap();
    assert_eq!(before, ConsumerStatus { letters: Vec::new(), ..status });
}
