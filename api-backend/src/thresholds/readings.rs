//! A report, seen as machines with values.

use std::collections::BTreeMap;

use wire_model::{CONTAINER_TABLE, Cell, HostInfo, HostReport, Table, catalog, container_identities, is_metric};

use super::container_state::ContainerState;
use super::scope::{self, OwnLabels};
use super::state_metrics::of_container;
use super::{Kind, Machine};

/// Engine states in which a container has processes.
pub const RUNNING_STATES: &[&str] = &["running", "paused", "restarting"];

/// One machine in one report.
#[derive(Debug)]
pub struct MachineReadings<'a> {
    /// Host or container.
    pub kind: Kind,
    /// Empty for the host, else the container's identity.
    pub identity: String,
    /// Whether it can have values at all.
    pub is_running: bool,
    host: &'a HostInfo,
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Host(&'a HostReport),
    Container(&'a Table, &'a [Cell]),
}

impl<'a> Source<'a> {
    fn attribute(self, name: &str) -> Option<&'a Cell> {
        let Source::Container(table, row) = self else { return None };
        Some(&row[table.column(name)?])
    }

    fn state(self) -> Option<ContainerState> {
        matches!(self, Source::Container(..)).then(|| ContainerState::of(|name| self.attribute(name)))
    }
}

/// The place that a value of [`Form::places`](wire_model::Form::places) stands for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the values are places")]
pub fn place(value: Option<f64>) -> usize {
    value.expect("every value of a form has a place") as usize
}

/// All machines of a report: the host first, then its containers.
pub fn machine_readings(report: &HostReport) -> Vec<MachineReadings<'_>> {
    let host = &report.host;
    let mut machines =
        vec![MachineReadings { kind: Kind::Host, identity: String::new(), is_running: true, host, source: Source::Host(report) }];
    if let Some(table) = report.tables.get(CONTAINER_TABLE) {
        for (identity, row) in container_identities(table).into_iter().zip(&table.rows) {
            let source = Source::Container(table, row);
            let is_running = source.state().is_none_or(ContainerState::is_running);
            machines.push(MachineReadings { kind: Kind::Container, identity, is_running, host, source });
        }
    }
    machines
}

impl<'a> MachineReadings<'a> {
    /// As rules see it.
    pub fn machine(&self, id: i64) -> Machine {
        let text = |name: &str| self.attribute(name).and_then(Cell::text);
        let container = (self.kind == Kind::Container).then(|| OwnLabels {
            name: text("name").unwrap_or_default(),
            image: text("image"),
            labels: self.attribute("labels").and_then(Cell::labels),
        });
        Machine { id, kind: self.kind, labels: scope::labels(&self.host.name, &self.host.labels, container) }
    }

    /// Calls `visit` for each series of a metric, derived or not: with the device's name (`None`: the machine itself) and the value,
    /// which is `None` where it could not be read.
    pub fn for_each(&self, metric: &str, mut visit: impl FnMut(Option<&'a str>, Option<f64>)) {
        if let Some(value) = self.state().and_then(|state| of_container(metric, state)) {
            return visit(None, value);
        }
        match self.source {
            Source::Host(report) => {
                if let Some(value) = report.metrics.get(metric) {
                    visit(None, *value);
                }
                for (_, table) in report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE) {
                    let Some(column) = table.column(metric) else { continue };
                    for row in &table.rows {
                        visit(row[0].text(), row[column].number());
                    }
                }
            }
            Source::Container(table, row) => {
                if let Some(column) = table.column(metric) {
                    visit(None, row[column].number());
                }
            }
        }
    }

    /// Calls `visit` for all series that stand in the report: with the metric, the device (`None`: the machine itself) and the value.
    pub fn for_each_value(&self, mut visit: impl FnMut(&'a str, Option<&'a str>, Option<f64>)) {
        match self.source {
            Source::Host(report) => {
                for (metric, value) in &report.metrics {
                    visit(metric, None, *value);
                }
                for (_, table) in report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE) {
                    for row in &table.rows {
                        for (metric, cell) in table.columns.iter().zip(row).filter(|(name, _)| is_metric(name)) {
                            visit(metric, row[0].text(), cell.number());
                        }
                    }
                }
            }
            Source::Container(table, row) => {
                for (metric, cell) in table.columns.iter().zip(row).filter(|(name, _)| is_metric(name)) {
                    visit(metric, None, cell.number());
                }
            }
        }
    }

    /// Calls `visit` for the metrics of device tables that have no row and are not those of the catalog.
    pub fn for_each_empty_column(&self, mut visit: impl FnMut(&'a str)) {
        let Source::Host(report) = self.source else { return };
        let tables = report.tables.iter().filter(|(name, table)| name.as_str() != CONTAINER_TABLE && table.rows.is_empty());
        for (name, table) in tables {
            let table_of = |metric: &str| catalog::find(metric).and_then(|metric| metric.subject.table());
            let metrics = table.columns.iter().filter(|column| is_metric(column) && table_of(column) != Some(name));
            metrics.for_each(|metric| visit(metric));
        }
    }

    /// Values of the machine itself.
    pub fn values(&self) -> BTreeMap<&'a str, f64> {
        match self.source {
            Source::Host(report) => report.metrics.iter().filter_map(|(name, value)| Some((name.as_str(), (*value)?))).collect(),
            Source::Container(table, row) => {
                let metrics = table.columns.iter().zip(row).filter(|(name, _)| is_metric(name));
                metrics.filter_map(|(name, cell)| Some((name.as_str(), cell.number()?))).collect()
            }
        }
    }

    /// The device tables of a host: by table, rows of column and cell.
    pub fn devices(&self) -> BTreeMap<&'a str, Vec<BTreeMap<&'a str, &'a Cell>>> {
        let Source::Host(report) = self.source else { return BTreeMap::new() };
        let tables = report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE);
        tables.map(|(name, table)| (name.as_str(), table.rows.iter().map(|row| named(table, row)).collect())).collect()
    }

    /// What describes the machine: the attributes of a container's row but its name, state and labels.
    pub fn attributes(&self) -> BTreeMap<&'a str, &'a Cell> {
        let Source::Container(table, row) = self.source else { return BTreeMap::new() };
        let mut attributes = named(table, row);
        attributes.retain(|name, cell| !is_metric(name) && !matches!(*name, "name" | "state" | "labels") && **cell != Cell::Null);
        attributes
    }

    /// An attribute of a container.
    pub fn attribute(&self, name: &str) -> Option<&'a Cell> {
        self.source.attribute(name)
    }

    /// What a container does; `None` of a host.
    pub fn state(&self) -> Option<ContainerState> {
        self.source.state()
    }
}

fn named<'a>(table: &'a Table, row: &'a [Cell]) -> BTreeMap<&'a str, &'a Cell> {
    table.columns.iter().map(String::as_str).zip(row).collect()
}
