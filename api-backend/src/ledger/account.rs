//! One host's reports in the order in which they arrive.

use std::collections::BTreeMap;

use wire_model::{Removed, ReportId};

use super::{Arrival, Counts, Gap, Outcome, hour_of};

/// Greatest run of missing reports that is believed: 63 years at 2 s. Beyond it the number in a report is wrong, and what it would
/// name as missing never was.
pub const SEQ_JUMP_MAX: u64 = 1_000_000_000;

/// Epoch, first and last number of missing reports.
type Run = (u64, u64, u64);

/// What is known of one host, and how that changes.
#[derive(Clone, Debug, Default)]
pub struct Account {
    position: Option<ReportId>,
    newest_at: i64,
    now: i64,
    gaps: Vec<Gap>,
    closed: Vec<i64>,
    hours: BTreeMap<i64, Counts>,
}

impl Account {
    /// Goes on at `position`, the highest report that came; `newest_at` is the newest time among the stored ones, 0 before the first.
    pub fn new(position: Option<ReportId>, newest_at: i64, now: i64) -> Account {
        Account { position, newest_at, now, ..Account::default() }
    }

    /// Stored gaps, for reports at or below the position: those that they may lie in, and those that end right before them.
    pub fn know(&mut self, gaps: Vec<Gap>) {
        self.gaps.extend(gaps);
    }

    /// The highest report that came.
    pub fn position(&self) -> Option<ReportId> {
        self.position
    }

    /// What is to be added to the host's rows.
    pub fn hours(&self) -> impl Iterator<Item = (i64, Counts)> {
        self.hours.iter().map(|(hour, counts)| (*hour, *counts)).filter(|(_, counts)| *counts != Counts::default())
    }

    /// Gaps that are not stored yet.
    pub fn opened(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(|gap| gap.id.is_none())
    }

    /// Rows of gaps that are no more: filled, or replaced by their parts.
    pub fn closed(&self) -> &[i64] {
        &self.closed
    }

    /// Takes the next report.
    pub fn arrive(&mut self, arrival: &Arrival) {
        let counts = self.hours.entry(hour_of(arrival.at)).or_default();
        match arrival.outcome {
            Outcome::Duplicate => {
                counts.duplicate += 1;
                return;
            }
            Outcome::Rejected => counts.rejected += 1,
            Outcome::Stored => counts.stored += 1,
            Outcome::StoredAfterAll(hour_at) => {
                counts.stored += 1;
                self.hours.entry(hour_at).or_default().rejected -= 1;
            }
        }
        let is_stored = arrival.outcome != Outcome::Rejected;
        let begins_anew = is_stored && self.begins_anew(arrival);
        if begins_anew || self.position.is_none_or(|position| arrival.id > position) {
            if begins_anew {
                self.position = None;
            }
            self.advance(arrival, is_stored);
        } else {
            if is_stored {
                self.hours.entry(hour_of(arrival.at)).or_default().late += 1;
            }
            self.fill(arrival);
            self.explain(arrival);
        }
        if is_stored {
            self.newest_at = self.newest_at.max(arrival.at);
        }
    }

    /// A collector that lost its folder counts from 1 again.
    fn begins_anew(&self, arrival: &Arrival) -> bool {
        self.position.is_some_and(|position| arrival.id.epoch < position.epoch)
            && arrival.id.seq == 1
            && arrival.previous.is_none()
            && self.newest_at > 0
            && arrival.at > self.newest_at
    }

    /// A report that is higher than all before: what lies between is missing.
    fn advance(&mut self, arrival: &Arrival, is_stored: bool) {
        let Some((runs, is_complete)) = self.runs_before(arrival) else {
            if is_stored {
                self.position = Some(arrival.id);
            }
            return;
        };
        // nothing of this host came before: there is no time before it either
        let from_at = if self.newest_at == 0 { arrival.at } else { self.newest_at };
        for (epoch, from_seq, to_seq) in runs {
            let lost = to_seq - from_seq + 1;
            let removed = Removed::default();
            self.open(Gap {
                id: None,
                epoch,
                from_seq,
                to_seq,
                from_at,
                to_at: arrival.at,
                removed,
                lost,
                detected_at: self.now,
            });
        }
        let unnamed = self.explain(arrival);
        if !is_complete && !unnamed.is_none() && unnamed.total() <= SEQ_JUMP_MAX {
            let (epoch, to_at) = (arrival.id.epoch, arrival.at);
            let gap =
                Gap { id: None, epoch, from_seq: 0, to_seq: 0, from_at, to_at, removed: unnamed, lost: 0, detected_at: self.now };
            self.open(gap);
        }
        self.position = Some(arrival.id);
    }

