//! From a batch to the ledger: what becomes of each report of a host, in the order in which they came.

use std::collections::{BTreeMap, HashMap};

use wire_model::{Rejection, ReportId, limits};

use super::batch::{DecodedReport, RejectedReport};
use super::name::ReportName;
use crate::ledger::{Account, Arrival, Counts, Outcome, hour_of};
use crate::store::hosts::HostRow;
use crate::store::{self, Connection, Dialect, Result, ledger::UNKNOWN_HOST};

/// Why a report is rejected whose time is taken.
const SAME_TIME: &str = "another report of this host has the same time: its clock was set back, or two hosts have one id";

/// A record of a batch that names a host.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'a> {
    /// A report that may be stored.
    Report(&'a DecodedReport),
    /// One that may not.
    Rejected(&'a RejectedReport, &'a ReportName),
}

impl Record<'_> {
    pub(super) fn offset(&self) -> i64 {
        match self {
            Record::Report(report) => report.offset,
            Record::Rejected(rejected, _) => rejected.offset,
        }
    }
}

/// What one host's records come to.
#[derive(Debug, Default)]
pub(super) struct Sorted<'a> {
    /// To be stored, oldest first.
    pub(super) new: Vec<&'a DecodedReport>,
    /// Stored before, and sent once more.
    pub(super) duplicate: usize,
    /// What was found out here that can never be stored.
    pub(super) rejected: Vec<Rejection>,
}

/// Changes of the ledger by host and hour, for one statement at the end.
pub(super) type Changes = Vec<(i64, i64, Counts)>;

/// Says what becomes of a locked host's records (in the order of their offsets), and accounts for them.
pub(super) async fn sort_out<'a>(
    connection: &mut Connection,
    dialect: Dialect,
    host: &mut HostRow,
    records: &[Record<'a>],
    (partition, now): (i32, i64),
    changes: &mut Changes,
) -> Result<Sorted<'a>> {
    let mut sorted = Sorted::default();
    let mut times = stored_times(connection, host, records).await?;
    let mut arrivals = Vec::with_capacity(records.len());
    for record in records {
        let (name, outcome) = match record {
            Record::Rejected(rejected, name) => (ReportName::clone(name), Err((rejected.offset, rejected.reason.clone()))),
            Record::Report(report) => {
                let name = ReportName::from(&report.report);
                match times.get(&name.at) {
                    None => {
                        times.insert(name.at, name.id);
                        sorted.new.push(report);
                        (name, Ok(Outcome::Stored))
                    }
                    Some(id) if *id == name.id => {
                        sorted.duplicate += 1;
                        (name, Ok(Outcome::Duplicate))
                    }
                    Some(_) => {
                        sorted.rejected.push(Rejection { offset: report.offset, reason: SAME_TIME.to_owned() });
                        (name, Err((report.offset, SAME_TIME.to_owned())))
                    }
                }
            }
        };
        arrivals.push((name, outcome));
    }
    // of the reports of one batch the oldest is evaluated first, whatever the order in which they came
    sorted.new.sort_by_key(|report| report.report.at);
    account(connection, dialect, host, arrivals, (partition, now), changes).await?;
    Ok(sorted)
}

