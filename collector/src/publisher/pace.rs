//! How fast a backlog is sent.

use std::time::{Duration, Instant};

/// Reports sent per interval, at most: one is new and four are of the backlog, so that an outage is made up for in a quarter of its
/// length, and 1,000 hosts that come back at once are five times their usual load for the consumers, not hundreds of times.
pub(crate) const BACKLOG_SPEED: u32 = 5;

/// Lets through [`BACKLOG_SPEED`] reports per interval, as many at once when none came for an interval.
pub(crate) struct Pace {
    every: Duration,
    /// When the bucket was, or will be, empty.
    empty_at: Instant,
}

impl Pace {
    /// Full: the first reports need not wait.
    pub(crate) fn new(interval: Duration, now: Instant) -> Pace {
        let every = interval / BACKLOG_SPEED;
        Pace { every, empty_at: now.checked_sub(interval).unwrap_or(now) }
    }

    /// How long the next report has to wait.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        (self.empty_at + self.every).saturating_duration_since(now)
    }

    /// A report is sent.
    pub(crate) fn take(&mut self, now: Instant) {
        let full = now.checked_sub(self.every * BACKLOG_SPEED).unwrap_or(now);
        self.empty_at = self.empty_at.max(full) + self.every;
    }

    /// Begins slowly, after `delay`.
    pub(crate) fn restart(&mut self, now: Instant, delay: Duration) {
        self.empty_at = now + delay;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);

    /// Reports let through in `seconds` when there is always one that waits.
    fn sent(pace: &mut Pace, mut now: Instant, seconds: u64) -> u32 {
        let (end, mut sent) = (now + Duration::from_secs(seconds), 0);
        loop {
            now += pace.wait(now);
            if now >= end {
                return sent;
            }
            pace.take(now);
            sent += 1;
        }
    }

    #[test]
    fn a_backlog_leaves_at_five_reports_an_interval() {
        let now = Instant::now() + Duration::from_secs(60);
        let mut pace = Pace::new(INTERVAL, now);
        assert_eq!(sent(&mut pace, now, 60), 5 + 30 * BACKLOG_SPEED - 1, "a full bucket first");
        let now = now + Duration::from_secs(600);
        pace.restart(now, Duration::from_secs(1));
        assert_eq!(pace.wait(now), Duration::from_millis(1400));
        assert_eq!(sent(&mut pace, now, 61), 30 * BACKLOG_SPEED - 1);
    }

    #[test]
    fn a_report_an_interval_never_waits() {
        let mut now = Instant::now() + Duration::from_secs(60);
        let mut pace = Pace::new(INTERVAL, now);
        for _ in 0..100 {
            assert_eq!(pace.wait(now), Duration::ZERO);
            pace.take(now);
            now += INTERVAL - Duration::from_millis(100);
        }
    }
}
