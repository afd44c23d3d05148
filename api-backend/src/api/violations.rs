//! `GET /violations`: by date range and much else, as JSON pages or as a file.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::export;
use super::extract::{Part, id};
use super::fields::Fields;
use super::violation_query::{Asked, cursor, take_page};
use super::{App, Problem, violation_export};
use crate::store::violation_pages::{Page, list};
use crate::store::violations::get;
use crate::violation::Violation;

pub(super) async fn list_violations(State(app): State<App>, headers: HeaderMap, mut fields: Fields) -> Result<Response, Problem> {
    let page = take_page(&app, &mut fields)?;
    let asked = Asked::take(&mut fields)?;
    fields.end()?;
    let mut connection = app.store.read().await?;
    let filter = asked.filter(&mut connection).await?;
    if let Some(format) = export::wanted(&headers) {
        drop(connection);
        return Ok(violation_export::stream(app, format, filter, page));
    }
    let mut items = list(&mut connection, app.store.dialect(), &filter, Page { limit: page.limit + 1, ..page }).await?;
    let has_more = items.len() as i64 > page.limit;
    items.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
    let next_cursor = items.last().filter(|_| has_more).map(cursor);
    Ok(Json(json!({"items": items, "next_cursor": next_cursor})).into_response())
}

pub(super) async fn show_violation(State(app): State<App>, Part(text): Part) -> Result<Json<Violation>, Problem> {
    let violation = get(&mut *app.store.read().await?, id("violation", &text)?).await?;
    violation.map(Json).ok_or_else(|| Problem::no_such("violation", &text))
}
