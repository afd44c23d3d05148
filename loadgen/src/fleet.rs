//! All hosts, in the order in which they report.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use wire_model::{CONTAINER_TABLE, ReportId};

use crate::Config;
use crate::host::Host;
use crate::recording::{Cast, Recording};
use crate::timeline::Timeline;

/// The played hosts.
pub struct Fleet {
    hosts: Hosts,
    timeline: Timeline,
}

enum Hosts {
    /// Values wander.
    Generated(Vec<Host>),
    /// Values are those of a real host.
    Recorded(Box<Cast>),
}

/// One report, ready to be sent.
pub struct Message<'a> {
    /// The key in Kafka.
    pub host_id: &'a str,
    /// Number of the report.
    pub id: ReportId,
    /// The host and its containers.
    pub samples: u64,
    /// As it is sent.
    pub bytes: Cow<'a, [u8]>,
}

impl Fleet {
    /// `started_at_ms` (Unix ms) becomes the epoch, so that a restart never repeats one; `begins_at_ms` is the time of the first reports.
    pub fn new(config: &Config, started_at_ms: i64, begins_at_ms: i64) -> anyhow::Result<Fleet> {
        let hosts = match &config.recording {
            Some(path) => {
                let recording = Recording::read(path).with_context(|| format!("read the recording {}", path.display()))?;
                Hosts::Recorded(Box::new(Cast::new(config, &recording, started_at_ms, begins_at_ms)?))
            }
            None => {
                let mut rng = Rng::with_seed(config.seed);
                Hosts::Generated((1..=config.hosts).map(|number| Host::new(number, config, started_at_ms, rng.fork())).collect())
            }
        };
        let interval = Duration::from_millis(config.interval_ms.into());
        let jitter = Duration::from_millis(config.jitter_ms.into());
        let timeline = Timeline::new(config.hosts, interval, jitter, config.drift_ppm, config.seed);
        Ok(Fleet { hosts, timeline })
    }

    /// When the next report is due, from the start.
    pub fn next_is_due_after(&self) -> Duration {
        self.timeline.next_is_due_after()
    }

    /// The next host's next report.
    pub fn next_message(&mut self, now_ms: i64) -> Message<'_> {
        let index = self.timeline.take();
        match &mut self.hosts {
            Hosts::Generated(hosts) => {
                let report = hosts[index].next_report(now_ms);
                let containers = report.tables.get(CONTAINER_TABLE).map_or(0, |table| table.rows.len());
                Message {
                    host_id: &report.host.id,
                    id: ReportId { epoch: report.epoch, seq: report.seq },
                    samples: 1 + containers as u64,
                    bytes: Cow::Owned(report.encode()),
                }
            }
            Hosts::Recorded(cast) => cast.next_message(index, now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wire_model::HostReport;

    use super::*;

    fn fleet(started_at_ms: i64, flags: &[&str]) -> Fleet {
        let flags: Vec<String> = [&["--bootstrap-server=127.0.0.1:1"], flags].concat().iter().map(|&flag| flag.into()).collect();
        let config: Config = service_runtime::config::read_with(&flags).unwrap();
        Fleet::new(&config, started_at_ms, started_at_ms).unwrap()
    }

    #[test]
    fn every_report_passes_the_backends_check() {
        let started_at = 1_795_184_000_000;
        let mut fleet = fleet(started_at, &["--hosts=3", "--containers=500"]);
        for number in 0..30 {
            let now = started_at + number * 700;
            let report = HostReport::decode(&fleet.next_message(now).bytes, now).unwrap();
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
        let mut fleet = fleet(1, &["--hosts=4", "--containers=0", "--interval-ms=1000"]);
        let mut due_ms = Vec::new();
        for _ in 0..6 {
            due_ms.push(fleet.next_is_due_after().as_millis());
            fleet.next_message(1);
        }
        assert_eq!(due_ms, [0, 250, 500, 750, 1000, 1250]);
    }

    #[test]
    fn a_seed_repeats_its_values_and_another_does_not() {
        let play = |seed: &str| {
            let mut fleet = fleet(1, &["--hosts=2", seed]);
            (0..6).map(|now| fleet.next_message(now).bytes.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(play("--seed=1"), play("--seed=1"));
        assert_ne!(play("--seed=1"), play("--seed=2"));
    }

    #[test]
    fn a_clock_that_stands_still_never_gives_two_reports_the_same_time() {
        let mut fleet = fleet(1, &["--hosts=1"]);
        let mut time = || HostReport::decode(&fleet.next_message(1_000).bytes, 2_000).unwrap().at;
        assert_eq!([time(), time(), time()], [1_000, 1_001, 1_002]);
    }
}
