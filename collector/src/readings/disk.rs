//! Disks: `/proc/diskstats` (Documentation/admin-guide/iostats.rst of the kernel). Whole disks, device mapper and md;
//! partitions are parts of a disk, loop and ram devices no disks.

use std::collections::HashMap;
use std::time::Instant;

use wire_model::Table;

use crate::columns::Columns;
use crate::fit;
use crate::host_root::{HostRoot, TickFile};
use crate::rates::{Former, per_second, share};
use crate::telemetry::unreadable;

/// The unit of diskstats, whatever the device's own sectors are.
const SECTOR_BYTES: u64 = 512;
/// Memory, files and removable media in the clothes of disks.
const NO_DISKS: [&str; 5] = ["loop", "ram", "zram", "sr", "fd"];
const METRICS: [&str; 5] = [
    "system.disk.read",
    "system.disk.write",
    "system.disk.read.operations",
    "system.disk.write.operations",
    "system.disk.utilization",
];

pub(crate) struct Disks {
    host: HostRoot,
    file: TickFile,
    columns: Columns,
    former: Former<HashMap<String, Counters>>,
    /// Asked once for each name: sysfs knows what is a partition.
    partitions: HashMap<String, bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
    /// Wraps at 2³² ms.
    busy_ms: u64,
}

impl Disks {
    pub(crate) fn new(host: &HostRoot) -> Disks {
        Disks {
            host: host.clone(),
            file: TickFile::new(host.path("proc/diskstats")),
            columns: Columns::new(&["device"], &METRICS),
            former: Former::default(),
            partitions: HashMap::new(),
        }
    }

