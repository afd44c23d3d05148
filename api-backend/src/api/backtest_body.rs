//! A question of the past and its answers in JSON.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::threshold_body::ThresholdBody;
use crate::backtest::{Candidate, Caught, Question, Scope, Suggestion};
use crate::history::replay::Stay;
use crate::thresholds::evaluator::CloseReason;
use crate::time::rfc3339;

/// Violations in an answer.
const VIOLATIONS_MAX: usize = 1_000;
/// Machines in an answer.
const MACHINES_MAX: usize = 500;
/// Violations in the timeline of a machine.
const TIMELINE_MAX: usize = 200;

/// Which rule, when and where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BacktestQuestion)]
pub(super) struct BacktestBody {
    /// One that need not be stored,
    pub(super) threshold: Option<ThresholdBody>,
    /// or one that is.
    pub(super) threshold_id: Option<String>,
    /// Time, or date in `tz`; default: 7 days before the end.
    pub(super) from: Option<String>,
    /// The same; not in the range itself; default: now. 92 days at most.
    pub(super) to: Option<String>,
    /// IANA name of a time zone; default: the server's.
    pub(super) tz: Option<String>,
    #[serde(default)]
    pub(super) only: OnlyBody,
    /// A suggestion needs it, a backtest does not take it.
    pub(super) at_most_per_week: Option<f64>,
}

