//! All hosts, in the order in which they report.

use std::time::Duration;

use fastrand::Rng;
use wire_model::HostReport;

use crate::Config;
use crate::host::Host;

/// The played hosts. Host `i` of `n` reports at `i / n` of every interval.
pub struct Fleet {
    hosts: Vec<Host>,
    interval: Duration,
    /// Reports so far.
    count: u64,
}

impl Fleet {
    /// `started_at_ms` (Unix ms) becomes the epoch, so that a restart never repeats one.
    pub fn new(config: &Config, started_at_ms: i64) -> Fleet {
        let mut rng = Rng::with_seed(config.seed);
        let hosts = (1..=config.hosts).map(|number| Host::new(number, config, started_at_ms, rng.fork())).collect();
        Fleet { hosts, interval: Duration::from_millis(config.interval_ms.into()), count: 0 }
    }

    /// When the next report is due, from the start.
    pub fn next_is_due_after(&self) -> Duration {
        let hosts = self.hosts.len() as u128;
        let nanos = self.interval.as_nanos() * u128::from(self.count) / hosts;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The next host's next report.
    pub fn next_report(&mut self, now_ms: i64) -> &HostReport {
        let index = usize::try_from(self.count % self.hosts.len() as u64).expect("an index of a vector");
        self.count += 1;
        self.hosts[index].next_report(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn config(flags: &[&str]) -> Config {
        let flags: Vec<String> = [&["--bootstrap-server=127.0.0.1:1"], flags].concat().iter().map(|&flag| flag.into()).collect();
        service_runtime::config::read_with(&flags).unwrap()
    }

    #[test]
    fn every_report_passes_the_backends_check() {
        let started_at = 1_795_184_000_000;
        let mut fleet = Fleet::new(&config(&["--hosts=3", "--containers=500"]), started_at);
        for number in 0..30 {
            let now = started_at + number * 700;
            let message = fleet.next_report(now).encode();
            let report = HostReport::decode(&message, now).unwrap();
            assert_eq!(report.host.id, format!("loadgen-{:04}", number % 3 + 1));
            assert_eq!((report.epoch, report.at), (started_at as u64, now));
            assert_eq!(report.seq, number as u64 / 3 + 1);
            assert_eq!(wire_model::container_identities(&report.tables["container"]).iter().collect::<BTreeSet<_>>().len(), 500);
            for (table, rows) in [("filesystem", 3), ("disk", 2), ("network", 2), ("container", 500)] {
                assert_eq!(report.tables[table].rows.len(), rows, "{table}");
            }
        }
    }

    #[test]
    fn hosts_are_spread_evenly_over_the_interval() {
        let mut fleet = Fleet::new(&config(&["--hosts=4", "--containers=0", "--interval-ms=1000"]), 1);
        let mut due_ms = Vec::new();
        for _ in 0..6 {
            due_ms.push(fleet.next_is_due_after().as_millis());
            fleet.next_report(1);
        }
        assert_eq!(due_ms, [0, 250, 500, 750, 1000, 1250]);
    }

    #[test]
    fn a_seed_repeats_its_values_and_another_does_not() {
        let play = |seed: &str| {
            let mut fleet = Fleet::new(&config(&["--hosts=2", seed]), 1);
            (0..6).map(|now| fleet.next_report(now).encode()).collect::<Vec<_>>()
        };
        assert_eq!(play("--seed=1"), play("--seed=1"));
        assert_ne!(play("--seed=1"), play("--seed=2"));
    }

    #[test]
    fn a_clock_that_stands_still_never_gives_two_reports_the_same_time() {
        let mut fleet = Fleet::new(&config(&["--hosts=1"]), 1);
        let times: Vec<i64> = (0..3).map(|_| fleet.next_report(1_000).at).collect();
        assert_eq!(times, [1_000, 1_001, 1_002]);
    }
}
