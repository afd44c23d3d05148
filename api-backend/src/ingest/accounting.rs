//! From a batch to the ledger: what becomes of each report of a host, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use wire_model::{Rejection, ReportId, limits};

use super::batch::{DecodedReport, RejectedReport};
use super::name::{Mark, ReportName};
use super::times::{Place, Times};
use crate::ledger::{Account, Arrival, Counts, Outcome, hour_of};
use crate::store::hosts::HostRow;
use crate::store::ledger::{NewRejection, UNKNOWN_HOST};
use crate::store::{self, Connection, Dialect, Result, StoreError};

/// Why a report is rejected whose time is taken.
const SAME_TIME: &str = "other reports of this host have the same time: its clock was set back, or two hosts have one id";

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

    pub(super) fn mark(&self) -> Mark {
        match self {
            Record::Report(report) => Mark::from(*report),
            Record::Rejected(_, name) => name.mark,
        }
    }
}

/// How a batch came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Partition of its records.
    pub(super) partition: i32,
    /// When it came.
    pub(super) now: i64,
    /// Reports from before are removed again.
    pub(super) kept_from: i64,
}

/// What one host's records come to.
#[derive(Debug, Default)]
pub(super) struct Sorted<'a> {
    /// To be stored, oldest first.
    pub(super) new: Vec<Accepted<'a>>,
    /// Stored before, and sent once more.
    pub(super) duplicate: usize,
    /// What was found out here that can never be stored.
    pub(super) rejected: Vec<Rejection>,
}

/// A report that is to be stored.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    /// What came.
    pub(super) report: &'a DecodedReport,
    /// Time of its row.
    pub(super) stored_at: i64,
    /// A newer one of its host is there: it is history and decides nothing.
    pub(super) is_late: bool,
}

/// Changes of the ledger by host and hour, for one statement at the end.
pub(super) type Changes = Vec<(i64, i64, Counts)>;

/// Says what becomes of a locked host's records (in the order of their offsets), and accounts for them.
pub(super) async fn sort_out<'a>(
    connection: &mut Connection,
    dialect: Dialect,
    host: &mut HostRow,
    records: &[Record<'a>],
    delivery: Delivery,
    changes: &mut Changes,
) -> Result<Sorted<'a>> {
    let host_key = host.host_key;
    let mut sorted = Sorted::default();
    let mut times = Times::of(connection, host, records).await?;
    let mut account = Account::new(position(host), host.last_report_at, delivery.now);
    let mut rejections = known(connection, host, records, delivery.partition, &times, &mut account).await?;
    for record in records {
        let mark = record.mark();
        let Mark { id, previous, removed, .. } = mark;
        let at = sensible(mark.at, delivery.now);
        let mut arrival = Arrival { id, at, previous, removed, outcome: Outcome::Stored };
        arrival.outcome = match (record, times.place(mark)) {
            (_, Place::Known) => Outcome::Duplicate,
            (Record::Report(report), Place::Free(stored_at)) => {
                let is_missing = account.misses(id) || rejections.hours.contains_key(&id);
                let is_old = at < delivery.kept_from && account.position().is_some_and(|position| id <= position);
                match rejections.hours.get(&id) {
                    // its row is removed since
                    _ if is_old && !is_missing && !account.begins_anew(&arrival) => Outcome::Duplicate,
                    // what was rejected about the newest stored report or later is of the same count as that
                    Some(hour_at) if *hour_at >= hour_of(host.last_report_at) || !account.begins_anew(&arrival) => {
                        let outcome = Outcome::StoredAfterAll(*hour_at);
                        rejections.forget(id);
                        times.take(stored_at, id);
                        sorted.new.push(Accepted { report, stored_at, is_late: false });
                        outcome
                    }
                    _ => {
                        if account.begins_anew(&arrival) {
                            rejections.begin_anew(id.epoch);
                        }
                        times.take(stored_at, id);
                        sorted.new.push(Accepted { report, stored_at, is_late: false });
                        Outcome::Stored
                    }
                }
            }
            (Record::Report(report), Place::Taken) => {
                sorted.rejected.push(Rejection { offset: report.offset, reason: SAME_TIME.to_owned() });
                rejections.reject(id, report.offset, hour_of(at), SAME_TIME)
            }
            (Record::Rejected(rejected, _), _) => rejections.reject(id, rejected.offset, hour_of(at), &rejected.reason),
        };
        sorted.duplicate += usize::from(matches!(record, Record::Report(_)) && arrival.outcome == Outcome::Duplicate);
        account.arrive(&arrival);
    }
    // of the reports of one batch the oldest is evaluated first, whatever the order in which they came
    sorted.new.sort_by_key(|new| new.report.figures.at);
    let mut newest_at = host.last_report_at;
    for new in &mut sorted.new {
        new.is_late = new.report.figures.at <= newest_at;
        newest_at = newest_at.max(new.report.figures.at);
    }
    store::ledger::remove_gaps(connection, &account.closed().collect::<Vec<_>>()).await?;
    store::ledger::forget_rejections(connection, host_key, &rejections.forgotten).await?;
    if let Some(epoch) = account.anew_from() {
        store::ledger::begin_anew(connection, host_key, epoch).await?;
    }
    store::ledger::insert_gaps(connection, host_key, &account.opened().collect::<Vec<_>>()).await?;
    store::ledger::note_rejections(connection, dialect, host_key, delivery.now, &rejections.new).await?;
    changes.extend(account.hours().map(|(hour_at, counts)| (host_key, hour_at, counts)));
    if let Some(position) = account.position() {
        (host.last_epoch, host.last_seq) = (position.epoch.cast_signed(), position.seq.cast_signed());
    }
    Ok(sorted)
}

