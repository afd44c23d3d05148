//! What reports say of one series.

use wire_model::{CONTAINER_TABLE, Cell, HostReport, Table, catalog};

use super::{Said, Seen};

const RUNNING: [&str; 3] = ["running", "paused", "restarting"];
/// So long a container counts as missing.
const MISSING_MS: i64 = 24 * 3_600 * 1_000;

/// Of the host itself, or of a device of it.
pub(super) fn of_host(report: &HostReport, metric: &str, device: &str) -> Said {
    if device.is_empty() {
        return report.metrics.get(metric).copied().flatten().map_or(Said::Nothing, Said::Value);
    }
    for table in device_tables(report, metric) {
        let column = table.column(metric).expect("the table was found by its column");
        if let Some(row) = table.rows.iter().find(|row| row[0].text() == Some(device)) {
            return row[column].number().map_or(Said::Nothing, Said::Value);
        }
    }
    let could_be_read = match catalog::find(metric).and_then(|metric| metric.subject.table()) {
        Some(table) => report.tables.contains_key(table),
        None => device_tables(report, metric).next().is_some(),
    };
    if could_be_read { Said::Gone } else { Said::Nothing }
}

/// The tables of devices that have a column for a metric.
pub(super) fn device_tables<'a>(report: &'a HostReport, metric: &str) -> impl Iterator<Item = &'a Table> {
    let tables = report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE).map(|(_, table)| table);
    tables.filter(move |table| table.column(metric).is_some())
}

/// Of a container, of all reports.
pub(super) fn of_container(all: &[Seen<'_>], identity: &str, metric: &str) -> Vec<Said> {
    // whether it ran when it was last there, and since when it is not
    let (mut ran, mut gone_at) = (false, None);
    let said = |seen: &Seen<'_>| {
        let Some(containers) = &seen.containers else { return Said::Nothing };
        let table = &seen.report.tables[CONTAINER_TABLE];
        if let Some(row) = containers.get(identity) {
            let row = Row { table, cells: &table.rows[*row] };
            (ran, gone_at) = (row.runs(), None);
            return row.says(metric);
        }
        let since = *gone_at.get_or_insert(seen.report.at);
        let is_missing = metric == "container.missing" && ran && seen.report.at < since + MISSING_MS;
        if is_missing { Said::Value(1.0) } else { Said::Gone }
    };
    all.iter().map(said).collect()
}

struct Row<'a> {
    table: &'a Table,
    cells: &'a [Cell],
}

impl Row<'_> {
    fn cell(&self, name: &str) -> Option<&Cell> {
        Some(&self.cells[self.table.column(name)?])
    }

    fn runs(&self) -> bool {
        self.cell("state").and_then(Cell::text).is_none_or(|state| RUNNING.contains(&state))
    }

    fn says(&self, metric: &str) -> Said {
        let number = |name: &str| self.cell(name).and_then(Cell::number);
        let flag = |is: bool| Some(if is { 1.0 } else { 0.0 });
        let oom = number("oom_killed").is_some_and(|flag| flag != 0.0);
        let code = number("exit_code").map(|code| if code.fract() == 0.0 && (0.0..256.0).contains(&code) { code } else { 255.0 });
        let failed = code.filter(|code| *code != 0.0);
        let value = match metric {
            "container.stopped" => flag(!self.runs() && !oom && failed.is_none()),
            "container.exit_code" => failed.filter(|_| !self.runs() && !oom).or(Some(0.0)),
            "container.oom_killed" => flag(oom),
            "container.unhealthy" => flag(self.cell("health").and_then(Cell::text) == Some("unhealthy")),
            "container.restarts" => number("restarts"),
            "container.missing" => Some(0.0),
            _ => number(metric),
        };
        match value {
            Some(value) => Said::Value(value),
            None if self.runs() => Said::Nothing,
            None => Said::Stopped,
        }
    }
}
