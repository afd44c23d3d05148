//! What a backend does without being asked, on every database: remove what is old in bounded steps, announce silent hosts once.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::store::retention::{STEP_ROWS, remove_events, remove_reports};
use api_backend::store::{self, hosts};
use support::{Backend, cpu_rule, now_ms, on_every_database, report};

#[tokio::test]
async fn old_reports_go_in_bounded_steps_and_the_newest_stays() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - 10_000_000;
        let reports: Vec<_> = (0..STEP_ROWS + 500).map(|n| report("a", start + n * 2_000, 0.1, &[])).collect();
        for reports in reports.chunks(1_000) {
            backend.ingest(reports).await;
        }
        backend.ingest(&[report("b", start, 0.1, &[])]).await;
        backend.stop().await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let rows = hosts::all(&mut store.read().await.unwrap()).await.unwrap();
        let remove = async |host: usize, before: i64| {
            let mut transaction = store.begin().await.unwrap();
            let removed = remove_reports(&mut transaction, rows[host].host_key, before, rows[host].last_report_at).await.unwrap();
            transaction.commit().await.unwrap();
            removed
        };
        assert_eq!(remove(0, start).await, 0, "what is exactly as old as the limit stays");
        assert_eq!(remove(0, start + 1).await, 1);
        assert_eq!(remove(0, i64::MAX).await, 1_000);
        assert_eq!(remove(0, i64::MAX).await, 498, "the newest stays");
        assert_eq!((remove(0, i64::MAX).await, remove(1, i64::MAX).await), (0, 0));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn old_events_go_in_bounded_steps_and_the_newest_stays() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 10_000_000;
        // a violation that comes and goes within a batch is one event
        let reports: Vec<_> =
            (0..2_400).map(|n| report("a", start + n * 2_000, if n % 2 == 0 { 0.9 } else { 0.1 }, &[])).collect();
        for reports in reports.chunks(800) {
            backend.ingest(reports).await;
        }
        backend.stop().await;
        let events = database.dump().await["events"].len() as u64;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let remove = async |before: i64| {
            let mut transaction = store.begin().await.unwrap();
            let removed = remove_events(&mut transaction, before).await.unwrap();
            transaction.commit().await.unwrap();
            removed
        };
        assert_eq!(remove(start).await, 0);
        assert_eq!((remove(i64::MAX).await, remove(i64::MAX).await, remove(i64::MAX).await), (1_000, events - 1_001, 0));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_host_is_marked_once_and_comes_back() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let row = hosts::all(&mut store.read().await.unwrap()).await.unwrap().remove(0);
        let allowed = api_backend::machine::silence_ms(row.interval_ms);
        let mark = async |now: i64| {
            let silent = hosts::silent(&mut store.read().await.unwrap(), now).await.unwrap();
            let mut transaction = store.begin().await.unwrap();
            let marked = hosts::mark_down(&mut transaction, "a", now).await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(marked, silent == ["a"]);
            marked
        };
        assert!(!mark(row.last_received_at + allowed).await);
        assert!(mark(row.last_received_at + allowed + 1).await);
        assert!(!mark(row.last_received_at + allowed + 2).await, "two backends announce it once");
        backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
        let events = database.dump().await["events"].clone();
        assert_eq!(events.iter().filter(|row| row.contains("machine.up")).count(), 2, "{events:?}");
        store.close().await;
        backend.stop().await;
    })
    .await;
}
