//! Journal against `reports` and `stretches`: each that Kafka acknowledged is stored once, and nothing else is. Of those that are not sealed the
//! bytes are compared; `sealed` compares the values of the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use serde::Serialize;
use wire_model::{HostReport, ReportId};

use super::store::{Kept, StoredReport};
use super::{found, head, kept};
use crate::journal::{Entry, Journals};

/// A report whose time is taken is stored under the next free one, so many ms later at most.
const SHIFT_MS_MAX: i64 = 16;

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    sent: u64,
    acknowledged: u64,
    /// As they came, and sealed.
    stored: u64,
    sealed: u64,
    /// Kafka said nothing, or no, and has them all the same: both may happen.
    stored_unacknowledged: u64,
    /// Came after a newer one of their host: stored as history, and not evaluated.
    history: u64,
    /// Are in the dead-letter topic, and not stored.
    rejected: u64,
    /// Older than raw samples are kept: not there any more, or their values are not.
    pub(super) removed_by_retention: u64,
    /// Not stored, by the numbers around them, and why as far as somebody says so: not acknowledged, or removed by their collector.
    gaps: u64,
    failed: u64,
    removed: u64,
    /// Gaps that nobody explains.
    unexplained: u64,
    lost: u64,
    duplicate: u64,
    phantom: u64,
    pub(super) corrupt: u64,
    /// Marked as late, and nothing newer was there.
    mislabelled: u64,
}

impl Findings {
    pub(super) fn wrong(&self) -> u64 {
        self.lost + self.duplicate + self.phantom + self.corrupt + self.unexplained + self.mislabelled
    }
}

/// What a host brought.
#[derive(Default)]
pub(super) struct Brought {
    /// Reports as they were sent, that are stored or were.
    pub(super) reports: BTreeMap<ReportId, HostReport>,
    /// Those of them that retention removed, with their times.
    pub(super) removed: BTreeMap<ReportId, i64>,
    /// Those of them that came after a newer one and were not evaluated; `None`: nobody can know.
    history: Option<BTreeSet<ReportId>>,
    /// What came to the backend, stored or rejected, with what each report says came before its epoch.
    pub(super) arrived: BTreeMap<ReportId, Option<ReportId>>,
}

impl Brought {
    /// Rows that the backend should have counted.
    pub(super) fn stored(&self, rows: usize) -> usize {
        rows + self.removed.len()
    }

    /// What is marked as late is history, and what is marked as in time is none: of the reports of one batch the oldest is evaluated first,
    /// and nobody knows here what was one batch. Without marks it is as the order tells.
    fn believe_marks(&mut self, rows: &[StoredReport]) {
        let marks: BTreeMap<ReportId, bool> = rows.iter().filter_map(|row| Some((row.id, row.kept.is_late()?))).collect();
        if marks.len() == self.reports.len() {
            self.history.get_or_insert_default();
        }
        if let Some(history) = &mut self.history {
            history.retain(|id| marks.get(id) != Some(&false));
            history.extend(marks.iter().filter(|(_, is_late)| **is_late).map(|(id, _)| *id));
        }
    }

    /// In event-time order, without history.
    pub(super) fn evaluated(self) -> Option<Vec<HostReport>> {
        let history = self.history?;
        let reports = self.reports.into_iter().filter(|(id, _)| !history.contains(id));
        let mut evaluated: Vec<_> = reports.map(|(_, report)| report).collect();
        evaluated.sort_by_key(|report| report.at);
        Some(evaluated)
    }
}

