//! What was found out about a host by its last reports: nothing of it is looked up again while they are of one form.
//!
//! Confirmed by the version of the host's machines, by the rules and by the form itself, and kept only after COMMIT.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wire_model::{Figures, Form, HostReport};

use super::reboot::{Running, UPTIME};
use crate::store::hosts::HostRow;
use crate::thresholds::{Plan, RuleSet, place};

/// A host whose machines are stored as reports of one form say, with what to evaluate in such a report.
#[derive(Debug)]
pub(super) struct Known {
    inventory_version: i64,
    /// Weak, so that forms take no more memory than the decoder allows them.
    form: Weak<Form>,
    plan: Plan,
    /// Where the host's uptime stands among the figures.
    uptime: Option<usize>,
}

impl Known {
    /// Of a locked host that has just been brought in step with a form; `report` has its places.
    pub(super) fn new(host: &HostRow, form: &Arc<Form>, report: &HostReport, plan: Plan) -> Known {
        let uptime = report.metrics.get(UPTIME).map(|value| place(*value));
        Known { inventory_version: host.inventory_version, form: Arc::downgrade(form), plan, uptime }
    }

    /// How long the host of a report of this form runs.
    pub(super) fn running(&self, figures: &Figures) -> Running {
        let uptime = self.uptime.map(|place| figures.values[place]).filter(|uptime| !uptime.is_nan());
        Running { at: figures.at, uptime }
    }

    /// Whether nothing has changed since.
    pub(super) fn holds(&self, host: &HostRow, form: &Arc<Form>, rules: &Arc<RuleSet>) -> bool {
        self.inventory_version == host.inventory_version
            && std::ptr::eq(self.form.as_ptr(), Arc::as_ptr(form))
            && Arc::ptr_eq(self.plan.rules(), rules)
    }

    /// What to evaluate.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// What is known of hosts as they were last committed, by host.
#[derive(Debug)]
pub(super) struct Cache<T>(Mutex<HashMap<i64, T>>);

impl<T> Default for Cache<T> {
    fn default() -> Cache<T> {
        Cache(Mutex::default())
    }
}

impl<T: Clone> Cache<T> {
    pub(super) fn get(&self, host_key: i64) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host_key).cloned()
    }

    /// Takes it out: who does not commit does not know it any more.
    pub(super) fn take(&self, host_key: i64) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&host_key)
    }

    /// Keeps it; only after COMMIT.
    pub(super) fn keep(&self, known: impl IntoIterator<Item = (i64, T)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(known);
    }
}
