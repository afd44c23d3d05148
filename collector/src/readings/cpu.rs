//! CPU time by mode: `/proc/stat`, proc_stat(5). Its values are ticks of all CPUs together since boot.

use std::time::Instant;

use super::HostMetrics;
use crate::host_root::{HostRoot, TickFile};
use crate::rates::{Former, grown};
use crate::telemetry::unreadable;

pub(crate) struct Cpu {
    stat: TickFile,
    online: TickFile,
    former: Former<CpuTimes>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct CpuTimes {
    user: u64,
    system: u64,
    idle: u64,
    iowait: u64,
    steal: u64,
}

/// Shares of all CPU time of an interval.
#[derive(Debug, PartialEq)]
struct CpuShares {
    busy: f64,
    user: f64,
    system: f64,
    iowait: f64,
    steal: f64,
}

impl Cpu {
    pub(crate) fn new(host: &HostRoot) -> Cpu {
        Cpu {
            stat: TickFile::new(host.path("proc/stat")),
            online: TickFile::new(host.path("sys/devices/system/cpu/online")),
            former: Former::default(),
        }
    }

    /// Gives back the number of CPUs online.
    pub(crate) fn read(&mut self, now: Instant, metrics: &mut HostMetrics, buffer: &mut Vec<u8>) -> Option<u32> {
        let shares = match self.stat.read(buffer).ok().and_then(parse) {
            Some(times) => self.former.replace(now, times).and_then(|(former, _)| shares(former, times)),
            None => {
                unreadable("cpu");
                self.former.forget();
                None
            }
        };
        metrics.set("system.cpu.utilization", shares.as_ref().map(|shares| shares.busy));
        metrics.set("system.cpu.user.utilization", shares.as_ref().map(|shares| shares.user));
        metrics.set("system.cpu.system.utilization", shares.as_ref().map(|shares| shares.system));
        metrics.set("system.cpu.iowait.utilization", shares.as_ref().map(|shares| shares.iowait));
        metrics.set("system.cpu.steal.utilization", shares.as_ref().map(|shares| shares.steal));
        let cpus = self.online.read(buffer).ok().and_then(count_cpus);
        if cpus.is_none() {
            unreadable("cpu_count");
        }
        metrics.set("system.cpu.logical.count", cpus.map(f64::from));
        cpus
    }
}

/// The line of all CPUs. Kernels before 2.6.11 have fewer columns; guest time is part of user time already.
fn parse(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut ticks = [0_u64; 8];
    let mut columns = 0;
    for (place, column) in ticks.iter_mut().zip(line.split_ascii_whitespace()) {
        *place = column.parse().ok()?;
        columns += 1;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks;
    (columns >= 4).then_some(CpuTimes { user: user + nice, system: system + irq + softirq, idle, iowait, steal })
}

/// Absent when a counter went back. idle and iowait do that by a few ticks on a healthy kernel (proc_stat(5)), which
/// counts as no growth.
fn shares(before: CpuTimes, now: CpuTimes) -> Option<CpuShares> {
    let user = grown(before.user, now.user)?;
    let system = grown(before.system, now.system)?;
    let steal = grown(before.steal, now.steal)?;
    let iowait = now.iowait.saturating_sub(before.iowait);
    let idle = now.idle.saturating_sub(before.idle);
    let total = (user + system + steal + iowait + idle) as f64;
    (total > 0.0).then(|| CpuShares {
        busy: (user + system + steal) as f64 / total,
        user: user as f64 / total,
        system: system as f64 / total,
        iowait: iowait as f64 / total,
        steal: steal as f64 / total,
    })
}

/// The list format of the kernel: `0-3,6,8-9`.
fn count_cpus(online: &str) -> Option<u32> {
    let mut count = 0;
    for range in online.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        count += last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  56425 15645 17975 312550 964 0 253 52 10 10\ncpu0 27749 7801 8197 157967 210 0 34 20 0 0\nintr 1\n";

    #[test]
    fn modes_are_summed_as_the_catalog_says() {
        let times = CpuTimes { user: 72_070, system: 18_228, idle: 312_550, iowait: 964, steal: 52 };
        assert_eq!(parse(STAT), Some(times));
        assert_eq!(parse("cpu 1 2 3 4\n"), Some(CpuTimes { user: 3, system: 3, idle: 4, iowait: 0, steal: 0 }));
        for garbage in ["", "cpu", "cpu \n", "cpu 1 2 3", "cpu a b c d e", "cpu0 1 2 3 4", "cpu -1 2 3 4"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn shares_are_of_the_interval_and_absent_when_a_counter_goes_back() {
        let before = parse(STAT).unwrap();
        let now = CpuTimes {
            user: before.user + 30,
            system: before.system + 10,
            idle: before.idle + 50,
            iowait: before.iowait + 5,
            steal: before.steal + 5,
        };
        let expected = CpuShares { busy: 0.45, user: 0.3, system: 0.1, iowait: 0.05, steal: 0.05 };
        assert_eq!(shares(before, now), Some(expected));
        assert_eq!(shares(now, before), None);
        assert_eq!(shares(now, now), None);
        // iowait that shrinks is the kernel's habit
        let less = CpuTimes { iowait: now.iowait - 2, idle: now.idle + 100, ..now };
        assert_eq!(shares(now, less).map(|shares| (shares.busy, shares.iowait)), Some((0.0, 0.0)));
    }

    #[test]
    fn cpus_online_are_counted() {
        for (text, count) in
            [("0\n", Some(1)), ("0-3\n", Some(4)), ("0-3,6,8-9\n", Some(7)), ("", None), ("3-1", None), ("x", None)]
        {
            assert_eq!(count_cpus(text), count, "{text}");
        }
    }
}
