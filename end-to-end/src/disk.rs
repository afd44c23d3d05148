//! A disk that a test can fill.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const FILLING: [u8; 4096] = [0; 4096];

/// Gone when it is dropped. Needs root.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of so many MiB.
    pub fn mount(mib: u32) -> SmallDisk {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "test"]).arg(folder.path()));
        SmallDisk { folder }
    }

    /// The same as an ext4 in a file, for those to whom a tmpfs is memory and no disk.
    pub fn with_blocks(mib: u64) -> SmallDisk {
        let folder = tempfile::tempdir().unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(mib * 1024 * 1024).unwrap();
        run(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(image.path()));
        // the mount holds the file from now on
        run(Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(folder.path()));
        SmallDisk { folder }
    }

    /// A file on it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// To the last byte.
    pub fn fill(&self) {
        let mut filling = File::options().create(true).append(true).open(self.file("filling")).unwrap();
        while filling.write_all(&FILLING).is_ok() {}
    }

    /// What [`fill`](SmallDisk::fill) took.
    pub fn free(&self) {
        std::fs::remove_file(self.file("filling")).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}, as root: {}", String::from_utf8_lossy(&output.stderr));
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