/// A host's rejected reports that records of the batch meet, and what becomes of them.
#[derive(Default)]
struct Rejections {
    /// Those that are counted, with their hours.
    hours: BTreeMap<ReportId, i64>,
    /// Offsets of records that were counted under no host, before this one was known.
    nameless: BTreeSet<i64>,
    /// To be noted.
    new: Vec<NewRejection>,
    /// Stored after all.
    forgotten: Vec<ReportId>,
}

impl Rejections {
    fn reject(&mut self, id: ReportId, offset: i64, hour_at: i64, reason: &str) -> Outcome {
        if self.hours.contains_key(&id) || self.nameless.contains(&offset) {
            return Outcome::Duplicate;
        }
        self.hours.insert(id, hour_at);
        self.new.push(NewRejection { id, hour_at, reason: reason.to_owned() });
        Outcome::Rejected
    }

    fn forget(&mut self, id: ReportId) {
        self.hours.remove(&id);
        self.new.retain(|rejection| rejection.id != id);
        self.forgotten.push(id);
    }

    fn begin_anew(&mut self, epoch: u64) {
        self.hours.retain(|id, _| id.epoch < epoch);
        self.new.retain(|rejection| rejection.id.epoch < epoch);
    }
}

/// Reads what records may meet: of reports at or below the host's position gaps and rejections, of rejected ones those that are counted
/// already. There are hardly ever any.
async fn known(
    connection: &mut Connection,
    host: &HostRow,
    records: &[Record<'_>],
    partition: i32,
    times: &Times,
    account: &mut Account,
) -> Result<Rejections> {
    let position = position(host);
    let mut ids = Vec::new();
    let mut places = Vec::new();
    // by epoch: the numbers to look at, each with the one before it
    let mut ranges: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for record in records {
        let mark = record.mark();
        let place_of = times.place(mark);
        if place_of == Place::Known {
            continue;
        }
        let is_late = position.is_some_and(|position| mark.id <= position);
        let is_rejected = matches!(record, Record::Rejected(..)) || place_of == Place::Taken;
        if is_late || is_rejected {
            ids.push(mark.id);
        }
        if is_rejected {
            places.push(place(partition, record.offset()));
        }
        for id in [Some(mark.id), mark.previous].into_iter().flatten().filter(|_| is_late) {
            let (from, to) = ranges.entry(id.epoch).or_insert((u64::MAX, 0));
            *from = (*from).min(id.seq.saturating_sub(1)).max(1);
            *to = (*to).max(id.seq);
        }
    }
    for (epoch, (from, to)) in ranges {
        account.know(store::ledger::gaps_within(connection, host.host_key, epoch, from, to).await?);
    }
    let nameless = store::ledger::rejections(connection, UNKNOWN_HOST, &places).await?;
    Ok(Rejections {
        hours: store::ledger::rejections(connection, host.host_key, &ids).await?,
        nameless: nameless.keys().map(|place| place.seq.cast_signed()).collect(),
        ..Rejections::default()
    })
}

/// Counts rejected records that name no known host, after all hosts.
pub(super) async fn account_for_unknown(
    connection: &mut Connection,
    dialect: Dialect,
    rejected: &[&RejectedReport],
    delivery: Delivery,
    changes: &mut Changes,
) -> Result<()> {
    let places: Vec<_> = rejected.iter().map(|record| place(delivery.partition, record.offset)).collect();
    let mut rejections =
        Rejections { hours: store::ledger::rejections(connection, UNKNOWN_HOST, &places).await?, ..Rejections::default() };
    let mut hours: BTreeMap<i64, Counts> = BTreeMap::new();
    for (record, id) in rejected.iter().zip(places) {
        let hour_at = hour_of(record.name.as_ref().map_or(delivery.now, |name| sensible(name.mark.at, delivery.now)));
        let counts = hours.entry(hour_at).or_default();
        match rejections.reject(id, record.offset, hour_at, &record.reason) {
            Outcome::Rejected => counts.rejected += 1,
            _ => counts.duplicate += 1,
        }
    }
    let noted = store::ledger::note_rejections(connection, dialect, UNKNOWN_HOST, delivery.now, &rejections.new).await?;
    if noted < rejections.new.len() as u64 {
        // no host is locked that would keep others from the same records
        return Err(StoreError::TryAgain(sqlx::Error::Protocol("another backend counts the same rejected records".to_owned())));
    }
    changes.extend(hours.into_iter().map(|(hour_at, counts)| (UNKNOWN_HOST, hour_at, counts)));
    Ok(())
}

/// What rises by these changes and what falls, each as a sum, for the metrics.
pub(super) fn gained_and_lost(changes: &Changes) -> (Counts, Counts) {
    let (mut gained, mut lost) = (Counts::default(), Counts::default());
    for (_, _, counts) in changes {
        gained += counts.map(|count| count.max(0));
        lost += counts.map(|count| (-count).max(0));
    }
    (gained, lost)
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
