//! Which violations there should be, by the rules as README and DESIGN state them: for each series the whole history is laid out, and for
//! each sample it is looked at again from its end. No state is carried along, so nothing that carries state wrongly can agree by chance.

use std::collections::{BTreeMap, BTreeSet};

use wire_model::{CONTAINER_TABLE, HostReport, Table, container_identities};

use super::store::{Machine, Rule, Stay, StayKey};

/// Samples that are further apart are not one stretch: three intervals, at least ten seconds.
const GAP_INTERVALS: i64 = 3;
const GAP_MIN_MS: i64 = 10_000;
const RUNNING: [&str; 3] = ["running", "paused", "restarting"];

/// What one report says of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    /// Its part of the report, or its value, could not be read: nothing is decided.
    Nothing,
    /// Its part could be read, and it is not there.
    Gone,
    /// It is a container that does not run.
    Stopped,
    Value(f64),
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: i64,
    gap_ms: i64,
    said: Said,
}

/// A report with its containers by identity; `None` when they could not be read.
struct Seen<'a> {
    report: &'a HostReport,
    containers: Option<BTreeMap<String, usize>>,
}

/// All violations of a host and its containers. `reports` in event-time order.
pub(super) fn violations(rules: &[Rule], machines: &BTreeMap<Machine, i64>, reports: &[HostReport]) -> BTreeMap<StayKey, Stay> {
    let seen: Vec<Seen> = reports
        .iter()
        .map(|report| {
            let identities = report.tables.get(CONTAINER_TABLE).map(container_identities);
            let containers = identities.map(|names| names.into_iter().enumerate().map(|(row, name)| (name, row)).collect());
            Seen { report, containers }
        })
        .collect();
    let metrics: BTreeSet<(&str, &str)> = rules.iter().map(|rule| (rule.kind.as_str(), rule.metric.as_str())).collect();
    let mut violations = BTreeMap::new();
    for (kind, metric) in metrics {
        for (identity, device) in all_series(kind, metric, &seen) {
            let machine = (kind.to_owned(), identity);
            let history: Vec<Sample> = seen.iter().map(|seen| sample(seen, &machine, metric, &device)).collect();
            let machine_id = machines.get(&machine).copied();
            for rule in rules_in_force(rules, kind, metric, machine_id, &device) {
                for (opened_at, stay) in stays(rule, &history) {
                    let key = StayKey { machine: machine.clone(), device: device.clone(), threshold_id: rule.id, opened_at };
                    violations.insert(key, stay);
                }
            }
        }
    }
    violations
}

/// Identity and device of every series of a metric that any report has.
fn all_series(kind: &str, metric: &str, seen: &[Seen]) -> BTreeSet<(String, String)> {
    let mut series = BTreeSet::new();
    for Seen { report, containers } in seen {
        if kind == "container" {
            series.extend(containers.iter().flat_map(BTreeMap::keys).map(|identity| (identity.clone(), String::new())));
            continue;
        }
        if report.metrics.contains_key(metric) {
            series.insert((String::new(), String::new()));
        }
        for table in device_tables(report, metric) {
            series.extend(table.rows.iter().filter_map(|row| Some((String::new(), row[0].text()?.to_owned()))));
        }
    }
    series
}

fn device_tables<'a>(report: &'a HostReport, metric: &str) -> impl Iterator<Item = &'a Table> {
    let tables = report.tables.iter().filter(|(name, _)| name.as_str() != CONTAINER_TABLE).map(|(_, table)| table);
    tables.filter(move |table| table.column(metric).is_some())
}

fn sample(seen: &Seen, (kind, identity): &Machine, metric: &str, device: &str) -> Sample {
    let report = seen.report;
    let said = match kind.as_str() {
        "container" => of_container(seen, identity, metric),
        _ if device.is_empty() => report.metrics.get(metric).copied().flatten().map_or(Said::Nothing, Said::Value),
        _ => of_device(report, metric, device),
    };
    Sample { at: report.at, gap_ms: (i64::from(report.interval_ms) * GAP_INTERVALS).max(GAP_MIN_MS), said }
}

fn of_container(seen: &Seen, identity: &str, metric: &str) -> Said {
    let (Some(containers), Some(table)) = (&seen.containers, seen.report.tables.get(CONTAINER_TABLE)) else {
        return Said::Nothing;
    };
    let Some(row) = containers.get(identity) else { return Said::Gone };
    let row = &table.rows[*row];
    let Some(column) = table.column(metric) else { return Said::Nothing };
    let state = table.column("state").and_then(|column| row[column].text());
    match row[column].number() {
        Some(value) => Said::Value(value),
        None if state.is_some_and(|state| !RUNNING.contains(&state)) => Said::Stopped,
        None => Said::Nothing,
    }
}

