//! `POST` and `DELETE /violations/{id}/acknowledge`: somebody saw it, or takes that back.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, Part, id};
use super::operator::operator;
use super::{App, Problem};
use crate::store::{self, StoreError};
use crate::time::now_ms;
use crate::violation::{Acknowledgement, Violation, opening};

/// Characters of a comment.
pub(super) const COMMENT_CHARS: usize = 1_000;

/// What somebody has to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcknowledgeBody {
    #[serde(default)]
    comment: String,
}

/// Somebody saw it. Who comes later takes the place of who was there before.
#[utoipa::path(post, path = "/violations/{id}/acknowledge", tag = "violations", params(("id" = String, Path)), request_body = AcknowledgeBody,
    responses((status = 200, body = Violation)))]
pub(super) async fn acknowledge_violation(
    State(app): State<App>,
    Part(text): Part,
    headers: HeaderMap,
    Body(body): Body<AcknowledgeBody>,
) -> Result<Json<Violation>, Problem> {
    check_comment(&body.comment)?;
    let known = Acknowledgement { at: now_ms(), by: operator(&headers)?, comment: body.comment };
    set(&app, &text, Some(&known)).await
}

/// Takes that back.
#[utoipa::path(delete, path = "/violations/{id}/acknowledge", tag = "violations", params(("id" = String, Path)),
    responses((status = 200, body = Violation)))]
pub(super) async fn take_acknowledgement_back(State(app): State<App>, Part(text): Part) -> Result<Json<Violation>, Problem> {
    set(&app, &text, None).await
}

pub(super) fn check_comment(comment: &str) -> Result<(), Problem> {
    if comment.chars().count() > COMMENT_CHARS {
        return Err(Problem::unprocessable(format!("comment: has more than {COMMENT_CHARS} characters")));
    }
    if comment.chars().any(|char| char.is_control() && char != '\n') {
        return Err(Problem::unprocessable("comment: has control characters"));
    }
    Ok(())
}

async fn set(app: &App, text: &str, acknowledged: Option<&Acknowledgement>) -> Result<Json<Violation>, Problem> {
    let id = id("violation", text)?;
    let violation = app.store.with_patience(|| write(app, id, acknowledged)).await?;
    app.live.wake();
    violation.map(Json).ok_or_else(|| Problem::no_such("violation", text))
}

async fn write(app: &App, id: i64, acknowledged: Option<&Acknowledgement>) -> Result<Option<Violation>, StoreError> {
    let mut transaction = app.store.begin().await?;
    if !store::violations::acknowledge(&mut transaction, id, acknowledged).await? {
        return Ok(None);
    }
    let Some(mut violation) = store::violations::get(&mut transaction, id).await? else { return Ok(None) };
    app.silences.mark(&mut transaction, [&mut violation], now_ms()).await?;
    store::events::append(&mut transaction, &[opening::event("violation.acknowledged", &violation)], now_ms()).await?;
    transaction.commit().await?;
    Ok(Some(violation))
}
