//! When a host reported in a sealed stretch, which reports those were, and what is kept of each beside its values.

use pco::wrapped::FileDecompressor;
use wire_model::ReportId;

use super::bytes::{Reader, Result, damaged, write_number};
use super::{PLACES_MAX, begin, open, vector};
use crate::history::report_state::ReportState;

/// The reports of a host in a sealed stretch, by their times, which rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::history) struct Axis(pub(in crate::history) Vec<Place>);

/// One report of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::history) struct Place {
    /// Time under which it is stored.
    pub(in crate::history) at: i64,
    /// Its name.
    pub(in crate::history) id: ReportId,
    /// What else is kept of it; `None` where it was sealed before that was.
    pub(in crate::history) state: Option<ReportState>,
}

impl Axis {
    /// As it stands in `stretches.data`.
    pub(in crate::history) fn encode(&self, start_at: i64) -> Vec<u8> {
        let mut out = begin();
        write_number(&mut out, self.0.len() as u64);
        let vectors: [fn(&Place) -> i64; 4] = [
            |place| place.at,
            |place| place.id.epoch.cast_signed(),
            |place| place.id.seq.cast_signed(),
            |place| place.state.map_or(0, ReportState::pack),
        ];
        for (number, of) in vectors.into_iter().enumerate() {
            let from = if number == 0 { start_at } else { 0 };
            vector::write_whole(&mut out, &self.0.iter().map(|place| of(place) - from).collect::<Vec<_>>());
        }
        out
    }

    /// From what [`encode`](Axis::encode) wrote.
    pub(in crate::history) fn decode(start_at: i64, bytes: &[u8]) -> Result<Axis> {
        let (mut reader, pco) = open(bytes)?;
        let times = read_times(&mut reader, &pco, start_at)?;
        let count = times.len();
        let epochs = vector::read_whole(&mut reader, &pco, count)?;
        let seqs = vector::read_whole(&mut reader, &pco, count)?;
        let states = read_states(&mut reader, &pco, count)?;
        let id = |epoch: i64, seq: i64| ReportId { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() };
        let places = times.into_iter().zip(epochs).zip(seqs).zip(states);
        Ok(Axis(places.map(|(((at, epoch), seq), state)| Place { at, id: id(epoch, seq), state }).collect()))
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

/// Stretches from before states were kept end without.
fn read_states(reader: &mut Reader<'_>, pco: &FileDecompressor, count: usize) -> Result<Vec<Option<ReportState>>> {
    if reader.0.is_empty() {
        return Ok(vec![None; count]);
    }
    let state = |packed| match packed {
        0 => Ok(None),
        packed => ReportState::unpack(packed).map(Some).ok_or_else(|| damaged(format!("{packed} is no state of a report"))),
    };
    vector::read_whole(reader, pco, count)?.into_iter().map(state).collect()
}
