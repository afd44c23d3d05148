//! One post to the api-backend, and what its answer means.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use wire_model::limits::{BATCH_RECORDS, REASON_CHARS};
use wire_model::{IngestBatch, IngestReceipt};

use crate::BackendUrl;
use crate::token::Token;

const ROUTE: &str = "api/v1/ingest";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a batch may take, its transaction included.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A proxy's word is not taken for longer than this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The longest receipt: all records rejected, each with the longest reason and all its characters escaped. Our backend's JSON
/// escapes control characters only, in 6 bytes; other JSON may have every character as a pair of surrogates, `\ud83d\udd12`.
const ANSWER_BYTES: usize = BATCH_RECORDS * (12 * REASON_CHARS + REJECTION_FRAME_BYTES) + RECEIPT_FRAME_BYTES;
/// `{"offset":-9223372036854775808,"reason":""},`
const REJECTION_FRAME_BYTES: usize = 48;
/// `{"stored":…,"duplicate":…,"rejected":[]}`
const RECEIPT_FRAME_BYTES: usize = 128;
/// What our backend's failures are (RFC 9457), and a proxy's are not.
const PROBLEM_TYPE: &str = "application/problem+json";
/// Answers for which a report in the batch may be the reason.
const FAULTS: [StatusCode; 3] = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
/// Of a failure's body, for the log.
const SHOWN_CHARS: usize = 200;
/// Batches wait for this on the way of every sample: the fastest level already makes reports ten times smaller.
const ZSTD_LEVEL: i32 = 1;

pub(crate) struct Backend {
    client: Client,
    base: BackendUrl,
    token: Token,
}

/// What became of a post.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Committed, if the receipt is one for this batch.
    Receipt(IngestReceipt),
    /// 413: the batch has to be split, and a single record can never be stored.
    TooLarge,
    /// 413 of a proxy, set up for smaller bodies than the backend takes: a smaller batch may pass, but it is no verdict on a
    /// record.
    TooLargeForProxy { problem: String, retry_after: Duration },
    /// 400, 422 and 500 of our backend: something in the batch may be what it fails at.
    Fault { problem: String },
    /// Everything else: to be tried again, not sooner than `retry_after`.
    Failed { problem: String, retry_after: Duration },
}

/// A batch as it is posted: JSON with the reports as received, zstd.
pub(crate) fn encode(batch: &IngestBatch<'_>) -> io::Result<Bytes> {
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    serde_json::to_writer(&mut encoder, batch)?;
    Ok(encoder.finish()?.into())
}

impl Backend {
    pub(crate) fn new(base: &BackendUrl, token: Token, timeout: Duration) -> reqwest::Result<Backend> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            // neither may lead a token elsewhere
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Backend { client, base: base.clone(), token })
    }

    /// A post to a route of the backend, with the token.
    pub(crate) fn request(&self, route: &str) -> RequestBuilder {
        let request = self.client.post(self.base.route(route));
        match self.token.header() {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        }
    }

    /// Posts an encoded batch once. After a refusal the next post may have another token.
    pub(crate) async fn post(&self, body: Bytes) -> Answer {
        let shown = self.token.header();
        let began_at = Instant::now();
        let request = self.request(ROUTE).header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, "zstd");
        let (label, answer) = match request.body(body).send().await {
            Ok(response) => {
                let status = response.status();
                if status == StatusCode::UNAUTHORIZED {
                    self.token.read_again(shown.as_ref());
                }
                (status.as_str().to_owned(), read(response).await)
            }
            Err(error) => {
                let label = if error.is_timeout() { "timeout" } else { "unreachable" };
                (label.to_owned(), failed(describe(error)))
            }
        };
        metrics::histogram!("consumer_post_seconds").record(began_at.elapsed().as_secs_f64());
        metrics::counter!("consumer_posts_total", "status" => label).increment(1);
        answer
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status();
    let is_too_large = status == StatusCode::PAYLOAD_TOO_LARGE;
    let is_ours = is_problem(response.headers());
    if is_too_large && is_ours {
        return Answer::TooLarge;
    }
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return failed(format!("{status}: the answer is longer than {ANSWER_BYTES} bytes")),
            Ok(None) => break,
            Err(error) => return failed(format!("{status}: {}", describe(error))),
        }
    }
    if status != StatusCode::OK {
        let shown: String = String::from_utf8_lossy(&body).chars().take(SHOWN_CHARS).collect();
        if is_too_large {
            let problem = format!("{status}, and not from our backend: a proxy takes smaller bodies than it: {shown}");
            return Answer::TooLargeForProxy { problem, retry_after };
        }
        if is_ours && FAULTS.contains(&status) {
            return Answer::Fault { problem: format!("{status}: {shown}") };
        }
        return Answer::Failed { problem: format!("{status}: {shown}"), retry_after };
    }
    serde_json::from_slice(&body).map_or_else(|error| failed(format!("the receipt cannot be read: {error}")), Answer::Receipt)
}

