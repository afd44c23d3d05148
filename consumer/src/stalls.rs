//! Whether a partition has stopped for no reason: Kafka has records for it, we would take them, and none comes. Plain data.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::assignment::Rejoin;
use crate::partition::Snapshot;

/// Between two replacements of the client there is at least twice the patience, and twice as much after each that did not help, up
/// to so many times: each interrupts the partitions that flow.
const DOUBLINGS: u32 = 4;
/// A partition that is not ours for so long has no trouble here any more; replacing the client takes less.
const AWAY: Duration = Duration::from_secs(60);

pub(crate) struct Stalls {
    /// How long a partition may get nothing although there is something.
    patience: Duration,
    partitions: HashMap<i32, Reading>,
    /// When any partition was read further.
    moved_at: Option<Instant>,
    /// How often a new client was wished for since the first partition stopped, and when the next one may be.
    wishes: u32,
    not_before: Option<Instant>,
}

struct Reading {
    seen_at: Instant,
    /// Everything before it has been read.
    read: i64,
    /// Since when there is something, and nothing comes.
    waiting_since: Option<Instant>,
    /// Where it stopped; it is not over until the partition is past that, with whatever client.
    stopped_at: Option<i64>,
}

impl Stalls {
    pub(crate) fn new(patience: Duration) -> Stalls {
        Stalls { patience, partitions: HashMap::new(), moved_at: None, wishes: 0, not_before: None }
    }

    /// Whether a new client should try it. `starts` and `ends` are what the brokers have just said: without an answer nobody is to
    /// blame here, and the waiting begins anew.
    pub(crate) fn look(
        &mut self,
        snapshots: &[Snapshot],
        starts: &HashMap<i32, i64>,
        ends: &HashMap<i32, i64>,
        now: Instant,
    ) -> Option<Rejoin> {
        let mut has_stopped = false;
        for snapshot in snapshots {
            let start = starts.get(&snapshot.number).copied();
            let Some(read) = snapshot.next.or(start).map(|next| next.max(snapshot.fetched)) else { continue };
            let end = ends.get(&snapshot.number).copied();
            let reading = self.partitions.entry(snapshot.number).or_insert(Reading {
                seen_at: now,
                read,
                waiting_since: None,
                stopped_at: None,
            });
            if read > reading.read {
                self.moved_at = Some(now);
            }
            let since = reading.waiting_since.filter(|_| read == reading.read).unwrap_or(now);
            let waits = !snapshot.paused && end.is_some_and(|end| read < end);
            (reading.seen_at, reading.read, reading.waiting_since) = (now, read, waits.then_some(since));
            if waits && now.duration_since(since) >= self.patience {
                reading.stopped_at = Some(read);
                has_stopped = true;
            } else if reading.stopped_at.is_some_and(|at| read > at) || end.is_some_and(|end| read >= end) {
                reading.stopped_at = None;
            }
        }
        self.partitions.retain(|_, reading| now.duration_since(reading.seen_at) < AWAY);
        if self.stopped().is_empty() {
            (self.wishes, self.not_before) = (0, None);
        }
        if !has_stopped || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        self.not_before = Some(now + self.patience * 2 * 2_u32.pow(self.wishes.min(DOUBLINGS)));
        self.wishes += 1;
        let others_flow = self.moved_at.is_some_and(|at| now.duration_since(at) < self.patience);
        Some(if others_flow { Rejoin::PartlyStalled } else { Rejoin::Stalled })
    }

