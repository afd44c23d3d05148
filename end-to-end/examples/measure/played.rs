//! What loadgen plays, as numbers: the same reports for whoever is measured.

use std::path::Path;

use loadgen::{Config, Fleet};
use service_runtime::config::read_with;
use wire_model::limits::BATCH_INFLATED_BYTES;
use wire_model::{CONTAINER_TABLE, Cell, HostReport, is_metric};

/// The recording of the project.
pub const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../loadgen/recordings/host.jsonl.zst");

const INTERVAL_MS: i64 = 2_000;
/// Of a batch: the most that loadgen posts, near a thousand reports.
const BATCH_BYTES: usize = BATCH_INFLATED_BYTES / 2;

/// How many hosts, how long, and with how many of the recorded containers.
#[derive(Clone, Copy, Debug)]
pub struct Play {
    pub hosts: u32,
    pub seconds: u64,
    pub containers: u32,
}

/// A row of numbers: one machine, or one of its devices, at one instant.
pub struct Row<'a> {
    /// host, container, filesystem …
    pub table: &'a str,
    /// The host, or host and container.
    pub machine: String,
    /// Empty for machines themselves.
    pub device: &'a str,
    /// Unix ms.
    pub at: i64,
    /// By metric; only what was read.
    pub values: Vec<(&'a str, f64)>,
}

impl Play {
    /// loadgen's flags.
    pub fn flags(&self, hours: u32) -> Vec<String> {
        vec![
            format!("--recording={RECORDING}"),
            format!("--hosts={}", self.hosts),
            format!("--containers={}", self.containers),
            format!("--duration-seconds={}", self.seconds),
            format!("--backfill-hours={hours}"),
            "--jitter-ms=3".to_owned(),
            // as many reports as a batch may have, in the order of LOAD DATA's transactions
            format!("--batch-bytes={BATCH_BYTES}"),
            "--uncompressed".to_owned(),
        ]
    }

    pub fn reports(&self) -> u64 {
        u64::from(self.hosts) * self.seconds * 1_000 / INTERVAL_MS.cast_unsigned()
    }

    pub fn samples(&self) -> u64 {
        self.reports() * u64::from(1 + self.containers)
    }

    /// Where in the past it begins: so early that all of it is to be sealed at once.
    pub fn hours(&self) -> u32 {
        u32::try_from(self.seconds.div_ceil(3_600) + 1).unwrap()
    }

    /// The reports that loadgen would send with these flags, beginning at this time.
    pub fn each(&self, begins_at_ms: i64, mut visit: impl FnMut(&HostReport)) {
        assert!(Path::new(RECORDING).exists(), "{RECORDING} is there");
        let flags = [self.flags(self.hours()), vec!["--bootstrap-server=127.0.0.1:1".to_owned()]].concat();
        let config: Config = read_with(&flags).unwrap();
        let mut fleet = Fleet::new(&config, begins_at_ms, begins_at_ms).unwrap();
        for _ in 0..self.reports() {
            let at = begins_at_ms + i64::try_from(fleet.next_is_due_after().as_millis()).unwrap();
            visit(&HostReport::decode(&fleet.next_message(at).bytes, at).unwrap());
        }
    }
}

/// The numbers of a report, row by row.
pub fn rows(report: &HostReport) -> Vec<Row<'_>> {
    let host = &report.host.id;
    let values = report.metrics.iter().filter_map(|(name, value)| Some((name.as_str(), (*value)?))).collect();
    let mut rows = vec![Row { table: "host", machine: host.clone(), device: "", at: report.at, values }];
    for (name, table) in &report.tables {
        for cells in &table.rows {
            let device = cells[0].text().unwrap_or_default();
            let is_container = name == CONTAINER_TABLE;
            rows.push(Row {
                table: name,
                machine: if is_container { format!("{host}/{device}") } else { host.clone() },
                device: if is_container { "" } else { device },
                at: report.at,
                values: metrics(&table.columns, cells),
            });
        }
    }
    rows
}

fn metrics<'a>(columns: &'a [String], cells: &[Cell]) -> Vec<(&'a str, f64)> {
    let cells = columns.iter().zip(cells).filter(|(column, _)| is_metric(column));
    cells.filter_map(|(column, cell)| Some((column.as_str(), cell.number()?))).collect()
}
