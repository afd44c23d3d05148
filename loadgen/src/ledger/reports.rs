//! Journal against `reports`: each that Kafka acknowledged is stored once, with the same bytes, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::Serialize;
use wire_model::{HostReport, ReportId};

use super::found;
use super::store::StoredReport;
use crate::journal::{Entry, Journals};

/// A report whose time is taken is stored under the next free one, so many ms later at most.
const SHIFT_MS_MAX: i64 = 16;

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    sent: u64,
    acknowledged: u64,
    /// Rows of the database.
    stored: u64,
    /// Kafka said nothing, or no, and has them all the same: both may happen.
    stored_unacknowledged: u64,
    /// Came after a newer one of their host: stored as history, and not evaluated.
    history: u64,
    /// Are in the dead-letter topic, and not stored.
    rejected: u64,
    /// Not stored, by the numbers around them, and why as far as somebody says so: not acknowledged, or removed by their collector.
    gaps: u64,
    failed: u64,
    removed: u64,
    /// Gaps that nobody explains.
    unexplained: u64,
    lost: u64,
    duplicate: u64,
    phantom: u64,
    corrupt: u64,
}

impl Findings {
    pub(super) fn wrong(&self) -> u64 {
        self.lost + self.duplicate + self.phantom + self.corrupt + self.unexplained
    }
}

/// What a host brought.
#[derive(Default)]
pub(super) struct Brought {
    /// Reports as they were sent, in event-time order, without history.
    pub(super) evaluated: Vec<HostReport>,
    /// What came to the backend, stored or rejected, with what each report says came before its epoch.
    pub(super) arrived: BTreeMap<ReportId, Option<ReportId>>,
}

/// Compares one host.
pub(super) fn compare(
    journals: &Journals,
    host: &str,
    rows: &[StoredReport],
    findings: &mut Findings,
) -> anyhow::Result<Brought> {
    let nothing = BTreeMap::new();
    let entries = journals.hosts.get(host).unwrap_or(&nothing);
    findings.sent += entries.len() as u64;
    findings.stored += rows.len() as u64;
    let mut stored = BTreeSet::new();
    let mut times = BTreeMap::new();
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
        let payload = zstd::decode_all(&row.payload[..]);
        if payload.is_err() || payload.is_ok_and(|payload| payload != message) {
            found(&mut findings.corrupt, "stored with other bytes", name());
        }
        let report: HostReport =
            serde_json::from_slice(&message).with_context(|| format!("decode the journaled report {}", name()))?;
        if !(report.at..=report.at + SHIFT_MS_MAX).contains(&row.at) {
            found(&mut findings.corrupt, "stored under another time", name());
        }
        removed += report.removed.total();
        brought.arrived.insert(row.id, report.previous);
        times.insert(row.id, report.at);
        brought.evaluated.push(report);
    }
    let history = history(entries, rows, &times);
    findings.history += history.len() as u64;
    brought.evaluated.retain(|report| !history.contains(&ReportId { epoch: report.epoch, seq: report.seq }));
    for (id, entry) in entries {
        findings.acknowledged += u64::from(entry.acknowledged);
        if stored.contains(id) {
            continue;
        }
        if entry.rejected {
            findings.rejected += 1;
            brought.arrived.insert(*id, None);
        } else if entry.acknowledged {
            let (partition, offset) = entry.position.unwrap_or((-1, -1));
            let name = format!(
                "{host} epoch {} seq {}, partition {partition} offset {offset}, in {} journals",
                id.epoch, id.seq, entry.acknowledgements
            );
            found(&mut findings.lost, "acknowledged and not stored", name);
        }
    }
    explain_gaps(host, entries, &stored, removed, findings);
    brought.evaluated.sort_by_key(|report| report.at);
    Ok(brought)
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
    for _ in removed..unnamed.len() as u64 {
        found(&mut findings.unexplained, "a report is missing and nobody says why", format!("{host}, one of {unnamed:?}"));
    }
}

/// Reports that came after a newer one of their host: after a clock was set back, or through another partition. A host's reports come in the
/// order in which they were made as long as they take one partition. `times` are their own.
fn history(entries: &BTreeMap<ReportId, Entry>, rows: &[StoredReport], times: &BTreeMap<ReportId, i64>) -> BTreeSet<ReportId> {
    let partitions: BTreeSet<i32> = rows.iter().filter_map(|row| Some(entries.get(&row.id)?.position?.0)).collect();
    let mut by_arrival: Vec<&StoredReport> = rows.iter().collect();
    if partitions.len() > 1 {
        by_arrival.sort_by_key(|row| (row.received_at, row.at));
    } else {
        by_arrival.sort_by_key(|row| row.id);
    }
    let mut newest = 0;
    let mut history = BTreeSet::new();
    for row in by_arrival {
        let Some(at) = times.get(&row.id) else { continue };
        if *at <= newest {
            history.insert(row.id);
        }
        newest = newest.max(*at);
    }
    history
}
