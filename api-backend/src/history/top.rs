//! The machines with the greatest or least values: now, from the newest reports, and over a range, from the summaries of chunks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::buckets::{self, Bucket};
use super::chunk::{Damaged, Part, parts_with};
use super::head::newest_reports;
use super::plan::Plan;
use super::scale::Scale;
use super::series::HistoryError;
use super::time::{QUARTER_MS, ceil, floor, starts};
use crate::store::chunks::Resolution;
use crate::store::hosts::HostRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::{Kind, machine_readings};
use crate::time::DAY_MS;

/// Longest range that is read to the quarter of an hour; longer ones are read to the day.
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
/// sealed is not in it, nor in days what is not folded. Returns the range that was read, too.
pub async fn over_range(
    connection: &mut Connection,
    metric: &str,
    from: i64,
    to: i64,
) -> Result<(i64, i64, Vec<Top>), HistoryError> {
    let width = if to - from <= RAW_MS { QUARTER_MS } else { DAY_MS };
    let (from, to) = (floor(from, width), ceil(to, width));
    if (to - from) / width > STRETCHES_MAX {
        return Err(HistoryError::TooLong);
    }
    let Plan { days, quarters } = if width == QUARTER_MS {
        Plan::of(connection, None, (from, to), width).await?
    } else {
        Plan { days: starts(from, to, width).collect(), quarters: Vec::new() }
    };
    let mut reading = Reading { metric, from, to, found: HashMap::new() };
    for (resolution, starts) in [(Resolution::FiveMinutes, days), (Resolution::Raw, quarters)] {
        let add = |start: i64, machine_id: i64, data: &[u8]| Ok(reading.add(resolution, start, machine_id, data)?);
        store::chunks::of_stretches(connection, resolution, &starts, parts_with(metric, resolution), add).await?;
    }
    let top = |((machine_id, device), (scale, all)): (_, (Scale, Bucket))| Top {
        machine: TopMachine::Id(machine_id),
        device,
        values: [scale.value(all.min), scale.value(all.avg()), scale.value(all.max)],
    };
    Ok((from, to, reading.found.into_iter().map(top).collect()))
}

struct Reading<'a> {
    metric: &'a str,
    from: i64,
    to: i64,
    found: HashMap<(i64, Option<String>), (Scale, Bucket)>,
}

impl Reading<'_> {
    /// Adds what a part has of the metric: its summary, and of a day that reaches beyond the range those points that are within.
    fn add(&mut self, resolution: Resolution, start: i64, machine_id: i64, data: &[u8]) -> Result<(), Damaged> {
        let (from, to) = (self.from, self.to);
        let is_whole = resolution == Resolution::Raw || (from <= start && start + DAY_MS <= to);
        let part = Part::open(data)?;
        for of in part.columns.iter().filter(|of| of.is_metric() && of.metric == self.metric) {
            let bucket = if is_whole {
                Some(Bucket::of_summary(start, of.summary))
            } else {
                let column = part.decode(of)?;
                let within = buckets::of_day(start, &column).filter(|point| (from..to).contains(&point.start));
                within.reduce(|mut all, point| {
                    all.merge(&point);
                    all
                })
            };
            let Some(bucket) = bucket else { continue };
            let (scale, all) = match self.found.entry((machine_id, of.device.map(str::to_owned))) {
                Entry::Vacant(entry) => {
                    entry.insert((of.scale, bucket));
                    continue;
                }
                Entry::Occupied(entry) => entry.into_mut(),
            };
            // the catalog may have changed in between
            all.merge(&if *scale == of.scale { bucket } else { bucket.convert(of.scale, *scale) });
        }
        Ok(())
    }
}
