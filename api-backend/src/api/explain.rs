//! `GET /violations/{id}/explain`: why it opened and closed.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::extract::{Part, id};
use super::threshold_body::ThresholdBody;
use super::{App, Problem};
use crate::store;
use crate::store::thresholds::ThresholdVersion;
use crate::thresholds::{Machine, Threshold, matches};
use crate::time::{now_ms, rfc3339};
use crate::violation::explain::{Again, explain};

pub(super) async fn explain_violation(State(app): State<App>, Part(text): Part) -> Result<Json<Value>, Problem> {
    let violation = store::violations::get(&mut *app.store.read().await?, id("violation", &text)?).await?;
    let violation = violation.ok_or_else(|| Problem::no_such("violation", &text))?;
    let explanation = explain(&app.store, &violation, now_ms()).await?;
    let rule = explanation.opened_by.as_ref().map(|version| &version.threshold);
    let traced = explanation.trace.iter().flat_map(|trace| &trace.samples);
    let (t, values): (Vec<i64>, Vec<Option<f64>>) =
        traced.map(|sample| (sample.at, sample.compared.filter(|value| value.is_finite()))).unzip();
    Ok(Json(json!({
        "threshold": explanation.opened_by.clone().map(version),
        "closed_by": explanation.closed_by.clone().map(version),
        "scope": rule.map(|rule| scope(rule, explanation.machine.as_ref())),
        "steps": explanation.trace.iter().flat_map(|trace| &trace.steps).collect::<Vec<_>>(),
        "samples": {"t": t, "value": values},
        "re_evaluated": explanation.again.map(again),
        "agrees": explanation.agrees(&violation),
        "hindrance": explanation.hindrance,
        "violation": violation,
    })))
}

fn version(version: ThresholdVersion) -> Value {
    json!({
        "changed_at": version.changed_at.map(rfc3339),
        "changed_by": version.changed_by,
        "threshold": ThresholdBody::from(version.threshold),
    })
}

/// What of the rule's scope fits the machine as it is now: it may have been another one then.
fn scope(rule: &Threshold, machine: Option<&Machine>) -> Value {
    let label = |(name, text): (&String, &String)| {
        let value = machine.and_then(|machine| machine.labels.get(name));
        json!({"label": name, "wanted": text, "value": value, "matches": value.is_some_and(|value| matches(text, value))})
    };
    json!({
        "kind": rule.kind,
        "machine_id": rule.machine_id.map(|id| id.to_string()),
        "labels": rule.labels.iter().map(label).collect::<Vec<_>>(),
        "device": rule.device,
    })
}

fn again(again: Again) -> Value {
    let Again { opened, peak, closed } = again;
    json!({
        "opened_at": opened.map(|(at, _)| rfc3339(at)),
        "opened_value": opened.map(|(_, value)| value),
        "peak_value": peak,
        "closed_at": closed.map(|(at, _, _)| rfc3339(at)),
        "closed_value": closed.and_then(|(_, value, _)| value),
        "close_reason": closed.map(|(_, _, reason)| reason),
    })
}
