//! A chunk: all series of one machine over one stretch of time, as compressed columns. docs/CHUNKS.md describes the bytes.
//!
//! What a column is of, and its least, greatest, sum and count stand in front, so that coarse questions need not decode.

mod bytes;
mod names;
mod vector;

use std::ops::{Range, RangeInclusive};

use pco::wrapped::FileDecompressor;

pub use self::bytes::Damaged;
use self::bytes::{Reader, Result, damaged, write_float, write_number, write_signed, write_text};
use super::scale::Scale;

/// Version of the format, the first byte.
const VERSION: u8 = 1;
/// A part is closed when it has so many bytes: several rows share a page of the database, which wastes little at its end.
pub const PART_BYTES: usize = 2_000;
/// Places of one stretch at most: the milliseconds of a quarter of an hour, of which no host has two reports in one.
pub const PLACES_MAX: usize = 900_000;
/// Whole numbers up to here are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Bits of a column's head.
mod flag {
    /// The device is that of the column before.
    pub(super) const SAME_DEVICE: u8 = 1;
    /// The device stands here. Without both the column is of the machine itself.
    pub(super) const DEVICE: u8 = 2;
    /// The metric stands by its name.
    pub(super) const NAMED: u8 = 4;
    /// Some of the stretch's places have no value.
    pub(super) const GAPS: u8 = 8;
    /// Each place holds several samples.
    pub(super) const FOLDED: u8 = 16;
    /// The summary is written as floats.
    pub(super) const FLOATS: u8 = 32;
    pub(super) const ALL: u8 = 63;
}

/// One series in a stretch, in units of its scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What it is of.
    pub(super) head: Head,
    /// Places in the stretch that have a value, rising.
    pub(super) places: Vec<u32>,
    /// The values at these places.
    pub(super) points: Points,
}

/// What a column is of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) metric: String,
    pub(super) device: Option<String>,
    pub(super) scale: Scale,
}

/// The values of a column, each vector as long as its places.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Points {
    /// One sample a place.
    Samples(Vec<f64>),
    /// Several samples a place. The mean is rounded to a unit.
    Folded { min: Vec<f64>, avg: Vec<f64>, max: Vec<f64>, count: Vec<f64> },
}

/// All samples of a column together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: f64,
    pub(super) count: f64,
}

impl Points {
    fn summary(&self) -> Summary {
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self {
            Points::Samples(values) => {
                Summary { min: least(values), max: greatest(values), sum: values.iter().sum(), count: values.len() as f64 }
            }
            Points::Folded { min, avg, max, count } => Summary {
                min: least(min),
                max: greatest(max),
                sum: avg.iter().zip(count).map(|(avg, count)| avg * count).sum(),
                count: count.iter().sum(),
            },
        }
    }
}

/// A part by its number, which begins with the group of its metrics.
pub(super) type EncodedPart = (i64, Vec<u8>);

/// Parts of one group at most.
const PARTS: i64 = 65_536;

/// The numbers that parts with this metric may have.
pub(super) fn parts_with(metric: &str) -> RangeInclusive<i64> {
    let first = names::group(metric) * PARTS;
    first..=first + PARTS - 1
}

/// Writes the columns of a stretch of `length` places, as one part or several. Columns without a value are left out.
pub(super) fn encode(length: usize, mut columns: Vec<Column>) -> Vec<EncodedPart> {
    columns.retain(|column| !column.places.is_empty());
    // device by device, whose name then stands once
    let order = |head: &Head| (names::group(&head.metric), head.device.clone(), names::number(&head.metric), head.metric.clone());
    columns.sort_by_cached_key(|column| order(&column.head));
    let mut parts = Vec::new();
    for group in columns.chunk_by(|one, other| names::group(&one.head.metric) == names::group(&other.head.metric)) {
        let mut number = *parts_with(&group[0].head.metric).start();
        let mut part = NewPart::default();
        for column in group {
            part.add(length, column);
            if part.heads.len() + part.data.len() >= PART_BYTES {
                parts.push((number, std::mem::take(&mut part).finish(length)));
                number += 1;
            }
        }
        if part.columns > 0 {
            parts.push((number, part.finish(length)));
        }
    }
    parts
}

#[derive(Default)]
struct NewPart {
    columns: u64,
    device: Option<String>,
    heads: Vec<u8>,
    data: Vec<u8>,
}

