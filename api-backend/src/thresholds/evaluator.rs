//! What a report does to the thresholds of its host's machines: a pure function from state and report to state and
//! transitions, in event time.
//!
//! The rules that are not in a threshold's fields:
//! - A value that is absent (`null`, or a part of the report that could not be read) decides nothing: whatever waits or is
//!   open stays so. That way a collector's restart, whose first report has no rates, closes nothing.
//! - A machine or device that is gone from a part that could be read closes its violations (`gone`), and so does a container
//!   that no longer runs (`stopped`), and a rule that is no longer in force (`threshold_changed`).
//! - A series that waits for `for_seconds` starts anew when its samples are further apart than [`gap_ms`]: nobody knows what
//!   it did in between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire_model::{CONTAINER_TABLE, HostReport};

use super::readings::MachineReadings;
use super::rule_set::{RuleSet, in_force};
use super::{Kind, Threshold};

/// Intervals without a sample after which a series counts as interrupted.
const GAP_INTERVALS: i64 = 3;
/// Shortest interruption.
const GAP_MIN_MS: i64 = 10_000;

/// How far apart two samples may be to count as one stretch.
pub fn gap_ms(interval_ms: u32) -> i64 {
    (i64::from(interval_ms) * GAP_INTERVALS).max(GAP_MIN_MS)
}

/// One series under one threshold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The machine.
    pub machine_id: i64,
    /// The threshold.
    pub threshold_id: i64,
    /// The device; empty for the machine itself.
    pub device: String,
}

/// What a series that is beyond its threshold is doing. Series that are not have no state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesState {
    /// Beyond the value, not yet long enough.
    Waiting {
        /// Time of the first sample beyond it.
        since: i64,
        /// Time of the last one.
        last: i64,
        /// Worst value so far.
        peak: f64,
    },
    /// A violation is open.
    Open {
        /// Time of the sample that opened it.
        opened_at: i64,
        /// Worst value so far.
        peak: f64,
    },
}

/// All states of one host's machines, as kept with the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostState(pub BTreeMap<SeriesKey, SeriesState>);

/// Something that has to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// A violation begins.
    Opened {
        /// Which series.
        key: SeriesKey,
        /// The rule as it stood.
        threshold: Threshold,
        /// Time of the sample that decided.
        at: i64,
        /// Its value.
        value: f64,
        /// Worst value since the series went beyond the threshold.
        peak: f64,
    },
    /// An open violation's worst value became worse.
    Worsened {
        /// Which series.
        key: SeriesKey,
        /// Names the violation together with `key`.
        opened_at: i64,
        /// The worst value.
        peak: f64,
    },
    /// A violation ends.
    Closed {
        /// Which series.
        key: SeriesKey,
        /// Names the violation together with `key`.
        opened_at: i64,
        /// Time of the sample that decided.
        at: i64,
        /// Its value; absent when the series ended.
        value: Option<f64>,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a violation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The series is back at or behind the recovery value.
    Recovered,
    /// The container no longer runs.
    Stopped,
    /// The machine or device is gone.
    Gone,
    /// The threshold was deleted, disabled or overridden.
    ThresholdChanged,
}

impl CloseReason {
    /// As it stands in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::Recovered => "recovered",
            CloseReason::Stopped => "stopped",
            CloseReason::Gone => "gone",
            CloseReason::ThresholdChanged => "threshold_changed",
        }
    }
}

/// Evaluates one report, which must be newer than all before it. `machines` are those of the report with their ids.
pub fn evaluate(
    state: &mut HostState,
    rules: &RuleSet,
    report: &HostReport,
    machines: &[(i64, MachineReadings)],
    transitions: &mut Vec<Transition>,
) {
    let mut unseen = state.0.clone();
    for (machine_id, machine) in machines {
        for (metric, candidates) in rules.metrics(machine.kind) {
            machine.for_each(metric, |device, value| {
                for rule in in_force(candidates, *machine_id, device) {
                    let key = SeriesKey {
                        machine_id: *machine_id,
                        threshold_id: rule.id,
                        device: device.unwrap_or_default().to_owned(),
                    };
                    unseen.remove(&key);
                    match value {
                        Some(value) => step(state, key, rule, report, value, transitions),
                        None if !machine.is_running => end(state, key, report.at, CloseReason::Stopped, transitions),
                        None => {}
                    }
                }
            });
        }
    }
    for key in unseen.into_keys() {
        if let Some(reason) = why_unseen(&key, rules, report, machines) {
            end(state, key, report.at, reason, transitions);
        }
    }
}

fn step(
    state: &mut HostState,
    key: SeriesKey,
    rule: &Threshold,
    report: &HostReport,
    value: f64,
    transitions: &mut Vec<Transition>,
) {
    let at = report.at;
    let next = match state.0.get(&key) {
        Some(SeriesState::Open { opened_at, peak }) => {
            if rule.is_recovered(value) {
                let opened_at = *opened_at;
                transitions.push(Transition::Closed {
                    key: key.clone(),
                    opened_at,
                    at,
                    value: Some(value),
                    reason: CloseReason::Recovered,
                });
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
        Some(next) => {
            state.0.insert(key, next);
        }
        None => {
            state.0.remove(&key);
        }
    }
}

fn end(state: &mut HostState, key: SeriesKey, at: i64, reason: CloseReason, transitions: &mut Vec<Transition>) {
    if let Some(SeriesState::Open { opened_at, .. }) = state.0.remove(&key) {
        transitions.push(Transition::Closed { key, opened_at, at, value: None, reason });
    }
}

/// Why a series with a state did not come up, or `None` when its part of the report is missing.
fn why_unseen(key: &SeriesKey, rules: &RuleSet, report: &HostReport, machines: &[(i64, MachineReadings)]) -> Option<CloseReason> {
    let Some((_, machine)) = machines.iter().find(|(id, _)| *id == key.machine_id) else {
        return report.tables.contains_key(CONTAINER_TABLE).then_some(CloseReason::Gone);
    };
    let device = (!key.device.is_empty()).then_some(key.device.as_str());
    let rule = rules
        .metrics(machine.kind)
        .find(|(_, candidates)| in_force(candidates, key.machine_id, device).any(|rule| rule.id == key.threshold_id));
    let Some((metric, _)) = rule else { return Some(CloseReason::ThresholdChanged) };
    let tables = report.tables.iter().filter(|(name, _)| (name.as_str() == CONTAINER_TABLE) == (machine.kind == Kind::Container));
    let part_is_there = device.is_some() && tables.into_iter().any(|(_, table)| table.column(metric).is_some());
    part_is_there.then_some(CloseReason::Gone)
}

impl HostState {
    /// As it is kept with the host.
    pub fn to_text(&self) -> String {
        let rows: Vec<_> = self.0.iter().map(|(key, state)| (key.machine_id, key.threshold_id, &key.device, state)).collect();
        serde_json::to_string(&rows).expect("a state writes to memory")
    }

    /// From what [`to_text`](HostState::to_text) wrote.
    pub fn from_text(text: &str) -> Result<HostState, String> {
        let rows: Vec<(i64, i64, String, SeriesState)> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let state = |(machine_id, threshold_id, device, state)| (SeriesKey { machine_id, threshold_id, device }, state);
        Ok(HostState(rows.into_iter().map(state).collect()))
    }
}
