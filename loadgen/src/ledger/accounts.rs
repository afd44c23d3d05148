//! The backend's own ledger against what is there: it counts what is stored, and names each report that is missing and no other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wire_model::ReportId;

use super::found;
use super::store::Account;

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// Reports that the ledger names as missing.
    named: u64,
    /// Missing, and not named.
    unnamed: u64,
    /// Named as missing, and stored.
    misnamed: u64,
    /// Hosts of which the ledger counts other numbers than there are.
    miscounted: u64,
}

impl Findings {
    pub(super) fn wrong(&self) -> u64 {
        self.unnamed + self.misnamed + self.miscounted
    }
}

/// Compares one host. `arrived` are the reports that came to the backend, stored or rejected, with what each says came before its epoch.
pub(super) fn compare(
    host: &str,
    stored: usize,
    arrived: &BTreeMap<ReportId, Option<ReportId>>,
    account: &Account,
    findings: &mut Findings,
) {
    if i64::try_from(stored) != Ok(account.stored) {
        found(&mut findings.miscounted, "the ledger miscounts", format!("{host}: {} stored, there are {stored}", account.stored));
    }
    let named: BTreeSet<ReportId> = account
        .gaps
        .iter()
        // a gap of epochs of which none came has no numbers
        .filter(|gap| gap.from_seq > 0)
        .flat_map(|gap| (gap.from_seq..=gap.to_seq).map(|seq| ReportId { epoch: gap.epoch, seq }))
        .collect();
    let missing = missing(arrived);
    findings.named += named.len() as u64;
    for id in missing.difference(&named) {
        found(&mut findings.unnamed, "the ledger does not name a report that is missing", format!("{host} {id:?}"));
    }
    for id in named.difference(&missing) {
        found(&mut findings.misnamed, "the ledger names a report that is not missing", format!("{host} {id:?}"));
    }
}

/// Every number below the newest that came of its epoch, and those that the next epoch says there were. A host begins with the first of its
/// reports that came.
fn missing(arrived: &BTreeMap<ReportId, Option<ReportId>>) -> BTreeSet<ReportId> {
    let Some(first) = arrived.keys().next().copied() else { return BTreeSet::new() };
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    for (id, previous) in arrived {
        let at_least = newest.entry(id.epoch).or_default();
        *at_least = id.seq.max(*at_least);
        // a host of which nothing came before is not known to have been there
        if let Some(previous) = previous
            && let Some(at_least) = newest.get_mut(&previous.epoch)
        {
            *at_least = previous.seq.max(*at_least);
        }
    }
    let all = newest.into_iter().flat_map(|(epoch, newest)| (1..=newest).map(move |seq| ReportId { epoch, seq }));
    all.filter(|id| *id > first && !arrived.contains_key(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, seq: u64) -> ReportId {
        ReportId { epoch, seq }
    }

    #[test]
    fn what_is_missing_follows_from_the_numbers_and_from_what_the_next_epoch_says() {
        let arrived =
            BTreeMap::from([(id(1, 2), None), (id(1, 4), None), (id(2, 1), Some(id(1, 6))), (id(5, 2), Some(id(4, 9)))]);
        assert_eq!(missing(&arrived), BTreeSet::from([id(1, 3), id(1, 5), id(1, 6), id(5, 1)]));
    }
}
