//! What the pipeline's calls say of reports that came, came twice, came late, were refused or never came, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, now_ms, on_every_database, report};
use wire_model::{HostReport, Removed, ReportId};

const HOUR_MS: i64 = 3_600_000;

/// A report of an epoch, so many seconds after `start`.
fn numbered(host: &str, start: i64, epoch: u64, seq: u64, seconds: i64) -> HostReport {
    HostReport { epoch, seq, ..report(host, start + seconds * 1_000, 0.1, &[]) }
}

/// Counts in the order of the words: expected, stored, late, duplicate, rejected, thinned, dropped, damaged, lost.
fn counts(line: &Value) -> [i64; 9] {
    ["expected", "stored", "late", "duplicate", "rejected", "thinned", "dropped", "damaged", "lost"]
        .map(|word| line[word].as_i64().unwrap())
}

async fn totals(backend: &Backend) -> [i64; 9] {
    let (status, body) = backend.call(Method::GET, "/pipeline", None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    counts(&body["ledger"]["totals"])
}

#[tokio::test]
async fn every_missing_report_is_counted_by_its_kind_and_hour_and_named() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        // two minutes before a full hour
        let start = now_ms() / HOUR_MS * HOUR_MS - HOUR_MS - 120_000;
        let thinned = Removed { thinned: 8, ..Removed::default() };
        backend.ingest(&[numbered("a", start, 1, 1, 2), numbered("a", start, 1, 2, 4)]).await;
        backend.ingest(&[HostReport { removed: thinned, ..numbered("a", start, 1, 12, 240) }]).await;
        // the next start of the collector: two of the epoch before and the first of this one never came
        let next = HostReport { previous: Some(ReportId { epoch: 1, seq: 14 }), ..numbered("a", start, 2, 2, 250) };
        backend.ingest(&[next]).await;
        assert_eq!(totals(&backend).await, [16, 4, 0, 0, 0, 8, 0, 0, 4]);

        let (_, body) = backend.call(Method::GET, "/machines/1/pipeline", None).await;
        let hours: Vec<_> = body["ledger"]["hours"].as_array().unwrap().iter().map(counts).collect();
        // 3 to 11 lie between 4 s and 240 s, every 23.6 s: the lost one first, and three of the thinned ones before the full hour
        assert_eq!(hours, [[6, 2, 0, 0, 0, 3, 0, 0, 1], [10, 2, 0, 0, 0, 5, 0, 0, 3]]);
        assert_eq!(body["position"], json!({"epoch": 2, "seq": 2}));
        let gaps: Vec<_> = body["gaps"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|gap| {
                (
                    gap["epoch"].as_i64().unwrap(),
                    gap["from_seq"].as_i64().unwrap(),
                    gap["to_seq"].as_i64().unwrap(),
                    gap["thinned"].as_i64().unwrap(),
                    gap["lost"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(gaps, [(2, 1, 1, 0, 1), (1, 13, 14, 0, 2), (1, 3, 11, 8, 1)]);
        // page by page
        let mut paged = Vec::new();
        let mut path = "/machines/1/pipeline?limit=1".to_owned();
        loop {
            let (_, page) = backend.call(Method::GET, &path, None).await;
            paged.extend(page["gaps"]["items"].as_array().unwrap().clone());
            let Some(cursor) = page["gaps"]["next_cursor"].as_str() else { break };
            path = format!("/machines/1/pipeline?limit=1&cursor={cursor}");
        }
        assert_eq!(&paged, body["gaps"]["items"].as_array().unwrap());

        // one of the lost ones comes after all, and one that was thinned only after Kafka had it
        backend.ingest(&[numbered("a", start, 1, 13, 242), numbered("a", start, 1, 5, 50)]).await;
        assert_eq!(totals(&backend).await, [16, 6, 2, 0, 0, 7, 0, 0, 3]);
        backend.ingest(&[numbered("a", start, 1, 13, 242), numbered("a", start, 1, 5, 50)]).await;
        assert_eq!(totals(&backend).await, [16, 6, 2, 2, 0, 7, 0, 0, 3]);
        backend.stop().await;
    })
    .await;
}
