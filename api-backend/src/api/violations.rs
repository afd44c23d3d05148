//! `GET /violations`: by date range, newest first, as JSON pages or as one CSV.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::json;

use super::export::{self, harmless};
use super::extract::{Params, Part, id, limit, word};
use super::{App, Problem};
use crate::store::StoreError;
use crate::store::violations::{ViolationFilter, get, list};
use crate::time::{parse_instant, rfc3339};
use crate::violation::Violation;

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;
/// Rows of the CSV that are in memory at once.
const CSV_PAGE: i64 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViolationParams {
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    machine_id: Option<String>,
    host_id: Option<String>,
    metric: Option<String>,
    kind: Option<String>,
    severity: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// A half-open stretch of time; either end may be missing.
pub(super) struct Range {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

impl Range {
    /// Reads `from`, `to` and `tz`; dates are read in `tz`, else in the server's zone.
    pub(super) fn parse(app: &App, from: Option<&str>, to: Option<&str>, tz: Option<&str>) -> Result<Range, Problem> {
        let zone = match tz {
            Some(name) => {
                TimeZone::get(name).map_err(|_| Problem::bad_request(format!("tz: there is no time zone \"{name}\"")))?
            }
            None => app.zone.clone(),
        };
        let instant = |name: &str, text: Option<&str>| {
            text.map(|text| parse_instant(text, &zone).map_err(|problem| Problem::bad_request(format!("{name}: {problem}"))))
                .transpose()
        };
        let range = Range { from: instant("from", from)?, to: instant("to", to)? };
        if let (Some(from), Some(to)) = (range.from, range.to) {
            in_order(from, to)?;
        }
        Ok(range)
    }

    /// Both ends: now, and `default_ms` before the end, where they are missing.
    pub(super) fn ends(&self, now: i64, default_ms: i64) -> Result<(i64, i64), Problem> {
        let to = self.to.unwrap_or(now + 1);
        let from = self.from.unwrap_or(to.saturating_sub(default_ms));
        in_order(from, to)?;
        Ok((from, to))
    }
}

fn in_order(from: i64, to: i64) -> Result<(), Problem> {
    if from >= to {
        return Err(Problem::bad_request(format!("from {} is not before to {}", rfc3339(from), rfc3339(to))));
    }
    Ok(())
}

/// Violations that were open at some time in the range.
pub(super) async fn list_violations(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<ViolationParams>,
) -> Result<Response, Problem> {
    let range = Range::parse(&app, params.from.as_deref(), params.to.as_deref(), params.tz.as_deref())?;
    let is_open = match params.state.as_deref() {
        None => None,
        Some("open") => Some(true),
        Some("closed") => Some(false),
        Some(other) => return Err(Problem::bad_request(format!("state: \"{other}\" is neither open nor closed"))),
    };
    let filter = ViolationFilter {
        from: range.from,
        to: range.to,
        machine_id: params.machine_id.as_deref().map(|text| id("machine", text)).transpose()?,
        host_id: params.host_id,
        metric: params.metric,
        severity: word("severity", params.severity.as_deref())?,
        kind: word("kind", params.kind.as_deref())?,
        is_open,
        after: params.cursor.as_deref().map(parse_cursor).transpose()?,
    };
    if export::wants_csv(&headers) {
        return Ok(csv(app, filter));
    }
    let limit = limit(params.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let mut items = list(&mut *app.store.read().await?, &filter, limit + 1).await?;
    let has_more = items.len() as i64 > limit;
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = items.last().filter(|_| has_more).map(cursor);
    Ok(Json(json!({"items": items, "next_cursor": next_cursor})).into_response())
}

pub(super) async fn show_violation(State(app): State<App>, Part(text): Part) -> Result<Json<Violation>, Problem> {
    let violation = get(&mut *app.store.read().await?, id("violation", &text)?).await?;
    violation.map(Json).ok_or_else(|| Problem::no_such("violation", &text))
}

fn cursor(violation: &Violation) -> String {
    format!("{}.{}", violation.opened_at, violation.id)
}

fn parse_cursor(text: &str) -> Result<(i64, i64), Problem> {
    let parts = text.split_once('.').and_then(|(opened_at, id)| Some((opened_at.parse().ok()?, id.parse().ok()?)));
    parts.ok_or_else(|| Problem::bad_request(format!("cursor: \"{text}\" is not one of ours")))
}

fn csv(app: App, filter: ViolationFilter) -> Response {
    export::csv("violations.csv", CSV_HEADER, (app, filter), |state| Box::pin(next_page(state)))
}

async fn next_page((app, mut filter): (App, ViolationFilter)) -> Result<export::Page<(App, ViolationFilter)>, StoreError> {
    let page = list(&mut *app.store.read().await?, &filter, CSV_PAGE).await?;
    let rows = export::rows(page.iter().map(csv_row));
    filter.after = page.last().map(|last| (last.opened_at, last.id));
    Ok((rows, (page.len() as i64 == CSV_PAGE).then_some((app, filter))))
}

const CSV_HEADER: &[&str] = &[
    "id",
    "machine_id",
    "machine_name",
    "host_id",
    "host_name",
    "kind",
    "metric",
    "device",
    "condition",
    "direction",
    "severity",
    "threshold_id",
    "threshold_version",
    "threshold_value",
    "opened_at",
    "opened_value",
    "peak_value",
    "closed_at",
    "closed_value",
    "close_reason",
    "detected_at",
];

fn csv_row(violation: &Violation) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    vec![
        violation.id.to_string(),
        violation.machine_id.to_string(),
        harmless(&violation.machine_name),
        harmless(&violation.host_id),
        harmless(&violation.host_name),
        violation.kind.as_str().to_owned(),
        harmless(&violation.metric),
        harmless(violation.device.as_deref().unwrap_or_default()),
        violation.quantity.as_str().to_owned(),
        violation.direction.as_str().to_owned(),
        violation.severity.as_str().to_owned(),
        violation.threshold_id.to_string(),
        violation.threshold_version.to_string(),
        violation.threshold_value.to_string(),
        rfc3339(violation.opened_at),
        violation.opened_value.to_string(),
        violation.peak_value.to_string(),
        violation.closed_at.map(rfc3339).unwrap_or_default(),
        number(violation.closed_value),
        violation.close_reason.clone().unwrap_or_default(),
        rfc3339(violation.detected_at),
    ]
}
