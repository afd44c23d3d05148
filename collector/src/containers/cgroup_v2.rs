//! Control groups version 2 (Documentation/admin-guide/cgroup-v2.rst of the kernel).

use std::io;
use std::path::Path;

use super::usage::{Limits, Periods, Traffic, Usage};
use crate::host_root::TickFile;

/// Files of one control group. A controller that is not enabled for it has no files: its values are absent.
pub(super) struct CgroupV2 {
    cpu_stat: TickFile,
    cpu_max: TickFile,
    memory_current: TickFile,
    memory_stat: TickFile,
    memory_max: TickFile,
    io_stat: TickFile,
    pids_current: TickFile,
    limits: Limits,
}

impl CgroupV2 {
    pub(super) fn new(folder: &Path) -> CgroupV2 {
        let file = |name| TickFile::new(folder.join(name));
        CgroupV2 {
            cpu_stat: file("cpu.stat"),
            cpu_max: file("cpu.max"),
            memory_current: file("memory.current"),
            memory_stat: file("memory.stat"),
            memory_max: file("memory.max"),
            io_stat: file("io.stat"),
            pids_current: file("pids.current"),
            limits: Limits::default(),
        }
    }

    /// `cpu.stat` is in every group, so the group is gone when it cannot be read.
    pub(super) fn read(&mut self, with_limits: bool, buffer: &mut Vec<u8>) -> io::Result<Usage> {
        if with_limits {
            self.limits.cpus = self.cpu_max.read(buffer).ok().and_then(cpus);
            self.limits.memory_bytes = self.memory_max.read(buffer).ok().and_then(number);
        }
        let cpu = self.cpu_stat.read(buffer)?;
        let cpu_ns = value(cpu, "usage_usec").and_then(|microseconds| microseconds.checked_mul(1000));
        let periods = value(cpu, "nr_periods").zip(value(cpu, "nr_throttled")).map(|(all, throttled)| Periods { all, throttled });
        Ok(Usage {
            cpu_ns,
            periods,
            memory_bytes: self.memory_current.read(buffer).ok().and_then(number),
            inactive_file_bytes: self.memory_stat.read(buffer).ok().and_then(|text| value(text, "inactive_file")),
            network: None,
            disk: self.io_stat.read(buffer).ok().map(disk),
            processes: self.pids_current.read(buffer).ok().and_then(number),
            limits: self.limits,
        })
    }
}

/// A file of one number; `max` is none.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A line `name value`.
pub(super) fn value(text: &str, name: &str) -> Option<u64> {
    let rest = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(rest)
}

/// `QUOTA PERIOD`, both in µs, or `max PERIOD`.
fn cpus(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (period > 0.0).then_some(quota / period)
}

/// `8:0 rbytes=1 wbytes=2 rios=…`, a line for each device; empty before the first access.
fn disk(text: &str) -> Traffic {
    let sum = |key: &str| {
        text.split_ascii_whitespace()
            .filter_map(|field| field.strip_prefix(key)?.parse::<u64>().ok())
            .fold(0_u64, u64::wrapping_add)
    };
    Traffic { in_bytes: sum("rbytes="), out_bytes: sum("wbytes=") }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::sample_tree;
    use super::*;

    const CPU_STAT: &str = "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 40\nnr_throttled 10\nthrottled_usec 9\nnr_bursts 0\n";
    const MEMORY_STAT: &str = "anon 100\nfile 5000\nkernel 1\ninactive_anon 7\nactive_anon 8\ninactive_file 4096\nactive_file 904\nworkingset_refault_file 0\n";
    const IO_STAT: &str = "8:0 rbytes=1024 wbytes=2048 rios=1 wios=2 dbytes=0 dios=0\n253:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n7:0 \n";

    #[test]
    fn a_sample_tree_is_read() {
        let (folder, _) = sample_tree(&[
            ("cpu.stat", CPU_STAT),
            ("cpu.max", "150000 100000\n"),
            ("memory.current", "1048576\n"),
            ("memory.stat", MEMORY_STAT),
            ("memory.max", "67108864\n"),
            ("io.stat", IO_STAT),
            ("pids.current", "3\n"),
        ]);
        let mut cgroup = CgroupV2::new(folder.path());
        let expected = Usage {
            cpu_ns: Some(2_500_000_000),
            periods: Some(Periods { all: 40, throttled: 10 }),
            memory_bytes: Some(1_048_576),
            inactive_file_bytes: Some(4096),
            network: None,
            disk: Some(Traffic { in_bytes: 1025, out_bytes: 2050 }),
            processes: Some(3),
            limits: Limits { cpus: Some(1.5), memory_bytes: Some(67_108_864) },
        };
        assert_eq!(cgroup.read(true, &mut Vec::new()).unwrap(), expected);
        std::fs::write(folder.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(cgroup.read(false, &mut Vec::new()).unwrap(), expected, "limits are read now and then");
        assert_eq!(cgroup.read(true, &mut Vec::new()).unwrap().limits.memory_bytes, None);
    }

    #[test]
    fn what_a_group_does_not_have_is_absent_and_a_group_that_is_gone_an_error() {
        let (folder, _) = sample_tree(&[("cpu.stat", "usage_usec 1\n"), ("cpu.max", "max 100000\n"), ("io.stat", "")]);
        let usage = CgroupV2::new(folder.path()).read(true, &mut Vec::new()).unwrap();
        let expected = Usage { cpu_ns: Some(1000), disk: Some(Traffic::default()), ..Usage::default() };
        assert_eq!(usage, expected);
        assert!(CgroupV2::new(&folder.path().join("gone")).read(true, &mut Vec::new()).is_err());
    }

    #[test]
    fn odd_texts_are_absent() {
        for text in ["", "max 100000", "1", "a b", "100000 0"] {
            assert_eq!(cpus(text), None, "{text}");
        }
        assert_eq!(value("inactive_file_x 3\ninactive_file y\n", "inactive_file"), None);
        assert_eq!(disk("8:0 rbytes=x wbytes=-1\n"), Traffic::default());
    }
}
