//! How far hosts' clocks are off: a pure function of when their newest reports came, and what time these say.
//!
//! A report that waited looks like a clock that is behind. What waits does not wait equally long for a minute, while a clock is off by the same all
//! the time; where one is off so far that its reports count as late, their newest time stands still. What all hosts have in common, the way
//! of the reports and the backend's own clock, is no host's: it is taken off, by the host in the middle.

use std::collections::{HashMap, VecDeque};

use super::lateness::CROWD;

/// Pause between two sightings of a host.
pub const SIGHTING_MS: i64 = 10_000;
/// How many it takes to tell.
pub const SIGHTINGS: usize = 6;
/// How much the delays among them may differ.
pub const STEADY_MS: i64 = 2_000;

/// A host's newest report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The host.
    pub host_key: i64,
    /// Time of the report, by the host's clock.
    pub at: i64,
    /// When anything of the host came last, by the backend's.
    pub received_at: i64,
    /// Interval of its reports.
    pub interval_ms: i64,
}

/// What was seen of late. It is not kept over a restart: then nothing is known for a minute, and nothing decided.
#[derive(Debug, Default)]
pub struct Sightings {
    seen_at: Option<i64>,
    hosts: HashMap<i64, VecDeque<Newest>>,
}

impl Sightings {
    /// Whether it is time for another one.
    pub fn is_due(&self, now: i64) -> bool {
        self.seen_at.is_none_or(|seen_at| now < seen_at || now - seen_at >= SIGHTING_MS)
    }

    /// Notes what is there now.
    pub fn see(&mut self, now: i64, newest: &[Newest]) {
        self.seen_at = Some(now);
        let mut before = std::mem::take(&mut self.hosts);
        for one in newest {
            let mut window = before.remove(&one.host_key).unwrap_or_default();
            // a host that is silent shows nothing
            if window.back().is_none_or(|last| last.received_at != one.received_at) {
                window.push_back(*one);
            }
            let oldest_at = now - (SIGHTINGS as i64 + 2) * SIGHTING_MS.max(one.interval_ms);
            while window.len() > SIGHTINGS || window.front().is_some_and(|first| first.received_at < oldest_at) {
                window.pop_front();
            }
            self.hosts.insert(one.host_key, window);
        }
    }

    /// While the pipeline is late nothing can be told.
    pub fn forget(&mut self) {
        *self = Sightings::default();
    }

    /// By how much each host's clock is ahead (or, below 0, behind), in ms, where it can be told; `lag_ms` is what reports may wait behind their
    /// collectors.
    pub fn offsets(&self, lag_ms: i64) -> HashMap<i64, i64> {
        let delays: HashMap<i64, i64> = self.hosts.iter().filter_map(|(key, window)| Some((*key, delay_ms(window)?))).collect();
        let mut sorted: Vec<i64> = delays.values().copied().collect();
        sorted.sort_unstable();
        let common = if sorted.len() < CROWD { 0 } else { sorted[sorted.len() / 2] };
        let offset = |delay: i64| if delay <= common { common - delay } else { (common - delay + lag_ms).min(0) };
        delays.into_iter().map(|(key, delay)| (key, offset(delay))).collect()
    }
}

