//! Each metric once: its name, unit, what it is of, and how finely it is kept.
//!
//! Names and units follow the OpenTelemetry semantic conventions (v1.44) where they define one (`system.*`, `container.*`,
//! `hw.*`), with attributes such as `cpu.mode` written into the name; our own follow their pattern. Metrics that are not
//! in here are stored under the name they come with.

use serde::Serialize;

use self::Subject::{Container, Disk, Filesystem, Host, Network, Pipeline, Sensor};

/// What a metric is a value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The host as a whole.
    Host,
    /// One mount point.
    Filesystem,
    /// One block device.
    Disk,
    /// One network interface.
    Network,
    /// One temperature sensor.
    Sensor,
    /// One container.
    Container,
    /// The way of all reports.
    Pipeline,
}

impl Subject {
    /// The report's table that carries it; `None` for the host itself, and for what no report carries.
    pub fn table(self) -> Option<&'static str> {
        match self {
            Host | Pipeline => None,
            Filesystem => Some("filesystem"),
            Disk => Some("disk"),
            Network => Some("network"),
            Sensor => Some("sensor"),
            Container => Some("container"),
        }
    }
}

/// One line of the catalog.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Metric {
    /// Name in reports, thresholds and queries.
    pub name: &'static str,
    /// UCUM unit: `1` is a ratio from 0 to 1, `By` bytes, `By/s` bytes per second, `{cpu}` cores.
    pub unit: &'static str,
    /// What it is a value of.
    #[serde(rename = "of")]
    pub subject: Subject,
    /// Smallest difference that the store keeps; 1 for counts.
    pub resolution: f64,
    /// Whether the backend derives it from what reports say in words: it stands in thresholds, and in no report, chunk or query.
    pub derived: bool,
    /// One line of meaning.
    pub description: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, subject: Subject, resolution: f64, description: &'static str) -> Metric {
    Metric { name, unit, subject, resolution, derived: false, description }
}

const fn derived(name: &'static str, unit: &'static str, subject: Subject, description: &'static str) -> Metric {
    Metric { name, unit, subject, resolution: 1.0, derived: true, description }
}

