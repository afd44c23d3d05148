//! What the collector counts of itself.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::publisher::SpoolFigures;

/// A part of the report that could not be read this time.
pub(crate) fn unreadable(part: &'static str) {
    counter!("collector_unreadable_total", "part" => part).increment(1);
}

/// Rows that did not fit the limits, and reports that had to give labels.
pub(crate) fn cut_off(what: &'static str, count: usize) {
    if count > 0 {
        counter!("collector_cut_off_total", "what" => what).increment(count as u64);
    }
}

/// A tick was done.
pub(crate) fn ticked(took: Duration) {
    histogram!("collector_tick_duration_seconds").record(took);
}

/// Ticks that were due while the former was still at work.
pub(crate) fn skipped(ticks: u64) {
    counter!("collector_ticks_skipped_total").increment(ticks);
}

/// Containers in the report.
pub(crate) fn containers(count: usize) {
    gauge!("collector_containers").set(count as f64);
}

/// Reports made.
pub(crate) fn produced() {
    counter!("collector_reports_produced_total").increment(1);
}

/// Reports that Kafka has acknowledged.
pub(crate) fn delivered() {
    counter!("collector_reports_delivered_total").increment(1);
}

/// The spool, and what was removed from it since the start.
pub(crate) fn spool_is(figures: &SpoolFigures) {
    gauge!("collector_spool_bytes").set(figures.usage_bytes as f64);
    gauge!("collector_spool_limit_bytes").set(figures.limit_bytes as f64);
    gauge!("collector_spool_reports").set(figures.reports as f64);
    let removed = figures.removed;
    for (reason, count) in [("thinned", removed.thinned), ("dropped", removed.dropped), ("damaged", removed.damaged)] {
        counter!("collector_reports_removed_total", "reason" => reason).absolute(count);
    }
}
