//! Failures as `application/problem+json` (RFC 9457). What it was inside stays in the log.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::history::HistoryError;
use crate::ingest::IngestError;
use crate::store::{StoreError, TransactionError};

/// Seconds after which a client may try again when the database is away.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What went wrong, for people and programs.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// A problem of a status; `detail` says what was wrong.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into() }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 422: it can be read and makes no sense.
    pub fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 404.
    pub fn no_such(what: &str, id: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no {what} \"{id}\""))
    }
}

/// How it looks.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// What was wrong, for people.
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        error!(%error, "a request failed in the database");
        match error {
            StoreError::TryAgain(_) | StoreError::Unavailable(_) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database is not available, try again")
            }
            StoreError::Refused(_) => Problem::unprocessable("the database does not take these values"),
            StoreError::Corrupt(_) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the database holds something unexpected, see the log")
            }
        }
    }
}

/// Why a transaction that changes something was not committed: the database may be asked again, a problem stays one.
#[derive(Debug)]
pub(super) enum ChangeError {
    Problem(Problem),
    Store(StoreError),
}

impl From<Problem> for ChangeError {
    fn from(problem: Problem) -> ChangeError {
        ChangeError::Problem(problem)
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> ChangeError {
        ChangeError::Store(error)
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        match error {
            ChangeError::Problem(problem) => problem,
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl TransactionError for ChangeError {
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            ChangeError::Problem(_) => None,
            ChangeError::Store(error) => Some(error),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Problem {
        match error {
            IngestError::Store(error) => error.into(),
            IngestError::ClockBehind(detail) => {
                error!(detail, "a batch is refused");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Problem {
        match error {
            HistoryError::TooMany | HistoryError::TooLarge | HistoryError::TooLong => Problem::unprocessable(error.to_string()),
            HistoryError::Store(error) => error.into(),
        }
    }
}

pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