/// Compares one host, whose reports may refer to `forms`. Samples from before `raw_removed_before` may be removed.
pub(super) fn compare(
    journals: &Journals,
    host: &str,
    rows: &[StoredReport],
    forms: &HashMap<i64, Vec<u8>>,
    raw_removed_before: i64,
    findings: &mut Findings,
) -> anyhow::Result<Brought> {
    let nothing = BTreeMap::new();
    let entries = journals.hosts.get(host).unwrap_or(&nothing);
    findings.sent += entries.len() as u64;
    findings.stored += rows.len() as u64;
    let mut stored = BTreeSet::new();
    let mut brought = Brought::default();
    let mut removed = 0;
    for row in rows {
        let name = || format!("{host} epoch {} seq {} at {}", row.id.epoch, row.id.seq, row.at);
        if !stored.insert(row.id) {
            found(&mut findings.duplicate, "stored twice", name());
            continue;
        }
        let Some(entry) = entries.get(&row.id) else {
            brought.arrived.insert(row.id, None);
            found(&mut findings.phantom, "stored and never journaled", name());
            continue;
        };
        let Some(message) = journals.message(entry)? else {
            found(&mut findings.phantom, "stored and never sent", name());
            continue;
        };
        findings.stored_unacknowledged += u64::from(!entry.acknowledged);
        match &row.kept {
            Kept::AsItCame { payload, .. } => {
                if !head::holds(payload, forms, &message) {
                    found(&mut findings.corrupt, "stored with other bytes", name());
                }
            }
            Kept::Sealed(_) => findings.sealed += 1,
        }
        let report = decode(&message).with_context(name)?;
        if let Kept::Sealed(state) = row.kept
            && state != 0
            && state & !1 != kept::report_state(&report, row.at)
        {
            found(&mut findings.corrupt, "sealed with another state", name());
        }
        if !(report.at..=report.at + SHIFT_MS_MAX).contains(&row.at) {
            found(&mut findings.corrupt, "stored under another time", name());
        }
        removed += report.removed.total();
        brought.arrived.insert(row.id, report.previous);
        brought.reports.insert(row.id, report);
    }
    for (id, entry) in entries {
        findings.acknowledged += u64::from(entry.acknowledged);
        if stored.contains(id) {
            continue;
        }
        if entry.rejected {
            findings.rejected += 1;
            brought.arrived.insert(*id, None);
        } else if entry.acknowledged {
            let report = journals.message(entry)?.map(|message| decode(&message)).transpose()?;
            if let Some(report) = report.filter(|report| report.at < raw_removed_before) {
                findings.removed_by_retention += 1;
                removed += report.removed.total();
                brought.arrived.insert(*id, report.previous);
                brought.removed.insert(*id, report.at);
                brought.reports.insert(*id, report);
                continue;
            }
            let (partition, offset) = entry.position.unwrap_or((-1, -1));
            let name = format!(
                "{host} epoch {} seq {}, partition {partition} offset {offset}, in {} journals",
                id.epoch, id.seq, entry.acknowledgements
            );
            found(&mut findings.lost, "acknowledged and not stored", name);
        }
    }
    stored.extend(brought.removed.keys());
    explain_gaps(host, entries, &stored, removed, findings);
    brought.history = history(entries, rows, &brought);
    for row in rows {
        if let (Some(true), Some(history)) = (row.kept.is_late(), &brought.history)
            && !history.contains(&row.id)
        {
            let name = format!("{host} epoch {} seq {} at {}", row.id.epoch, row.id.seq, row.at);
            found(&mut findings.mislabelled, "marked as late, though nothing newer came before", name);
        }
    }
    brought.believe_marks(rows);
    findings.history += brought.history.as_ref().map_or(0, BTreeSet::len) as u64;
    Ok(brought)
}

fn decode(message: &[u8]) -> anyhow::Result<HostReport> {
    serde_json::from_slice(message).context("decode a journaled report")
}

/// Numbers rise by one in every epoch, from 1: what is not there is missing. `removed` is what the collector says it removed.
fn explain_gaps(
    host: &str,
    entries: &BTreeMap<ReportId, Entry>,
    stored: &BTreeSet<ReportId>,
    removed: u64,
    findings: &mut Findings,
) {
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    for id in stored.iter().chain(entries.keys()) {
        let newest = newest.entry(id.epoch).or_default();
        *newest = id.seq.max(*newest);
    }
    let mut unnamed = Vec::new();
    for (epoch, newest) in newest {
        for id in (1..=newest).map(|seq| ReportId { epoch, seq }).filter(|id| !stored.contains(id)) {
            findings.gaps += 1;
            match entries.get(&id) {
                Some(entry) if !entry.acknowledged => findings.failed += 1,
                // it is rejected or lost, and counted as such
                Some(_) => {}
                None => unnamed.push(id),
            }
        }
    }
    findings.removed += removed;
    // which of them were removed is not told, only how many
    let which = format!("{host}, one of {} from {:?} to {:?}", unnamed.len(), unnamed.first(), unnamed.last());
    for _ in removed..unnamed.len() as u64 {
        found(&mut findings.unexplained, "a report is missing and nobody says why", &which);
    }
}

/// Reports that came after a newer one of their host: after a clock was set back, or through another partition. A host's reports come in the
/// order of their offsets as long as they take one partition; else only those that are not sealed tell when they came.
fn history(entries: &BTreeMap<ReportId, Entry>, rows: &[StoredReport], brought: &Brought) -> Option<BTreeSet<ReportId>> {
    let partitions: BTreeSet<i32> = rows.iter().filter_map(|row| Some(entries.get(&row.id)?.position?.0)).collect();
    let mut by_arrival: Vec<ReportId> = brought.reports.keys().copied().collect();
    by_arrival.sort_by_key(|id| entries.get(id).and_then(|entry| entry.position).map(|(_, offset)| offset));
    if partitions.len() > 1 {
        let mut arrivals = Vec::new();
        for row in rows {
            let Kept::AsItCame { received_at, .. } = row.kept else { return None };
            arrivals.push((received_at, row.at, row.id));
        }
        arrivals.sort_unstable();
        by_arrival = arrivals.into_iter().map(|(_, _, id)| id).collect();
    }
    let mut newest = 0;
    let mut history = BTreeSet::new();
    for id in by_arrival {
        let Some(report) = brought.reports.get(&id) else { continue };
        if report.at <= newest {
            history.insert(id);
        }
        newest = newest.max(report.at);
    }
    Some(history)
}
