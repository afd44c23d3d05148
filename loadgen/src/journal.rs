//! The journal: what was given to Kafka, and what became of it. Append-only, one record a line, fields separated by tabs (names have
//! no control characters, JSON writes them as `\t`):
//!
//! ```text
//! sent          HOST  EPOCH  SEQ  {the whole report, byte for byte}
//! acknowledged  HOST  EPOCH  SEQ  PARTITION  OFFSET
//! failed        HOST  EPOCH  SEQ  what Kafka's client said
//! ```
//!
//! A record is written through before the report goes on, so a program that is killed leaves at most one unfinished last line, of a
//! report that was never sent. Several runs may share one journal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use wire_model::ReportId;

/// Writes; shared by the one who sends and the one who hears of deliveries.
pub(crate) struct Writer {
    file: Mutex<File>,
    /// The first error, to be told where it can be handled.
    broken: Mutex<Option<io::Error>>,
}

impl Writer {
    pub(crate) fn append_to(path: &Path) -> io::Result<Writer> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Writer { file: Mutex::new(file), broken: Mutex::default() })
    }

    pub(crate) fn sent(&self, host: &str, id: ReportId, message: &[u8]) {
        let mut line = format!("sent\t{host}\t{}\t{}\t", id.epoch, id.seq).into_bytes();
        line.extend_from_slice(message);
        line.push(b'\n');
        self.write(&line);
    }

    pub(crate) fn acknowledged(&self, host: &str, id: ReportId, partition: i32, offset: i64) {
        self.write(format!("acknowledged\t{host}\t{}\t{}\t{partition}\t{offset}\n", id.epoch, id.seq).as_bytes());
    }

    pub(crate) fn failed(&self, host: &str, id: ReportId, why: &str) {
        let why = why.replace(char::is_control, " ");
        self.write(format!("failed\t{host}\t{}\t{}\t{why}\n", id.epoch, id.seq).as_bytes());
    }

    /// The first error since the last call.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn write(&self, line: &[u8]) {
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);
        if let Err(error) = written {
            self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}

/// All journals of a run, by host and report. The reports themselves stay in the files.
#[derive(Default)]
pub(crate) struct Journals {
    files: Vec<File>,
    pub(crate) hosts: BTreeMap<String, BTreeMap<ReportId, Entry>>,
}

/// One report.
#[derive(Default)]
pub(crate) struct Entry {
    /// Where it stands: the first that was journaled of this name.
    message: Option<Place>,
    pub(crate) acknowledged: bool,
    /// In all journals: one that is in its sender's and not in the topic's has one only.
    pub(crate) acknowledgements: u32,
    /// Partition and offset, as it was acknowledged first.
    pub(crate) position: Option<(i32, i64)>,
    /// It is in the dead-letter topic.
    pub(crate) rejected: bool,
}

#[derive(Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    bytes: usize,
}

impl Journals {
    /// Adds a journal. What an earlier one says of a report stands.
    pub(crate) fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        let file = File::open(path).with_context(|| format!("open the journal {}", path.display()))?;
        let mut lines = BufReader::with_capacity(1 << 20, file.try_clone().context("open the journal again")?);
        let (mut line, mut start, mut number) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).context("read the journal")?;
            number += 1;
            // the end, or the line during which its writer was killed
            if line.pop() != Some(b'\n') {
                break;
            }
            self.add(&line, self.files.len(), start)
                .with_context(|| format!("read line {number} of the journal {}", path.display()))?;
            start += length as u64;
        }
        self.files.push(file);
        Ok(())
    }

    /// Adds what was recorded of the dead-letter topic.
    pub(crate) fn read_dead_letters(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut dead = Journals::default();
        dead.read(path)?;
        for (host, entries) in dead.hosts {
            let known = self.hosts.entry(host).or_default();
            entries.into_keys().for_each(|id| known.entry(id).or_default().rejected = true);
        }
        Ok(())
    }

    fn add(&mut self, line: &[u8], file: usize, start: u64) -> anyhow::Result<()> {
        let fields: Vec<&[u8]> = line.splitn(5, |byte| *byte == b'\t').collect();
        let [kind, host, epoch, seq, rest] = fields[..] else { bail!("a record has five fields or more") };
        let number = |field: &[u8]| -> anyhow::Result<u64> { Ok(std::str::from_utf8(field)?.parse()?) };
        let id = ReportId { epoch: number(epoch)?, seq: number(seq)? };
        let host = std::str::from_utf8(host)?;
        if !self.hosts.contains_key(host) {
            self.hosts.insert(host.to_owned(), BTreeMap::new());
        }
        let entry = self.hosts.get_mut(host).expect("it was just made").entry(id).or_default();
        match kind {
            b"sent" => {
                let place = Place { file, offset: start + (line.len() - rest.len()) as u64, bytes: rest.len() };
                entry.message.get_or_insert(place);
            }
            b"acknowledged" => {
                let (partition, offset) = std::str::from_utf8(rest)?.split_once('\t').context("find the offset")?;
                entry.acknowledged = true;
                entry.position.get_or_insert((partition.parse()?, offset.parse()?));
                entry.acknowledgements += 1;
            }
            b"failed" => {}
            other => bail!("\"{}\" is no kind of record", String::from_utf8_lossy(other)),
        }
        Ok(())
    }

    /// The report as it was sent; `None` for a mark without one.
    pub(crate) fn message(&self, entry: &Entry) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(place) = entry.message else { return Ok(None) };
        let mut message = vec![0; place.bytes];
        self.files[place.file].read_exact_at(&mut message, place.offset).context("read a report from the journal")?;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ReportId = ReportId { epoch: 7, seq: 1 };

    fn read(path: &Path) -> anyhow::Result<Journals> {
        let mut journals = Journals::default();
        journals.read(path)?;
        Ok(journals)
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for seq in 1..=3 {
            // each time a run of its own
            let journal = Writer::append_to(&path).unwrap();
            let id = ReportId { seq, ..ID };
            journal.sent("a b", id, format!("{{\"seq\":{seq}}}").as_bytes());
            match seq {
                1 => journal.acknowledged("a b", id, 4, 99),
                2 => journal.failed("a b", id, "timed\tout"),
                _ => {}
            }
            journal.check().unwrap();
        }
        let journals = read(&path).unwrap();
        let entries = &journals.hosts["a b"];
        let seen: Vec<_> = entries
            .iter()
            .map(|(id, entry)| (id.seq, entry.acknowledged, entry.position, journals.message(entry).unwrap().unwrap()))
            .collect();
        let message = |seq: u64| format!("{{\"seq\":{seq}}}").into_bytes();
        assert_eq!(seen, [(1, true, Some((4, 99)), message(1)), (2, false, None, message(2)), (3, false, None, message(3))]);
    }

    #[test]
    fn an_unfinished_last_line_was_never_sent_and_any_other_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Writer::append_to(&path).unwrap().sent("a", ID, b"{}");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path).unwrap().hosts.len(), 0, "{length} bytes");
        }
        for line in ["\n", "sent\ta\t1\n", "sent\ta\tx\t1\t{}\n", "lent\ta\t1\t1\t{}\n", "acknowledged\ta\t1\t1\t5\n"] {
            std::fs::write(&path, line).unwrap();
            let error = format!("{:#}", read(&path).err().expect("a bad line"));
            assert!(error.starts_with("read line 1 of the journal"), "{error}");
        }
    }
}
