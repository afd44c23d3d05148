//! The arithmetic of the ledger against a naive model: random fates of reports, arriving in any order, once or more, in any batches.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::collections::{BTreeMap, BTreeSet};

use api_backend::ledger::{Account, Arrival, Counts, Gap, HOUR_MS, Outcome, SEQ_JUMP_MAX};
use proptest::prelude::*;
use wire_model::{Removed, ReportId};

const START: i64 = 1_795_183_200_000;

/// What happens to a report on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Arrives,
    IsRejected,
    IsThinned,
    IsDropped,
    IsDamaged,
    IsLost,
}
use Fate::{Arrives, IsDamaged, IsDropped, IsLost, IsRejected, IsThinned};

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Arrives), 1 => Just(IsRejected), 2 => Just(IsThinned), 1 => Just(IsDropped), 1 => Just(IsDamaged), 2 => Just(IsLost),
    ]
}

/// Epochs of reports; in each at least one arrives, or nobody could know how long it was.
fn epochs(most: usize) -> impl Strategy<Value = Vec<Vec<Fate>>> {
    let epoch = prop::collection::vec(fate(), 1..25).prop_map(|mut fates| {
        if !fates.contains(&Arrives) {
            *fates.last_mut().unwrap() = Arrives;
        }
        fates
    });
    prop::collection::vec(epoch, 1..=most)
}

/// The arrivals in order, and what the ledger must come to.
fn play(epochs: &[Vec<Fate>], step_ms: i64) -> (Vec<Arrival>, Counts) {
    let (mut arrivals, mut truth) = (Vec::new(), Counts::default());
    let (mut removed, mut unexplained, mut previous, mut at) = (Removed::default(), 0, None, START);
    for (index, fates) in epochs.iter().enumerate() {
        let epoch = index as u64 + 1;
        for (index, fate) in fates.iter().enumerate() {
            at += step_ms;
            match fate {
                IsThinned => removed.thinned += 1,
                IsDropped => removed.dropped += 1,
                IsDamaged => removed.damaged += 1,
                // what it would have said of those before it is lost, too
                IsLost => {
                    unexplained += 1 + removed.total();
                    removed = Removed::default();
                }
                Arrives | IsRejected => {
                    let outcome = if *fate == Arrives { Outcome::Stored } else { Outcome::Rejected };
                    if outcome == Outcome::Stored {
                        truth.stored += 1;
                    } else {
                        truth.rejected += 1;
                    }
                    truth.thinned += removed.thinned as i64;
                    truth.dropped += removed.dropped as i64;
                    truth.damaged += removed.damaged as i64;
                    // before the first one nobody knows of more
                    if !arrivals.is_empty() {
                        truth.lost += unexplained as i64;
                    }
                    arrivals.push(Arrival { id: ReportId { epoch, seq: index as u64 + 1 }, at, previous, removed, outcome });
                    (removed, unexplained) = (Removed::default(), 0);
                }
            }
        }
        previous = Some(ReportId { epoch, seq: fates.len() as u64 });
    }
    (arrivals, truth)
}

/// A host's rows, and a backend that takes batches.
#[derive(Clone, Default)]
struct Backend {
    position: Option<ReportId>,
    newest_at: i64,
    next_gap: i64,
    gaps: BTreeMap<i64, Gap>,
    hours: BTreeMap<i64, Counts>,
    seen: BTreeSet<ReportId>,
}

impl Backend {
    fn take(&mut self, batch: &[Arrival]) {
        let mut account = Account::new(self.position, self.newest_at, START);
        account.know(self.gaps.values().copied().collect());
        for arrival in batch {
            let is_new = self.seen.insert(arrival.id);
            let outcome = if is_new { arrival.outcome } else { Outcome::Duplicate };
            account.arrive(&Arrival { outcome, ..*arrival });
            if outcome == Outcome::Stored {
                self.newest_at = self.newest_at.max(arrival.at);
            }
        }
        self.position = account.position();
        for id in account.closed() {
            assert!(self.gaps.remove(id).is_some(), "gap {id} is closed once");
        }
        for gap in account.opened() {
            self.next_gap += 1;
            self.gaps.insert(self.next_gap, Gap { id: Some(self.next_gap), ..*gap });
        }
        for (hour, counts) in account.hours() {
            *self.hours.entry(hour).or_default() += counts;
        }
    }

    fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for counts in self.hours.values() {
            totals += *counts;
        }
        totals
    }

    /// What must hold at any time.
    fn check(&self) {
        let mut missing = Counts::default();
        let mut named = BTreeSet::new();
        for gap in self.gaps.values() {
            for counts in gap.by_hour().values() {
                missing += *counts;
            }
            for seq in gap.from_seq..=gap.to_seq {
                let id = ReportId { epoch: gap.epoch, seq };
                assert!(seq == 0 || (named.insert(id) && !self.seen.contains(&id)), "{id:?} is missing once, and not here");
            }
            assert!(gap.to_seq == 0 || gap.missing() == gap.to_seq - gap.from_seq + 1, "{gap:?}");
        }
        let totals = self.totals();
        assert_eq!(totals.missing(), missing.missing());
        assert_eq!((totals.thinned, totals.lost), (missing.thinned, missing.lost));
        for (hour, counts) in &self.hours {
            let all =
                [counts.stored, counts.late, counts.duplicate, counts.rejected, counts.thinned, counts.dropped, counts.lost];
            assert!(hour % HOUR_MS == 0 && all.iter().all(|count| *count >= 0) && counts.late <= counts.stored, "{counts:?}");
        }
    }
}

fn batches<'a>(arrivals: &'a [Arrival], sizes: &'a [usize]) -> impl Iterator<Item = &'a [Arrival]> {
    let (mut rest, mut sizes) = (arrivals, sizes.iter().cycle());
    std::iter::from_fn(move || {
        let (batch, others) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

proptest! {
    /// In order, as through one partition, with repetitions as after a crash: every missing report is named with its kind.
    #[test]
    fn what_is_missing_is_known_to_the_report(
        epochs in epochs(4), step_ms in 1_000i64..2_000_000, sizes in prop::collection::vec(1usize..10, 1..5),
        replays in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
    ) {
        let (mut arrivals, truth) = play(&epochs, step_ms);
        for (from, to) in replays {
            // everything from an offset on comes once more, behind what was read already
            let to = to.index(arrivals.len()) + 1;
            let again = arrivals[from.index(to)..to].to_vec();
            arrivals.splice(to..to, again);
        }
        let mut backend = Backend::default();
        for batch in batches(&arrivals, &sizes) {
            backend.take(batch);
            backend.check();
        }
        let repeated = arrivals.len() as i64 - truth.stored - truth.rejected;
        prop_assert_eq!(backend.totals(), Counts { duplicate: repeated, ..truth });
        // and the whole topic once more
        let before = backend.clone();
        backend.take(&arrivals);
        prop_assert_eq!(&backend.gaps, &before.gaps);
        prop_assert_eq!(backend.position, before.position);
        for (hour, counts) in &backend.hours {
            let was = before.hours.get(hour).copied().unwrap_or_default();
            prop_assert_eq!(Counts { duplicate: was.duplicate, ..*counts }, was);
        }
    }

    /// In any order, as when partitions were added: late reports fill their gaps, and within an epoch nothing else than what did not
    /// come stays missing.
    #[test]
    fn late_reports_fill_their_gaps(
        epochs in epochs(3), sizes in prop::collection::vec(1usize..10, 1..5), swaps in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (in_order, truth) = play(&epochs, 700_000);
        let mut arrivals = in_order.clone();
        for pair in swaps.chunks_exact(2) {
            let (one, other) = (pair[0].index(arrivals.len()), pair[1].index(arrivals.len()));
            arrivals.swap(one, other);
        }
        let mut backend = Backend::default();
        for batch in batches(&arrivals, &sizes) {
            backend.take(batch);
            backend.check();
        }
        let totals = backend.totals();
        prop_assert_eq!((totals.stored, totals.rejected, totals.duplicate), (truth.stored, truth.rejected, 0));
        if epochs.len() == 1 && arrivals[0] == in_order[0] {
            prop_assert_eq!(Counts { late: 0, ..totals }, truth);
        } else {
            prop_assert!(totals.expected() <= truth.expected() + truth.lost + 25);
        }
    }

    /// Whatever reports say, however wrong (but for a number 1, which may begin anew): sums fit, and no gap holds what came.
    #[test]
    fn nonsense_breaks_nothing(
        arrivals in prop::collection::vec((0u64..4, 2u64..30, 1i64..50, prop::option::of((0u64..3, 0u64..30)), 0u64..40, any::<bool>()), 1..60),
        sizes in prop::collection::vec(1usize..10, 1..5),
    ) {
        let arrivals: Vec<_> = arrivals.into_iter().map(|(epoch, seq, hours, previous, thinned, is_stored)| Arrival {
            id: ReportId { epoch, seq },
            at: START + hours * HOUR_MS / 7,
            // a report that says otherwise is rejected without it
            previous: previous.map(|(epoch, seq)| ReportId { epoch, seq }).filter(|previous| previous.epoch < epoch),
            removed: Removed { thinned, dropped: thinned / 3, damaged: 0 },
            outcome: if is_stored { Outcome::Stored } else { Outcome::Rejected },
        }).collect();
        let mut backend = Backend::default();
        for batch in batches(&arrivals, &sizes) {
            backend.take(batch);
            backend.check();
        }
    }
}

fn arrival(epoch: u64, seq: u64, previous: Option<(u64, u64)>, thinned: u64) -> Arrival {
    Arrival {
        id: ReportId { epoch, seq },
        at: START + (epoch * 1_000 + seq % 1_000) as i64,
        previous: previous.map(|(epoch, seq)| ReportId { epoch, seq }),
        removed: Removed { thinned, ..Removed::default() },
        outcome: Outcome::Stored,
    }
}

#[test]
fn what_is_missing_between_two_reports_follows_from_their_names() {
    let check = |arrivals: &[Arrival], lost: i64, thinned: i64| {
        let mut backend = Backend::default();
        backend.take(arrivals);
        assert_eq!((backend.totals().lost, backend.totals().thinned), (lost, thinned), "{arrivals:?}");
    };
    // the first report ever: only what it says itself
    check(&[arrival(3, 50, Some((2, 7)), 0)], 0, 0);
    check(&[arrival(3, 50, Some((2, 7)), 9)], 0, 9);
    check(&[arrival(3, 5, Some((2, 7)), 9)], 0, 9);
    let first = arrival(1, 10, None, 0);
    check(&[first, arrival(1, 11, None, 0)], 0, 0);
    check(&[first, arrival(1, 14, None, 0)], 3, 0);
    check(&[first, arrival(1, 14, None, 2)], 1, 2);
    check(&[first, arrival(1, 14, None, 9)], 0, 3);
    // the next start of the collector
    check(&[first, arrival(2, 1, Some((1, 10)), 0)], 0, 0);
    check(&[first, arrival(2, 3, Some((1, 15)), 0)], 7, 0);
    check(&[first, arrival(2, 3, Some((1, 15)), 4)], 3, 4);
    check(&[first, arrival(2, 3, None, 0)], 2, 0);
    // whole epochs are gone
    check(&[first, arrival(4, 1, Some((3, 6)), 0)], 6, 0);
    check(&[first, arrival(4, 1, Some((3, 6)), 20)], 0, 20);
    // the collector lost its folder and counts anew, or is an old one that comes late
    check(
        &[arrival(5, 10, Some((4, 1)), 0), Arrival { at: START + 9_000, ..arrival(1, 1, None, 0) }, arrival(1, 3, None, 0)],
        1,
        0,
    );
    check(&[arrival(5, 10, Some((4, 1)), 0), arrival(1, 1, None, 0), arrival(5, 11, Some((4, 1)), 0)], 0, 0);
}

#[test]
fn a_jump_that_cannot_be_true_names_nothing_as_missing() {
    for (jump, lost) in [
        (SEQ_JUMP_MAX - 1, SEQ_JUMP_MAX - 2),
        (SEQ_JUMP_MAX, SEQ_JUMP_MAX - 1),
        (SEQ_JUMP_MAX + 1, SEQ_JUMP_MAX),
        (SEQ_JUMP_MAX + 2, 0),
    ] {
        let mut backend = Backend::default();
        backend.take(&[arrival(1, 10, None, 0), arrival(1, 10 + jump, None, 0)]);
        assert_eq!(backend.totals().lost, lost as i64, "{jump}");
        assert_eq!(backend.position, Some(ReportId { epoch: 1, seq: 10 + jump }));
    }
    let mut backend = Backend::default();
    let wrong = Arrival { outcome: Outcome::Rejected, ..arrival(1, i64::MAX as u64, None, 0) };
    backend.take(&[arrival(1, 10, None, 0), wrong, arrival(1, 12, None, 0)]);
    assert_eq!((backend.totals().lost, backend.totals().rejected), (1, 1), "a rejected report does not lead astray");
}
