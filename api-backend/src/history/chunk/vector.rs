//! A row of numbers of known length, in the shortest of a few forms.

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use super::bytes::{Reader, Result, damaged, write_float, write_number, write_signed};

/// All numbers are this whole one.
const SAME: u8 = 0;
/// Whole numbers by their differences, one after the other: for a few, where pco's head would be longer than they are.
const FEW: u8 = 1;
/// Whole numbers, compressed.
const WHOLE: u8 = 2;
/// All numbers are this one.
const SAME_FLOAT: u8 = 3;
/// Any numbers, compressed.
const FLOATS: u8 = 4;

/// Up to so many numbers are written as [`FEW`].
const FEW_MAX: usize = 16;
/// Whole numbers beyond it are written as floats, so that sums and differences of whole ones cannot overflow.
pub(super) const WHOLE_MAX: f64 = 549_755_813_888.0;
/// Half of pco's default: 5 times as fast where its way is given, and no longer.
const LEVEL: usize = 4;

/// The head of what pco writes, which tells its version.
pub(super) fn write_head(out: &mut Vec<u8>) {
    FileCompressor::default().write_header(out).expect("pco writes to memory");
}

/// Reads it; what comes behind it is not touched.
pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<FileDecompressor> {
    let (decompressor, rest) = FileDecompressor::new(reader.0).map_err(damaged)?;
    reader.0 = rest;
    Ok(decompressor)
}

/// Writes numbers as whole ones if they are.
#[expect(clippy::cast_possible_truncation, reason = "whole and within WHOLE_MAX")]
pub(super) fn write(out: &mut Vec<u8>, numbers: &[f64]) {
    if numbers.iter().all(|number| number.fract() == 0.0 && number.abs() <= WHOLE_MAX) {
        let whole: Vec<i64> = numbers.iter().map(|number| *number as i64).collect();
        return write_whole(out, &whole);
    }
    let first = numbers[0];
    if numbers.iter().all(|number| number.to_bits() == first.to_bits()) {
        out.push(SAME_FLOAT);
        write_float(out, first);
        return;
    }
    out.push(FLOATS);
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    compress(out, |bytes| {
        let mut chunk = FileCompressor::default().chunk_compressor(numbers, &config)?;
        chunk.write_meta(&mut *bytes)?;
        chunk.write_page(0, bytes).map(|_| ())
    });
}

/// Writes whole numbers.
pub(super) fn write_whole(out: &mut Vec<u8>, numbers: &[i64]) {
    let Some(first) = numbers.first() else { return };
    if numbers.iter().all(|number| number == first) {
        out.push(SAME);
        write_signed(out, *first);
    } else if numbers.len() <= FEW_MAX {
        out.push(FEW);
        let mut before = 0i64;
        for number in numbers {
            write_signed(out, number.wrapping_sub(before));
            before = *number;
        }
    } else {
        out.push(WHOLE);
        let config = ChunkConfig::default().with_compression_level(LEVEL).with_mode_spec(ModeSpec::Classic);
        let config = config.with_delta_spec(if moves_on(numbers) { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp });
        compress(out, |bytes| {
            let mut chunk = FileCompressor::default().chunk_compressor(numbers, &config)?;
            chunk.write_meta(&mut *bytes)?;
            chunk.write_page(0, bytes).map(|_| ())
        });
    }
}

fn compress(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> pco::errors::PcoResult<()>) {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("pco takes any numbers and writes to memory");
    write_number(out, bytes.len() as u64);
    out.append(&mut bytes);
}

/// Whether differences need fewer bits than distances from the middle. pco's own search costs five times as much and finds the same.
fn moves_on(numbers: &[i64]) -> bool {
    let mut sorted = numbers.to_vec();
    let (_, middle, _) = sorted.select_nth_unstable(numbers.len() / 2);
    let bits = |one: i64, other: i64| u64::BITS - one.abs_diff(other).leading_zeros();
    let around: u32 = numbers.iter().map(|number| bits(*number, *middle)).sum();
    let between: u32 = numbers.windows(2).map(|pair| bits(pair[0], pair[1])).sum();
    between < around
}