/// What stands in reports, in the order in which people read it.
pub const CATALOG: &[Metric] = &[
    metric("system.cpu.utilization", "1", Host, 1e-4, "Share of all CPU time that was not idle and not waiting for I/O"),
    metric("system.cpu.user.utilization", "1", Host, 1e-4, "Share of CPU time in user mode, nice included"),
    metric("system.cpu.system.utilization", "1", Host, 1e-4, "Share of CPU time in the kernel, interrupts included"),
    metric("system.cpu.iowait.utilization", "1", Host, 1e-4, "Share of CPU time idle while I/O was outstanding"),
    metric("system.cpu.steal.utilization", "1", Host, 1e-4, "Share of CPU time that the hypervisor gave to others"),
    metric("system.cpu.logical.count", "{cpu}", Host, 1.0, "Logical CPUs online"),
    metric("system.cpu.load_average.1m", "{thread}", Host, 1e-2, "Runnable and uninterruptible threads, 1 minute average"),
    metric("system.cpu.load_average.5m", "{thread}", Host, 1e-2, "Runnable and uninterruptible threads, 5 minute average"),
    metric("system.cpu.load_average.15m", "{thread}", Host, 1e-2, "Runnable and uninterruptible threads, 15 minute average"),
    metric("system.memory.limit", "By", Host, 4096.0, "Memory that the kernel manages"),
    metric("system.memory.usage", "By", Host, 4096.0, "Memory that programs cannot get without swapping: limit less available"),
    metric("system.memory.utilization", "1", Host, 1e-4, "Memory usage / memory limit"),
    metric("system.paging.limit", "By", Host, 4096.0, "Swap space"),
    metric("system.paging.usage", "By", Host, 4096.0, "Swap space in use"),
    metric("system.paging.utilization", "1", Host, 1e-4, "Swap usage / swap limit; absent without swap"),
    metric("system.uptime", "s", Host, 1.0, "Time since the host booted"),
    metric("system.process.count", "{process}", Host, 1.0, "Processes, kernel threads included"),
    metric("system.pressure.cpu.some", "1", Host, 1e-4, "Share of time in which some task waited for a CPU"),
    metric("system.pressure.memory.some", "1", Host, 1e-4, "Share of time in which some task waited for memory"),
    metric("system.pressure.memory.full", "1", Host, 1e-4, "Share of time in which all tasks waited for memory"),
    metric("system.pressure.io.some", "1", Host, 1e-4, "Share of time in which some task waited for I/O"),
    metric("system.pressure.io.full", "1", Host, 1e-4, "Share of time in which all tasks waited for I/O"),
    metric("collector.spool.usage", "By", Host, 1.0, "Bytes of the collector's spool on disk"),
    metric("collector.spool.limit", "By", Host, 1.0, "Bytes that the spool may take"),
    metric("collector.spool.reports", "{report}", Host, 1.0, "Reports that Kafka has not acknowledged yet"),
    metric("collector.spool.age", "s", Host, 1e-3, "Age of the oldest report that Kafka has not acknowledged; 0 without one"),
    metric("collector.reports.thinned", "{report}", Host, 1.0, "Reports thinned out of a full spool since the collector's start"),
    metric("collector.reports.dropped", "{report}", Host, 1.0, "Reports dropped since the collector's start"),
    metric(
        "collector.reports.damaged",
        "{report}",
        Host,
        1.0,
        "Reports that the spool could not read back since the collector's start",
    ),
    metric("collector.tick.lateness", "s", Host, 1e-3, "How long after its due time this report was begun"),
    metric("collector.tick.duration", "s", Host, 1e-3, "How long the report before this one took to make"),
    metric(
        "collector.tick.skipped",
        "{tick}",
        Host,
        1.0,
        "Ticks skipped since the collector's start, because a reading was still at work",
    ),
    metric("system.filesystem.limit", "By", Filesystem, 4096.0, "Size of the filesystem, without what is reserved for root"),
    metric("system.filesystem.usage", "By", Filesystem, 4096.0, "Bytes in use"),
    metric("system.filesystem.utilization", "1", Filesystem, 1e-4, "Usage / limit, as df shows it"),
    metric(
        "system.filesystem.inodes.limit",
        "{inode}",
        Filesystem,
        1.0,
        "Inodes; absent where the filesystem has no fixed number",
    ),
    metric("system.filesystem.inodes.usage", "{inode}", Filesystem, 1.0, "Inodes in use"),
    metric("system.filesystem.inodes.utilization", "1", Filesystem, 1e-4, "Inodes in use / inodes"),
    metric("system.disk.read", "By/s", Disk, 1.0, "Bytes read per second"),
    metric("system.disk.write", "By/s", Disk, 1.0, "Bytes written per second"),
    metric("system.disk.read.operations", "{operation}/s", Disk, 1e-2, "Reads completed per second"),
    metric("system.disk.write.operations", "{operation}/s", Disk, 1e-2, "Writes completed per second"),
    metric("system.disk.utilization", "1", Disk, 1e-4, "Share of time in which the disk had I/O in flight"),
    metric("system.network.receive", "By/s", Network, 1.0, "Bytes received per second"),
    metric("system.network.transmit", "By/s", Network, 1.0, "Bytes sent per second"),
    metric("system.network.receive.errors", "{error}/s", Network, 1e-2, "Receive errors per second"),
    metric("system.network.transmit.errors", "{error}/s", Network, 1e-2, "Transmit errors per second"),
    metric("system.network.receive.dropped", "{packet}/s", Network, 1e-2, "Received packets dropped per second"),
    metric("system.network.transmit.dropped", "{packet}/s", Network, 1e-2, "Outgoing packets dropped per second"),
    metric("hw.temperature", "Cel", Sensor, 0.1, "Temperature that the sensor shows"),
    metric("container.cpu.usage", "{cpu}", Container, 1e-4, "CPU cores in use"),
    metric("container.cpu.limit", "{cpu}", Container, 1e-2, "CPU cores it may use; absent without a limit"),
    metric(
        "container.cpu.throttled",
        "1",
        Container,
        1e-4,
        "Share of its scheduling periods that were cut short by its CPU limit",
    ),
    metric("container.memory.usage", "By", Container, 4096.0, "Memory charged to it, file cache included"),
    metric(
        "container.memory.working_set",
        "By",
        Container,
        4096.0,
        "Memory usage without inactive file cache, as docker stats shows it",
    ),
    metric("container.memory.limit", "By", Container, 4096.0, "Memory it may use: its own limit, else the host's memory"),
    metric("container.memory.utilization", "1", Container, 1e-4, "Working set / memory limit"),
    metric("container.network.receive", "By/s", Container, 1.0, "Bytes received per second; absent in the host's network"),
    metric("container.network.transmit", "By/s", Container, 1.0, "Bytes sent per second; absent in the host's network"),
    metric("container.disk.read", "By/s", Container, 1.0, "Bytes read from block devices per second"),
    metric("container.disk.write", "By/s", Container, 1.0, "Bytes written to block devices per second"),
    metric("container.process.count", "{process}", Container, 1.0, "Processes and threads in it"),
];

