//! Hosts that play one recording: each from a moment of its own, at a size of its own, round and round.
//!
//! Everything is encoded before the first report is sent; a report then costs a copy and some dozen short writes.

use std::borrow::Cow;

use anyhow::ensure;
use wire_model::{CONTAINER_TABLE, Cell, HostReport, ReportId, Table};

use super::Recording;
use super::scale::{SIZES, factor, scale};
use super::template::{Parts, Template};
use crate::Config;
use crate::fleet::Message;

pub(crate) struct Cast {
    /// The recording, encoded once for each size.
    sizes: Vec<Vec<Template>>,
    hosts: Vec<Host>,
    epoch: u64,
    begins_at_ms: i64,
    /// Uptime in the recording's first report, in s.
    uptime: u64,
    /// The last report.
    message: Vec<u8>,
}

struct Host {
    id: String,
    name: String,
    /// Of the next report in the recording.
    position: usize,
    seq: u64,
    at: i64,
}

impl Cast {
    /// `started_at_ms` becomes the epoch; `begins_at_ms` is the time of the first reports (Unix ms).
    pub(crate) fn new(config: &Config, recording: &Recording, started_at_ms: i64, begins_at_ms: i64) -> anyhow::Result<Cast> {
        let reports = &recording.reports;
        let tables = reports.iter().filter_map(|report| report.tables.get(CONTAINER_TABLE));
        let recorded = tables.flat_map(|table| table.rows.iter().map(|row| number(table, row))).max().unwrap_or_default();
        let containers = config.containers.map_or(recorded, |containers| containers as usize);
        ensure!(containers <= recorded, "the recording has {recorded} containers on its host, {containers} are wanted");
        let sizes = (0..SIZES.min(config.hosts)).map(|size| {
            let templates = reports.iter().map(|report| {
                let mut report = report.clone();
                prepare(&mut report, config, containers, begins_at_ms - reports[0].at);
                scale(&mut report, factor(size));
                Template::new(report)
            });
            templates.collect::<anyhow::Result<Vec<_>>>()
        });
        let host = |number: u32| {
            let id = format!("loadgen-{number:04}");
            let position = (number - 1) as usize * reports.len() / config.hosts as usize;
            Host { name: config.name_of(number, &id), id, position, seq: 0, at: 0 }
        };
        Ok(Cast {
            sizes: sizes.collect::<anyhow::Result<_>>()?,
            hosts: (1..=config.hosts).map(host).collect(),
            epoch: u64::try_from(started_at_ms).unwrap_or_default(),
            begins_at_ms,
            uptime: uptime(&reports[0]),
            message: Vec::new(),
        })
    }

    /// A host's next report. Its time is later than that of the one before, whatever the clock says.
    pub(crate) fn next_message(&mut self, index: usize, now_ms: i64) -> Message<'_> {
        let sizes = self.sizes.len();
        let host = &mut self.hosts[index];
        let templates = &self.sizes[index % sizes];
        let reports = templates.len();
        let template = &templates[host.position];
        host.position = (host.position + 1) % reports;
        host.seq += 1;
        host.at = now_ms.max(host.at + 1);
        let parts = Parts {
            host_id: &host.id,
            host_name: &host.name,
            host_number: u32::try_from(index + 1).unwrap_or(u32::MAX),
            epoch: self.epoch,
            seq: host.seq,
            at: host.at,
            uptime: self.uptime + u64::try_from((host.at - self.begins_at_ms) / 1_000).unwrap_or_default(),
        };
        template.fill(&parts, &mut self.message);
        Message {
            host_id: &host.id,
            id: ReportId { epoch: self.epoch, seq: host.seq },
            samples: 1 + template.containers() as u64,
            bytes: Cow::Borrowed(&self.message),
        }
    }
}

/// Only containers up to this number, which run as long before the play's begin as they did before the recording's.
fn prepare(report: &mut HostReport, config: &Config, containers: usize, later_by_ms: i64) {
    report.interval_ms = config.interval_ms;
    let Some(table) = report.tables.get_mut(CONTAINER_TABLE) else { return };
    let mut rows = std::mem::take(&mut table.rows);
    rows.retain(|row| number(table, row) <= containers);
    table.rows = rows;
    let Some(started_at) = table.column("started_at") else { return };
    for cell in table.rows.iter_mut().map(|row| &mut row[started_at]) {
        if let Cell::Number(started_at) = cell {
            *started_at += later_by_ms as f64;
        }
    }
}

