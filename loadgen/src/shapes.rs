//! How each metric of the catalog behaves in a played fleet: ranges as on servers that do ordinary work.

/// The behaviour of one metric.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// One of these, drawn once.
    Fixed(&'static [f64]),
    /// Wanders between the first two, by at most the third at a time.
    Walk(f64, f64, f64),
    /// The same for what is measured over an interval: absent in a host's first report.
    Rate(f64, f64, f64),
    /// Product of two others.
    Product(&'static str, &'static str),
    /// A share of another one.
    Share(&'static str, f64),
    /// Seconds since a boot that long ago.
    Uptime(&'static [f64]),
}

use Shape::{Fixed, Product, Rate, Share, Uptime, Walk};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
const DAY: f64 = 86_400.0;

const SHAPES: &[(&str, Shape)] = &[
    ("system.cpu.utilization", Rate(0.02, 0.95, 0.08)),
    ("system.cpu.user.utilization", Share("system.cpu.utilization", 0.7)),
    ("system.cpu.system.utilization", Share("system.cpu.utilization", 0.28)),
    ("system.cpu.iowait.utilization", Rate(0.0, 0.04, 0.01)),
    ("system.cpu.steal.utilization", Share("system.cpu.utilization", 0.02)),
    ("system.cpu.logical.count", Fixed(&[4.0, 8.0, 16.0, 32.0, 64.0])),
    ("system.cpu.load_average.1m", Walk(0.1, 12.0, 0.5)),
    ("system.cpu.load_average.5m", Walk(0.1, 10.0, 0.2)),
    ("system.cpu.load_average.15m", Walk(0.1, 8.0, 0.1)),
    ("system.memory.limit", Fixed(&[8.0 * GIB, 16.0 * GIB, 64.0 * GIB, 256.0 * GIB])),
    ("system.memory.usage", Product("system.memory.utilization", "system.memory.limit")),
    ("system.memory.utilization", Walk(0.2, 0.93, 0.01)),
    ("system.paging.limit", Fixed(&[2.0 * GIB, 8.0 * GIB])),
    ("system.paging.usage", Product("system.paging.utilization", "system.paging.limit")),
    ("system.paging.utilization", Walk(0.0, 0.3, 0.005)),
    ("system.uptime", Uptime(&[DAY, 30.0 * DAY, 200.0 * DAY])),
    ("system.process.count", Walk(150.0, 900.0, 6.0)),
    ("system.pressure.cpu.some", Rate(0.0, 0.3, 0.03)),
    ("system.pressure.memory.some", Rate(0.0, 0.05, 0.005)),
    ("system.pressure.memory.full", Share("system.pressure.memory.some", 0.5)),
    ("system.pressure.io.some", Rate(0.0, 0.2, 0.02)),
    ("system.pressure.io.full", Share("system.pressure.io.some", 0.6)),
    ("collector.spool.usage", Walk(0.0, 64.0 * 1024.0, 4096.0)),
    ("collector.spool.limit", Fixed(&[256.0 * MIB])),
    ("collector.spool.reports", Walk(0.0, 3.0, 1.0)),
    ("collector.spool.age", Walk(0.0, 0.5, 0.1)),
    ("collector.reports.thinned", Fixed(&[0.0])),
    ("collector.reports.dropped", Fixed(&[0.0])),
    ("collector.reports.damaged", Fixed(&[0.0])),
    ("collector.tick.lateness", Walk(0.0, 0.01, 0.002)),
    ("collector.tick.duration", Walk(0.001, 0.02, 0.002)),
    ("collector.tick.skipped", Fixed(&[0.0])),
    ("system.filesystem.limit", Fixed(&[40.0 * GIB, 200.0 * GIB, 2000.0 * GIB])),
    ("system.filesystem.usage", Product("system.filesystem.utilization", "system.filesystem.limit")),
    ("system.filesystem.utilization", Walk(0.1, 0.92, 0.002)),
    ("system.filesystem.inodes.limit", Fixed(&[2_621_440.0, 13_107_200.0])),
    ("system.filesystem.inodes.usage", Product("system.filesystem.inodes.utilization", "system.filesystem.inodes.limit")),
    ("system.filesystem.inodes.utilization", Walk(0.02, 0.4, 0.0005)),
    ("system.disk.read", Rate(0.0, 80.0 * MIB, 6.0 * MIB)),
    ("system.disk.write", Rate(0.0, 120.0 * MIB, 9.0 * MIB)),
    ("system.disk.read.operations", Rate(0.0, 900.0, 80.0)),
    ("system.disk.write.operations", Rate(0.0, 1_500.0, 120.0)),
    ("system.disk.utilization", Rate(0.0, 0.9, 0.05)),
    ("system.network.receive", Rate(0.0, 90.0 * MIB, 7.0 * MIB)),
    ("system.network.transmit", Rate(0.0, 90.0 * MIB, 7.0 * MIB)),
    ("system.network.receive.errors", Rate(0.0, 0.0, 0.0)),
    ("system.network.transmit.errors", Rate(0.0, 0.0, 0.0)),
    ("system.network.receive.dropped", Rate(0.0, 2.0, 0.3)),
    ("system.network.transmit.dropped", Rate(0.0, 0.0, 0.0)),
    ("container.cpu.usage", Rate(0.0, 2.0, 0.15)),
    ("container.cpu.limit", Fixed(&[2.0, 4.0])),
    ("container.cpu.throttled", Rate(0.0, 0.2, 0.02)),
    ("container.memory.usage", Product("container.memory.utilization", "container.memory.limit")),
    ("container.memory.working_set", Share("container.memory.usage", 0.9)),
    ("container.memory.limit", Fixed(&[256.0 * MIB, 512.0 * MIB, 2.0 * GIB])),
    ("container.memory.utilization", Walk(0.1, 0.9, 0.01)),
    ("container.network.receive", Rate(0.0, 4.0 * MIB, 0.4 * MIB)),
    ("container.network.transmit", Rate(0.0, 4.0 * MIB, 0.4 * MIB)),
    ("container.disk.read", Rate(0.0, 2.0 * MIB, 0.2 * MIB)),
    ("container.disk.write", Rate(0.0, 3.0 * MIB, 0.3 * MIB)),
    ("container.process.count", Walk(1.0, 60.0, 2.0)),
];

/// The shape of a metric, if it is played.
pub(crate) fn shape(name: &str) -> Option<Shape> {
    SHAPES.iter().find(|(metric, _)| *metric == name).map(|(_, shape)| *shape)
}

#[cfg(test)]
mod tests {
    use wire_model::catalog::{CATALOG, Subject};

    use super::*;

    #[test]
    fn every_metric_of_the_catalog_is_played_but_temperatures() {
        for metric in CATALOG {
            assert_eq!(shape(metric.name).is_some(), metric.subject != Subject::Sensor, "{}", metric.name);
        }
        assert!(SHAPES.iter().all(|(name, _)| wire_model::catalog::find(name).is_some()));
    }
}