/// Reads `count` numbers.
pub(super) fn read(reader: &mut Reader<'_>, pco: &FileDecompressor, count: usize) -> Result<Vec<f64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match reader.0.first() {
        Some(&SAME_FLOAT) => {
            reader.byte()?;
            Ok(vec![reader.float()?; count])
        }
        Some(&FLOATS) => {
            reader.byte()?;
            decompress(reader, pco, count)
        }
        _ => Ok(read_whole(reader, pco, count)?.into_iter().map(|number| number as f64).collect()),
    }
}

/// Reads `count` whole numbers.
pub(super) fn read_whole(reader: &mut Reader<'_>, pco: &FileDecompressor, count: usize) -> Result<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match reader.byte()? {
        SAME => Ok(vec![reader.signed()?; count]),
        FEW => {
            let mut before = 0i64;
            let mut next = || {
                before = before.wrapping_add(reader.signed()?);
                Ok(before)
            };
            (0..count).map(|_| next()).collect()
        }
        WHOLE => decompress(reader, pco, count),
        form => Err(damaged(format!("{form} is no form of whole numbers"))),
    }
}

fn decompress<T: pco::data_types::Number>(reader: &mut Reader<'_>, pco: &FileDecompressor, count: usize) -> Result<Vec<T>> {
    let length = reader.count(reader.0.len())?;
    let bytes = reader.take(length)?;
    let (mut chunk, page) = pco.chunk_decompressor::<T, _>(bytes).map_err(damaged)?;
    let mut page = chunk.page_decompressor(page, count).map_err(damaged)?;
    let mut numbers = vec![T::default(); count];
    let mut done = 0;
    while done < count {
        let progress = page.read(&mut numbers[done..]).map_err(damaged)?;
        done += progress.n_processed;
        if progress.finished || progress.n_processed == 0 {
            break;
        }
    }
    if done < count { Err(damaged("numbers are missing")) } else { Ok(numbers) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(numbers: &[f64]) -> usize {
        let mut out = Vec::new();
        write_head(&mut out);
        let head = out.len();
        write(&mut out, numbers);
        let mut reader = Reader(&out);
        let pco = read_head(&mut reader).unwrap();
        let read = read(&mut reader, &pco, numbers.len()).unwrap();
        assert!(reader.0.is_empty());
        assert_eq!(
            read.iter().map(|number| number.to_bits()).collect::<Vec<_>>(),
            numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>()
        );
        out.len() - head
    }

    #[test]
    fn what_hardly_changes_takes_hardly_anything() {
        assert_eq!(round_trip(&[]), 0);
        assert_eq!(round_trip(&[7.0; 450]), 2);
        assert_eq!(round_trip(&[0.5; 450]), 9);
        let clock: Vec<f64> = (0..450).map(|number| f64::from(number) * 2_000.0).collect();
        assert!(round_trip(&clock) < 30, "{}", round_trip(&clock));
    }

    #[test]
    fn each_form_at_its_edge() {
        for count in [FEW_MAX - 1, FEW_MAX, FEW_MAX + 1] {
            round_trip(&(0..count).map(|number| number as f64 * 3.0).collect::<Vec<_>>());
        }
        for largest in [WHOLE_MAX - 1.0, WHOLE_MAX, WHOLE_MAX + 1.0, f64::MAX] {
            round_trip(&[0.0, largest, -largest]);
            round_trip(&[[0.0, largest]; 20].concat());
        }
        let mut out = Vec::new();
        write_head(&mut out);
        write_whole(&mut out, &[i64::MIN, i64::MAX, 0]);
        write_whole(&mut out, &[[i64::MIN, i64::MAX]; 20].concat());
        let mut reader = Reader(&out);
        let pco = read_head(&mut reader).unwrap();
        assert_eq!(read_whole(&mut reader, &pco, 3).unwrap(), [i64::MIN, i64::MAX, 0]);
        assert_eq!(read_whole(&mut reader, &pco, 40).unwrap(), [[i64::MIN, i64::MAX]; 20].concat());
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(
            whole in prop::collection::vec(-1_000_000i32..1_000_000, 1..200),
            floats in prop::collection::vec(prop::num::f64::NORMAL, 1..200),
        ) {
            round_trip(&whole.iter().map(|number| f64::from(*number)).collect::<Vec<_>>());
            round_trip(&floats);
        }
    }
}