fn of_device(report: &HostReport, metric: &str, device: &str) -> Said {
    let Some(table) = device_tables(report, metric).next() else { return Said::Nothing };
    let Some(row) = table.rows.iter().find(|row| row[0].text() == Some(device)) else { return Said::Gone };
    let column = table.column(metric).expect("the table was found by its column");
    row[column].number().map_or(Said::Nothing, Said::Value)
}

/// For each direction and severity the most specific rule: one for the machine beats one for the kind, then one for the device beats one
/// for all, then the older one.
fn rules_in_force<'a>(rules: &'a [Rule], kind: &str, metric: &str, machine_id: Option<i64>, device: &str) -> Vec<&'a Rule> {
    let mut candidates: Vec<&Rule> = rules
        .iter()
        .filter(|rule| rule.kind == kind && rule.metric == metric)
        .filter(|rule| rule.machine_id.is_none() || rule.machine_id == machine_id)
        .filter(|rule| rule.device.as_deref().is_none_or(|name| name == device && !device.is_empty()))
        .collect();
    candidates.sort_by_key(|rule| (rule.machine_id.is_none(), rule.device.is_none(), rule.id));
    let mut taken = BTreeSet::new();
    candidates.retain(|rule| taken.insert((rule.is_above, rule.severity.clone())));
    candidates
}

/// By the time of opening.
fn stays(rule: &Rule, history: &[Sample]) -> Vec<(i64, Stay)> {
    let mut stays = Vec::new();
    // the first sample that may count towards the next opening
    let mut begin = 0;
    let mut n = 0;
    while n < history.len() {
        let Some((opened_value, mut peak)) = opens(rule, &history[begin..=n]) else {
            n += 1;
            continue;
        };
        let opened_at = history[n].at;
        let end = history[n + 1..].iter().position(|sample| end(rule, sample.said).is_some()).map(|distance| n + 1 + distance);
        for sample in &history[n + 1..end.unwrap_or(history.len())] {
            if let Said::Value(value) = sample.said {
                peak = worse(rule, peak, value);
            }
        }
        let closing = end.map(|end| &history[end]);
        let stay = Stay {
            metric: rule.metric.clone(),
            opened_value,
            peak_value: peak,
            closed_at: closing.map(|sample| sample.at),
            closed_value: closing.and_then(|sample| if let Said::Value(value) = sample.said { Some(value) } else { None }),
            close_reason: closing.and_then(|sample| end_reason(rule, sample)),
        };
        stays.push((opened_at, stay));
        begin = end.map_or(history.len(), |end| end + 1);
        n = begin;
    }
    stays
}

/// Value and worst value, if the last of these samples opens a violation: it is beyond, and so is every value of an unbroken stretch that
/// ends with it and is long enough.
fn opens(rule: &Rule, history: &[Sample]) -> Option<(f64, f64)> {
    let last = history.last()?;
    let Said::Value(value) = last.said else { return None };
    if !is_beyond(rule, value) {
        return None;
    }
    let (mut since, mut peak) = (last, value);
    for sample in history.iter().rev().skip(1) {
        match sample.said {
            Said::Nothing => {}
            Said::Value(value) if is_beyond(rule, value) && since.at - sample.at <= since.gap_ms => {
                since = sample;
                peak = worse(rule, peak, value);
            }
            _ => break,
        }
    }
    (last.at - since.at >= rule.for_ms).then_some((value, peak))
}

fn end(rule: &Rule, said: Said) -> Option<&'static str> {
    match said {
        Said::Gone => Some("gone"),
        Said::Stopped => Some("stopped"),
        Said::Value(value) if is_recovered(rule, value) => Some("recovered"),
        Said::Value(_) | Said::Nothing => None,
    }
}

fn end_reason(rule: &Rule, sample: &Sample) -> Option<String> {
    end(rule, sample.said).map(str::to_owned)
}

fn is_beyond(rule: &Rule, value: f64) -> bool {
    if rule.is_above { value > rule.value } else { value < rule.value }
}

fn is_recovered(rule: &Rule, value: f64) -> bool {
    if rule.is_above { value <= rule.recovery_value } else { value >= rule.recovery_value }
}

fn worse(rule: &Rule, one: f64, other: f64) -> f64 {
    if rule.is_above { one.max(other) } else { one.min(other) }
}

#[cfg(test)]
mod tests {
    use super::Said::{Gone, Nothing, Stopped, Value};
    use super::*;