/// The least time that a host's reports seem to take, if it is always about the same.
fn delay_ms(window: &VecDeque<Newest>) -> Option<i64> {
    let (first, last) = (window.front()?, window.back()?);
    let delays = || window.iter().map(|one| one.received_at - one.at);
    let (least, greatest) = (delays().min()?, delays().max()?);
    // what comes is older than what came before
    let is_stuck = first.at == last.at;
    (window.len() == SIGHTINGS && (is_stuck || greatest - least <= STEADY_MS)).then_some(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_184_000_000;

    /// Sightings every ten seconds, of hosts whose reports take so long by their own clocks: one list a sighting.
    fn offsets(lag_ms: i64, delays: &[Vec<i64>]) -> Vec<Option<i64>> {
        let mut sightings = Sightings::default();
        for (number, delays) in delays.iter().enumerate() {
            let now = NOW + number as i64 * SIGHTING_MS;
            assert!(sightings.is_due(now) && !(number > 0 && sightings.is_due(now - 1)));
            let newest = |(host_key, delay): (usize, &i64)| Newest {
                host_key: host_key as i64,
                at: now - 500 - delay,
                received_at: now - 500,
                interval_ms: 2_000,
            };
            sightings.see(now, &delays.iter().enumerate().map(newest).collect::<Vec<_>>());
        }
        let offsets = sightings.offsets(lag_ms);
        (0..delays[0].len()).map(|host_key| offsets.get(&(host_key as i64)).copied()).collect()
    }

    fn always(delays: &[i64]) -> Vec<Vec<i64>> {
        vec![delays.to_vec(); SIGHTINGS]
    }

    #[test]
    fn a_clock_that_is_always_off_by_the_same_is_off() {
        assert_eq!(
            offsets(0, &always(&[100, 7_100, -8_000, 150, 200])),
            [Some(50), Some(-6_950), Some(8_150), Some(0), Some(-50)]
        );
        // of few hosts none is in the middle
        assert_eq!(offsets(0, &always(&[100, 7_100, -8_000])), [Some(-100), Some(-7_100), Some(8_000)]);
    }

    #[test]
    fn it_takes_a_minute_to_tell() {
        let most = vec![vec![9_000]; SIGHTINGS - 1];
        assert_eq!(offsets(0, &most), [None]);
    }

    #[test]
    fn what_waits_is_not_behind() {
        // a backlog that becomes shorter, one that becomes longer, one that comes in jumps
        let shrinking: Vec<Vec<i64>> = (0..SIGHTINGS as i64).map(|n| vec![600_000 - n * 40_000]).collect();
        assert_eq!(offsets(0, &shrinking), [None]);
        let growing: Vec<Vec<i64>> = (0..SIGHTINGS as i64).map(|n| vec![n * 500]).collect();
        assert_eq!(offsets(0, &growing), [None]);
        // a partition that is always a little behind
        assert_eq!(offsets(5_000, &always(&[100, 4_900, 100, 100])), [Some(0), Some(0), Some(0), Some(0)]);
        assert_eq!(offsets(5_000, &always(&[100, 9_100, 100, 100])), [Some(0), Some(-4_000), Some(0), Some(0)]);
    }

    #[test]
    fn what_all_have_in_common_is_no_hosts() {
        assert_eq!(offsets(0, &always(&[9_000; 4])), [Some(0); 4]);
        assert_eq!(offsets(0, &always(&[-9_000; 4])), [Some(0); 4]);
    }

    #[test]
    fn a_clock_that_was_set_back_shows_in_times_that_stand_still() {
        let mut sightings = Sightings::default();
        for number in 0..SIGHTINGS as i64 {
            let now = NOW + number * SIGHTING_MS;
            sightings.see(now, &[Newest { host_key: 1, at: NOW - 30_000, received_at: now, interval_ms: 2_000 }]);
        }
        assert_eq!(sightings.offsets(0).get(&1), Some(&-30_000), "at least");
    }

    #[test]
    fn a_silent_host_and_a_late_pipeline_show_nothing() {
        let mut sightings = Sightings::default();
        let silent = Newest { host_key: 1, at: NOW - 30_000, received_at: NOW, interval_ms: 2_000 };
        for number in 0..20 {
            sightings.see(NOW + number * SIGHTING_MS, &[silent]);
        }
        assert!(sightings.offsets(0).is_empty());
        for number in 0..20 {
            let now = NOW + number * SIGHTING_MS;
            sightings.see(now, &[Newest { at: now - 9_000, received_at: now, ..silent }]);
        }
        assert_eq!(sightings.offsets(0).get(&1), Some(&-9_000));
        sightings.forget();
        assert!(sightings.offsets(0).is_empty());
    }
}