    /// The partitions that have stopped and are not read further yet.
    pub(crate) fn stopped(&self) -> Vec<i32> {
        let stopped = self.partitions.iter().filter(|(_, reading)| reading.stopped_at.is_some());
        let mut stopped: Vec<i32> = stopped.map(|(number, _)| *number).collect();
        stopped.sort_unstable();
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const EARLY: Duration = PATIENCE.saturating_sub(Duration::from_millis(1));
    const NONE: [i32; 0] = [];

    fn snapshot(number: i32, next: Option<i64>, fetched: i64, paused: bool) -> Snapshot {
        Snapshot { number, position: Some(0), next, fetched, leader: 1, waiting_since: None, paused }
    }

    fn at(number: i32, next: i64) -> Snapshot {
        snapshot(number, Some(next), 0, false)
    }

    /// With all ends at 9 and all starts at 0.
    fn look(stalls: &mut Stalls, snapshots: &[Snapshot], now: Instant) -> Option<Rejoin> {
        let all = |offset| snapshots.iter().map(|snapshot| (snapshot.number, offset)).collect();
        stalls.look(snapshots, &all(0), &all(9), now)
    }

    /// What is found `later`, when the partition was at 5 of 9 at first.
    fn found(later: Snapshot, end_later: Option<i64>, after: Duration) -> Vec<i32> {
        let (mut stalls, now) = (Stalls::new(PATIENCE), Instant::now());
        let (starts, ends) = (HashMap::new(), |end: Option<i64>| end.map(|end| (1, end)).into_iter().collect());
        assert_eq!(stalls.look(&[at(1, 5)], &starts, &ends(Some(9)), now), None);
        let wish = stalls.look(&[later], &starts, &ends(end_later), now + after);
        assert_eq!(wish.is_some(), !stalls.stopped().is_empty());
        stalls.stopped()
    }

    #[test]
    fn a_partition_that_gets_nothing_of_what_there_is_has_stopped() {
        assert_eq!(found(at(1, 5), Some(9), PATIENCE), [1]);
        assert_eq!(found(at(1, 5), Some(12), PATIENCE), [1], "more has come");
        assert_eq!(found(snapshot(1, Some(5), 5, false), Some(9), PATIENCE), [1], "librdkafka has not got further");
    }

    #[test]
    fn one_that_moves_or_is_paused_or_has_read_all_or_of_which_nothing_is_known_has_not() {
        assert_eq!(found(at(1, 5), Some(9), EARLY), NONE);
        assert_eq!(found(at(1, 6), Some(9), PATIENCE), NONE, "it moves");
        assert_eq!(found(snapshot(1, Some(5), 0, true), Some(9), PATIENCE), NONE, "it is paused");
        assert_eq!(found(at(1, 5), Some(5), PATIENCE), NONE, "there is nothing, as after a topic was made anew");
        assert_eq!(found(at(1, 5), None, PATIENCE), NONE, "the brokers do not answer");
        assert_eq!(found(snapshot(1, Some(5), 9, false), Some(9), PATIENCE), NONE, "the rest are markers of transactions");
    }

    #[test]
    fn a_record_behind_a_marker_is_waited_for_from_its_coming() {
        let (mut stalls, now) = (Stalls::new(PATIENCE), Instant::now());
        let read = [snapshot(1, Some(8), 9, false)];
        assert_eq!(look(&mut stalls, &read, now), None);
        let more = HashMap::from([(1, 10)]);
        assert_eq!(stalls.look(&read, &HashMap::new(), &more, now + PATIENCE), None);
        assert_eq!(stalls.look(&read, &HashMap::new(), &more, now + PATIENCE * 2), Some(Rejoin::Stalled));
    }

    #[test]
    fn one_of_which_nothing_came_yet_waits_at_its_logs_start() {
        let (mut stalls, now) = (Stalls::new(PATIENCE), Instant::now());
        let new = [snapshot(1, None, 0, false)];
        look(&mut stalls, &new, now);
        assert_eq!(look(&mut stalls, &new, now + PATIENCE), Some(Rejoin::Stalled));
        assert_eq!(stalls.stopped(), [1]);
    }

    #[test]
    fn the_waiting_begins_anew_after_a_pause_and_after_silence_of_the_brokers() {
        let (starts, ends) = (HashMap::new(), HashMap::from([(1, 9)]));
        for (between, ends_between) in [(snapshot(1, Some(5), 0, true), ends.clone()), (at(1, 5), HashMap::new())] {
            let (mut stalls, now) = (Stalls::new(PATIENCE), Instant::now());
            stalls.look(&[at(1, 5)], &starts, &ends, now);
            stalls.look(&[between], &starts, &ends_between, now + PATIENCE / 2);
            assert_eq!(stalls.look(&[at(1, 5)], &starts, &ends, now + PATIENCE), None);
            assert_eq!(stalls.look(&[at(1, 5)], &starts, &ends, now + PATIENCE * 2), Some(Rejoin::Stalled));
        }
    }

    #[test]
    fn one_stalls_alone_while_another_moves() {
        let (mut stalls, now) = (Stalls::new(PATIENCE), Instant::now());
        look(&mut stalls, &[at(1, 5), at(2, 5)], now);
        look(&mut stalls, &[at(1, 5), at(2, 9)], now + PATIENCE / 2);
        // the other one has read all there is
        assert_eq!(look(&mut stalls, &[at(1, 5), at(2, 9)], now + PATIENCE), Some(Rejoin::PartlyStalled));
        assert_eq!(look(&mut stalls, &[at(1, 5), at(2, 9)], now + PATIENCE * 3), Some(Rejoin::Stalled));
    }

    #[test]
    fn it_is_tried_less_and_less_often_until_the_partition_is_past_where_it_stopped() {
        let (mut stalls, start) = (Stalls::new(PATIENCE), Instant::now());
        let mut wished = Vec::new();
        for second in 0..=3_600 {
            // each wish brings a new client, which begins at what is committed
            let is_new = wished.last().is_some_and(|last| second - last == 3);
            let next = if is_new { 4 } else { 5 };
            if look(&mut stalls, &[at(1, next)], start + Duration::from_secs(second)).is_some() {
                wished.push(second);
            }
            assert_eq!(stalls.stopped(), if second < 30 { &[][..] } else { &[1] }, "after {second} s");
        }
        assert_eq!(wished, [30, 90, 210, 450, 930, 1_890, 2_850]);
        let now = start + Duration::from_secs(3_601);
        assert_eq!(look(&mut stalls, &[at(1, 6)], now), None);
        assert_eq!(stalls.stopped(), NONE);
        look(&mut stalls, &[at(1, 6)], now + PATIENCE);
        assert_eq!(stalls.stopped(), [1], "and again");
        look(&mut stalls, &[], now + PATIENCE + AWAY);
        assert_eq!(stalls.stopped(), NONE, "it is not ours any more");
    }
}
