//! One post to the api-backend, and what its answer means.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use wire_model::IngestReceipt;

use crate::config::IngestConfig;

const ROUTE: [&str; 3] = ["api", "v1", "ingest"];
/// A consumer's patience.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Of a failure's body, for the log.
const SHOWN_CHARS: usize = 200;

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    /// Marked as sensitive.
    token: Option<HeaderValue>,
    /// How bodies are encoded.
    pub(super) uncompressed: bool,
}

/// What became of a post.
#[derive(Debug)]
pub(super) enum Answer {
    /// After COMMIT.
    Receipt(IngestReceipt),
    /// 413: the batch has to be split.
    TooLarge,
    /// Everything else, which may be different next time; not sooner than that.
    Failed(String, Duration),
}

impl Client {
    pub(super) fn new(base: &Url, config: &IngestConfig) -> anyhow::Result<Client> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).redirect(redirect::Policy::none()).no_proxy().build()?;
        let mut url = base.clone();
        url.path_segments_mut().ok().context("the URL has no path")?.pop_if_empty().extend(ROUTE);
        let header = |token: &SecretString| -> anyhow::Result<HeaderValue> {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).context("put the token into a header")?;
            value.set_sensitive(true);
            Ok(value)
        };
        let token = config.ingest_token.as_ref().map(header).transpose()?;
        Ok(Client { http, url, token, uncompressed: config.uncompressed })
    }

    /// Posts an encoded batch once.
    pub(super) async fn post(&self, body: Bytes) -> Answer {
        let encoding = if self.uncompressed { "identity" } else { "zstd" };
        let mut request =
            self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, encoding);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let failed = |error: reqwest::Error| {
            let problem = format!("{:#}", anyhow::Error::new(error.without_url()));
            Answer::Failed(problem, Duration::ZERO)
        };
        let response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) => return failed(error),
        };
        let (status, wait) = (response.status(), retry_after(response.headers()));
        match (status, response.bytes().await) {
            (StatusCode::PAYLOAD_TOO_LARGE, _) => Answer::TooLarge,
            (_, Err(error)) => failed(error),
            (StatusCode::OK, Ok(body)) => match serde_json::from_slice(&body) {
                Ok(receipt) => Answer::Receipt(receipt),
                Err(error) => Answer::Failed(format!("the receipt cannot be read: {error}"), Duration::ZERO),
            },
            (_, Ok(body)) => {
                let shown: String = String::from_utf8_lossy(&body).chars().take(SHOWN_CHARS).collect();
                Answer::Failed(format!("{status}: {shown}"), wait)
            }
        }
    }
}

/// In seconds (RFC 9110, 10.2.3); our backend sends no dates.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_RETRY_AFTER)
}