/// A narrower scope.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OnlyMachines)]
pub(super) struct OnlyBody {
    /// A host stands for its containers, too.
    #[serde(default)]
    pub(super) machine_ids: Vec<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// What a rule would have opened.
#[derive(Serialize, ToSchema)]
pub(super) struct Backtest {
    count: usize,
    /// Machines that would have had any.
    machines: usize,
    machines_in_scope: usize,
    total_duration_ms: i64,
    longest_ms: Option<i64>,
    /// The oldest first, 1,000 at most.
    violations: Vec<BacktestViolation>,
    violations_cut: bool,
    /// The noisiest first, 500 at most.
    by_machine: Vec<BacktestMachine>,
    by_machine_cut: bool,
    /// How many were looked at.
    reports: u64,
    #[schema(format = DateTime)]
    evaluated_from: String,
    #[schema(format = DateTime)]
    evaluated_to: String,
    /// When the first of the machines in scope was heard of: before, there is nothing to look at. Absent without machines.
    #[schema(format = DateTime)]
    known_since: Option<String>,
}

/// A violation that would have been.
#[derive(Serialize, ToSchema)]
struct BacktestViolation {
    machine_id: String,
    machine_name: String,
    host_name: String,
    device: Option<String>,
    #[schema(format = DateTime)]
    opened_at: String,
    opened_value: f64,
    peak_value: f64,
    #[schema(format = DateTime)]
    closed_at: Option<String>,
    closed_value: Option<f64>,
    close_reason: Option<&'static str>,
    /// Within the range that was looked at.
    duration_ms: i64,
}

/// Those of one machine.
#[derive(Serialize, ToSchema)]
struct BacktestMachine {
    machine_id: String,
    name: String,
    host_name: String,
    count: usize,
    duration_ms: i64,
    /// When each opened and closed, the first 200.
    timeline: Vec<(String, Option<String>)>,
    timeline_cut: bool,
}

impl Backtest {
    pub(super) fn of(question: &Question, scope: &Scope, mut stays: Vec<Stay>) -> Backtest {
        // within the range, so that one that never ends does not outweigh the range itself
        let duration = |stay: &Stay| stay.closed_at.unwrap_or(question.to).min(question.to) - stay.opened_at.max(scope.from);
        stays.sort_by(|one, other| (one.opened_at, &one.key).cmp(&(other.opened_at, &other.key)));
        let name = |machine_id: i64| scope.names.get(&machine_id).cloned().unwrap_or_default();
        let mut of_machines: HashMap<i64, BacktestMachine> = HashMap::new();
        for stay in &stays {
            let machine_id = stay.key.machine_id;
            let of = of_machines.entry(machine_id).or_insert_with(|| BacktestMachine::named(machine_id, name(machine_id)));
            of.count += 1;
            of.duration_ms += duration(stay);
            of.timeline_cut = of.count > TIMELINE_MAX;
            if !of.timeline_cut {
                of.timeline.push((rfc3339(stay.opened_at), stay.closed_at.map(rfc3339)));
            }
        }
        let violation = |stay: &Stay| {
            let (machine_name, host_name) = name(stay.key.machine_id);
            BacktestViolation {
                machine_id: stay.key.machine_id.to_string(),
                machine_name,
                host_name,
                device: Some(stay.key.device.clone()).filter(|device| !device.is_empty()),
                opened_at: rfc3339(stay.opened_at),
                opened_value: stay.opened_value,
                peak_value: stay.peak_value,
                closed_at: stay.closed_at.map(rfc3339),
                closed_value: stay.closed_value,
                close_reason: stay.close_reason.map(CloseReason::as_str),
                duration_ms: duration(stay),
            }
        };
        let machines = of_machines.len();
        let mut by_machine: Vec<(i64, BacktestMachine)> = of_machines.into_iter().collect();
        by_machine.sort_by_key(|(id, of)| (Reverse((of.count, of.duration_ms)), *id));
        Backtest {
            count: stays.len(),
            machines,
            machines_in_scope: scope.names.len(),
            total_duration_ms: stays.iter().map(duration).sum(),
            longest_ms: stays.iter().map(duration).max(),
            violations: stays.iter().take(VIOLATIONS_MAX).map(violation).collect(),
            violations_cut: stays.len() > VIOLATIONS_MAX,
            by_machine: by_machine.into_iter().take(MACHINES_MAX).map(|(_, of)| of).collect(),
            by_machine_cut: machines > MACHINES_MAX,
            reports: scope.reports,
            evaluated_from: rfc3339(scope.from),
            evaluated_to: rfc3339(question.to),
            known_since: scope.known_since.map(rfc3339),
        }
    }
}

impl BacktestMachine {
    fn named(machine_id: i64, (name, host_name): (String, String)) -> BacktestMachine {
        let machine_id = machine_id.to_string();
        BacktestMachine { machine_id, name, host_name, count: 0, duration_ms: 0, timeline: Vec::new(), timeline_cut: false }
    }
}

/// What was tried, and what is proposed.
#[derive(Serialize, ToSchema)]
#[schema(as = Suggestion)]
pub(super) struct Suggested {
    /// Opens the most within the limit; absent when all open more.
    proposed: Option<Tried>,
    /// From the most sensitive on.
    candidates: Vec<Tried>,
    /// Violations that may open in the range.
    allowed: f64,
    machines_in_scope: usize,
    /// How many were looked at.
    reports: u64,
    #[schema(format = DateTime)]
    evaluated_from: String,
    #[schema(format = DateTime)]
    evaluated_to: String,
}

/// A rule that was tried.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Candidate)]
struct Tried {
    value: f64,
    recovery_value: f64,
    for_seconds: i64,
    caught: Sum,
    /// Of the next more sensitive value's violations those during which it has none; absent of the most sensitive one.
    missed: Option<Sum>,
}

/// Violations in sum.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Caught)]
struct Sum {
    count: usize,
    machines: usize,
    duration_ms: i64,
}

impl Suggested {
    pub(super) fn of(question: &Question, scope: &Scope, suggestion: &Suggestion) -> Suggested {
        let candidates: Vec<Tried> = suggestion.candidates.iter().map(Tried::from).collect();
        Suggested {
            proposed: suggestion.proposed.map(|number| candidates[number].clone()),
            candidates,
            allowed: suggestion.allowed,
            machines_in_scope: scope.names.len(),
            reports: scope.reports,
            evaluated_from: rfc3339(scope.from),
            evaluated_to: rfc3339(question.to),
        }
    }
}

impl From<&Candidate> for Tried {
    fn from(candidate: &Candidate) -> Tried {
        let sum = |caught: &Caught| Sum { count: caught.count, machines: caught.machines, duration_ms: caught.duration_ms };
        Tried {
            value: candidate.value,
            recovery_value: candidate.recovery_value,
            for_seconds: candidate.for_seconds,
            caught: sum(&candidate.caught),
            missed: candidate.missed.as_ref().map(sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backtest::Only;
    use crate::thresholds::evaluator::SeriesKey;
    use crate::thresholds::{Direction, Kind, Threshold};

    fn stay(machine_id: i64, opened_at: i64, closed_at: Option<i64>) -> Stay {
        let key = SeriesKey { machine_id, threshold_id: 1, device: String::new() };
        let (closed_value, close_reason) = (None, None);
        Stay { key, opened_at, opened_value: 1.0, peak_value: 1.0, closed_at, closed_value, close_reason }
    }

    fn ask() -> (Question, Scope) {
        let rule = Threshold::new(Kind::Host, "system.cpu.utilization", Direction::Above, 0.9);
        let question = Question { rule, only: Only::default(), from: 1_000, to: 100_000 };
        (question, Scope { hosts: Vec::new(), names: HashMap::new(), from: 1_000, known_since: Some(500), reports: 7 })
    }

    fn told(question: &Question, scope: &Scope, stays: Vec<Stay>) -> Value {
        serde_json::to_value(Backtest::of(question, scope, stays)).unwrap()
    }

    #[test]
    fn durations_are_those_within_the_range_and_the_noisiest_machine_is_the_first() {
        let (question, scope) = ask();
        let told = told(&question, &scope, vec![stay(1, 0, Some(3_000)), stay(2, 50_000, None), stay(2, 5_000, Some(6_000))]);
        assert_eq!((&told["count"], &told["machines"], &told["longest_ms"]), (&json!(3), &json!(2), &json!(50_000)));
        assert_eq!(told["total_duration_ms"], 2_000 + 50_000 + 1_000);
        assert_eq!((&told["by_machine"][0]["machine_id"], &told["by_machine"][0]["count"]), (&json!("2"), &json!(2)));
        let timeline = json!([["1970-01-01T00:00:05.000Z", "1970-01-01T00:00:06.000Z"], ["1970-01-01T00:00:50.000Z", null]]);
        assert_eq!(told["by_machine"][0]["timeline"], timeline);
    }

    #[test]
    fn an_answer_is_cut_and_says_so() {
        let (question, scope) = ask();
        for (count, is_cut) in [(VIOLATIONS_MAX, false), (VIOLATIONS_MAX + 1, true)] {
            let stays = (0..count as i64).map(|number| stay(number % 7, 2_000 + number, Some(90_000)));
            let told = told(&question, &scope, stays.collect());
            assert_eq!((&told["count"], &told["violations_cut"]), (&json!(count), &json!(is_cut)));
            assert_eq!(told["violations"].as_array().unwrap().len(), VIOLATIONS_MAX);
        }
        for (count, is_cut) in [(TIMELINE_MAX, false), (TIMELINE_MAX + 1, true)] {
            let told = told(&question, &scope, vec![stay(1, 2_000, Some(3_000)); count]);
            let machine = &told["by_machine"][0];
            assert_eq!((machine["timeline"].as_array().unwrap().len(), &machine["timeline_cut"]), (TIMELINE_MAX, &json!(is_cut)));
        }
        for (count, is_cut) in [(MACHINES_MAX, false), (MACHINES_MAX + 1, true)] {
            let told = told(&question, &scope, (0..count as i64).map(|id| stay(id, 2_000, None)).collect());
            assert_eq!((told["by_machine"].as_array().unwrap().len(), &told["by_machine_cut"]), (MACHINES_MAX, &json!(is_cut)));
        }
    }
}
