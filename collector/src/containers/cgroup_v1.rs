//! Control groups version 1 (Documentation/admin-guide/cgroup-v1/ of the kernel): a tree for each controller.

use std::io;
use std::path::PathBuf;

use super::cgroup_v2::{number, value};
use super::usage::{Limits, Periods, Traffic, Usage};
use crate::host_root::TickFile;

/// Files of one container in the trees of all controllers.
pub(super) struct CgroupV1 {
    cpu_usage: TickFile,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    /// Not every kernel counts what happened below the group.
    disk: Option<TickFile>,
    processes: Option<TickFile>,
    limits: Limits,
}

struct Cpu {
    stat: TickFile,
    quota: TickFile,
    period: TickFile,
}

struct Memory {
    usage: TickFile,
    stat: TickFile,
    limit: TickFile,
}

impl CgroupV1 {
    /// `folder` finds the container's folder in a controller's tree. Without `cpuacct` there is no group to speak of.
    pub(super) fn new(folder: impl Fn(&str) -> Option<PathBuf>) -> Option<CgroupV1> {
        let file = |folder: &PathBuf, name: &str| TickFile::new(folder.join(name));
        let cpu = folder("cpu").map(|folder| Cpu {
            stat: file(&folder, "cpu.stat"),
            quota: file(&folder, "cpu.cfs_quota_us"),
            period: file(&folder, "cpu.cfs_period_us"),
        });
        let memory = folder("memory").map(|folder| Memory {
            usage: file(&folder, "memory.usage_in_bytes"),
            stat: file(&folder, "memory.stat"),
            limit: file(&folder, "memory.limit_in_bytes"),
        });
        let disk = folder("blkio").map(|folder| {
            let recursive = folder.join("blkio.throttle.io_service_bytes_recursive");
            TickFile::new(if recursive.exists() { recursive } else { folder.join("blkio.throttle.io_service_bytes") })
        });
        Some(CgroupV1 {
            cpu_usage: file(&folder("cpuacct")?, "cpuacct.usage"),
            cpu,
            memory,
            disk,
            processes: folder("pids").map(|folder| file(&folder, "pids.current")),
            limits: Limits::default(),
        })
    }

    /// The group is gone when `cpuacct.usage` cannot be read.
    pub(super) fn read(&mut self, with_limits: bool, buffer: &mut Vec<u8>) -> io::Result<Usage> {
        let cpu_ns = number(self.cpu_usage.read(buffer)?);
        if with_limits {
            self.limits.cpus = self.cpu.as_mut().and_then(|cpu| {
                cpus(cpu.quota.read(buffer).ok()?.trim().parse().ok()?, cpu.period.read(buffer).ok()?.trim().parse().ok()?)
            });
            self.limits.memory_bytes = self.memory.as_mut().and_then(|memory| number(memory.limit.read(buffer).ok()?));
        }
        let periods = self.cpu.as_mut().and_then(|cpu| {
            let stat = cpu.stat.read(buffer).ok()?;
            Some(Periods { all: value(stat, "nr_periods")?, throttled: value(stat, "nr_throttled")? })
        });
        let memory_bytes = self.memory.as_mut().and_then(|memory| number(memory.usage.read(buffer).ok()?));
        let inactive = self.memory.as_mut().and_then(|memory| value(memory.stat.read(buffer).ok()?, "total_inactive_file"));
        Ok(Usage {
            cpu_ns,
            periods,
            memory_bytes,
            inactive_file_bytes: inactive,
            network: None,
            disk: self.disk.as_mut().and_then(|file| disk(file.read(buffer).ok()?)),
            processes: self.processes.as_mut().and_then(|file| number(file.read(buffer).ok()?)),
            limits: self.limits,
        })
    }
}

