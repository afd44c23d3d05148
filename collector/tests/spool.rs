//! The spool under a running collector: its disk full, its files damaged, its limit reached.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rig::{Collector, DEADLINE, Kafka};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use spool::{Record, Spool};
use wire_model::{HostInfo, HostReport, Removed, ReportId, SCHEMA};

const LIMIT: u64 = 4 * 1024 * 1024;

/// A small filesystem of its own; needs root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> SmallDisk {
        fs::create_dir(&path).unwrap();
        mount("small", &path, "tmpfs", MountFlags::empty(), c"size=8m").expect("mount as root");
        SmallDisk(path)
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        let error = std::io::copy(&mut std::io::repeat(7), &mut file).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// Reports without a gap, from `from` to the first one for which `until` says so.
fn follow(kafka: &Kafka, mut from: u64, until: impl Fn(&HostReport) -> bool) -> HostReport {
    loop {
        let report = kafka.next();
        assert_eq!((report.seq, report.removed), (from, Removed::default()), "none is missing, none is doubled");
        if until(&report) {
            return report;
        }
        from += 1;
    }
}

fn metric(report: &HostReport, name: &str) -> f64 {
    report.metrics[name].unwrap_or_else(|| panic!("{name} is absent"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_no_report_and_what_waited_in_memory_goes_to_the_disk() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let disk = SmallDisk::mount(folder.path().join("disk"));
    let flags = [format!("--spool-max-bytes={LIMIT}")];
    let collector = Collector::start(&kafka, &disk.0.join("spool"), &flags);
    let before = follow(&kafka, 1, |report| report.seq == 3);
    disk.fill();
    let during = follow(&kafka, before.seq + 1, |report| report.seq == before.seq + 20);
    // now neither the disk nor Kafka takes anything
    kafka.cluster.broker_down(1).unwrap();
    let spooled = || spool_bytes(&disk.0.join("spool/spool"));
    let made = || fs::read(disk.0.join("spool/spool/made")).unwrap();
    let full = spooled();
    for _ in 0..15 {
        let former = made();
        wait_until("one more report waits in memory", || made() != former);
    }
    assert_eq!(spooled(), full);
    disk.make_room();
    wait_until("what waited in memory is on disk", || spooled() > full + 10_000);
    kafka.cluster.broker_up(1).unwrap();
    let after =
        follow(&kafka, during.seq + 1, |report| metric(report, "collector.spool.age") < 0.5 && report.seq > during.seq + 25);
    assert_eq!(metric(&after, "collector.reports.dropped"), 0.0);
    collector.stop().await;
}

/// Reports of all starts behind `last`, each epoch to its end: those that are missing, and the last one, the first for which `until` says so.
fn follow_starts(kafka: &Kafka, mut last: ReportId, until: impl Fn(&HostReport) -> bool) -> (u64, ReportId) {
    let mut missing = 0;
    loop {
        let report = kafka.next();
        let id = ReportId { epoch: report.epoch, seq: report.seq };
        if id <= last {
            // acknowledged, and killed before it was noted
            continue;
        }
        missing += if id.epoch == last.epoch {
            id.seq - last.seq - 1
        } else {
            let end = report.previous.unwrap();
            assert_eq!(end.epoch, last.epoch);
            end.seq - last.seq + id.seq - 1
        };
        last = id;
        if until(&report) {
            return (missing, last);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_no_start_and_what_a_restart_loses_from_memory_is_missed() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let disk = SmallDisk::mount(folder.path().join("disk"));
    let spool = disk.0.join("spool");
    let flags = [format!("--spool-max-bytes={LIMIT}")];
    let collector = Collector::start(&kafka, &spool, &flags);
    let before = follow(&kafka, 1, |report| report.seq == 3);
    disk.fill();
    collector.stop().await;
    let mut last = ReportId { epoch: before.epoch, seq: before.seq };
    let mut missing;
    for epoch in 2..=4 {
        let collector = Collector::start(&kafka, &spool, &flags);
        (missing, last) = follow_starts(&kafka, last, |report| report.epoch == epoch && report.seq == 10);
        assert_eq!(missing, 0, "what Kafka takes is not lost");
        collector.stop().await;
    }
    let collector = Collector::start(&kafka, &spool, &flags);
    (missing, last) = follow_starts(&kafka, last, |report| report.epoch == 5 && report.seq == 3);
    assert_eq!(missing, 0);
    kafka.cluster.broker_down(1).unwrap();
    let made = || fs::read(spool.join("spool/made")).unwrap();
    for _ in 0..10 {
        let former = made();
        wait_until("one more report waits in memory", || made() != former);
    }
    collector.stop().await;
    kafka.cluster.broker_up(1).unwrap();
    let collector = Collector::start(&kafka, &spool, &flags);
    (missing, last) = follow_starts(&kafka, last, |report| report.epoch == 6 && report.seq == 3);
    assert!(missing >= 9 && last.epoch == 6, "{missing}");
    disk.make_room();
    collector.stop().await;
}

fn wait_until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !check() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    paths
}

fn spool_bytes(folder: &Path) -> u64 {
    segments(folder).iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
}

/// What a former start of host `this` left behind.
fn leave_behind(spool: &Path, reports: u64, bytes: usize) -> Removed {
    let mut spool = Spool::open(&spool.join("spool"), LIMIT).unwrap();
    let label = || (0..250).map(|_| fastrand::alphanumeric()).collect::<String>();
    for seq in 1..=reports {
        let host = HostInfo {
            id: "this".to_owned(),
            name: "this".to_owned(),
            labels: (0..bytes / 256).map(|index| (format!("k{index}"), label())).collect(),
            os: None,
            kernel: None,
            cpus: None,
            collector: None,
        };
        let id = ReportId { epoch: 1, seq };
        let at = i64::try_from(1_795_000_000_000 + seq * 2_000).unwrap();
        let report = HostReport {
            schema: SCHEMA,
            host,
            epoch: id.epoch,
            seq,
            at,
            interval_ms: 2_000,
            previous: None,
            metrics: [].into(),
            tables: [].into(),
            removed: Removed::default(),
        };
        let record = Record { id, at, removed: Removed::default(), key: "this".to_owned(), payload: report.encode() };
        spool.append(&record).unwrap();
    }
    spool.totals().removed
}

/// All of epoch 1, then the first of epoch 2: what is said to be missing is exactly what is.
fn account(kafka: &Kafka, reports: u64, last_known: u64) -> (u64, Removed) {
    let (mut last, mut came, mut removed) = (0, 0, Removed::default());
    loop {
        let report = kafka.next();
        if report.epoch == 2 {
            assert_eq!(report.previous, Some(ReportId { epoch: 1, seq: last_known }));
            assert_eq!(last + report.removed.total(), reports, "the end of the former epoch");
            // it was made when none of the others was sent
            assert!(metric(&report, "collector.spool.age") > 1.0, "the age of what the former start left");
            return (came, removed.plus(report.removed));
        }
        assert_eq!(last + report.removed.total() + 1, report.seq);
        (last, came, removed) = (report.seq, came + 1, removed.plus(report.removed));
    }
}

fn start(kafka: &Kafka, spool: &Path) -> Collector {
    let flags = [format!("--spool-max-bytes={LIMIT}"), "--host-id=this".to_owned(), "--collect-interval-ms=100".to_owned()];
    Collector::start(kafka, spool, &flags)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_was_full_arrives_thinned_and_cut_and_says_so_to_the_report() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let made = 4_500;
    let expected = leave_behind(folder.path(), made, 16 * 1024);
    assert!(expected.thinned > 1_000 && expected.dropped > 50, "{expected:?}");
    let begun = Instant::now();
    let collector = start(&kafka, folder.path());
    let (came, removed) = account(&kafka, made, made);
    let took = begun.elapsed();
    assert_eq!(removed, expected);
    assert_eq!(came + removed.total(), made);
    // 5 reports of each 100 ms
    assert!(took > Duration::from_millis(came * 20).mul_f64(0.9), "{came} reports in {took:?}: a backlog does not rush");
    // the first one that is made when nothing waits any more
    let report = kafka.until("an empty spool", |report| metric(report, "collector.spool.reports") == 0.0);
    assert_eq!(metric(&report, "collector.spool.age"), 0.0);
    assert_eq!(metric(&report, "collector.spool.limit"), LIMIT as f64);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_costs_what_is_damaged_and_nothing_else() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let made = 60;
    leave_behind(folder.path(), made, 512);
    let path = segments(&folder.path().join("spool")).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let (middle, end) = (bytes.len() / 2, bytes.len());
    bytes[middle] ^= 1;
    bytes[end - 20..].fill(0);
    fs::write(&path, bytes).unwrap();
    let collector = start(&kafka, folder.path());
    let (came, removed) = account(&kafka, made, made - 1);
    assert_eq!((came, removed), (made - 2, Removed { damaged: 2, ..Removed::default() }));
    collector.stop().await;
}
