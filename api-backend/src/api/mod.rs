//! HTTP only: who may ask, what a request means, and how an answer looks. What it says is decided elsewhere.
//!
//! One file per resource. Every failure is problem+json; every list is `{"items":[…],"next_cursor":…}`.

mod access;
mod acknowledge;
mod backtest;
mod backtest_body;
mod catalog;
mod consumers;
mod cors;
mod cursor;
mod dead_letters;
mod etag;
mod events;
mod explain;
mod export;
mod extract;
mod fields;
mod fleet;
mod follower;
mod in_force;
mod ingest;
mod kept;
mod machine_names;
mod machines;
mod openapi;
mod operator;
mod page;
mod pipeline;
mod pipeline_body;
mod problem;
mod range;
mod series;
mod session;
mod silence_body;
mod silences;
mod stream;
mod threshold_body;
mod thresholds;
mod top;
mod violation_counts;
mod violation_export;
mod violation_query;
mod violations;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use serde::Serialize;
use service_runtime::Shutdown;
use service_runtime::server::{self, Limits};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use utoipa::ToSchema;

pub use cors::Origins;
pub use extract::BODY_TIMEOUT;
pub use openapi::document;
pub use page::IS_BUILT_IN;
pub use problem::Problem;

use crate::Config;
use crate::live::Live;
use crate::silence::Silences;
use crate::store::Store;
use crate::time::DAY_MS;
use access::Access;

/// How long a request may take, streams excepted.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams leave [`LIMITS`] room for everything else: half of the connections can never be taken by them.
pub const STREAMS: usize = 1_000;
/// What clients may take of connections and of waiting.
pub const LIMITS: Limits = Limits {
    connections: 2 * STREAMS,
    head_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    last_requests: Duration::from_secs(5),
};
/// Batches in work at once, each of up to 16 MiB when inflated; more wait for [`BATCH_WAIT`].
pub const BATCHES: usize = 16;
/// How long a batch waits for its turn before its consumer is asked to come back.
pub const BATCH_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a request's body, ingest excepted.
const BODY_BYTES: usize = 64 * 1024;

/// What handlers need. Cheap to clone.
#[derive(Clone)]
pub struct App {
    store: Store,
    ingest: crate::ingest::Ingest,
    silences: Silences,
    live: Live,
    access: Arc<Access>,
    origins: Option<Origins>,
    zone: TimeZone,
    /// How long every sample is kept, and machines that are gone are listed beside the others.
    raw_retention_ms: i64,
    /// Places for batches.
    batches: Arc<Semaphore>,
    /// Places for streams.
    streams: Arc<Semaphore>,
    /// Places for backtests.
    backtests: Arc<Semaphore>,
    /// What is wrong in the pipeline may be asked by many at once, when it is.
    pipeline: Arc<kept::KeptAnswers<pipeline::Pipeline>>,
    shutdown: Shutdown,
}

