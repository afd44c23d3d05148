//! When reports leave, and the time that they bear.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use service_runtime::Shutdown;
use tokio::time::Instant;

/// Shortest sleep: waking up for every single report costs more than the report.
const TICK: Duration = Duration::from_millis(4);
/// A report that leaves later than this after its time is late, and made then.
pub(crate) const LATE: Duration = Duration::from_millis(100);

pub(crate) struct Clock {
    began_at: Instant,
    /// Time of a report that is due at once, Unix ms.
    begins_at_ms: i64,
    /// Reports leave when they are due; otherwise as fast as they are taken.
    is_live: bool,
    woke_at: Instant,
}

impl Clock {
    pub(crate) fn start(begins_at_ms: i64, is_live: bool) -> Clock {
        let now = Instant::now();
        let begins_at_ms = if is_live { now_ms() } else { begins_at_ms };
        Clock { began_at: now, begins_at_ms, is_live, woke_at: now }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began_at.elapsed()
    }

    /// Returns when a report may leave that is due so long after the start; `false` if it never will.
    pub(crate) async fn wait_until(&mut self, due: Duration, shutdown: &Shutdown) -> bool {
        let due_at = self.began_at + due;
        if self.is_live && due_at > self.woke_at && due_at > Instant::now() {
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep_until(due_at.max(self.woke_at + TICK)) => {}
            }
            self.woke_at = Instant::now();
        }
        !shutdown.is_requested()
    }

    /// The time (Unix ms) of a report that leaves now, and how long ago it was due.
    pub(crate) fn time_of(&self, due: Duration) -> (i64, Duration) {
        let planned = self.begins_at_ms.saturating_add(ms(due));
        if !self.is_live {
            return (planned, Duration::ZERO);
        }
        let now = now_ms();
        // also when the machine's clock is set
        let is_in_time = (now - ms(LATE)..=now).contains(&planned);
        (if is_in_time { planned } else { now }, self.began_at.elapsed().saturating_sub(due))
    }
}

pub(crate) fn now_ms() -> i64 {
    ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn what_is_due_within_a_tick_leaves_together_and_nothing_before_its_time() {
        let (mut clock, shutdown) = (Clock::start(0, true), Shutdown::new());
        let mut wakes = Vec::new();
        for due in (0..20).map(Duration::from_millis) {
            assert!(clock.wait_until(due, &shutdown).await);
            assert!(clock.elapsed() >= due, "{due:?} at {:?}", clock.elapsed());
            wakes.push(clock.woke_at);
        }
        wakes.dedup();
        assert!(wakes.len() <= 6, "{} wakes in 20 ms", wakes.len());
        shutdown.begin();
        assert!(!clock.wait_until(SECOND, &shutdown).await);
    }

    #[tokio::test]
    async fn a_report_bears_the_time_at_which_it_was_due_unless_it_is_late() {
        let clock = Clock::start(7, false);
        assert_eq!(clock.time_of(3_600 * SECOND), (3_600_007, Duration::ZERO));

        let live = Clock { begins_at_ms: now_ms() - 1_000, ..Clock::start(0, true) };
        let (at, _) = live.time_of(SECOND - LATE / 2);
        assert_eq!(at, live.begins_at_ms + 950);
        for due in [SECOND - 2 * LATE, 2 * SECOND] {
            let (at, _) = live.time_of(due);
            assert!((live.begins_at_ms + 1_000..live.begins_at_ms + 2_000).contains(&at), "made when it leaves");
        }
    }
}
