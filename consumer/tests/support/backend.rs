//! A stand-in for the api-backend: keeps what it took, and answers as the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use wire_model::limits::{BATCH_COMPRESSED_BYTES, BATCH_INFLATED_BYTES, BATCH_RECORDS};
use wire_model::{ConsumerStatus, IngestBatch, IngestReceipt, Rejection};

use super::TOKEN;

/// One post, decoded.
#[derive(Clone, Debug)]
pub struct Post {
    pub topic: String,
    pub partition: i32,
    pub offsets: Vec<i64>,
    pub reports: Vec<String>,
}

/// What the backend does with a post.
pub enum Reply {
    Accept,
    /// Accepts all but these offsets.
    Reject(Vec<i64>),
    /// Has all of them already.
    Duplicate,
    /// 413 as our backend says it.
    TooLarge,
    /// As our backend says it, with a problem.
    Problem(u16),
    /// As any proxy says it.
    Status(u16),
    /// A receipt as it stands; nothing is kept.
    Receipt(IngestReceipt),
}

type Script = Box<dyn Fn(&Post) -> Reply + Send>;

pub struct Backend {
    pub url: String,
    pub address: SocketAddr,
    state: Arc<Shared>,
}

struct Shared {
    script: Mutex<Script>,
    /// Posts that got a 200 with a right receipt.
    accepted: Mutex<Vec<Post>>,
    /// All posts, by what was answered.
    answered: Mutex<BTreeMap<u16, usize>>,
    /// What consumers said of themselves, and what they are answered.
    statuses: Mutex<Vec<ConsumerStatus>>,
    status_answer: AtomicU16,
}

impl Backend {
    pub async fn start(script: impl Fn(&Post) -> Reply + Send + 'static) -> Backend {
        Backend::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub fn start_on(listener: TcpListener, script: impl Fn(&Post) -> Reply + Send + 'static) -> Backend {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            accepted: Mutex::default(),
            answered: Mutex::default(),
            statuses: Mutex::default(),
            status_answer: AtomicU16::new(204),
        });
        let routes = Router::new()
            .route("/api/v1/ingest", post(ingest))
            .route("/api/v1/pipeline/consumers", post(hear))
            .layer(DefaultBodyLimit::max(BATCH_COMPRESSED_BYTES))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Backend { url: format!("http://{address}"), address, state }
    }

    /// From now on answers like this.
    pub fn now(&self, script: impl Fn(&Post) -> Reply + Send + 'static) {
        *self.state.script.lock().unwrap() = Box::new(script);
    }

    /// From now on statuses are answered like this; 204 is the beginning.
    pub fn answer_statuses(&self, status: u16) {
        self.state.status_answer.store(status, Ordering::Relaxed);
    }

    /// All statuses that came, whatever they were answered.
    pub fn statuses(&self) -> Vec<ConsumerStatus> {
        self.state.statuses.lock().unwrap().clone()
    }

    pub fn accepted(&self) -> Vec<Post> {
        self.state.accepted.lock().unwrap().clone()
    }

    /// Accepted offsets by partition, in the order of their posts.
    pub fn offsets(&self) -> BTreeMap<i32, Vec<i64>> {
        let mut offsets: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for post in self.state.accepted.lock().unwrap().iter() {
            offsets.entry(post.partition).or_default().extend(&post.offsets);
        }
        offsets
    }

    /// How many records were accepted, repetitions included.
    pub fn count(&self) -> usize {
        self.state.accepted.lock().unwrap().iter().map(|post| post.offsets.len()).sum()
    }

    /// How often this status was answered.
    pub fn answered(&self, status: u16) -> usize {
        self.state.answered.lock().unwrap().get(&status).copied().unwrap_or_default()
    }
}

async fn ingest(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let response = answer(&state, &headers, &body);
    *state.answered.lock().unwrap().entry(response.status().as_u16()).or_default() += 1;
    response
}

async fn hear(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers.get("authorization").is_none_or(|value| *value != format!("Bearer {TOKEN}")) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(status) = serde_json::from_slice(&body) else { return StatusCode::IM_A_TEAPOT };
    state.statuses.lock().unwrap().push(status);
    StatusCode::from_u16(state.status_answer.load(Ordering::Relaxed)).unwrap()
}

/// Breaks of the contract are answered with 418, which no test expects.
fn answer(state: &Shared, headers: &HeaderMap, body: &Bytes) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    let contract = [("content-encoding", "zstd"), ("content-type", "application/json")];
    let inflated = zstd::decode_all(&body[..]).unwrap_or_default();
    if contract.iter().any(|(name, value)| header(name) != Some(value)) || inflated.len() > BATCH_INFLATED_BYTES {
        return StatusCode::IM_A_TEAPOT.into_response();
    }
    if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(batch) = serde_json::from_slice::<IngestBatch>(&inflated) else {
        return StatusCode::IM_A_TEAPOT.into_response();
    };
    let in_order = batch.records.is_sorted_by(|one, next| one.offset < next.offset);
    if batch.records.is_empty() || batch.records.len() > BATCH_RECORDS || !in_order {
        return StatusCode::IM_A_TEAPOT.into_response();
    }
    let mut post = Post {
        topic: batch.topic.into_owned(),
        partition: batch.partition,
        offsets: batch.records.iter().map(|record| record.offset).collect(),
        reports: batch.records.iter().map(|record| record.report.get().to_owned()).collect(),
    };
    let rejected = match state.script.lock().unwrap()(&post) {
        Reply::TooLarge => return problem(413),
        Reply::Problem(status) => return problem(status),
        Reply::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Reply::Duplicate => {
            return axum::Json(IngestReceipt { duplicate: post.offsets.len(), ..IngestReceipt::default() }).into_response();
        }
        Reply::Receipt(receipt) => return axum::Json(receipt).into_response(),
        Reply::Accept => Vec::new(),
        Reply::Reject(offsets) => offsets,
    };
    let rejected: Vec<_> = post.offsets.iter().filter(|offset| rejected.contains(offset)).copied().collect();
    (post.offsets, post.reports) =
        post.offsets.into_iter().zip(post.reports).filter(|(offset, _)| !rejected.contains(offset)).unzip();
    let rejection = |offset| Rejection { offset, reason: format!("offset {offset} is no report") };
    let stored = post.offsets.len();
    state.accepted.lock().unwrap().push(post);
    axum::Json(IngestReceipt { stored, duplicate: 0, rejected: rejected.into_iter().map(rejection).collect() }).into_response()
}

fn problem(status: u16) -> Response {
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/problem+json")], "{}").into_response()
}
