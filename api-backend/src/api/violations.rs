//! `GET /violations`: by date range and much else, as JSON pages or as a file.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::cursor;
use super::extract::{Part, id};
use super::fields::Fields;
use super::violation_query::{Asked, Filters, PageParams, Question, take_page};
use super::{App, Problem, export, violation_export};
use crate::store::violation_pages::Page;
use crate::store::violations::get;
use crate::store::{self, Connection, StoreError};
use crate::time::now_ms;
use crate::violation::Violation;

/// Violations looked at for one answer when a filter lets few of them through; the rest are behind its cursor.
const SCAN_MAX: i64 = 20_000;
/// Of these, so many in one step.
const SCAN: i64 = 1_000;

/// Violations by date range and much else, newest first; as a file with `Accept: text/csv` or `application/x-ndjson`, or by `format`.
#[utoipa::path(get, path = "/violations", tag = "violations",
    params(PageParams, Filters),
    responses((status = 200, content((List = "application/json"), (String = "text/csv"), (String = "application/x-ndjson")))))]
pub(super) async fn list_violations(State(app): State<App>, headers: HeaderMap, mut fields: Fields) -> Result<Response, Problem> {
    let page = take_page(&app, &mut fields)?;
    let asked = Asked::take(&mut fields)?;
    let format = export::take(&mut fields, &headers)?;
    fields.end()?;
    let question = asked.question(&mut *app.store.read().await?).await?;
    match format {
        Some(format) => Ok(violation_export::stream(app, format, question, page)),
        None => Ok(json_page(&app, &question, page).await?.into_response()),
    }
}

/// Written as it is: a tree of values in between would be most of the work.
#[derive(Serialize, ToSchema)]
#[schema(as = Violations)]
struct List {
    items: Vec<Listed>,
    next_cursor: Option<String>,
}

async fn json_page(app: &App, question: &Question, page: Page) -> Result<Response, StoreError> {
    let mut items: Vec<Violation> = Vec::new();
    let at_once = if question.only_silenced { SCAN } else { page.limit + 1 };
    let (mut scanned, mut step) = (0, Page { limit: at_once, ..page });
    let mut next_cursor = loop {
        let (found, after) = question.page(app, step).await?;
        items.extend(found);
        scanned += step.limit;
        let is_enough = items.len() as i64 > page.limit || scanned >= SCAN_MAX;
        match after {
            Some(after) if !is_enough => step.after = Some(after),
            after => break after,
        }
    };
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    if items.len() > limit {
        items.truncate(limit);
        next_cursor = items.last().map(|last| (last.opened_at, last.id));
    }
    let items = with_hosts(&mut *app.store.read().await?, items).await?;
    Ok(Json(List { items, next_cursor: next_cursor.map(cursor) }).into_response())
}

/// A violation in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedViolation)]
struct Listed {
    #[serde(flatten)]
    violation: Violation,
    /// Present in those that are open although nothing is known of their host: it was called down. Whoever shows many may fold them.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_is_down: Option<bool>,
}

async fn with_hosts(connection: &mut Connection, violations: Vec<Violation>) -> Result<Vec<Listed>, StoreError> {
    let is_any_open = violations.iter().any(|violation| violation.closed_at.is_none());
    let down: HashSet<String> =
        if is_any_open { store::hosts::down(connection).await?.into_iter().collect() } else { HashSet::new() };
    let listed = |violation: Violation| {
        let is_down = violation.closed_at.is_none() && down.contains(&violation.host_id);
        Listed { host_is_down: is_down.then_some(true), violation }
    };
    Ok(violations.into_iter().map(listed).collect())
}

/// One violation.
#[utoipa::path(get, path = "/violations/{id}", tag = "violations", params(("id" = String, Path)), responses((status = 200, body = Violation)))]
pub(super) async fn show_violation(State(app): State<App>, Part(text): Part) -> Result<Json<Violation>, Problem> {
    let mut connection = app.store.read().await?;
    let found = get(&mut connection, id("violation", &text)?).await?;
    let mut violation = found.ok_or_else(|| Problem::no_such("violation", &text))?;
    app.silences.mark(&mut connection, [&mut violation], now_ms()).await?;
    Ok(Json(violation))
}