fn failed(problem: String) -> Answer {
    Answer::Failed { problem, retry_after: Duration::ZERO }
}

fn is_problem(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(PROBLEM_TYPE)
}

/// In seconds (RFC 9110, 10.2.3). A date is taken as no wish: our backend sends none, and clocks differ.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_RETRY_AFTER)
}

/// With its causes: reqwest's own text is only "error sending request".
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = anyhow::Error::new(error.without_url());
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn backend(url: &BackendUrl, timeout: Duration) -> Backend {
        Backend::new(url, Token::new(None, None).unwrap(), timeout).unwrap()
    }

    #[tokio::test]
    async fn a_backend_that_never_answers_and_one_that_is_not_there_are_failures() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let backend = backend(&url, Duration::from_millis(50));
        let Answer::Failed { problem, .. } = backend.post(Bytes::new()).await else { panic!("an answer") };
        assert!(problem.contains("timed out"), "{problem}");
        drop(listener);
        let Answer::Failed { problem, .. } = backend.post(Bytes::new()).await else { panic!("an answer") };
        assert!(problem.contains("refused"), "{problem}");
    }

    /// What `read` makes of an answer with this body.
    async fn read_body(body: String) -> Answer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let routes = axum::Router::new().fallback(async move || body);
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let answer = backend(&url, REQUEST_TIMEOUT).post(Bytes::new()).await;
        server.abort();
        answer
    }

    #[tokio::test]
    async fn the_longest_receipt_is_read_and_nothing_longer() {
        let reason = r"\ud83d\udd12".repeat(REASON_CHARS);
        let rejection = format!(r#"{{"offset":{},"reason":"{reason}"}}"#, i64::MIN);
        let rejected = vec![rejection; BATCH_RECORDS].join(",");
        let receipt = format!(r#"{{"stored":{0},"duplicate":{0},"rejected":[{rejected}]}}"#, u64::MAX);
        let blanks = " ".repeat(ANSWER_BYTES - receipt.len());
        for (body, is_read) in [(format!("{receipt}{blanks}"), true), (format!("{receipt}{blanks} "), false)] {
            match read_body(body).await {
                Answer::Receipt(receipt) => {
                    assert!(is_read);
                    assert_eq!(receipt.rejected.len(), BATCH_RECORDS);
                    assert!(receipt.rejected.iter().all(|rejection| rejection.reason == "🔒".repeat(REASON_CHARS)));
                }
                Answer::Failed { problem, .. } => assert!(!is_read && problem.contains("longer than"), "{problem}"),
                answer => panic!("{answer:?}"),
            }
        }
    }

    #[test]
    fn a_problem_is_known_by_its_type() {
        for (value, expected) in [
            (PROBLEM_TYPE, true),
            ("Application/Problem+JSON; charset=utf-8", true),
            ("application/json", false),
            ("text/html", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_problem(&headers), expected, "{value}");
        }
        assert!(!is_problem(&HeaderMap::new()));
    }

    #[test]
    fn retry_after_is_seconds_within_reason() {
        for (value, expected) in
            [("7", 7), (" 7 ", 7), ("60", 60), ("61", 60), ("99999999999", 60), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("-1", 0)]
        {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers), Duration::from_secs(expected), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), Duration::ZERO);
    }
}
