//! Which violations there should be, by the rules as README and DESIGN state them: for each series the whole history is laid out, and for
//! each sample it is looked at again from its end. No state is carried along, so nothing that carries state wrongly can agree by chance.

mod compared;
mod said;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use wire_model::{CONTAINER_TABLE, HostReport, container_identities};

use self::scope::{Subject, in_force, labels};
use super::store::{Machine, Rule, Stay, StayKey};

/// Samples that are further apart are not one stretch: three intervals, at least ten seconds.
const GAP_INTERVALS: i64 = 3;
const GAP_MIN_MS: i64 = 10_000;

/// What one report says of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    /// Its part of the report, or its value, could not be read: nothing is decided.
    Nothing,
    /// Its part could be read, and it is not there.
    Gone,
    /// It is a container that does not run and has no value.
    Stopped,
    /// The rule is not in force for it.
    Changed,
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
            let history = history(&seen, &machine, metric, &device);
            let in_force = rules_in_force(rules, &seen, (&machine, machines.get(&machine).copied()), metric, &device);
            for (rule, by_report) in in_force {
                let mut samples = history.clone();
                for (sample, _) in samples.iter_mut().zip(&by_report).filter(|(_, is_in_force)| **is_in_force == Some(false)) {
                    sample.said = Said::Changed;
                }
                for (opened_at, stay) in stays(rule, &compared::compared(rule, &samples)) {
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
        for table in said::device_tables(report, metric) {
            series.extend(table.rows.iter().filter_map(|row| Some((String::new(), row[0].text()?.to_owned()))));
        }
    }
    series
}

fn history(seen: &[Seen], (kind, identity): &Machine, metric: &str, device: &str) -> Vec<Sample> {
    let said: Vec<Said> = match kind.as_str() {
        "container" => said::of_container(seen, identity, metric),
        _ => seen.iter().map(|seen| said::of_host(seen.report, metric, device)).collect(),
    };
    let gap_ms = |report: &HostReport| (i64::from(report.interval_ms) * GAP_INTERVALS).max(GAP_MIN_MS);
    let sample = |(seen, said): (&Seen, Said)| Sample { at: seen.report.at, gap_ms: gap_ms(seen.report), said };
    seen.iter().zip(said).map(sample).collect()
}

