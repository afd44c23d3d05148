//! The sealer: reports that are older than some minutes become chunks, one transaction for a host and a quarter of an hour.
//!
//! What a stretch becomes is worked out beside the database; the transaction only checks that nothing came or went meanwhile. A late
//! report opens its stretch again: chunks and reports together become the new chunks.

use std::collections::HashMap;

use wire_model::{Form, HostReport};

use super::chunk::{Axis, Damaged, Place};
use super::gather::{Chunk, Gathered, Owner, Places};
use super::head::{HeadReader, is_late};
use super::report_state::ReportState;
use super::time::{QUARTER_MS, day_of, quarter_of};
use crate::ingest::describe;
use crate::store::chunks::{NewChunk, Resolution, Stretch};
use crate::store::counters::{self, Counter};
use crate::store::machines::MachineRow;
use crate::store::reports::{Head, NamedReport};
use crate::store::{self, Result, Store, StoreError};
use crate::thresholds::{Kind, MachineReadings, machine_readings};

/// Reports that are sealed at once; a quarter of an hour of a host has 450 as a rule.
pub const REPORTS_AT_ONCE: i64 = 5_000;

/// State of a container of which only late reports tell. Those are not evaluated, and so it cannot be missing, either: it would be from the
/// moment on at which it happens to be sealed.
const UNEVALUATED: &str = "unknown";

const NOT_ITS_TIME: &str = "a report is stored under another time than its own or the next that was free";

/// What sealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Reports that are in chunks now.
    pub reports: u64,
    /// Stretches that were written.
    pub stretches: u64,
    /// Bytes of their chunks.
    pub bytes: u64,
}

impl std::ops::AddAssign for Sealed {
    fn add_assign(&mut self, other: Sealed) {
        self.reports += other.reports;
        self.stretches += other.stretches;
        self.bytes += other.bytes;
    }
}

impl From<Damaged> for StoreError {
    fn from(damaged: Damaged) -> StoreError {
        StoreError::Corrupt(damaged.to_string())
    }
}

/// The oldest stretch of each host that is complete at `before`, in the order in which chunks are kept.
pub async fn due(store: &Store, before: i64) -> Result<Vec<Head>> {
    let before = quarter_of(before);
    let mut heads = store::reports::heads(&mut *store.read().await?, before).await?;
    heads.sort_by_key(|head| (quarter_of(head.oldest_at), head.host_key));
    Ok(heads)
}

/// What follows a stretch that was sealed, if it is complete at `before`.
pub async fn next(store: &Store, head: Head, before: i64) -> Result<Option<Head>> {
    let from = quarter_of(head.oldest_at);
    let first = store::reports::first_since(&mut *store.read().await?, head.host_key, from).await?;
    let is_due = |at: &i64| *at < quarter_of(before) && *at < head.newest_at;
    Ok(first.filter(is_due).map(|oldest_at| Head { oldest_at, ..head }))
}

/// Seals the stretch of a host's oldest report, all but the host's newest report. Does nothing when somebody changed it meanwhile.
pub async fn seal(store: &Store, head: Head) -> Result<Sealed> {
    let start_at = quarter_of(head.oldest_at);
    let end = (start_at + QUARTER_MS).min(head.newest_at);
    let Some(work) = read(store, head.host_key, start_at, end).await? else { return Ok(Sealed::default()) };
    let stretch = tokio::task::spawn_blocking(move || work.finish()).await;
    let stretch = stretch.map_err(|error| StoreError::Corrupt(format!("a stretch cannot be encoded: {error}")))??;
    store.with_patience(|| write(store, &stretch)).await
}

/// What a stretch holds, as read.
struct Work {
    host_key: i64,
    host_id: String,
    start_at: i64,
    end: i64,
    reports: Vec<NamedReport>,
    reader: HeadReader,
    sealed: Option<Stretch>,
    chunks: Vec<(i64, Vec<u8>)>,
    machines: HashMap<(Kind, String), i64>,
}

/// What it becomes.
struct NewStretch {
    host_key: i64,
    host_id: String,
    start_at: i64,
    /// Reports from the start to here are sealed, and so many they are.
    end: i64,
    reports: u64,
    /// Reports that were sealed before.
    sealed: i64,
    row: Stretch,
    chunks: Vec<Chunk>,
    /// Containers that nobody registered: all their reports came when newer ones were there.
    unknown: Vec<MachineRow>,
}

async fn read(store: &Store, host_key: i64, start_at: i64, end: i64) -> Result<Option<Work>> {
    let mut snapshot = store.snapshot().await?;
    let Some(host) = store::hosts::get(&mut snapshot, host_key).await? else { return Ok(None) };
    let reports = store::reports::named_range(&mut snapshot, host_key, start_at, end, REPORTS_AT_ONCE).await?;
    let Some(last) = reports.last() else { return Ok(None) };
    let end = if reports.len() as i64 == REPORTS_AT_ONCE { last.at + 1 } else { end };
    let reader = HeadReader::open(&mut snapshot, host_key, start_at, end).await?;
    let sealed = store::chunks::stretches(&mut snapshot, host_key, &[start_at]).await?.pop();
    let chunks = match sealed {
        Some(_) => store::chunks::of_host(&mut snapshot, Resolution::Raw, start_at, host_key).await?,
        None => Vec::new(),
    };
    let rows = store::machines::of_host(&mut snapshot, host_key).await?;
    let machines = rows.into_iter().map(|row| ((row.kind, row.identity), row.machine_id)).collect();
    Ok(Some(Work { host_key, host_id: host.host_id, start_at, end, reports, reader, sealed, chunks, machines }))
}

