//! The evaluator's rules as they are written down, with nothing looked up before: each report is searched for each threshold, values are
//! rounded first, and windows are made of all values that there ever were.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_backend::thresholds::evaluator::{CloseReason, SeriesKey, SeriesState, Transition, gap_ms};
use api_backend::thresholds::{Kind, MachineReadings, MissingContainer, Quantity, RuleSet, Threshold, in_force};
use wire_model::{CONTAINER_TABLE, HostReport, catalog};

/// What is remembered of a host.
#[derive(Default)]
pub struct States {
    pub series: BTreeMap<SeriesKey, SeriesState>,
    /// Length of the window, and all values since it began.
    values: BTreeMap<SeriesKey, (i64, Vec<(i64, f64)>)>,
}

/// Evaluates one report, which must be newer than all before it. `machines` are those of the report with their ids, `missing` the
/// containers that ran and are gone.
pub fn evaluate(
    state: &mut States,
    rules: &RuleSet,
    report: &HostReport,
    machines: &[(i64, MachineReadings)],
    missing: &[MissingContainer],
) -> Vec<Transition> {
    let mut seen = Vec::new();
    for (machine_id, machine) in machines {
        let scope = machine.machine(*machine_id);
        for (metric, candidates) in rules.metrics(machine.kind) {
            machine.for_each(metric, |device, value| {
                let end = (!machine.is_running).then_some(CloseReason::Stopped);
                for rule in in_force(candidates, &scope, device) {
                    let device = device.unwrap_or_default().to_owned();
                    let key = SeriesKey { machine_id: *machine_id, threshold_id: rule.id, device };
                    seen.push((key, Arc::clone(rule), value, end));
                }
            });
        }
    }
    for container in missing.iter().filter(|_| report.tables.contains_key(CONTAINER_TABLE)) {
        let value = Some(1.0).filter(|_| report.at - container.gone_at < 24 * 3_600_000);
        for rule in in_force(rules.of_metric(Kind::Container, "container.missing"), &container.machine, None) {
            let key = SeriesKey { machine_id: container.machine.id, threshold_id: rule.id, device: String::new() };
            seen.push((key, Arc::clone(rule), value, Some(CloseReason::Gone)));
        }
    }
    let mut transitions = Vec::new();
    let before: Vec<SeriesKey> = state.series.keys().chain(state.values.keys()).cloned().collect();
    for key in before.into_iter().filter(|key| !seen.iter().any(|(other, ..)| other == key)) {
        if let Some(reason) = why_unseen(&key, rules, report, machines) {
            end(state, key, rules, report.at, reason, &mut transitions);
        }
    }
    for (key, rule, value, reason) in seen {
        match (value, reason) {
            (Some(value), _) => step(state, key, &rule, report, value, &mut transitions),
            (None, Some(reason)) => end(state, key, rules, report.at, reason, &mut transitions),
            (None, None) => {}
        }
    }
    transitions
}

/// To whole units of the catalog's resolution.
pub fn rounded(metric: &str, value: f64) -> f64 {
    match catalog::find(metric).map(|metric| metric.resolution) {
        None => value,
        Some(unit) if unit >= 1.0 => (value / unit).round() * unit,
        Some(unit) => {
            let per_one = (1.0 / unit).round();
            (value * per_one).round() / per_one
        }
    }
}

/// What is compared, of all values of a series since its window began, the last one being now; `None` when there is none yet.
pub fn compared(rule: &Threshold, values: &[(i64, f64)]) -> Option<f64> {
    let now = *values.last()?;
    if rule.quantity == Quantity::Value {
        return Some(now.1);
    }
    let points = points(rule, values);
    if (now.0 - points[0].0) * 2 < rule.window_seconds * 1_000 {
        return None;
    }
    let points: Vec<(f64, f64)> = points.iter().map(|(at, value)| ((at - now.0) as f64 / 1_000.0, *value)).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(0.0, |sum, one| sum + one) / points.len() as f64;
    let (time_mean, value_mean) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).fold(0.0, |sum, one| sum + one);
    let slope = sum(&|(time, value)| (time - time_mean) * (value - value_mean))
        / sum(&|(time, _)| (time - time_mean) * (time - time_mean));
    Some(match rule.quantity {
        Quantity::TimeUntilFull if now.1 >= 1.0 => 0.0,
        Quantity::TimeUntilFull if slope <= 0.0 => f64::INFINITY,
        Quantity::TimeUntilFull => (1.0 - now.1) / slope,
        Quantity::Value | Quantity::Change => slope * rule.window_seconds as f64,
    })
}

/// The first value of each sixteenth of the window's length that had one, of the last sixteen of them, and the last value.
fn points(rule: &Threshold, values: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let cell = |at: i64| at.div_euclid(rule.window_seconds * 1_000 / 16);
    let now = values[values.len() - 1];
    let mut points: Vec<(i64, f64)> = Vec::new();
    for value in values.iter().filter(|(at, _)| cell(*at) > cell(now.0) - 16) {
        if points.last().is_none_or(|(at, _)| cell(*at) < cell(value.0)) {
            points.push(*value);
        }
    }
    if points.last() != Some(&now) {
        points.push(now);
    }
    points
}

