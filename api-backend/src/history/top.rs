//! The machines with the greatest or least values: now, from the newest reports, and over a range, from the summaries of chunks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::buckets::Bucket;
use super::chunk::{Part, parts_with};
use super::head::newest_reports;
use super::scale::Scale;
use super::series::HistoryError;
use super::time::{QUARTER_MS, ceil, floor};
use crate::store::chunks::Resolution;
use crate::store::hosts::HostRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::{Kind, machine_readings};
use crate::time::DAY_MS;

/// Longest range that is read from raw chunks; longer ones are read from days.
const RAW_MS: i64 = 2 * DAY_MS;
/// Hosts whose reports are held in memory at once.
const HOSTS_AT_ONCE: usize = 100;
/// Stretches that are read at most.
pub const STRETCHES_MAX: i64 = 400;

/// One series of a machine over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// The machine, by its number or by what its report says.
    pub machine: TopMachine,
    /// The device, where the metric is of one.
    pub device: Option<String>,
    /// Least, mean and greatest value.
    pub values: [f64; 3],
}

/// How a machine is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopMachine {
    /// By its number.
    Id(i64),
    /// By its host, kind and identity.
    Named(i64, Kind, String),
}

/// Values of a metric in the newest reports of all hosts that reported since `since`.
pub async fn newest(connection: &mut Connection, metric: &str, since: i64) -> Result<Vec<Top>, StoreError> {
    let mut hosts: Vec<HostRow> = store::hosts::all(connection).await?;
    hosts.retain(|host| host.last_received_at >= since);
    let scale = Scale::of(metric);
    let mut top = Vec::new();
    for hosts in hosts.chunks(HOSTS_AT_ONCE) {
        let keys: Vec<i64> = hosts.iter().map(|host| host.host_key).collect();
        for (host_key, report) in newest_reports(connection, &keys).await? {
            for readings in machine_readings(&report) {
                readings.for_each(metric, |device, value| {
                    if let Some(value) = value.map(|value| scale.value(scale.units(value))) {
                        let machine = TopMachine::Named(host_key, readings.kind, readings.identity.clone());
                        top.push(Top { machine, device: device.map(str::to_owned), values: [value; 3] });
                    }
                });
            }
        }
        // decoding takes a while
        tokio::task::yield_now().await;
    }
    Ok(top)
}

/// A metric of all machines over [from, to) rounded outwards to quarters of an hour, or to days when it is longer than two; what is not
/// sealed, or not folded, is not in it. Returns the range that was read, too.
pub async fn over_range(
    connection: &mut Connection,
    metric: &str,
    from: i64,
    to: i64,
) -> Result<(i64, i64, Vec<Top>), HistoryError> {
    let (resolution, width) = if to - from <= RAW_MS { (Resolution::Raw, QUARTER_MS) } else { (Resolution::FiveMinutes, DAY_MS) };
    let (from, to) = (floor(from, width), ceil(to, width));
    if (to - from) / width > STRETCHES_MAX {
        return Err(HistoryError::TooLong);
    }
    let mut found: HashMap<(i64, Option<String>), (Scale, Bucket)> = HashMap::new();
    let mut start = from;
    while start < to {
        let mut damaged = None;
        let add = |machine_id: i64, data: &[u8]| {
            if let Err(error) = add_summaries(&mut found, metric, machine_id, data) {
                damaged = Some(error);
            }
        };
        store::chunks::of_stretch(connection, resolution, start, parts_with(metric), add).await?;
        if let Some(error) = damaged {
            return Err(error.into());
        }
        start += width;
    }
    let top = |((machine_id, device), (scale, all)): (_, (Scale, Bucket))| Top {
        machine: TopMachine::Id(machine_id),
        device,
        values: [scale.value(all.min), scale.value(all.avg()), scale.value(all.max)],
    };
    Ok((from, to, found.into_iter().map(top).collect()))
}

fn add_summaries(
    found: &mut HashMap<(i64, Option<String>), (Scale, Bucket)>,
    metric: &str,
    machine_id: i64,
    data: &[u8],
) -> Result<(), super::chunk::Damaged> {
    for of in Part::open(data)?.columns.into_iter().filter(|of| of.head.metric == metric) {
        let (all, scale) = (of.summary, of.head.scale);
        let bucket = Bucket::of_summary(0, all);
        match found.entry((machine_id, of.head.device)) {
            Entry::Vacant(entry) => drop(entry.insert((scale, bucket))),
            Entry::Occupied(mut entry) => {
                let (known, sum) = entry.get_mut();
                // the catalog may have changed in between
                sum.merge(&if *known == scale { bucket } else { bucket.convert(scale, *known) });
            }
        }
    }
    Ok(())
}
