//! Records follow each other: within an epoch their numbers rise by one, so a gap tells exactly how many are no more.

use wire_model::{Removed, ReportId};

use crate::frame::Frame;

/// The place of a record in the order: what comes after it continues from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) id: ReportId,
    /// CRC-32 of the key.
    pub(crate) key: u32,
}

impl Link {
    pub(crate) fn new(id: ReportId, key: &str) -> Link {
        Link { id, key: crc32fast::hash(key.as_bytes()) }
    }

    pub(crate) fn of(frame: &Frame<'_>) -> Link {
        Link::new(frame.id, frame.key)
    }
}

/// Walks over records in their order and knows what is missing before each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) last: Option<Link>,
    /// Records found damaged since the last good one, counted by their markers.
    damaged: u64,
}

impl Chain {
    pub(crate) fn after(last: Option<Link>) -> Chain {
        Chain { last, damaged: 0 }
    }

    pub(crate) fn damage(&mut self, records: u64) {
        self.damaged = self.damaged.saturating_add(records);
    }

    pub(crate) fn ends_in_damage(&self) -> bool {
        self.damaged > 0
    }

    /// What was removed before this record: what it says, corrected by the gap where one can be seen.
    pub(crate) fn follow(&mut self, link: Link, said: Removed) -> Removed {
        let seen = std::mem::take(&mut self.damaged);
        match self.last.replace(link) {
            Some(last) if last.key == link.key && last.id.epoch == link.id.epoch => {
                fit(said, link.id.seq.saturating_sub(last.id.seq).saturating_sub(1))
            }
            _ => Removed { damaged: said.damaged.saturating_add(seen), ..said },
        }
    }
}

/// Exactly `gap` records: what nobody counted was damaged, what was counted too often (by a crash between two steps) goes.
fn fit(mut removed: Removed, gap: u64) -> Removed {
    let mut left = gap;
    for count in [&mut removed.thinned, &mut removed.dropped, &mut removed.damaged] {
        *count = left.min(*count);
        left -= *count;
    }
    removed.damaged += left;
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_exactly() {
        let removed = |thinned, dropped, damaged| Removed { thinned, dropped, damaged };
        for (said, gap, told) in [
            (removed(0, 0, 0), 0, removed(0, 0, 0)),
            (removed(0, 0, 0), 3, removed(0, 0, 3)),
            (removed(9, 5, 0), 14, removed(9, 5, 0)),
            (removed(9, 5, 0), 15, removed(9, 5, 1)),
            (removed(9, 5, 1), 10, removed(9, 1, 0)),
            (removed(9, 5, 1), 0, removed(0, 0, 0)),
            (removed(u64::MAX, u64::MAX, 1), 3, removed(3, 0, 0)),
        ] {
            assert_eq!(fit(said, gap), told, "{said:?} {gap}");
        }
    }
}