/// Notes a value, and says all that its window may look back at.
fn note(state: &mut States, key: &SeriesKey, rule: &Threshold, now: (i64, f64)) -> Vec<(i64, f64)> {
    if rule.quantity == Quantity::Value {
        return vec![now];
    }
    let (seconds, values) = state.values.entry(key.clone()).or_default();
    // a counter that is less than where its last cell began
    let falls = rule.metric == "container.restarts"
        && !values.is_empty()
        && points(rule, values).iter().rev().find(|point| is_first(rule, values, **point)).is_some_and(|(_, last)| now.1 < *last);
    if falls || *seconds != rule.window_seconds {
        values.clear();
    }
    *seconds = rule.window_seconds;
    values.push(now);
    values.clone()
}

/// Whether it is the first value of its cell.
fn is_first(rule: &Threshold, values: &[(i64, f64)], point: (i64, f64)) -> bool {
    let cell = |at: i64| at.div_euclid(rule.window_seconds * 1_000 / 16);
    values.iter().find(|(at, _)| cell(*at) == cell(point.0)) == Some(&point)
}

fn step(
    state: &mut States,
    key: SeriesKey,
    rule: &Threshold,
    report: &HostReport,
    value: f64,
    transitions: &mut Vec<Transition>,
) {
    let at = report.at;
    let is_unbroken = |last: i64| at - last <= gap_ms(report.interval_ms);
    let values = note(state, &key, rule, (at, rounded(&rule.metric, value)));
    let Some(value) = compared(rule, &values) else { return };
    let next = match state.series.get(&key) {
        Some(SeriesState::Open { opened_at, peak, recovering }) => {
            let (opened_at, worst) = (*opened_at, rule.worse(*peak, value));
            if !rule.is_recovered(value) {
                if worst != *peak {
                    transitions.push(Transition::Worsened { key: key.clone(), opened_at, peak: worst });
                }
                Some(SeriesState::Open { opened_at, peak: worst, recovering: None })
            } else {
                let since = match recovering {
                    Some((since, last)) if is_unbroken(*last) => *since,
                    _ => at,
                };
                if at - since >= rule.recovery_for_seconds * 1_000 {
                    let (reason, version) = (CloseReason::Recovered, Some(rule.version));
                    let value = Some(value).filter(|value| *value != f64::INFINITY);
                    transitions.push(Transition::Closed { key: key.clone(), opened_at, at, value, reason, version });
                    None
                } else {
                    Some(SeriesState::Open { opened_at, peak: *peak, recovering: Some((since, at)) })
                }
            }
        }
        _ if !rule.is_beyond(value) => None,
        waiting => {
            let (since, peak) = match waiting {
                Some(SeriesState::Waiting { since, last, peak }) if is_unbroken(*last) => (*since, rule.worse(*peak, value)),
                _ => (at, value),
            };
            if at - since >= rule.for_seconds * 1_000 {
                transitions.push(Transition::Opened { key: key.clone(), threshold: rule.clone(), at, value, peak });
                Some(SeriesState::Open { opened_at: at, peak, recovering: None })
            } else {
                Some(SeriesState::Waiting { since, last: at, peak })
            }
        }
    };
    match next {
        Some(next) => state.series.insert(key, next),
        None => state.series.remove(&key),
    };
}

fn end(state: &mut States, key: SeriesKey, rules: &RuleSet, at: i64, reason: CloseReason, transitions: &mut Vec<Transition>) {
    state.values.remove(&key);
    if let Some(SeriesState::Open { opened_at, .. }) = state.series.remove(&key) {
        let version = rules.version(key.threshold_id);
        transitions.push(Transition::Closed { key, opened_at, at, value: None, reason, version });
    }
}

/// Why a series did not come up, or `None` when its part of the report is missing.
fn why_unseen(key: &SeriesKey, rules: &RuleSet, report: &HostReport, machines: &[(i64, MachineReadings)]) -> Option<CloseReason> {
    let Some((_, machine)) = machines.iter().find(|(id, _)| *id == key.machine_id) else {
        return report.tables.contains_key(CONTAINER_TABLE).then_some(CloseReason::Gone);
    };
    let device = (!key.device.is_empty()).then_some(key.device.as_str());
    let scope = machine.machine(key.machine_id);
    let rule = rules
        .metrics(machine.kind)
        .find(|(_, candidates)| in_force(candidates, &scope, device).any(|rule| rule.id == key.threshold_id));
    let Some((metric, _)) = rule else { return Some(CloseReason::ThresholdChanged) };
    if !machine.is_running {
        return Some(CloseReason::Stopped);
    }
    device?;
    let is_there = match catalog::find(metric).and_then(|metric| metric.subject.table()) {
        Some(table) => report.tables.contains_key(table),
        None => {
            let mut tables = report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE);
            tables.any(|(_, table)| table.column(metric).is_some())
        }
    };
    is_there.then_some(CloseReason::Gone)
}
