//! Says when Kafka stops and begins to take reports, and what is lost meanwhile: each once.

use std::time::Instant;

use wire_model::Removed;

/// The time from when Kafka takes no reports until all that waited are delivered.
#[derive(Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
    /// Kafka takes reports again.
    is_ending: bool,
    /// Totals at its beginning, and as they were last seen.
    removed_before: Removed,
    removed: Removed,
    said: [bool; 3],
    /// Delivered since its beginning.
    delivered: u64,
}

impl Outage {
    /// Kafka takes no reports.
    pub(crate) fn begin(&mut self, now: Instant, reason: &str, waiting: u64) {
        if self.since.is_none() || self.is_ending {
            tracing::warn!(reason, waiting, "Kafka takes no reports: they wait in the spool");
            self.since.get_or_insert(now);
            self.is_ending = false;
        }
    }

    /// A report was delivered. Whether it is the first one after Kafka took none.
    pub(crate) fn arrived(&mut self, now: Instant, waiting: u64) -> bool {
        self.delivered += 1;
        let Some(since) = self.since.filter(|_| !self.is_ending) else { return false };
        tracing::info!(waiting, after_s = (now - since).as_secs(), "Kafka takes reports again");
        self.is_ending = true;
        true
    }

    /// `removed` are the totals since the start; `waiting` how many reports are not delivered.
    pub(crate) fn look(&mut self, removed: Removed, waiting: u64) {
        let kinds = [
            (removed.thinned, self.removed.thinned, "the spool is full: of ten old reports one is kept"),
            (removed.dropped, self.removed.dropped, "reports are dropped"),
            (removed.damaged, self.removed.damaged, "the spool's disk lost reports"),
        ];
        for ((now, before, meaning), said) in kinds.into_iter().zip(&mut self.said) {
            if now > before && !std::mem::replace(said, true) {
                tracing::error!(reports = now - before, waiting, "{meaning}");
            }
        }
        self.removed = removed;
        let has_begun = self.since.is_some() || self.said != [false; 3];
        if waiting > 0 || (self.since.is_some() && !self.is_ending) {
            return;
        }
        if has_begun {
            let (thinned, dropped) =
                (removed.thinned - self.removed_before.thinned, removed.dropped - self.removed_before.dropped);
            let damaged = removed.damaged - self.removed_before.damaged;
            tracing::info!(delivered = self.delivered, thinned, dropped, damaged, "all reports that waited are delivered");
        }
        *self = Outage { removed_before: removed, removed, ..Outage::default() };
    }
}
