//! The evaluator's rules as they are written down, with nothing looked up before: each report is searched for each threshold.

use std::collections::BTreeMap;

use api_backend::thresholds::evaluator::{CloseReason, SeriesKey, SeriesState, Transition, gap_ms};
use api_backend::thresholds::{Kind, MachineReadings, MissingContainer, RuleSet, Threshold, in_force};
use wire_model::{CONTAINER_TABLE, HostReport};

pub type States = BTreeMap<SeriesKey, SeriesState>;

/// Evaluates one report, which must be newer than all before it. `machines` are those of the report with their ids, `missing` the
/// containers that ran and are gone.
pub fn evaluate(
    state: &mut States,
    rules: &RuleSet,
    report: &HostReport,
    machines: &[(i64, MachineReadings)],
    missing: &[MissingContainer],
) -> Vec<Transition> {
    let mut transitions = Vec::new();
    let mut unseen = state.clone();
    for (machine_id, machine) in machines {
        let scope = machine.machine(*machine_id);
        for (metric, candidates) in rules.metrics(machine.kind) {
            machine.for_each(metric, |device, value| {
                for rule in in_force(candidates, &scope, device) {
                    let device = device.unwrap_or_default().to_owned();
                    let key = SeriesKey { machine_id: *machine_id, threshold_id: rule.id, device };
                    unseen.remove(&key);
                    match value {
                        Some(value) => step(state, key, rule, report, value, &mut transitions),
                        None if !machine.is_running => end(state, key, report.at, CloseReason::Stopped, &mut transitions),
                        None => {}
                    }
                }
            });
        }
    }
    for container in missing.iter().filter(|_| report.tables.contains_key(CONTAINER_TABLE)) {
        let machine_id = container.machine.id;
        for rule in in_force(rules.of_metric(Kind::Container, "container.missing"), &container.machine, None) {
            let key = SeriesKey { machine_id, threshold_id: rule.id, device: String::new() };
            unseen.remove(&key);
            if report.at - container.gone_at < 24 * 3_600_000 {
                step(state, key, rule, report, 1.0, &mut transitions);
            } else {
                end(state, key, report.at, CloseReason::Gone, &mut transitions);
            }
        }
    }
    for key in unseen.into_keys() {
        if let Some(reason) = why_unseen(&key, rules, report, machines) {
            end(state, key, report.at, reason, &mut transitions);
        }
    }
    transitions
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
    let next = match state.get(&key) {
        Some(SeriesState::Open { opened_at, peak }) => {
            if rule.is_recovered(value) {
                let (opened_at, reason) = (*opened_at, CloseReason::Recovered);
                transitions.push(Transition::Closed { key: key.clone(), opened_at, at, value: Some(value), reason });
                None
            } else {
                let worst = rule.worse(*peak, value);
                if worst != *peak {
                    transitions.push(Transition::Worsened { key: key.clone(), opened_at: *opened_at, peak: worst });
                }
                Some(SeriesState::Open { opened_at: *opened_at, peak: worst })
            }
        }
        _ if !rule.is_beyond(value) => None,
        waiting => {
            let (since, peak) = match waiting {
                Some(SeriesState::Waiting { since, last, peak }) if at - last <= gap_ms(report.interval_ms) => {
                    (*since, rule.worse(*peak, value))
                }
                _ => (at, value),
            };
            if at - since >= rule.for_seconds * 1_000 {
                transitions.push(Transition::Opened { key: key.clone(), threshold: rule.clone(), at, value, peak });
                Some(SeriesState::Open { opened_at: at, peak })
            } else {
                Some(SeriesState::Waiting { since, last: at, peak })
            }
        }
    };
    match next {
        Some(next) => state.insert(key, next),
        None => state.remove(&key),
    };
}

fn end(state: &mut States, key: SeriesKey, at: i64, reason: CloseReason, transitions: &mut Vec<Transition>) {
    if let Some(SeriesState::Open { opened_at, .. }) = state.remove(&key) {
        transitions.push(Transition::Closed { key, opened_at, at, value: None, reason });
    }
}

/// Why a series with a state did not come up, or `None` when its part of the report is missing.
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
    let is_there = match wire_model::catalog::find(metric).and_then(|metric| metric.subject.table()) {
        Some(table) => report.tables.contains_key(table),
        None => {
            let mut tables = report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE);
            tables.any(|(_, table)| table.column(metric).is_some())
        }
    };
    is_there.then_some(CloseReason::Gone)
}
