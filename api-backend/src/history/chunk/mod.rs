//! A chunk: all series of one machine over one stretch of time, as compressed columns. docs/CHUNKS.md describes the bytes.
//!
//! What a column is of, and its least, greatest, sum and count stand in front, so that coarse questions need not decode.

mod axis;
mod bytes;
mod names;
mod read;
mod vector;
mod write;

use std::ops::RangeInclusive;

use pco::wrapped::FileDecompressor;

pub(super) use self::axis::{Axis, Place};
pub(super) use self::bytes::Damaged;
use self::bytes::{Reader, Result, damaged};
pub(super) use self::names::CONTAINER_STATE;
pub(super) use self::read::Part;
use self::write::NewPart;
use super::scale::Scale;
use crate::store::chunks::Resolution;

/// Version of the format, the first byte.
const VERSION: u8 = 1;
/// A part is closed when it has so many bytes: several rows share a page of the database, which wastes little at its end.
const PART_BYTES: usize = 2_000;
/// Places of one stretch at most: the milliseconds of a quarter of an hour, of which no host has two reports in one.
const PLACES_MAX: usize = 900_000;
/// Whole numbers up to here are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Bits of a column's head.
mod flag {
    /// The device is the one that was named last in the part.
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
    /// There are no values: at these places the series' device was there without one, or, of a column without a device, its table without
    /// rows.
    pub(super) const NULLS: u8 = 64;
    pub(super) const ALL: u8 = 127;
}

/// One series in a stretch, in units of its scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
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
    /// Not a sample: the device, or its table, was there without one.
    Nulls,
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

impl Summary {
    /// Of no sample.
    const NOTHING: Summary = Summary { min: 0.0, max: 0.0, sum: 0.0, count: 0.0 };
}

impl Points {
    fn summary(&self) -> Summary {
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self {
            Points::Samples(values) => {
                Summary { min: least(values), max: greatest(values), sum: values.iter().sum(), count: values.len() as f64 }
            }
            Points::Nulls => Summary::NOTHING,
            Points::Folded { min, avg, max, count } => Summary {
                min: least(min),
                max: greatest(max),
                sum: avg.iter().zip(count).map(|(avg, count)| avg * count).sum(),
                count: count.iter().sum(),
            },
        }
    }
}

/// What stands in front of everything.
fn begin() -> Vec<u8> {
    let mut out = vec![VERSION];
    vector::write_head(&mut out);
    out
}

/// What comes behind that, and how to read it.
fn open(bytes: &[u8]) -> Result<(Reader<'_>, FileDecompressor)> {
    let mut reader = Reader(bytes);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(damaged(format!("its version is {version}, this reads {VERSION}")));
    }
    let pco = vector::read_head(&mut reader)?;
    Ok((reader, pco))
}

/// A part by its number, which begins with the section of its metrics.
pub(super) type EncodedPart = (i64, Vec<u8>);

/// Parts of one section at most.
const PARTS: i64 = 65_536;
/// Sections of folded columns are numbered from here.
const FOLDED: i64 = 1_000;

/// Which metrics stand together in parts of their own, so that whoever asks for one need not read all: of raw columns a few, whose parts
/// would be small otherwise; of folded ones, which are read for many days at once, each by itself.
fn section(metric: &str, resolution: Resolution) -> i64 {
    match resolution {
        Resolution::Raw => names::group(metric),
        Resolution::FiveMinutes => {
            FOLDED + names::number(metric).map_or(0, |number| i64::try_from(number).expect("a short list"))
        }
    }
}

/// The numbers that parts with this metric may have.
pub(super) fn parts_with(metric: &str, resolution: Resolution) -> RangeInclusive<i64> {
    let first = section(metric, resolution) * PARTS;
    first..=first + PARTS - 1
}

/// Writes the columns of a stretch of `length` places, as one part or several. Columns without a value are left out.
pub(super) fn encode(resolution: Resolution, length: usize, mut columns: Vec<Column>) -> Vec<EncodedPart> {
    columns.retain(|column| !column.places.is_empty());
    let section = |column: &Column| section(&column.head.metric, resolution);
    // device by device, whose name then stands once
    let order = |Head { metric, device, .. }: &Head| (device.clone(), names::number(metric), metric.clone());
    columns.sort_by_cached_key(|column| (section(column), order(&column.head)));
    let mut parts = Vec::new();
    for columns in columns.chunk_by(|one, other| section(one) == section(other)) {
        let mut number = *parts_with(&columns[0].head.metric, resolution).start();
        let mut part = NewPart::default();
        for column in columns {
            part.add(length, column);
            if part.bytes() >= PART_BYTES {
                parts.push((number, std::mem::take(&mut part).finish(length)));
                number += 1;
            }
        }
        if !part.is_empty() {
            parts.push((number, part.finish(length)));
        }
    }
    parts
}

#[cfg(test)]
mod tests;
