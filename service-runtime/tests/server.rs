//! The server's limits, each at its edge, on real sockets.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream;
use service_runtime::Shutdown;
use service_runtime::server::{HEAD_BYTES, HEAD_FIELDS, Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMITS: Limits = Limits {
    connections: 4,
    head_timeout: Duration::from_millis(600),
    write_timeout: Duration::from_millis(600),
    last_requests: Duration::from_millis(600),
};
/// What a loaded machine may take longer.
const SLACK: Duration = Duration::from_secs(5);
const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    /// As many as there are bodies of `/endless` in work, and one.
    bodies: Arc<()>,
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::new(());
        let alive = Arc::clone(&bodies);
        let endless = async move || {
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let body = stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone()));
            let alive = Arc::clone(&alive);
            Body::from_stream(stream::unfold((body, alive), |(mut body, alive)| async move {
                let chunk = futures_util::StreamExt::next(&mut body).await?;
                Some((chunk, (body, alive)))
            }))
        };
        let slow = async || {
            tokio::time::sleep(LIMITS.last_requests / 2).await;
            "slow"
        };
        let router =
            Router::new().route("/hello", get(async || "hello")).route("/slow", get(slow)).route("/endless", get(endless));
        let shutdown = Shutdown::new();
        let task = tokio::spawn(serve(router, listener, LIMITS, shutdown.clone()));
        Server { address, shutdown, task, bodies }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> Duration {
        let begun = Instant::now();
        self.shutdown.begin();
        self.task.await.unwrap();
        begun.elapsed()
    }
}

/// One answer's status and body; the body is as long as its header says.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        let read = timeout(SLACK, stream.read(&mut byte)).await.expect("an answer comes").unwrap();
        assert_eq!(read, 1, "closed after {text:?}");
        text.push(char::from(byte[0]));
    }
    let status = text.split(' ').nth(1).unwrap().to_owned();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (status, String::from_utf8(body).unwrap())
}

async fn ask(stream: &mut TcpStream, request: &[u8]) -> (String, String) {
    stream.write_all(request).await.unwrap();
    answer(stream).await
}

/// Waits until the other side closes and says how long that took.
async fn closed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    // a reset is an end too
    drop(timeout(SLACK, stream.read_to_end(&mut rest)).await.expect("the server closes"));
    begun.elapsed()
}

async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SLACK;
    while !check().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_says_nothing_is_cut_after_the_time_for_a_head_and_not_before() {
    let server = Server::start().await;
    let mut silent = server.connect().await;
    let lasted = closed(&mut silent).await;
    assert!(lasted >= LIMITS.head_timeout - Duration::from_millis(100), "{lasted:?}");
    // between two requests the same
    let mut idle = server.connect().await;
    assert_eq!(ask(&mut idle, HELLO).await, ("200".into(), "hello".into()));
    tokio::time::sleep(LIMITS.head_timeout / 2).await;
    assert_eq!(ask(&mut idle, HELLO).await, ("200".into(), "hello".into()), "the time begins anew");
    let lasted = closed(&mut idle).await;
    assert!(lasted >= LIMITS.head_timeout - Duration::from_millis(100), "{lasted:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_trickles_is_cut() {
    let server = Server::start().await;
    let mut slow = server.connect().await;
    let begun = Instant::now();
    let mut head = HELLO[..HELLO.len() - 2].iter().cycle();
    while slow.write_all(&[*head.next().unwrap()]).await.is_ok() {
        assert!(begun.elapsed() < LIMITS.head_timeout + SLACK, "still open");
        tokio::time::sleep(LIMITS.head_timeout / 20).await;
    }
    assert!(begun.elapsed() >= LIMITS.head_timeout);
    server.stop().await;
}

#[tokio::test]
async fn a_head_is_bounded_in_bytes_and_fields() {
    let server = Server::start().await;
    let status = async |fields: String| {
        let request = format!("GET /hello HTTP/1.1\r\n{fields}\r\n");
        ask(&mut server.connect().await, request.as_bytes()).await.0
    };
    let fields = |n: usize| (0..n).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    assert_eq!(status(fields(HEAD_FIELDS)).await, "200");
    assert_eq!(status(fields(HEAD_FIELDS + 1)).await, "431");
    let long = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes - "GET /hello HTTP/1.1\r\nx: \r\n\r\n".len()));
    assert_eq!(status(long(HEAD_BYTES)).await, "200");
    assert_eq!(status(long(HEAD_BYTES + 1)).await, "431");
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_until_another_one_ends() {
    let server = Server::start().await;
    let mut held = Vec::new();
    for _ in 0..LIMITS.connections {
        let mut stream = server.connect().await;
        assert_eq!(ask(&mut stream, HELLO).await.0, "200");
        held.push(stream);
    }
    let mut refused = server.connect().await;
    let (status, body) = ask(&mut refused, HELLO).await;
    assert_eq!(status, "503");
    assert!(body.contains("too many connections"), "{body}");
    closed(&mut refused).await;
    assert_eq!(ask(&mut held[0], HELLO).await.0, "200", "those that are in stay in");
    held.pop();
    eventually("there is a place again", async || ask(&mut server.connect().await, HELLO).await.0 == "200").await;
    server.stop().await;
}

#[tokio::test]
async fn who_never_reads_an_answer_is_cut_and_harms_nobody() {
    let server = Server::start().await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("the answer begins", async || Arc::strong_count(&server.bodies) > 2).await;
    let mut other = server.connect().await;
    let begun = Instant::now();
    while Arc::strong_count(&server.bodies) > 2 {
        assert!(begun.elapsed() < LIMITS.write_timeout + SLACK, "the answer is still in work");
        assert_eq!(ask(&mut other, HELLO).await.0, "200");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= LIMITS.write_timeout / 2);
    let mut held = Vec::new();
    let held_bytes = timeout(SLACK, deaf.read_to_end(&mut held)).await.expect("closed").unwrap_or(held.len());
    assert!(held_bytes < 16 * 1024 * 1024, "{held_bytes} bytes waited for it");
    server.stop().await;
}

#[tokio::test]
async fn who_reads_slowly_is_served() {
    let server = Server::start().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = vec![0; 1024 * 1024];
    for _ in 0..10 {
        timeout(SLACK, slow.read_exact(&mut bytes)).await.unwrap().unwrap();
        tokio::time::sleep(LIMITS.write_timeout / 3).await;
    }
    drop(slow);
    server.stop().await;
}

#[tokio::test]
async fn at_the_end_requests_are_answered_idle_connections_closed_and_stuck_ones_cut() {
    let server = Server::start().await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut idle = server.connect().await;
    assert_eq!(ask(&mut idle, HELLO).await.0, "200");
    let (took, busy, idle) = tokio::join!(server.stop(), answer(&mut busy), closed(&mut idle));
    assert_eq!(busy, ("200".into(), "slow".into()));
    assert!(idle < LIMITS.last_requests / 2 + Duration::from_millis(200), "{idle:?}");
    assert!(took < LIMITS.last_requests + Duration::from_millis(200), "{took:?}");

    let server = Server::start().await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("the answer begins", async || Arc::strong_count(&server.bodies) > 2).await;
    let bodies = Arc::clone(&server.bodies);
    assert!(server.stop().await < LIMITS.last_requests + SLACK);
    eventually("the answer is dropped", async || Arc::strong_count(&bodies) == 1).await;
}
