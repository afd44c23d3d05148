//! Hosts of one recording must not be the same: each plays it at its own size.

use wire_model::catalog::{Metric, find};
use wire_model::{Cell, HostReport};

use crate::values::round;

/// Different sizes; the first is the recorded one.
pub(super) const SIZES: u32 = 8;
/// Each is smaller by this share of the recorded one.
const STEP: f64 = 1.0 / 16.0;

/// At most 1, so that no usage exceeds its limit and no share exceeds 1.
pub(super) fn factor(size: u32) -> f64 {
    1.0 - STEP * f64::from(size % SIZES)
}

/// Multiplies what depends on the load, and rounds as the collector does.
pub(super) fn scale(report: &mut HostReport, factor: f64) {
    if factor == 1.0 {
        return;
    }
    for (name, value) in &mut report.metrics {
        if let (Some(metric), Some(value)) = (find(name).filter(|metric| depends_on_load(metric)), value) {
            *value = round(*value * factor, metric.resolution);
        }
    }
    for table in report.tables.values_mut() {
        for (index, name) in table.columns.iter().enumerate() {
            let Some(metric) = find(name).filter(|metric| depends_on_load(metric)) else { continue };
            for cell in table.rows.iter_mut().map(|row| &mut row[index]) {
                if let Cell::Number(value) = cell {
                    *value = round(*value * factor, metric.resolution);
                }
            }
        }
    }
}

/// What is set, counted or of the collector itself stays as it is, and so do temperatures and times.
fn depends_on_load(metric: &Metric) -> bool {
    let is_fixed = metric.name.ends_with(".limit") || metric.name.ends_with(".count") || metric.name.starts_with("collector.");
    !is_fixed && !matches!(metric.unit, "s" | "Cel")
}
