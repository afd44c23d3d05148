//! Space of filesystems: statvfs(3) at each mount point. A mount that does not answer costs its own values only.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::StatVfs;
use wire_model::Table;

use super::mounts::{Mount, filesystems};
use crate::columns::Columns;
use crate::fit;
use crate::host_root::{HostRoot, TickFile};
use crate::slow_calls::SlowCalls;
use crate::telemetry::unreadable;

/// The kernel tells when the mount table changes; this is for files that cannot tell.
const LIST_EVERY: Duration = Duration::from_secs(30);
const METRICS: [&str; 6] = [
    "system.filesystem.limit",
    "system.filesystem.usage",
    "system.filesystem.utilization",
    "system.filesystem.inodes.limit",
    "system.filesystem.inodes.usage",
    "system.filesystem.inodes.utilization",
];

type Answer = Result<StatVfs, rustix::io::Errno>;

pub(crate) struct Filesystems {
    mountinfo: TickFile,
    listed_at: Option<Instant>,
    mounts: Vec<Mount>,
    columns: Columns,
    calls: SlowCalls<PathBuf, Answer>,
}

impl Filesystems {
    pub(crate) fn new(host: &HostRoot) -> Filesystems {
        let root = host.clone();
        Filesystems::with(host, move |path| rustix::fs::statvfs(root.path(path)))
    }

    fn with(host: &HostRoot, statvfs: impl Fn(&Path) -> Answer + Send + Sync + 'static) -> Filesystems {
        Filesystems {
            mountinfo: TickFile::new(host.first_of(&["proc/1/mountinfo", "proc/self/mountinfo"])),
            listed_at: None,
            mounts: Vec::new(),
            columns: Columns::new(&["mountpoint", "type"], &METRICS),
            calls: SlowCalls::new("statvfs", move |path: &PathBuf| statvfs(path)),
        }
    }

    /// Asks all mounts but those that still hang.
    pub(crate) fn begin(&mut self, now: Instant, buffer: &mut Vec<u8>) {
        let due = self.listed_at.is_none_or(|then| now.saturating_duration_since(then) >= LIST_EVERY);
        if due || self.table_changed() {
            match self.mountinfo.read_bytes(buffer) {
                Ok(text) => {
                    self.mounts = filesystems(text);
                    self.listed_at = Some(now);
                }
                Err(_) => {
                    unreadable("mounts");
                    self.listed_at = None;
                }
            }
        }
        self.calls.begin(self.mounts.iter().map(|mount| mount.path.clone()));
    }

    /// A row for each mount; one that did not answer has no values.
    pub(crate) fn finish(&mut self, patience: Duration) -> Option<Table> {
        let answers = self.calls.finish(patience);
        self.listed_at?;
        let mut table = self.columns.table();
        table.rows.extend(self.mounts.iter().map(|mount| {
            let space = match answers.get(&mount.path) {
                Some(Ok(space)) => values(space),
                Some(Err(_)) => {
                    unreadable("filesystem");
                    [None; 6]
                }
                None => {
                    unreadable("filesystem_hanging");
                    [None; 6]
                }
            };
            self.columns.row(&[&mount.path.to_string_lossy(), &mount.kind], space)
        }));
        fit::table(&mut table, 0);
        Some(table)
    }

    /// proc_pid_mounts(5): a change raises an exceptional condition on the open file.
    fn table_changed(&self) -> bool {
        let Some(file) = self.mountinfo.handle() else { return true };
        let mut polled = [PollFd::new(file, PollFlags::PRI)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(PollFlags::PRI | PollFlags::ERR)
    }
}

/// As df(1) shows it: what is reserved for root is neither used nor there.
fn values(space: &StatVfs) -> [Option<f64>; 6] {
    let unit = space.f_frsize as f64;
    let used = space.f_blocks.saturating_sub(space.f_bfree) as f64;
    let limit = used + space.f_bavail as f64;
    // btrfs, zfs and network filesystems make inodes as needed
    let inodes = (space.f_files > 0).then_some(space.f_files as f64);
    let inodes_used = inodes.map(|inodes| (inodes - space.f_ffree as f64).max(0.0));
    [
        Some(limit * unit),
        Some(used * unit),
        (limit > 0.0).then(|| used / limit),
        inodes,
        inodes_used,
        inodes.zip(inodes_used).map(|(inodes, used)| used / inodes),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Mutex, mpsc};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn root_of_this_machine() -> StatVfs {
        rustix::fs::statvfs("/").unwrap()
    }

    #[test]
    fn space_is_what_df_shows() {
        let space = StatVfs {
            f_frsize: 4096,
            f_blocks: 1000,
            f_bfree: 400,
            f_bavail: 200,
            f_files: 100,
            f_ffree: 25,
            ..root_of_this_machine()
        };
        let expected = [Some(800.0 * 4096.0), Some(600.0 * 4096.0), Some(0.75), Some(100.0), Some(75.0), Some(0.75)];
        assert_eq!(values(&space), expected);
        let empty = StatVfs { f_blocks: 0, f_bfree: 0, f_bavail: 0, f_files: 0, ..space };
        assert_eq!(values(&empty), [Some(0.0), Some(0.0), None, None, None, None]);
    }

    #[test]
    fn this_machines_root_agrees_with_df() {
        let mut filesystems = Filesystems::new(&HostRoot::new(Path::new("/")));
        filesystems.begin(Instant::now(), &mut Vec::new());
        let table = filesystems.finish(Duration::from_secs(5)).unwrap();
        let root = table.rows.iter().find(|row| row[0].text() == Some("/")).unwrap();
        let df = std::process::Command::new("df").args(["--output=used", "-B1", "/"]).output().unwrap();
        let used: f64 = String::from_utf8(df.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap();
        let read = root[3].number().unwrap();
        assert!((read - used).abs() < 500e6, "others write meanwhile, but not that much: {read} {used}");
    }

    #[test]
    fn a_mount_that_hangs_keeps_its_row_without_values_and_delays_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc/1")).unwrap();
        let mountinfo = "27 1 254:0 / / rw - ext4 a rw\n40 27 0:40 / /nfs rw - nfs4 b rw\n41 27 254:1 / /zdata rw - ext4 c rw\n";
        fs::write(folder.path().join("proc/1/mountinfo"), mountinfo).unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let mut filesystems = Filesystems::with(&HostRoot::new(folder.path()), move |path| {
            if path == Path::new("/nfs") {
                assert!(gate.lock().unwrap().recv().is_err());
            }
            Ok(root_of_this_machine())
        });
        let mut read = || {
            let start = Instant::now();
            filesystems.begin(start, &mut Vec::new());
            let table = filesystems.finish(PATIENCE).unwrap();
            let answered: Vec<_> =
                table.rows.iter().map(|row| (row[0].text().unwrap().to_owned(), row[2].number().is_some())).collect();
            (answered, start.elapsed())
        };
        let hanging = [("/".to_owned(), true), ("/nfs".to_owned(), false), ("/zdata".to_owned(), true)];
        assert_eq!(read().0, hanging);
        let (answered, took) = read();
        assert_eq!(answered, hanging);
        assert!(took < PATIENCE / 2, "{took:?}");
        drop(release);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !read().0[1].1 {
            assert!(Instant::now() < deadline, "it answers again and has no values");
        }
    }
}
