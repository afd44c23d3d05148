//! Numbers of the metrics that stand often in chunks. The place in the list is what chunks hold: append only, and never
//! remove. A metric that is not in it stands with its name.

/// The names; the first has the number 1.
const NAMES: &[&str] = &[
    "system.cpu.utilization",
    "system.cpu.user.utilization",
    "system.cpu.system.utilization",
    "system.cpu.iowait.utilization",
    "system.cpu.steal.utilization",
    "system.cpu.logical.count",
    "system.cpu.load_average.1m",
    "system.cpu.load_average.5m",
    "system.cpu.load_average.15m",
    "system.memory.limit",
    "system.memory.usage",
    "system.memory.utilization",
    "system.paging.limit",
    "system.paging.usage",
    "system.paging.utilization",
    "system.uptime",
    "system.process.count",
    "system.pressure.cpu.some",
    "system.pressure.memory.some",
    "system.pressure.memory.full",
    "system.pressure.io.some",
    "system.pressure.io.full",
    "collector.spool.usage",
    "collector.spool.limit",
    "collector.spool.reports",
    "collector.spool.age",
    "collector.reports.thinned",
    "collector.reports.dropped",
    "collector.reports.damaged",
    "collector.tick.lateness",
    "collector.tick.duration",
    "collector.tick.skipped",
    "system.filesystem.limit",
    "system.filesystem.usage",
    "system.filesystem.utilization",
    "system.filesystem.inodes.limit",
    "system.filesystem.inodes.usage",
    "system.filesystem.inodes.utilization",
    "system.disk.read",
    "system.disk.write",
    "system.disk.read.operations",
    "system.disk.write.operations",
    "system.disk.utilization",
    "system.network.receive",
    "system.network.transmit",
    "system.network.receive.errors",
    "system.network.transmit.errors",
    "system.network.receive.dropped",
    "system.network.transmit.dropped",
    "hw.temperature",
    "container.cpu.usage",
    "container.cpu.limit",
    "container.cpu.throttled",
    "container.memory.usage",
    "container.memory.working_set",
    "container.memory.limit",
    "container.memory.utilization",
    "container.network.receive",
    "container.network.transmit",
    "container.disk.read",
    "container.disk.write",
    "container.process.count",
    CONTAINER_STATE,
];

/// What a container does, as `ContainerState` packs it. Without a dot, so that no metric can have its name.
pub(in crate::history) const CONTAINER_STATE: &str = "container_state";

/// The number of a metric.
pub(super) fn number(name: &str) -> Option<u64> {
    NAMES.iter().position(|known| *known == name).map(|index| index as u64 + 1)
}

/// Metrics whose numbers are next to each other are a group.
const GROUP: u64 = 8;

/// The group of a metric. All without a number are in the one of number 0.
pub(super) fn group(name: &str) -> i64 {
    i64::try_from(number(name).map_or(0, |number| number.div_ceil(GROUP))).expect("a short list")
}

/// The metric of a number.
pub(super) fn name(number: u64) -> Option<&'static str> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use wire_model::catalog::CATALOG;

    use super::*;

    #[test]
    fn every_metric_of_the_catalog_has_a_number() {
        for metric in CATALOG {
            assert_eq!(number(metric.name).and_then(name), Some(metric.name), "append {} to NAMES", metric.name);
        }
        assert_eq!((name(0), name(NAMES.len() as u64 + 1), number("custom.metric")), (None, None, None));
    }

    #[test]
    fn numbers_stay() {
        assert_eq!(["custom.metric", NAMES[0], NAMES[7], NAMES[8], NAMES[61]].map(group), [0, 1, 1, 2, 8]);
        assert_eq!((NAMES[0], NAMES.len()), ("system.cpu.utilization", 63));
        assert_eq!((name(62), name(63)), (Some("container.process.count"), Some(CONTAINER_STATE)));
    }
}
