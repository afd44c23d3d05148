//! What clients may take of the backend, with the limits as they are in operation.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::time::Instant;

use api_backend::api::{BATCH_WAIT, BATCHES, BODY_TIMEOUT, LIMITS, STREAMS};
use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Backend, Database, batch, eventually, now_ms, post, report};
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
async fn one_stream_too_many_is_refused_and_streams_leave_room_for_everything_else() {
    allow_open_files();
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let address = backend.base.trim_start_matches("http://").to_owned();
    let mut streams = Vec::new();
    while streams.len() < STREAMS {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        streams.push(stream);
    }
    for stream in &mut streams {
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    let follow = async || backend.client.get(format!("{}/api/v1/stream", backend.base)).send().await.unwrap();
    let refusal = follow().await;
    assert_eq!((refusal.status(), &refusal.headers()["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap()));
    assert!(refusal.text().await.unwrap().contains("1000 streams are open"));
    assert_eq!(backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await.stored, 1);
    streams.pop();
    eventually("there is a place again", async || follow().await.status() == StatusCode::OK).await;
    drop(streams);
    backend.stop().await;
}

#[tokio::test]
async fn one_batch_too_many_waits_for_its_turn_and_is_asked_to_come_back() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let body = batch(&[report("a", now_ms(), 0.1, &[])]).to_string();
    let mut slow = Vec::new();
    for _ in 0..BATCHES {
        let mut connection = TcpStream::connect(backend.base.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    let mut refused = None;
    eventually("all places are taken", async || {
        let (status, answered) = post(&backend, "b", now_ms()).await;
        refused = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(answered);
        refused.is_some()
    })
    .await;
    assert!(refused.unwrap() >= BATCH_WAIT);
    let mut last = slow.pop().unwrap();
    let (posted, _) = tokio::join!(post(&backend, "c", now_ms()), async {
        tokio::time::sleep(BATCH_WAIT / 5).await;
        last.write_all(body.as_bytes()).await.unwrap();
    });
    assert_eq!(posted.0, StatusCode::OK, "it had its turn");
    drop(slow);
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
