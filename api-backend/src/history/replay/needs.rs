//! What of history a set of rules looks at.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use wire_model::catalog;

use super::ReplayedHost;
use crate::history::chunk::{CONTAINER_STATE, parts_with};
use crate::store::chunks::Resolution;
use crate::thresholds::{Effect, Kind, MISSING, Quantity, RuleSet};

/// What is read, by the kind of the machine.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Metrics of hosts and their devices that are stored.
    host: HashSet<String>,
    /// Metrics of containers that are stored.
    container: HashSet<String>,
    /// Metrics of containers that are derived of their states.
    pub(super) derived: HashSet<String>,
    /// Whether containers are looked at, so that it matters which there are and what they do.
    pub(super) has_containers: bool,
    /// Whether a rule is about containers that are gone.
    pub(super) has_missing: bool,
    /// Whether a rule looks at more than single values, so that every one of them counts.
    pub(super) has_windows: bool,
}

impl Needs {
    /// Of the rules that open something.
    pub(super) fn of(rules: &RuleSet) -> Needs {
        let mut needs = Needs::default();
        for kind in [Kind::Host, Kind::Container] {
            for (metric, candidates) in rules.metrics(kind) {
                let mut open = candidates.iter().filter(|rule| rule.effect == Effect::Open).peekable();
                if open.peek().is_none() {
                    continue;
                }
                needs.has_windows |= open.any(|rule| rule.quantity != Quantity::Value);
                needs.has_containers |= kind == Kind::Container;
                let metrics = match kind {
                    _ if metric == MISSING => {
                        needs.has_missing = true;
                        continue;
                    }
                    Kind::Container if is_derived(metric) => &mut needs.derived,
                    Kind::Container => &mut needs.container,
                    Kind::Host | Kind::Pipeline => &mut needs.host,
                };
                metrics.insert(metric.to_owned());
            }
        }
        needs
    }

    /// Whether a metric is looked at of a machine of this kind.
    pub(super) fn wants(&self, kind: Kind, metric: &str) -> bool {
        match kind {
            Kind::Host => self.host.contains(metric),
            Kind::Container => self.container.contains(metric),
            Kind::Pipeline => false,
        }
    }

    /// Whether it is told by values alone, so by their least and greatest, that nothing happens.
    pub(super) fn is_of_values(&self) -> bool {
        !self.has_windows && !self.has_missing && self.derived.is_empty()
    }

    /// The machine whose chunks are read, when it is one of the host's.
    pub(super) fn only_machine(&self, host: &ReplayedHost) -> Option<i64> {
        let (_, machine) = host.machines.first()?;
        (!self.has_containers && machine.kind == Kind::Host).then_some(machine.id)
    }

    /// Where in chunks it stands. Of folded ones there are metrics alone.
    pub(super) fn parts(&self, resolution: Resolution) -> Vec<RangeInclusive<i64>> {
        let metrics = self.host.iter().chain(&self.container).map(String::as_str);
        let state = (self.has_containers && resolution == Resolution::Raw).then_some(CONTAINER_STATE);
        let mut parts: Vec<_> = metrics.chain(state).map(|metric| parts_with(metric, resolution)).collect();
        parts.sort_by_key(|parts| *parts.start());
        parts.dedup();
        parts
    }
}

fn is_derived(metric: &str) -> bool {
    catalog::find(metric).is_some_and(|metric| metric.derived)
}
