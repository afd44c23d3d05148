//! Series over time: the head, chunks and rollups as one, from the coarsest that serves.
//!
//! A sample stands in one of the three places only, so what is read from them is simply put together.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use wire_model::{HostReport, catalog};

use super::buckets::{self, Bucket};
use super::chunk::{Axis, Head, Part, Points, parts_with};
use super::head::HeadReader;
use super::plan::Plan;
use super::scale::Scale;
use super::time::{QUARTER_MS, SLOT_MS, ceil, floor};
use crate::store::chunks::Resolution;
use crate::store::counters::{self, Counter};
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::{MachineReadings, machine_readings, place};

/// Reports of the head that one query reads at most: more are there only while nothing is sealed.
pub const REPORTS_MAX: i64 = 50_000;
/// Reports held in memory at once.
const PAGE: i64 = 500;
/// Stretches held in memory at once.
const STRETCHES_AT_ONCE: usize = 96;
/// Most points of one series in an answer.
pub const POINTS_MAX: i64 = 10_000;
/// Most points of all series of an answer together.
pub const ALL_POINTS_MAX: usize = 1_000_000;

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
    /// How fine.
    pub detail: Detail,
}

/// How fine an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// At most so many points a series.
    Points(i64),
    /// Every sample at its own time; points of 5 minutes where samples are removed.
    Every,
}

impl SeriesQuery {
    fn wants(&self, metric: &str, device: Option<&str>) -> bool {
        self.metrics.iter().any(|other| other == metric) && (self.device.is_none() || self.device.as_deref() == device)
    }
}

/// One metric of one machine or device: parallel columns, one entry per bucket that has values.
#[derive(Clone, Debug, PartialEq)]
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
    #[error("the range holds more than {REPORTS_MAX} reports that are not sealed yet: ask for a shorter one")]
    TooMany,
    /// The answer would be too large.
    #[error("the answer has more than {ALL_POINTS_MAX} points: ask for fewer points, metrics or devices")]
    TooLarge,
    /// The range has too many stretches.
    #[error("the range is longer than {} days", super::top::STRETCHES_MAX)]
    TooLong,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<super::chunk::Damaged> for HistoryError {
    fn from(damaged: super::chunk::Damaged) -> HistoryError {
        HistoryError::Store(damaged.into())
    }
}

/// From when on every sample is kept: the start of a day, Unix ms; 0 while all are.
pub async fn removed_before(connection: &mut Connection) -> Result<i64, StoreError> {
    counters::read(connection, Counter::RawRemovedBefore).await
}

/// Reads the series of one machine. `connection` should be a snapshot: what is sealed between two queries would be missed.
pub async fn read_series(
    connection: &mut Connection,
    machine: &MachineRow,
    interval_ms: i64,
    query: &SeriesQuery,
) -> Result<Vec<Series>, HistoryError> {
    let mut reading = Reading::new(machine, interval_ms, query);
    let plan = Plan::of(connection, Some(machine.host_key), (reading.from, reading.to), reading.width).await?;
    reading.read_rollups(connection, &plan.days).await?;
    reading.read_chunks(connection, &plan.quarters).await?;
    reading.read_head(connection).await?;
    Ok(reading.finish())
}

struct Reading<'a> {
    machine: &'a MachineRow,
    query: &'a SeriesQuery,
    /// The range that is read: the query's, and where buckets hold folded points their edges.
    from: i64,
    to: i64,
    width: i64,
    series: BTreeMap<(String, Option<String>), (Scale, Vec<Bucket>)>,
    points: usize,
}

