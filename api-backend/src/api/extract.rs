//! Query and body, with what is wrong with them as problem+json. Names that nobody knows are refused: a typing error in a filter
//! must not answer with everything.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Json, RequestPartsExt};
use serde::de::DeserializeOwned;

use super::Problem;

/// How long the body of a request may take to come: 50 kB/s for the largest batch.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// The query, into a struct with `deny_unknown_fields`.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params<T>, Problem> {
        match parts.extract::<Query<T>>().await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text())),
        }
    }
}

/// The one part of a path that is not fixed.
pub(super) struct Part(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Part, Problem> {
        match parts.extract::<Path<String>>().await {
            Ok(Path(text)) => Ok(Part(text)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// The body, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        match in_time(Json::<T>::from_request(request, state)).await? {
            Ok(Json(body)) => Ok(Body(body)),
            // the shape is a matter of sense, not of syntax
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::unprocessable(error.body_text())),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// The body as bytes.
pub(super) async fn bytes(request: Request) -> Result<Bytes, Problem> {
    let body = in_time(Bytes::from_request(request, &())).await?;
    body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
}

/// What is read of a body, or 408: a client that sends it byte by byte does not keep its place.
async fn in_time<T>(read: impl Future<Output = T>) -> Result<T, Problem> {
    let late = format!("the body did not come within {} s", BODY_TIMEOUT.as_secs());
    tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, late))
}

/// `limit` of a list.
pub(super) fn limit(asked: Option<i64>, default: i64, max: i64) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(default);
    if !(1..=max).contains(&limit) {
        return Err(Problem::bad_request(format!("limit {limit} is not within 1 and {max}")));
    }
    Ok(limit)
}

/// A filter that is one of a few words.
pub(super) fn word<T: std::str::FromStr<Err = String>>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|problem| Problem::bad_request(format!("{name}: {problem}")))).transpose()
}

/// The words of a list that is separated by commas.
pub(super) fn words<'a>(what: &str, text: &'a str, limit: usize) -> Result<Vec<&'a str>, Problem> {
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.is_empty() || words.len() > limit {
        return Err(Problem::bad_request(format!("{what} names 1 to {limit}, separated by commas")));
    }
    Ok(words)
}

/// An id in a path or a query. Ids are opaque: one that cannot be ours is simply not there.
pub(super) fn id(what: &str, text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::no_such(what, text))
}
