//! A client that never reads: it is cut at a bound, and nobody else notices. A process of its own, whose memory and streams are counted.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::time::{Duration, Instant};

use api_backend::api::LIMITS;
use serde_json::json;
use sqlx::AssertSqlSafe;
use support::sse::Client;
use support::{Backend, Database, eventually, now_ms, report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const EVENTS: i64 = 100_000;
const READERS: usize = 4;
/// A hundred thousand events are 100 MB.
const BODY_BYTES: usize = 1_000;
const MEMORY_MIB: i64 = 64;

/// Resident memory of this process.
fn memory_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_is_cut_while_all_others_get_every_event() {
    let database = Database::sqlite();
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    backend.only_thresholds(&[]).await;
    backend.ingest(&[report("a", now_ms() - 600_000, 0.1, &[])]).await;
    let mut deaf = TcpStream::connect(backend.base.trim_start_matches("http://")).await.unwrap();
    deaf.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut client = Client::open(&backend, "", None).await;
        assert_eq!(client.next().await.unwrap().id.as_deref(), Some("1"));
        readers.push(tokio::spawn(async move {
            for id in 2..=1 + EVENTS {
                assert_eq!(client.next_event().await.id.unwrap(), id.to_string());
            }
            client
        }));
    }
    eventually("all streams are open", async || admin.metric("streams_open").await == (READERS + 1) as f64).await;

    let (begun, memory_before) = (Instant::now(), memory_kib());
    let mut connection = database.connect().await;
    let body = json!({"text": "x".repeat(BODY_BYTES - 11)}).to_string();
    const STEP: i64 = 500;
    for first in (2..2 + EVENTS).step_by(STEP as usize) {
        let rows: Vec<String> =
            (first..first + STEP).map(|id| format!("({id}, 0, 'machines', 'machine.up', 1, '{body}')")).collect();
        let last = first + STEP - 1;
        let sql = format!(
            "BEGIN IMMEDIATE; INSERT INTO events (event_id, created_at, topic, name, machine_id, body) VALUES {}; \
             UPDATE counters SET value = {last} WHERE name = 'last_event_id'; COMMIT",
            rows.join(", ")
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    let mut clients = Vec::new();
    for reader in readers {
        clients.push(reader.await.unwrap());
    }
    let all_read = begun.elapsed();
    let grown_mib = (memory_kib() - memory_before) / 1024;
    println!("{READERS} clients read {EVENTS} events each within {all_read:?}; {grown_mib} MiB more memory");
    assert!(grown_mib < MEMORY_MIB, "{grown_mib} MiB more");

    eventually("who never reads is cut", async || admin.metric("streams_open").await == READERS as f64).await;
    let cut = begun.elapsed();
    println!("cut after {cut:?}");
    assert!(cut < LIMITS.write_timeout + Duration::from_secs(15) + all_read, "cut after {cut:?}");
    let mut held = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), deaf.read_to_end(&mut held)).await.expect("the connection has ended");
    println!("{} bytes were held for it: {read:?}", held.len());
    assert!(held.len() < 16 * 1024 * 1024);
    drop(clients);
    backend.stop().await;
}