impl<'a> Reading<'a> {
    fn new(machine: &'a MachineRow, interval_ms: i64, query: &'a SeriesQuery) -> Reading<'a> {
        let width = match query.detail {
            Detail::Points(max_points) => buckets::width(query.from, query.to, max_points, interval_ms.max(1)),
            Detail::Every => 1,
        };
        // buckets that hold whole points of rollups, and whole chunks
        let grid = if width > QUARTER_MS - SLOT_MS { QUARTER_MS } else { SLOT_MS };
        let (width, grid) = if width >= SLOT_MS { (ceil(width, grid), grid) } else { (width, 1) };
        let (from, to) = (floor(query.from, grid), ceil(query.to, grid));
        Reading { machine, query, from, to, width, series: BTreeMap::new(), points: 0 }
    }

    /// Parts of chunks that may have the metrics.
    fn parts(&self, resolution: Resolution) -> Vec<RangeInclusive<i64>> {
        let mut parts: Vec<_> = self.query.metrics.iter().map(|metric| parts_with(metric, resolution)).collect();
        parts.sort_by_key(|parts| *parts.start());
        parts.dedup();
        parts
    }

    /// Adds to the series of `head`, in its units; `start` is any time.
    fn add(&mut self, head: &Head, points: impl Iterator<Item = Bucket>) -> Result<(), HistoryError> {
        let (from, to, width) = (self.from, self.to, self.width);
        let key = (head.metric.clone(), head.device.clone());
        let (scale, all) = self.series.entry(key).or_insert_with(|| (Scale::of(&head.metric), Vec::new()));
        let before = all.len();
        for point in points.filter(|point| (from..to).contains(&point.start)) {
            // the catalog may have changed since
            let point = if *scale == head.scale { point } else { point.convert(head.scale, *scale) };
            buckets::add(all, Bucket { start: floor(point.start, width), ..point });
        }
        self.points += all.len() - before;
        if self.points > ALL_POINTS_MAX { Err(HistoryError::TooLarge) } else { Ok(()) }
    }

    async fn read_rollups(&mut self, connection: &mut Connection, days: &[i64]) -> Result<(), HistoryError> {
        let (query, parts) = (self.query, self.parts(Resolution::FiveMinutes));
        for days in days.chunks(STRETCHES_AT_ONCE) {
            let (host_key, machine_id) = (self.machine.host_key, self.machine.machine_id);
            let resolution = Resolution::FiveMinutes;
            for (day_at, data) in store::chunks::of_machine(connection, resolution, days, host_key, machine_id, &parts).await? {
                let part = Part::open(&data)?;
                for of in part.columns.iter().filter(|of| of.is_metric() && query.wants(of.metric, of.device)) {
                    let column = part.decode(of)?;
                    self.add(&column.head, buckets::of_day(day_at, &column))?;
                }
            }
        }
        Ok(())
    }

    async fn read_chunks(&mut self, connection: &mut Connection, quarters: &[i64]) -> Result<(), HistoryError> {
        let (query, parts, resolution) = (self.query, self.parts(Resolution::Raw), Resolution::Raw);
        for quarters in quarters.chunks(STRETCHES_AT_ONCE) {
            let (host_key, machine_id) = (self.machine.host_key, self.machine.machine_id);
            // a whole chunk in one bucket: its summary says all
            let is_whole = self.width % QUARTER_MS == 0;
            let mut axes = HashMap::new();
            if !is_whole {
                for stretch in store::chunks::stretches(connection, host_key, quarters).await? {
                    axes.insert(stretch.start_at, Axis::times(stretch.start_at, &stretch.data)?);
                }
            }
            for (start, data) in store::chunks::of_machine(connection, resolution, quarters, host_key, machine_id, &parts).await?
            {
                let part = Part::open(&data)?;
                for of in part.columns.iter().filter(|of| of.is_metric() && query.wants(of.metric, of.device)) {
                    if is_whole {
                        self.add(&of.head(), std::iter::once(Bucket::of_summary(start, of.summary)))?;
                        continue;
                    }
                    let column = part.decode(of)?;
                    let Points::Samples(units) = &column.points else { continue };
                    let times = axes.get(&start).filter(|times| times.len() >= part.length).ok_or_else(|| no_axis(start))?;
                    let points = column.places.iter().zip(units);
                    self.add(&column.head, points.map(|(place, units)| Bucket::of_value(times[*place as usize], *units)))?;
                }
            }
        }
        Ok(())
    }

    async fn read_head(&mut self, connection: &mut Connection) -> Result<(), HistoryError> {
        let host_key = self.machine.host_key;
        let mut page = store::reports::range(connection, host_key, self.from, self.to, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        if page.len() as i64 == PAGE
            && store::reports::count(connection, host_key, self.from, self.to, REPORTS_MAX + 1).await? > REPORTS_MAX
        {
            return Err(HistoryError::TooMany);
        }
        let mut reader = HeadReader::open(connection, host_key, self.from, self.to).await?;
        let mut found: Vec<Found> = Vec::new();
        loop {
            for (at, payload) in &page {
                let (figures, new_form) = reader.read(payload)?;
                if let Some(form) = new_form {
                    self.add_found(&mut found)?;
                    found = self.find(&form.places());
                }
                for of in &mut found {
                    let value = figures.values[of.place];
                    if !value.is_nan() {
                        of.points.push(Bucket::of_value(*at, of.head.scale.units(value)));
                    }
                }
            }
            self.add_found(&mut found)?;
            let Some((last, _)) = page.last().filter(|_| page.len() as i64 == PAGE) else { return Ok(()) };
            page = store::reports::range(connection, host_key, last + 1, self.to, PAGE).await?;
        }
    }

    /// Adds the points of a page or a form, and keeps what they are of.
    fn add_found(&mut self, found: &mut [Found]) -> Result<(), HistoryError> {
        found.iter_mut().try_for_each(|of| self.add(&of.head, of.points.drain(..)))
    }

    /// What is asked for in reports of a form.
    fn find(&self, form: &HostReport) -> Vec<Found> {
        let machines = machine_readings(form);
        let is_it = |other: &&MachineReadings<'_>| other.kind == self.machine.kind && other.identity == self.machine.identity;
        let mut found = Vec::new();
        for readings in machines.iter().filter(is_it) {
            readings.for_each_value(|metric, device, value| {
                if self.query.wants(metric, device) {
                    let head = Head { metric: metric.to_owned(), device: device.map(str::to_owned), scale: Scale::of(metric) };
                    found.push(Found { head, place: place(value), points: Vec::new() });
                }
            });
        }
        found
    }

    fn finish(self) -> Vec<Series> {
        let width = self.width;
        self.series
            .into_iter()
            .filter(|(_, (_, buckets))| !buckets.is_empty())
            .map(|((metric, device), (scale, buckets))| columns(metric, device, width, scale, &buckets))
            .collect()
    }
}

/// A series in reports of one form.
struct Found {
    head: Head,
    /// Its place among the figures.
    place: usize,
    /// Samples that are read and not added yet.
    points: Vec<Bucket>,
}

fn no_axis(start: i64) -> StoreError {
    StoreError::Corrupt(format!("there are chunks and no stretch, or a shorter one, at {start}"))
}

fn columns(metric: String, device: Option<String>, resolution_ms: i64, scale: Scale, buckets: &[Bucket]) -> Series {
    let each = |units: fn(&Bucket) -> f64| buckets.iter().map(|bucket| scale.value(units(bucket))).collect();
    Series {
        unit: catalog::find(&metric).map(|metric| metric.unit),
        metric,
        device,
        resolution_ms,
        t: buckets.iter().map(|bucket| bucket.start).collect(),
        min: each(|bucket| bucket.min),
        avg: each(Bucket::avg),
        max: each(|bucket| bucket.max),
    }
}