/// The times at which the host has reports, as far as those of the batch may meet them. What is newer than its newest needs no look-up.
async fn stored_times(connection: &mut Connection, host: &HostRow, records: &[Record<'_>]) -> Result<HashMap<i64, ReportId>> {
    let times = records.iter().filter_map(|record| match record {
        Record::Report(report) => Some(report.report.at),
        Record::Rejected(..) => None,
    });
    let late: Vec<i64> = times.filter(|at| *at <= host.last_report_at).collect();
    if late.is_empty() { Ok(HashMap::new()) } else { store::reports::existing(connection, host.host_key, &late).await }
}

/// A report, and whether it is stored or known, or the offset and reason of its rejection.
type Came = (ReportName, std::result::Result<Outcome, (i64, String)>);

async fn account(
    connection: &mut Connection,
    dialect: Dialect,
    host: &mut HostRow,
    came: Vec<Came>,
    (partition, now): (i32, i64),
    changes: &mut Changes,
) -> Result<()> {
    let host_key = host.host_key;
    let mut account = Account::new(position(host), host.last_report_at, now);
    let mut rejections = known(connection, host, &came, &mut account).await?;
    for (name, outcome) in came {
        let at = sensible(name.at, now);
        let outcome = match outcome {
            Ok(Outcome::Stored) => match rejections.remove(&name.id) {
                Some(hour_at) => {
                    store::ledger::forget_rejection(connection, host_key, name.id).await?;
                    Outcome::StoredAfterAll(hour_at)
                }
                None => Outcome::Stored,
            },
            Ok(outcome) => outcome,
            Err((offset, reason)) => {
                let is_new = !rejections.contains_key(&name.id)
                    // before the host was known it was counted by its place
                    && !store::ledger::is_rejected(connection, UNKNOWN_HOST, place(partition, offset)).await?
                    && store::ledger::note_rejection(connection, dialect, host_key, name.id, (hour_of(at), now, &reason)).await?;
                if is_new { Outcome::Rejected } else { Outcome::Duplicate }
            }
        };
        account.arrive(&Arrival { id: name.id, at, previous: name.previous, removed: name.removed, outcome });
    }
    store::ledger::remove_gaps(connection, account.closed()).await?;
    store::ledger::insert_gaps(connection, host_key, &account.opened().collect::<Vec<_>>()).await?;
    changes.extend(account.hours().map(|(hour_at, counts)| (host_key, hour_at, counts)));
    if let Some(position) = account.position() {
        (host.last_epoch, host.last_seq) = (position.epoch.cast_signed(), position.seq.cast_signed());
    }
    Ok(())
}

/// Reads what new reports at or below the host's position may meet: gaps, and rejections (with their hours). There are hardly ever any.
async fn known(
    connection: &mut Connection,
    host: &HostRow,
    came: &[Came],
    account: &mut Account,
) -> Result<BTreeMap<ReportId, i64>> {
    let Some(position) = position(host) else { return Ok(BTreeMap::new()) };
    let late =
        || came.iter().filter(|(name, outcome)| name.id <= position && *outcome != Ok(Outcome::Duplicate)).map(|(name, _)| name);
    let (Some(first), Some(last)) = (late().map(|name| name.id).min(), late().map(|name| name.id).max()) else {
        return Ok(BTreeMap::new());
    };
    // by epoch: the numbers to look at, each with the one before it
    let mut ranges: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for id in late().flat_map(|name| [Some(name.id), name.previous]).flatten() {
        let (from, to) = ranges.entry(id.epoch).or_insert((u64::MAX, 0));
        *from = (*from).min(id.seq.saturating_sub(1)).max(1);
        *to = (*to).max(id.seq);
    }
    for (epoch, (from, to)) in ranges {
        account.know(store::ledger::gaps_within(connection, host.host_key, epoch, from, to).await?);
    }
    store::ledger::rejections(connection, host.host_key, first, last).await
}

/// Counts rejected records that name no known host, after all hosts.
pub(super) async fn account_for_unknown(
    connection: &mut Connection,
    dialect: Dialect,
    rejected: &[&RejectedReport],
    (partition, now): (i32, i64),
    changes: &mut Changes,
) -> Result<()> {
    let mut hours: BTreeMap<i64, Counts> = BTreeMap::new();
    for record in rejected {
        let hour_at = hour_of(record.name.as_ref().map_or(now, |name| sensible(name.at, now)));
        let noted = (hour_at, now, record.reason.as_str());
        let is_new =
            store::ledger::note_rejection(connection, dialect, UNKNOWN_HOST, place(partition, record.offset), noted).await?;
        let counts = hours.entry(hour_at).or_default();
        if is_new { counts.rejected += 1 } else { counts.duplicate += 1 }
    }
    changes.extend(hours.into_iter().map(|(hour_at, counts)| (UNKNOWN_HOST, hour_at, counts)));
    Ok(())
}

/// What is missing by these changes that was not before, for the metrics.
pub(super) fn missing(changes: &Changes) -> Counts {
    let mut sum = Counts::default();
    for (_, _, counts) in changes {
        sum += *counts;
    }
    sum
}

fn position(host: &HostRow) -> Option<ReportId> {
    let id = ReportId { epoch: host.last_epoch.cast_unsigned(), seq: host.last_seq.cast_unsigned() };
    (id != ReportId::default()).then_some(id)
}

/// Names a record by where it stands. A topic that is made anew has the same places once more: of its unreadable records some count as
/// duplicates then.
fn place(partition: i32, offset: i64) -> ReportId {
    ReportId { epoch: i64::from(partition).cast_unsigned(), seq: offset.cast_unsigned() }
}

/// A rejected report's time may be anything: under an hour that nobody looks at it would be hidden.
fn sensible(at: i64, now: i64) -> i64 {
    if at > 0 && at <= now.saturating_add(limits::FUTURE_MS) { at } else { now }
}
