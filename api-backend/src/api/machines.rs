//! `GET /machines` and `GET /machines/{id}`.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire_model::HostReport;

use super::extract::{Params, Part, id, limit, word};
use super::{App, Page, Problem};
use crate::history::newest_reports;
use crate::label::{Label, labels_of};
use crate::machine::{Status, status};
use crate::silence::{self, Silences};
use crate::store::hosts::HostRow;
use crate::store::machines::{MachineFilter, MachineRow};
use crate::store::{self, Connection, StoreError};
use crate::thresholds::{Kind, MachineReadings, machine_readings};
use crate::time::{now_ms, rfc3339};
use crate::violation::Violation;

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;
/// Machines looked at in one step when a filter lets few of them through.
const SCAN: i64 = 500;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MachineParams {
    /// `host` or `container`.
    kind: Option<String>,
    host_id: Option<String>,
    /// `up`, `late`, `down`, `stopped` or `gone`.
    status: Option<String>,
    /// Part of the name.
    q: Option<String>,
    /// `key=value`, or `key` alone.
    label: Option<String>,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// A host or a container.
#[derive(Serialize, ToSchema)]
pub(super) struct Machine {
    id: String,
    #[schema(inline)]
    kind: Kind,
    name: String,
    host_id: String,
    host_name: Option<String>,
    #[schema(inline)]
    status: Status,
    /// Engine state of a container; `running` for a host.
    state: String,
    #[schema(value_type = BTreeMap<String, String>)]
    labels: Value,
    #[schema(format = DateTime)]
    first_seen_at: String,
    #[schema(format = DateTime)]
    last_report_at: String,
    interval_ms: i64,
    /// What else describes it.
    #[schema(value_type = BTreeMap<String, Value>)]
    facts: Value,
    /// Values of the machine itself by metric.
    latest: BTreeMap<String, f64>,
    /// A host's devices: by table, rows of column and value.
    #[schema(value_type = BTreeMap<String, Vec<BTreeMap<String, Value>>>)]
    devices: Value,
    /// Absent without a maintenance that goes on.
    maintenance: Option<Maintenance>,
    open_violations: Vec<Violation>,
}

/// Its violations are not announced meanwhile.
#[derive(Serialize, ToSchema)]
struct Maintenance {
    #[schema(format = DateTime)]
    until: String,
    comment: String,
}

/// Hosts and containers with what is known of them.
#[utoipa::path(get, path = "/machines", tag = "machines", params(MachineParams), responses((status = 200, body = Page<Machine>)))]
pub(super) async fn list_machines(
    State(app): State<App>,
    Params(params): Params<MachineParams>,
) -> Result<Json<Page<Machine>>, Problem> {
    let limit = limit(params.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let wanted = params.status.as_deref().map(parse_status).transpose()?;
    let now = now_ms();
    // their points of 5 minutes are kept for long, and some rooms have many a day
    let gone_since = if wanted == Some(Status::Gone) { None } else { Some(now - app.raw_retention_ms) };
    let filter = MachineFilter { kind: word("kind", params.kind.as_deref())?, host_id: params.host_id.clone(), gone_since };
    let name_part = params.q.as_deref().map(str::to_lowercase);
    let label = params.label.as_deref().map(Label::parse);
    let mut after = match &params.cursor {
        Some(cursor) => cursor.parse().map_err(|_| Problem::bad_request(format!("cursor: \"{cursor}\" is not one of ours")))?,
        None => 0,
    };
    let mut connection = app.store.read().await?;
    let hosts: HashMap<i64, HostRow> =
        store::hosts::all(&mut connection).await?.into_iter().map(|host| (host.host_key, host)).collect();
    let passes = |machine: &MachineRow| {
        let Some(host) = hosts.get(&machine.host_key) else { return false };
        wanted.is_none_or(|wanted| wanted == status_of(machine, host, now))
            && name_part.as_deref().is_none_or(|part| machine.name.to_lowercase().contains(part))
            && label.as_ref().is_none_or(|label| label.is_in(&machine.labels))
    };
    let mut rows = Vec::new();
    let mut has_more = true;
    while has_more && rows.len() as i64 <= limit {
        let page = store::machines::list(&mut connection, &filter, after, SCAN).await?;
        has_more = page.len() as i64 == SCAN;
        after = page.last().map_or(after, |last| last.machine_id);
        rows.extend(page.into_iter().filter(&passes));
    }
    let next_cursor = (rows.len() as i64 > limit).then(|| {
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        rows.last().map(|last| last.machine_id.to_string())
    });
    let items = describe(&mut connection, &app.silences, &hosts, &rows, now).await?;
    Ok(Json(Page { items, next_cursor: next_cursor.flatten() }))
}

/// One machine.
#[utoipa::path(get, path = "/machines/{id}", tag = "machines", params(("id" = String, Path)), responses((status = 200, body = Machine)))]
pub(super) async fn show_machine(State(app): State<App>, Part(text): Part) -> Result<Json<Machine>, Problem> {
    let mut connection = app.store.read().await?;
    let machine = store::machines::get(&mut connection, id("machine", &text)?).await?;
    let machine = machine.ok_or_else(|| Problem::no_such("machine", &text))?;
    let hosts = store::hosts::all(&mut connection).await?.into_iter().map(|host| (host.host_key, host)).collect();
    let mut items = describe(&mut connection, &app.silences, &hosts, &[machine], now_ms()).await?;
    items.pop().map(Json).ok_or_else(|| Problem::no_such("machine", &text))
}

/// The newest report of a host.
pub(super) async fn newest_report(connection: &mut Connection, host_key: i64) -> Result<Option<HostReport>, StoreError> {
    Ok(newest_reports(connection, &[host_key]).await?.remove(&host_key))
}

pub(super) fn status_of(machine: &MachineRow, host: &HostRow, now: i64) -> Status {
    status(machine, host, now)
}

/// All that is known of some machines, with the values of their hosts' newest reports.
async fn describe(
    connection: &mut Connection,
    silences: &Silences,
    hosts: &HashMap<i64, HostRow>,
    machines: &[MachineRow],
    now: i64,
) -> Result<Vec<Machine>, StoreError> {
    let mut host_keys: Vec<i64> = machines.iter().map(|machine| machine.host_key).collect();
    host_keys.sort_unstable();
    host_keys.dedup();
    let reports = newest_reports(connection, &host_keys).await?;
    let ids: Vec<i64> = machines.iter().map(|machine| machine.machine_id).collect();
    let mut open: HashMap<i64, Vec<Violation>> = HashMap::new();
    let mut violations = store::violations::open_of(connection, &ids).await?;
    silences.mark(connection, &mut violations, now).await?;
    let active = silences.active(connection, now).await?;
    let labels = if active.looks_at_labels() { labels_of(connection, &ids).await? } else { HashMap::new() };
    let no_labels = BTreeMap::new();
    let maintenance = |machine: &MachineRow, host: &HostRow| {
        let labels = labels.get(&machine.machine_id).unwrap_or(&no_labels);
        let subject = silence::Machine { kind: machine.kind, id: machine.machine_id, host_id: &host.host_id, labels };
        let (silence, until) = active.maintenance(subject)?;
        Some(Maintenance { until: rfc3339(until), comment: silence.comment.clone() })
    };
    for violation in violations {
        open.entry(violation.machine_id).or_default().push(violation);
    }
    // a host of many containers is split into readings once
    let readings: HashMap<i64, HashMap<(Kind, String), _>> = reports
        .iter()
        .map(|(host_key, report)| {
            let machines = machine_readings(report).into_iter();
            (*host_key, machines.map(|readings| ((readings.kind, readings.identity.clone()), readings)).collect())
        })
        .collect();
    let item = |machine: &MachineRow| {
        let host = hosts.get(&machine.host_key)?;
        let readings = readings.get(&machine.host_key).and_then(|host| host.get(&(machine.kind, machine.identity.clone())));
        let values = readings.map(MachineReadings::values).unwrap_or_default();
        Some(Machine {
            id: machine.machine_id.to_string(),
            kind: machine.kind,
            name: machine.name.clone(),
            host_id: host.host_id.clone(),
            host_name: reports.get(&machine.host_key).map(|report| report.host.name.clone()),
            status: status_of(machine, host, now),
            state: machine.state.clone(),
            labels: object(&machine.labels),
            first_seen_at: rfc3339(machine.first_seen_at),
            last_report_at: rfc3339(machine.gone_at.unwrap_or(host.last_report_at)),
            interval_ms: host.interval_ms,
            facts: object(&machine.facts),
            latest: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            devices: json!(readings.map(MachineReadings::devices).unwrap_or_default()),
            maintenance: maintenance(machine, host),
            open_violations: open.get(&machine.machine_id).cloned().unwrap_or_default(),
        })
    };
    Ok(machines.iter().filter_map(item).collect())
}

/// What the store wrote as JSON.
pub(super) fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!({}))
}

fn parse_status(text: &str) -> Result<Status, Problem> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| Problem::bad_request(format!("status: \"{text}\" is not one of up, late, down, stopped, gone")))
}
