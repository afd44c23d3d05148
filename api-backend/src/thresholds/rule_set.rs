//! Which of all thresholds are in force for a series.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::Limits;
use super::scope::Machine;
use super::window::Lookback;
use super::{Effect, Kind, Threshold};

/// All thresholds, arranged for the evaluator.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// Those that are enabled, by kind and metric: what concerns all machines of the kind, and single ones.
    by_metric: HashMap<Kind, HashMap<String, Vec<Arc<Threshold>>>>,
    /// What is looked up once for each, by its id.
    prepared: HashMap<i64, Prepared>,
}

/// A threshold as the evaluator needs it.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) version: i64,
    pub(super) limits: Limits,
    pub(super) lookback: Option<Arc<Lookback>>,
}

impl RuleSet {
    /// Arranges thresholds, each with an id of its own; those that are not enabled do not take part.
    pub fn new(thresholds: impl IntoIterator<Item = Threshold>) -> RuleSet {
        let mut rules = RuleSet::default();
        for threshold in thresholds {
            let lookback = Lookback::of(&threshold).map(Arc::new);
            let prepared = Prepared { version: threshold.version, limits: Limits::of(&threshold), lookback };
            rules.prepared.insert(threshold.id, prepared);
            if threshold.enabled {
                let metrics = rules.by_metric.entry(threshold.kind).or_default();
                metrics.entry(threshold.metric.clone()).or_default().push(Arc::new(threshold));
            }
        }
        rules
    }

    /// The version of a threshold, enabled or not; `None` when it was deleted.
    pub fn version(&self, threshold_id: i64) -> Option<i64> {
        self.prepared(threshold_id).map(|prepared| prepared.version)
    }

    pub(super) fn prepared(&self, threshold_id: i64) -> Option<&Prepared> {
        self.prepared.get(&threshold_id)
    }

    /// The metrics of a kind that any threshold looks at, each with its candidates for [`in_force`].
    pub fn metrics(&self, kind: Kind) -> impl Iterator<Item = (&str, &[Arc<Threshold>])> {
        let metrics = self.by_metric.get(&kind).into_iter().flatten();
        metrics.map(|(metric, candidates)| (metric.as_str(), candidates.as_slice()))
    }

    /// The candidates for one metric.
    pub fn of_metric(&self, kind: Kind, metric: &str) -> &[Arc<Threshold>] {
        self.by_metric.get(&kind).and_then(|metrics| metrics.get(metric)).map_or(&[], Vec::as_slice)
    }
}

/// Of the candidates for a metric, those in force for one series: for each quantity, direction and severity the one with the most specific
/// scope, unless its effect is none.
pub fn in_force<'a>(
    candidates: &'a [Arc<Threshold>],
    machine: &Machine,
    device: Option<&str>,
) -> impl Iterator<Item = &'a Arc<Threshold>> {
    let same = |one: &Threshold, other: &Threshold| {
        (one.quantity, one.direction, one.severity) == (other.quantity, other.direction, other.severity)
    };
    candidates.iter().filter(move |rule| {
        let rival = |other: &&Arc<Threshold>| same(other, rule) && other.is_for(machine, device);
        rule.effect == Effect::Open
            && rule.is_for(machine, device)
            && candidates.iter().filter(rival).all(|other| other.rank() <= rule.rank())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Direction, Quantity, Severity};
    use super::*;

    fn rule(id: i64, machine_id: Option<i64>, device: Option<&str>, severity: Severity) -> Threshold {
        let base = Threshold::new(Kind::Host, "system.filesystem.utilization", Direction::Above, 0.9);
        Threshold { id, machine_id, device: device.map(str::to_owned), severity, ..base }
    }

    fn check(candidates: &[Arc<Threshold>], id: i64, labels: &[(&str, &str)], device: Option<&str>, expected: &[i64]) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let machine = Machine { id, kind: Kind::Host, labels };
        let ids: Vec<_> = in_force(candidates, &machine, device).map(|rule| rule.id).collect();
        assert_eq!(ids, expected, "{machine:?} {device:?}");
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
            rule(7, None, Some("/d*"), Severity::Warning),
        ]
        .map(Arc::new);
        check(&candidates, 1, &[], Some("/"), &[1, 5]);
        check(&candidates, 1, &[], Some("/data"), &[2, 5]);
        check(&candidates, 1, &[], Some("/disk"), &[5, 7]);
        check(&candidates, 7, &[], Some("/data"), &[3, 5]);
        check(&candidates, 7, &[], Some("/"), &[4, 5]);
        check(&candidates, 7, &[], None, &[3, 5]);
    }

    #[test]
    fn labels_stand_between_a_kind_and_a_machine() {
        let of = |id, machine_id, labels: &[&str]| {
            let labels: BTreeMap<_, _> = labels.iter().map(|name| ((*name).to_owned(), "x*".to_owned())).collect();
            Arc::new(Threshold { labels, ..rule(id, machine_id, None, Severity::Info) })
        };
        let candidates = [of(1, None, &[]), of(2, None, &["a"]), of(3, None, &["a", "b"]), of(4, Some(7), &[])];
        check(&candidates, 1, &[], None, &[1]);
        check(&candidates, 1, &[("a", "y")], None, &[1]);
        check(&candidates, 1, &[("a", "x1")], None, &[2]);
        check(&candidates, 1, &[("a", "x1"), ("b", "x2")], None, &[3]);
        check(&candidates, 7, &[("a", "x1"), ("b", "x2")], None, &[4]);
    }

    #[test]
    fn a_narrower_none_switches_a_rule_off_and_what_is_another_quantity_stays() {
        let none = Threshold { effect: Effect::None, ..rule(3, None, Some("/snap/*"), Severity::Warning) };
        let change = Threshold { quantity: Quantity::Change, ..rule(2, None, None, Severity::Warning) };
        let candidates = [rule(1, None, None, Severity::Warning), change, none].map(Arc::new);
        check(&candidates, 1, &[], Some("/"), &[1, 2]);
        check(&candidates, 1, &[], Some("/snap/a"), &[2]);
    }

    #[test]
    fn disabled_rules_do_not_take_part() {
        let set = RuleSet::new([Threshold { enabled: false, ..rule(1, None, None, Severity::Info) }]);
        assert_eq!(set.metrics(Kind::Host).count(), 0);
    }
}