/// The rules that are ever in force for a series, each with the reports in which it is: `None` where the machine is not there, so that
/// nobody asks. One that is gone has the labels it had.
fn rules_in_force<'a>(
    rules: &'a [Rule],
    seen: &[Seen],
    ((kind, identity), machine_id): (&Machine, Option<i64>),
    metric: &str,
    device: &str,
) -> Vec<(&'a Rule, Vec<Option<bool>>)> {
    let of_metric: Vec<Rule> = rules.iter().filter(|rule| rule.kind == *kind && rule.metric == metric).cloned().collect();
    let mut known: Option<(Subject<'_>, BTreeSet<i64>)> = None;
    let mut by_report = Vec::with_capacity(seen.len());
    for Seen { report, containers } in seen {
        let row = containers.as_ref().and_then(|containers| containers.get(identity)).copied();
        let is_here = kind == "host" || row.is_some();
        if !is_here && metric != "container.missing" {
            by_report.push(None);
            continue;
        }
        let labels = match (row, &known) {
            (None, Some((before, _))) if kind == "container" => before.labels.clone(),
            (row, _) => labels(report, row.map(|row| (&report.tables[CONTAINER_TABLE], row))),
        };
        if known.as_ref().is_none_or(|(before, _)| before.labels != labels) {
            let subject = Subject { kind, machine_id, labels };
            let ids = in_force(&of_metric, &subject, metric, device).iter().map(|rule| rule.id).collect();
            known = Some((subject, ids));
        }
        by_report.push(known.as_ref().map(|(_, ids)| ids.clone()).filter(|_| is_here));
    }
    let of_rule = |rule: &'a Rule| {
        let has = |ids: &Option<BTreeSet<i64>>| ids.as_ref().map(|ids| ids.contains(&rule.id));
        let in_force: Vec<Option<bool>> = by_report.iter().map(has).collect();
        in_force.contains(&Some(true)).then_some((rule, in_force))
    };
    rules.iter().filter_map(of_rule).collect()
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
        let rest = &history[n + 1..];
        let end = (0..rest.len()).find(|length| end(rule, &rest[..=*length]).is_some());
        for sample in &rest[..end.unwrap_or(rest.len())] {
            if let Said::Value(value) = sample.said {
                peak = worse(rule, peak, value);
            }
        }
        let closing = end.map(|end| &rest[end]);
        let number = |said: Said| if let Said::Value(value) = said { Some(value) } else { None };
        let stay = Stay {
            metric: rule.metric.clone(),
            opened_value,
            peak_value: peak,
            closed_at: closing.map(|sample| sample.at),
            // there is no number for what never ends
            closed_value: closing.and_then(|sample| number(sample.said)).filter(|value| value.is_finite()),
            close_reason: end.and_then(|length| self::end(rule, &rest[..=length])).map(str::to_owned),
        };
        stays.push((opened_at, stay));
        begin = end.map_or(history.len(), |end| n + 1 + end + 1);
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

/// Why the last of these samples, all of which came while it was open, closes a violation.
fn end(rule: &Rule, history: &[Sample]) -> Option<&'static str> {
    let last = history.last()?;
    match last.said {
        Said::Gone => Some("gone"),
        Said::Stopped => Some("stopped"),
        Said::Changed => Some("threshold_changed"),
        Said::Nothing => None,
        Said::Value(_) => {
            let mut since = last;
            for sample in history.iter().rev() {
                match sample.said {
                    Said::Nothing => {}
                    Said::Value(value) if is_recovered(rule, value) && since.at - sample.at <= since.gap_ms => since = sample,
                    // the last one itself, too, when it is not recovered
                    _ if sample.at == last.at => return None,
                    _ => break,
                }
            }
            (last.at - since.at >= rule.recovery_for_ms).then_some("recovered")
        }
    }
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
    use super::Said::{Changed, Gone, Nothing, Stopped, Value};
    use super::*;

    /// Opened, closed and why, in seconds.
    type Told = (i64, Option<i64>, Option<&'static str>);

    pub(super) fn rule(is_above: bool, for_ms: i64) -> Rule {
        let (value, recovery_value) = if is_above { (0.5, 0.4) } else { (0.4, 0.5) };
        let [kind, metric, severity] = ["host", "system.cpu.utilization", "info"].map(str::to_owned);
        Rule {
            id: 1,
            kind,
            machine_id: None,
            labels: BTreeMap::new(),
            metric,
            device: None,
            quantity: "value".to_owned(),
            window_ms: 0,
            is_above,
            value,
            recovery_value,
            for_ms,
            recovery_for_ms: 0,
            severity,
            opens: true,
        }
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
    fn it_recovers_when_it_stays_recovered() {
        let slow = Rule { recovery_for_ms: 4_000, ..rule(true, 0) };
        check(&slow, &[(0, Value(0.6)), (2, Value(0.4)), (4, Nothing), (6, Value(0.1))], &[(0, Some(6), Some("recovered"))]);
        check(&slow, &[(0, Value(0.6)), (2, Value(0.4)), (4, Value(0.45)), (6, Value(0.4)), (8, Value(0.4))], &[(0, None, None)]);
        check(&slow, &[(0, Value(0.6)), (2, Value(0.4)), (13, Value(0.4)), (15, Value(0.4))], &[(0, None, None)]);
        check(&slow, &[(0, Value(0.6)), (2, Value(0.4)), (4, Gone)], &[(0, Some(4), Some("gone"))]);
        check(&slow, &[(0, Value(0.6)), (2, Changed)], &[(0, Some(2), Some("threshold_changed"))]);
    }
}
