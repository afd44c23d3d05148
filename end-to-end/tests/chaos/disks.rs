//! Disks that are full for a while: a tmpfs and a file that takes all that is left of it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::room::{Plan, Room};

const FULL: Duration = Duration::from_secs(20);
const FILLING: [u8; 4096] = [0; 4096];

/// Gone when it is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn mount(mib: u32) -> SmallDisk {
        let folder = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "chaos"]).arg(folder.path()).output();
        let mounted = mounted.unwrap();
        assert!(mounted.status.success(), "root mounts the disk: {}", String::from_utf8_lossy(&mounted.stderr));
        SmallDisk { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// To the last byte.
    fn fill(&self) {
        let mut filling = File::options().create(true).append(true).open(self.file("filling")).unwrap();
        while filling.write_all(&FILLING).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.file("filling")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // lazily: a process that a failed test leaves for a moment may still have files open
        let unmounted = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
        if !unmounted.is_ok_and(|output| output.status.success()) {
            eprintln!("{} stays mounted", self.folder.path().display());
        }
    }
}

/// While Kafka takes nothing either: reports wait in memory until the disk takes them.
pub async fn under_the_spool() {
    let disk = SmallDisk::mount(16);
    let mut room = Room::open(Plan { collectors: 2, spools: Some(disk.path().to_owned()), ..Plan::default() }).await;
    for _ in 0..2 {
        room.site.kafka.broker("kill", 1);
        disk.fill();
        tokio::time::sleep(FULL).await;
        disk.free();
        tokio::time::sleep(FULL / 4).await;
        room.site.kafka.broker("start", 1);
        room.flow().await;
    }
    // and with a Kafka that takes them
    disk.fill();
    room.flow().await;
    disk.free();
    room.flow().await;
    room.prove("the disk under the spools is full: for 20 s while the broker is down, twice, and once while it is up").await;
}

/// The backend answers 503, and the consumers wait.
pub async fn under_sqlite() {
    let disk = SmallDisk::mount(256);
    let mut room = Room::open(Plan { sqlite: Some(disk.file("store.db")), consumers: 2, ..Plan::default() }).await;
    for _ in 0..3 {
        disk.fill();
        tokio::time::sleep(FULL).await;
        disk.free();
        room.flow().await;
    }
    room.prove("the disk under SQLite is full for 20 s, three times").await;
}