impl App {
    /// Puts the parts together.
    pub fn new(
        config: &Config,
        store: Store,
        ingest: crate::ingest::Ingest,
        live: Live,
        shutdown: Shutdown,
    ) -> anyhow::Result<App> {
        Ok(App {
            store,
            silences: ingest.silences(),
            ingest,
            live,
            access: Arc::new(Access::new(config.ingest_token.as_ref(), config.api_token.as_ref())),
            origins: config.cors_allowed_origins.clone(),
            zone: config.tz.clone().map_or_else(TimeZone::system, |zone| zone.0),
            raw_retention_ms: i64::from(config.raw_retention_days) * DAY_MS,
            batches: Arc::new(Semaphore::new(BATCHES)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            backtests: Arc::new(Semaphore::new(backtest::BACKTESTS)),
            pipeline: Arc::default(),
            shutdown,
        })
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let ingest = Router::new()
        .route("/ingest", post(ingest::ingest))
        .route("/pipeline/consumers", post(consumers::report_consumer).layer(DefaultBodyLimit::max(consumers::STATUS_BYTES)))
        .layer(middleware::from_fn(answer_in_any_case))
        .route_layer(middleware::from_fn_with_state(app.clone(), access::require_ingest_token));
    let open =
        Router::new().route("/session", get(session::show_session).post(session::create_session).delete(session::delete_session));
    let answers = Router::new()
        .route("/catalog", get(catalog::list_metrics))
        .route("/events", get(events::list_events))
        .route("/fleet", get(fleet::list_fleet))
        .route("/machines", get(machines::list_machines))
        .route("/machines/{id}", get(machines::show_machine))
        .route("/machines/{id}/pipeline", get(pipeline::show_host_pipeline))
        .route("/machines/{id}/series", get(series::list_series))
        .route("/machines/{id}/thresholds", get(in_force::list_in_force))
        .route("/pipeline", get(pipeline::show_pipeline))
        .route("/pipeline/dead_letters", get(dead_letters::list_dead_letters))
        .route("/series", get(series::list_series_of_several))
        .route("/top", get(top::list_top))
        .route("/thresholds", get(thresholds::list_thresholds).post(thresholds::create_threshold))
        .route("/thresholds/backtest", post(backtest::backtest))
        .route("/thresholds/suggest", post(backtest::suggest))
        .route("/thresholds/{id}", get(thresholds::show_threshold).put(thresholds::replace_threshold))
        .route("/thresholds/{id}", delete(thresholds::delete_threshold))
        .route("/thresholds/{id}/versions", get(thresholds::list_versions))
        .route("/silences", get(silences::list_silences).post(silences::create_silence))
        .route("/silences/{id}", get(silences::show_silence).put(silences::replace_silence).delete(silences::delete_silence))
        .route("/violations", get(violations::list_violations))
        .route("/violations/counts", get(violation_counts::count_violations))
        .route("/violations/{id}", get(violations::show_violation))
        .route("/violations/{id}/explain", get(explain::explain_violation))
        .route(
            "/violations/{id}/acknowledge",
            post(acknowledge::acknowledge_violation).delete(acknowledge::take_acknowledgement_back),
        )
        .layer(middleware::from_fn(answer_in_any_case));
    let stream = Router::new().route("/stream", get(stream::follow));
    let guarded = answers.merge(stream).route_layer(middleware::from_fn_with_state(app.clone(), access::require_api_token));
    let api = ingest.merge(guarded).merge(open).fallback(problem::not_found);
    Router::new()
        .nest("/api/v1", api)
        .route("/api/openapi.json", get(openapi::show_document))
        .merge(page::routes())
        .fallback(page::nowhere)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(CompressionLayer::new())
        .layer(cors::layer(app.origins.as_ref()))
        .layer(middleware::from_fn_with_state(app.clone(), access::refuse_foreign_names))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(SetResponseHeaderLayer::overriding(
            HeaderName::from_static("referrer-policy"),
            HeaderValue::from_static("no-referrer"),
        ))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

/// Answers in time, and also when a handler panics: a consumer that gets an answer finds out which report was the reason.
async fn answer_in_any_case(request: Request, next: Next) -> Result<Response, Problem> {
    let seconds = REQUEST_TIMEOUT.as_secs();
    // nothing that was half done is seen again: a transaction is rolled back, and what is cached is replaced whole
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of the backend, see its log")),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the request took longer than {seconds} s"))),
    }
}

/// A list, or as much of it as one answer holds.
#[derive(Serialize, ToSchema)]
struct Page<T> {
    items: Vec<T>,
    /// Asks for what follows; absent at the end.
    next_cursor: Option<String>,
}

/// Serves until shutdown.
pub async fn serve(app: App, listener: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    server::serve(router(app), listener, LIMITS, shutdown).await;
    Ok(())
}

/// Says until shutdown that there is no database yet: who is left waiting for an answer would not try elsewhere.
pub async fn serve_nothing(listener: TcpListener, shutdown: Shutdown) {
    let refuse = async || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not connected to the database yet");
    server::serve(Router::new().fallback(refuse), listener, LIMITS, shutdown).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        async fn broken() -> StatusCode {
            panic!("a fault")
        }
        let router = Router::new().route("/", get(broken)).layer(middleware::from_fn(answer_in_any_case));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async { axum::serve(listener, router).await });
        let response = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.text().await.unwrap().contains("see its log"));
        server.abort();
    }
}