/// A quota of -1 is none.
fn cpus(quota_us: i64, period_us: i64) -> Option<f64> {
    (quota_us > 0 && period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

/// `8:0 Read 1024`, several lines for each device; the total has no device. Absent without any device: recent
/// kernels count only while some disk is throttled, and a container that did nothing yet looks the same.
fn disk(text: &str) -> Option<Traffic> {
    let mut traffic = None;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(_), Some(operation), Some(bytes)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let sum: &mut Traffic = traffic.get_or_insert_default();
        let bytes = bytes.parse().unwrap_or_default();
        match operation {
            "Read" => sum.in_bytes = sum.in_bytes.wrapping_add(bytes),
            "Write" => sum.out_bytes = sum.out_bytes.wrapping_add(bytes),
            _ => {}
        }
    }
    traffic
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::cgroup::{Cgroup, sample_tree};
    use super::super::inventory::{Container, container};
    use super::*;

    const ID: &str = "f3c669f4b0cf58061ef5e0229fd44fe0d9e31823451db1cafe148a3e8079f04e";
    const MEMORY_STAT: &str = "cache 598016\nrss 57344\ninactive_file 1\nactive_file 598016\nhierarchical_memory_limit 67108864\ntotal_cache 598016\ntotal_inactive_file 8192\ntotal_active_file 598016\n";
    const BLKIO: &str = "8:0 Read 1024\n8:0 Write 2048\n8:0 Sync 0\n8:0 Async 3072\n8:0 Discard 5\n8:0 Total 3072\n253:0 Read 1\n253:0 Write 2\nTotal 3075\n";

    fn expected() -> Usage {
        Usage {
            cpu_ns: Some(2_500_000_000),
            periods: Some(Periods { all: 40, throttled: 10 }),
            memory_bytes: Some(1_048_576),
            inactive_file_bytes: Some(8192),
            network: None,
            disk: Some(Traffic { in_bytes: 1025, out_bytes: 2050 }),
            processes: Some(3),
            limits: Limits { cpus: Some(0.5), memory_bytes: Some(67_108_864) },
        }
    }

    /// A tree of the hybrid layout: v1 controllers beside an empty v2 tree. `cpu` is where cpu and cpuacct are mounted.
    fn check(cpu: &str, cpuacct: &str, listed: &str) {
        let in_tree = |controller: &str, name: &str| format!("sys/fs/cgroup/{controller}/docker/{ID}/{name}");
        let (_folder, host) = sample_tree(&[
            (&in_tree("unified", "cpu.stat"), "usage_usec 1\n"),
            (&in_tree(cpuacct, "cpuacct.usage"), "2500000000\n"),
            (&in_tree(cpu, "cpu.stat"), "nr_periods 40\nnr_throttled 10\nthrottled_time 19925165\n"),
            (&in_tree(cpu, "cpu.cfs_quota_us"), "50000\n"),
            (&in_tree(cpu, "cpu.cfs_period_us"), "100000\n"),
            (&in_tree("memory", "memory.usage_in_bytes"), "1048576\n"),
            (&in_tree("memory", "memory.stat"), MEMORY_STAT),
            (&in_tree("memory", "memory.limit_in_bytes"), "67108864\n"),
            (&in_tree("blkio", "blkio.throttle.io_service_bytes_recursive"), BLKIO),
            (&in_tree("pids", "pids.current"), "3\n"),
            ("proc/77/cgroup", listed),
        ]);
        let container = Container { pid: Some(77), ..container(ID, "web", "running") };
        let mut cgroup = Cgroup::find(&host, &container).unwrap();
        let usage = cgroup.read(&mut Vec::new()).unwrap();
        assert_eq!(Usage { network: None, ..usage }, expected(), "{cpu} {listed}");
    }

    #[test]
    fn sample_trees_are_read() {
        let separate = format!(
            "4:memory:/docker/{ID}\n7:blkio:/docker/{ID}\n2:cpuacct:/docker/{ID}\n1:cpu:/docker/{ID}\n8:pids:/docker/{ID}\n0::/docker/{ID}\n"
        );
        let together = format!("4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n");
        check("cpu", "cpuacct", &separate);
        check("cpu,cpuacct", "cpu,cpuacct", &together);
        check("cpuacct,cpu", "cpuacct,cpu", "");
    }

    #[test]
    fn what_is_not_mounted_is_absent_and_a_group_that_is_gone_an_error() {
        let (folder, _) = sample_tree(&[("cpuacct.usage", "7\n")]);
        let only = |name: &str| (name == "cpuacct").then(|| folder.path().to_owned());
        let mut cgroup = CgroupV1::new(only).unwrap();
        assert_eq!(cgroup.read(true, &mut Vec::new()).unwrap(), Usage { cpu_ns: Some(7), ..Usage::default() });
        assert!(CgroupV1::new(|_| None).is_none());
        let mut gone = CgroupV1::new(|_| Some(Path::new("/nowhere").to_owned())).unwrap();
        assert!(gone.read(true, &mut Vec::new()).is_err());
    }

    #[test]
    fn nothing_counted_is_absent() {
        assert_eq!(disk("Total 0\n"), None);
        assert_eq!(disk(""), None);
        assert_eq!(disk("8:0 Read x\n8:0 Write 1\n"), Some(Traffic { in_bytes: 0, out_bytes: 1 }));
    }

    #[test]
    fn a_quota_of_minus_one_is_none() {
        for (quota, period, limit) in [(50_000, 100_000, Some(0.5)), (-1, 100_000, None), (50_000, 0, None)] {
            assert_eq!(cpus(quota, period), limit);
        }
    }
}
