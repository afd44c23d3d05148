//! Number of processes. The link count of `/proc` is that of its fixed folders plus the kernel's own count of processes
//! (`proc_root_getattr` in fs/proc/root.c), so one `stat` is enough; listing thousands of processes would be the dearest
//! reading of all. The fixed part is measured by listing once in a while.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::HostMetrics;
use crate::host_root::HostRoot;
use crate::telemetry::unreadable;

/// Ticks between two listings: modules may add a fixed folder.
const LIST_EVERY: u32 = 300;
/// Listings until the link count did not change meanwhile.
const ATTEMPTS: usize = 5;

pub(crate) struct Processes {
    folder: PathBuf,
    fixed: Option<u64>,
    ticks: u32,
}

impl Processes {
    pub(crate) fn new(host: &HostRoot) -> Processes {
        Processes { folder: host.path("proc"), fixed: None, ticks: 0 }
    }

    pub(crate) fn read(&mut self, metrics: &mut HostMetrics) {
        let count = self.count().inspect_err(|_| unreadable("process")).ok();
        metrics.set("system.process.count", count.map(|count| count as f64));
    }

    fn count(&mut self) -> io::Result<u64> {
        if self.ticks.is_multiple_of(LIST_EVERY) || self.fixed.is_none() {
            let (listed, fixed) = list(&self.folder)?;
            self.fixed = fixed;
            self.ticks = 1;
            return Ok(listed);
        }
        self.ticks += 1;
        let links = fs::metadata(&self.folder)?.nlink();
        Ok(links.saturating_sub(self.fixed.unwrap_or_default()))
    }
}

/// Processes by listing, and what the link count has on top of them; `None` where it follows another rule.
fn list(folder: &Path) -> io::Result<(u64, Option<u64>)> {
    let mut listed = 0;
    for _ in 0..ATTEMPTS {
        let before = fs::metadata(folder)?.nlink();
        listed = 0;
        for entry in fs::read_dir(folder)? {
            listed += u64::from(entry?.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
        }
        if fs::metadata(folder)?.nlink() == before {
            return Ok((listed, before.checked_sub(listed).filter(|_| before > 2)));
        }
    }
    Ok((listed, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_count_agrees_with_the_listing() {
        let mut processes = Processes::new(&HostRoot::new(Path::new("/")));
        let mut smallest_difference = u64::MAX;
        for _ in 0..20 {
            let counted = processes.count().unwrap();
            let (listed, _) = list(Path::new("/proc")).unwrap();
            smallest_difference = smallest_difference.min(counted.abs_diff(listed));
        }
        // others start and end processes meanwhile
        assert!(processes.fixed.is_some() && smallest_difference <= 3, "{smallest_difference} {:?}", processes.fixed);
    }

    #[test]
    fn a_folder_that_counts_links_in_another_way_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1", "22", "self", "sys"] {
            fs::create_dir_all(folder.path().join("proc").join(name)).unwrap();
        }
        let mut processes = Processes::new(&HostRoot::new(folder.path()));
        for _ in 0..3 {
            assert_eq!(processes.count().unwrap(), 2);
        }
    }
}