    /// Opened, closed and why, in seconds.
    type Told = (i64, Option<i64>, Option<&'static str>);

    fn rule(is_above: bool, for_ms: i64) -> Rule {
        let (value, recovery_value) = if is_above { (0.5, 0.4) } else { (0.4, 0.5) };
        let [kind, metric, severity] = ["host", "system.cpu.utilization", "info"].map(str::to_owned);
        Rule { id: 1, kind, machine_id: None, metric, device: None, is_above, value, recovery_value, for_ms, severity }
    }

    fn history(samples: &[(i64, Said)]) -> Vec<Sample> {
        samples.iter().map(|(second, said)| Sample { at: second * 1_000, gap_ms: GAP_MIN_MS, said: *said }).collect()
    }

    fn check(rule: &Rule, samples: &[(i64, Said)], expected: &[Told]) {
        let stays = stays(rule, &history(samples));
        let told: Vec<_> = stays
            .iter()
            .map(|(opened_at, stay)| (opened_at / 1_000, stay.closed_at.map(|at| at / 1_000), stay.close_reason.as_deref()))
            .collect();
        assert_eq!(told, expected, "{samples:?}");
    }

    #[test]
    fn a_value_opens_beyond_the_threshold_and_closes_at_the_recovery_value() {
        let at_once = rule(true, 0);
        check(
            &at_once,
            &[(0, Value(0.5)), (2, Value(0.51)), (4, Value(0.45)), (6, Value(0.4))],
            &[(2, Some(6), Some("recovered"))],
        );
        check(
            &at_once,
            &[(0, Value(0.6)), (2, Value(0.3)), (4, Value(0.6))],
            &[(0, Some(2), Some("recovered")), (4, None, None)],
        );
        check(&rule(false, 0), &[(0, Value(0.4)), (2, Value(0.39)), (4, Value(0.5))], &[(2, Some(4), Some("recovered"))]);
    }

    #[test]
    fn it_waits_for_a_stretch_without_interruption() {
        let waits = rule(true, 4_000);
        check(&waits, &[(0, Value(0.6)), (2, Value(0.6)), (4, Value(0.6))], &[(4, None, None)]);
        check(&waits, &[(0, Value(0.6)), (2, Nothing), (4, Value(0.6))], &[(4, None, None)]);
        check(&waits, &[(0, Value(0.6)), (2, Value(0.5)), (4, Value(0.6)), (6, Value(0.6))], &[]);
        check(&waits, &[(0, Value(0.6)), (2, Gone), (4, Value(0.6))], &[]);
        check(&waits, &[(0, Value(0.6)), (2, Stopped), (4, Value(0.6))], &[]);
        // ten seconds are one stretch, eleven are two
        check(&waits, &[(0, Value(0.6)), (10, Value(0.6))], &[(10, None, None)]);
        check(&waits, &[(0, Value(0.6)), (11, Value(0.6)), (13, Value(0.6)), (15, Value(0.6))], &[(15, None, None)]);
    }

    #[test]
    fn what_cannot_be_read_decides_nothing_and_what_is_not_there_closes() {
        let at_once = rule(true, 0);
        check(&at_once, &[(0, Value(0.6)), (2, Nothing), (60, Nothing)], &[(0, None, None)]);
        check(&at_once, &[(0, Value(0.6)), (2, Gone), (4, Value(0.6))], &[(0, Some(2), Some("gone")), (4, None, None)]);
        check(&at_once, &[(0, Value(0.6)), (2, Stopped)], &[(0, Some(2), Some("stopped"))]);
    }

    #[test]
    fn the_peak_is_the_worst_since_the_series_went_beyond() {
        let values = [0.55, 0.9, 0.6, 0.7, 0.95, 0.4];
        let samples: Vec<_> = (0..).step_by(2).zip(values.map(Value)).collect();
        let told = stays(&rule(true, 4_000), &history(&samples));
        assert_eq!((told[0].1.opened_value, told[0].1.peak_value, told[0].1.closed_value), (0.6, 0.95, Some(0.4)));
        let told = stays(&rule(true, 4_000), &history(&samples[..4]));
        assert_eq!(told[0].1.peak_value, 0.9, "what came before it opened counts");
    }

    #[test]
    fn the_most_specific_rule_of_a_severity_is_in_force() {
        let base = Rule { device: None, ..rule(true, 0) };
        let rules = [
            Rule { id: 1, ..base.clone() },
            Rule { id: 2, device: Some("/data".to_owned()), ..base.clone() },
            Rule { id: 3, machine_id: Some(7), ..base.clone() },
            Rule { id: 4, severity: "critical".to_owned(), ..base.clone() },
            Rule { id: 5, ..base.clone() },
            Rule { id: 6, is_above: false, ..base },
        ];
        let in_force = |machine_id, device| {
            let mut ids: Vec<_> =
                rules_in_force(&rules, "host", "system.cpu.utilization", machine_id, device).iter().map(|rule| rule.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(in_force(Some(1), "/"), [1, 4, 6]);
        assert_eq!(in_force(Some(1), "/data"), [2, 4, 6]);
        assert_eq!(in_force(Some(7), "/data"), [3, 4, 6]);
    }
}
