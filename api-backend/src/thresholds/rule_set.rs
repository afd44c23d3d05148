//! Which of all thresholds are in force for a series.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Kind, Threshold};

/// All enabled thresholds, arranged for the evaluator.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// By kind and metric: what concerns all machines of the kind, and single ones.
    by_metric: HashMap<Kind, HashMap<String, Vec<Arc<Threshold>>>>,
}

impl RuleSet {
    /// Arranges thresholds; those that are not enabled do not take part.
    pub fn new(thresholds: impl IntoIterator<Item = Threshold>) -> RuleSet {
        let mut by_metric: HashMap<Kind, HashMap<String, Vec<Arc<Threshold>>>> = HashMap::new();
        for threshold in thresholds.into_iter().filter(|threshold| threshold.enabled) {
            let metrics = by_metric.entry(threshold.kind).or_default();
            metrics.entry(threshold.metric.clone()).or_default().push(Arc::new(threshold));
        }
        RuleSet { by_metric }
    }

    /// The metrics of a kind that any threshold looks at, each with its candidates for [`in_force`].
    pub fn metrics(&self, kind: Kind) -> impl Iterator<Item = (&str, &[Arc<Threshold>])> {
        let metrics = self.by_metric.get(&kind).into_iter().flatten();
        metrics.map(|(metric, candidates)| (metric.as_str(), candidates.as_slice()))
    }
}

/// Of the candidates for a metric, those in force for one series: for each direction and severity the one with the most
/// specific scope. A single machine beats a kind; then a named device beats every device; then the older rule wins.
pub fn in_force<'a>(
    candidates: &'a [Arc<Threshold>],
    machine_id: i64,
    device: Option<&'a str>,
) -> impl Iterator<Item = &'a Arc<Threshold>> {
    let applies = move |rule: &Threshold| {
        rule.machine_id.is_none_or(|id| id == machine_id) && rule.device.as_deref().is_none_or(|name| Some(name) == device)
    };
    let rank = |rule: &Threshold| (rule.machine_id.is_some(), rule.device.is_some(), std::cmp::Reverse(rule.id));
    candidates.iter().filter(move |rule| {
        let rival =
            |other: &&Arc<Threshold>| (other.direction, other.severity) == (rule.direction, rule.severity) && applies(other);
        applies(rule) && candidates.iter().filter(rival).all(|other| rank(other) <= rank(rule))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Severity};
    use super::*;

    fn rule(id: i64, machine_id: Option<i64>, device: Option<&str>, severity: Severity) -> Threshold {
        Threshold {
            id,
            version: 1,
            kind: Kind::Host,
            machine_id,
            metric: "system.filesystem.utilization".to_owned(),
            device: device.map(str::to_owned),
            direction: Direction::Above,
            value: 0.9,
            recovery_value: 0.8,
            for_seconds: 0,
            severity,
            enabled: true,
        }
    }

    #[test]
    fn the_most_specific_scope_wins_for_each_severity() {
        let candidates = [
            rule(1, None, None, Severity::Warning),
            rule(2, None, Some("/data"), Severity::Warning),
            rule(3, Some(7), None, Severity::Warning),
            rule(4, Some(7), Some("/"), Severity::Warning),
            rule(5, None, None, Severity::Critical),
            rule(6, None, None, Severity::Critical),
        ]
        .map(Arc::new);
        let check = |machine_id, device, expected: &[i64]| {
            let ids: Vec<_> = in_force(&candidates, machine_id, device).map(|rule| rule.id).collect();
            assert_eq!(ids, expected, "{machine_id} {device:?}");
        };
        check(1, Some("/"), &[1, 5]);
        check(1, Some("/data"), &[2, 5]);
        check(7, Some("/data"), &[3, 5]);
        check(7, Some("/"), &[4, 5]);
        check(7, None, &[3, 5]);
    }

    #[test]
    fn disabled_rules_do_not_take_part() {
        let set = RuleSet::new([Threshold { enabled: false, ..rule(1, None, None, Severity::Info) }]);
        assert_eq!(set.metrics(Kind::Host).count(), 0);
    }
}
