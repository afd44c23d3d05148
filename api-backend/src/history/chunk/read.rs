//! Reads a part: its heads at once, the data of a column when it is asked for.

use std::ops::Range;

use pco::wrapped::FileDecompressor;
use wire_model::is_metric;

use super::bytes::{Reader, Result, damaged};
use super::{Column, Head, PLACES_MAX, Points, Summary, flag, names, open, vector};
use crate::history::scale::Scale;

/// A part that is open for reading: its heads are read, its data is not.
pub(in crate::history) struct Part<'a> {
    /// Places of the stretch.
    pub(in crate::history) length: usize,
    /// Its columns.
    pub(in crate::history) columns: Vec<PartColumn<'a>>,
    pco: FileDecompressor,
    data: &'a [u8],
}

/// A column of a part. Its names are those of the part's bytes: of most columns nobody wants more than a look at them.
pub(in crate::history) struct PartColumn<'a> {
    pub(in crate::history) metric: &'a str,
    pub(in crate::history) device: Option<&'a str>,
    pub(in crate::history) scale: Scale,
    pub(in crate::history) summary: Summary,
    flags: u8,
    /// Places with a value.
    values: usize,
    data: Range<usize>,
}

impl<'a> Part<'a> {
    pub(in crate::history) fn open(bytes: &'a [u8]) -> Result<Part<'a>> {
        let (mut reader, pco) = open(bytes)?;
        let length = reader.count(PLACES_MAX)?;
        let count = reader.count(bytes.len())?;
        let mut columns = Vec::with_capacity(count);
        let mut device = None;
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
    pub(in crate::history) fn decode(&self, column: &PartColumn<'_>) -> Result<Column> {
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
        } else if column.is_nulls() {
            Points::Nulls
        } else if column.summary.min == column.summary.max {
            Points::Samples(vec![column.summary.min; count])
        } else {
            Points::Samples(vector::read(&mut reader, &self.pco, count)?)
        };
        Ok(Column { head: column.head(), places, points })
    }
}

impl PartColumn<'_> {
    /// Whether it tells where there was no value.
    pub(in crate::history) fn is_nulls(&self) -> bool {
        self.flags & flag::NULLS != 0
    }

    /// Whether it holds values of a metric: what else is kept is for whoever replays history.
    pub(in crate::history) fn is_metric(&self) -> bool {
        !self.is_nulls() && is_metric(self.metric)
    }

    /// What it is of.
    pub(in crate::history) fn head(&self) -> Head {
        Head { metric: self.metric.to_owned(), device: self.device.map(str::to_owned), scale: self.scale }
    }
}

fn read_head<'a>(reader: &mut Reader<'a>, length: usize, device: &mut Option<&'a str>) -> Result<PartColumn<'a>> {
    let flags = reader.byte()?;
    if flags & !flag::ALL != 0 {
        return Err(damaged(format!("{flags} are no flags of a column")));
    }
    if flags & flag::NULLS != 0 && flags & (flag::FOLDED | flag::FLOATS) != 0 {
        return Err(damaged("a column without values has some"));
    }
    let metric = if flags & flag::NAMED != 0 {
        reader.text()?
    } else {
        let number = reader.number()?;
        names::name(number).ok_or_else(|| damaged(format!("metric {number} is not known")))?
    };
    if flags & flag::DEVICE != 0 {
        *device = Some(reader.text()?);
    }
    let device = if flags & (flag::DEVICE | flag::SAME_DEVICE) == 0 { None } else { *device };
    let scale = reader.byte()?;
    let scale = Scale::with_number(scale).ok_or_else(|| damaged(format!("{scale} is no scale")))?;
    let values = if flags & flag::GAPS == 0 { length } else { reader.count(length)? };
    let count = if flags & flag::FOLDED == 0 { values as f64 } else { reader.number()? as f64 };
    let summary = if flags & flag::NULLS != 0 {
        Summary::NOTHING
    } else if flags & flag::FLOATS == 0 {
        let min = reader.signed()? as f64;
        Summary { min, max: min + reader.number()? as f64, sum: reader.signed()? as f64, count }
    } else {
        Summary { min: reader.float()?, max: reader.float()?, sum: reader.float()?, count }
    };
    Ok(PartColumn { metric, device, scale, summary, flags, values, data: 0..0 })
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
