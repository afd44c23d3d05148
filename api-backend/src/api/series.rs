//! `GET /machines/{id}/series`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Params, Part, id};
use super::{App, Problem};
use crate::history::{POINTS_MAX, SeriesQuery, read_series};
use crate::store;
use crate::time::now_ms;

const DEFAULT_RANGE_MS: i64 = 15 * 60 * 1_000;
const DEFAULT_POINTS: i64 = 1_000;
/// Metrics of one query.
const METRICS_MAX: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesParams {
    /// One name, or several separated by commas.
    metric: String,
    device: Option<String>,
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    max_points: Option<i64>,
}

pub(super) async fn list_series(
    State(app): State<App>,
    Part(machine): Part,
    Params(params): Params<SeriesParams>,
) -> Result<Json<Value>, Problem> {
    let range = super::violations::Range::parse(&app, params.from.as_deref(), params.to.as_deref(), params.tz.as_deref())?;
    let (from, to) = range.ends(now_ms(), DEFAULT_RANGE_MS)?;
    let max_points = params.max_points.unwrap_or(DEFAULT_POINTS);
    if !(2..=POINTS_MAX).contains(&max_points) {
        return Err(Problem::bad_request(format!("max_points {max_points} is not within 2 and {POINTS_MAX}")));
    }
    let metrics: Vec<String> =
        params.metric.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    if metrics.is_empty() || metrics.len() > METRICS_MAX {
        return Err(Problem::bad_request(format!("metric names 1 to {METRICS_MAX} metrics, separated by commas")));
    }
    let mut connection = app.store.snapshot().await?;
    let machine_id = id("machine", &machine)?;
    let row = store::machines::get(&mut connection, machine_id).await?.ok_or_else(|| Problem::no_such("machine", &machine))?;
    let interval_ms = store::hosts::interval_ms(&mut connection, row.host_key).await?;
    let query = SeriesQuery { metrics, device: params.device, from, to, max_points };
    let series = read_series(&mut connection, &row, interval_ms, &query).await?;
    Ok(Json(json!({"series": series})))
}
