//! One host's reports in the order in which they arrive.

use std::collections::BTreeMap;

use wire_model::{Removed, ReportId, limits};

use super::{Arrival, Counts, Gap, Outcome, hour_of};

/// Greatest run of missing reports that is believed: 63 years at 2 s. Beyond it the number in a report is wrong, and what it would
/// name as missing never was.
pub const SEQ_JUMP_MAX: u64 = 1_000_000_000;
/// Most starts of a collector between two reports that are believed.
pub const EPOCH_JUMP_MAX: u64 = 1_000_000;
/// Greatest run that is believed of a rejected report: two days at 2 s. It failed the checks, so that its numbers may be anything.
pub const REJECTED_JUMP_MAX: u64 = 100_000;

/// Epoch, first and last number of missing reports.
type Run = (u64, u64, u64);

/// What is known of one host, and how that changes.
#[derive(Clone, Debug, Default)]
pub struct Account {
    position: Option<ReportId>,
    newest_at: i64,
    now: i64,
    gaps: Vec<Gap>,
    closed: Vec<Gap>,
    anew_from: Option<u64>,
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
        let mut hours = self.hours.clone();
        for (hour, counts) in self.opened().flat_map(Gap::by_hour) {
            *hours.entry(hour).or_default() += counts;
        }
        for (hour, counts) in self.closed.iter().flat_map(Gap::by_hour) {
            *hours.entry(hour).or_default() -= counts;
        }
        hours.into_iter().filter(|(_, counts)| *counts != Counts::default())
    }

    /// Gaps that are not stored yet.
    pub fn opened(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(|gap| gap.id.is_none())
    }

    /// Rows of gaps that are no more: filled, or replaced by their parts.
    pub fn closed(&self) -> impl Iterator<Item = i64> {
        self.closed.iter().filter_map(|gap| gap.id)
    }

    /// The lowest epoch from which the counting began anew. Stored gaps and rejections of it and of later ones are of reports that will
    /// never come: they stay counted and lose their names, because others have these now.
    pub fn anew_from(&self) -> Option<u64> {
        self.anew_from
    }

    /// Whether a report is one of those that are missing by name.
    pub fn misses(&self, id: ReportId) -> bool {
        self.gaps.iter().any(|gap| gap.holds(id))
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
        if self.begins_anew(arrival) {
            self.begin_anew(arrival.id.epoch);
        }
        if self.position.is_none_or(|position| arrival.id > position) {
            if is_stored || self.follows_closely(arrival) {
                self.advance(arrival, is_stored);
            }
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

    /// Whether a report is of a collector that lost its folder and counts from 1 again, be it the first of them or not: it knows of no
    /// epoch before its own, has a number that was given before, and was made after the newest one that is stored. One that only
    /// comes late was made before that, or before the report behind the gap that it lies in. So many numbers must fit the time
    /// since, or two hosts with one id would begin anew with every report.
    pub fn begins_anew(&self, arrival: &Arrival) -> bool {
        let since_ms = arrival.at.saturating_sub(self.newest_at).max(0).cast_unsigned();
        // times that go backwards tell nothing
        let is_late = |gap: &Gap| gap.holds(arrival.id) && (arrival.at <= gap.to_at || gap.to_at <= gap.from_at);
        arrival.outcome == Outcome::Stored
            && arrival.previous.is_none()
            && self.position.is_some_and(|position| arrival.id <= position)
            && self.newest_at > 0
            && arrival.at > self.newest_at
            && arrival.id.seq.saturating_sub(1) <= since_ms / u64::from(limits::INTERVAL_MS_MIN)
            && !self.gaps.iter().any(is_late)
    }

    fn begin_anew(&mut self, epoch: u64) {
        self.anew_from = Some(self.anew_from.map_or(epoch, |before| before.min(epoch)));
        for gap in self.gaps.iter_mut().filter(|gap| gap.epoch >= epoch) {
            (gap.from_seq, gap.to_seq) = (0, 0);
        }
        self.position = Some(ReportId { epoch, seq: 0 });
    }

    /// Whether a rejected report may move the position.
    fn follows_closely(&self, arrival: &Arrival) -> bool {
        let Some(position) = self.position else { return false };
        let is_near = |from: u64, to: u64| to.saturating_sub(from) <= REJECTED_JUMP_MAX;
        let ReportId { epoch, seq } = arrival.id;
        if epoch == position.epoch {
            return is_near(position.seq, seq);
        }
        let is_next = |previous: ReportId| previous.epoch == position.epoch && is_near(position.seq, previous.seq);
        epoch - position.epoch == 1 && arrival.previous.is_some_and(is_next) && is_near(0, seq)
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
            self.gaps.push(Gap {
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
            self.gaps.push(gap);
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
            Some(position) if id.epoch - position.epoch > EPOCH_JUMP_MAX => return None,
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
        let seq = arrival.id.seq;
        let Some(index) = self.gaps.iter().position(|gap| gap.holds(arrival.id)) else { return };
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
            self.gaps.push(part);
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
            let ends_there = |gap: &Gap| gap.to_seq == last.seq && gap.holds(last);
            let Some(index) = self.gaps.iter().position(ends_there) else { break };
            let mut gap = self.close(index);
            removed = gap.explain(removed);
            next = ReportId { epoch: gap.epoch, seq: gap.from_seq };
            self.gaps.push(Gap { id: None, ..gap });
        }
        removed
    }

    /// Takes a gap out. Hours are counted at the end: what comes and goes before need not be spread over them.
    fn close(&mut self, index: usize) -> Gap {
        let gap = self.gaps.swap_remove(index);
        if gap.id.is_some() {
            self.closed.push(gap);
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
