//! What a sample of a host does to the thresholds of its machines: a pure function from state and sample to state and
//! transitions, in event time. Reports that come and history that is looked at again go the same way.
//!
//! The rules that are not in a threshold's fields:
//! - A value that is absent (`null`, or a part of the report that could not be read) decides nothing: whatever waits or is
//!   open stays so. That way a collector's restart, whose first report has no rates, closes nothing.
//! - A machine or device that is gone from a part that could be read, or a device without the metric's column, closes its violations
//!   (`gone`), and so does a container that no longer runs and has no value (`stopped`), and a rule that is no longer in force
//!   (`threshold_changed`).
//! - A container that ran and is gone has the value 1 for `container.missing` for a day, and then ends (`gone`).
//! - A series that waits for `for_seconds` starts anew when its samples are further apart than [`gap_ms`]: nobody knows what
//!   it did in between.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire_model::{Figures, Form};

use super::Threshold;
use super::plan::{Plan, Source, Step};

/// Intervals without a sample after which a series counts as interrupted.
const GAP_INTERVALS: i64 = 3;
/// Shortest interruption.
const GAP_MIN_MS: i64 = 10_000;
/// The state of a host of which no series is beyond its threshold, as text.
const NOTHING: &str = "[]";

/// How far apart two samples may be to count as one stretch.
pub fn gap_ms(interval_ms: u32) -> i64 {
    (i64::from(interval_ms) * GAP_INTERVALS).max(GAP_MIN_MS)
}

/// One series under one threshold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// The machine.
    pub machine_id: i64,
    /// The threshold.
    pub threshold_id: i64,
    /// The device; empty for the machine itself.
    pub device: String,
}

/// By machine, threshold and device. By hand: to compare two empty texts costs glibc's `memcmp` 80 ns where it loads by mask (AVX-512), because
/// they point nowhere.
impl Ord for SeriesKey {
    fn cmp(&self, other: &SeriesKey) -> Ordering {
        let devices = || match (self.device.as_str(), other.device.as_str()) {
            ("", _) | (_, "") => self.device.len().cmp(&other.device.len()),
            (one, other) => one.cmp(other),
        };
        (self.machine_id, self.threshold_id).cmp(&(other.machine_id, other.threshold_id)).then_with(devices)
    }
}

