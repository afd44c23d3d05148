//! Memory and swap of the host; /proc/meminfo is the host's in every container.

use sysinfo::{MemoryRefreshKind, System};

use super::HostMetrics;
use crate::telemetry::unreadable;

pub(crate) struct Memory {
    system: System,
}

impl Memory {
    pub(crate) fn new() -> anyhow::Result<Memory> {
        Ok(Memory { system: System::new()? })
    }

    /// Gives back the host's memory in bytes, which is the limit of containers that have none of their own.
    pub(crate) fn read(&mut self, metrics: &mut HostMetrics) -> Option<u64> {
        self.system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let limit = self.system.total_memory();
        if limit == 0 {
            unreadable("memory");
            return None;
        }
        // sysinfo subtracts without a guard
        let used = limit.saturating_sub(self.system.available_memory());
        set(metrics, ["system.memory.limit", "system.memory.usage", "system.memory.utilization"], limit, used);
        let swap = self.system.total_swap();
        let swapped = swap.saturating_sub(self.system.free_swap());
        set(metrics, ["system.paging.limit", "system.paging.usage", "system.paging.utilization"], swap, swapped);
        Some(limit)
    }
}

fn set(metrics: &mut HostMetrics, names: [&'static str; 3], limit: u64, used: u64) {
    metrics.set(names[0], Some(limit as f64));
    metrics.set(names[1], Some(used as f64));
    metrics.set(names[2], (limit > 0).then(|| used as f64 / limit as f64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_kernel_says() {
        let mut metrics = HostMetrics::default();
        let limit = Memory::new().unwrap().read(&mut metrics).unwrap();
        let text = std::fs::read_to_string("/proc/meminfo").unwrap();
        let kib = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        assert_eq!(limit as f64, kib("MemTotal:") * 1024.0);
        let used = (kib("MemTotal:") - kib("MemAvailable:")) / kib("MemTotal:");
        let read = metrics.values()["system.memory.utilization"].unwrap();
        assert!((read - used).abs() < 0.05, "{read} {used}");
    }

    #[test]
    fn without_swap_its_utilization_is_absent() {
        let mut metrics = HostMetrics::default();
        set(&mut metrics, ["system.paging.limit", "system.paging.usage", "system.paging.utilization"], 0, 0);
        assert_eq!(metrics.values()["system.paging.utilization"], None);
        assert_eq!(metrics.values()["system.paging.limit"], Some(0.0));
    }
}
