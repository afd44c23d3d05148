//! What the publisher knows of itself, for the reports and for `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use wire_model::Removed;

use crate::readings::HostMetrics;

/// Written by the publisher's thread, read by the sampler.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpoolBoard(Arc<Mutex<SpoolFigures>>);

/// The spool at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpoolFigures {
    pub(crate) usage_bytes: u64,
    pub(crate) limit_bytes: u64,
    /// Not acknowledged by Kafka.
    pub(crate) reports: u64,
    /// Unix ms of the oldest of them.
    pub(crate) oldest_at: Option<i64>,
    /// Since the start.
    pub(crate) removed: Removed,
}

impl SpoolBoard {
    pub(crate) fn set(&self, figures: SpoolFigures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    /// `at_ms` is the time of the report.
    pub(crate) fn read(&self, at_ms: i64, metrics: &mut HostMetrics) {
        let figures = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age_ms = figures.oldest_at.map_or(0, |oldest| at_ms.saturating_sub(oldest).max(0));
        metrics.set("collector.spool.usage", Some(figures.usage_bytes as f64));
        metrics.set("collector.spool.limit", Some(figures.limit_bytes as f64));
        metrics.set("collector.spool.reports", Some(figures.reports as f64));
        metrics.set("collector.spool.age", Some(age_ms as f64 / 1000.0));
        metrics.set("collector.reports.thinned", Some(figures.removed.thinned as f64));
        metrics.set("collector.reports.dropped", Some(figures.removed.dropped as f64));
        metrics.set("collector.reports.damaged", Some(figures.removed.damaged as f64));
    }
}
