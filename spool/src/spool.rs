//! The spool itself: what is appended, read and acknowledged.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire_model::{Removed, ReportId};

use crate::chain::{Chain, Link};
use crate::frame::{self, Record};
use crate::note::Note;
use crate::quarantine::Quarantine;
use crate::scanner::{Scanner, Step};
use crate::segment::{self, HEADER_BYTES, Header, Segment};

/// The lowest limit: three records of the largest report that Kafka takes, and what a rewrite needs.
pub const SPOOL_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// The longest time that an appended record waits for its fsync, while it also waits to be acknowledged.
///
/// What a power failure can cost: the records of the last five seconds that were not delivered by then. Without waiting records there
/// is nothing to lose, so in good times the disk is never asked to sync; one fsync a report would be most of the collector's work.
/// `kill -9` costs nothing that was appended: the kernel has it.
pub const SYNC_EVERY: Duration = Duration::from_secs(5);
/// A segment is full at this share of the limit, so that thinning and dropping take small steps.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A segment of which everything is acknowledged is replaced when it is larger: in good times the spool is no larger.
const RECYCLE_BYTES: u64 = 64 * 1024;
/// From so many waiting records on there is an outage, and new ones are compressed so that a longer one fits.
const COMPRESS_FROM: u64 = 16;

/// Why a record was not appended. The spool is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk did not take it.
    #[error("write the spool: {0}")]
    Disk(#[from] io::Error),
    /// What is in the way is in flight.
    #[error("the spool is full of records that are in flight")]
    Full,
    /// It can never be appended.
    #[error("{0}")]
    Refused(&'static str),
}

/// What was removed since the spool was opened, and counted into the records that came after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Per reason.
    pub removed: Removed,
    /// Records whose successor is of another key, so that no record tells of their removal.
    pub unattributed: u64,
}

/// See the crate.
pub struct Spool {
    pub(crate) folder: PathBuf,
    pub(crate) max_bytes: u64,
    /// In order; the last one is appended to while `active` is its file. Each was made with a record in it.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) active: Option<File>,
    reader: Reader,
    /// Read and not acknowledged.
    unacknowledged: VecDeque<Unacknowledged>,
    acknowledged: Place,
    delivered: Note,
    /// The last record that was made, where it is not the last one here.
    made: Note,
    last: Option<Link>,
    unsynced_since: Option<Instant>,
    /// A segment was begun since the folder was synced.
    has_unsynced_entry: bool,
    pub(crate) quarantine: Quarantine,
    pub(crate) totals: Totals,
    _lock: File,
}

/// Behind a record.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    segment: u64,
    position: u64,
    chain: Chain,
}

struct Unacknowledged {
    behind: Place,
    link: Link,
    at: i64,
}

struct Reader {
    place: Place,
    scanner: Option<Scanner>,
    /// Damage up to here was counted.
    counted: (u64, u64),
}