/// A recorded container's number is its id.
fn number(table: &Table, row: &[Cell]) -> usize {
    let id = table.column("id").and_then(|id| row[id].text());
    id.and_then(|id| usize::from_str_radix(id, 16).ok()).unwrap_or(usize::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds, which are never negative")]
fn uptime(report: &HostReport) -> u64 {
    report.metrics.get("system.uptime").copied().flatten().unwrap_or_default().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::recording::template::tests::report;

    const START: i64 = 1_800_000_000_000;
    const REPORTS: usize = 5;

    fn recording() -> Recording {
        let reports = (0..REPORTS as i32).map(|number| {
            let mut report = report(&[("one", f64::from(number) / 10.0), ("two", 0.001)]);
            report.at += i64::from(number) * 2_000;
            report.metrics.insert("system.cpu.utilization".to_owned(), Some(f64::from(number) / 10.0));
            report
        });
        let mut reports: Vec<HostReport> = reports.collect();
        crate::recording::neutral::make(&mut reports);
        Recording { reports }
    }

    fn cast(flags: &[&str]) -> anyhow::Result<Cast> {
        let flags: Vec<String> = [&["--bootstrap-server=127.0.0.1:1"], flags].concat().iter().map(|&flag| flag.into()).collect();
        Cast::new(&service_runtime::config::read_with(&flags).unwrap(), &recording(), START, START)
    }

    fn play(cast: &mut Cast, host: usize, now: i64) -> HostReport {
        let message = cast.next_message(host, now);
        let report = HostReport::decode(&message.bytes, now).unwrap();
        assert_eq!((message.host_id, message.id), (report.host.id.as_str(), ReportId { epoch: report.epoch, seq: report.seq }));
        assert_eq!(message.samples, 1 + report.tables[CONTAINER_TABLE].rows.len() as u64);
        report
    }

    #[test]
    fn each_host_plays_the_whole_recording_at_its_size_from_its_own_moment() {
        let hosts = 20;
        let mut cast = cast(&[&format!("--hosts={hosts}"), "--interval-ms=1000"]).unwrap();
        let mut begins = BTreeSet::new();
        for host in 0..hosts {
            let factor = factor(host as u32);
            let mut values = Vec::new();
            for seq in 0..2 * REPORTS as i64 {
                let now = START + seq * 1_000;
                let report = play(&mut cast, host, now);
                assert_eq!((report.seq, report.at, report.interval_ms), (seq as u64 + 1, now, 1_000));
                assert_eq!(report.metrics["system.memory.limit"], Some(8_192_000.0), "limits are not scaled");
                assert_eq!(report.metrics["system.memory.usage"], Some((1000.0 * factor).round() * 4096.0));
                assert_eq!(report.metrics["system.uptime"], Some(5_000.0 + seq as f64));
                let container = &report.tables[CONTAINER_TABLE].rows[0];
                let cpu = report.metrics["system.cpu.utilization"].unwrap();
                assert_eq!(container[5].number(), Some(cpu), "scaled alike");
                values.push((cpu / factor * 10.0).round() as usize);
            }
            begins.insert(values[0]);
            let expected: Vec<usize> = (0..2 * REPORTS).map(|index| (values[0] + index) % REPORTS).collect();
            assert_eq!(values, expected);
        }
        assert_eq!(begins.len(), REPORTS, "hosts are spread over the recording");
    }

    #[test]
    fn all_hosts_and_containers_are_different_machines() {
        let mut cast = cast(&["--hosts=300"]).unwrap();
        let mut ids = BTreeSet::new();
        for host in 0..300 {
            let report = play(&mut cast, host, START);
            ids.extend(report.tables[CONTAINER_TABLE].rows.iter().map(|row| row[1].text().unwrap().to_owned()));
            ids.insert(report.host.id);
        }
        assert_eq!(ids.len(), 300 * 3);
    }

    #[test]
    fn fewer_containers_are_the_busiest_and_more_than_recorded_is_an_error() {
        let mut one = cast(&["--hosts=1", "--containers=1"]).unwrap();
        let rows = &play(&mut one, 0, START).tables[CONTAINER_TABLE].rows;
        assert_eq!(rows.iter().map(|row| row[0].text().unwrap()).collect::<Vec<_>>(), ["container-001"]);
        let error = cast(&["--containers=3"]).err().unwrap().to_string();
        assert_eq!(error, "the recording has 2 containers on its host, 3 are wanted");
    }

    #[test]
    fn a_clock_that_stands_still_gives_every_report_a_time_of_its_own() {
        let mut cast = cast(&["--hosts=1"]).unwrap();
        let times: Vec<i64> = (0..3).map(|_| play(&mut cast, 0, START).at).collect();
        assert_eq!(times, [START, START + 1, START + 2]);
    }
}
