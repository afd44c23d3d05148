//! Offsets that should have come and did not: whether their records are lost, and who has heard of it.
//!
//! A hole alone is no loss: transactions leave markers and compaction takes records. What stands before the log's start is.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wire_model::SkippedRecords;
use wire_model::limits::PARTITIONS;

/// Kept until the backend has confirmed to have heard of them.
#[derive(Default)]
pub(crate) struct Skipped(Mutex<Ranges>);

#[derive(Default)]
struct Ranges {
    /// Not judged yet.
    holes: Vec<SkippedRecords>,
    /// Lost, and not confirmed.
    lost: Vec<SkippedRecords>,
}

impl Skipped {
    pub(crate) fn suspect(&self, partition: i32, from_offset: i64, to_offset: i64) {
        keep(&mut self.lock().holes, SkippedRecords { partition, from_offset, to_offset });
    }

    /// Partitions whose log's start has to be known.
    pub(crate) fn suspected(&self) -> Vec<i32> {
        let partitions: BTreeSet<i32> = self.lock().holes.iter().map(|hole| hole.partition).collect();
        partitions.into_iter().collect()
    }

    /// Judges the holes of the partitions whose log's start is given.
    pub(crate) fn judge(&self, starts: &HashMap<i32, i64>) {
        let mut ranges = self.lock();
        for hole in std::mem::take(&mut ranges.holes) {
            let Some(start) = starts.get(&hole.partition) else {
                ranges.holes.push(hole);
                continue;
            };
            let to_offset = hole.to_offset.min(*start);
            if to_offset <= hole.from_offset {
                tracing::debug!(?hole, start, "a hole in the offsets is no loss");
                continue;
            }
            let count = to_offset - hole.from_offset;
            metrics::counter!("consumer_skipped_records_total").increment(count as u64);
            let SkippedRecords { partition, from_offset, .. } = hole;
            tracing::error!(
                partition,
                from_offset,
                to_offset,
                count,
                "records are lost: Kafka had deleted them before they were read (its retention is shorter than the lag was)"
            );
            keep(&mut ranges.lost, SkippedRecords { to_offset, ..hole });
        }
    }

    pub(crate) fn unconfirmed(&self) -> Vec<SkippedRecords> {
        self.lock().lost.clone()
    }

    pub(crate) fn confirmed(&self, heard: &[SkippedRecords]) {
        self.lock().lost.retain(|lost| !heard.contains(lost));
    }

    fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds one; where there are too many already, the oldest one goes, which the log keeps.
fn keep(ranges: &mut Vec<SkippedRecords>, range: SkippedRecords) {
    if ranges.len() >= PARTITIONS {
        ranges.remove(0);
        metrics::counter!("consumer_skipped_ranges_forgotten_total").increment(1);
    }
    ranges.push(range);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(partition: i32, from_offset: i64, to_offset: i64) -> SkippedRecords {
        SkippedRecords { partition, from_offset, to_offset }
    }

    #[test]
    fn only_what_stands_before_the_logs_start_is_lost() {
        for (start, lost) in [
            (0, None),
            (10, None),
            (11, Some((10, 11))),
            (15, Some((10, 15))),
            (20, Some((10, 20))),
            // the retention went on meanwhile
            (25, Some((10, 20))),
        ] {
            let skipped = Skipped::default();
            skipped.suspect(3, 10, 20);
            assert_eq!(skipped.suspected(), [3]);
            skipped.judge(&HashMap::from([(3, start)]));
            assert!(skipped.suspected().is_empty());
            let expected: Vec<_> = lost.map(|(from, to)| range(3, from, to)).into_iter().collect();
            assert_eq!(skipped.unconfirmed(), expected, "start {start}");
        }
    }

    #[test]
    fn a_hole_waits_for_its_verdict_and_a_loss_for_its_confirmation() {
        let skipped = Skipped::default();
        skipped.suspect(1, 0, 5);
        skipped.suspect(2, 0, 7);
        skipped.judge(&HashMap::from([(1, 5)]));
        assert_eq!((skipped.suspected(), skipped.unconfirmed()), (vec![2], vec![range(1, 0, 5)]));
        let heard = skipped.unconfirmed();
        skipped.judge(&HashMap::from([(2, 7)]));
        skipped.confirmed(&heard);
        assert_eq!(skipped.unconfirmed(), [range(2, 0, 7)]);
    }

    #[test]
    fn no_more_are_kept_than_a_status_may_have() {
        let skipped = Skipped::default();
        for number in 0..=PARTITIONS as i64 {
            skipped.suspect(0, number, number + 1);
        }
        skipped.judge(&HashMap::from([(0, i64::MAX)]));
        let kept = skipped.unconfirmed();
        assert_eq!((kept.len(), kept[0].from_offset), (PARTITIONS, 1));
    }
}
