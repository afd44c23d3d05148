//! Rollups: a day of a machine as 288 points of 5 minutes, made of its raw chunks.

use std::collections::BTreeMap;

use super::buckets::{self, Bucket};
use super::chunk::{self, Axis, Column, Head, Part, Points};
use super::gather::samples;
use super::time::{QUARTER_MS, SLOT_MS, SLOTS, starts};
use crate::store::chunks::{NewChunk, Resolution, RollupDue};
use crate::store::counters::{self, Counter};
use crate::store::{self, Result, Store};
use crate::time::DAY_MS;

/// What became of a day that was to be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolledUp {
    /// It is folded.
    Yes,
    /// Something was sealed meanwhile: it is still to be folded.
    Changed,
    /// Its samples are removed, but for those that came too late: the points stay as they are.
    TooLate,
}

/// Days of hosts that ended before `before` and are to be folded, the oldest first.
pub async fn due(store: &Store, before: i64, limit: i64) -> Result<Vec<RollupDue>> {
    store::chunks::rollups_due(&mut *store.read().await?, before - DAY_MS + 1, limit).await
}

/// Folds a day of a host anew from its raw chunks.
pub async fn roll_up(store: &Store, due: RollupDue) -> Result<RolledUp> {
    let mut snapshot = store.snapshot().await?;
    let Some(host) = store::hosts::get(&mut snapshot, due.host_key).await? else { return Ok(RolledUp::TooLate) };
    let is_removed = due.day_at < counters::read(&mut snapshot, Counter::RawRemovedBefore).await?;
    let mut machines = Folded::default();
    if !is_removed {
        let quarters: Vec<i64> = starts(due.day_at, due.day_at + DAY_MS, QUARTER_MS).collect();
        for stretch in store::chunks::stretches(&mut snapshot, due.host_key, &quarters).await? {
            let axis = Axis::decode(stretch.start_at, &stretch.data)?;
            let chunks = store::chunks::of_host(&mut snapshot, Resolution::Raw, stretch.start_at, due.host_key).await?;
            machines.add(due.day_at, &axis, &chunks)?;
            // decoding a host's quarter takes milliseconds; others may want the thread
            tokio::task::yield_now().await;
        }
    }
    snapshot.rollback().await?;
    let parts = machines.encode();
    let chunks: Vec<_> =
        parts.iter().map(|(machine_id, part, data)| NewChunk { machine_id: *machine_id, part: *part, data }).collect();
    store.with_patience(|| write(store, due, &host.host_id, (!is_removed).then_some(&chunks[..]))).await
}

async fn write(store: &Store, due: RollupDue, host_id: &str, chunks: Option<&[NewChunk<'_>]>) -> Result<RolledUp> {
    let mut transaction = store.begin().await?;
    store::hosts::lock(&mut transaction, store.dialect(), &[host_id]).await?;
    if !store::chunks::rollup_done(&mut transaction, due).await? {
        transaction.rollback().await?;
        return Ok(RolledUp::Changed);
    }
    if let Some(chunks) = chunks {
        store::chunks::remove(&mut transaction, Resolution::FiveMinutes, due.day_at, due.host_key).await?;
        store::chunks::insert(&mut transaction, Resolution::FiveMinutes, due.day_at, due.host_key, chunks).await?;
    }
    transaction.commit().await?;
    Ok(if chunks.is_some() { RolledUp::Yes } else { RolledUp::TooLate })
}

/// The points of a host's machines by machine, device and metric.
#[derive(Default)]
struct Folded(BTreeMap<SeriesKey, (Head, Vec<Bucket>)>);

/// Machine, device, metric.
type SeriesKey = (i64, Option<String>, String);

impl Folded {
    fn add(&mut self, day_at: i64, axis: &Axis, chunks: &[(i64, Vec<u8>)]) -> Result<()> {
        for (machine_id, data) in chunks {
            let part = Part::open(data)?;
            for of in part.columns.iter().filter(|of| of.is_metric()) {
                let column = part.decode(of)?;
                let Points::Samples(units) = &column.points else { continue };
                let key = (*machine_id, column.head.device.clone(), column.head.metric.clone());
                let (head, points) = self.0.entry(key).or_insert_with(|| (column.head.clone(), Vec::new()));
                for (at, units) in samples(axis, &column, units)? {
                    let slot = (at - day_at).div_euclid(SLOT_MS);
                    buckets::add(points, Bucket::of_value(slot, column.head.scale.convert(units, head.scale)));
                }
            }
        }
        Ok(())
    }

    /// Machine, number and bytes of each part.
    fn encode(self) -> Vec<(i64, i64, Vec<u8>)> {
        let mut machines: BTreeMap<i64, Vec<Column>> = BTreeMap::new();
        for ((machine_id, ..), (head, points)) in self.0 {
            machines.entry(machine_id).or_default().push(column(head, &points));
        }
        let parts = |(machine_id, columns)| {
            chunk::encode(Resolution::FiveMinutes, SLOTS, columns).into_iter().map(move |(part, data)| (machine_id, part, data))
        };
        machines.into_iter().flat_map(parts).collect()
    }
}

fn column(head: Head, points: &[Bucket]) -> Column {
    let scale = head.scale;
    let each = |value: fn(&Bucket) -> f64| points.iter().map(value).collect();
    let avg = points.iter().map(|point| scale.rounded(point.avg())).collect();
    Column {
        places: points.iter().map(|point| u32::try_from(point.start).expect("a slot of a day")).collect(),
        points: Points::Folded {
            min: each(|point| point.min),
            avg,
            max: each(|point| point.max),
            count: each(|point| point.count),
        },
        head,
    }
}
