//! `GET /violations/{id}/explain`: why it opened and closed.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Part, id};
use super::threshold_body::ThresholdBody;
use super::{App, Problem};
use crate::store;
use crate::store::thresholds::ThresholdVersion;
use crate::thresholds::{ExplainedStep, Kind, Machine, Threshold, matches};
use crate::time::{now_ms, rfc3339};
use crate::violation::Violation;
use crate::violation::explain::{Again, explain};

/// Why a violation opened and closed.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct Told {
    violation: Violation,
    /// The rule by which it opened; absent where that was not kept yet.
    threshold: Option<RuleThen>,
    /// The rule by which it closed, if that is another version.
    closed_by: Option<RuleThen>,
    scope: Option<FittedScope>,
    /// What the evaluator did, the first 200.
    steps: Vec<ExplainedStep>,
    samples: Compared,
    /// What came out this time; absent when it could not be evaluated again.
    re_evaluated: Option<ReEvaluated>,
    /// Whether that is what is stored.
    agrees: Option<bool>,
    /// Why it could not be evaluated again, or not to its end.
    hindrance: Option<&'static str>,
}

/// A version of a rule.
#[derive(Serialize, ToSchema)]
#[schema(as = ThresholdThen)]
struct RuleThen {
    /// Absent: before versions were kept.
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    changed_by: Option<String>,
    threshold: ThresholdBody,
}

/// What of a rule's scope fits the machine as it is now: it may have been another one then.
#[derive(Serialize, ToSchema)]
struct FittedScope {
    kind: Kind,
    machine_id: Option<String>,
    labels: Vec<FittedLabel>,
    device: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct FittedLabel {
    label: String,
    /// A value, or a pattern of values.
    wanted: String,
    /// The machine's.
    value: Option<String>,
    matches: bool,
}

/// What was compared, around opening and around closing; 2,000 samples at most.
#[derive(Serialize, ToSchema)]
#[schema(as = ComparedSamples)]
struct Compared {
    /// Unix ms.
    t: Vec<i64>,
    /// Null where there is no number: what does not grow is never full.
    value: Vec<Option<f64>>,
}

/// What the stored samples come to.
#[derive(Serialize, ToSchema)]
struct ReEvaluated {
    #[schema(format = DateTime)]
    opened_at: Option<String>,
    opened_value: Option<f64>,
    peak_value: Option<f64>,
    #[schema(format = DateTime)]
    closed_at: Option<String>,
    closed_value: Option<f64>,
    close_reason: Option<&'static str>,
}

/// Why a violation opened and closed, from the stored samples of its series.
#[utoipa::path(get, path = "/violations/{id}/explain", tag = "violations", params(("id" = String, Path)),
    responses((status = 200, body = Told)))]
pub(super) async fn explain_violation(State(app): State<App>, Part(text): Part) -> Result<Json<Told>, Problem> {
    let violation = store::violations::get(&mut *app.store.read().await?, id("violation", &text)?).await?;
    let violation = violation.ok_or_else(|| Problem::no_such("violation", &text))?;
    let explanation = explain(&app.store, &violation, now_ms()).await?;
    let agrees = explanation.agrees(&violation);
    let rule = explanation.opened_by.as_ref().map(|version| &version.threshold);
    let scope = rule.map(|rule| scope(rule, explanation.machine.as_ref()));
    let (steps, samples) = explanation.trace.map(|trace| (trace.steps, trace.samples)).unwrap_or_default();
    let samples = samples.into_iter().map(|sample| (sample.at, sample.compared.filter(|value| value.is_finite())));
    let (t, value) = samples.unzip();
    Ok(Json(Told {
        violation,
        threshold: explanation.opened_by.map(RuleThen::from),
        closed_by: explanation.closed_by.map(RuleThen::from),
        scope,
        steps,
        samples: Compared { t, value },
        re_evaluated: explanation.again.map(ReEvaluated::from),
        agrees,
        hindrance: explanation.hindrance,
    }))
}

impl From<ThresholdVersion> for RuleThen {
    fn from(version: ThresholdVersion) -> RuleThen {
        RuleThen {
            changed_at: version.changed_at.map(rfc3339),
            changed_by: version.changed_by,
            threshold: version.threshold.into(),
        }
    }
}

fn scope(rule: &Threshold, machine: Option<&Machine>) -> FittedScope {
    let label = |(name, wanted): (&String, &String)| {
        let value = machine.and_then(|machine| machine.labels.get(name)).cloned();
        let matches = value.as_ref().is_some_and(|value| matches(wanted, value));
        FittedLabel { label: name.clone(), wanted: wanted.clone(), value, matches }
    };
    FittedScope {
        kind: rule.kind,
        machine_id: rule.machine_id.map(|id| id.to_string()),
        labels: rule.labels.iter().map(label).collect(),
        device: rule.device.clone(),
    }
}

impl From<Again> for ReEvaluated {
    fn from(Again { opened, peak, closed }: Again) -> ReEvaluated {
        ReEvaluated {
            opened_at: opened.map(|(at, _)| rfc3339(at)),
            opened_value: opened.map(|(_, value)| value),
            peak_value: peak,
            closed_at: closed.map(|(at, _, _)| rfc3339(at)),
            closed_value: closed.and_then(|(_, value, _)| value),
            close_reason: closed.map(|(_, _, reason)| reason),
        }
    }
}
