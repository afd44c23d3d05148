//! HTTP/1.1 on a listener, with a bound on everything that a client can make it wait for or hold. Knows no route.
//!
//! A head that does not come, an answer that is not read and one connection too many are ended here; how long a body may take is
//! for the route to say. Only HTTP/1.1: finding out whether a client begins with HTTP/2 would be a wait without a bound.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, error, warn};

use crate::Shutdown;

/// Bytes of a request's head.
pub const HEAD_BYTES: usize = 32 * 1024;
/// Bytes that are read or written ahead for one connection.
const BUFFER_BYTES: usize = 64 * 1024;
/// Header fields of a request.
pub const HEAD_FIELDS: usize = 100;
/// Answers that wait in the kernel for one client; without it the kernel would let them grow to megabytes.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Connections that are told at once that there are too many; those beyond are closed without a word.
const REFUSALS: usize = 64;
/// How long such a one has for its request and our answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after an accept that failed for want of files or memory: at once it would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. One more is answered with 503 and closed, rather than left to wait: who asks can go elsewhere or come
    /// back, and sees why.
    pub connections: usize,
    /// From a connection's begin, or the end of its last answer, to the end of the next request's head.
    pub head_timeout: Duration,
    /// How long an answer may wait for the client to take any of it.
    pub write_timeout: Duration,
    /// How long requests may go on after the shutdown began.
    pub last_requests: Duration,
}

/// Serves until shutdown, then lets requests end; a client that never ends its request or never reads its answer is cut off.
pub async fn serve(router: Router, listener: TcpListener, limits: Limits, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.requested() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    error!(%error, "a connection's task panicked");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                warn!(%error, "cannot accept connections, trying again");
                metrics::counter!("http_accept_errors_total").increment(1);
                tokio::select! {
                    () = shutdown.requested() => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
                }
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let service = TowerToHyperService::new(router.clone());
            let connection = http1_with(&limits).serve_connection(bounded(stream, &limits), service);
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                log_end(connection.await);
                drop(place);
            });
        } else {
            metrics::counter!("http_connections_refused_total").increment(1);
            let Ok(place) = Arc::clone(&refusals).try_acquire_owned() else { continue };
            let mut http = http1_with(&limits);
            let connection = http.keep_alive(false).serve_connection(bounded(stream, &limits), service_fn(refuse));
            connections.spawn(async move {
                // who does not read the answer in time misses nothing else
                drop(tokio::time::timeout(REFUSAL_TIMEOUT, connection).await);
                drop(place);
            });
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.last_requests, graceful.shutdown()).await.is_err() {
        warn!(connections = connections.len(), "requests did not end in time, cutting them off");
    }
}

fn http1_with(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    http.max_header_size(HEAD_BYTES).max_headers(HEAD_FIELDS).max_buf_size(BUFFER_BYTES);
    http
}

/// A connection on which no write waits for longer than it may, be it ours or the kernel's.
fn bounded(stream: TcpStream, limits: &Limits) -> TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>> {
    let timeout_ms = u32::try_from(limits.write_timeout.as_millis()).unwrap_or(u32::MAX);
    let options = stream
        .set_nodelay(true)
        .and_then(|()| Ok(sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?))
        // ends a connection whose other side is gone, or has not taken what the kernel holds for it
        .and_then(|()| Ok(sockopt::set_tcp_user_timeout(&stream, timeout_ms)?));
    if let Err(error) = options {
        // it is closed already, and reading will tell
        debug!(%error, "cannot set a connection's options");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    TokioIo::new(Box::pin(stream))
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        if error.is_timeout() || is_timed_out(&error) {
            metrics::counter!("http_connections_timed_out_total").increment(1);
        }
        debug!(error = format!("{:#}", anyhow::Error::new(error)), "a connection ended early");
    }
}

fn is_timed_out(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// Whether only the connection that was to be accepted is at fault.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn refuse<T>(_: T) -> Result<Response<Body>, Infallible> {
    const PROBLEM: &str =
        r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections, try again"}"#;
    let mut response = Response::new(Body::from(PROBLEM));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(response)
}
