//! What happens to one series while history is replayed: the samples around some times, and each step of the evaluator.

use std::ops::Range;
use std::sync::Arc;

use crate::thresholds::evaluator::{HostState, Sample, SeriesKey, SeriesState, Transition, compared, evaluate};
use crate::thresholds::{ExplainedStep, Moment, Plan, RuleSet, Threshold, step};

/// Steps that are noted at most: a series may flap for weeks.
pub const STEPS_MAX: usize = 200;
/// Samples that are noted at most.
pub const SAMPLES_MAX: usize = 2_000;

/// What to note, and what was.
#[derive(Clone, Debug)]
pub struct Trace {
    rule: Arc<Threshold>,
    /// After this time another version of the rule is in force.
    change: Option<(i64, Arc<Threshold>)>,
    key: SeriesKey,
    /// Times whose samples are noted.
    around: Vec<Range<i64>>,
    /// Samples of the series that had something to compare, or changed something.
    pub samples: Vec<Traced>,
    /// Steps, in the order of their times; the first [`STEPS_MAX`] of them.
    pub steps: Vec<ExplainedStep>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traced {
    /// Its time, Unix ms.
    pub at: i64,
    /// What was compared: its value, or what the window says.
    pub compared: Option<f64>,
}

impl Trace {
    /// Of a series under a rule.
    pub fn of(rule: Arc<Threshold>, key: SeriesKey, around: Vec<Range<i64>>) -> Trace {
        Trace { rule, change: None, key, around, samples: Vec::new(), steps: Vec::new() }
    }

    /// The rule is another version of it after some time.
    #[must_use]
    pub fn changing(self, after: i64, rule: Arc<Threshold>) -> Trace {
        Trace { change: Some((after, rule)), ..self }
    }

    /// The rules from this time on, if they are others than before.
    pub(super) fn change(&mut self, at: i64) -> Option<Arc<RuleSet>> {
        let (_, rule) = self.change.take_if(|(after, _)| at > *after)?;
        self.rule = rule;
        Some(Arc::new(RuleSet::new([Threshold::clone(&self.rule)])))
    }

    /// Evaluates a sample, and notes what it did.
    pub(super) fn evaluate(&mut self, state: &mut HostState, plan: &Plan, sample: Sample<'_>, transitions: &mut Vec<Transition>) {
        let compared = compared(state, plan, &self.key, sample);
        let before = self.find(state);
        let first = transitions.len();
        evaluate(state, plan, sample, transitions);
        let after = self.find(state);
        if compared.is_some() && self.samples.len() < SAMPLES_MAX && self.around.iter().any(|around| around.contains(&sample.at))
        {
            self.samples.push(Traced { at: sample.at, compared });
        }
        let closed = transitions[first..].iter().find_map(|transition| match transition {
            Transition::Closed { key, reason, .. } if *key == self.key => Some(*reason),
            _ => None,
        });
        let moment = Moment { at: sample.at, compared, before: before.as_ref(), after: after.as_ref(), closed };
        if self.steps.len() < STEPS_MAX {
            self.steps.extend(step(&self.rule, &moment));
        }
    }

    fn find(&self, state: &HostState) -> Option<SeriesState> {
        state.states().iter().find(|(key, _)| *key == self.key).map(|(_, state)| state.clone())
    }
}
