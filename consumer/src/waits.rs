//! Since when records wait, told by what is seen at each look, where the records' own times cannot be right.
//!
//! A record's time is its producer's clock. What stood behind the end of the log at a look came after it, whatever its time says, and what stood
//! before the end and still waits came before.

use std::collections::HashMap;

use wire_model::PartitionStatus;

/// The end of each partition's log at a look of which not everything was known to be read, with the look's time in Unix ms.
#[derive(Default)]
pub(crate) struct Waits(HashMap<i32, (i64, i64)>);

impl Waits {
    /// Corrects what the status says, at a look of this time.
    pub(crate) fn correct(&mut self, partitions: &mut [PartitionStatus], now: i64) {
        for status in partitions.iter_mut() {
            let Some(end) = status.end_offset else { continue };
            let (seen_end, seen_at) = *self.0.entry(status.partition).or_insert((end, now));
            if status.position >= seen_end {
                status.waiting_since = status.waiting_since.map(|since| since.clamp(seen_at.min(now), now));
                self.0.insert(status.partition, (end, now));
            } else {
                // where nothing is held, what stands there may be no record
                status.waiting_since = status.waiting_since.map(|since| since.min(seen_at));
            }
        }
        // what another consumer reads meanwhile is not known
        self.0.retain(|number, _| partitions.iter().any(|status| status.partition == *number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_184_000_000;

    fn look(waits: &mut Waits, seconds: i64, position: i64, end: Option<i64>, since: Option<i64>) -> Option<i64> {
        let at = |seconds: i64| NOW + seconds * 1_000;
        let waiting_since = since.map(at);
        let mut partitions = [PartitionStatus { partition: 3, position, end_offset: end, waiting_since }];
        waits.correct(&mut partitions, at(seconds));
        partitions[0].waiting_since.map(|at| (at - NOW) / 1_000)
    }

    #[test]
    fn a_clock_that_is_behind_makes_nothing_wait() {
        let mut waits = Waits::default();
        assert_eq!(look(&mut waits, 0, 10, Some(10), None), None);
        assert_eq!(look(&mut waits, 5, 14, Some(15), Some(-3_600)), Some(0));
        assert_eq!(look(&mut waits, 10, 19, Some(20), Some(9)), Some(9));
        assert_eq!(look(&mut waits, 15, 25, Some(25), None), None);
    }

    #[test]
    fn a_clock_that_is_ahead_hides_no_wait() {
        let mut waits = Waits::default();
        assert_eq!(look(&mut waits, 0, 10, Some(20), Some(3_600)), Some(0));
        assert_eq!(look(&mut waits, 5, 12, Some(30), Some(3_600)), Some(0));
        assert_eq!(look(&mut waits, 10, 12, Some(40), None), None);
        assert_eq!(look(&mut waits, 15, 12, Some(50), Some(-60)), Some(-60));
        assert_eq!(look(&mut waits, 20, 20, Some(60), Some(3_600)), Some(20));
    }

    #[test]
    fn what_is_not_known_is_left_alone() {
        let mut waits = Waits::default();
        assert_eq!(look(&mut waits, 0, 10, None, Some(-3_600)), Some(-3_600));
        assert_eq!(look(&mut waits, 5, 10, Some(20), Some(-3_600)), Some(-3_600), "it may have waited before this consumer came");
        waits.correct(&mut [], NOW);
        assert!(waits.0.is_empty());
    }
}
