//! What of history a set of rules looks at.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use wire_model::catalog;

use super::ReplayedHost;
use crate::history::chunk::{CONTAINER_STATE, parts_with};
use crate::history::scale::Scale;
use crate::store::chunks::Resolution;
use crate::thresholds::{Effect, Kind, MISSING, Quantity, RuleSet, Threshold};

/// Rules by metric.
type Looked = HashMap<String, Vec<Arc<Threshold>>>;

/// What is read, by the kind of the machine.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Metrics of hosts and their devices that are stored, with the rules that look at them.
    host: Looked,
    /// Metrics of containers that are stored.
    container: Looked,
    /// Whether a rule is about what is derived of containers' states.
    has_derived: bool,
    /// Whether containers are looked at, so that it matters which there are and what they do.
    pub(super) has_containers: bool,
    /// Whether a rule is about containers that are gone.
    pub(super) has_missing: bool,
    /// Whether a rule looks at more than single values, so that every one of them counts.
    has_windows: bool,
}

impl Needs {
    /// Of the rules that open something.
    pub(super) fn of(sets: &[Arc<RuleSet>]) -> Needs {
        let mut needs = Needs::default();
        for kind in [Kind::Host, Kind::Container] {
            for (metric, candidates) in sets.iter().flat_map(|rules| rules.metrics(kind)) {
                for rule in candidates.iter().filter(|rule| rule.effect == Effect::Open) {
                    needs.add(kind, metric, rule);
                }
            }
        }
        needs
    }

    fn add(&mut self, kind: Kind, metric: &str, rule: &Arc<Threshold>) {
        self.has_windows |= rule.quantity != Quantity::Value;
        self.has_containers |= kind == Kind::Container;
        if metric == MISSING {
            self.has_missing = true;
        } else if catalog::is_derived(metric) {
            self.has_derived = true;
        } else {
            let looked = if kind == Kind::Container { &mut self.container } else { &mut self.host };
            looked.entry(metric.to_owned()).or_default().push(Arc::clone(rule));
        }
    }

    fn looked(&self, kind: Kind) -> Option<&Looked> {
        match kind {
            Kind::Host => Some(&self.host),
            Kind::Container => Some(&self.container),
            Kind::Pipeline => None,
        }
    }

    /// Whether a metric is looked at of a machine of this kind.
    pub(super) fn wants(&self, kind: Kind, metric: &str) -> bool {
        self.looked(kind).is_some_and(|looked| looked.contains_key(metric))
    }

    /// Whether a series of a metric with this least and greatest value may be beyond a rule.
    pub(super) fn is_beyond(&self, kind: Kind, metric: &str, scale: Scale, (least, greatest): (f64, f64)) -> bool {
        let (least, greatest) = (scale.value(least), scale.value(greatest));
        let rules = self.looked(kind).and_then(|looked| looked.get(metric));
        rules.into_iter().flatten().any(|rule| rule.is_beyond(least) || rule.is_beyond(greatest))
    }

    /// Whether it is told by values alone, so by their least and greatest, that nothing happens.
    pub(super) fn is_of_values(&self) -> bool {
        !self.has_windows && !self.has_missing && !self.has_derived
    }

    /// The machine whose chunks are read, when it is one of the host's.
    pub(super) fn only_machine(&self, host: &ReplayedHost) -> Option<i64> {
        let (_, machine) = host.machines.first()?;
        (!self.has_containers && machine.kind == Kind::Host).then_some(machine.id)
    }

    /// Where in chunks it stands. Of folded ones there are metrics alone.
    pub(super) fn parts(&self, resolution: Resolution) -> Vec<RangeInclusive<i64>> {
        let metrics = self.host.keys().chain(self.container.keys()).map(String::as_str);
        let state = (self.has_containers && resolution == Resolution::Raw).then_some(CONTAINER_STATE);
        let mut parts: Vec<_> = metrics.chain(state).map(|metric| parts_with(metric, resolution)).collect();
        parts.sort_by_key(|parts| *parts.start());
        parts.dedup();
        parts
    }
}
