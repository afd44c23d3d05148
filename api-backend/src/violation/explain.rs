//! Why a violation opened and closed: the evaluator's steps over the stored samples, and whether it comes to the same once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire_model::catalog;

use super::Violation;
use crate::history::replay::{Replayed, ReplayedHost, Skipping, Span, Trace, replay_traced};
use crate::store::thresholds::{ThresholdVersion, versions};
use crate::store::{self, Result, Store};
use crate::thresholds::evaluator::SeriesKey;
use crate::thresholds::{Effect, Machine, RuleSet, Threshold};

/// Samples are shown from so long before what led to a change until so long after it.
const AROUND_MS: i64 = 60_000;
const SECOND_MS: i64 = 1_000;

/// What is known of a violation's life.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The rule by which it opened.
    pub opened_by: Option<ThresholdVersion>,
    /// The rule by which it closed, if that is another version.
    pub closed_by: Option<ThresholdVersion>,
    /// Its machine as it is now; `None` when it is forgotten.
    pub machine: Option<Machine>,
    /// What the evaluator did.
    pub trace: Option<Trace>,
    /// What came out this time; `None` when it could not be evaluated again.
    pub again: Option<Again>,
    /// Why it could not be evaluated again, or not to its end.
    pub hindrance: Option<&'static str>,
}

/// What came out when it was evaluated again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Again {
    /// Time and value of the sample that opened it.
    pub opened: Option<(i64, f64)>,
    /// Worst value.
    pub peak: Option<f64>,
    /// Time, value and reason of its end.
    pub closed: Option<(i64, Option<f64>, &'static str)>,
}

impl Again {
    /// Whether that is what is stored. Of one that is open the worst value may have moved on.
    fn agrees_with(&self, violation: &Violation) -> bool {
        let is_open = violation.closed_at.is_none();
        let closed = violation.closed_at.map(|at| (at, violation.closed_value, violation.close_reason.as_deref()));
        self.opened == Some((violation.opened_at, violation.opened_value))
            && (is_open || self.peak == Some(violation.peak_value))
            && self.closed.map(|(at, value, reason)| (at, value, Some(reason))) == closed
    }
}

/// Explains a violation from what is stored now.
pub async fn explain(store: &Store, violation: &Violation, now: i64) -> Result<Explanation> {
    let mut explanation = Explanation::default();
    let mut connection = store.read().await?;
    let versions = versions(&mut connection, violation.threshold_id).await?;
    let version = |number: Option<i64>| versions.iter().find(|version| Some(version.threshold.version) == number).cloned();
    explanation.opened_by = version(Some(violation.threshold_version));
    explanation.closed_by = version(violation.closed_version.filter(|closed| *closed != violation.threshold_version));
    let Some(row) = store::machines::get(&mut connection, violation.machine_id).await? else {
        explanation.hindrance = Some("its machine is not one whose samples are kept");
        return Ok(explanation);
    };
    let host = store::hosts::get(&mut connection, row.host_key).await?;
    let rows = store::machines::of_host(&mut connection, row.host_key).await?;
    drop(connection);
    let host = host.and_then(|host| ReplayedHost::of(&host, &rows, |machine| machine.id == row.machine_id));
    explanation.machine = host.as_ref().and_then(|host| host.machine(row.machine_id).cloned());
    explanation.hindrance = match (&explanation.opened_by, &host) {
        _ if !catalog::is_told_by_reports(&violation.metric) => {
            Some("it tells of reports that did not come, which no report says")
        }
        (None, _) => Some("the rule's version of then was not kept"),
        (_, None) => Some("its machine is forgotten"),
        (Some(_), Some(_)) => None,
    };
    if let (Some(opened_by), Some(host), None) = (&explanation.opened_by, host, explanation.hindrance) {
        let closed_by = explanation.closed_by.as_ref().map(|version| &version.threshold);
        let replayed = again(store, violation, Arc::new(host), (&opened_by.threshold, closed_by), now).await?;
        explanation.take(violation, replayed);
    }
    Ok(explanation)
}

impl Explanation {
    /// Whether the stored samples come to what is stored; what stands in the way of more than its opening is not held against it. `None`: it
    /// could not be evaluated again.
    pub fn agrees(&self, violation: &Violation) -> Option<bool> {
        let again = self.again.as_ref()?;
        let opens_so = again.opened == Some((violation.opened_at, violation.opened_value));
        Some(if self.hindrance.is_some() { opens_so } else { again.agrees_with(violation) })
    }

    fn take(&mut self, violation: &Violation, replayed: Replayed) {
        let stays = replayed.stays.into_iter().flatten();
        let mut same = stays.filter(|stay| stay.opened_at == violation.opened_at);
        let again = same.next().map_or_else(Again::default, |stay| Again {
            opened: Some((stay.opened_at, stay.opened_value)),
            peak: Some(stay.peak_value),
            closed: stay.closed_at.and_then(|at| Some((at, stay.closed_value, stay.close_reason?.as_str()))),
        });
        self.trace = replayed.trace;
        self.again = (replayed.evaluated > 0).then_some(again);
        self.hindrance = match violation.close_reason.as_deref() {
            _ if replayed.evaluated == 0 => Some("the samples of then are not kept any more"),
            Some("threshold_changed") => Some("it closed because its rule was changed, which no sample says"),
            _ => None,
        };
    }
}

/// Replays a violation's series by the version of its rule that opened it and, afterwards, by that which closed it.
async fn again(
    store: &Store,
    violation: &Violation,
    host: Arc<ReplayedHost>,
    (opened_by, closed_by): (&Threshold, Option<&Threshold>),
    now: i64,
) -> Result<Replayed> {
    let opening = for_itself(opened_by, violation);
    let before = |seconds: i64| seconds * SECOND_MS + AROUND_MS;
    let around_opening = violation.opened_at - before(opening.for_seconds)..violation.opened_at + AROUND_MS;
    let recovery_seconds = closed_by.unwrap_or(&opening).recovery_for_seconds;
    let around_closing = violation.closed_at.map(|at| at - before(recovery_seconds)..at + AROUND_MS);
    let around = [around_opening].into_iter().chain(around_closing).collect();
    // samples can have led to its opening from here on
    let lead = opening.for_seconds + opening.recovery_for_seconds + 2 * opening.window_seconds;
    let span = Span {
        rules: vec![Arc::new(RuleSet::new([Threshold::clone(&opening)]))],
        from: violation.opened_at - 2 * before(lead),
        to: violation.closed_at.unwrap_or(now).saturating_add(AROUND_MS),
        skipping: Skipping::Never,
    };
    let mut trace = Trace::of(opening, key(violation), around);
    if let Some(closing) = closed_by.map(|rule| for_itself(rule, violation)) {
        trace = trace.changing(violation.opened_at, closing);
    }
    replay_traced(store, host, &span, Some(trace)).await
}

/// A rule as it is in force for the violation's series alone, whatever its scope says of the machine now.
fn for_itself(rule: &Threshold, violation: &Violation) -> Arc<Threshold> {
    let (machine_id, device) = (Some(violation.machine_id), violation.device.clone());
    Arc::new(Threshold { machine_id, labels: BTreeMap::new(), device, effect: Effect::Open, enabled: true, ..rule.clone() })
}

fn key(violation: &Violation) -> SeriesKey {
    let device = violation.device.clone().unwrap_or_default();
    SeriesKey { machine_id: violation.machine_id, threshold_id: violation.threshold_id, device }
}
