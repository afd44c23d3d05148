//! The thresholds, looked up once for all reports of one form: which rule is in force for which value.

use std::sync::Arc;

use super::evaluator::SeriesKey;
use super::readings::{MachineReadings, place};
use super::rule_set::{RuleSet, in_force};
use super::{Machine, Threshold};

/// What to do with each report of one form, by one set of rules.
#[derive(Debug)]
pub struct Plan {
    rules: Arc<RuleSet>,
    /// The machines of the form, the host first.
    machines: Vec<Machine>,
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
        let mut seen = Vec::with_capacity(machines.len());
        for (machine_id, readings) in machines {
            let machine = readings.machine(*machine_id);
            for (metric, candidates) in rules.metrics(machine.kind) {
                readings.for_each(metric, |device, value| {
                    let place = place(value);
                    steps.extend(in_force(candidates, &machine, device).map(|rule| {
                        let device = device.unwrap_or_default().to_owned();
                        let key = SeriesKey { machine_id: *machine_id, threshold_id: rule.id, device };
                        Step { key, place, is_running: readings.is_running, rule: Arc::clone(rule) }
                    }));
                });
            }
            seen.push(machine);
        }
        steps.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        steps.shrink_to_fit();
        Plan { rules, machines: seen, steps }
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

    /// A machine; `None` when reports of this form do not have it.
    pub(super) fn machine(&self, machine_id: i64) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == machine_id)
    }
}