impl Spool {
    /// Opens the spool in `folder`, made when missing. Reads all that is in it once; changes nothing but what a crash left half done.
    ///
    /// An error when the folder cannot be used, another process has it, or a newer version wrote it.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Spool> {
        fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        let (delivered, done) = Note::open(folder, "delivered")?;
        let (made, last_made) = Note::open(folder, "made")?;
        let mut spool = Spool {
            folder: folder.to_owned(),
            max_bytes,
            segments: VecDeque::new(),
            active: None,
            reader: Reader { place: Place::default(), scanner: None, counted: (0, 0) },
            unacknowledged: VecDeque::new(),
            acknowledged: Place::default(),
            delivered,
            made,
            last: done,
            unsynced_since: None,
            has_unsynced_entry: false,
            quarantine: Quarantine::open(folder, max_bytes),
            totals: Totals::default(),
            _lock: lock,
        };
        let mut former = None;
        for number in segment::list(folder)? {
            former = match spool.take_up(number, former, done) {
                Err(error) if segment::is_unreadable(&error) => {
                    spool.do_without(number, done, &error);
                    None
                }
                taken => taken?,
            };
        }
        spool.last = newest([spool.last, last_made]);
        spool.acknowledged.chain = Chain::after(newest([done, spool.acknowledged.chain.last]));
        if let Some(first) = spool.segments.iter().find(|segment| segment.number == spool.acknowledged.segment) {
            spool.acknowledged.chain.damage(first.records_cut_off());
        }
        spool.rewind();
        let waits = spool.waiting() > 0;
        (spool.unsynced_since, spool.has_unsynced_entry) = (waits.then(Instant::now), waits);
        Ok(spool)
    }

    /// One segment at the opening, in their order; `former` is the last record of the one before it. Returns its own last one.
    fn take_up(&mut self, number: u64, former: Option<Link>, done: Option<Link>) -> io::Result<Option<Link>> {
        let path = segment::path(&self.folder, number);
        let file = File::options().read(true).write(true).open(&path)?;
        let bytes = file.metadata()?.len();
        let header = Header::read(&file)?;
        let mut segment = Segment { number, bytes, unread: 0, header: header.unwrap_or_default(), is_damaged: false };
        let mut scanner = Scanner::open(&path, HEADER_BYTES)?;
        let (mut last, mut is_damaged, mut is_whole) = (None, header.is_none(), bytes > HEADER_BYTES);
        loop {
            match scanner.next(bytes)? {
                Step::End => break,
                Step::Damage(damage) => {
                    is_damaged |= !damage.is_torn;
                    is_whole = false;
                }
                Step::Record(frame) => {
                    is_whole = true;
                    let link = Link::of(&frame);
                    last = newest([last, Some(link)]);
                    if done.is_none_or(|done| link.id > done.id) || segment.unread > 0 {
                        segment.unread += 1;
                    } else {
                        let position = scanner.position();
                        self.acknowledged = Place { segment: number, position, chain: Chain::after(Some(link)) };
                    }
                }
            }
        }
        // this segment tells of the former one's records: the drop had only the file left to delete
        if let (Some(former), Some(before)) = (former, segment.header.before)
            && before.id < former.id
            && last.is_some()
            && let Some(told) = self.segments.pop_back()
        {
            fs::remove_file(segment::path(&self.folder, told.number))?;
        }
        if self.segments.is_empty() && self.acknowledged.segment != number {
            let chain = Chain::after(segment.header.before);
            self.acknowledged = Place { segment: number, position: HEADER_BYTES, chain };
        }
        self.last = newest([self.last, segment.header.before, last]);
        self.segments.push_back(segment);
        if is_damaged {
            self.note_damage(number);
        }
        // behind a torn record nothing is appended; it is found and counted when it is read
        self.active = (is_whole && header.is_some()).then_some(file);
        Ok(last)
    }

    /// A segment that cannot be read does not keep all others from being used.
    fn do_without(&mut self, number: u64, done: Option<Link>, reason: &io::Error) {
        self.active = None;
        let emptied = self.quarantine_unreadable(number, self.last, reason).and_then(|_| self.take_up(number, None, done));
        if let Err(error) = emptied {
            tracing::warn!(%error, number, "a segment that cannot be read stays where it is; the numbers tell what it held");
        }
    }

    /// Appends a record behind all others; it stays, whatever becomes of this process. May remove older ones to make room.
    pub fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        if self.last.is_some_and(|last| record.id <= last.id) {
            return Err(AppendError::Refused("a record does not come after the last one"));
        }
        if !frame::fits(record) {
            return Err(AppendError::Refused("a record is too large for the spool"));
        }
        let bytes = frame::encode(record, self.waiting() >= COMPRESS_FROM);
        self.make_room(HEADER_BYTES + bytes.len() as u64)?;
        if self.is_next_segment_due(bytes.len() as u64) {
            self.begin_segment(&bytes)?;
        } else if let (Some(file), Some(segment)) = (&self.active, self.segments.back_mut()) {
            if let Err(error) = file.write_all_at(&bytes, segment.bytes) {
                // nothing may follow half a record
                if file.set_len(segment.bytes).is_err() {
                    self.active = None;
                }
                return Err(error.into());
            }
            segment.bytes += bytes.len() as u64;
            segment.unread += 1;
        }
        self.last = Some(Link::new(record.id, &record.key));
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Appends a record that was handed on without the spool ([`Spool::pass`]) when everything in the spool was read, and is not
    /// acknowledged: it counts as read.
    pub fn append_read(&mut self, record: &Record) -> Result<(), AppendError> {
        self.append(record)?;
        self.segments.iter_mut().for_each(|segment| segment.unread = 0);
        let Some(segment) = self.segments.back() else { return Ok(()) };
        let link = Link::new(record.id, &record.key);
        let place = &mut self.reader.place;
        (place.segment, place.position) = (segment.number, segment.bytes);
        self.reader.scanner = None;
        let behind = Place { chain: Chain::after(Some(link)), ..*place };
        self.unacknowledged.push_back(Unacknowledged { behind, link, at: record.at });
        Ok(())
    }

    /// A record is not appended, and is or may be lost: after a restart [`Spool::last`] is this one nevertheless, so that it is missed.
    pub fn note_made(&mut self, id: ReportId, key: &str) {
        self.made.set(Link::new(id, key), "cannot note the last report that was made; what a restart loses is not counted");
    }

    fn is_next_segment_due(&self, bytes: u64) -> bool {
        let (Some(_), Some(segment)) = (&self.active, self.segments.back()) else { return true };
        let is_full = segment.bytes + bytes > self.segment_bytes();
        is_full || (segment.bytes > RECYCLE_BYTES && self.waiting() == 0)
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        (self.max_bytes / SEGMENTS).min(SEGMENT_BYTES_MAX)
    }

    /// A new segment with its first record; what is in the former ones is on disk then.
    fn begin_segment(&mut self, record: &[u8]) -> io::Result<()> {
        if self.waiting() > 0 {
            self.sync()?;
        }
        let number = self.segments.back().map_or(1, |segment| segment.number + 1);
        let header = Header { is_thinned: false, before: self.last };
        let content = [&header.encode(), record].concat();
        let path = segment::path(&self.folder, number);
        let write = || {
            let file = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
            file.write_all_at(&content, 0).map(|()| file)
        };
        let file = write().inspect_err(|_| drop(fs::remove_file(&path)))?;
        self.active = Some(file);
        self.has_unsynced_entry = true;
        self.segments.push_back(Segment { number, bytes: content.len() as u64, unread: 1, header, is_damaged: false });
        Ok(())
    }

    /// The next record that was not read yet, with what was removed before it; `None` when there is none. It stays in the spool until
    /// it is acknowledged.
    ///
    /// After an error the same record comes again; see [`Spool::give_up_segment`].
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(index) = self.segments.iter().position(|segment| segment.number >= self.reader.place.segment) else {
                return Ok(None);
            };
            if self.segments[index].number > self.reader.place.segment {
                self.reader.enter(&self.segments[index]);
            }
            let (number, bytes) = (self.segments[index].number, self.segments[index].bytes);
            let reader = &mut self.reader;
            let scanner = match &mut reader.scanner {
                Some(scanner) => scanner,
                None => reader.scanner.insert(Scanner::open(&segment::path(&self.folder, number), reader.place.position)?),
            };
            let step = scanner.next(bytes)?;
            match step {
                Step::End => {
                    let Some(next) = self.segments.get(index + 1) else { return Ok(None) };
                    reader.enter(next);
                    self.segments[index].unread = 0;
                }
                Step::Damage(damage) => {
                    reader.place.chain.damage(damage.records);
                    if !damage.is_torn {
                        self.note_damage(number);
                    }
                }
                Step::Record(frame) => {
                    let said = frame.removed;
                    let Some(mut record) = frame.record() else {
                        reader.place.chain.damage(1);
                        continue;
                    };
                    let link = Link::of(&frame);
                    record.removed = reader.place.chain.follow(link, said);
                    reader.place.position = scanner.position();
                    let place = (number, reader.place.position);
                    if place > reader.counted {
                        reader.counted = place;
                        let more = record.removed.damaged.saturating_sub(said.damaged);
                        self.totals.removed = self.totals.removed.plus(Removed { damaged: more, ..Removed::default() });
                    }
                    let behind = reader.place;
                    self.segments[index].unread = self.segments[index].unread.saturating_sub(1);
                    self.unacknowledged.push_back(Unacknowledged { behind, link, at: record.at });
                    return Ok(Some(record));
                }
            }
        }
    }

    /// Goes on behind the segment that cannot be read, and counts what was left in it as damaged.
    pub fn give_up_segment(&mut self) {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == self.reader.place.segment) else { return };
        self.reader.place.chain.damage(std::mem::take(&mut segment.unread));
        self.reader.scanner = None;
        if self.segments.back().is_some_and(|last| last.number == self.reader.place.segment) {
            self.active = None;
        }
        self.reader.place.segment += 1;
        self.reader.place.position = HEADER_BYTES;
    }

    /// The next unread record is again the first one that is not acknowledged.
    pub fn rewind(&mut self) {
        for entry in self.unacknowledged.drain(..) {
            if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == entry.behind.segment) {
                segment.unread += 1;
            }
        }
        self.reader.place = self.acknowledged;
        self.reader.scanner = None;
    }

    /// The oldest `records` of those that were read are no longer needed.
    pub fn acknowledge(&mut self, records: usize) {
        let Some(last) = self.unacknowledged.drain(..records.min(self.unacknowledged.len())).next_back() else { return };
        self.acknowledged = last.behind;
        // deleted behind this one only: what is missing before it is told by it
        self.note_delivered(last.link);
        while self.segments.front().is_some_and(|segment| segment.number < self.acknowledged.segment) {
            let number = self.segments[0].number;
            if let Err(error) = fs::remove_file(segment::path(&self.folder, number))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, number, "cannot delete a delivered segment of the spool; it is tried again");
                break;
            }
            self.segments.pop_front();
        }
        if self.waiting() == 0 {
            self.unsynced_since = None;
        }
    }

    /// A record that is handed on without the spool, because the disk does not take it, when everything in the spool was read: what is
    /// missing before it.
    pub fn pass(&mut self, record: &Record) -> Removed {
        self.reader.place.chain.follow(Link::new(record.id, &record.key), record.removed)
    }

    /// Such a record is no longer needed, nor any in the spool.
    pub fn acknowledge_passed(&mut self, record: &Record) {
        let link = Link::new(record.id, &record.key);
        self.last = newest([self.last, Some(link)]);
        self.acknowledged = Place { chain: Chain::after(Some(link)), ..self.reader.place };
        self.note_delivered(link);
    }

    fn note_delivered(&mut self, link: Link) {
        self.delivered.set(link, "cannot note what was delivered; after a crash it is sent again");
    }

    /// To be called every second or so: syncs what was appended more than [`SYNC_EVERY`] ago and still waits.
    pub fn sync_if_due(&mut self) -> io::Result<()> {
        match self.unsynced_since {
            Some(since) if since.elapsed() >= SYNC_EVERY && self.waiting() > 0 => self.sync(),
            _ => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.unsynced_since = None;
        self.active.as_ref().map_or(Ok(()), File::sync_data)?;
        if self.has_unsynced_entry {
            segment::sync_entries(&self.folder)?;
            self.has_unsynced_entry = false;
        }
        Ok(())
    }

    /// The last record that was ever appended, or noted as made before the opening, if it was of this key; it is known as long as the
    /// folder is.
    pub fn last(&self, key: &str) -> Option<ReportId> {
        self.last.filter(|last| *last == Link::new(last.id, key)).map(|last| last.id)
    }

    /// The last record that was ever appended, whosever it was.
    pub fn last_of_all(&self) -> Option<ReportId> {
        self.last.map(|last| last.id)
    }

    /// Records that are not acknowledged.
    pub fn waiting(&self) -> u64 {
        self.unread() + self.unacknowledged.len() as u64
    }

    /// Records that were not read yet.
    pub fn unread(&self) -> u64 {
        self.segments.iter().map(|segment| segment.unread).sum()
    }

    /// Records that were read and are not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.unacknowledged.len()
    }

    /// When the oldest record that was read and is not acknowledged was made, in Unix ms.
    pub fn oldest_at(&self) -> Option<i64> {
        self.unacknowledged.front().map(|entry| entry.at)
    }

    /// Bytes on disk, with the copies of damaged segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum::<u64>() + self.quarantine.bytes()
    }

    /// What was removed.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Segments that may be changed: nothing in them was read, and they are not appended to. First and last index + 1.
    pub(crate) fn removable(&self) -> std::ops::Range<usize> {
        let first = self.segments.iter().take_while(|segment| segment.number <= self.reader.place.segment).count();
        first..self.segments.len().saturating_sub(1).max(first)
    }

    /// Says so once, and keeps a copy.
    pub(crate) fn note_damage(&mut self, number: u64) {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) else { return };
        if std::mem::replace(&mut segment.is_damaged, true) {
            return;
        }
        let path = segment::path(&self.folder, number);
        tracing::warn!(segment = %path.display(), "a segment of the spool is damaged: what can be read of it is kept");
        if let Err(error) = self.quarantine.keep(&path) {
            tracing::warn!(%error, segment = %path.display(), "cannot keep a copy of the damaged segment");
        }
    }
}

impl Reader {
    fn enter(&mut self, segment: &Segment) {
        self.place.segment = segment.number;
        self.place.position = HEADER_BYTES;
        self.scanner = None;
        self.place.chain.damage(segment.records_cut_off());
    }
}

fn newest<const N: usize>(links: [Option<Link>; N]) -> Option<Link> {
    links.into_iter().flatten().filter(|link| link.id != ReportId::default()).max_by_key(|link| link.id)
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::WouldBlock, "another process uses it")),
    }
}
