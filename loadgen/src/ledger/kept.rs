//! What history keeps of a report beside its values, as docs/CHUNKS.md says: how it came, what its containers do, and where a device has no
//! value.

use std::collections::BTreeMap;

use wire_model::{CONTAINER_TABLE, Cell, HostReport, catalog, container_identities, is_metric};

use super::store::Machine;
use super::values::Value;

/// The series of what a container does.
pub(super) const CONTAINER_STATE: &str = "container_state";

const TABLES: [&str; 5] = ["filesystem", "disk", "network", "sensor", "container"];
const ENGINE: [&str; 6] = ["created", "running", "paused", "restarting", "exited", "dead"];
const HEALTH: [&str; 3] = ["starting", "healthy", "unhealthy"];
const RESTARTS_MAX: f64 = 16_777_214.0;

/// The state of a report that is stored under `at`, without the bit that says whether it is late.
pub(super) fn report_state(report: &HostReport, at: i64) -> i64 {
    let bits = TABLES.iter().zip(1..).filter(|(table, _)| report.tables.contains_key(**table));
    let tables: i64 = bits.map(|(_, bit)| 1 << bit).sum();
    tables + (i64::from(report.interval_ms) << 8) + ((at - report.at) << 30)
}

/// What each container of a report does, as a value.
pub(super) fn container_states<'a>(report: &HostReport, machines: &BTreeMap<Machine, i64>) -> Vec<Value<'a>> {
    let Some(table) = report.tables.get(CONTAINER_TABLE) else { return Vec::new() };
    let state = |(identity, row): (String, &Vec<Cell>)| {
        let cell = |name: &str| table.column(name).map(|column| &row[column]);
        let text = |name| cell(name).and_then(Cell::text);
        let number = |name| cell(name).and_then(Cell::number);
        let engine = text("state").map_or(0, |word| 1 + ENGINE.iter().position(|other| *other == word).unwrap_or(6));
        let health = text("health").and_then(|word| HEALTH.iter().position(|other| *other == word)).map_or(0, |place| place + 1);
        let mut value = engine as f64 + 8.0 * health as f64;
        if number("oom_killed").is_some_and(|flag| flag != 0.0) {
            value += 32.0;
        }
        if let Some(code) = number("exit_code") {
            let is_code = (0.0..=255.0).contains(&code) && code.fract() == 0.0;
            value += 16_384.0 + 64.0 * if is_code { code } else { 255.0 };
        }
        if let Some(restarts) = number("restarts") {
            value += 32_768.0 * (1.0 + restarts.trunc().clamp(0.0, RESTARTS_MAX));
        }
        let machine_id = machines.get(&("container".to_owned(), identity)).copied();
        Value { machine_id, metric: CONTAINER_STATE, device: "", value }
    };
    container_identities(table).into_iter().zip(&table.rows).map(state).collect()
}

/// Metric and device of each cell of a device without a number, and of each column of a table without rows (then without a device) that
/// the catalog does not have there.
pub(super) fn nulls(report: &HostReport) -> Vec<(&str, &str)> {
    let mut nulls = Vec::new();
    for (name, table) in report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE) {
        for (column, metric) in table.columns.iter().enumerate().filter(|(_, metric)| is_metric(metric)) {
            let unread = table.rows.iter().filter(|row| row[column] == Cell::Null);
            nulls.extend(unread.map(|row| (metric.as_str(), row[0].text().unwrap_or_default())));
            let table_of = catalog::find(metric).and_then(|metric| metric.subject.table());
            if table.rows.is_empty() && table_of != Some(name) {
                nulls.push((metric, ""));
            }
        }
    }
    nulls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_nulls_of_a_report() {
        let report = include_str!("../../../wire-model/golden/host-report.json");
        let report = report
            .replace("1.5,2]", "null,2]")
            .replace(r#""tables":{"#, r#""tables":{"gpu":{"columns":["n","gpu.load"],"rows":[]},"#);
        let report: HostReport = serde_json::from_str(&report).unwrap();
        assert_eq!(report_state(&report, report.at + 3), 0b10_1010 + (2_000 << 8) + (3 << 30));
        let machines = BTreeMap::from([(("container".to_owned(), "name:job".to_owned()), 7)]);
        let states: Vec<_> = container_states(&report, &machines).iter().map(|value| (value.machine_id, value.value)).collect();
        let web = 2 + (2 << 3) + (1 << 15);
        let job = 5 + (1 << 5) + (137 << 6) + (1 << 14) + (3 << 15);
        assert_eq!(states, [(None, f64::from(web)), (Some(7), f64::from(job))]);
        assert_eq!(nulls(&report), [("gpu.load", ""), ("system.network.receive", "eth0")]);
    }
}
