//! A run of missing reports.

use std::collections::BTreeMap;

use wire_model::{Removed, ReportId};

use super::{Counts, HOUR_MS, hour_of};

/// Longest time over which missing reports are spread; what is longer counts in its last part.
pub const SPREAD_MS_MAX: i64 = 400 * 24 * HOUR_MS;

/// Missing reports of one host and epoch, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of its row; `None` before it is stored.
    pub id: Option<i64>,
    /// The epoch.
    pub epoch: u64,
    /// The first one; 0 when only the number of the missing is known, or when others have their names since.
    pub from_seq: u64,
    /// The last one; 0 as well then.
    pub to_seq: u64,
    /// Time of the report before it, Unix ms.
    pub from_at: i64,
    /// Time of the report behind it, Unix ms.
    pub to_at: i64,
    /// What the collector removed.
    pub removed: Removed,
    /// What it did not.
    pub lost: u64,
    /// When it was found.
    pub detected_at: i64,
}

impl Gap {
    /// How many reports are missing.
    pub fn missing(&self) -> u64 {
        self.removed.total() + self.lost
    }

    /// Whether a report is one of the missing ones.
    pub fn holds(&self, id: ReportId) -> bool {
        self.to_seq > 0 && self.epoch == id.epoch && (self.from_seq..=self.to_seq).contains(&id.seq)
    }

    /// The part of it from `from_seq` to `to_seq`, between reports of these times; `None` when that is nothing. Of what the collector
    /// removed as much as fits stays explained.
    pub(super) fn part(&self, from_seq: u64, to_seq: u64, from_at: i64, to_at: i64) -> Option<Gap> {
        let missing = (to_seq + 1).checked_sub(from_seq).filter(|missing| *missing > 0)?;
        let removed = at_most(self.removed, missing);
        Some(Gap { id: None, from_seq, to_seq, from_at, to_at, removed, lost: missing - removed.total(), ..*self })
    }

    /// Counts as much of `removed` as explained as is still lost, and returns the rest.
    pub(super) fn explain(&mut self, removed: Removed) -> Removed {
        let taken = at_most(removed, self.lost);
        self.removed = self.removed.plus(taken);
        self.lost -= taken.total();
        removed.minus(taken)
    }

    /// The missing reports by hour, as if they had been made at even distances between the reports around them. The lost ones come
    /// first: what the collector removed, it removed just before the report behind.
    pub fn by_hour(&self) -> BTreeMap<i64, Counts> {
        let missing = self.missing();
        // a clock that was set back tells nothing about the time between
        let from_at = if self.from_at < self.to_at { self.from_at.max(self.to_at - SPREAD_MS_MAX) } else { self.to_at };
        let mut hours = BTreeMap::new();
        let mut begin = 0;
        let mut hour = hour_of(from_at);
        while begin < missing {
            let end =
                if hour >= hour_of(self.to_at) { missing } else { made_before(hour + HOUR_MS, from_at, self.to_at, missing) };
            if end > begin {
                hours.insert(hour, self.between(begin, end));
            }
            begin = end;
            hour += HOUR_MS;
        }
        hours
    }

    /// Kinds of the missing ones from position `begin` to `end`, exclusive.
    fn between(&self, begin: u64, end: u64) -> Counts {
        let mut start = 0;
        let mut overlap = |count: u64| {
            let (from, to) = (begin.max(start), end.min(start + count));
            start += count;
            to.saturating_sub(from).cast_signed()
        };
        let lost = overlap(self.lost);
        let damaged = overlap(self.removed.damaged);
        let dropped = overlap(self.removed.dropped);
        let thinned = overlap(self.removed.thinned);
        Counts { thinned, dropped, damaged, lost, ..Counts::default() }
    }
}

/// How many of `missing` reports, made at even distances in (`from_at`, `to_at`), were made before `time`.
fn made_before(time: i64, from_at: i64, to_at: i64, missing: u64) -> u64 {
    // the i-th is made at from_at + span * i / (missing + 1)
    let span = i128::from(to_at - from_at).max(1);
    let before = (i128::from(time - from_at) * (i128::from(missing) + 1) + span - 1) / span - 1;
    u64::try_from(before.clamp(0, i128::from(missing))).unwrap_or(missing)
}

/// As much of `removed` as fits `limit`.
fn at_most(removed: Removed, limit: u64) -> Removed {
    let thinned = removed.thinned.min(limit);
    let dropped = removed.dropped.min(limit - thinned);
    let damaged = removed.damaged.min(limit - thinned - dropped);
    Removed { thinned, dropped, damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from_at: i64, to_at: i64, thinned: u64, lost: u64) -> Gap {
        let removed = Removed { thinned, ..Removed::default() };
        Gap { id: None, epoch: 1, from_seq: 1, to_seq: thinned + lost, from_at, to_at, removed, lost, detected_at: 0 }
    }

    #[test]
    fn missing_reports_are_spread_over_the_hours_between_their_neighbours() {
        let check = |gap: Gap, expected: &[(i64, i64, i64)]| {
            let hours: Vec<_> = gap.by_hour().into_iter().map(|(hour, counts)| (hour, counts.lost, counts.thinned)).collect();
            assert_eq!(hours, expected, "{gap:?}");
        };
        let hour = HOUR_MS;
        check(gap(10, 20, 0, 3), &[(0, 3, 0)]);
        check(gap(0, 2 * hour, 0, 3), &[(0, 1, 0), (hour, 2, 0)]);
        check(gap(0, 2 * hour, 2, 1), &[(0, 1, 0), (hour, 0, 2)]);
        check(gap(hour - 1, hour + 1, 0, 1), &[(hour, 1, 0)]);
        check(gap(0, 100 * hour, 0, 1), &[(50 * hour, 1, 0)]);
        // set back, or unknown
        check(gap(5 * hour, 3 * hour, 1, 1), &[(3 * hour, 1, 1)]);
        check(gap(0, 0, 0, 2), &[(0, 2, 0)]);
    }

    #[test]
    fn the_hours_of_a_gap_are_bounded() {
        let to_at = SPREAD_MS_MAX * 3;
        for (span, hours) in [(SPREAD_MS_MAX - HOUR_MS, 9_599), (SPREAD_MS_MAX, 9_600), (SPREAD_MS_MAX + HOUR_MS, 9_600)] {
            let spread = gap(to_at - span, to_at, 0, 1_000_000_000).by_hour();
            let total: i64 = spread.values().map(|counts| counts.lost).sum();
            assert_eq!((spread.len(), total), (hours, 1_000_000_000));
        }
    }
}