impl NewPart {
    fn add(&mut self, length: usize, column: &Column) {
        let begin = self.data.len();
        let summary = column.points.summary();
        let has_gaps = column.places.len() < length;
        if has_gaps {
            write_places(&mut self.data, length, &column.places);
        }
        let mut flags = if has_gaps { flag::GAPS } else { 0 };
        match &column.points {
            // the summary says it all
            Points::Samples(_) if summary.min == summary.max => {}
            Points::Samples(values) => vector::write(&mut self.data, values),
            Points::Folded { min, avg, max, count } => {
                flags |= flag::FOLDED;
                let above = |values: &[f64]| values.iter().zip(min).map(|(value, min)| value - min).collect::<Vec<_>>();
                let is_exact = |values: &[f64]| values.iter().all(|value| value.fract() == 0.0 && value.abs() <= EXACT / 2.0);
                // differences of floats would not come back as they were
                let differ = is_exact(min) && is_exact(avg) && is_exact(max);
                self.data.push(u8::from(differ));
                vector::write(&mut self.data, min);
                vector::write(&mut self.data, &if differ { above(avg) } else { avg.clone() });
                vector::write(&mut self.data, &if differ { above(max) } else { max.clone() });
                vector::write(&mut self.data, count);
            }
        }
        let data_length = self.data.len() - begin;
        self.write_head(flags, &column.head, summary, column.places.len(), data_length);
        self.columns += 1;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within EXACT; counts are not negative"
    )]
    fn write_head(&mut self, mut flags: u8, head: &Head, summary: Summary, places: usize, data_length: usize) {
        let number = names::number(&head.metric);
        let is_whole = [summary.min, summary.max, summary.sum, summary.max - summary.min]
            .iter()
            .all(|number| number.fract() == 0.0 && number.abs() <= EXACT);
        flags |= if number.is_none() { flag::NAMED } else { 0 } | if is_whole { 0 } else { flag::FLOATS };
        let is_new_device = head.device.is_some() && head.device != self.device;
        if head.device.is_some() {
            flags |= if is_new_device { flag::DEVICE } else { flag::SAME_DEVICE };
        }
        let out = &mut self.heads;
        out.push(flags);
        match number {
            Some(number) => write_number(out, number),
            None => write_text(out, &head.metric),
        }
        if let (true, Some(device)) = (is_new_device, &head.device) {
            write_text(out, device);
            self.device = Some(device.clone());
        }
        out.push(head.scale.number());
        if flags & flag::GAPS != 0 {
            write_number(out, places as u64);
        }
        if flags & flag::FOLDED != 0 {
            write_number(out, summary.count as u64);
        }
        if is_whole {
            write_signed(out, summary.min as i64);
            write_number(out, (summary.max - summary.min) as u64);
            write_signed(out, summary.sum as i64);
        } else {
            for number in [summary.min, summary.max, summary.sum] {
                write_float(out, number);
            }
        }
        write_number(out, data_length as u64);
    }

    fn finish(self, length: usize) -> Vec<u8> {
        let mut out = vec![VERSION];
        vector::write_head(&mut out);
        write_number(&mut out, length as u64);
        write_number(&mut out, self.columns);
        out.extend(self.heads);
        out.extend(self.data);
        out
    }
}

/// Runs of places without and with a value, in turn.
fn write_places(out: &mut Vec<u8>, length: usize, places: &[u32]) {
    let mut runs = Vec::new();
    let mut at = 0;
    let mut places = places.iter().map(|place| *place as usize).peekable();
    while let Some(begin) = places.next() {
        let mut end = begin + 1;
        while places.next_if_eq(&end).is_some() {
            end += 1;
        }
        runs.extend([begin - at, end - begin]);
        at = end;
    }
    debug_assert!(at <= length, "places are within the stretch");
    write_number(out, runs.len() as u64);
    for run in runs {
        write_number(out, run as u64);
    }
}

fn read_places(reader: &mut Reader<'_>, length: usize) -> Result<Vec<u32>> {
    let runs = reader.count(length + 2)?;
    let mut places = Vec::new();
    let mut at = 0;
    for run in 0..runs {
        let end = at + reader.count(length - at)?;
        if run % 2 == 1 {
            places.extend((at..end).map(|place| u32::try_from(place).expect("PLACES_MAX fits")));
        }
        at = end;
    }
    Ok(places)
}

/// A part that is open for reading: its heads are read, its data is not.
pub(super) struct Part<'a> {
    /// Places of the stretch.
    pub(super) length: usize,
    /// Its columns.
    pub(super) columns: Vec<PartColumn>,
    pco: FileDecompressor,
    data: &'a [u8],
}

/// A column of a part.
pub(super) struct PartColumn {
    pub(super) head: Head,
    pub(super) summary: Summary,
    flags: u8,
    /// Places with a value.
    values: usize,
    data: Range<usize>,
}

