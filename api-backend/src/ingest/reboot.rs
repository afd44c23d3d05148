//! Whether a host was restarted between two of its reports: a pure function of their times and uptimes.

/// Seconds since the host booted.
pub(super) const UPTIME: &str = "system.uptime";

/// A report as far as it tells of the host's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Running {
    /// Its time, Unix ms.
    pub(super) at: i64,
    /// For how long the host runs, in seconds; `None` where it could not be read.
    pub(super) uptime: Option<f64>,
}

impl Running {
    /// When the host booted, if that was after `before_at`: it is worth a look at the report of then.
    #[expect(clippy::cast_possible_truncation, reason = "the cast takes the nearest there is")]
    pub(super) fn booted_after(self, before_at: i64) -> Option<i64> {
        let booted_at = self.at - (self.uptime? * 1_000.0) as i64;
        (before_at > 0 && booted_at > before_at).then_some(booted_at)
    }

    /// The same of a whole report. A clock that was set moves the time of the boot, and the uptime goes on.
    pub(super) fn booted_since(self, before: Running) -> Option<i64> {
        let is_shorter = before.uptime.is_none_or(|uptime| self.uptime.is_some_and(|now| now < uptime));
        self.booted_after(before.at).filter(|_| is_shorter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_184_000_000;

    fn running(seconds: i64, uptime: f64) -> Running {
        Running { at: NOW + seconds * 1_000, uptime: Some(uptime) }
    }

    fn check(before: Running, after: Running, booted_seconds: Option<i64>) {
        assert_eq!(after.booted_since(before), booted_seconds.map(|seconds| NOW + seconds * 1_000), "{before:?} {after:?}");
    }

    #[test]
    fn a_host_booted_when_it_runs_for_less_than_the_reports_are_apart() {
        check(running(0, 5_000.0), running(2, 5_002.0), None);
        check(running(0, 5_000.0), running(60, 20.0), Some(40));
        check(running(0, 5_000.0), running(60, 60.0), None);
        check(running(0, 5_000.0), running(60, 59.0), Some(1));
        // twice in a row
        check(running(0, 30.0), running(60, 20.0), Some(40));
    }

    #[test]
    fn a_clock_that_was_set_is_no_boot() {
        // forward by an hour, on a host that runs for a minute
        check(running(0, 60.0), running(3_602, 62.0), None);
        // back
        check(running(0, 60.0), running(-3_598, 62.0), None);
        check(running(0, 5_000.0), running(-3_598, 20.0), None);
    }

    #[test]
    fn what_is_not_known_decides_nothing() {
        let unknown = |seconds: i64| Running { at: NOW + seconds * 1_000, uptime: None };
        check(running(0, 5_000.0), unknown(60), None);
        check(unknown(0), running(60, 20.0), Some(40));
        check(unknown(0), running(60, 80.0), None);
        // the first report of all
        check(Running { at: 0, uptime: None }, running(0, 20.0), None);
    }
}
