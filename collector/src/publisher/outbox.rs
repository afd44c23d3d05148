//! The reports that Kafka has not acknowledged, in their order: those on disk, then those that the disk does not take.

use std::collections::VecDeque;
use std::io;

use spool::{AppendError, Record, Spool};
use wire_model::{Removed, ReportId};

/// Reports in memory while the disk takes none: more than an hour of a host without containers.
const TAIL_BYTES: usize = 4 * 1024 * 1024;

pub(crate) struct Outbox {
    spool: Spool,
    /// Behind all that is on disk; it goes there as soon as the disk takes it.
    tail: VecDeque<Record>,
    tail_bytes: usize,
    /// Of the tail, from its front, read and not acknowledged.
    tail_read: usize,
    /// Removed behind the last report that is kept.
    untold: Removed,
    /// Dropped here since the start.
    dropped: u64,
    /// The last report that came, and whose it is.
    last: Option<(ReportId, String)>,
    /// Why the disk does not take reports.
    problem: Option<String>,
}

impl Outbox {
    pub(crate) fn new(spool: Spool) -> Outbox {
        let (tail, untold) = (VecDeque::new(), Removed::default());
        Outbox { spool, tail, tail_bytes: 0, tail_read: 0, untold, dropped: 0, last: None, problem: None }
    }

    /// Keeps a report behind all others.
    pub(crate) fn push(&mut self, mut record: Record) {
        let (id, key) = (record.id, record.key.clone());
        record.removed = record.removed.plus(std::mem::take(&mut self.untold));
        self.tail_bytes += record.payload.len();
        self.tail.push_back(record);
        self.move_to_disk();
        while self.tail_bytes > TAIL_BYTES && self.tail_read < self.tail.len() {
            self.drop_at(self.tail_read);
        }
        // a restart would not know that there were more
        if self.spool.last_of_all() != Some(id) {
            self.spool.note_made(id, &key);
        }
        self.last = Some((id, key));
    }

    /// Reports up to this number were made, whether they came here or not.
    pub(crate) fn note_made(&mut self, seq: u64) {
        if let Some((last, key)) = self.last.as_ref().filter(|(last, _)| last.seq < seq) {
            self.spool.note_made(ReportId { seq, ..*last }, key);
        }
    }

    /// The next report in the order.
    pub(crate) fn read(&mut self) -> io::Result<Option<Record>> {
        if let Some(record) = self.spool.read()? {
            return Ok(Some(record));
        }
        let Some(record) = self.tail.get(self.tail_read) else { return Ok(None) };
        self.tail_read += 1;
        Ok(Some(Record { removed: self.spool.pass(record), ..record.clone() }))
    }

    /// The oldest `reports` of those that were read have arrived.
    pub(crate) fn acknowledge(&mut self, reports: usize) {
        let on_disk = reports.min(self.spool.in_flight());
        self.spool.acknowledge(on_disk);
        let in_memory = (reports - on_disk).min(self.tail_read);
        for record in self.tail.drain(..in_memory) {
            self.tail_bytes -= record.payload.len();
            self.spool.acknowledge_passed(&record);
        }
        self.tail_read -= in_memory;
    }

    /// The next report is again the first one that was not acknowledged.
    pub(crate) fn rewind(&mut self) {
        self.spool.rewind();
        self.tail_read = 0;
    }

    /// What is on disk and cannot be read is given up, up to the next segment.
    pub(crate) fn give_up_segment(&mut self) {
        self.spool.give_up_segment();
    }

    pub(crate) fn sync_if_due(&mut self) -> io::Result<()> {
        self.spool.sync_if_due()
    }

    /// Reports that are not acknowledged.
    pub(crate) fn waiting(&self) -> u64 {
        self.spool.waiting() + self.tail.len() as u64
    }

    /// When the oldest report that was read and is not acknowledged was made, in Unix ms.
    pub(crate) fn oldest_at(&self) -> Option<i64> {
        self.spool.oldest_at().or_else(|| self.tail.front().map(|record| record.at))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.spool.bytes()
    }

    /// What was removed since the start.
    pub(crate) fn removed(&self) -> Removed {
        self.spool.totals().removed.plus(Removed { dropped: self.dropped, ..Removed::default() })
    }

    fn move_to_disk(&mut self) {
        while let Some(record) = self.tail.front() {
            let is_read = self.tail_read > 0;
            match if is_read { self.spool.append_read(record) } else { self.spool.append(record) } {
                Ok(()) => {}
                Err(AppendError::Refused(reason)) => {
                    // it cannot be in flight: it would have been refused before it was
                    tracing::error!(reason, "a report cannot be kept and is lost");
                    self.drop_at(0);
                    continue;
                }
                Err(error) => {
                    self.say(Some(error.to_string()));
                    break;
                }
            }
            self.tail_bytes -= record.payload.len();
            self.tail.pop_front();
            self.tail_read -= usize::from(is_read);
        }
        if self.tail.is_empty() {
            self.say(None);
        }
    }

    /// The report after it tells of it.
    fn drop_at(&mut self, index: usize) {
        let Some(record) = self.tail.remove(index) else { return };
        self.tail_bytes -= record.payload.len();
        self.dropped += 1;
        let told = self.tail.get_mut(index).map_or(&mut self.untold, |next| &mut next.removed);
        *told = told.plus(record.removed).plus(Removed { dropped: 1, ..Removed::default() });
    }

    /// Once when it begins and once when it is over.
    fn say(&mut self, problem: Option<String>) {
        match (&self.problem, &problem) {
            (None, Some(reason)) => {
                tracing::error!(reason, "the spool takes no reports: they stay in memory, where a restart loses them");
            }
            (Some(_), None) => tracing::info!("the spool takes reports again"),
            _ => {}
        }
        self.problem = problem;
    }
}
