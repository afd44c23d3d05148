//! Journal against points of 5 minutes: of each the least, mean, greatest and number of the values that were sent.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use super::chunks::{self, ADDITIONS, Column, Point, Points};
use super::store::{ChunkRow, FIVE_MINUTES};
use super::values::{self, Value, is_rounded};

/// Stretches of 5 minutes in a day.
const PLACES: usize = 288;
/// Values that are so near to the half between two units may be rounded either way.
const HALF: f64 = 1e-6;

/// What a day of a host should be folded to, by machine, metric and device.
#[derive(Default)]
pub(super) struct Day(BTreeMap<i64, BTreeMap<String, BTreeMap<String, Series>>>);

struct Series {
    unit: Option<f64>,
    points: BTreeMap<usize, Fold>,
}

/// Values of five minutes. Least and greatest as they were sent, the sum in units.
#[derive(Debug)]
struct Fold {
    least: f64,
    greatest: f64,
    sum: f64,
    magnitude: f64,
    count: f64,
    /// So many may be a unit more or less.
    halves: f64,
}

impl Day {
    /// Adds a value that was read so long after the day's start.
    pub(super) fn add(&mut self, after_ms: i64, value: &Value<'_>) {
        let Some(machine_id) = value.machine_id else { return };
        let devices = self.0.entry(machine_id).or_default();
        if !devices.contains_key(value.metric) {
            devices.insert(value.metric.to_owned(), BTreeMap::new());
        }
        let devices = devices.get_mut(value.metric).expect("it was just made");
        if !devices.contains_key(value.device) {
            devices.insert(value.device.to_owned(), Series { unit: values::unit(value.metric), points: BTreeMap::new() });
        }
        let series = devices.get_mut(value.device).expect("it was just made");
        let exact = series.unit.map_or(value.value, |unit| value.value / unit);
        let units = if series.unit.is_some() { exact.round() } else { exact };
        let is_half = series.unit.is_some() && ((exact - exact.floor()) - 0.5).abs() < HALF;
        let place = (after_ms / FIVE_MINUTES) as usize;
        let fold = series.points.entry(place).or_insert(Fold {
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            sum: 0.0,
            magnitude: 0.0,
            count: 0.0,
            halves: 0.0,
        });
        fold.least = value.value.min(fold.least);
        fold.greatest = value.value.max(fold.greatest);
        fold.sum += units;
        fold.magnitude += units.abs();
        fold.count += 1.0;
        fold.halves += f64::from(u8::from(is_half));
    }

    /// Compares one row and takes its series off the list: how many points agree, and what does not.
    pub(super) fn compare(&mut self, row: &ChunkRow) -> anyhow::Result<(u64, Vec<String>)> {
        let chunk = chunks::chunk(row.part, &row.data)?;
        ensure!(chunk.places == PLACES, "it has {} places", chunk.places);
        let (mut points, mut differences) = (0, Vec::new());
        for column in chunk.columns {
            match self.compare_series(row.machine_id, &column) {
                Ok(count) => points += count,
                Err(error) => {
                    differences.push(format!("machine {}: {} {}: {error}", row.machine_id, column.metric, column.device));
                }
            }
        }
        Ok((points, differences))
    }

    fn compare_series(&mut self, machine_id: i64, column: &Column) -> anyhow::Result<u64> {
        let Points::Folded(points) = &column.points else { bail!("it is not folded") };
        let expected = self.0.get_mut(&machine_id).and_then(|metrics| metrics.get_mut(&column.metric)?.remove(&column.device));
        let expected = expected.context("it was never sent, or stands twice")?;
        ensure!(column.unit == expected.unit, "it is kept in units of {:?}", column.unit);
        let places: Vec<usize> = points.iter().map(|(place, _)| *place).collect();
        let wanted: Vec<usize> = expected.points.keys().copied().collect();
        ensure!(places == wanted, "there are points at {places:?} instead of {wanted:?}");
        for (place, point) in points {
            let fold = &expected.points[place];
            ensure!(fold.is(expected.unit, *point), "{point:?} at {place} instead of {fold:?}");
        }
        Ok(points.len() as u64)
    }

    /// Series that no row had.
    pub(super) fn left(self) -> Vec<String> {
        let mut left = Vec::new();
        for (machine_id, metrics) in self.0 {
            for (metric, devices) in metrics {
                left.extend(devices.keys().map(|device| format!("machine {machine_id}: {metric} {device} is missing")));
            }
        }
        left
    }
}

impl Fold {
    fn is(&self, unit: Option<f64>, point: Point) -> bool {
        let mean = self.sum / self.count;
        let rounding = if unit.is_some() { 0.5 + self.halves / self.count } else { 0.0 };
        is_rounded(self.least, unit, point.least)
            && is_rounded(self.greatest, unit, point.greatest)
            && (point.mean - mean).abs() <= rounding + self.magnitude / self.count * ADDITIONS
            && point.count == self.count
    }
}