impl Work {
    fn finish(mut self) -> Result<NewStretch> {
        let mut gathered = Gathered::default();
        if let Some(sealed) = &self.sealed {
            gathered.add_sealed(&Axis::decode(self.start_at, &sealed.data)?, &self.chunks)?;
        }
        let mut unknown = HashMap::new();
        let (mut places, mut unknown_here) = (Places::default(), Vec::new());
        for stored in &self.reports {
            let (figures, new_form) = self.reader.read(&stored.payload)?;
            if let Some(form) = new_form.map(Form::places) {
                places = gathered.places(&form, &self.machines);
                unknown_here = self.note_unknown(&form, stored.at, &mut unknown);
            }
            let state = ReportState {
                is_late: is_late(&stored.payload),
                tables: places.tables,
                interval_ms: places.interval_ms,
                shift_ms: u8::try_from(stored.at - figures.at).map_err(|_| StoreError::Corrupt(NOT_ITS_TIME.to_owned()))?,
            };
            gathered.add(Place { at: stored.at, id: stored.id, state: Some(state) }, &figures, &places);
            for identity in &unknown_here {
                unknown.entry(identity.clone()).and_modify(|row: &mut MachineRow| row.gone_at = Some(stored.at));
            }
        }
        let (axis, chunks) = gathered.encode();
        let row = Stretch {
            start_at: self.start_at,
            reports: i64::try_from(axis.0.len()).expect("a stretch has fewer than 2^63 reports"),
            data: axis.encode(self.start_at),
        };
        Ok(NewStretch {
            host_key: self.host_key,
            host_id: self.host_id,
            start_at: self.start_at,
            end: self.end,
            reports: self.reports.len() as u64,
            sealed: self.sealed.map_or(0, |sealed| sealed.reports),
            row,
            chunks,
            unknown: unknown.into_values().collect(),
        })
    }

    /// Describes the containers that are not registered: late reports alone tell of them. Which those are.
    fn note_unknown(&self, form: &HostReport, at: i64, unknown: &mut HashMap<String, MachineRow>) -> Vec<String> {
        let machines = machine_readings(form).into_iter();
        let here = machines.filter(|machine| !self.machines.contains_key(&(machine.kind, machine.identity.clone())));
        let note = |readings: MachineReadings<'_>| {
            let row = describe(self.host_key, (form, at), &readings);
            let first_seen_at = unknown.get(&readings.identity).map_or(at, |row| row.first_seen_at);
            let (state, gone_at) = (UNEVALUATED.to_owned(), Some(at));
            unknown.insert(readings.identity.clone(), MachineRow { state, first_seen_at, gone_at, ..row });
            readings.identity
        };
        here.map(note).collect()
    }
}

async fn write(store: &Store, stretch: &NewStretch) -> Result<Sealed> {
    let mut transaction = store.begin().await?;
    let (host_key, start_at) = (stretch.host_key, stretch.start_at);
    // ingest and other sealers wait: both begin with this row
    store::hosts::lock(&mut transaction, store.dialect(), &[&stretch.host_id]).await?;
    // no day is given up by retention that is about to be on the list of those to be folded
    counters::lock(&mut transaction, store.dialect(), Counter::RawRemovedBefore).await?;
    let sealed = store::chunks::stretches(&mut transaction, host_key, &[start_at]).await?.pop();
    let removed = store::reports::remove(&mut transaction, host_key, start_at, stretch.end).await?;
    if removed != stretch.reports || sealed.map_or(0, |sealed| sealed.reports) != stretch.sealed {
        transaction.rollback().await?;
        return Ok(Sealed::default());
    }
    // all reports that may refer to one of the stretch's forms are gone: those that come now are older than the newest
    if stretch.end == start_at + QUARTER_MS {
        store::forms::remove(&mut transaction, host_key, start_at, stretch.end).await?;
    }
    if !stretch.unknown.is_empty() {
        store::machines::insert(&mut transaction, &stretch.unknown).await?;
    }
    let identities: Vec<&str> = stretch.unknown.iter().map(|row| row.identity.as_str()).collect();
    let registered = store::machines::find(&mut transaction, host_key, Kind::Container, &identities).await?;
    let mut chunks = Vec::new();
    for (owner, parts) in &stretch.chunks {
        let machine_id = match owner {
            Owner::Known(id) => *id,
            Owner::Unknown(identity) => {
                let row = registered.iter().find(|row| row.identity == *identity);
                row.ok_or_else(|| StoreError::Corrupt(format!("container {identity} is not registered")))?.machine_id
            }
        };
        chunks.extend(parts.iter().map(|(part, data)| NewChunk { machine_id, part: *part, data }));
    }
    if stretch.sealed > 0 {
        store::chunks::remove(&mut transaction, Resolution::Raw, start_at, host_key).await?;
    }
    store::chunks::insert(&mut transaction, Resolution::Raw, start_at, host_key, &chunks).await?;
    store::chunks::save_stretch(&mut transaction, store.dialect(), host_key, &stretch.row).await?;
    store::chunks::note_rollup_due(&mut transaction, store.dialect(), host_key, day_of(start_at)).await?;
    transaction.commit().await?;
    let bytes = chunks.iter().map(|chunk| chunk.data.len() as u64).sum::<u64>() + stretch.row.data.len() as u64;
    Ok(Sealed { reports: stretch.reports, stretches: 1, bytes })
}
