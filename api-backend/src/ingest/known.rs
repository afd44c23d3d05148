//! What was found out about a host by its last reports: nothing of it is looked up again while they are of one form.
//!
//! Confirmed by the version of the host's machines, by the rules and by the form itself, and kept only after COMMIT.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wire_model::Form;

use crate::store::hosts::HostRow;
use crate::thresholds::{Plan, RuleSet};

/// A host whose machines are stored as reports of one form say, with what to evaluate in such a report.
#[derive(Debug)]
pub(super) struct Known {
    inventory_version: i64,
    /// Weak, so that forms take no more memory than the decoder allows them.
    form: Weak<Form>,
    plan: Plan,
}

impl Known {
    /// Of a locked host that has just been brought in step with a form.
    pub(super) fn new(host: &HostRow, form: &Arc<Form>, plan: Plan) -> Known {
        Known { inventory_version: host.inventory_version, form: Arc::downgrade(form), plan }
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

    /// Keeps it; only after COMMIT.
    pub(super) fn keep(&self, known: impl IntoIterator<Item = (i64, T)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(known);
    }
}