    pub(crate) fn read(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Table> {
        let Ok(text) = self.file.read(buffer) else {
            unreadable("disk");
            self.former.forget();
            return None;
        };
        let mut disks: Vec<(&str, Counters)> = text.lines().filter_map(parse).collect();
        self.partitions.retain(|known, _| disks.iter().any(|(name, _)| name == known));
        let (host, partitions) = (&self.host, &mut self.partitions);
        disks.retain(|(name, _)| match partitions.get(*name) {
            Some(partition) => !partition,
            None => {
                let partition = host.path(format!("sys/class/block/{name}/partition")).exists();
                partitions.insert((*name).to_owned(), partition);
                !partition
            }
        });
        disks.sort_unstable_by_key(|(name, _)| *name);
        let kept = disks.iter().map(|(name, counters)| ((*name).to_owned(), *counters)).collect();
        let former = self.former.replace(now, kept);
        let mut table = self.columns.table();
        table.rows.extend(disks.iter().map(|(name, counters)| {
            let former = former.as_ref().and_then(|(former, elapsed)| Some((former.get(*name)?, *elapsed)));
            self.columns.row(&[name], former.map_or([None; 5], |(former, elapsed)| rates(former, counters, elapsed)))
        }));
        fit::table(&mut table, 0);
        Some(table)
    }
}

/// One line; `None` for what is no disk, was never used (empty slots of nbd and the like), or cannot be read. Fields
/// beyond the eleventh came with later kernels.
fn parse(line: &str) -> Option<(&str, Counters)> {
    let mut fields = line.split_ascii_whitespace();
    let name = fields.nth(2)?;
    if NO_DISKS.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
    {
        return None;
    }
    let mut numbers = [0_u64; 10];
    for number in &mut numbers {
        *number = fields.next()?.parse().ok()?;
    }
    let [reads, _, sectors_read, _, writes, _, sectors_written, _, _, busy_ms] = numbers;
    (reads > 0 || writes > 0).then(|| {
        let (read_bytes, written_bytes) = (sectors_read.wrapping_mul(SECTOR_BYTES), sectors_written.wrapping_mul(SECTOR_BYTES));
        (name, Counters { reads, read_bytes, writes, written_bytes, busy_ms })
    })
}

fn rates(before: &Counters, now: &Counters, elapsed: f64) -> [Option<f64>; 5] {
    [
        per_second(before.read_bytes, now.read_bytes, elapsed),
        per_second(before.written_bytes, now.written_bytes, elapsed),
        per_second(before.reads, now.reads, elapsed),
        per_second(before.writes, now.writes, elapsed),
        share(before.busy_ms as f64 / 1e3, now.busy_ms as f64 / 1e3, elapsed),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use wire_model::Cell;

    use super::*;

    const VDA: &str =
        " 254       0 vda 100 21425 2000 241354 50 112080 4000 54902 0 1000 299940 25797 51 5553552 2408 27189 1275";

    #[test]
    fn lines_of_every_kernel_are_read_and_what_is_no_disk_is_left_out() {
        let vda = Counters { reads: 100, read_bytes: 1_024_000, writes: 50, written_bytes: 2_048_000, busy_ms: 1000 };
        for (line, expected) in [
            (VDA, Some(("vda", vda))),
            // before 4.18: eleven fields
            (
                "8 0 sda 1 0 2 0 1 0 0 0 0 5 0",
                Some(("sda", Counters { reads: 1, read_bytes: 1024, writes: 1, written_bytes: 0, busy_ms: 5 })),
            ),
            ("7 0 loop0 1 0 2 0 1 0 0 0 0 5 0", None),
            ("253 0 zram0 1 0 2 0 1 0 0 0 0 5 0", None),
            (
                "9 0 loopback 1 0 2 0 1 0 0 0 0 5 0",
                Some(("loopback", Counters { reads: 1, read_bytes: 1024, writes: 1, written_bytes: 0, busy_ms: 5 })),
            ),
            ("43 0 nbd0 0 0 0 0 0 0 0 0 0 0 0", None),
            ("8 0 sda 1 0 2 0", None),
            ("8 0 sda a b c d e f g h i j k", None),
            ("", None),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn rates_are_absent_after_a_wrap_of_just_that_counter() {
        let before = Counters { reads: 10, read_bytes: 1000, writes: 10, written_bytes: 1000, busy_ms: 4_294_967_000 };
        let now = Counters { reads: 20, read_bytes: 3000, writes: 5, written_bytes: 1000, busy_ms: 4 };
        assert_eq!(rates(&before, &now, 2.0), [Some(1000.0), Some(0.0), Some(5.0), None, None]);
    }

    #[test]
    fn a_disk_that_vanishes_and_returns_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc")).unwrap();
        fs::create_dir_all(folder.path().join("sys/class/block/vda1/partition")).unwrap();
        let (mut disks, mut buffer, start) = (Disks::new(&HostRoot::new(folder.path())), Vec::new(), Instant::now());
        let sdb = "8 16 sdb 1 0 2 0 1 0 0 0 0 5 0";
        let part = "254 1 vda1 1 0 2 0 1 0 0 0 0 5 0";
        let mut read = |second: u64, lines: &[&str]| {
            fs::write(folder.path().join("proc/diskstats"), lines.join("\n")).unwrap();
            let table = disks.read(start + Duration::from_secs(second), &mut buffer).unwrap();
            table.rows.into_iter().map(|row| (row[0].text().unwrap().to_owned(), row[1].clone())).collect::<Vec<_>>()
        };
        let zero = || Cell::Number(0.0);
        assert_eq!(read(0, &[VDA, sdb, part]), [("sdb".to_owned(), Cell::Null), ("vda".to_owned(), Cell::Null)]);
        assert_eq!(read(2, &[VDA, sdb]), [("sdb".to_owned(), zero()), ("vda".to_owned(), zero())]);
        assert_eq!(read(4, &[VDA]), [("vda".to_owned(), zero())]);
        assert_eq!(read(6, &[VDA, sdb]), [("sdb".to_owned(), Cell::Null), ("vda".to_owned(), zero())]);
        assert_eq!(read(8, &["garbage"]), []);
    }
}
