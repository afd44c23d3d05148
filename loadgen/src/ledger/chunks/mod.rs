//! Reads `chunks.data` and `stretches.data`. Written from docs/CHUNKS.md alone, so that it is known to say all there is to know.

mod bytes;
mod names;

use anyhow::{Context, ensure};
use pco::wrapped::FileDecompressor;
use wire_model::ReportId;

use self::bytes::Bytes;

const VERSION: u8 = 1;

/// Flags of a column's head.
const SAME_DEVICE: u8 = 1;
const DEVICE: u8 = 2;
const BY_NAME: u8 = 4;
const HOLES: u8 = 8;
const FOLDED: u8 = 16;
const FLOATS: u8 = 32;
const NULLS: u8 = 64;
const ALL_FLAGS: u8 = 127;

/// What additions of floats may lose, of the sum of what is added.
pub(super) const ADDITIONS: f64 = 1e-9;

/// One series of a machine over a stretch. All values are in units of [`Column::unit`].
#[derive(Debug)]
pub(super) struct Column {
    pub(super) metric: String,
    /// Empty where the metric is of the machine itself.
    pub(super) device: String,
    /// What one is worth; `None`: the values stand as they came.
    pub(super) unit: Option<f64>,
    pub(super) points: Points,
}

/// Values by their place, rising.
#[derive(Debug)]
pub(super) enum Points {
    Raw(Vec<(usize, f64)>),
    /// Places without a value.
    Nulls(Vec<usize>),
    Folded(Vec<(usize, Point)>),
}

/// Five minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) least: f64,
    pub(super) mean: f64,
    pub(super) greatest: f64,
    pub(super) count: f64,
}

/// Places of the stretch, and the columns.
pub(super) struct Chunk {
    pub(super) places: usize,
    pub(super) columns: Vec<Column>,
}

/// A report of a sealed stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// In ms from the stretch's start.
    pub(super) after_ms: i64,
    pub(super) id: ReportId,
    /// What else is kept of it; 0 where nothing is.
    pub(super) state: i64,
}

/// Reads one row of `chunks`.
pub(super) fn chunk(part: i64, data: &[u8]) -> anyhow::Result<Chunk> {
    let mut bytes = Bytes::of(data);
    let version = bytes.byte()?;
    ensure!(version == VERSION, "version {version}");
    let header = bytes.header()?;
    let (places, count) = (bytes.length()?, bytes.length()?);
    let (mut heads, mut named) = (Vec::new(), None);
    for _ in 0..count {
        heads.push(Head::read(&mut bytes, places, &mut named)?);
    }
    let mut columns = Vec::new();
    for head in heads {
        ensure!(names::belongs(&head.metric, part, head.is_folded), "{} in part {part}", head.metric);
        let mut data = Bytes::of(bytes.take(head.bytes)?);
        let points = head.points(&mut data, &header, places);
        let points = points.and_then(|points| data.end().map(|()| points));
        let points = points.with_context(|| format!("read the column {} {}", head.metric, head.device))?;
        columns.push(Column { metric: head.metric, device: head.device, unit: head.unit, points });
    }
    bytes.end()?;
    Ok(Chunk { places, columns })
}

/// Reads one row of `stretches`.
pub(super) fn stretch(data: &[u8]) -> anyhow::Result<Vec<Named>> {
    let mut bytes = Bytes::of(data);
    let version = bytes.byte()?;
    ensure!(version == VERSION, "version {version}");
    let header = bytes.header()?;
    let reports = bytes.length()?;
    let mut vector = || bytes.vector(&header, reports)?.whole();
    let (times, epochs, numbers) = (vector()?, vector()?, vector()?);
    let states = if bytes.end().is_ok() { vec![0; reports] } else { bytes.vector(&header, reports)?.whole()? };
    bytes.end()?;
    ensure!(times.is_sorted_by(|one, next| one < next), "times do not rise");
    let names = epochs.into_iter().zip(numbers).zip(states);
    let named = times.into_iter().zip(names).map(|(after_ms, ((epoch, seq), state))| {
        let (epoch, seq) = (u64::try_from(epoch).context("read an epoch")?, u64::try_from(seq).context("read a number")?);
        Ok(Named { after_ms, id: ReportId { epoch, seq }, state })
    });
    named.collect()
}

struct Head {
    is_folded: bool,
    is_nulls: bool,
    has_holes: bool,
    metric: String,
    device: String,
    unit: Option<f64>,
    /// Places with a value.
    held: usize,
    /// In all places together.
    samples: u64,
    least: f64,
    greatest: f64,
    sum: f64,
    bytes: usize,
}

