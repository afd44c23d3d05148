//! The metrics that stand in chunks by number, as docs/CHUNKS.md lists them.

/// The first has the number 1.
const NAMES: [&str; 63] = [
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
    "container_state",
];

/// Metrics whose numbers are next to each other stand together in raw rows of their own; those without a number have group 0.
const GROUP: usize = 8;
/// Of folded rows each metric has some of its own.
const FOLDED: usize = 1_000;
/// Rows of one group or metric are counted from 0 to here.
const ROWS: i64 = 65_536;

/// Whether a metric may stand in a row of this `part`.
pub(super) fn belongs(metric: &str, part: i64, is_folded: bool) -> bool {
    let number = NAMES.iter().position(|name| *name == metric).map_or(0, |index| index + 1);
    usize::try_from(part.div_euclid(ROWS)) == Ok(if is_folded { FOLDED + number } else { number.div_ceil(GROUP) })
}

pub(super) fn name(number: u64) -> Option<&'static str> {
    NAMES.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_names_the_group_of_its_metrics() {
        for (metric, part) in [("odd.one", 3), (NAMES[0], 65_536), (NAMES[7], 131_071), (NAMES[8], 131_072), (NAMES[61], 8 << 16)]
        {
            let belongs = |part| belongs(metric, part, false);
            assert!(belongs(part) && !belongs(part + 65_536) && !belongs(part - 65_536), "{metric}");
        }
        for (metric, part) in [("odd.one", 1_000 << 16), (NAMES[0], (1_001 << 16) + 1), (NAMES[61], 1_062 << 16)] {
            let belongs = |part, is_folded| belongs(metric, part, is_folded);
            assert!(belongs(part, true) && !belongs(part + 65_536, true) && !belongs(part, false), "{metric}");
        }
    }

    #[test]
    fn the_document_lists_them() {
        let document = include_str!("../../../../docs/CHUNKS.md");
        let listed = document.split("```").nth(1).expect("the list stands as a block");
        assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), NAMES);
        assert_eq!((name(0), name(1), name(64)), (None, Some("system.cpu.utilization"), None));
    }
}
