//! The thresholds, looked up once for all samples of one shape: which rule is in force for which value.

use std::sync::Arc;

use super::evaluator::CloseReason;
use super::limits::Limits;
use super::rule_set::{Prepared, RuleSet, in_force};
use super::shape::{Readable, Shape};
use super::state::SeriesKey;
use super::state_metrics::{MISSING, of_container};
use super::window::{Lookback, WINDOWS_PER_HOST};
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
    left_out: usize,
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
    pub(super) limits: Limits,
    /// Over which window it looks back; `None`: it does not.
    pub(super) lookback: Option<Arc<Lookback>>,
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
                    let found = in_force(candidates, &of.machine, device);
                    steps.extend(found.map(|rule| Step::new(&rules, (&of.machine, device), rule, source, end)));
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
            let found = in_force(rules.of_metric(Kind::Container, MISSING), machine, None);
            steps.extend(found.map(|rule| Step::new(&rules, (machine, None), rule, source, Some(CloseReason::Gone))));
        }
        steps.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        steps.shrink_to_fit();
        let mut left_out = 0;
        for step in steps.iter_mut().filter(|step| step.lookback.is_some()).skip(WINDOWS_PER_HOST) {
            step.leave_out();
            left_out += 1;
        }
        Plan { rules, machines, readable: shape.readable, steps, left_out }
    }

    /// Series that are not evaluated, because there are more than [`WINDOWS_PER_HOST`] windows.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The rules that it was made of.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// In the order of their keys.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step of a series; `None` when it did not come up.
    pub(super) fn step(&self, key: &SeriesKey) -> Option<&Step> {
        self.steps.binary_search_by(|step| step.key.cmp(key)).ok().map(|index| &self.steps[index])
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
    fn new(
        rules: &RuleSet,
        (machine, device): (&Machine, Option<&str>),
        rule: &Arc<Threshold>,
        source: Source,
        end: Option<CloseReason>,
    ) -> Step {
        let key = SeriesKey { machine_id: machine.id, threshold_id: rule.id, device: device.unwrap_or_default().to_owned() };
        let Prepared { limits, lookback, .. } = rules.prepared(rule.id).expect("a rule of this set").clone();
        Step { key, source, end, rule: Arc::clone(rule), limits, lookback }
    }

    /// From here on it decides nothing.
    fn leave_out(&mut self) {
        (self.source, self.end, self.lookback) = (Source::Constant(f64::NAN), None, None);
    }
}
