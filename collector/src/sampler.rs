//! One report: all readings of one instant.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spool::Record;
use wire_model::{CONTAINER_TABLE, HostInfo, HostReport, REMOVED_BYTES, Removed, ReportId, SCHEMA, Table, limits};

use crate::containers::Containers;
use crate::fit;
use crate::host_root::HostRoot;
use crate::publisher::SpoolBoard;
use crate::readings::cpu::Cpu;
use crate::readings::disk::Disks;
use crate::readings::filesystem::Filesystems;
use crate::readings::memory::Memory;
use crate::readings::network::Network;
use crate::readings::pressure::Pressure;
use crate::readings::process::Processes;
use crate::readings::sensor::Sensors;
use crate::readings::{HostMetrics, load, uptime};
use crate::telemetry::cut_off;
use crate::ticks::TickFigures;

/// How long a tick waits for a filesystem or sensor that hangs, in the one tick in which it begins to.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is the same in all reports of this start, but for what changes by itself.
pub(crate) struct Start {
    pub(crate) info: HostInfo,
    pub(crate) epoch: u64,
    /// The last report before this start.
    pub(crate) previous: Option<ReportId>,
    pub(crate) interval_ms: u32,
}

/// All readings with what they keep between ticks.
pub(crate) struct Sampler {
    report: HostReport,
    metrics: HostMetrics,
    patience: Duration,
    buffer: Vec<u8>,
    cpu: Cpu,
    memory: Memory,
    pressure: Pressure,
    processes: Processes,
    filesystems: Filesystems,
    disks: Disks,
    network: Network,
    sensors: Sensors,
    containers: Containers,
    spool: SpoolBoard,
}

impl Sampler {
    pub(crate) fn new(host: &HostRoot, start: Start, containers: Containers, spool: SpoolBoard) -> anyhow::Result<Sampler> {
        let report = HostReport {
            schema: SCHEMA,
            host: start.info,
            epoch: start.epoch,
            seq: 0,
            at: 0,
            interval_ms: start.interval_ms,
            previous: start.previous,
            metrics: BTreeMap::new(),
            tables: BTreeMap::new(),
            removed: Removed::default(),
        };
        Ok(Sampler {
            report,
            metrics: HostMetrics::default(),
            patience: PATIENCE.min(Duration::from_millis(u64::from(start.interval_ms)) / 4),
            buffer: Vec::new(),
            cpu: Cpu::new(host),
            memory: Memory::new()?,
            pressure: Pressure::new(host),
            processes: Processes::new(host),
            filesystems: Filesystems::new(host),
            disks: Disks::new(host),
            network: Network::new(host),
            sensors: Sensors::new()?,
            containers,
            spool,
        })
    }

    /// Reads everything and gives back the encoded report. `at_ms` is Unix time.
    pub(crate) fn read(&mut self, at_ms: i64, tick: &TickFigures) -> Record {
        let now = Instant::now();
        self.report.at = at_ms;
        self.report.seq += 1;
        // what may hang works aside while the rest is read
        self.filesystems.begin(now, &mut self.buffer);
        self.sensors.begin();
        self.metrics.clear();
        self.report.host.cpus = self.cpu.read(now, &mut self.metrics, &mut self.buffer);
        load::read(&mut self.metrics);
        let memory_bytes = self.memory.read(&mut self.metrics);
        uptime::read(&mut self.metrics);
        self.processes.read(&mut self.metrics);
        self.pressure.read(now, &mut self.metrics, &mut self.buffer);
        self.spool.read(at_ms, &mut self.metrics);
        tick.read(&mut self.metrics);
        let disks = self.disks.read(now, &mut self.buffer);
        let network = self.network.read(now, &mut self.buffer);
        let former = self.report.tables.remove(CONTAINER_TABLE);
        let containers = self.containers.read(former, memory_bytes, &mut self.buffer);
        let filesystems = self.filesystems.finish(self.patience);
        let sensors = self.sensors.finish(self.patience.saturating_sub(now.elapsed()));
        self.report.metrics.clone_from(self.metrics.values());
        let tables = [("disk", disks), ("network", network), ("filesystem", filesystems), ("sensor", sensors)];
        for (name, table) in tables.into_iter().chain([(CONTAINER_TABLE, containers)]) {
            self.set_table(name, table);
        }
        cut_off("rows", fit::rows(&mut self.report));
        let (message, whole) = fit::encode(&mut self.report, limits::MESSAGE_BYTES - REMOVED_BYTES);
        cut_off("labels", usize::from(!whole));
        Record {
            id: ReportId { epoch: self.report.epoch, seq: self.report.seq },
            at: at_ms,
            removed: Removed::default(),
            key: self.report.host.id.clone(),
            payload: message,
        }
    }

    fn set_table(&mut self, name: &str, table: Option<Table>) {
        match table {
            Some(table) => drop(self.report.tables.insert(name.to_owned(), table)),
            None => drop(self.report.tables.remove(name)),
        }
    }
}