impl<'a> Part<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Part<'a>> {
        let mut reader = Reader(bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(damaged(format!("its version is {version}, this reads {VERSION}")));
        }
        let pco = vector::read_head(&mut reader)?;
        let length = reader.count(PLACES_MAX)?;
        let count = reader.count(bytes.len())?;
        let mut columns: Vec<PartColumn> = Vec::with_capacity(count);
        let mut device: Option<String> = None;
        let mut end = 0usize;
        for _ in 0..count {
            let mut column = read_head(&mut reader, length, &mut device)?;
            let data_length = reader.count(bytes.len())?;
            column.data = end..end + data_length;
            end += data_length;
            columns.push(column);
        }
        if reader.0.len() != end {
            return Err(damaged(format!("it has {} bytes of data where {end} belong", reader.0.len())));
        }
        Ok(Part { length, columns, pco, data: reader.0 })
    }

    /// One of its columns.
    pub(super) fn decode(&self, column: &PartColumn) -> Result<Column> {
        let mut reader = Reader(&self.data[column.data.clone()]);
        let places = if column.flags & flag::GAPS == 0 {
            (0..self.length).map(|place| u32::try_from(place).expect("PLACES_MAX fits")).collect()
        } else {
            read_places(&mut reader, self.length)?
        };
        if places.len() != column.values {
            return Err(damaged("a column has another number of places than it says"));
        }
        let count = places.len();
        let points = if column.flags & flag::FOLDED != 0 {
            let differ = reader.byte()? == 1;
            let min = vector::read(&mut reader, &self.pco, count)?;
            let above = |values: Vec<f64>| {
                if differ { values.iter().zip(&min).map(|(value, min)| value + min).collect() } else { values }
            };
            let avg = above(vector::read(&mut reader, &self.pco, count)?);
            let max = above(vector::read(&mut reader, &self.pco, count)?);
            Points::Folded { avg, max, count: vector::read(&mut reader, &self.pco, count)?, min }
        } else if column.summary.min == column.summary.max {
            Points::Samples(vec![column.summary.min; count])
        } else {
            Points::Samples(vector::read(&mut reader, &self.pco, count)?)
        };
        Ok(Column { head: column.head.clone(), places, points })
    }
}

fn read_head(reader: &mut Reader<'_>, length: usize, device: &mut Option<String>) -> Result<PartColumn> {
    let flags = reader.byte()?;
    if flags & !flag::ALL != 0 {
        return Err(damaged(format!("{flags} are no flags of a column")));
    }
    let metric = if flags & flag::NAMED != 0 {
        reader.text()?.to_owned()
    } else {
        let number = reader.number()?;
        names::name(number).ok_or_else(|| damaged(format!("metric {number} is not known")))?.to_owned()
    };
    if flags & flag::DEVICE != 0 {
        *device = Some(reader.text()?.to_owned());
    }
    let of = if flags & (flag::DEVICE | flag::SAME_DEVICE) == 0 { None } else { device.clone() };
    let scale = reader.byte()?;
    let scale = Scale::with_number(scale).ok_or_else(|| damaged(format!("{scale} is no scale")))?;
    let values = if flags & flag::GAPS == 0 { length } else { reader.count(length)? };
    let count = if flags & flag::FOLDED == 0 { values as f64 } else { reader.number()? as f64 };
    let summary = if flags & flag::FLOATS == 0 {
        let min = reader.signed()? as f64;
        Summary { min, max: min + reader.number()? as f64, sum: reader.signed()? as f64, count }
    } else {
        Summary { min: reader.float()?, max: reader.float()?, sum: reader.float()?, count }
    };
    Ok(PartColumn { head: Head { metric, device: of, scale }, summary, flags, values, data: 0..0 })
}

/// The reports of a host in a sealed stretch: the time of each and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Axis(pub(super) Vec<(i64, wire_model::ReportId)>);

impl Axis {
    /// As it stands in `stretches.data`; times rise.
    pub(super) fn encode(&self, start_at: i64) -> Vec<u8> {
        let mut out = vec![VERSION];
        vector::write_head(&mut out);
        write_number(&mut out, self.0.len() as u64);
        vector::write_whole(&mut out, &self.0.iter().map(|(at, _)| at - start_at).collect::<Vec<_>>());
        vector::write_whole(&mut out, &self.0.iter().map(|(_, id)| id.epoch.cast_signed()).collect::<Vec<_>>());
        vector::write_whole(&mut out, &self.0.iter().map(|(_, id)| id.seq.cast_signed()).collect::<Vec<_>>());
        out
    }

    /// From what [`encode`](Axis::encode) wrote.
    pub(super) fn decode(start_at: i64, bytes: &[u8]) -> Result<Axis> {
        let mut reader = Reader(bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(damaged(format!("its version is {version}, this reads {VERSION}")));
        }
        let pco = vector::read_head(&mut reader)?;
        let count = reader.count(PLACES_MAX)?;
        let times = vector::read_whole(&mut reader, &pco, count)?;
        let epochs = vector::read_whole(&mut reader, &pco, count)?;
        let seqs = vector::read_whole(&mut reader, &pco, count)?;
        let id = |epoch: i64, seq: i64| wire_model::ReportId { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() };
        Ok(Axis(times.into_iter().zip(epochs).zip(seqs).map(|((at, epoch), seq)| (start_at + at, id(epoch, seq))).collect()))
    }
}

#[cfg(test)]
mod tests;
