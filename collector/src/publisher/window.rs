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
}

struct Report {
    since: Instant,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Delivered,
    /// Kafka will never take it; the next report tells.
    Refused,
    Failed,
}

impl Window {
    pub(crate) fn ticket(&self) -> usize {
        self.next_ticket
    }

    /// The report with [`Window::ticket`] is on its way.
    pub(crate) fn add(&mut self, bytes: usize, now: Instant) {
        self.push(bytes, now, State::InFlight);
    }

    fn push(&mut self, bytes: usize, now: Instant, state: State) {
        self.reports.push_back(Report { since: now, bytes, state });
        self.next_ticket += 1;
    }

    pub(crate) fn delivered(&mut self, ticket: usize) {
        self.set(ticket, State::Delivered);
    }

    pub(crate) fn failed(&mut self, ticket: usize) {
        self.set(ticket, State::Failed);
    }

    pub(crate) fn refused(&mut self, ticket: usize) {
        self.set(ticket, State::Refused);
    }

    fn set(&mut self, ticket: usize, state: State) {
        // tickets of before a `clear` are not known any more
        let index = ticket.checked_sub(self.first_ticket);
        if let Some(report) = index.and_then(|index| self.reports.get_mut(index)) {
            report.state = state;
        }
    }

    /// Takes out the reports that need not be kept: all up to the last delivered one before any that is not; how many.
    pub(crate) fn done(&mut self) -> usize {
        let settled = self.reports.iter().take_while(|report| matches!(report.state, State::Delivered | State::Refused));
        let states: Vec<State> = settled.map(|report| report.state).collect();
        let done = states.iter().rposition(|state| *state == State::Delivered).map_or(0, |last| last + 1);
        self.reports.drain(..done);
        self.first_ticket += done;
        done
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
        self.first_ticket = self.next_ticket;
    }
}

/// What was refused and not told yet.
pub(crate) fn plus_refused(untold: Removed, own: Removed) -> Removed {
    untold.plus(own).plus(Removed { dropped: 1, ..Removed::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(count: usize) -> Window {
        let mut window = Window::default();
        (0..count).for_each(|_| window.add(1, Instant::now()));
        window
    }

    #[test]
    fn reports_are_done_in_order_and_refused_ones_with_their_successor() {
        let mut window = full(5);
        window.delivered(1);
        assert_eq!(window.done(), 0, "the first is on its way");
        window.refused(0);
        assert_eq!(window.done(), 2);
        window.refused(2);
        assert_eq!(window.done(), 0, "nobody has told of it");
        window.delivered(3);
        window.failed(4);
        assert_eq!((window.done(), window.is_idle()), (2, true));
        window.clear();
        window.delivered(4);
        window.add(1, Instant::now());
        assert_eq!((window.ticket(), window.done(), window.is_idle()), (6, 0, false));
    }

    #[test]
    fn messages_and_bytes_are_bounded() {
        for (count, has_room) in [(MESSAGES - 1, true), (MESSAGES, false)] {
            assert_eq!(full(count).has_room(), has_room);
        }
        for (bytes, has_room) in [(BYTES - 1, true), (BYTES, false)] {
            let mut window = Window::default();
            window.add(bytes, Instant::now());
            assert_eq!(window.has_room(), has_room);
        }
    }
}
