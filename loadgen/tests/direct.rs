//! What is posted to the api-backend, and what loadgen makes of its answers.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use loadgen::{Config, Summary};
use service_runtime::Shutdown;
use wire_model::limits::BATCH_RECORDS;
use wire_model::{HostReport, IngestBatch, IngestReceipt, Rejection};

/// What the server does with the `number`-th post (from 0) of reports.
type Behaviour = dyn Fn(usize, &IngestBatch<'_>) -> Response + Send + Sync;

/// Reports of accepted batches, in the order in which they came, and all posts.
#[derive(Default)]
struct Seen {
    accepted: Vec<HostReport>,
    posts: usize,
}

async fn play(flags: &[&str], behaviour: Arc<Behaviour>) -> (Summary, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let handler = {
        let seen = Arc::clone(&seen);
        move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["authorization"], "Bearer secret");
            assert_eq!(headers["content-encoding"], "zstd");
            let text = zstd::decode_all(&body[..]).unwrap();
            let batch: IngestBatch<'_> = serde_json::from_slice(&text).unwrap();
            assert!(!batch.records.is_empty() && batch.records.len() <= BATCH_RECORDS);
            let mut seen = seen.lock().unwrap();
            seen.posts += 1;
            let response = behaviour(seen.posts - 1, &batch);
            if response.status() == StatusCode::OK {
                let reports =
                    batch.records.iter().map(|record| HostReport::decode(record.report.get().as_bytes(), i64::MAX / 2).unwrap());
                seen.accepted.extend(reports);
            }
            response
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = [format!("--api-base-url=http://{}", listener.local_addr().unwrap()), "--ingest-token=secret".to_owned()];
    let routes = Router::new().route("/api/v1/ingest", post(handler));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let flags: Vec<String> = base.into_iter().chain(flags.iter().map(|&flag| flag.to_owned())).collect();
    let config: Config = service_runtime::config::read_with(&flags).unwrap();
    let summary = loadgen::play(config, Shutdown::new()).await.unwrap();
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (summary, seen)
}

fn receipt(batch: &IngestBatch<'_>, rejected: &[i64]) -> Response {
    let reject = |offset: &i64| Rejection { offset: *offset, reason: "not wanted".to_owned() };
    let rejected: Vec<Rejection> = rejected.iter().map(reject).collect();
    let duplicate = usize::from(batch.records.len() > rejected.len());
    let stored = batch.records.len() - rejected.len() - duplicate;
    axum::Json(IngestReceipt { stored, duplicate, rejected }).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_posts_every_hosts_past_in_order_until_it_is_taken() {
    let refusals = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::UNAUTHORIZED,
        StatusCode::INTERNAL_SERVER_ERROR,
    ];
    let behaviour = move |number: usize, batch: &IngestBatch<'_>| match number {
        0..4 => refusals[number].into_response(),
        _ => receipt(batch, &[]),
    };
    let flags = [
        "--hosts=5",
        "--containers=2",
        "--interval-ms=10000",
        "--backfill-hours=1",
        "--posts-in-flight=3",
        "--batch-bytes=100000",
    ];
    let (summary, seen) = play(&flags, Arc::new(behaviour)).await;
    let ingest = summary.ingest.unwrap();
    assert_eq!((summary.sent, summary.acknowledged, summary.failed, summary.late), (5 * 360, 5 * 360, 0, 0));
    assert_eq!((ingest.retries, ingest.rejected, ingest.stored + ingest.duplicate), (4, 0, 5 * 360));
    assert_eq!(ingest.duplicate, ingest.batches);
    assert!(ingest.batches > 3 * 5, "{} batches of 100 kB", ingest.batches);
    assert!(ingest.batch_ms_p50 <= ingest.batch_ms_p99 && ingest.batch_ms_p99 <= ingest.batch_ms_max);

    let mut hosts: BTreeMap<String, Vec<(u64, i64)>> = BTreeMap::new();
    seen.accepted.into_iter().for_each(|report| hosts.entry(report.host.id).or_default().push((report.seq, report.at)));
    assert_eq!(hosts.len(), 5);
    let begin = hosts["loadgen-0001"][0].1;
    for (index, reports) in (0_i64..).zip(hosts.values()) {
        let expected: Vec<(u64, i64)> =
            (0..360_i64).map(|number| (number as u64 + 1, begin + index * 2_000 + number * 10_000)).collect();
        assert!(*reports == expected, "host {index}: {reports:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_halved_and_a_single_report_that_is_has_failed() {
    let behaviour = |_: usize, batch: &IngestBatch<'_>| {
        let too_large = batch.records.len() > 2 || batch.records[0].report.get().contains("\"seq\":7,");
        if too_large { StatusCode::PAYLOAD_TOO_LARGE.into_response() } else { receipt(batch, &[]) }
    };
    let flags = ["--hosts=1", "--containers=0", "--duration-seconds=36", "--backfill-hours=1"];
    let (summary, seen) = play(&flags, Arc::new(behaviour)).await;
    assert_eq!((summary.sent, summary.acknowledged, summary.failed), (18, 17, 1));
    let ingest = summary.ingest.unwrap();
    assert_eq!((ingest.rejected, ingest.retries), (1, 0));
    let seqs: Vec<u64> = seen.accepted.iter().map(|report| report.seq).collect();
    assert_eq!(seqs, (1..=18).filter(|seq| *seq != 7).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_and_what_is_never_taken_is_counted() {
    let reject = |_: usize, batch: &IngestBatch<'_>| receipt(batch, &[batch.records[0].offset]);
    let flags = ["--hosts=1", "--containers=0", "--duration-seconds=36", "--backfill-hours=1", "--delivery-seconds=1"];
    let (summary, _) = play(&flags, Arc::new(reject)).await;
    let ingest = summary.ingest.unwrap();
    assert_eq!((summary.sent, summary.failed, ingest.rejected), (18, ingest.batches, ingest.batches));

    let refuse = |_: usize, _: &IngestBatch<'_>| StatusCode::SERVICE_UNAVAILABLE.into_response();
    let (summary, seen) = play(&flags, Arc::new(refuse)).await;
    assert_eq!((summary.sent, summary.acknowledged, summary.failed), (18, 0, 18));
    assert!(seen.posts > 1, "tried again");
    assert_eq!(summary.ingest, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_present_time_reports_come_when_they_are_due() {
    let flags = ["--hosts=4", "--containers=1", "--interval-ms=500", "--duration-seconds=1", "--jitter-ms=20", "--drift-ppm=100"];
    let (summary, seen) = play(&flags, Arc::new(|_: usize, batch: &IngestBatch<'_>| receipt(batch, &[]))).await;
    assert_eq!((summary.sent, summary.acknowledged), (8, 8));
    assert!(summary.seconds > 0.8 && Duration::from_secs_f64(summary.seconds) < Duration::from_secs(10), "{summary:?}");
    assert!(seen.posts > 1, "a batch does not wait for the end");
}
