//! Whether a partition has stopped for no reason: Kafka has records for it, we would take them, and none comes. Plain data.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::partition::Snapshot;

/// How long a partition may get nothing although there is something. Long enough for a new leader, a new connection and a slow
/// first fetch; short enough for a new client to be at work within a minute.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// What each partition waits for, and since when.
#[derive(Default)]
pub(crate) struct Stalls(HashMap<i32, (i64, Instant)>);

impl Stalls {
    /// The partitions that have stopped. `ends` is what the brokers have just said: without an answer nobody is to blame here, and
    /// the waiting begins anew.
    pub(crate) fn look(&mut self, snapshots: &[Snapshot], ends: &HashMap<i32, i64>, now: Instant) -> Vec<i32> {
        let mut waiting = HashMap::new();
        for snapshot in snapshots.iter().filter(|snapshot| !snapshot.paused) {
            let next = snapshot.next.or(snapshot.position);
            let (Some(next), Some(end)) = (next, ends.get(&snapshot.number)) else { continue };
            if next < *end {
                let before = self.0.get(&snapshot.number).filter(|(before, _)| *before == next);
                waiting.insert(snapshot.number, before.copied().unwrap_or((next, now)));
            }
        }
        self.0 = waiting;
        let mut stopped: Vec<i32> =
            self.0.iter().filter(|(_, (_, since))| now.duration_since(*since) >= STALL).map(|(number, _)| *number).collect();
        stopped.sort_unstable();
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Duration = STALL.saturating_sub(Duration::from_millis(1));
    const NONE: [i32; 0] = [];

    fn snapshot(number: i32, next: i64, paused: bool) -> Snapshot {
        Snapshot { number, position: Some(0), next: Some(next), waiting_since: None, paused }
    }

    /// What is found `later`, when the partition was at 5 of 9 at first.
    fn found(snapshot_later: Snapshot, end_later: Option<i64>, later: Duration) -> Vec<i32> {
        let (mut stalls, now) = (Stalls::default(), Instant::now());
        let ends = |end: Option<i64>| end.map(|end| (1, end)).into_iter().collect();
        assert_eq!(stalls.look(&[snapshot(1, 5, false)], &ends(Some(9)), now), NONE);
        stalls.look(&[snapshot_later], &ends(end_later), now + later)
    }

    #[test]
    fn a_partition_that_gets_nothing_of_what_there_is_has_stopped() {
        assert_eq!(found(snapshot(1, 5, false), Some(9), STALL), [1]);
        assert_eq!(found(snapshot(1, 5, false), Some(12), STALL), [1], "more has come");
    }

    #[test]
    fn one_that_moves_or_is_paused_or_has_read_all_or_of_which_nothing_is_known_has_not() {
        assert_eq!(found(snapshot(1, 5, false), Some(9), EARLY), NONE);
        assert_eq!(found(snapshot(1, 6, false), Some(9), STALL), NONE, "it moves");
        assert_eq!(found(snapshot(1, 5, true), Some(9), STALL), NONE, "it is paused");
        assert_eq!(found(snapshot(1, 5, false), Some(5), STALL), NONE, "there is nothing, as after a topic was made anew");
        assert_eq!(found(snapshot(1, 5, false), None, STALL), NONE, "the brokers do not answer");
    }

    #[test]
    fn the_waiting_begins_anew_after_a_pause_and_after_silence_of_the_brokers() {
        let ends = HashMap::from([(1, 9)]);
        for (between, ends_between) in [(snapshot(1, 5, true), ends.clone()), (snapshot(1, 5, false), HashMap::new())] {
            let (mut stalls, now) = (Stalls::default(), Instant::now());
            stalls.look(&[snapshot(1, 5, false)], &ends, now);
            stalls.look(&[between], &ends_between, now + STALL / 2);
            assert_eq!(stalls.look(&[snapshot(1, 5, false)], &ends, now + STALL), NONE);
            assert_eq!(stalls.look(&[snapshot(1, 5, false)], &ends, now + STALL * 2), [1]);
        }
    }
}