impl Head {
    fn read(bytes: &mut Bytes<'_>, places: usize, named: &mut Option<String>) -> anyhow::Result<Head> {
        let flags = bytes.byte()?;
        ensure!(flags & !ALL_FLAGS == 0, "unknown flags {flags}");
        let has = |flag| flags & flag != 0;
        let metric = if has(BY_NAME) {
            bytes.text()?
        } else {
            let number = bytes.number()?;
            names::name(number).with_context(|| format!("no metric has the number {number}"))?.to_owned()
        };
        if has(DEVICE) {
            *named = Some(bytes.text()?);
        }
        let device = if has(DEVICE) || has(SAME_DEVICE) { named.clone().context("no device was named")? } else { String::new() };
        let unit = match bytes.byte()? {
            0 => None,
            scale @ 1..64 => Some(1.0 / 10f64.powi(i32::from(scale) - 1)),
            scale => Some(2f64.powi(i32::from(scale) - 64)),
        };
        let held = if has(HOLES) { bytes.length()? } else { places };
        let samples = if has(FOLDED) { bytes.number()? } else { held as u64 };
        ensure!(!has(NULLS) || !has(FOLDED) && !has(FLOATS), "flags {flags} of a column without values");
        let (least, greatest, sum) = if has(NULLS) {
            (0.0, 0.0, 0.0)
        } else if has(FLOATS) {
            (bytes.float()?, bytes.float()?, bytes.float()?)
        } else {
            let least = bytes.signed()?;
            let greatest = least.checked_add_unsigned(bytes.number()?).context("the greatest leaves 64 bits")?;
            (least as f64, greatest as f64, bytes.signed()? as f64)
        };
        let bytes = bytes.length()?;
        let (is_folded, is_nulls, has_holes) = (has(FOLDED), has(NULLS), has(HOLES));
        Ok(Head { is_folded, is_nulls, has_holes, metric, device, unit, held, samples, least, greatest, sum, bytes })
    }

    fn points(&self, bytes: &mut Bytes<'_>, header: &FileDecompressor, places: usize) -> anyhow::Result<Points> {
        let held = if self.has_holes { runs(bytes, places)? } else { (0..places).collect() };
        ensure!(held.len() == self.held, "{} places have a value, {} are told", held.len(), self.held);
        if self.is_nulls {
            return Ok(Points::Nulls(held));
        }
        if self.is_folded {
            let is_difference = match bytes.byte()? {
                0 => 0.0,
                1 => 1.0,
                other => anyhow::bail!("{other} says nothing of differences"),
            };
            let mut vector = || Ok::<_, anyhow::Error>(bytes.vector(header, held.len())?.floats());
            let (least, mean, greatest, count) = (vector()?, vector()?, vector()?, vector()?);
            let point = |n: usize| {
                let base = is_difference * least[n];
                Point { least: least[n], mean: mean[n] + base, greatest: greatest[n] + base, count: count[n] }
            };
            let points: Vec<_> = held.into_iter().enumerate().map(|(n, place)| (place, point(n))).collect();
            self.agrees(points.iter().map(|(_, point)| *point))?;
            return Ok(Points::Folded(points));
        }
        let values =
            if self.least == self.greatest { vec![self.least; held.len()] } else { bytes.vector(header, held.len())?.floats() };
        self.agrees(values.iter().map(|value| Point { least: *value, mean: *value, greatest: *value, count: 1.0 }))?;
        Ok(Points::Raw(held.into_iter().zip(values).collect()))
    }

    /// The head says of the values what is true of them.
    fn agrees(&self, points: impl Iterator<Item = Point>) -> anyhow::Result<()> {
        let (mut least, mut greatest, mut sum, mut magnitude, mut samples) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0, 0.0);
        for point in points {
            least = point.least.min(least);
            greatest = point.greatest.max(greatest);
            sum += point.mean * point.count;
            magnitude += point.mean.abs() * point.count;
            samples += point.count;
        }
        let (told, is) = ((self.least, self.greatest, self.samples as f64), (least, greatest, samples));
        ensure!(told == is, "least, greatest and samples are {is:?}, told are {told:?}");
        // additions of floats lose something, and may leave what a float can hold
        let is_same = self.sum == sum || (self.sum - sum).abs() <= magnitude * ADDITIONS;
        ensure!(is_same, "the sum is {sum}, told is {}", self.sum);
        Ok(())
    }
}

/// Places that have a value: lengths of runs without and with one, in turn.
fn runs(bytes: &mut Bytes<'_>, places: usize) -> anyhow::Result<Vec<usize>> {
    let (mut held, mut place) = (Vec::new(), 0);
    for run in 0..bytes.length()? {
        let next = place + bytes.length()?;
        ensure!(next <= places, "a run ends behind the last of {places} places");
        if run % 2 == 1 {
            held.extend(place..next);
        }
        place = next;
    }
    Ok(held)
}
