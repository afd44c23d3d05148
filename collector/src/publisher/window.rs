//! The reports that were handed to the Kafka client and are not acknowledged in the spool, in their order.

use std::collections::VecDeque;
use std::time::Instant;

use wire_model::Removed;

/// Handed over at the same time: what a long line holds, and all that leaves at once, unbraked, when Kafka is back.
const MESSAGES: usize = 16;
/// Bytes of them together; one report more than this may be on its way.
const BYTES: usize = 2 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Window {
    reports: VecDeque<Report>,
    next_ticket: usize,
    /// Of the front report.
    first_ticket: usize,
    /// What the next report has to tell of refused ones.
    untold: Removed,
    /// The same as it was behind the last report that is done.
    untold_before: Removed,
    /// Refused and done, since the start.
    lost: u64,
}

struct Report {
    since: Instant,
    bytes: usize,
    told: Removed,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Delivered,
    /// Kafka will never take it; the next one that is sent tells.
    Refused,
    Failed,
}

impl Window {
    pub(crate) fn ticket(&self) -> usize {
        self.next_ticket
    }

    /// What a report tells that is sent next.
    pub(crate) fn tells(&self, own: Removed) -> Removed {
        self.untold.plus(own)
    }

    /// The report with [`Window::ticket`] is on its way.
    pub(crate) fn add(&mut self, bytes: usize, own: Removed, now: Instant) {
        let told = self.tells(own);
        self.untold = Removed::default();
        self.reports.push_back(Report { since: now, bytes, told, state: State::InFlight });
        self.next_ticket += 1;
    }

    pub(crate) fn delivered(&mut self, ticket: usize) {
        self.set(ticket, State::Delivered);
    }

    pub(crate) fn failed(&mut self, ticket: usize) {
        self.set(ticket, State::Failed);
    }

    pub(crate) fn refused(&mut self, ticket: usize) {
        if let Some(told) = self.set(ticket, State::Refused) {
            self.untold = self.untold.plus(with_itself(told));
        }
    }

    /// Returns what the report told.
    fn set(&mut self, ticket: usize, state: State) -> Option<Removed> {
        // tickets of before a `clear` are not known any more
        let report = self.reports.get_mut(ticket.checked_sub(self.first_ticket)?)?;
        report.state = state;
        Some(report.told)
    }

    /// Takes out the reports that need not be kept: all before the first one that is neither delivered nor refused; how many.
    ///
    /// A refused one does not wait for one that tells of it: where a topic takes none at all, the spool would fill with them. A restart
    /// forgets what is not told; the gap in the numbers remains.
    pub(crate) fn done(&mut self) -> usize {
        let mut done = 0;
        while let Some(report) = self.reports.front() {
            self.untold_before = match report.state {
                State::Delivered => Removed::default(),
                State::Refused => with_itself(report.told),
                State::InFlight | State::Failed => break,
            };
            self.lost += u64::from(report.state == State::Refused);
            self.reports.pop_front();
            done += 1;
        }
        self.first_ticket += done;
        done
    }

    /// Reports that Kafka refused, since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    fn in_flight(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| report.state == State::InFlight)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight().next().is_none()
    }

    /// Since when the oldest one has been on its way.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.in_flight().map(|report| report.since).next()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight().count() < MESSAGES && self.in_flight().map(|report| report.bytes).sum::<usize>() < BYTES
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.reports.clear();
        self.untold = self.untold_before;
        self.first_ticket = self.next_ticket;
    }
}

/// What is to be told of a refused report.
fn with_itself(told: Removed) -> Removed {
    told.plus(Removed { dropped: 1, ..Removed::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Removed = Removed { thinned: 0, dropped: 0, damaged: 0 };

    fn dropped(dropped: u64) -> Removed {
        Removed { dropped, ..NONE }
    }

    fn full(count: usize) -> Window {
        let mut window = Window::default();
        (0..count).for_each(|_| window.add(1, NONE, Instant::now()));
        window
    }

    #[test]
    fn reports_are_done_in_order() {
        let mut window = full(5);
        window.delivered(1);
        assert_eq!(window.done(), 0, "the first is on its way");
        window.refused(0);
        assert_eq!(window.done(), 2);
        window.delivered(3);
        assert_eq!(window.done(), 0);
        window.delivered(2);
        window.failed(4);
        assert_eq!((window.done(), window.is_idle(), window.lost()), (2, true, 1));
        window.clear();
        window.delivered(4);
        window.add(1, NONE, Instant::now());
        assert_eq!((window.ticket(), window.done(), window.is_idle()), (6, 0, false));
    }

    #[test]
    fn where_all_are_refused_they_are_done_and_told_by_the_first_that_is_taken() {
        let mut window = Window::default();
        for ticket in 0..100 {
            assert_eq!(window.tells(NONE), dropped(ticket as u64));
            window.add(1, NONE, Instant::now());
            window.refused(ticket);
            assert_eq!(window.done(), 1);
        }
        for _ in 0..2 {
            assert_eq!(window.tells(dropped(2)), dropped(102));
            window.add(1, dropped(2), Instant::now());
            assert_eq!(window.tells(NONE), NONE, "told once");
            // it does not arrive, and is sent again
            window.clear();
        }
        window.add(1, NONE, Instant::now());
        window.delivered(window.ticket() - 1);
        assert_eq!((window.done(), window.tells(NONE), window.lost()), (1, NONE, 100));
        window.clear();
        assert_eq!(window.tells(NONE), NONE);
    }

    #[test]
    fn what_is_refused_behind_one_that_is_on_its_way_is_told_by_the_next_one_and_by_no_other() {
        let mut window = full(2);
        window.refused(1);
        window.delivered(0);
        assert_eq!((window.tells(NONE), window.done()), (dropped(1), 2), "an older one that arrives does not know of it");
        window.add(1, NONE, Instant::now());
        assert_eq!(window.tells(NONE), NONE);
        window.clear();
        assert_eq!(window.tells(NONE), dropped(1));
        let mut window = full(2);
        window.refused(1);
        window.clear();
        assert_eq!((window.tells(NONE), window.lost()), (NONE, 0), "it is read and refused again");
    }

    #[test]
    fn messages_and_bytes_are_bounded() {
        for (count, has_room) in [(MESSAGES - 1, true), (MESSAGES, false)] {
            assert_eq!(full(count).has_room(), has_room);
        }
        for (bytes, has_room) in [(BYTES - 1, true), (BYTES, false)] {
            let mut window = Window::default();
            window.add(bytes, NONE, Instant::now());
            assert_eq!(window.has_room(), has_room);
        }
    }
}