/// What the backend derives.
pub const DERIVED: &[Metric] = &[
    derived(
        "container.stopped",
        "1",
        Container,
        "1 while it does not run, and ended neither with an exit code nor out of memory",
    ),
    derived("container.exit_code", "1", Container, "What it ended with, while it does not run; 0 when memory ran out"),
    derived("container.oom_killed", "1", Container, "1 when memory ran out: the container was ended for it, or a process in it"),
    derived("container.unhealthy", "1", Container, "1 while its health check fails"),
    derived("container.restarts", "{restart}", Container, "Restarts by the engine itself since the container was made"),
    derived("container.missing", "1", Container, "1 when it ran and is gone from its host's reports, for a day at most"),
    derived(
        HOST_MISSING,
        "1",
        Host,
        "1 while nothing of it comes: for three intervals, at least 10 s, although the pipeline is on time",
    ),
    derived(
        CLOCK_SKEW,
        "s",
        Host,
        "How far its clock is off, ahead or behind, from that of most hosts, or from the backend's where they are few",
    ),
    derived(
        PIPELINE_LAG,
        "s",
        Pipeline,
        "How far behind the way from Kafka to the backend is, or the way to Kafka of most hosts at once",
    ),
];

/// A host's silence.
pub const HOST_MISSING: &str = "host.missing";
/// A host's clock.
pub const CLOCK_SKEW: &str = "system.clock.skew";
/// The lateness of everything.
pub const PIPELINE_LAG: &str = "pipeline.lag";

/// The catalog's line for a metric, derived or not.
pub fn find(name: &str) -> Option<&'static Metric> {
    CATALOG.iter().chain(DERIVED).find(|metric| metric.name == name)
}

/// Whether a metric is made by the backend, so that no report has it.
pub fn is_derived(name: &str) -> bool {
    find(name).is_some_and(|metric| metric.derived)
}

/// Whether reports tell what it is, if only in words: not of what tells of their absence, or of how they came.
pub fn is_told_by_reports(name: &str) -> bool {
    find(name).is_none_or(|metric| !metric.derived || metric.subject == Container)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NAME_CHARS;
    use crate::report::is_metric;

    #[test]
    fn every_line_has_a_name_of_its_own() {
        let all = || CATALOG.iter().chain(DERIVED);
        for metric in all() {
            assert!(is_metric(metric.name) && metric.name.len() <= NAME_CHARS, "{}", metric.name);
            assert!(metric.resolution > 0.0, "{}", metric.name);
            assert_eq!(all().filter(|other| other.name == metric.name).count(), 1, "{} stands twice", metric.name);
            assert_eq!(
                find(metric.name).map(|metric| metric.derived),
                Some(DERIVED.iter().any(|other| other.name == metric.name))
            );
        }
    }
}
