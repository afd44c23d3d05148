//! A machine in one line: what a list of all machines shows of it. As columns and rows, because there are many.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use wire_model::Cell;

use crate::thresholds::{Kind, MachineReadings};
use crate::time::rfc3339;

/// Columns of a host behind `id` and `at`. Of devices that are several: the fullest filesystem and its mount point, the busiest disk, the
/// sum over the interfaces, and the hottest sensor.
const HOST: &[&str] = &[
    "system.cpu.utilization",
    "system.cpu.load_average.1m",
    "system.memory.utilization",
    "system.filesystem.utilization",
    "mountpoint",
    "system.disk.utilization",
    "system.network.receive",
    "system.network.transmit",
    "hw.temperature",
    "system.uptime",
];
/// Columns of a container behind `id` and `at`.
const CONTAINER: &[&str] = &[
    "state",
    "health",
    "started_at",
    "restarts",
    "container.cpu.usage",
    "container.cpu.limit",
    "container.memory.working_set",
    "container.memory.utilization",
    "container.network.receive",
    "container.network.transmit",
    "container.disk.read",
    "container.disk.write",
    "container.process.count",
];

/// Machines of one kind: the body of the SSE events `hosts` and `containers`.
#[derive(Debug, Serialize)]
pub struct Briefs {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

/// Names of the columns of a machine's newest values.
pub fn columns(kind: Kind) -> &'static [&'static str] {
    if kind == Kind::Host { HOST } else { CONTAINER }
}

/// The values in those columns; `null` where there is none.
pub fn cells(readings: &MachineReadings<'_>) -> Vec<Value> {
    let own = readings.values();
    let devices = if readings.kind == Kind::Host { readings.devices() } else { BTreeMap::new() };
    let cell = |name: &&str| match *name {
        "system.filesystem.utilization" => json!(fullest(&devices).map(|(share, _)| share)),
        "mountpoint" => json!(fullest(&devices).map(|(_, mountpoint)| mountpoint)),
        "system.disk.utilization" => json!(greatest(&devices, "disk", name)),
        "hw.temperature" => json!(greatest(&devices, "sensor", name)),
        "system.network.receive" | "system.network.transmit" => json!(sum(&devices, "network", name)),
        _ => match own.get(name) {
            Some(value) => json!(value),
            None => json!(readings.attribute(name)),
        },
    };
    columns(readings.kind).iter().map(cell).collect()
}

impl Briefs {
    /// Of no machine yet.
    pub fn new(kind: Kind) -> Briefs {
        Briefs { columns: ["id", "at"].into_iter().chain(columns(kind).iter().copied()).collect(), rows: Vec::new() }
    }

    /// Adds a machine with what a report of this time says of it.
    pub fn push(&mut self, machine_id: i64, at: i64, readings: &MachineReadings<'_>) {
        let head = [json!(machine_id.to_string()), json!(rfc3339(at))];
        self.rows.push(head.into_iter().chain(cells(readings)).collect());
    }

    /// As JSON text; `None` of no machine.
    pub fn to_json(&self) -> Option<String> {
        let text = || serde_json::to_string(self).expect("briefs have text keys and write to memory");
        (!self.rows.is_empty()).then(text)
    }
}

type Devices<'a> = BTreeMap<&'a str, Vec<BTreeMap<&'a str, &'a Cell>>>;

fn numbers(devices: &Devices<'_>, table: &str, metric: &str) -> impl Iterator<Item = f64> {
    devices.get(table).into_iter().flatten().filter_map(move |row| row.get(metric)?.number())
}

fn greatest(devices: &Devices<'_>, table: &str, metric: &str) -> Option<f64> {
    numbers(devices, table, metric).max_by(f64::total_cmp)
}

fn sum(devices: &Devices<'_>, table: &str, metric: &str) -> Option<f64> {
    numbers(devices, table, metric).reduce(|one, other| one + other)
}

fn fullest<'a>(devices: &Devices<'a>) -> Option<(f64, &'a str)> {
    let rows = devices.get("filesystem").into_iter().flatten();
    let shares =
        rows.filter_map(|row| Some((row.get("system.filesystem.utilization")?.number()?, row.get("mountpoint")?.text()?)));
    shares.max_by(|one, other| one.0.total_cmp(&other.0))
}

#[cfg(test)]
mod tests {
    use wire_model::HostReport;

    use super::*;
    use crate::thresholds::machine_readings;

    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json");

    #[test]
    fn a_machine_is_one_row_with_the_worst_of_its_devices() {
        let mut report: HostReport = serde_json::from_str(REPORT).unwrap();
        let text = |text: &str| Cell::Text(text.to_owned());
        let table = |columns: &[&str], rows: Vec<Vec<Cell>>| wire_model::Table {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows,
        };
        let share = |mountpoint: &str, share: Cell| vec![text(mountpoint), share];
        report.tables.insert(
            "filesystem".to_owned(),
            table(
                &["mountpoint", "system.filesystem.utilization"],
                vec![share("/", Cell::Number(0.5)), share("/srv", Cell::Number(0.9)), share("/mnt", Cell::Null)],
            ),
        );
        report.tables.insert(
            "network".to_owned(),
            table(
                &["interface", "system.network.receive", "system.network.transmit"],
                vec![vec![text("eth0"), Cell::Number(1.0), Cell::Null], vec![text("eth1"), Cell::Number(2.0), Cell::Null]],
            ),
        );
        report.tables.remove("sensor");
        let machines = machine_readings(&report);
        let row: BTreeMap<_, _> = columns(Kind::Host).iter().zip(cells(&machines[0])).collect();
        assert_eq!((&row[&"system.filesystem.utilization"], &row[&"mountpoint"]), (&json!(0.9), &json!("/srv")));
        assert_eq!((&row[&"system.network.receive"], &row[&"system.network.transmit"]), (&json!(3.0), &Value::Null));
        assert_eq!(row[&"hw.temperature"], Value::Null, "what is not there is not 0");
        assert_eq!(row[&"system.cpu.utilization"], json!(report.metrics["system.cpu.utilization"]));

        let row: BTreeMap<_, _> = columns(Kind::Container).iter().zip(cells(&machines[1])).collect();
        assert!(row[&"state"].is_string() && row[&"container.cpu.usage"].is_number(), "{row:?}");
    }

    #[test]
    fn briefs_of_no_machine_are_not_sent() {
        let report: HostReport = serde_json::from_str(REPORT).unwrap();
        let mut briefs = Briefs::new(Kind::Host);
        assert_eq!(briefs.to_json(), None);
        briefs.push(7, report.at, &machine_readings(&report)[0]);
        let body: Value = serde_json::from_str(&briefs.to_json().unwrap()).unwrap();
        assert_eq!((&body["columns"][0], &body["rows"][0][0]), (&json!("id"), &json!("7")));
        assert_eq!(body["columns"].as_array().map(Vec::len), body["rows"][0].as_array().map(Vec::len));
    }
}
