//! When each host reports: evenly spread over the interval, with jitter and clocks that run at their own speed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;

const NANOS_PER_MS: u64 = 1_000_000;
const MILLION: f64 = 1e6;

/// All hosts' next reports, the next one first.
pub(crate) struct Timeline {
    /// Due time in ns from the start, jitter included, and the host.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    clocks: Vec<Clock>,
    jitter_ns: u64,
    rng: Rng,
}

struct Clock {
    /// In ns from the start, without jitter.
    due: u64,
    period: u64,
}

impl Timeline {
    /// Host `i` of `n` begins at `i / n` of the interval. Each host's own interval is off by up to `drift_ppm`, one way or the other; each
    /// report comes up to `jitter` after its time, which is at most half an interval.
    pub(crate) fn new(hosts: u32, interval: Duration, jitter: Duration, drift_ppm: f64, seed: u64) -> Timeline {
        let interval_ns = nanos(interval);
        let mut rng = Rng::with_seed(seed);
        let mut clocks = Vec::new();
        for index in 0..u64::from(hosts) {
            let due = u128::from(interval_ns) * u128::from(index) / u128::from(hosts);
            clocks.push(Clock {
                due: u64::try_from(due).unwrap_or(u64::MAX),
                period: off_by(interval_ns, drift_ppm * (rng.f64() * 2.0 - 1.0)),
            });
        }
        let jitter_ns = nanos(jitter).min(interval_ns / 2);
        let mut timeline = Timeline { next: BinaryHeap::new(), clocks, jitter_ns, rng };
        (0..hosts as usize).for_each(|host| timeline.push(host));
        timeline
    }

    /// When the next report is due, from the start.
    pub(crate) fn next_is_due_after(&self) -> Duration {
        Duration::from_nanos(self.next.peek().map_or(u64::MAX, |Reverse((due, _))| *due))
    }

    /// The host whose turn it is; its next report is planned.
    pub(crate) fn take(&mut self) -> usize {
        let Reverse((_, host)) = self.next.pop().expect("every host always has a next report");
        self.clocks[host].due += self.clocks[host].period;
        self.push(host);
        host
    }

    fn push(&mut self, host: usize) {
        let jitter = if self.jitter_ns == 0 { 0 } else { self.rng.u64(0..=self.jitter_ns) };
        self.next.push(Reverse((self.clocks[host].due + jitter, host)));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Exact where nothing is off.
#[expect(clippy::cast_possible_truncation, reason = "an interval of hours at most, off by parts per million")]
fn off_by(interval_ns: u64, ppm: f64) -> u64 {
    let off = (interval_ns as f64 / MILLION * ppm).round() as i64;
    interval_ns.saturating_add_signed(off).max(NANOS_PER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn turns(mut timeline: Timeline, count: usize) -> Vec<(usize, u64)> {
        let turn = |_| {
            let due = timeline.next_is_due_after();
            (timeline.take(), nanos(due))
        };
        (0..count).map(turn).collect()
    }

    #[test]
    fn without_jitter_and_drift_hosts_take_turns_evenly() {
        let turns = turns(Timeline::new(3, SECOND, Duration::ZERO, 0.0, 1), 3_000);
        for (index, (host, due)) in turns.into_iter().enumerate() {
            assert_eq!((host, due), (index % 3, (index as u64 / 3) * 1_000_000_000 + 1_000_000_000 * (index as u64 % 3) / 3));
        }
    }

    #[test]
    fn jitter_and_drift_stay_within_what_was_asked_for() {
        let (jitter, ppm, reports) = (Duration::from_millis(40), 200.0, 1_000_u64);
        let turns = turns(Timeline::new(10, SECOND, jitter, ppm, 7), 10 * reports as usize);
        assert!(turns.is_sorted_by_key(|(_, due)| *due));
        let mut distances = Vec::new();
        for host in 0..10 {
            let due: Vec<u64> = turns.iter().filter(|turn| turn.0 == host).map(|turn| turn.1).collect();
            let phase = 100_000_000 * host as u64;
            for (index, due) in due.iter().enumerate() {
                let exact = phase + index as u64 * 1_000_000_000;
                let drift = index as u64 * 200_000;
                assert!((exact - drift..=exact + drift + nanos(jitter)).contains(due), "report {index} of host {host} at {due}");
            }
            distances.push(due[due.len() - 1] - due[0]);
        }
        distances.sort_unstable();
        distances.dedup();
        assert_eq!(distances.len(), 10, "each host has its own clock");
    }
}
