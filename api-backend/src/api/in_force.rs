//! `GET /machines/{id}/thresholds`: for each series of a machine the rules in force.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Part, id};
use super::threshold_body::ThresholdBody;
use super::{App, Page, Problem, machines};
use crate::thresholds::{Direction, Quantity, RuleSet, Threshold, in_force, machine_readings};
use crate::{machine, store};

/// A rule in force for a series.
#[derive(Serialize, ToSchema)]
pub(super) struct InForce {
    metric: String,
    device: Option<String>,
    /// Now.
    value: Option<f64>,
    /// How far that is from the rule's; below 0 when it is beyond.
    distance: Option<f64>,
    /// What the rule is for: `kind`, `labels` or `machine`.
    origin: &'static str,
    threshold: ThresholdBody,
}

/// For each series of the machine that a rule looks at: the rules in force, where each comes from, the value now, and how far that is from
/// the rule's (below 0 when it is beyond).
#[utoipa::path(get, path = "/machines/{id}/thresholds", tag = "thresholds", params(("id" = String, Path)),
    responses((status = 200, body = Page<InForce>)))]
pub(super) async fn list_in_force(State(app): State<App>, Part(text): Part) -> Result<Json<Page<InForce>>, Problem> {
    let mut connection = app.store.read().await?;
    let row = store::machines::get(&mut connection, id("machine", &text)?).await?;
    let row = row.ok_or_else(|| Problem::no_such("machine", &text))?;
    let rules = RuleSet::new(store::thresholds::all(&mut connection).await?);
    let report = machines::newest_report(&mut connection, row.host_key).await?;
    let readings = report.as_ref().map(machine_readings).unwrap_or_default();
    let readings = readings.iter().find(|other| other.kind == row.kind && other.identity == row.identity);
    let (host_name, host_labels) = report.as_ref().map(|report| (report.host.name.as_str(), &report.host.labels)).unzip();
    // the newest report may not have it
    let as_stored = || machine::as_stored(&row, host_name.unwrap_or_default(), host_labels.unwrap_or(&BTreeMap::new()));
    let machine = readings.map_or_else(as_stored, |readings| readings.machine(row.machine_id));
    let mut items = Vec::new();
    for (metric, candidates) in rules.metrics(machine.kind) {
        let mut series = Vec::new();
        if let Some(readings) = readings {
            readings.for_each(metric, |device, value| series.push((device, value)));
        }
        if series.is_empty() {
            series.push((None, None));
        }
        for (device, value) in series {
            for rule in in_force(candidates, &machine, device) {
                items.push(InForce {
                    metric: metric.to_owned(),
                    device: device.map(str::to_owned),
                    value,
                    distance: value.and_then(|value| distance(rule, value)),
                    origin: origin(rule),
                    threshold: ThresholdBody::from(Threshold::clone(rule)),
                });
            }
        }
    }
    items.sort_by(|one, other| order(one).cmp(&order(other)));
    Ok(Json(Page { items, next_cursor: None }))
}

fn order(item: &InForce) -> (&str, Option<&str>, &'static str) {
    (&item.metric, item.device.as_deref(), item.threshold.severity.as_str())
}

fn origin(rule: &Threshold) -> &'static str {
    match (rule.machine_id, rule.labels.is_empty()) {
        (Some(_), _) => "machine",
        (None, false) => "labels",
        (None, true) => "kind",
    }
}

fn distance(rule: &Threshold, value: f64) -> Option<f64> {
    let distance = match rule.direction {
        Direction::Above => rule.value - value,
        Direction::Below => value - rule.value,
    };
    (rule.quantity == Quantity::Value).then_some(distance)
}
