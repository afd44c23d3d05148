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
//! - A series that waits for `for_seconds` or recovers for `recovery_for_seconds` starts anew when its samples are further apart than
//!   [`gap_ms`]: nobody knows what it did in between. It opens or closes at the sample that decides.
//! - Values are compared, and told, as history keeps them ([`super::limits`]).
//! - A condition over a window has no value until there are points from half a window ago ([`super::window`]).
//! - A rule that was changed goes on with the violations it has, by its new version.

use std::cmp::Ordering;

use wire_model::{Figures, Form};

use super::Threshold;
use super::plan::{Plan, Source, Step};
pub use super::state::{HostState, SeriesKey, SeriesState};

/// Intervals without a sample after which a series counts as interrupted.
const GAP_INTERVALS: i64 = 3;
/// Shortest interruption.
const GAP_MIN_MS: i64 = 10_000;

/// How far apart two samples may be to count as one stretch.
pub fn gap_ms(interval_ms: u32) -> i64 {
    (i64::from(interval_ms) * GAP_INTERVALS).max(GAP_MIN_MS)
}

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
        /// Its value; absent when the series ended, and where it has no end that could be told (`time_until_full` of what does not grow).
        value: Option<f64>,
        /// Why.
        reason: CloseReason,
        /// Version of the rule that decided; `None` when the rule is no more.
        version: Option<i64>,
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
    let HostState { series, windows } = state;
    // both stay empty, and take no memory, as long as nothing changes
    let mut begun = Vec::new();
    let mut over = Vec::new();
    let (mut unseen, mut windows_seen) = (0, 0);
    // plan and states are in the same order
    let mut position = 0;
    for step in plan.steps() {
        let current = loop {
            let Some((key, current)) = series.get_mut(position) else { break None };
            match (*key).cmp(&step.key) {
                Ordering::Greater => break None,
                Ordering::Less => unseen += 1,
                Ordering::Equal => break Some(current),
            }
            position += 1;
        };
        let mut value = sample.value(step.source);
        let end = step.end.filter(|_| value.is_nan());
        if let Some(lookback) = &step.lookback {
            if end.is_some() {
                windows.forget(&step.key);
            }
            value = windows.compare(&step.key, lookback, now.at, value);
            windows_seen += usize::from(windows.has(&step.key));
        }
        let Some(current) = current else {
            // never true of one that is absent
            if step.limits.is_beyond(value)
                && let Some(next) = wait(step, now, value, (now.at, step.limits.rounded(value)), transitions)
            {
                begun.push((step.key.clone(), next));
            }
            continue;
        };
        let next = if let Some(reason) = end {
            close(current, &step.key, now.at, reason, plan, transitions);
            None
        } else if value.is_nan() {
            Some(current.clone())
        } else {
            follow(step, now, value, current, transitions)
        };
        match next {
            Some(next) => *current = next,
            None => over.push(position),
        }
        position += 1;
    }
    unseen += series.len() - position;
    if !over.is_empty() {
        let mut index = 0..;
        series.retain(|_| index.next().is_none_or(|index| over.binary_search(&index).is_err()));
    }
    if unseen > 0 {
        end_unseen(series, plan, now.at, transitions);
    }
    if windows.len() > windows_seen {
        windows.retain(|key| plan.step(key).map_or_else(|| plan.why_unseen(key).is_none(), |step| step.lookback.is_some()));
    }
    if !begun.is_empty() {
        series.extend(begun);
        series.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }
}

/// What a sample has to compare for one series: its rounded value, or what its window says; `None` when there is nothing.
pub fn compared(state: &HostState, plan: &Plan, key: &SeriesKey, sample: Sample<'_>) -> Option<f64> {
    let step = plan.step(key)?;
    let value = sample.value(step.source);
    let value = match &step.lookback {
        Some(lookback) => state.windows.only(key).compare(key, lookback, sample.at, value),
        None => step.limits.rounded(value),
    };
    (!value.is_nan()).then_some(value)
}

/// What a sample says of time.
#[derive(Clone, Copy)]
struct Now {
    at: i64,
    gap_ms: i64,
}

/// What becomes of a series that has a state.
fn follow(step: &Step, now: Now, value: f64, current: &SeriesState, transitions: &mut Vec<Transition>) -> Option<SeriesState> {
    let (limits, key) = (&step.limits, &step.key);
    match *current {
        SeriesState::Open { opened_at, peak, recovering } if limits.is_recovered(value) => {
            let since = recovering.filter(|(_, last)| now.at - last <= now.gap_ms).map_or(now.at, |(since, _)| since);
            if now.at - since < step.rule.recovery_for_seconds * 1_000 {
                return Some(SeriesState::Open { opened_at, peak, recovering: Some((since, now.at)) });
            }
            // what never ends has no number
            let value = Some(limits.rounded(value)).filter(|value| value.is_finite());
            let (at, reason, version) = (now.at, CloseReason::Recovered, Some(step.rule.version));
            transitions.push(Transition::Closed { key: key.clone(), opened_at, at, value, reason, version });
            None
        }
        SeriesState::Open { opened_at, peak, .. } => {
            let worst = limits.worst(peak, value);
            if worst != peak {
                transitions.push(Transition::Worsened { key: key.clone(), opened_at, peak: worst });
            }
            Some(SeriesState::Open { opened_at, peak: worst, recovering: None })
        }
        SeriesState::Waiting { .. } if !limits.is_beyond(value) => None,
        SeriesState::Waiting { since, last, peak } => {
            let is_unbroken = now.at - last <= now.gap_ms;
            let begin = if is_unbroken { (since, limits.worst(peak, value)) } else { (now.at, limits.rounded(value)) };
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
    let (threshold, value) = (Threshold::clone(&step.rule), step.limits.rounded(value));
    transitions.push(Transition::Opened { key: step.key.clone(), threshold, at, value, peak });
    Some(SeriesState::Open { opened_at: at, peak, recovering: None })
}

fn close(state: &SeriesState, key: &SeriesKey, at: i64, reason: CloseReason, plan: &Plan, transitions: &mut Vec<Transition>) {
    if let SeriesState::Open { opened_at, .. } = *state {
        let version = plan.rules().version(key.threshold_id);
        transitions.push(Transition::Closed { key: key.clone(), opened_at, at, value: None, reason, version });
    }
}

/// Ends the series with a state that the plan does not have, unless their part could not be read.
fn end_unseen(series: &mut Vec<(SeriesKey, SeriesState)>, plan: &Plan, at: i64, transitions: &mut Vec<Transition>) {
    series.retain(|(key, current)| {
        let reason = if plan.step(key).is_some() { None } else { plan.why_unseen(key) };
        if let Some(reason) = reason {
            close(current, key, at, reason, plan, transitions);
        }
        reason.is_none()
    });
}
