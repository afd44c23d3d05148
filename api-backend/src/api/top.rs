//! `GET /top`: the machines with the greatest values of a metric, now or over a range.

use std::collections::{BTreeSet, HashMap};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire_model::catalog;

use super::extract::{Params, limit, word};
use super::range::Range;
use super::{App, Problem};
use crate::history::{self, Top, TopMachine};
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::Kind;
use crate::time::{now_ms, rfc3339};

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 1_000;
/// Machines that are looked up at once where some are of another kind or forgotten.
const LOOK_UP: usize = 20;
/// A host that is silent for longer has no value now.
const NOW_MS: i64 = 60_000;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TopParams {
    metric: String,
    kind: Option<String>,
    /// Which value decides over a range: `avg` (default), `max` or `min`.
    #[param(inline)]
    by: Option<By>,
    /// `greatest` (default) or `least` first.
    #[param(inline)]
    order: Option<Order>,
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    limit: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    Min,
    #[default]
    Avg,
    Max,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Greatest,
    Least,
}

/// The greatest values of a metric.
#[derive(Serialize, ToSchema)]
#[schema(as = Top)]
pub(super) struct TopBody {
    metric: String,
    unit: Option<&'static str>,
    /// Absent when it is about now.
    #[schema(format = DateTime)]
    from: Option<String>,
    #[schema(format = DateTime)]
    to: Option<String>,
    items: Vec<TopItem>,
}

/// A machine, or a device of one.
#[derive(Serialize, ToSchema)]
struct TopItem {
    machine_id: String,
    machine_name: String,
    #[schema(inline)]
    kind: Kind,
    host_id: Option<String>,
    device: Option<String>,
    min: f64,
    avg: f64,
    max: f64,
}

/// The machines with the greatest values of a metric, now or over a range.
#[utoipa::path(get, path = "/top", tag = "metrics", params(TopParams), responses((status = 200, body = TopBody)))]
pub(super) async fn list_top(State(app): State<App>, Params(params): Params<TopParams>) -> Result<Json<TopBody>, Problem> {
    let limit = limit(params.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let kind: Option<Kind> = word("kind", params.kind.as_deref())?;
    let range = Range::parse(&app, params.from.as_deref(), params.to.as_deref(), params.tz.as_deref())?;
    let mut snapshot = app.store.snapshot().await?;
    let (ends, mut top) = match range.from {
        None if range.to.is_some() => return Err(Problem::bad_request("to without from: a range has both, or begins somewhere")),
        None => (None, history::newest(&mut snapshot, &params.metric, now_ms() - NOW_MS).await?),
        Some(from) => {
            let (from, to) = range.ends(now_ms(), now_ms() - from)?;
            let (from, to, top) = history::over_range(&mut snapshot, &params.metric, from, to).await?;
            (Some((from, to)), top)
        }
    };
    top.retain(|top| !matches!((&top.machine, kind), (TopMachine::Named(_, of, _), Some(kind)) if *of != kind));
    let value = |top: &Top| top.values[params.by.unwrap_or_default() as usize];
    let sign = if params.order.unwrap_or_default() == Order::Least { 1.0 } else { -1.0 };
    top.sort_by(|one, other| (sign * value(one)).total_cmp(&(sign * value(other))).then_with(|| one.device.cmp(&other.device)));
    let items = describe(&mut snapshot, &top, kind, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    Ok(Json(TopBody {
        unit: catalog::find(&params.metric).map(|metric| metric.unit),
        metric: params.metric,
        from: ends.map(|(from, _)| rfc3339(from)),
        to: ends.map(|(_, to)| rfc3339(to)),
        items,
    }))
}

/// The first of those that are of the kind and still known.
async fn describe(
    connection: &mut Connection,
    top: &[Top],
    kind: Option<Kind>,
    limit: usize,
) -> Result<Vec<TopItem>, StoreError> {
    let mut found = Vec::new();
    for top in top.chunks(limit.max(LOOK_UP)) {
        let machines = find(connection, top).await?;
        let is_wanted = |machine: &MachineRow| kind.is_none_or(|kind| kind == machine.kind);
        found.extend(top.iter().zip(machines).filter_map(|(top, machine)| Some((top, machine.filter(is_wanted)?))));
        if found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    let keys: BTreeSet<i64> = found.iter().map(|(_, machine)| machine.host_key).collect();
    let hosts: HashMap<_, _> = store::hosts::ids(connection, &keys.into_iter().collect::<Vec<_>>()).await?.into_iter().collect();
    let item = |(Top { device, values: [min, avg, max], .. }, machine): &(&Top, MachineRow)| TopItem {
        machine_id: machine.machine_id.to_string(),
        machine_name: machine.name.clone(),
        kind: machine.kind,
        host_id: hosts.get(&machine.host_key).cloned(),
        device: device.clone(),
        min: *min,
        avg: *avg,
        max: *max,
    };
    Ok(found.iter().map(item).collect())
}

/// The machine of each, as far as it is known.
async fn find(connection: &mut Connection, top: &[Top]) -> Result<Vec<Option<MachineRow>>, StoreError> {
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for top in top {
        match &top.machine {
            TopMachine::Id(id) => ids.push(*id),
            TopMachine::Named(host_key, kind, identity) => names.push((*host_key, *kind, identity.as_str())),
        }
    }
    let machines = [store::machines::of_ids(connection, &ids).await?, store::machines::named(connection, &names).await?].concat();
    let is_it = |machine: &MachineRow, top: &Top| match &top.machine {
        TopMachine::Id(id) => machine.machine_id == *id,
        TopMachine::Named(host_key, kind, identity) => {
            (machine.host_key, machine.kind, &machine.identity) == (*host_key, *kind, identity)
        }
    };
    Ok(top.iter().map(|top| machines.iter().find(|machine| is_it(machine, top)).cloned()).collect())
}
