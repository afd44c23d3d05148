//! The oracle's violations against `violations`: each is there once, with the same times, values and reason.

use std::collections::BTreeMap;

use serde::Serialize;

use super::found;
use super::store::{Stay, StayKey};

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    expected: u64,
    stored: u64,
    /// By what closed them; those that are open have none.
    closed: BTreeMap<String, u64>,
    missing: u64,
    unexpected: u64,
    different: u64,
    twice: u64,
    /// Hosts of which nobody can know in which order their reports came: sealed, by way of several partitions.
    pub(super) hosts_not_judged: u64,
}

impl Findings {
    pub(super) fn wrong(&self) -> u64 {
        self.missing + self.unexpected + self.different + self.twice
    }
}

/// Compares those of one host and its containers.
pub(super) fn compare(host: &str, expected: &BTreeMap<StayKey, Stay>, stored: &[(StayKey, Stay)], findings: &mut Findings) {
    findings.expected += expected.len() as u64;
    findings.stored += stored.len() as u64;
    let mut seen = BTreeMap::new();
    for (key, stay) in stored {
        if let Some(reason) = &stay.close_reason {
            *findings.closed.entry(reason.clone()).or_default() += 1;
        }
        if seen.insert(key, stay).is_some() {
            found(&mut findings.twice, "a violation is stored twice", format!("{host} {key:?}"));
            continue;
        }
        match expected.get(key) {
            None => found(&mut findings.unexpected, "a violation should not be", format!("{host} {key:?} {stay:?}")),
            Some(expected) if expected != stay => {
                let which = format!("{host} {key:?}: {stay:?} instead of {expected:?}");
                found(&mut findings.different, "a violation is told wrongly", which);
            }
            Some(_) => {}
        }
    }
    for (key, stay) in expected.iter().filter(|(key, _)| !seen.contains_key(key)) {
        found(&mut findings.missing, "a violation is missing", format!("{host} {key:?} {stay:?}"));
    }
}
