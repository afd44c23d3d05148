//! The numbers of a report, one by one, and how finely they are kept.

use std::collections::BTreeMap;

use wire_model::{CONTAINER_TABLE, HostReport, Table, catalog, container_identities, is_metric};

use super::store::Machine;

/// One number.
pub(super) struct Value<'a> {
    /// `None`: the database does not know its machine.
    pub(super) machine_id: Option<i64>,
    pub(super) metric: &'a str,
    /// Empty where the metric is of the machine itself.
    pub(super) device: &'a str,
    pub(super) value: f64,
}

/// All numbers of a report that are kept: those of the host, of its devices, of its containers.
pub(super) fn of<'a>(report: &'a HostReport, machines: &BTreeMap<Machine, i64>) -> Vec<Value<'a>> {
    let id = |kind: &str, identity: &str| machines.get(&(kind.to_owned(), identity.to_owned())).copied();
    let host = id("host", "");
    let numbers = report.metrics.iter().filter_map(|(metric, value)| Some((metric, (*value)?)));
    let mut values: Vec<_> = numbers.map(|(metric, value)| Value { machine_id: host, metric, device: "", value }).collect();
    for (name, table) in &report.tables {
        if name == CONTAINER_TABLE {
            for (row, identity) in container_identities(table).iter().enumerate() {
                add_row(table, row, id("container", identity), "", &mut values);
            }
        } else {
            for (row, cells) in table.rows.iter().enumerate() {
                add_row(table, row, host, cells[0].text().unwrap_or_default(), &mut values);
            }
        }
    }
    values
}

fn add_row<'a>(table: &'a Table, row: usize, machine_id: Option<i64>, device: &'a str, values: &mut Vec<Value<'a>>) {
    let cells = table.columns.iter().zip(&table.rows[row]).filter(|(metric, _)| is_metric(metric));
    let numbers = cells.filter_map(|(metric, cell)| Some((metric, cell.number()?)));
    values.extend(numbers.map(|(metric, value)| Value { machine_id, metric, device, value }));
}

/// What one unit of a metric is worth; `None`: values stand as they come.
pub(super) fn unit(metric: &str) -> Option<f64> {
    catalog::find(metric).map(|metric| metric.resolution)
}

/// Whether so many units are what a value is rounded to; the half between two may go either way.
pub(super) fn is_rounded(value: f64, unit: Option<f64>, units: f64) -> bool {
    let Some(unit) = unit else { return units == value };
    let exact = value / unit;
    units.fract() == 0.0 && (units - exact).abs() <= 0.5 + exact.abs() * 4.0 * f64::EPSILON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_rounded_to_the_nearest_unit() {
        for (value, unit, units, expected) in [
            (0.12344, Some(1e-4), 1234.0, true),
            (0.12346, Some(1e-4), 1234.0, false),
            (0.12345, Some(1e-4), 1235.0, true),
            (6144.0, Some(4096.0), 1.0, true),
            (6144.0, Some(4096.0), 2.0, true),
            (6144.0, Some(4096.0), 1.5, false),
            (0.3, None, 0.3, true),
            (0.3, None, 0.300_000_1, false),
        ] {
            assert_eq!(is_rounded(value, unit, units), expected, "{value} {unit:?} {units}");
        }
    }
}
