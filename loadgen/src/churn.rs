//! What changes on a real host: containers stop, go and come back, devices go, parts of a report cannot be read.

use fastrand::Rng;
use wire_model::{CONTAINER_TABLE, Cell, HostReport, is_metric};

/// Longest duration of a change, in reports.
const REPORTS: u64 = 8;

/// What a container ends with that is killed.
const KILLED: f64 = 137.0;

/// Applied to a copy of each report: the host itself goes on underneath.
pub(crate) struct Churn {
    /// Probability that something changes with a report.
    share: f64,
    changes: Vec<Change>,
    shown: Option<HostReport>,
}

struct Change {
    what: What,
    /// Last report that shows it.
    until_seq: u64,
}

#[derive(Clone, PartialEq)]
enum What {
    /// A container is there and does not run.
    Stopped(String),
    /// A row of a table is not there.
    Gone(&'static str, String),
    /// A value of a row could not be read.
    Unread(&'static str, String),
    /// A table could not be read.
    NoTable(&'static str),
    /// A metric of the host could not be read.
    NoMetric(&'static str),
}

const TABLES: &[&str] = &["filesystem", "network", CONTAINER_TABLE];
const METRICS: &[&str] = &["system.cpu.utilization", "system.memory.utilization"];

impl Churn {
    pub(crate) fn new(share: f64) -> Churn {
        Churn { share, changes: Vec::new(), shown: None }
    }

    /// The report as it is shown.
    pub(crate) fn apply(&mut self, report: &HostReport, rng: &mut Rng) -> &HostReport {
        self.changes.retain(|change| change.until_seq >= report.seq);
        if rng.f64() < self.share
            && let Some(what) = draw(report, rng)
        {
            self.changes.push(Change { what, until_seq: report.seq + rng.u64(0..REPORTS) });
        }
        let shown = self.shown.insert(report.clone());
        for change in &self.changes {
            show(&change.what, shown);
        }
        shown
    }
}

fn draw(report: &HostReport, rng: &mut Rng) -> Option<What> {
    let table = TABLES[rng.usize(..TABLES.len())];
    let row = |table: &str, rng: &mut Rng| {
        let rows = &report.tables.get(table)?.rows;
        if rows.is_empty() { None } else { Some(name(table, &rows[rng.usize(..rows.len())]).to_owned()) }
    };
    Some(match rng.u8(0..10) {
        0..3 => What::Stopped(row(CONTAINER_TABLE, rng)?),
        3..6 => What::Gone(table, row(table, rng)?),
        6..8 => What::Unread(table, row(table, rng)?),
        8 => What::NoTable(table),
        _ => What::NoMetric(METRICS[rng.usize(..METRICS.len())]),
    })
}

fn show(what: &What, report: &mut HostReport) {
    match what {
        What::Stopped(container) => {
            let Some(table) = report.tables.get_mut(CONTAINER_TABLE) else { return };
            let attributes = [("state", Cell::from("exited")), ("exit_code", Cell::Number(KILLED))]
                .map(|(name, cell)| (table.column(name), cell));
            for row in table.rows.iter_mut().filter(|row| name(CONTAINER_TABLE, row) == container) {
                for (column, cell) in table.columns.iter().zip(row.iter_mut()).filter(|(column, _)| is_metric(column)) {
                    // what is set stays set: limits are known of a container that does not run
                    if !column.ends_with(".limit") {
                        *cell = Cell::Null;
                    }
                }
                for (column, cell) in &attributes {
                    if let Some(column) = column {
                        row[*column] = cell.clone();
                    }
                }
            }
        }
        What::Gone(table, device) => {
            if let Some(rows) = report.tables.get_mut(*table) {
                rows.rows.retain(|row| name(table, row) != device);
            }
        }
        What::Unread(table, device) => {
            let Some(rows) = report.tables.get_mut(*table) else { return };
            for row in rows.rows.iter_mut().filter(|row| name(table, row) == device) {
                for (_, cell) in rows.columns.iter().zip(row).filter(|(column, _)| is_metric(column)) {
                    *cell = Cell::Null;
                }
            }
        }
        What::NoTable(table) => drop(report.tables.remove(*table)),
        What::NoMetric(metric) => drop(report.metrics.insert((*metric).to_owned(), None)),
    }
}

/// Of a device its first cell, of a container (`id`, `name`, …) the second.
fn name<'a>(table: &str, row: &'a [Cell]) -> &'a str {
    row.get(usize::from(table == CONTAINER_TABLE)).and_then(Cell::text).unwrap_or_default()
}
