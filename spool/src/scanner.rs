//! Reads a segment record by record, a piece of the file at a time, and finds the next good record behind a damaged one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::frame::{Frame, MARKER, PREFIX_BYTES, length};

const CHUNK_BYTES: u64 = 64 * 1024;

/// A position in one segment file.
pub(crate) struct Scanner {
    file: File,
    /// Bytes of the file from `base` on.
    window: Vec<u8>,
    base: u64,
    /// Position in the window.
    at: usize,
}

/// What stands at the position.
pub(crate) enum Step<'a> {
    Record(Frame<'a>),
    Damage(Damage),
    End,
}

/// Bytes that are no record.
pub(crate) struct Damage {
    /// At least so many records were there.
    pub(crate) records: u64,
    /// The file ends within a record: it was cut off while it was being written.
    pub(crate) is_torn: bool,
}

impl Scanner {
    pub(crate) fn open(path: &Path, position: u64) -> io::Result<Scanner> {
        Ok(Scanner { file: File::open(path)?, window: Vec::new(), base: position, at: 0 })
    }

    /// Where the next step begins.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next record or damage before `end`, the length of the file as far as it is known to be written.
    pub(crate) fn next(&mut self, end: u64) -> io::Result<Step<'_>> {
        if self.position() >= end {
            return Ok(Step::End);
        }
        let Some(range) = self.probe(end)? else { return self.pass_damage(end).map(Step::Damage) };
        self.at = range.end;
        let frame = Frame::decode(&self.window[range]).expect("it was decoded a moment ago");
        Ok(Step::Record(frame))
    }

    /// Adds all bytes from the position to `end`, good or not.
    pub(crate) fn copy_rest(&self, end: u64, content: &mut Vec<u8>) -> io::Result<()> {
        let start = content.len();
        content.resize(start + usize::try_from(end - self.position()).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(&mut content[start..], self.position())
    }

    /// The bytes of a good record at the position.
    fn probe(&mut self, end: u64) -> io::Result<Option<Range<usize>>> {
        let Some(bytes) = self.length_here(end)? else { return Ok(None) };
        if !self.fill(bytes, end)? {
            return Ok(None);
        }
        let range = self.at..self.at + bytes;
        Ok(Frame::decode(&self.window[range.clone()]).map(|_| range))
    }

    fn length_here(&mut self, end: u64) -> io::Result<Option<usize>> {
        Ok(if self.fill(PREFIX_BYTES, end)? { length(&self.window[self.at..]) } else { None })
    }

    /// Goes to the next good record, byte by byte: the length in a damaged record may be what is damaged.
    fn pass_damage(&mut self, end: u64) -> io::Result<Damage> {
        let is_cut = match self.length_here(end)? {
            Some(bytes) => self.position() + bytes as u64 > end,
            None => end - self.position() < PREFIX_BYTES as u64,
        };
        let mut markers = 0;
        loop {
            if !self.fill(MARKER.len(), end)? {
                (self.base, self.at) = (end, 0);
                self.window.clear();
                return Ok(Damage { records: markers.max(1), is_torn: is_cut && markers <= 1 });
            }
            match self.window[self.at..].windows(MARKER.len()).position(|bytes| bytes == MARKER) {
                None => self.at = self.window.len() - MARKER.len() + 1,
                Some(distance) => {
                    self.at += distance;
                    if self.probe(end)?.is_some() {
                        return Ok(Damage { records: markers.max(1), is_torn: false });
                    }
                    markers += 1;
                    self.at += 1;
                }
            }
        }
    }

    /// Whether so many bytes from the position on are there, after reading what was not yet read.
    fn fill(&mut self, bytes: usize, end: u64) -> io::Result<bool> {
        if self.position() + bytes as u64 > end {
            return Ok(false);
        }
        let wanted = self.at + bytes;
        if self.window.len() >= wanted {
            return Ok(true);
        }
        self.window.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        while self.window.len() < bytes {
            let from = self.base + self.window.len() as u64;
            let more = (end - from).min(CHUNK_BYTES.max((bytes - self.window.len()) as u64));
            let start = self.window.len();
            self.window.resize(start + usize::try_from(more).unwrap_or(usize::MAX), 0);
            let read = self.file.read_at(&mut self.window[start..], from);
            self.window.truncate(start + read.as_ref().copied().unwrap_or(0));
            match read {
                // shorter than it was
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
