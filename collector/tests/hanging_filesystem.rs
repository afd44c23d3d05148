//! A FUSE filesystem whose server never answers, mounted for real; needs root.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod rig;

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rig::{Collector, INTERVAL_MS, Kafka, cell};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Every call to it waits until the connection is closed.
struct DeadFuse {
    path: PathBuf,
    connection: Option<std::fs::File>,
}

impl DeadFuse {
    fn mount(path: PathBuf) -> DeadFuse {
        std::fs::create_dir(&path).unwrap();
        let connection = OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("open /dev/fuse");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", connection.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        mount("dead", &path, "fuse.dead", MountFlags::empty(), options.as_c_str()).expect("mount as root");
        DeadFuse { path, connection: Some(connection) }
    }

    /// The kernel answers all calls with an error.
    fn disconnect(&mut self) {
        self.connection = None;
    }
}

impl Drop for DeadFuse {
    fn drop(&mut self) {
        self.disconnect();
        unmount(&self.path, UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_filesystem_costs_its_own_values_and_no_tick() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&kafka, &folder.path().join("spool"), &[]);
    kafka.until("a second report", |report| report.seq == 2);
    let mut dead = DeadFuse::mount(folder.path().join("dead mount"));
    let path = dead.path.to_str().unwrap().to_owned();
    // it really hangs
    let (sender, receiver) = std::sync::mpsc::channel();
    let asked = dead.path.clone();
    let asking = std::thread::spawn(move || sender.send(rustix::fs::statvfs(&asked)).unwrap());
    assert!(receiver.recv_timeout(Duration::from_millis(500)).is_err(), "the filesystem answers");

    let first = kafka.until("the dead mount", |report| cell(&report.tables["filesystem"], &path, "type").is_some());
    let mut former = first.clone();
    let start = Instant::now();
    for _ in 0..15 {
        let report = kafka.next();
        assert_eq!(
            (report.seq, report.at - former.at < i64::from(INTERVAL_MS) * 3 / 2),
            (former.seq + 1, true),
            "no tick is late"
        );
        let filesystems = &report.tables["filesystem"];
        assert_eq!(cell(filesystems, &path, "type").unwrap().text(), Some("fuse.dead"));
        assert_eq!(cell(filesystems, &path, "system.filesystem.usage").unwrap().number(), None);
        assert!(cell(filesystems, "/", "system.filesystem.usage").unwrap().number().is_some(), "the others are measured");
        former = report;
    }
    assert!(start.elapsed() < Duration::from_millis(u64::from(INTERVAL_MS)) * 15 + Duration::from_secs(2));
    dead.disconnect();
    assert!(receiver.recv_timeout(Duration::from_secs(10)).unwrap().is_err());
    asking.join().unwrap();
    drop(dead);
    kafka.until("no dead mount", |report| cell(&report.tables["filesystem"], &path, "type").is_none());
    collector.stop().await;
}
