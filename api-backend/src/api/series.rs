//! `GET /series` and `GET /machines/{id}/series`: as columns, or as CSV.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::export::{self, harmless};
use super::extract::{Params, Part, id, words};
use super::range::Range;
use super::{App, Problem};
use crate::history::{self, Detail, POINTS_MAX, Series, SeriesQuery};
use crate::ledger::{HOUR_MS, hour_of};
use crate::store::machines::MachineRow;
use crate::store::{self, Connection};
use crate::time::{now_ms, rfc3339};

const DEFAULT_RANGE_MS: i64 = 15 * 60 * 1_000;
const DEFAULT_POINTS: i64 = 1_000;
/// Metrics of one query.
const METRICS_MAX: usize = 32;
/// Machines of one query.
const MACHINES_MAX: usize = 100;
/// Of a range that ended so long ago hardly anything changes any more, so that it need not be asked for again within [`KEPT_SECONDS`].
const SETTLED_MS: i64 = HOUR_MS;
const KEPT_SECONDS: u32 = 300;
/// A range that ended no longer ago reaches into the present: every report changes the answer, so that a tag would never be met again.
const PRESENT_MS: i64 = 60_000;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SeriesParams {
    /// One id, or several separated by commas; not where the path names the machine.
    machine_id: Option<String>,
    /// One name, or several separated by commas.
    metric: String,
    device: Option<String>,
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    max_points: Option<i64>,
}

/// Series of one machine, as columns; as CSV with `Accept: text/csv`.
#[utoipa::path(get, path = "/machines/{id}/series", tag = "metrics", params(("id" = String, Path), SeriesParams),
    responses((status = 200, body = Answer)))]
pub(super) async fn list_series(
    State(app): State<App>,
    Part(machine): Part,
    headers: HeaderMap,
    Params(params): Params<SeriesParams>,
) -> Result<Response, Problem> {
    if params.machine_id.is_some() {
        return Err(Problem::bad_request("machine_id: the path names the machine already"));
    }
    answer(app, &[&machine], &headers, &params).await
}

/// Series of several machines, as columns; as CSV with `Accept: text/csv`.
#[utoipa::path(get, path = "/series", tag = "metrics", params(SeriesParams), responses((status = 200, body = Answer)))]
pub(super) async fn list_series_of_several(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<SeriesParams>,
) -> Result<Response, Problem> {
    let machines = words("machine_id", params.machine_id.as_deref().unwrap_or_default(), MACHINES_MAX)?;
    answer(app, &machines, &headers, &params).await
}

async fn answer(app: App, machines: &[&str], headers: &HeaderMap, params: &SeriesParams) -> Result<Response, Problem> {
    let now = now_ms();
    let range = Range::parse(&app, params.from.as_deref(), params.to.as_deref(), params.tz.as_deref())?;
    let (from, to) = range.ends(now, DEFAULT_RANGE_MS)?;
    let wants_csv = export::wants_csv(headers);
    let detail = match params.max_points {
        None if wants_csv => Detail::Every,
        max_points => Detail::Points(max_points.unwrap_or(DEFAULT_POINTS)),
    };
    if let Detail::Points(max_points) = detail
        && !(2..=POINTS_MAX).contains(&max_points)
    {
        return Err(Problem::bad_request(format!("max_points {max_points} is not within 2 and {POINTS_MAX}")));
    }
    let metrics = words("metric", &params.metric, METRICS_MAX)?.into_iter().map(str::to_owned).collect();
    let query = SeriesQuery { metrics, device: params.device.clone(), from, to, detail };
    let mut snapshot = app.store.snapshot().await?;
    let ids = machines.iter().map(|machine| id("machine", machine)).collect::<Result<Vec<i64>, Problem>>()?;
    let known = store::machines::with_intervals(&mut snapshot, &ids).await?;
    let find = |(id, text): (&i64, &&str)| {
        let found = known.iter().find(|(row, _)| row.machine_id == *id);
        found.cloned().ok_or_else(|| Problem::no_such("machine", text))
    };
    let rows = ids.iter().zip(machines).map(find).collect::<Result<Vec<_>, Problem>>()?;
    if wants_csv {
        drop(snapshot);
        return Ok(csv(app, rows, query));
    }
    let cached = if to < now - SETTLED_MS { format!("private, max-age={KEPT_SECONDS}") } else { "private, no-cache".to_owned() };
    let tag = if to <= now - PRESENT_MS { Some(tag(&mut snapshot, &rows, &query).await?) } else { None };
    let is_known = |known: &str| known.split(',').any(|known| Some(known.trim()) == tag.as_deref());
    let (cached, tagged) = ([(header::CACHE_CONTROL, cached)], tag.as_ref().map(|tag| AppendHeaders([(header::ETAG, tag)])));
    if headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).is_some_and(is_known) {
        return Ok((StatusCode::NOT_MODIFIED, cached, tagged, ()).into_response());
    }
    let mut series = Vec::new();
    let mut points = 0;
    for (row, interval_ms) in &rows {
        let found = history::read_series(&mut snapshot, row, *interval_ms, &query).await?;
        points += found.iter().map(|series| series.t.len()).sum::<usize>();
        if points > history::ALL_POINTS_MAX {
            return Err(history::HistoryError::TooLarge.into());
        }
        series.extend(found.into_iter().map(|series| OfMachine::new(row, series)));
    }
    Ok((cached, tagged, Json(Answer { series })).into_response())
}

