//! What samples of a host have in common: its machines, their series, and where the values of these stand.
//!
//! The reports of one form have one shape, and so have stretches of stored history; the evaluator knows no other difference between them.

use std::collections::BTreeSet;

use wire_model::{CONTAINER_TABLE, HostReport, catalog};

use super::container_state::ContainerState;
use super::readings::{MachineReadings, place};
use super::state_metrics::MISSING_MS;
use super::{Kind, Machine};

/// As far as rules look at it.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// The host, and its containers as far as they could be read.
    pub machines: Vec<MachineShape<'a>>,
    /// Containers that are gone, if any rule is about that.
    pub missing: Vec<MissingContainer>,
    /// What is complete where it is there.
    pub readable: Readable,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct MachineShape<'a> {
    /// As rules see it.
    pub machine: Machine,
    /// What it does, of a container.
    pub state: Option<ContainerState>,
    /// Its series, whether or not they have values; not those that are derived from its state.
    pub series: Vec<SeriesShape<'a>>,
}

/// One series.
#[derive(Clone, Copy, Debug)]
pub struct SeriesShape<'a> {
    /// Name of the metric.
    pub metric: &'a str,
    /// The device; `None`: the machine itself.
    pub device: Option<&'a str>,
    /// Where its value stands in [`Sample::values`](super::evaluator::Sample::values).
    pub place: usize,
}

/// A container that ran when it was last seen.
#[derive(Clone, Debug)]
pub struct MissingContainer {
    /// As it was.
    pub machine: Machine,
    /// Time of the first report that no longer had it, Unix ms.
    pub gone_at: i64,
}

impl MissingContainer {
    /// From this time on it is gone for good.
    pub fn until(&self) -> i64 {
        self.gone_at.saturating_add(MISSING_MS)
    }
}

/// The tables that could be read: what is not in them is gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readable {
    /// Names of the tables.
    pub tables: BTreeSet<String>,
    /// Metrics of devices that the catalog does not know, so that their tables are not known either: those of which there is a column.
    pub other_metrics: BTreeSet<String>,
}

impl Readable {
    /// Whether containers could be read.
    pub fn has_containers(&self) -> bool {
        self.tables.contains(CONTAINER_TABLE)
    }

    /// Whether the devices that have a metric could be read.
    pub fn has_devices(&self, metric: &str) -> bool {
        match catalog::find(metric).and_then(|metric| metric.subject.table()) {
            Some(table) => self.tables.contains(table),
            None => self.other_metrics.contains(metric),
        }
    }

    fn of(report: &HostReport) -> Readable {
        let devices = report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE);
        let metrics = devices.flat_map(|(_, table)| &table.columns);
        Readable {
            tables: report.tables.keys().cloned().collect(),
            other_metrics: metrics.filter(|metric| catalog::find(metric).is_none()).cloned().collect(),
        }
    }
}

impl<'a> Shape<'a> {
    /// Of the reports of a form: `places` is what [`Form::places`](wire_model::Form::places) says, `machines` are its machines with their
    /// ids.
    pub fn of(places: &HostReport, machines: &[(i64, MachineReadings<'a>)]) -> Shape<'a> {
        let machines = machines.iter().map(|(id, readings)| {
            let mut series = Vec::new();
            readings.for_each_value(|metric, device, value| series.push(SeriesShape { metric, device, place: place(value) }));
            MachineShape { machine: readings.machine(*id), state: readings.state(), series }
        });
        Shape { machines: machines.collect(), missing: Vec::new(), readable: Readable::of(places) }
    }

    /// With those containers that are gone, could be read if they were there, and are not.
    #[must_use]
    pub fn with_missing(mut self, missing: impl IntoIterator<Item = MissingContainer>) -> Shape<'a> {
        if self.readable.has_containers() {
            let is_here = |id| self.machines.iter().any(|other| other.machine.id == id);
            self.missing
                .extend(missing.into_iter().filter(|one| one.machine.kind == Kind::Container && !is_here(one.machine.id)));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wire_model::Table;

    use super::*;

    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json");

    #[test]
    fn a_metric_that_is_not_in_the_catalog_could_be_read_where_devices_have_a_column_of_it() {
        let mut report: HostReport = serde_json::from_str(REPORT).unwrap();
        let table = |metric: &str| Table { columns: vec!["device".to_owned(), metric.to_owned()], rows: Vec::new() };
        report.tables.insert("gpu".to_owned(), table("gpu.load"));
        report.tables.insert(CONTAINER_TABLE.to_owned(), table("container.odd"));
        report.tables.remove("disk");
        let readable = Readable::of(&report);
        let told = ["gpu.load", "container.odd", "gpu.other", "system.filesystem.utilization", "system.disk.read"]
            .map(|metric| readable.has_devices(metric));
        assert_eq!(told, [true, false, false, true, false]);
    }

    #[test]
    fn containers_are_missing_that_are_not_here() {
        let machine = |id, kind| Machine { id, kind, labels: BTreeMap::new() };
        let missing = |id, kind| MissingContainer { machine: machine(id, kind), gone_at: 0 };
        let here = MachineShape { machine: machine(2, Kind::Container), state: None, series: Vec::new() };
        let all = || [missing(2, Kind::Container), missing(3, Kind::Container), missing(1, Kind::Host)];
        for (tables, expected) in [([CONTAINER_TABLE], vec![3]), (["disk"], vec![])] {
            let readable = Readable { tables: tables.map(str::to_owned).into(), ..Readable::default() };
            let shape = Shape { machines: vec![here.clone()], missing: Vec::new(), readable }.with_missing(all());
            assert_eq!(shape.missing.iter().map(|one| one.machine.id).collect::<Vec<_>>(), expected);
        }
    }
}
