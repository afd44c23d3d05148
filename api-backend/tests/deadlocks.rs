//! Real deadlocks and lock waits on MariaDB: whoever loses begins anew as a whole, and nobody outside sees it.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::AnyConnection;
use support::{Backend, Database, cpu_rule, eventually, execute, now_ms, report};

/// Longer than a statement waits for a lock.
const LONGER_THAN_A_LOCK_WAIT: Duration = Duration::from_secs(6);

/// Another program's transaction that has written so much that it wins every deadlock.
async fn heavy_transaction(database: &Database) -> AnyConnection {
    let mut connection = database.connect().await;
    execute(&mut connection, "CREATE TABLE IF NOT EXISTS ballast (n INT PRIMARY KEY, text VARCHAR(100))").await;
    execute(&mut connection, "BEGIN").await;
    let rows: Vec<String> = (0..2_000).map(|n| format!("({n}, REPEAT('x', 100))")).collect();
    execute(&mut connection, &format!("INSERT INTO ballast VALUES {}", rows.join(", "))).await;
    connection
}

/// Whether a statement is at it for so long that it must be waiting; what InnoDB tells of locks is too old when it is asked often.
async fn waits_for_a_lock(database: &Database) -> bool {
    let sql = "SELECT COUNT(*) FROM information_schema.processlist \
               WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info IS NOT NULL AND time_ms > 300";
    sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut database.connect().await).await.unwrap() > 0
}

#[tokio::test]
async fn ingest_that_loses_a_deadlock_is_done_again() {
    let database = Database::mariadb().await;
    let backend = Backend::start(&database).await;
    let start = now_ms() - 600_000;
    backend.ingest(&[report("a", start, 0.1, &[]), report("b", start, 0.1, &[])]).await;
    let mut other = heavy_transaction(&database).await;
    execute(&mut other, "SELECT * FROM hosts WHERE host_id = 'b' FOR UPDATE").await;
    let reports = [report("a", start + 2_000, 0.1, &[]), report("b", start + 2_000, 0.1, &[])];
    let (receipt, ()) = tokio::join!(backend.ingest(&reports), async {
        // it has a and waits for b; this one has b and now asks for a
        eventually("ingest waits", async || waits_for_a_lock(&database).await).await;
        execute(&mut other, "SELECT * FROM hosts WHERE host_id = 'a' FOR UPDATE").await;
        execute(&mut other, "COMMIT").await;
    });
    assert_eq!((receipt.stored, receipt.duplicate), (2, 0));
    assert_eq!(database.dump().await["reports"].len(), 4);
    backend.stop().await;
}

#[tokio::test]
async fn ingest_that_waits_too_long_for_a_lock_is_done_again() {
    let database = Database::mariadb().await;
    let backend = Backend::start(&database).await;
    let start = now_ms() - 600_000;
    backend.ingest(&[report("a", start, 0.1, &[])]).await;
    let mut other = heavy_transaction(&database).await;
    execute(&mut other, "SELECT * FROM hosts WHERE host_id = 'a' FOR UPDATE").await;
    let begun = Instant::now();
    let reports = [report("a", start + 2_000, 0.1, &[])];
    let (receipt, ()) = tokio::join!(backend.ingest(&reports), async {
        tokio::time::sleep(LONGER_THAN_A_LOCK_WAIT).await;
        execute(&mut other, "COMMIT").await;
    });
    assert_eq!(receipt.stored, 1);
    assert!(begun.elapsed() >= LONGER_THAN_A_LOCK_WAIT);
    backend.stop().await;
}

#[tokio::test]
async fn changes_of_thresholds_that_lose_a_deadlock_or_wait_too_long_are_done_again() {
    let database = Database::mariadb().await;
    let backend = Backend::start(&database).await;
    let id = backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await.remove(0);
    let path = format!("/thresholds/{id}");
    let version = "SELECT * FROM counters WHERE name = 'thresholds_version' FOR UPDATE";

    let mut other = heavy_transaction(&database).await;
    execute(&mut other, &format!("SELECT * FROM thresholds WHERE threshold_id = {id} FOR UPDATE")).await;
    let changed = cpu_rule(0.6, 0.6, 0);
    let ((status, body), ()) = tokio::join!(backend.call(Method::PUT, &path, Some(&changed)), async {
        eventually("the change waits", async || waits_for_a_lock(&database).await).await;
        execute(&mut other, version).await;
        execute(&mut other, "ROLLBACK").await;
    });
    assert_eq!((status, &body["value"]), (StatusCode::OK, &Value::from(0.6)), "{body}");

    let mut other = heavy_transaction(&database).await;
    execute(&mut other, version).await;
    let changed = cpu_rule(0.7, 0.7, 0);
    let ((status, body), ()) = tokio::join!(backend.call(Method::PUT, &path, Some(&changed)), async {
        tokio::time::sleep(LONGER_THAN_A_LOCK_WAIT).await;
        execute(&mut other, "ROLLBACK").await;
    });
    assert_eq!((status, &body["value"]), (StatusCode::OK, &Value::from(0.7)), "{body}");
    backend.stop().await;
}

#[tokio::test]
async fn removal_that_waits_too_long_for_a_lock_is_done_again() {
    let database = Database::mariadb().await;
    let backend = Backend::start(&database).await;
    let old = now_ms() - 30 * 86_400_000;
    backend.ingest(&[report("a", old, 0.1, &[]), report("a", old + 2_000, 0.1, &[]), report("a", now_ms(), 0.1, &[])]).await;
    backend.stop().await;
    let mut other = heavy_transaction(&database).await;
    execute(&mut other, "SELECT * FROM reports FOR UPDATE").await;
    // it begins with a removal, and the next one comes a minute later
    let backend = Backend::start(&database).await;
    let begun = Instant::now();
    tokio::time::sleep(LONGER_THAN_A_LOCK_WAIT).await;
    assert_eq!(database.dump().await["reports"].len(), 3);
    execute(&mut other, "ROLLBACK").await;
    eventually("what is old is gone", async || database.dump().await["reports"].len() == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(30));
    backend.stop().await;
}
