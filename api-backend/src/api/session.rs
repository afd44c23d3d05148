//! The page's session: it shows the API token once and keeps a cookie, because an `EventSource` sends no header.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::COOKIE;
use super::extract::Body;
use super::problem::ProblemBody;
use super::{App, Problem};

/// A year: the page asks for the token once.
const MAX_AGE_SECONDS: u32 = 31_536_000;

/// Body of `POST /session`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSession {
    token: String,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// Whether a token is needed.
    required: bool,
    /// Whether this browser has shown it, or none is needed.
    signed_in: bool,
}

/// Whether a token is needed, and whether this browser has shown it.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Session)))]
pub(super) async fn show_session(State(app): State<App>, headers: HeaderMap) -> Json<Session> {
    Json(Session { required: app.access.is_required(), signed_in: app.access.allows_user(&headers) })
}

/// Shows the API token and gets the cookie that stands for it.
#[utoipa::path(post, path = "/session", tag = "session", request_body = NewSession,
    responses((status = 204, description = "The cookie is set"), (status = 401, body = ProblemBody, content_type = "application/problem+json")))]
pub(super) async fn create_session(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body<NewSession>,
) -> Result<Response, Problem> {
    if !app.access.is_api_token(&body.token) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this is not the API token"));
    }
    let Some(session) = app.access.session() else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(&session, MAX_AGE_SECONDS, &headers))]).into_response())
}

/// Ends the session of this browser.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
pub(super) async fn delete_session(headers: HeaderMap) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie("", 0, &headers))]).into_response()
}

/// `Secure` only where the browser came by TLS, which ends at a proxy in front of us.
fn set_cookie(value: &str, max_age: u32, headers: &HeaderMap) -> String {
    let by_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if by_tls { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}
