//! The thresholds, looked up once for all samples of one shape: which rule is in force for which value.

use std::sync::Arc;

use super::evaluator::{CloseReason, SeriesKey};
use super::rule_set::{RuleSet, in_force};
use super::shape::{Readable, Shape};
use super::state_metrics::{MISSING, of_container};
use super::{Kind, Machine, Threshold};

/// What to do with each sample of one shape, by one set of rules.
#[derive(Debug)]
pub struct Plan {
    rules: Arc<RuleSet>,
    /// Those of the shape, the host first.
    machines: Vec<Planned>,
    readable: Readable,
    /// In the order of their keys, each once.
    steps: Vec<Step>,
}

/// One series under one threshold.
#[derive(Debug)]
pub struct Step {
    /// Names both.
    pub key: SeriesKey,
    /// Where its value comes from.
    pub source: Source,
    /// What ends it where it has no value; `None`: that decides nothing.
    pub end: Option<CloseReason>,
    /// What is in force for it.
    pub rule: Arc<Threshold>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// From this place among the sample's values.
    Place(usize),
    /// It is the same in all samples of the shape; NaN where it is absent.
    Constant(f64),
    /// It is 1 before this time (Unix ms), and from then on the series has ended.
    Missing(i64),
}

/// A machine of the shape.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) machine: Machine,
    /// See [`Step::end`].
    pub(super) end: Option<CloseReason>,
}

impl Plan {
    /// Looks everything up.
    pub fn new(rules: Arc<RuleSet>, shape: Shape<'_>) -> Plan {
        let mut steps = Vec::new();
        let mut machines = Vec::with_capacity(shape.machines.len());
        for of in shape.machines {
            let end = of.state.filter(|state| !state.is_running()).map(|_| CloseReason::Stopped);
            for (metric, candidates) in rules.metrics(of.machine.kind) {
                let mut add = |device: Option<&str>, source| {
                    steps.extend(
                        in_force(candidates, &of.machine, device).map(|rule| Step::new(&of.machine, device, rule, source, end)),
                    );
                };
                if let Some(value) = of.state.and_then(|state| of_container(metric, state)) {
                    add(None, Source::Constant(value.unwrap_or(f64::NAN)));
                    continue;
                }
                for series in of.series.iter().filter(|series| series.metric == metric) {
                    add(series.device, Source::Place(series.place));
                }
            }
            machines.push(Planned { machine: of.machine, end });
        }
        for missing in &shape.missing {
            let (machine, source) = (&missing.machine, Source::Missing(missing.until()));
            let rules = in_force(rules.of_metric(Kind::Container, MISSING), machine, None);
            steps.extend(rules.map(|rule| Step::new(machine, None, rule, source, Some(CloseReason::Gone))));
        }
        steps.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        steps.shrink_to_fit();
        Plan { rules, machines, readable: shape.readable, steps }
    }

    /// The rules that it was made of.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// In the order of their keys.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether a series came up.
    pub(super) fn has(&self, key: &SeriesKey) -> bool {
        self.steps.binary_search_by(|step| step.key.cmp(key)).is_ok()
    }

    /// Why a series that did not come up has ended, or `None` when its part could not be read.
    pub(super) fn why_unseen(&self, key: &SeriesKey) -> Option<CloseReason> {
        let Some(Planned { machine, end }) = self.machines.iter().find(|of| of.machine.id == key.machine_id) else {
            return self.readable.has_containers().then_some(CloseReason::Gone);
        };
        let device = (!key.device.is_empty()).then_some(key.device.as_str());
        let is_in_force = |candidates| in_force(candidates, machine, device).any(|rule| rule.id == key.threshold_id);
        let Some((metric, _)) = self.rules.metrics(machine.kind).find(|(_, candidates)| is_in_force(candidates)) else {
            return Some(CloseReason::ThresholdChanged);
        };
        let is_gone = device.is_some() && self.readable.has_devices(metric);
        end.or(is_gone.then_some(CloseReason::Gone))
    }
}

impl Step {
    fn new(machine: &Machine, device: Option<&str>, rule: &Arc<Threshold>, source: Source, end: Option<CloseReason>) -> Step {
        let device = device.unwrap_or_default().to_owned();
        let key = SeriesKey { machine_id: machine.id, threshold_id: rule.id, device };
        Step { key, source, end, rule: Arc::clone(rule) }
    }
}
