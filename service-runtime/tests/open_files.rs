//! A server without a file to spare; a process of its own, because the limit is the process's.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::net::TcpStream;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use service_runtime::Shutdown;
use service_runtime::server::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMITS: Limits = Limits {
    connections: 1_000,
    head_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    last_requests: Duration::from_secs(1),
};

/// Processor time that this process has used; asking needs no file.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

#[tokio::test]
async fn without_files_it_waits_quietly_and_goes_on_when_there_are_some() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let router = Router::new().route("/", get(async || "hello"));
    let server = tokio::spawn(serve(router, listener, LIMITS, shutdown.clone()));
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: hard }).unwrap();
    // each takes one here and one in the server, until there is none left
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(address) {
        clients.push(client);
        assert!(clients.len() < 64);
    }
    let used = processor_time();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!server.is_finished());
    let used = processor_time() - used;
    assert!(used < Duration::from_millis(250), "{used:?} of processor time while waiting for a second");
    clients.clear();
    let answer = async {
        loop {
            let mut text = String::new();
            // what waited in the queue must be taken first
            if let Ok(mut stream) = tokio::net::TcpStream::connect(address).await {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
                if stream.read_to_string(&mut text).await.is_ok() && text.starts_with("HTTP/1.1 200") {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("it answers again");
    shutdown.begin();
    server.await.unwrap();
}
