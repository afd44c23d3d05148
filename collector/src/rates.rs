//! From counters to rates.

use std::time::Instant;

/// `now` less `before`; `None` when the counter went back: reset, wrapped, or another device under the same name.
pub(crate) fn grown(before: u64, now: u64) -> Option<u64> {
    now.checked_sub(before)
}

/// Growth per second between two instants.
pub(crate) fn per_second(before: u64, now: u64, elapsed_seconds: f64) -> Option<f64> {
    (elapsed_seconds > 0.0).then_some(())?;
    Some(grown(before, now)? as f64 / elapsed_seconds)
}

/// Share of the elapsed time, where the counter counts time; never above 1, whatever the clocks' granularity.
pub(crate) fn share(before_seconds: f64, now_seconds: f64, elapsed_seconds: f64) -> Option<f64> {
    let grown = now_seconds - before_seconds;
    (elapsed_seconds > 0.0 && grown >= 0.0).then(|| (grown / elapsed_seconds).min(1.0))
}

/// What a reading keeps until the next tick, and when it was read (on the monotonic clock).
#[derive(Debug)]
pub(crate) struct Former<T>(Option<(Instant, T)>);

impl<T> Default for Former<T> {
    fn default() -> Former<T> {
        Former(None)
    }
}

impl<T> Former<T> {
    /// Keeps `value` and gives back the former one with the seconds in between.
    pub(crate) fn replace(&mut self, now: Instant, value: T) -> Option<(T, f64)> {
        let (then, former) = self.0.replace((now, value))?;
        Some((former, now.saturating_duration_since(then).as_secs_f64()))
    }

    /// After a failed reading: a rate over the gap would not be one of the interval just ended.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_absent_when_a_counter_goes_back_or_no_time_went_by() {
        for (before, now, elapsed, expected) in [
            (100, 300, 2.0, Some(100.0)),
            (100, 100, 2.0, Some(0.0)),
            (300, 100, 2.0, None),
            (u64::MAX, 0, 2.0, None),
            (100, 300, 0.0, None),
        ] {
            assert_eq!(per_second(before, now, elapsed), expected, "{before} {now} {elapsed}");
        }
    }

    #[test]
    fn shares_stay_within_0_and_1() {
        for (before, now, expected) in [(0.0, 1.0, Some(0.5)), (0.0, 2.1, Some(1.0)), (1.0, 0.5, None)] {
            assert_eq!(share(before, now, 2.0), expected);
        }
    }
}
