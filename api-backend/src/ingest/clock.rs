//! Whether our own clock is behind. A report from the future is rejected for good; a clock that was set back must not make every report one.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How far our clock may be behind what was written by it, or by another backend's, before.
pub const CLOCK_BEHIND_MS: i64 = 60_000;

/// The latest time that is known to have been, with the instant at which that was found out: it goes on from there, however the clock is
/// set.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<(i64, Instant)>>);

impl Clock {
    /// Takes note of a time that has been.
    pub(super) fn saw(&self, at: i64, found: Instant) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.is_none_or(|latest| at > at_least(latest, found)) {
            *latest = Some((at, found));
        }
    }

    /// In words, if our clock says `now` and is behind by more than [`CLOCK_BEHIND_MS`].
    pub fn check(&self, now: i64, instant: Instant) -> Result<(), String> {
        let latest = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind_ms = latest.map_or(0, |latest| at_least(latest, instant) - now);
        if behind_ms <= CLOCK_BEHIND_MS {
            return Ok(());
        }
        Err(format!("the api-backend's clock is behind by {} s: set it right", behind_ms / 1_000))
    }
}

fn at_least((at, found): (i64, Instant), instant: Instant) -> i64 {
    let since = instant.saturating_duration_since(found).as_millis();
    at.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_was_set_back_stays_behind_until_it_is_set_right() {
        const NOW: i64 = 1_795_184_000_000;
        let (clock, start) = (Clock::default(), Instant::now());
        assert_eq!(clock.check(0, start), Ok(()));
        clock.saw(NOW, start);
        for (behind_ms, is_right) in [(CLOCK_BEHIND_MS - 1, true), (CLOCK_BEHIND_MS, true), (CLOCK_BEHIND_MS + 1, false)] {
            assert_eq!(clock.check(NOW - behind_ms, start).is_ok(), is_right, "{behind_ms}");
        }
        // an hour later it shows what it was when it was set back
        let later = start + Duration::from_secs(3_600);
        assert_eq!(clock.check(NOW, later), Err("the api-backend's clock is behind by 3600 s: set it right".to_owned()));
        clock.saw(NOW, later);
        assert!(clock.check(NOW, later).is_err());
        assert_eq!(clock.check(NOW + 3_600_000, later), Ok(()));
    }
}
