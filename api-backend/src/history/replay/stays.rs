//! What transitions come to: one entry for each violation.

use std::collections::HashMap;

use crate::thresholds::evaluator::{CloseReason, SeriesKey, Transition};

/// One violation, as far as the evaluator decides it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// Which series under which rule.
    pub key: SeriesKey,
    /// Time of the sample that opened it.
    pub opened_at: i64,
    /// Its value.
    pub opened_value: f64,
    /// Worst value.
    pub peak_value: f64,
    /// Time of the sample that closed it; `None`: it is open at the end.
    pub closed_at: Option<i64>,
    /// Its value; absent when the series ended.
    pub closed_value: Option<f64>,
    /// Why.
    pub close_reason: Option<CloseReason>,
}

/// Violations in the order in which they opened.
#[derive(Debug, Default)]
pub(super) struct Stays {
    all: Vec<Stay>,
    /// Places of those that are open.
    open: HashMap<SeriesKey, usize>,
}

impl Stays {
    /// Takes what happened.
    pub(super) fn take(&mut self, transitions: &mut Vec<Transition>) {
        for transition in transitions.drain(..) {
            match transition {
                Transition::Opened { key, at, value, peak, .. } => {
                    self.open.insert(key.clone(), self.all.len());
                    self.all.push(Stay {
                        key,
                        opened_at: at,
                        opened_value: value,
                        peak_value: peak,
                        closed_at: None,
                        closed_value: None,
                        close_reason: None,
                    });
                }
                Transition::Worsened { key, peak, .. } => {
                    if let Some(place) = self.open.get(&key) {
                        self.all[*place].peak_value = peak;
                    }
                }
                Transition::Closed { key, at, value, reason, .. } => {
                    if let Some(place) = self.open.remove(&key) {
                        let stay = &mut self.all[place];
                        (stay.closed_at, stay.closed_value, stay.close_reason) = (Some(at), value, Some(reason));
                    }
                }
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Stay> {
        self.all
    }
}
