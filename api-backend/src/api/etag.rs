//! Changes that are made only to the version that the client knows.

use axum::http::{HeaderMap, StatusCode, header};

use super::Problem;

/// The `ETag` of a version.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether `If-Match`, where it is there, names this version of `what`.
pub(super) fn require_match(headers: &HeaderMap, what: &str, version: i64) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    if wanted == "*" || wanted.split(',').any(|tag| tag.trim() == etag(version)) {
        return Ok(());
    }
    Err(changed_meanwhile(what, version))
}

/// 412.
pub(super) fn changed_meanwhile(what: &str, version: i64) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, format!("the {what} was changed: it is at version {}", etag(version)))
}
