//! Writes a part: the heads of its columns, then their data.

use super::bytes::{write_float, write_number, write_signed, write_text};
use super::{Column, EXACT, Head, Points, Summary, begin, flag, names, vector};

/// A part that is being written.
#[derive(Default)]
pub(super) struct NewPart {
    columns: u64,
    device: Option<String>,
    heads: Vec<u8>,
    data: Vec<u8>,
}

impl NewPart {
    /// Whether it has no column yet.
    pub(super) fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// How long it is so far.
    pub(super) fn bytes(&self) -> usize {
        self.heads.len() + self.data.len()
    }

    /// Adds a column of a stretch of `length` places.
    pub(super) fn add(&mut self, length: usize, column: &Column) {
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
            Points::Nulls => flags |= flag::NULLS,
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
        if flags & flag::NULLS != 0 {
            // there is nothing to sum up
        } else if is_whole {
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

    /// The whole part.
    pub(super) fn finish(self, length: usize) -> Vec<u8> {
        let mut out = begin();
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
