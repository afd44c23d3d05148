//! Series over time, from the head: reports are read back and folded into buckets.
//!
//! Knows nothing of HTTP. The stores of older data join here behind the same [`Series`].

mod buckets;
mod chunk;
mod scale;

use std::collections::BTreeMap;

use serde::Serialize;
use wire_model::catalog;

pub use buckets::Bucket;

use crate::ingest::decode_payload;
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::machine_readings;

/// Reports that one query reads at most: a day of 2-second reports and some.
pub const REPORTS_MAX: i64 = 50_000;
/// Reports held in memory at once.
const PAGE: i64 = 500;
/// Most points of one series in an answer.
pub const POINTS_MAX: i64 = 10_000;

/// What to read.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// Metrics by name.
    pub metrics: Vec<String>,
    /// Only this device.
    pub device: Option<String>,
    /// From here, in Unix ms.
    pub from: i64,
    /// To here, exclusive.
    pub to: i64,
    /// At most so many points a series.
    pub max_points: i64,
}

/// One metric of one machine or device: parallel columns, one entry per bucket that has values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// The metric.
    pub metric: String,
    /// Its unit, when the catalog knows it.
    pub unit: Option<&'static str>,
    /// The device, when the metric is of one.
    pub device: Option<String>,
    /// Width of a bucket; where it is the interval, every point is one report.
    pub resolution_ms: i64,
    /// Starts of the buckets, Unix ms.
    pub t: Vec<i64>,
    /// Least value in the bucket.
    pub min: Vec<f64>,
    /// Mean of the values in the bucket.
    pub avg: Vec<f64>,
    /// Greatest value in the bucket.
    pub max: Vec<f64>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The range is too long for what is read here.
    #[error("the range holds more than {REPORTS_MAX} reports: ask for a shorter one")]
    TooMany,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the series of one machine.
pub async fn read_series(
    connection: &mut Connection,
    machine: &MachineRow,
    interval_ms: i64,
    query: &SeriesQuery,
) -> Result<Vec<Series>, HistoryError> {
    let host_key = machine.host_key;
    if store::reports::count(connection, host_key, query.from, query.to, REPORTS_MAX + 1).await? > REPORTS_MAX {
        return Err(HistoryError::TooMany);
    }
    let width = buckets::width(query.from, query.to, query.max_points, interval_ms.max(1));
    let mut series: BTreeMap<(String, Option<String>), Vec<Bucket>> = BTreeMap::new();
    let mut from = query.from;
    loop {
        let page = store::reports::range(connection, host_key, from, query.to, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        from = last + 1;
        let is_full = page.len() as i64 == PAGE;
        for (at, payload) in page {
            let report = decode_payload(&payload).map_err(StoreError::Corrupt)?;
            let start = at - at.rem_euclid(width);
            let machines = machine_readings(&report);
            let Some(readings) = machines.iter().find(|other| other.kind == machine.kind && other.identity == machine.identity)
            else {
                continue;
            };
            for metric in &query.metrics {
                readings.for_each(metric, |device, value| {
                    let (Some(value), true) = (value, query.device.is_none() || query.device.as_deref() == device) else {
                        return;
                    };
                    let buckets = series.entry((metric.clone(), device.map(str::to_owned))).or_default();
                    buckets::add(buckets, start, value);
                });
            }
        }
        if !is_full {
            break;
        }
    }
    Ok(series.into_iter().map(|((metric, device), buckets)| columns(metric, device, width, &buckets)).collect())
}

fn columns(metric: String, device: Option<String>, resolution_ms: i64, buckets: &[Bucket]) -> Series {
    Series {
        unit: catalog::find(&metric).map(|metric| metric.unit),
        metric,
        device,
        resolution_ms,
        t: buckets.iter().map(|bucket| bucket.start).collect(),
        min: buckets.iter().map(|bucket| bucket.min).collect(),
        avg: buckets.iter().map(Bucket::avg).collect(),
        max: buckets.iter().map(|bucket| bucket.max).collect(),
    }
}
