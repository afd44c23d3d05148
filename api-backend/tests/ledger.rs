//! The arithmetic of the ledger against a naive model: random fates of reports, arriving in any order, once or more, in any batches.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::collections::{BTreeMap, BTreeSet};

use api_backend::ledger::{
    Account, Arrival, Counts, EPOCH_JUMP_MAX, Gap, HOUR_MS, Outcome, REJECTED_JUMP_MAX, SEQ_JUMP_MAX, SPREAD_MS_MAX,
};
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
    let mut is_known = false;
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
                    // of the time before the first stored one nobody knows more than that one says
                    if truth.stored > 0 {
                        truth.thinned += removed.thinned as i64;
                        truth.dropped += removed.dropped as i64;
                        truth.damaged += removed.damaged as i64;
                        if is_known {
                            truth.lost += unexplained as i64;
                        }
                        is_known = true;
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
    seen: BTreeSet<(i64, ReportId)>,
    stored: BTreeSet<ReportId>,
}

impl Backend {
    fn take(&mut self, batch: &[Arrival]) {
        let mut account = Account::new(self.position, self.newest_at, START);
        account.know(self.gaps.values().copied().collect());
        for arrival in batch {
            let is_new = self.seen.insert((arrival.at, arrival.id));
            let outcome = if is_new { arrival.outcome } else { Outcome::Duplicate };
            account.arrive(&Arrival { outcome, ..*arrival });
            if outcome == Outcome::Stored {
                self.stored.insert(arrival.id);
                self.newest_at = self.newest_at.max(arrival.at);
            }
        }
        self.position = account.position();
        for gap in self.gaps.values_mut().filter(|gap| account.anew_from().is_some_and(|epoch| gap.epoch >= epoch)) {
            (gap.from_seq, gap.to_seq) = (0, 0);
        }
        for id in account.closed() {
            assert!(self.gaps.remove(&id).is_some(), "gap {id} is closed once");
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
                assert!(seq == 0 || (named.insert(id) && !self.stored.contains(&id)), "{id:?} is missing once, and not here");
            }
            assert!(gap.to_seq == 0 || gap.missing() == gap.to_seq - gap.from_seq + 1, "{gap:?}");
        }
        let totals = self.totals();
        assert_eq!(totals.missing(), missing.missing());
        let kinds = |counts: &Counts| [counts.thinned, counts.dropped, counts.damaged, counts.lost];
        assert_eq!(kinds(&totals), kinds(&missing));
        for (hour, counts) in &self.hours {
            let all = [counts.stored, counts.late, counts.duplicate, counts.rejected];
            assert!(
                hour % HOUR_MS == 0 && all.iter().chain(&kinds(counts)).all(|count| *count >= 0) && counts.late <= counts.stored,
                "{counts:?}"
            );
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

    /// In any order within their epochs, as when partitions were added: late reports fill their gaps, and nothing else than what did not
    /// come stays missing.
    #[test]
    fn late_reports_fill_their_gaps(
        epochs in epochs(3), sizes in prop::collection::vec(1usize..10, 1..5), swaps in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (in_order, truth) = play(&epochs, 700_000);
        let first = in_order.iter().position(|arrival| arrival.outcome == Outcome::Stored).unwrap();
        let mut arrivals = in_order;
        for pair in swaps.chunks_exact(2) {
            let (one, other) = (pair[0].index(arrivals.len()), pair[1].index(arrivals.len()));
            // before the first one nobody knows of any
            if one.min(other) > first && arrivals[one].id.epoch == arrivals[other].id.epoch {
                arrivals.swap(one, other);
            }
        }
        let mut backend = Backend::default();
        for batch in batches(&arrivals, &sizes) {
            backend.take(batch);
            backend.check();
        }
        let totals = backend.totals();
        prop_assert_eq!((totals.stored, totals.rejected, totals.duplicate), (truth.stored, truth.rejected, 0));
        prop_assert_eq!(Counts { late: 0, ..totals }, truth);
    }

    /// Whatever reports say, however wrong (but for one of an epoch before which there was none: it may begin anew): sums fit, and no gap holds what came.
    #[test]
    fn nonsense_breaks_nothing(
        arrivals in prop::collection::vec((1u64..5, 0u64..30, 1i64..50, (0u64..4, 0u64..30), 0u64..40, any::<bool>()), 1..60),
        sizes in prop::collection::vec(1usize..10, 1..5),
    ) {
        let arrivals: Vec<_> = arrivals.into_iter().map(|(epoch, seq, hours, previous, thinned, is_stored)| Arrival {
            id: ReportId { epoch, seq },
            at: START + hours * HOUR_MS / 7,
            // a report that says otherwise is rejected without it
            previous: Some(ReportId { epoch: previous.0.min(epoch - 1), seq: previous.1 }),
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
        at: START + (epoch % 1_000 * 1_000 + seq % 1_000) as i64,
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

#[test]
fn a_rejected_report_moves_the_position_only_a_little() {
    let far = 9_000_000_000_000_000_000;
    let check = |epoch: u64, seq: u64, previous: Option<(u64, u64)>, is_moved: bool| {
        let mut backend = Backend::default();
        let rejected = Arrival { outcome: Outcome::Rejected, ..arrival(epoch, seq, previous, 0) };
        backend.take(&[arrival(5, 10, Some((4, 1)), 0), rejected]);
        let moved = ReportId { epoch, seq };
        assert_eq!(backend.position, Some(if is_moved { moved } else { ReportId { epoch: 5, seq: 10 } }), "{moved:?}");
        // what comes next is counted as ever
        if !is_moved {
            backend.take(&[arrival(5, 13, Some((4, 1)), 0)]);
            assert_eq!(backend.totals().lost, 2);
        }
        assert_eq!(backend.totals().rejected, 1);
    };
    for (jump, is_moved) in [(REJECTED_JUMP_MAX - 1, true), (REJECTED_JUMP_MAX, true), (REJECTED_JUMP_MAX + 1, false)] {
        check(5, 10 + jump, Some((4, 1)), is_moved);
        check(6, jump, Some((5, 10)), is_moved);
        check(6, 1, Some((5, 10 + jump)), is_moved);
    }
    check(5, far, Some((4, 1)), false);
    check(far, 1, Some((5, 10)), false);
    check(far, 1, None, false);
    check(6, 1, None, false);
    check(6, 1, Some((4, 10)), false);
    check(7, 1, Some((5, 10)), false);
    let mut backend = Backend::default();
    backend.take(&[Arrival { outcome: Outcome::Rejected, ..arrival(far, 1, None, 0) }, arrival(1, 10, None, 0)]);
    assert_eq!(backend.position, Some(ReportId { epoch: 1, seq: 10 }), "a first one neither");
}

#[test]
fn epochs_that_cannot_be_true_name_nothing_as_missing() {
    for (jump, lost) in [(EPOCH_JUMP_MAX - 1, 6), (EPOCH_JUMP_MAX, 6), (EPOCH_JUMP_MAX + 1, 0)] {
        let mut backend = Backend::default();
        backend.take(&[arrival(1, 10, None, 0), arrival(1 + jump, 3, Some((jump, 4)), 0)]);
        assert_eq!((backend.totals().lost, backend.position), (lost, Some(ReportId { epoch: 1 + jump, seq: 3 })), "{jump}");
    }
}

#[test]
fn a_collector_that_lost_its_folder_counts_anew() {
    let at = |seconds: i64, arrival: Arrival| Arrival { at: START + seconds * 1_000, ..arrival };
    let old = [at(0, arrival(1, 1, None, 0)), at(10, arrival(1, 5, None, 0)), at(20, arrival(1, 10, None, 0))];
    let check = |came: &[Arrival], position: (u64, u64), lost: i64, late: i64| {
        // at once, and in batches of one
        for size in [100, 1] {
            let mut backend = Backend::default();
            for batch in [&old[..], came].concat().chunks(size) {
                backend.take(batch);
            }
            assert_eq!(backend.position, Some(ReportId { epoch: position.0, seq: position.1 }), "{came:?}");
            assert_eq!((backend.totals().lost, backend.totals().late), (7 + lost, late), "{came:?}");
        }
    };
    let again = |seconds: i64, seq: u64| at(seconds, arrival(1, seq, None, 0));
    // the same epoch, at or below the position, the first of them or not; gaps of before are not filled
    check(&[again(30, 2), again(32, 3), again(34, 4)], (1, 4), 1, 0);
    check(&[again(30, 10), again(32, 11)], (1, 11), 9, 0);
    check(&[again(30, 3), again(28, 2)], (1, 3), 1, 1);
    // a late one of before is older, and fills
    check(&[again(4, 3)], (1, 10), -1, 1);
    // it knows of an epoch before
    check(&[at(30, arrival(1, 3, Some((0, 1)), 0))], (1, 10), -1, 1);
    // so many cannot have been made since
    for (ms, position) in [(699, 10), (700, 8), (701, 8)] {
        let mut backend = Backend::default();
        backend.take(&[old[0], old[2]]);
        backend.gaps.clear();
        backend.take(&[Arrival { at: START + 20_000 + ms, ..arrival(1, 8, None, 0) }]);
        assert_eq!(backend.position, Some(ReportId { epoch: 1, seq: position }), "{ms}");
    }
    // before a rejected one that moved the position
    let mut backend = Backend::default();
    backend.take(&old);
    backend.take(&[Arrival { outcome: Outcome::Rejected, ..again(40, 20) }, again(36, 18)]);
    assert_eq!((backend.position.unwrap().seq, backend.totals().lost, backend.totals().late), (20, 7 + 8, 1));
}

#[test]
fn filling_a_long_gap_report_by_report_is_cheap() {
    let begun = std::time::Instant::now();
    let mut backend = Backend::default();
    let step = SPREAD_MS_MAX / 4_000;
    let numbered = |seq: u64| Arrival { at: START + seq as i64 * step, ..arrival(1, seq, None, 0) };
    backend.take(&[numbered(1), numbered(4_001)]);
    backend.take(&(0..1_000).map(|n| numbered(3 + n * 2)).collect::<Vec<_>>());
    backend.check();
    assert_eq!((backend.totals().lost, backend.totals().late), (2_999, 1_000));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}
