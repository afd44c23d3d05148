//! Whether a report that the backend fails at is to blame, or the backend. Plain data.
//!
//! The rule: the report, alone in its batch, fails again and again for a while, and between each two of its failures the
//! backend has *stored* other reports. A backend that fails at everything stores nothing in between, and condemns nobody; nor does
//! one that still answers for what it has already. Any other failure of the report, and any failure of what it is compared with,
//! begins the trial anew.

use std::time::{Duration, Instant};

/// How often the report has to fail, …
const FAILURES: u32 = 3;
/// … and from the first time to the last: what passes sooner was no fault of the report's.
const SHORTEST: Duration = Duration::from_secs(2);

/// Of one report.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    began_at: Option<Instant>,
    failures: u32,
    /// How much the backend had stored when the last failure counted.
    stored: u64,
}

impl Trial {
    /// The report has failed, alone. `stored` grows with each batch of which the backend stored something. Returns whether the
    /// report is to blame.
    pub(crate) fn failed(&mut self, stored: u64, now: Instant) -> bool {
        let began_at = *self.began_at.get_or_insert(now);
        if self.failures == 0 || stored > self.stored {
            self.failures += 1;
            self.stored = stored;
        }
        self.failures >= FAILURES && now.duration_since(began_at) >= SHORTEST
    }

    /// Whether there is something to compare the next failure with.
    pub(crate) fn has_comparison(&self, stored: u64) -> bool {
        stored > self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_condemned_when_others_are_stored_between_its_failures_for_long_enough() {
        // each at a time in ms, and with what was stored by then
        for (failures, condemned) in [
            (&[(0, 7), (1_000, 8), (2_000, 9)][..], true),
            (&[(0, 7), (1_000, 8), (1_999, 9)], false),
            (&[(0, 7), (100, 8), (200, 9), (2_000, 9)], true),
            (&[(0, 7), (2_000, 8)], false),
            (&[(0, 7), (1_000, 7), (2_000, 8), (9_000, 8)], false),
            (&[(0, 7), (1_000, 7), (2_000, 8), (3_000, 9)], true),
        ] {
            let (mut trial, start) = (Trial::default(), Instant::now());
            let verdicts: Vec<bool> =
                failures.iter().map(|(at_ms, stored)| trial.failed(*stored, start + Duration::from_millis(*at_ms))).collect();
            let (last, before) = verdicts.split_last().unwrap();
            assert!(before.iter().all(|verdict| !verdict), "{failures:?}");
            assert_eq!(*last, condemned, "{failures:?}");
        }
    }

    #[test]
    fn a_backend_that_stores_nothing_condemns_nobody_however_long_it_fails() {
        let (mut trial, start) = (Trial::default(), Instant::now());
        for hour in 0..1_000 {
            assert!(!trial.failed(42, start + Duration::from_secs(3_600 * hour)));
            assert!(!trial.has_comparison(42));
        }
        assert!(trial.has_comparison(43));
    }
}