impl PartialOrd for SeriesKey {
    fn partial_cmp(&self, other: &SeriesKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
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

/// All states of one host's machines, as kept with the host, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostState(Vec<(SeriesKey, SeriesState)>);

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

/// One sample of a host, from a report or from history.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Unix ms when the values were read.
    pub at: i64,
    /// Configured distance to the next one.
    pub interval_ms: u32,
    /// By the places of the plan's shape; NaN where absent.
    pub values: &'a [f64],
}

impl<'a> Sample<'a> {
    /// That of a report.
    pub fn of(form: &Form, figures: &'a Figures) -> Sample<'a> {
        Sample { at: figures.at, interval_ms: form.interval_ms(), values: &figures.values }
    }

    fn value(&self, source: Source) -> f64 {
        match source {
            Source::Place(place) => self.values[place],
            Source::Constant(value) => value,
            Source::Missing(until) if self.at < until => 1.0,
            Source::Missing(_) => f64::NAN,
        }
    }
}

/// Evaluates one sample, which must be newer than all before it, by the plan for its shape.
pub fn evaluate(state: &mut HostState, plan: &Plan, sample: Sample<'_>, transitions: &mut Vec<Transition>) {
    let now = Now { at: sample.at, gap_ms: gap_ms(sample.interval_ms) };
    // both stay empty, and take no memory, as long as nothing changes
    let mut begun = Vec::new();
    let mut over = Vec::new();
    let mut unseen = 0;
    // plan and states are in the same order
    let mut position = 0;
    for step in plan.steps() {
        let current = loop {
            let Some((key, current)) = state.0.get_mut(position) else { break None };
            match (*key).cmp(&step.key) {
                Ordering::Greater => break None,
                Ordering::Less => unseen += 1,
                Ordering::Equal => break Some(current),
            }
            position += 1;
        };
        let value = sample.value(step.source);
        let Some(current) = current else {
            // never true of one that is absent
            if step.rule.is_beyond(value)
                && let Some(next) = wait(step, now, value, (now.at, value), transitions)
            {
                begun.push((step.key.clone(), next));
            }
            continue;
        };
        let next = if !value.is_nan() {
            follow(step, now, value, current, transitions)
        } else if let Some(reason) = step.end {
            close(current, &step.key, now.at, reason, transitions);
            None
        } else {
            Some(current.clone())
        };
        match next {
            Some(next) => *current = next,
            None => over.push(position),
        }
        position += 1;
    }
    unseen += state.0.len() - position;
    if !over.is_empty() {
        let mut index = 0..;
        state.0.retain(|_| index.next().is_none_or(|index| over.binary_search(&index).is_err()));
    }
    if unseen > 0 {
        end_unseen(state, plan, now.at, transitions);
    }
    if !begun.is_empty() {
        state.0.extend(begun);
        state.0.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }
}

/// What a sample says of time.
#[derive(Clone, Copy)]
struct Now {
    at: i64,
    gap_ms: i64,
}

/// What becomes of a series that has a state.
fn follow(step: &Step, now: Now, value: f64, current: &SeriesState, transitions: &mut Vec<Transition>) -> Option<SeriesState> {
    let (rule, key) = (&step.rule, &step.key);
    match *current {
        SeriesState::Open { opened_at, .. } if rule.is_recovered(value) => {
            let (at, value, reason) = (now.at, Some(value), CloseReason::Recovered);
            transitions.push(Transition::Closed { key: key.clone(), opened_at, at, value, reason });
            None
        }
        SeriesState::Open { opened_at, peak } => {
            let worst = rule.worse(peak, value);
            if worst != peak {
                transitions.push(Transition::Worsened { key: key.clone(), opened_at, peak: worst });
            }
            Some(SeriesState::Open { opened_at, peak: worst })
        }
        SeriesState::Waiting { .. } if !rule.is_beyond(value) => None,
        SeriesState::Waiting { since, last, peak } => {
            let begin = if now.at - last <= now.gap_ms { (since, rule.worse(peak, value)) } else { (now.at, value) };
            wait(step, now, value, begin, transitions)
        }
    }
}

/// A series is beyond its threshold since some time, with a worst value: it waits on, or has waited long enough.
fn wait(step: &Step, now: Now, value: f64, (since, peak): (i64, f64), transitions: &mut Vec<Transition>) -> Option<SeriesState> {
    let at = now.at;
    if at - since < step.rule.for_seconds * 1_000 {
        return Some(SeriesState::Waiting { since, last: at, peak });
    }
    let threshold = Threshold::clone(&step.rule);
    transitions.push(Transition::Opened { key: step.key.clone(), threshold, at, value, peak });
    Some(SeriesState::Open { opened_at: at, peak })
}

fn close(state: &SeriesState, key: &SeriesKey, at: i64, reason: CloseReason, transitions: &mut Vec<Transition>) {
    if let SeriesState::Open { opened_at, .. } = *state {
        transitions.push(Transition::Closed { key: key.clone(), opened_at, at, value: None, reason });
    }
}

/// Ends the series with a state that the plan does not have, unless their part could not be read.
fn end_unseen(state: &mut HostState, plan: &Plan, at: i64, transitions: &mut Vec<Transition>) {
    state.0.retain(|(key, current)| {
        let reason = if plan.has(key) { None } else { plan.why_unseen(key) };
        if let Some(reason) = reason {
            close(current, key, at, reason, transitions);
        }
        reason.is_none()
    });
}

impl HostState {
    /// In the order of their keys.
    pub fn states(&self) -> &[(SeriesKey, SeriesState)] {
        &self.0
    }

    /// As it is kept with the host.
    pub fn to_text(&self) -> String {
        if self.0.is_empty() {
            return NOTHING.to_owned();
        }
        let rows: Vec<_> = self.0.iter().map(|(key, state)| (key.machine_id, key.threshold_id, &key.device, state)).collect();
        serde_json::to_string(&rows).expect("a state writes to memory")
    }

    /// From what [`to_text`](HostState::to_text) wrote.
    pub fn from_text(text: &str) -> Result<HostState, String> {
        if text == NOTHING {
            return Ok(HostState::default());
        }
        let rows: Vec<(i64, i64, String, SeriesState)> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let state = |(machine_id, threshold_id, device, state)| (SeriesKey { machine_id, threshold_id, device }, state);
        let states: BTreeMap<_, _> = rows.into_iter().map(state).collect();
        Ok(HostState(states.into_iter().collect()))
    }
}
