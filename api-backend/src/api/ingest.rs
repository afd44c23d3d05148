//! `POST /ingest`.

use axum::Json;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use wire_model::{IngestReceipt, limits};

use super::{App, BATCH_WAIT, BATCHES, Problem, extract};
use crate::ingest::BatchError;

/// Answers after COMMIT: what the receipt counts as stored or duplicate need never be sent again.
pub(super) async fn ingest(State(app): State<App>, mut request: Request) -> Result<Json<IngestReceipt>, Problem> {
    let headers = request.headers();
    // a form of another site could send plain text to a backend that is open on loopback, but not this without asking first
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type is not application/json"));
    }
    let zstd = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => false,
        Some(b"zstd") => true,
        Some(_) => return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Encoding is neither zstd nor identity")),
    };
    let limit = if zstd { limits::BATCH_COMPRESSED_BYTES } else { limits::BATCH_INFLATED_BYTES };
    DefaultBodyLimit::max(limit).apply(&mut request);
    // before the body is read, so that what waits takes no memory
    let _place = tokio::time::timeout(BATCH_WAIT, app.batches.acquire())
        .await
        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{BATCHES} batches are in work, try again")))?;
    let body = extract::bytes(request).await?;
    let ingest = app.ingest.clone();
    let decoded = tokio::task::spawn_blocking(move || ingest.decode(&body, zstd));
    let batch = decoded
        .await
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the batch could not be decoded, see the log"))?;
    let batch = batch.map_err(|error| match error {
        BatchError::TooLarge(detail) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail),
        BatchError::Malformed(detail) => Problem::bad_request(detail),
        BatchError::Failed(detail) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail),
    })?;
    Ok(Json(app.ingest.accept(batch).await?))
}
