//! The limits, applied to one decoded report.

use std::collections::{BTreeMap, HashSet};

use crate::decode::ReportError;
use crate::limits;
use crate::report::{CONTAINER_TABLE, Cell, HostReport, SCHEMA, Table, is_metric};

/// Checks everything that the types do not say.
pub(crate) fn validate(report: &HostReport, now_ms: i64) -> Result<(), ReportError> {
    if report.schema != SCHEMA {
        return Err(ReportError::Schema(u64::from(report.schema)));
    }
    check_host(report)?;
    check_counters(report, now_ms)?;
    at_most("the number of host metrics", report.metrics.len(), limits::METRICS)?;
    for name in report.metrics.keys() {
        check_name("a metric's name", name)?;
        if !is_metric(name) {
            return Err(ReportError::Invalid(format!("\"{name}\" is no metric name: it has no dot")));
        }
    }
    at_most("the number of tables", report.tables.len(), limits::TABLES)?;
    let mut devices = 0;
    let mut metrics: HashSet<&str> = report.metrics.keys().map(String::as_str).collect();
    for (name, table) in &report.tables {
        check_name("a table's name", name)?;
        check_table(name, table)?;
        if name == CONTAINER_TABLE {
            at_most("the number of containers", table.rows.len(), limits::CONTAINERS)?;
        } else {
            check_metrics_are_new(name, table, &mut metrics)?;
            devices += table.rows.len();
        }
    }
    at_most("the number of devices", devices, limits::DEVICES)
}

fn check_host(report: &HostReport) -> Result<(), ReportError> {
    let host = &report.host;
    check_name("host.id", &host.id)?;
    check_name("host.name", &host.name)?;
    check_labels("host.labels", &host.labels)?;
    for (what, text) in [("host.os", &host.os), ("host.kernel", &host.kernel), ("host.collector", &host.collector)] {
        check_text(what, text.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

fn check_counters(report: &HostReport, now_ms: i64) -> Result<(), ReportError> {
    let (previous, removed) = (report.previous.unwrap_or_default(), report.removed);
    for (what, value) in [
        ("epoch", report.epoch),
        ("seq", report.seq),
        ("previous.epoch", previous.epoch),
        ("previous.seq", previous.seq),
        ("the number of removed reports", removed.total()),
    ] {
        if i64::try_from(value).is_err() {
            return Err(ReportError::Invalid(format!("{what} {value} does not fit 63 bits")));
        }
    }
    if report.previous.is_some_and(|previous| previous.epoch >= report.epoch) {
        return Err(ReportError::Invalid(format!(
            "epoch {} does not come after the previous one, {}",
            report.epoch, previous.epoch
        )));
    }
    if !(limits::INTERVAL_MS_MIN..=limits::INTERVAL_MS_MAX).contains(&report.interval_ms) {
        return Err(ReportError::Invalid(format!(
            "interval_ms {} is not within {} and {}",
            report.interval_ms,
            limits::INTERVAL_MS_MIN,
            limits::INTERVAL_MS_MAX
        )));
    }
    if report.at <= 0 {
        return Err(ReportError::Invalid(format!("at {} is no Unix time in ms", report.at)));
    }
    let ahead_ms = report.at.saturating_sub(now_ms);
    if ahead_ms > limits::FUTURE_MS {
        return Err(ReportError::Limit {
            what: "the report's time ahead of now in ms".to_owned(),
            actual: ahead_ms,
            limit: limits::FUTURE_MS,
        });
    }
    Ok(())
}

fn check_table(name: &str, table: &Table) -> Result<(), ReportError> {
    at_most(&format!("table {name}: the number of columns"), table.columns.len(), limits::METRICS)?;
    let mut seen = HashSet::new();
    for column in &table.columns {
        check_name("a column's name", column)?;
        if !seen.insert(column) {
            return Err(ReportError::Invalid(format!("table {name}: column {column} stands twice")));
        }
    }
    let key = if name == CONTAINER_TABLE { table.column("name") } else { (!table.columns.is_empty()).then_some(0) };
    let Some(key) = key.filter(|key| !is_metric(&table.columns[*key])) else {
        return Err(ReportError::Invalid(format!("table {name} has no column that names its rows")));
    };
    let mut names = HashSet::new();
    for row in &table.rows {
        if row.len() != table.columns.len() {
            return Err(ReportError::Invalid(format!(
                "table {name}: a row has {} cells, there are {} columns",
                row.len(),
                table.columns.len()
            )));
        }
        let Some(device) = row[key].text() else {
            return Err(ReportError::Invalid(format!("table {name}: a row has no text in {}", table.columns[key])));
        };
        check_name(&format!("table {name}: a row's name"), device)?;
        if !names.insert(device) {
            return Err(ReportError::Invalid(format!("table {name}: \"{device}\" stands twice")));
        }
        check_cells(name, table, row)?;
    }
    Ok(())
}

/// A metric and a device name one series: the same metric in two places of the host would be two series in one.
fn check_metrics_are_new<'a>(name: &str, table: &'a Table, metrics: &mut HashSet<&'a str>) -> Result<(), ReportError> {
    match table.columns.iter().find(|column| is_metric(column) && !metrics.insert(column)) {
        Some(column) => Err(ReportError::Invalid(format!("table {name}: {column} stands in another part of the report, too"))),
        None => Ok(()),
    }
}

fn check_cells(name: &str, table: &Table, row: &[Cell]) -> Result<(), ReportError> {
    for (column, cell) in table.columns.iter().zip(row) {
        match cell {
            Cell::Text(_) | Cell::Labels(_) if is_metric(column) => {
                return Err(ReportError::Invalid(format!("table {name}: {column} is neither a number nor null")));
            }
            Cell::Text(text) => check_text(&format!("table {name}: {column}"), text)?,
            Cell::Labels(labels) => check_labels(&format!("table {name}: {column}"), labels)?,
            Cell::Number(_) | Cell::Null => {}
        }
    }
    Ok(())
}

fn check_labels(what: &str, labels: &BTreeMap<String, String>) -> Result<(), ReportError> {
    at_most(&format!("{what}: the number of labels"), labels.len(), limits::LABELS)?;
    for (key, value) in labels {
        check_text(&format!("{what}: a key"), key)?;
        check_text(&format!("{what}: a value"), value)?;
    }
    Ok(())
}

/// A name is short, not empty and has no control characters, so that it can stand in a log line, a key and a page.
fn check_name(what: &str, name: &str) -> Result<(), ReportError> {
    if name.is_empty() {
        return Err(ReportError::Invalid(format!("{what} is empty")));
    }
    // MySQL compares without them, so they would make two names one
    if name.ends_with(' ') {
        return Err(ReportError::Invalid(format!("{what} ends with a space")));
    }
    at_most(&format!("{what}: the number of characters"), name.chars().count(), limits::NAME_CHARS)?;
    no_control_characters(what, name)
}

fn check_text(what: &str, text: &str) -> Result<(), ReportError> {
    at_most(&format!("{what}: the number of characters"), text.chars().count(), limits::LABEL_CHARS)?;
    no_control_characters(what, text)
}

fn no_control_characters(what: &str, text: &str) -> Result<(), ReportError> {
    if text.chars().any(char::is_control) {
        return Err(ReportError::Invalid(format!("{what} has control characters")));
    }
    Ok(())
}

pub(crate) fn at_most(what: &str, actual: usize, limit: usize) -> Result<(), ReportError> {
    if actual <= limit {
        return Ok(());
    }
    Err(ReportError::Limit {
        what: what.to_owned(),
        actual: i64::try_from(actual).unwrap_or(i64::MAX),
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
    })
}
