//! The thresholds, looked up once for all reports of one form: which rule is in force for which value.

use std::sync::Arc;

use super::evaluator::SeriesKey;
use super::readings::{MachineReadings, place};
use super::rule_set::{RuleSet, in_force};
use super::{Kind, Threshold};

/// What to do with each report of one form, by one set of rules.
#[derive(Debug)]
pub struct Plan {
    rules: Arc<RuleSet>,
    /// The machines of the form, the host first.
    machines: Vec<(i64, Kind)>,
    /// In the order of their keys, each once.
    steps: Vec<Step>,
}

/// One series under one threshold.
#[derive(Debug)]
pub struct Step {
    /// Names both.
    pub key: SeriesKey,
    /// Where its value stands among the report's figures.
    pub place: usize,
    /// Whether its machine can have values at all.
    pub is_running: bool,
    /// What is in force for it.
    pub rule: Arc<Threshold>,
}

impl Plan {
    /// Looks everything up. `machines` are those of [`Form::places`](wire_model::Form::places), with their ids.
    pub fn new(rules: Arc<RuleSet>, machines: &[(i64, MachineReadings<'_>)]) -> Plan {
        let mut steps = Vec::new();
        for (machine_id, machine) in machines {
            for (metric, candidates) in rules.metrics(machine.kind) {
                machine.for_each(metric, |device, value| {
                    let place = place(value);
                    steps.extend(in_force(candidates, *machine_id, device).map(|rule| {
                        let device = device.unwrap_or_default().to_owned();
                        let key = SeriesKey { machine_id: *machine_id, threshold_id: rule.id, device };
                        Step { key, place, is_running: machine.is_running, rule: Arc::clone(rule) }
                    }));
                });
            }
        }
        steps.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        steps.shrink_to_fit();
        Plan { rules, machines: machines.iter().map(|(id, machine)| (*id, machine.kind)).collect(), steps }
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

    /// What a machine is; `None` when reports of this form do not have it.
    pub(super) fn kind_of(&self, machine_id: i64) -> Option<Kind> {
        self.machines.iter().find(|(id, _)| *id == machine_id).map(|(_, kind)| *kind)
    }
}
