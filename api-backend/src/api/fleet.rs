//! `GET /fleet`: all hosts, or all containers, one row each. What the page begins with; the stream's topics of the same names go on from there.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::extract::{Params, limit};
use super::machines::{object, status_of};
use super::{App, Problem};
use crate::history::newest_reports;
use crate::live::brief;
use crate::store::hosts::HostRow;
use crate::store::machines::{MachineFilter, MachineRow};
use crate::store::{self, Connection, StoreError};
use crate::thresholds::{Kind, machine_readings};
use crate::time::{now_ms, rfc3339};

/// Rows of one answer.
const MAX_LIMIT: i64 = 5_000;
/// Hosts whose reports are in memory at once.
const HOSTS_AT_ONCE: usize = 50;
/// Columns before those of [`brief::columns`].
const HEAD: [&str; 8] = ["id", "name", "host_id", "status", "interval_ms", "labels", "facts", "at"];

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FleetParams {
    #[param(inline)]
    kind: Kind,
    /// Only machines of this host.
    host_id: Option<String>,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// Machines as rows.
#[derive(Serialize, ToSchema)]
pub(super) struct Fleet {
    /// `id`, `name`, `host_id`, `status`, `interval_ms`, `labels`, `facts`, `at`, then names of metrics and attributes.
    columns: Vec<&'static str>,
    /// One machine each, in those columns; null where there is no value.
    #[schema(value_type = Vec<Vec<Value>>)]
    rows: Vec<Vec<Value>>,
    next_cursor: Option<String>,
}

/// All machines of a kind that are there, one row each.
#[utoipa::path(get, path = "/fleet", tag = "machines", params(FleetParams), responses((status = 200, body = Fleet)))]
pub(super) async fn list_fleet(State(app): State<App>, Params(params): Params<FleetParams>) -> Result<Json<Fleet>, Problem> {
    let limit = limit(params.limit, MAX_LIMIT, MAX_LIMIT)?;
    let after = match &params.cursor {
        Some(cursor) => cursor.parse().map_err(|_| Problem::bad_request(format!("cursor: \"{cursor}\" is not one of ours")))?,
        None => 0,
    };
    let now = now_ms();
    let mut connection = app.store.read().await?;
    // those that are gone are listed by their machine.down alone
    let filter = MachineFilter { kind: Some(params.kind), host_id: params.host_id, gone_since: Some(i64::MAX) };
    let machines = store::machines::list(&mut connection, &filter, after, limit).await?;
    let next_cursor = (machines.len() as i64 == limit).then(|| machines.last().map(|last| last.machine_id.to_string())).flatten();
    let rows = rows(&mut connection, params.kind, &machines, now).await?;
    let columns = HEAD.into_iter().chain(brief::columns(params.kind).iter().copied()).collect();
    Ok(Json(Fleet { columns, rows, next_cursor }))
}

async fn rows(connection: &mut Connection, kind: Kind, machines: &[MachineRow], now: i64) -> Result<Vec<Vec<Value>>, StoreError> {
    let hosts: HashMap<i64, HostRow> =
        store::hosts::all(connection).await?.into_iter().map(|host| (host.host_key, host)).collect();
    let mut by_host: HashMap<i64, Vec<&MachineRow>> = HashMap::new();
    for machine in machines {
        by_host.entry(machine.host_key).or_default().push(machine);
    }
    let mut keys: Vec<i64> = by_host.keys().copied().collect();
    keys.sort_unstable();
    let mut rows = Vec::with_capacity(machines.len());
    for keys in keys.chunks(HOSTS_AT_ONCE) {
        let reports = newest_reports(connection, keys).await?;
        for key in keys {
            let Some(host) = hosts.get(key) else { continue };
            let readings = reports.get(key).map(machine_readings).unwrap_or_default();
            let cells: HashMap<&str, Vec<Value>> = readings
                .iter()
                .filter(|readings| readings.kind == kind)
                .map(|readings| (readings.identity.as_str(), brief::cells(readings)))
                .collect();
            rows.extend(by_host[key].iter().map(|machine| row(machine, host, cells.get(machine.identity.as_str()), now)));
        }
    }
    Ok(rows)
}

fn row(machine: &MachineRow, host: &HostRow, cells: Option<&Vec<Value>>, now: i64) -> Vec<Value> {
    let head = [
        json!(machine.machine_id.to_string()),
        json!(machine.name),
        json!(host.host_id),
        json!(status_of(machine, host, now)),
        json!(host.interval_ms),
        object(&machine.labels),
        object(&machine.facts),
        json!(rfc3339(host.last_report_at)),
    ];
    let nothing = || vec![Value::Null; brief::columns(machine.kind).len()];
    head.into_iter().chain(cells.cloned().unwrap_or_else(nothing)).collect()
}