    /// The runs between the position and a higher report, and whether nothing else can be missing there. `None` when
    /// they are too long to be true.
    fn runs_before(&self, arrival: &Arrival) -> Option<(Vec<Run>, bool)> {
        let id = arrival.id;
        let before = id.seq.saturating_sub(1);
        let (runs, is_complete) = match self.position {
            // of the time before nothing is known but what the report says
            None => (vec![(id.epoch, before.saturating_sub(arrival.removed.total()) + 1, before)], false),
            Some(position) if position.epoch == id.epoch => (vec![(id.epoch, position.seq + 1, before)], true),
            Some(position) => {
                let head = (id.epoch, 1, before);
                match arrival.previous {
                    Some(previous) if previous.epoch == position.epoch => {
                        (vec![(position.epoch, position.seq + 1, previous.seq), head], true)
                    }
                    Some(previous) if previous.epoch > position.epoch => (vec![(previous.epoch, 1, previous.seq), head], false),
                    _ => (vec![head], false),
                }
            }
        };
        let runs: Vec<_> = runs.into_iter().filter(|(_, from_seq, to_seq)| from_seq <= to_seq).collect();
        runs.iter().all(|(_, from_seq, to_seq)| to_seq - from_seq < SEQ_JUMP_MAX).then_some((runs, is_complete))
    }

    /// A report that was missing came after all: its gap falls into the parts before and behind it.
    fn fill(&mut self, arrival: &Arrival) {
        let ReportId { epoch, seq } = arrival.id;
        let holds = |gap: &Gap| gap.epoch == epoch && gap.from_seq <= seq && seq <= gap.to_seq && gap.to_seq > 0;
        let Some(index) = self.gaps.iter().position(holds) else { return };
        let gap = self.close(index);
        let behind = gap.part(seq + 1, gap.to_seq, arrival.at, gap.to_at);
        // what was removed before the report behind the gap lies right before that one: the rest may reach over this report, which was
        // then removed only after Kafka had taken it
        let rest = behind.map_or(gap.removed, |behind| gap.removed.minus(behind.removed));
        let before = Gap { removed: Removed::default(), ..gap };
        let mut before = before.part(gap.from_seq, seq.saturating_sub(1), gap.from_at, arrival.at);
        if let Some(before) = &mut before {
            before.explain(without_one(rest));
        }
        for part in [before, behind].into_iter().flatten() {
            self.open(part);
        }
    }

    /// What the report says was removed just before it explains the missing ones right before it, back into the epoch before. Returns
    /// what it explains of none that is known.
    fn explain(&mut self, arrival: &Arrival) -> Removed {
        let mut removed = arrival.removed;
        let mut previous = arrival.previous;
        let mut next = arrival.id;
        while !removed.is_none() {
            let last = if next.seq > 1 {
                ReportId { epoch: next.epoch, seq: next.seq - 1 }
            } else {
                // once: what a report says of the epoch before its own it does not say of earlier ones
                let Some(last) = previous.take() else { break };
                last
            };
            let Some(index) = self.gaps.iter().position(|gap| (gap.epoch, gap.to_seq) == (last.epoch, last.seq)) else { break };
            let mut gap = self.close(index);
            removed = gap.explain(removed);
            next = ReportId { epoch: gap.epoch, seq: gap.from_seq };
            self.open(Gap { id: None, ..gap });
        }
        removed
    }

    fn open(&mut self, gap: Gap) {
        for (hour, counts) in gap.by_hour() {
            *self.hours.entry(hour).or_default() += counts;
        }
        self.gaps.push(gap);
    }

    fn close(&mut self, index: usize) -> Gap {
        let gap = self.gaps.swap_remove(index);
        self.closed.extend(gap.id);
        for (hour, counts) in gap.by_hour() {
            *self.hours.entry(hour).or_default() -= counts;
        }
        gap
    }
}

/// One less, of whichever kind there is.
fn without_one(mut removed: Removed) -> Removed {
    let kinds = [&mut removed.thinned, &mut removed.dropped, &mut removed.damaged];
    if let Some(kind) = kinds.into_iter().find(|kind| **kind > 0) {
        *kind -= 1;
    }
    removed
}
