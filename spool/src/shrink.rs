//! Makes room: keeps one record of ten in the oldest segments, and drops the oldest when all are thinned.
//!
//! What is removed is counted into the record that comes after it, in the same rename that removes it, or before the file is deleted.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use wire_model::Removed;

use crate::chain::{Chain, Link};
use crate::frame::Frame;
use crate::scanner::{Scanner, Step};
use crate::segment::{self, HEADER_BYTES, Header, Segment};
use crate::spool::{AppendError, Spool};

/// Of so many records one is kept: the last, so that what was removed is told by one that comes after it.
const THINNED_TO_ONE_OF: u64 = 10;

impl Spool {
    /// Removes what is necessary for `bytes` more; what was read stays. A copy of the largest segment fits besides, for its rewrite.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Result<(), AppendError> {
        loop {
            let largest = self.segments.iter().map(|segment| segment.bytes).max().unwrap_or(0);
            if self.bytes() + largest.max(bytes) + bytes <= self.max_bytes {
                return Ok(());
            }
            let mut removable = self.removable();
            let oldest = removable.start;
            if let Some(index) = removable.find(|index| !self.segments[*index].header.is_thinned) {
                self.thin(index)?;
            } else if !self.removable().is_empty() {
                self.drop_segment(oldest)?;
            } else {
                return Err(AppendError::Full);
            }
        }
    }

    /// What cannot be read is set aside instead: it must not be in the way of what comes.
    fn thin(&mut self, index: usize) -> io::Result<()> {
        let mut kept = Vec::new();
        let (mut removed, mut group, mut records) = (Removed::default(), 0, 0);
        let (mut thinned, mut damaged) = (0, 0_u64);
        let mut pending: Option<(Link, Vec<u8>)> = None;
        let before = self.segments[index].header.before;
        let header = Header { is_thinned: true, before };
        kept.extend(header.encode());
        let end = self.walk(index, Chain::after(before), |frame, missing| {
            // the former one goes if this one can tell of it
            if let Some((former, bytes)) = pending.take() {
                if group == THINNED_TO_ONE_OF || former.key != Link::of(&frame).key {
                    kept.extend(bytes);
                    (group, removed) = (0, Removed::default());
                    records += 1;
                } else {
                    removed = removed.plus(Removed { thinned: 1, ..Removed::default() });
                    thinned += 1;
                }
            }
            group += 1;
            removed = removed.plus(missing);
            damaged = damaged.saturating_add(missing.damaged.saturating_sub(frame.removed.damaged));
            pending = Some((Link::of(&frame), frame.tells(removed).encode()));
        });
        let end = match end {
            Err(error) if segment::is_unreadable(&error) => return self.set_aside(index, &error),
            end => end?,
        };
        self.segments[index].header.is_thinned = true;
        // damage at the end is told by the next segment, which finds it here
        if end.ends_in_damage() {
            return Ok(());
        }
        if let Some((_, bytes)) = pending {
            kept.extend(bytes);
            records += 1;
        }
        segment::replace(&self.folder, self.segments[index].number, &kept)?;
        self.totals.removed = self.totals.removed.plus(Removed { thinned, damaged, dropped: 0 });
        let segment = &mut self.segments[index];
        (segment.bytes, segment.unread) = (kept.len() as u64, records);
        Ok(())
    }

    /// The next record tells of this segment before it is deleted. After a crash in between the opening sees that it was told.
    fn drop_segment(&mut self, index: usize) -> io::Result<()> {
        let before = self.segments[index].header.before;
        let (mut gone, mut records, mut damaged) = (Vec::<(u32, Removed)>::new(), 0, 0_u64);
        let end = self.walk(index, Chain::after(before), |frame, missing| {
            let key = Link::of(&frame).key;
            if gone.last().is_none_or(|(former, _)| *former != key) {
                gone.push((key, Removed::default()));
            }
            if let Some((_, removed)) = gone.last_mut() {
                *removed = removed.plus(missing).plus(Removed { dropped: 1, ..Removed::default() });
            }
            records += 1;
            damaged = damaged.saturating_add(missing.damaged.saturating_sub(frame.removed.damaged));
        });
        let mut chain = match end {
            Err(error) if segment::is_unreadable(&error) => return self.set_aside(index, &error),
            end => end?,
        };
        for next in index + 1..self.segments.len() {
            let segment = &self.segments[next];
            chain.damage(segment.records_cut_off());
            let path = segment::path(&self.folder, segment.number);
            let (link, rest) = match retold(&path, segment.bytes, &mut chain, &gone) {
                Ok(Some(retold)) => retold,
                Ok(None) => continue,
                Err(error) if segment::is_unreadable(&error) => {
                    self.set_aside(next, &error)?;
                    chain.damage(self.segments[next].records_cut_off());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let segment = &self.segments[next];
            let header = Header { before, ..segment.header };
            let content = [header.encode(), rest].concat();
            let file = segment::replace(&self.folder, segment.number, &content)?;
            if next + 1 == self.segments.len() && self.active.is_some() {
                self.active = Some(file);
            }
            let segment = &mut self.segments[next];
            (segment.bytes, segment.header) = (content.len() as u64, header);
            self.totals.removed = self.totals.removed.plus(Removed { thinned: 0, dropped: records, damaged });
            let others = gone.iter().filter(|(key, _)| *key != link.key).map(|(_, removed)| removed.total()).sum::<u64>();
            if others > 0 {
                tracing::error!(records = others, "records of another host are dropped, and no later record of it can tell");
            }
            self.totals.unattributed = self.totals.unattributed.saturating_add(others);
            return self.delete(index..next);
        }
        Err(io::Error::new(io::ErrorKind::StorageFull, "no record is left that could tell of those to be dropped"))
    }

    /// A segment that cannot be read goes into quarantine. An empty one stands for it, so that what follows tells of damage: of how much,
    /// the numbers say.
    fn set_aside(&mut self, index: usize, reason: &io::Error) -> io::Result<()> {
        let Segment { number, header, .. } = self.segments[index];
        let header = self.quarantine_unreadable(number, header.before, reason)?;
        self.segments[index] = Segment { number, bytes: HEADER_BYTES, unread: 0, header, is_damaged: true };
        if index + 1 == self.segments.len() {
            self.active = None;
        }
        Ok(())
    }

    pub(crate) fn quarantine_unreadable(&mut self, number: u64, before: Option<Link>, reason: &io::Error) -> io::Result<Header> {
        let path = segment::path(&self.folder, number);
        tracing::error!(%reason, segment = %path.display(), "a segment of the spool cannot be read and is set aside");
        self.quarantine.take(&path)?;
        let header = Header { is_thinned: true, before };
        segment::replace(&self.folder, number, &header.encode())?;
        Ok(header)
    }

    fn delete(&mut self, told: Range<usize>) -> io::Result<()> {
        for segment in self.segments.drain(told) {
            fs::remove_file(segment::path(&self.folder, segment.number))?;
        }
        Ok(())
    }

    /// Calls `each` for every record of a segment, with what is missing before it; returns where the chain ends.
    fn walk(&mut self, index: usize, mut chain: Chain, mut each: impl FnMut(Frame<'_>, Removed)) -> io::Result<Chain> {
        let (number, bytes) = (self.segments[index].number, self.segments[index].bytes);
        let mut scanner = Scanner::open(&segment::path(&self.folder, number), HEADER_BYTES)?;
        let mut is_damaged = false;
        chain.damage(self.segments[index].records_cut_off());
        loop {
            match scanner.next(bytes)? {
                Step::End => break,
                Step::Damage(damage) => {
                    chain.damage(damage.records);
                    is_damaged |= !damage.is_torn;
                }
                Step::Record(frame) => {
                    let missing = chain.follow(Link::of(&frame), frame.removed);
                    each(frame, missing);
                }
            }
        }
        if is_damaged {
            self.note_damage(number);
        }
        Ok(chain)
    }
}

/// A segment without its header, its first good record as it stands behind those that are `gone`; none when there is none.
fn retold(path: &Path, end: u64, chain: &mut Chain, gone: &[(u32, Removed)]) -> io::Result<Option<(Link, Vec<u8>)>> {
    let mut scanner = Scanner::open(path, HEADER_BYTES)?;
    loop {
        match scanner.next(end)? {
            Step::End => return Ok(None),
            Step::Damage(damage) => chain.damage(damage.records),
            Step::Record(frame) => {
                let link = Link::of(&frame);
                let missing = chain.follow(link, frame.removed);
                let own = gone.iter().filter(|(key, _)| *key == link.key).map(|(_, removed)| *removed);
                let removed = own.fold(missing, Removed::plus);
                let mut content = frame.tells(removed).encode();
                scanner.copy_rest(end, &mut content)?;
                return Ok(Some((link, content)));
            }
        }
    }
}
