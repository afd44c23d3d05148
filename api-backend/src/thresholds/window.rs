//! What conditions over a window look back at.
//!
//! A series keeps of each sixteenth of its window (cells of event time, counted from 1970) the first value that it had there, for the last
//! sixteen of them: enough for a line, little enough to be written down with the host, and the same whenever the backend was restarted.

use std::collections::BTreeMap;

use super::state::SeriesKey;
use super::{Quantity, Threshold};
use crate::history::scale::Scale;

/// Parts of a window of each of which one point is kept.
pub const WINDOW_CELLS: i64 = 16;
/// Windows of one host; series beyond them, in the order of their keys, are not evaluated.
pub const WINDOWS_PER_HOST: usize = 1_000;
/// Metrics that only rise, until they start anew: so does a window when they fall.
const COUNTERS: [&str; 1] = ["container.restarts"];

/// What of a series is compared, over which window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lookback {
    seconds: i64,
    quantity: Quantity,
    is_counter: bool,
    scale: Scale,
}

/// All windows of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    all: BTreeMap<SeriesKey, Window>,
    is_changed: bool,
}

/// That of one series under one threshold.
#[derive(Clone, Debug, PartialEq)]
struct Window {
    seconds: i64,
    /// Time and value, the oldest first.
    points: Vec<(i64, f64)>,
}

/// A window as text: its key and length, the times of its points (each but the first as what it is later), and their values.
type Row = (i64, i64, String, i64, Vec<i64>, Vec<f64>);

impl Lookback {
    /// `None` for a rule that looks at values alone.
    pub(super) fn of(rule: &Threshold) -> Option<Lookback> {
        (rule.quantity != Quantity::Value).then(|| Lookback {
            seconds: rule.window_seconds,
            quantity: rule.quantity,
            is_counter: COUNTERS.contains(&rule.metric.as_str()),
            scale: Scale::of(&rule.metric),
        })
    }

    fn cell(&self, at: i64) -> i64 {
        at.div_euclid((self.seconds * 1_000 / WINDOW_CELLS).max(1))
    }

    /// Seconds and value's change by the line through the points; the value at the end, which is the last point.
    fn compare(&self, points: &[(i64, f64)], end: (i64, f64)) -> f64 {
        let is_filled = (end.0 - points[0].0) * 2 >= self.seconds * 1_000;
        if !is_filled {
            return f64::NAN;
        }
        let slope = slope(points, end);
        match self.quantity {
            Quantity::TimeUntilFull if end.1 >= 1.0 => 0.0,
            Quantity::TimeUntilFull if slope > 0.0 => (1.0 - end.1) / slope,
            // also when it cannot be told: numbers that large are no shares
            Quantity::TimeUntilFull => f64::INFINITY,
            Quantity::Change | Quantity::Value => {
                let change = slope * self.seconds as f64;
                if change.is_finite() { change } else { f64::NAN }
            }
        }
    }
}

/// Of the line through some points and the one at the end by least squares, per second. Always summed in the same order: history evaluated
/// again gives the same bits.
fn slope(points: &[(i64, f64)], end: (i64, f64)) -> f64 {
    let all = || {
        points
            .iter()
            .filter(|(at, _)| *at != end.0)
            .chain(std::iter::once(&end))
            .map(|(at, value)| ((at - end.0) as f64 / 1_000.0, *value))
    };
    let count = all().count() as f64;
    let (times, values) = all().fold((0.0, 0.0), |(times, values), (time, value)| (times + time, values + value));
    let (time_mean, value_mean) = (times / count, values / count);
    let (both, square) = all().fold((0.0, 0.0), |(both, square), (time, value)| {
        (both + (time - time_mean) * (value - value_mean), square + (time - time_mean) * (time - time_mean))
    });
    both / square
}

impl Windows {
    /// What a sample's value means in its window, which gets to know it; NaN when there is no value, or not half a window yet.
    pub(super) fn compare(&mut self, key: &SeriesKey, lookback: &Lookback, at: i64, value: f64) -> f64 {
        if value.is_nan() {
            return f64::NAN;
        }
        let value = lookback.scale.rounded_value(value);
        if !self.all.contains_key(key) {
            let points = Vec::with_capacity(WINDOW_CELLS as usize);
            self.all.insert(key.clone(), Window { seconds: lookback.seconds, points });
        }
        let Some(window) = self.all.get_mut(key) else { return f64::NAN };
        let cell = lookback.cell(at);
        let falls = window.points.last().is_some_and(|(_, last)| lookback.is_counter && value < *last);
        if window.seconds != lookback.seconds || falls {
            window.seconds = lookback.seconds;
            window.points.clear();
        }
        let old = window.points.iter().take_while(|(at, _)| lookback.cell(*at) <= cell - WINDOW_CELLS).count();
        window.points.drain(..old);
        if window.points.last().is_none_or(|(at, _)| lookback.cell(*at) < cell) {
            window.points.push((at, value));
            self.is_changed = true;
        }
        lookback.compare(&window.points, (at, value))
    }

    /// That of one series, to ask what would be.
    pub(super) fn only(&self, key: &SeriesKey) -> Windows {
        let one = self.all.get(key).map(|window| (key.clone(), window.clone()));
        Windows { all: one.into_iter().collect(), is_changed: false }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn has(&self, key: &SeriesKey) -> bool {
        self.all.contains_key(key)
    }

    /// Forgets that of a series that has ended.
    pub(super) fn forget(&mut self, key: &SeriesKey) {
        self.is_changed |= self.all.remove(key).is_some();
    }

    /// Forgets those that are not kept.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&SeriesKey) -> bool) {
        let before = self.all.len();
        self.all.retain(|key, _| is_kept(key));
        self.is_changed |= self.all.len() < before;
    }

    /// As they are kept with the host, if they differ from what was read; `Some(None)` when there are none left.
    pub fn take_change(&mut self) -> Option<Option<String>> {
        std::mem::take(&mut self.is_changed).then(|| (!self.all.is_empty()).then(|| self.to_text()))
    }

    fn to_text(&self) -> String {
        let row = |(key, window): (&SeriesKey, &Window)| -> Row {
            let mut before = 0;
            let times = window.points.iter().map(|(at, _)| at - std::mem::replace(&mut before, *at)).collect();
            let values = window.points.iter().map(|(_, value)| *value).collect();
            (key.machine_id, key.threshold_id, key.device.clone(), window.seconds, times, values)
        };
        serde_json::to_string(&self.all.iter().map(row).collect::<Vec<_>>()).expect("windows write to memory")
    }

    /// From such a text.
    pub fn from_text(text: &str) -> Result<Windows, String> {
        let rows: Vec<Row> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let window = |(machine_id, threshold_id, device, seconds, times, values): Row| {
            let mut at = 0i64;
            let times = times.into_iter().map(|later| {
                at = at.saturating_add(later);
                at
            });
            (SeriesKey { machine_id, threshold_id, device }, Window { seconds, points: times.zip(values).collect() })
        };
        Ok(Windows { all: rows.into_iter().map(window).collect(), is_changed: false })
    }
}
