//! What clients may take of the backend, with the limits as they are in operation.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::time::Instant;

use api_backend::api::{BODY_TIMEOUT, LIMITS};
use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Backend, Database, eventually, now_ms, report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Both ends of all connections are in this process.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[tokio::test]
async fn one_connection_too_many_is_refused_while_a_consumer_that_is_in_goes_on() {
    allow_open_files();
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let address = backend.base.trim_start_matches("http://").to_owned();
    // keeps its connection
    let now = now_ms() - 60_000;
    backend.ingest(&[report("a", now, 0.1, &[])]).await;
    let mut idle = Vec::new();
    while idle.len() < LIMITS.connections - 1 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    let other = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/api/v1/session", backend.base);
    let mut refusal = None;
    eventually("all are accepted", async || {
        let answer = other.get(&url).send().await.unwrap();
        let is_refused = answer.status() == StatusCode::SERVICE_UNAVAILABLE;
        refusal = is_refused.then_some(answer);
        is_refused
    })
    .await;
    let refusal = refusal.unwrap();
    assert_eq!(refusal.headers()["retry-after"], "1");
    assert_eq!(refusal.headers()["content-type"], "application/problem+json");
    assert_eq!(backend.ingest(&[report("a", now + 2_000, 0.1, &[])]).await.stored, 1);
    idle.pop();
    eventually("there is a place again", async || other.get(&url).send().await.unwrap().status() == StatusCode::OK).await;
    backend.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_with_408_and_closed() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let mut connections = Vec::new();
    for path in ["ingest", "thresholds"] {
        let mut connection = TcpStream::connect(backend.base.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    for connection in &mut connections {
        let begun = Instant::now();
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            tokio::select! {
                read = connection.read(&mut chunk) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(n) => answer.extend_from_slice(&chunk[..n]),
                },
                () = tokio::time::sleep(BODY_TIMEOUT / 40) => {
                    assert!(begun.elapsed() < BODY_TIMEOUT * 2, "still open");
                    // it may be closed already
                    drop(connection.write_all(b" ").await);
                }
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("the body did not come within 20 s"), "{answer}");
    }
    backend.stop().await;
}