#[derive(Serialize, ToSchema)]
#[schema(as = SeriesAnswer)]
pub(super) struct Answer {
    series: Vec<OfMachine>,
}

/// A series as it is sent. Numbers are most of the work of an answer, so columns that are the same are written once: they are where each
/// point is one sample.
#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
struct OfMachine {
    machine_id: String,
    metric: String,
    unit: Option<&'static str>,
    device: Option<String>,
    resolution_ms: i64,
    /// Unix ms, rising.
    t: Vec<i64>,
    #[schema(value_type = Vec<f64>)]
    min: Box<RawValue>,
    #[schema(value_type = Vec<f64>)]
    avg: Box<RawValue>,
    #[schema(value_type = Vec<f64>)]
    max: Box<RawValue>,
}

impl OfMachine {
    fn new(machine: &MachineRow, series: Series) -> OfMachine {
        let Series { metric, unit, device, resolution_ms, t, min, avg, max } = series;
        let column = |values: &[f64]| to_raw_value(values).expect("numbers can be written");
        let least = column(&min);
        let written = |values: &[f64]| if values == min { least.clone() } else { column(values) };
        let (avg, max) = (written(&avg), written(&max));
        OfMachine { machine_id: machine.machine_id.to_string(), metric, unit, device, resolution_ms, t, min: least, avg, max }
    }
}

/// Says which samples an answer is made of: the ledger counts what is stored of each hour. Weak, because a day that was folded since has its
/// means rounded.
async fn tag(connection: &mut Connection, machines: &[(MachineRow, i64)], query: &SeriesQuery) -> Result<String, Problem> {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    (&query.metrics, &query.device, query.from, query.to, query.detail).hash(&mut hasher);
    history::removed_before(connection).await?.hash(&mut hasher);
    for (machine, interval_ms) in machines {
        (machine.machine_id, interval_ms).hash(&mut hasher);
    }
    for host_key in machines.iter().map(|(machine, _)| machine.host_key).collect::<BTreeSet<i64>>() {
        // the range is rounded outwards, by less than an hour
        let (from, to) = (hour_of(query.from) - HOUR_MS, query.to + HOUR_MS);
        store::ledger::stored(connection, host_key, from, to).await?.hash(&mut hasher);
    }
    Ok(format!("W/\"{:016x}\"", hasher.finish()))
}

/// Stretch of an export that is in memory at once, a longer one where there would be too many.
const CSV_STEP_MS: i64 = HOUR_MS;
const CSV_STEPS_MAX: i64 = 10_000;
const CSV_HEADER: &[&str] = &["machine_id", "machine_name", "metric", "device", "t", "min", "avg", "max"];

struct Export {
    app: App,
    /// With their intervals.
    machines: Arc<[(MachineRow, i64)]>,
    query: SeriesQuery,
    /// What comes next: machine and time.
    machine: usize,
    from: i64,
}

/// Machine by machine; every sample in steps, points all at once, because they are few.
fn csv(app: App, machines: Vec<(MachineRow, i64)>, query: SeriesQuery) -> Response {
    let from = query.from;
    let first = Export { app, machines: machines.into(), query, machine: 0, from };
    export::csv("series", CSV_HEADER, first, |export| Box::pin(next_page(export)))
}

async fn next_page(mut export: Export) -> Result<export::Page<Export>, Problem> {
    let (from, last) = (export.query.from, export.query.to);
    let step = CSV_STEP_MS.max((last - from) / CSV_STEPS_MAX);
    let end = match export.query.detail {
        Detail::Every => (hour_of(export.from) + step).min(last),
        Detail::Points(_) => last,
    };
    let machines = Arc::clone(&export.machines);
    let (machine, interval_ms) = &machines[export.machine];
    let query = SeriesQuery { from: export.from, to: end, ..export.query.clone() };
    let mut snapshot = export.app.store.snapshot().await?;
    let series = history::read_series(&mut snapshot, machine, *interval_ms, &query).await?;
    drop(snapshot);
    export.from = end;
    if end == last {
        (export.machine, export.from) = (export.machine + 1, from);
    }
    let rows = export::rows(series.iter().flat_map(|series| csv_rows(machine, series)));
    Ok((rows, (export.machine < machines.len()).then_some(export)))
}

fn csv_rows(machine: &MachineRow, series: &Series) -> impl Iterator<Item = Vec<String>> {
    let (id, name) = (machine.machine_id.to_string(), harmless(&machine.name));
    series.t.iter().enumerate().map(move |(index, at)| {
        vec![
            id.clone(),
            name.clone(),
            harmless(&series.metric),
            harmless(series.device.as_deref().unwrap_or_default()),
            rfc3339(*at),
            series.min[index].to_string(),
            series.avg[index].to_string(),
            series.max[index].to_string(),
        ]
    })
}
