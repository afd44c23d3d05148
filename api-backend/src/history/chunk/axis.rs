//! When a host reported in a sealed stretch, and which reports those were.

use pco::wrapped::FileDecompressor;
use wire_model::ReportId;

use super::bytes::{Reader, Result, write_number};
use super::{PLACES_MAX, begin, open, vector};

/// The reports of a host in a sealed stretch: the time of each and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::history) struct Axis(pub(in crate::history) Vec<(i64, ReportId)>);

impl Axis {
    /// As it stands in `stretches.data`; times rise.
    pub(in crate::history) fn encode(&self, start_at: i64) -> Vec<u8> {
        let mut out = begin();
        write_number(&mut out, self.0.len() as u64);
        vector::write_whole(&mut out, &self.0.iter().map(|(at, _)| at - start_at).collect::<Vec<_>>());
        vector::write_whole(&mut out, &self.0.iter().map(|(_, id)| id.epoch.cast_signed()).collect::<Vec<_>>());
        vector::write_whole(&mut out, &self.0.iter().map(|(_, id)| id.seq.cast_signed()).collect::<Vec<_>>());
        out
    }

    /// From what [`encode`](Axis::encode) wrote.
    pub(in crate::history) fn decode(start_at: i64, bytes: &[u8]) -> Result<Axis> {
        let (mut reader, pco) = open(bytes)?;
        let times = read_times(&mut reader, &pco, start_at)?;
        let count = times.len();
        let epochs = vector::read_whole(&mut reader, &pco, count)?;
        let seqs = vector::read_whole(&mut reader, &pco, count)?;
        let id = |epoch: i64, seq: i64| ReportId { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() };
        Ok(Axis(times.into_iter().zip(epochs).zip(seqs).map(|((at, epoch), seq)| (at, id(epoch, seq))).collect()))
    }

    /// The times alone, which is all that samples need.
    pub(in crate::history) fn times(start_at: i64, bytes: &[u8]) -> Result<Vec<i64>> {
        let (mut reader, pco) = open(bytes)?;
        read_times(&mut reader, &pco, start_at)
    }
}

fn read_times(reader: &mut Reader<'_>, pco: &FileDecompressor, start_at: i64) -> Result<Vec<i64>> {
    let count = reader.count(PLACES_MAX)?;
    let times = vector::read_whole(reader, pco, count)?;
    Ok(times.into_iter().map(|at| start_at.wrapping_add(at)).collect())
}
