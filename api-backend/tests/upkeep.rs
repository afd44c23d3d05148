//! What a backend does without being asked, on every database: remove what is old in bounded steps, announce silent hosts once.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::store::retention::{
    AGED, MACHINE_EVENTS, STEP_ROWS, remove_aged, remove_events, remove_ledger_hour, remove_reports,
};
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
async fn old_gaps_and_the_like_go_in_bounded_steps_and_the_ledger_by_hours() {
    on_every_database(async |database| {
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let mut connection = database.connect().await;
        let begun = now_ms() - 10_000_000;
        // as many as a step and a half, the last hundred of each at one time
        let rows: Vec<String> = (0..1_500).map(|n| format!("({n}, {})", begun + n.min(1_400))).collect();
        let fill = |sql: &str| {
            let numbers = rows.iter().map(|row| {
                let (number, at) = row.trim_matches(['(', ')']).split_once(", ").unwrap();
                sql.replace("NUMBER", number).replace("TIME", at)
            });
            numbers.collect::<Vec<_>>().join(", ")
        };
        for (into, row) in [
            (
                "gaps (host_key, epoch, from_seq, to_seq, from_at, to_at, thinned, dropped, damaged, lost, detected_at)",
                "(1, 1, NUMBER, NUMBER, 0, 0, 0, 0, 0, 1, TIME)",
            ),
            ("rejections (host_key, epoch, seq, hour_at, rejected_at, reason)", "(1, 1, NUMBER, 0, TIME, 'x')"),
            ("skipped_records (topic, partition_number, from_offset, to_offset, detected_at)", "('t', NUMBER, 0, 1, TIME)"),
            (
                "consumer_partitions (topic, consumer_group, partition_number, consumer, version, position_offset, updated_at)",
                "('t', 'g', NUMBER, 'c', '1', 0, TIME)",
            ),
            ("dead_letters (topic, records, updated_at)", "('NUMBER', 0, TIME)"),
            ("letters (topic, partition_number, record_offset, written_at, updated_at)", "('t', 0, NUMBER, 0, TIME)"),
            ("machine_events (event_id, machine_id, name, occurred_at, body)", "(NUMBER, 1, 'machine.up', TIME, '{}')"),
            (
                "ledger (hour_at, host_key, `stored`, late, `duplicate`, rejected, thinned, `dropped`, damaged, lost)",
                "(TIME, NUMBER, 0, 0, 0, 0, 0, 0, 0, 0)",
            ),
        ] {
            let sql = format!("INSERT INTO {into} VALUES {}", fill(row));
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        for aged in AGED.iter().chain([&MACHINE_EVENTS]) {
            let remove = async |before: i64| {
                let mut transaction = store.begin().await.unwrap();
                let removed = remove_aged(&mut transaction, *aged, before).await.unwrap();
                transaction.commit().await.unwrap();
                removed
            };
            assert_eq!(
                (remove(begun).await, remove(begun + 1).await),
                (0, 1),
                "{aged:?}: what is exactly as old as the limit stays"
            );
            assert_eq!((remove(begun + 1_401).await, remove(begun + 1_401).await), (1_000, 499), "{aged:?}");
            assert_eq!(remove(i64::MAX).await, 0, "{aged:?}");
        }
        let mut transaction = store.begin().await.unwrap();
        assert!(!remove_ledger_hour(&mut transaction, begun).await.unwrap());
        for _ in 0..1_401 {
            assert!(remove_ledger_hour(&mut transaction, begun + 1_401).await.unwrap());
        }
        assert!(!remove_ledger_hour(&mut transaction, i64::MAX).await.unwrap());
        transaction.commit().await.unwrap();
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
            let silent = hosts::silent(&mut store.read().await.unwrap(), now, 0).await.unwrap();
            let mut transaction = store.begin().await.unwrap();
            let marked = hosts::mark_down(&mut transaction, "a", now, 0).await.unwrap();
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

#[tokio::test]
async fn whatever_arrives_shows_that_a_host_is_alive_and_a_repetition_shows_nothing() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        // its clock is a minute behind
        let at = now_ms() - 60_000;
        backend.ingest(&[report("a", at, 0.1, &[])]).await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let row = async || hosts::all(&mut store.read().await.unwrap()).await.unwrap().remove(0);
        let mark = async || {
            let mut transaction = store.begin().await.unwrap();
            assert!(hosts::mark_down(&mut transaction, "a", i64::MAX / 2, 0).await.unwrap());
            transaction.commit().await.unwrap();
        };
        mark().await;
        let before = database.dump().await;
        backend.ingest(&[report("a", at, 0.1, &[])]).await;
        assert_eq!(database.dump().await, before, "a repetition changes no row");
        backend.ingest(&[report("a", at + 2_000, 0.1, &[])]).await;
        assert!(!row().await.is_down);
        mark().await;
        // set back by an hour: history, and alive
        let received_at = row().await.last_received_at;
        backend.ingest(&[report("a", at - 3_600_000, 0.1, &[])]).await;
        let row = row().await;
        assert_eq!((row.is_down, row.last_report_at), (false, at + 2_000));
        assert!(row.last_received_at >= received_at);
        store.close().await;
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn containers_that_are_gone_for_long_are_forgotten_unless_a_threshold_names_them() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - 100_000;
        backend.ingest(&[report("a", start, 0.1, &[("one", "running", 0.1), ("two", "running", 0.1), ("three", "running", 0.1)])]).await;
        backend.ingest(&[report("a", start + 2_000, 0.1, &[("three", "running", 0.1)])]).await;
        let two = backend.items("/machines?q=two").await[0]["id"].clone();
        let rule = serde_json::json!({"scope": {"machine_id": two}, "metric": "container.memory.utilization", "direction": "above", "value": 0.5});
        backend.only_thresholds(&[rule]).await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let forget = async |before: i64| {
            let mut transaction = store.begin().await.unwrap();
            let with_gone = store::retention::hosts_with_gone_machines(&mut transaction, before).await.unwrap();
            let host_key = hosts::all(&mut transaction).await.unwrap()[0].host_key;
            let removed = store::retention::remove_gone_machines(&mut transaction, host_key, before).await.unwrap();
            transaction.commit().await.unwrap();
            (with_gone.len(), removed)
        };
        assert_eq!(forget(start + 2_000).await, (0, 0));
        assert_eq!(forget(start + 2_001).await, (1, 1));
        assert!(backend.items("/machines?q=one").await.is_empty());
        // both come back: one as a stranger, one as itself
        backend.ingest(&[report("a", start + 4_000, 0.1, &[("one", "running", 0.1), ("two", "running", 0.1), ("three", "running", 0.1)])]).await;
        assert_eq!(backend.items("/machines?q=two&status=up").await[0]["id"], two);
        assert_eq!(backend.items("/machines?kind=container&status=up").await.len(), 3);
        store.close().await;
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn containers_that_are_gone_for_long_are_listed_when_they_are_asked_for() {
    on_every_database(async |database| {
        let backend = Backend::start_with(&database, &["--raw-retention-days=1"]).await;
        let start = now_ms() - 2 * 86_400_000;
        backend.ingest(&[report("a", start, 0.1, &[("one", "running", 0.1), ("two", "running", 0.1)])]).await;
        backend.ingest(&[report("a", start + 2_000, 0.1, &[("two", "running", 0.1)])]).await;
        backend.ingest(&[report("a", now_ms() - 2_000, 0.1, &[])]).await;
        let names = async |query: &str| {
            let items = backend.items(&format!("/machines?kind=container{query}")).await;
            items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("").await, ["two"], "gone for seconds");
        assert_eq!(names("&status=gone").await, ["one", "two"]);
        let id = backend.items("/machines?status=gone").await[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(backend.get(&format!("/machines/{id}")).await.1["name"], "one");
        backend.stop().await;
    })
    .await;
}
