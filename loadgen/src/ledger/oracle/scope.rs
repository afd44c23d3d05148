//! Which rules are in force for a series, by the labels in the reports themselves.

use std::collections::{BTreeMap, BTreeSet};

use wire_model::{Cell, HostReport, Table};

use super::super::store::Rule;

/// The labels by which rules find a host, or the container of a row.
pub(super) fn labels(report: &HostReport, container: Option<(&Table, usize)>) -> BTreeMap<String, String> {
    let mut labels = report.host.labels.clone();
    if let Some((table, row)) = container {
        let cell = |name: &str| table.column(name).map(|column| &table.rows[row][column]);
        let text = |name: &str| cell(name).and_then(Cell::text).map(str::to_owned);
        let own = cell("labels").and_then(Cell::labels).cloned().unwrap_or_default();
        let compose = |name: &str| own.get(&format!("com.docker.compose.{name}")).cloned();
        let pseudo = [
            ("image", text("image")),
            ("compose.project", compose("project")),
            ("compose.service", compose("service")),
            ("container.name", text("name")),
        ];
        labels.extend(own);
        labels.extend(pseudo.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    labels.insert("host.name".to_owned(), report.host.name.clone());
    labels
}

/// A machine as rules see it.
pub(super) struct Subject<'a> {
    pub(super) kind: &'a str,
    /// `None`: the database does not know it.
    pub(super) machine_id: Option<i64>,
    pub(super) labels: BTreeMap<String, String>,
}

/// For each condition, direction and severity the most specific rule: one for the machine beats labels, more labels beat fewer; then one for
/// the device beats a pattern, and that one for all; then the older one. Nothing where that one's effect is none.
pub(super) fn in_force<'a>(rules: &'a [Rule], subject: &Subject<'_>, metric: &str, device: &str) -> Vec<&'a Rule> {
    let has = |(name, pattern): (&String, &String)| subject.labels.get(name).is_some_and(|value| fits(pattern, value));
    let mut candidates: Vec<&Rule> = rules
        .iter()
        .filter(|rule| rule.kind == subject.kind && rule.metric == metric)
        .filter(|rule| rule.machine_id.is_none() || rule.machine_id == subject.machine_id)
        .filter(|rule| rule.labels.iter().all(has))
        .filter(|rule| rule.device.as_deref().is_none_or(|pattern| !device.is_empty() && fits(pattern, device)))
        .collect();
    candidates.sort_by_key(|rule| {
        let device = rule.device.as_deref().map_or(2, |pattern| i32::from(pattern.contains(['*', '?'])));
        (rule.machine_id.is_none(), std::cmp::Reverse(rule.labels.len()), device, rule.id)
    });
    let mut taken = BTreeSet::new();
    candidates.retain(|rule| taken.insert((rule.quantity.clone(), rule.is_above, rule.severity.clone())));
    candidates.retain(|rule| rule.opens);
    candidates
}

/// Whether a name is what a pattern says: `*` any characters, `?` one.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
        }
        Some(first) => name.chars().next().is_some_and(|other| {
            (first == '?' || first == other) && fits(&pattern[first.len_utf8()..], &name[other.len_utf8()..])
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rule;
    use super::*;

    #[test]
    fn the_most_specific_rule_of_a_severity_is_in_force() {
        let base = Rule { device: None, ..rule(true, 0) };
        let rules = [
            Rule { id: 1, ..base.clone() },
            Rule { id: 2, device: Some("/data".to_owned()), ..base.clone() },
            Rule { id: 3, machine_id: Some(7), ..base.clone() },
            Rule { id: 4, severity: "critical".to_owned(), ..base.clone() },
            Rule { id: 5, ..base.clone() },
            Rule { id: 6, is_above: false, ..base.clone() },
            Rule { id: 7, labels: [("rack".to_owned(), "a*".to_owned())].into(), ..base.clone() },
            Rule { id: 8, device: Some("/s*".to_owned()), opens: false, ..base.clone() },
            Rule { id: 9, quantity: "change".to_owned(), ..base },
        ];
        let check = |machine_id, rack: &str, device, expected: &[i64]| {
            let labels = [("rack".to_owned(), rack.to_owned())].into();
            let subject = Subject { kind: "host", machine_id: Some(machine_id), labels };
            let mut ids: Vec<_> =
                in_force(&rules, &subject, "system.cpu.utilization", device).iter().map(|rule| rule.id).collect();
            ids.sort_unstable();
            assert_eq!(ids, expected, "{machine_id} {rack} {device}");
        };
        check(1, "b1", "/", &[1, 4, 6, 9]);
        check(1, "b1", "/data", &[2, 4, 6, 9]);
        check(7, "a1", "/data", &[3, 4, 6, 9]);
        check(1, "a1", "/data", &[4, 6, 7, 9]);
        check(1, "b1", "/srv", &[4, 6, 9]);
    }

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("?", "", false),
            ("n?me*", "nvme0n1", true),
            ("ü?", "üx", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
