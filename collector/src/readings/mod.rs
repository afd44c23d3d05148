//! One file per reading: what it keeps between ticks, where it reads, and plain functions on text that do the rest.
//!
//! A reading never fails the tick: what it cannot read is absent (`null`, or the table is missing) and counted under its
//! name in `collector_unreadable_total`. To add one: a file here, a line in `sampler.rs`, a line in the catalog.

pub(crate) mod cpu;
pub(crate) mod disk;
pub(crate) mod filesystem;
pub(crate) mod load;
pub(crate) mod memory;
mod mounts;
pub(crate) mod network;
pub(crate) mod pressure;
pub(crate) mod process;
pub(crate) mod sensor;
pub(crate) mod uptime;

use std::collections::BTreeMap;

use crate::columns::{resolution, rounded};

/// Metrics of the host itself. The names stay between ticks, the values do not.
#[derive(Debug, Default)]
pub(crate) struct HostMetrics(BTreeMap<String, Option<f64>>);

impl HostMetrics {
    /// Makes all values absent.
    pub(crate) fn clear(&mut self) {
        self.0.values_mut().for_each(|value| *value = None);
    }

    /// Sets one value, rounded to the catalog's resolution.
    pub(crate) fn set(&mut self, name: &'static str, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite()).map(|value| rounded(value, resolution(name)));
        match self.0.get_mut(name) {
            Some(place) => *place = value,
            None => drop(self.0.insert(name.to_owned(), value)),
        }
    }

    /// All of them.
    pub(crate) fn values(&self) -> &BTreeMap<String, Option<f64>> {
        &self.0
    }
}
