//! How far one partition has come: what should arrive next, and what is accepted. Plain data.

/// Offsets of one assignment of a partition.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The offset that should arrive next; `None` while nothing arrived and the group had committed nothing.
    next: Option<i64>,
    /// Everything before it is accepted.
    position: Option<i64>,
    /// How often the offsets began anew. What came before the last time is delivered, and never committed: its offsets are
    /// of a log that is not there any more.
    lap: u32,
}

/// How an offset fits to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    InOrder,
    /// [`from`, `to`) did not come.
    Hole {
        from: i64,
        to: i64,
    },
    /// The log is another one than before: the topic was made anew, or its newest records were lost with a broker.
    Anew {
        expected: i64,
    },
}

impl Progress {
    /// `committed` is where the group goes on, if it has been here before.
    pub(crate) fn new(committed: Option<i64>) -> Progress {
        Progress { next: committed, position: committed, lap: 0 }
    }

    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    pub(crate) fn position(&self) -> Option<i64> {
        self.position
    }

    pub(crate) fn lap(&self) -> u32 {
        self.lap
    }

    pub(crate) fn received(&mut self, offset: i64) -> Arrival {
        let arrival = match self.next.replace(offset + 1) {
            Some(from) if offset > from => Arrival::Hole { from, to: offset },
            Some(expected) if offset < expected => Arrival::Anew { expected },
            _ => Arrival::InOrder,
        };
        if matches!(arrival, Arrival::Anew { .. }) {
            self.lap += 1;
            self.position = None;
        }
        self.position.get_or_insert(offset);
        arrival
    }

    /// Nothing before `start` will come. Only where all that came is accepted, and nothing came meanwhile.
    pub(crate) fn passed_over(&mut self, from: i64, start: i64) -> bool {
        let is_so = from < start && (self.next, self.position) == (Some(from), Some(from));
        if is_so {
            (self.next, self.position) = (Some(start), Some(start));
        }
        is_so
    }

    /// Everything up to and with `offset` of this lap is accepted; `false` when the lap is over.
    pub(crate) fn accepted(&mut self, lap: u32, offset: i64) -> bool {
        let is_current = lap == self.lap;
        if is_current {
            self.position = Some(offset + 1);
        }
        is_current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_offset_is_measured_by_what_was_committed() {
        for (committed, arrival) in [
            (None, Arrival::InOrder),
            (Some(7), Arrival::InOrder),
            (Some(6), Arrival::Hole { from: 6, to: 7 }),
            (Some(0), Arrival::Hole { from: 0, to: 7 }),
            (Some(8), Arrival::Anew { expected: 8 }),
        ] {
            assert_eq!(Progress::new(committed).received(7), arrival, "{committed:?}");
        }
    }

    #[test]
    fn a_hole_is_told_once_and_the_position_follows_what_is_accepted() {
        let mut progress = Progress::new(Some(3));
        assert_eq!(progress.received(3), Arrival::InOrder);
        assert_eq!(progress.received(9), Arrival::Hole { from: 4, to: 9 });
        assert_eq!(progress.received(10), Arrival::InOrder);
        assert_eq!((progress.next(), progress.position()), (Some(11), Some(3)));
        assert!(progress.accepted(0, 9));
        assert_eq!(progress.position(), Some(10));
    }

    #[test]
    fn what_is_gone_is_passed_over_where_nothing_is_on_its_way() {
        let mut progress = Progress::new(Some(3));
        assert!(!progress.passed_over(2, 9), "something came meanwhile");
        assert!(!progress.passed_over(3, 3), "nothing is gone");
        assert!(progress.passed_over(3, 9));
        assert_eq!((progress.next(), progress.position()), (Some(9), Some(9)));
        assert_eq!(progress.received(9), Arrival::InOrder);
        assert!(!progress.passed_over(10, 20), "one is not accepted yet");
        assert!(progress.accepted(0, 9) && progress.passed_over(10, 20));
        assert!(!Progress::new(None).passed_over(0, 9), "nobody knows where it began");
    }

    #[test]
    fn offsets_that_begin_anew_leave_the_old_ones_behind() {
        let mut progress = Progress::new(Some(100));
        assert_eq!(progress.received(100), Arrival::InOrder);
        assert_eq!(progress.received(0), Arrival::Anew { expected: 101 });
        assert_eq!((progress.lap(), progress.position()), (1, Some(0)));
        assert!(!progress.accepted(0, 100), "the old log's offsets are no news of the new one");
        assert_eq!(progress.position(), Some(0));
        assert!(progress.accepted(1, 0));
        assert_eq!((progress.next(), progress.position()), (Some(1), Some(1)));
    }
}
