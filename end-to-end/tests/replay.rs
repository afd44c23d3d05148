//! Reading the topic once more from its beginning changes nothing but the ledger's count of duplicates.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::time::Duration;

use end_to_end::{Stack, kafka, within};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_offset_0_changes_no_row_and_opens_no_violation() {
    let stack = Stack::new("replay").await;
    let mut backend = stack.start_ready_backend().await;
    let threshold = json!({
        "scope": {"kind": "host"}, "metric": "system.cpu.utilization", "direction": "above",
        "value": 0.4, "recovery_value": 0.35, "for_seconds": 0, "severity": "critical",
    });
    stack.api.create("thresholds", &threshold).await;
    // its violation would become worse every second
    stack.api.remove_thresholds("pipeline.lag").await;
    let mut consumer = stack.start_consumer(&stack.group);
    let flags = ["--hosts=20", "--containers=5", "--interval-ms=250", "--duration-seconds=6"];
    let mut loadgen = stack.start_loadgen(&flags);
    let (status, _) = loadgen.ended(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}");
    let played: serde_json::Value = serde_json::from_str(&loadgen.stdout()).unwrap();
    assert_eq!(played["acknowledged"], 20 * 24, "{played}");
    within(60, "all is stored and committed", async || {
        let stored = stack.database.count_reports().await == 20 * 24;
        (stored && stack.lag(&stack.group) == 0).then_some(())
    })
    .await;
    let (status, _) = consumer.terminate(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    // the end of the play is noticed, too: without a consumer it is nobody's, and from then on nothing happens on its own
    within(60, "the hosts are known to be silent", async || {
        (stack.database.number("SELECT COUNT(*) FROM pipeline_state WHERE late_since IS NOT NULL").await == 1).then_some(())
    })
    .await;
    assert_eq!(stack.database.number("SELECT COUNT(*) FROM hosts WHERE is_down = 1").await, 0);
    let violations = stack.database.number("SELECT COUNT(*) FROM violations").await;
    assert!(violations > 0, "some hosts were beyond the threshold");

    let (ledger, duplicates) = stack.database.ledger().await;
    let before = stack.database.checksums().await;
    let mut events = stack.api.follow_violations().await;
    let replay = format!("{}-replay", stack.group);
    let mut consumer = stack.start_consumer(&replay);
    within(60, "the topic is replayed", async || (stack.lag(&replay) == 0).then_some(())).await;
    let after = stack.database.checksums().await;
    assert_eq!(before, after, "rows and checksum of each table");
    let repeated = stack.database.ledger().await;
    assert_eq!(repeated, (ledger, duplicates + 20 * 24), "the ledger");
    let event = events.next(Duration::from_secs(1)).await;
    assert!(event.is_none(), "{event:?}");
    assert_eq!(kafka::count(&kafka::bootstrap_server(), &format!("{}.dlq", stack.topic)), 0, "dead letters");
    println!("{} reports replayed; {violations} violations and all tables unchanged: {after:?}", 20 * 24);
    for process in [&mut consumer, &mut backend] {
        let (status, _) = process.terminate(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
    }
}
