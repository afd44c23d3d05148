//! Whatever bytes a segment file holds: the spool opens, reads to an end, reads the same again, and goes on.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spool::{Record, Spool};
use tempfile::TempDir;
use wire_model::{Removed, ReportId};

const MARKER: [u8; 4] = [0x9e, 0xf3, 0x53, 0xb1];
const PREFIX_BYTES: usize = 12;
const SHORTEST_RECORD: usize = PREFIX_BYTES + 51;
const MAX_BYTES: u64 = 1 << 20;

/// In memory where there is such a folder: millions of files are written.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::tempdir_in(parent).expect("a scratch folder")
});

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut segment = bytes.to_vec();
    // with checksums that are right the fuzzer comes behind them
    if kind & 1 == 1 {
        correct_checksums(&mut segment);
    }
    for entry in fs::read_dir(FOLDER.path()).expect("read the folder") {
        let path = entry.expect("read the folder").path();
        if path.is_file() { fs::remove_file(&path) } else { fs::remove_dir_all(&path) }.expect("clean the folder");
    }
    fs::write(FOLDER.path().join("00000000000000000001.segment"), &segment).expect("write the segment");
    let Ok(mut spool) = Spool::open(FOLDER.path(), MAX_BYTES) else { return };
    let first = read_all(&mut spool, segment.len());
    spool.rewind();
    assert_eq!(read_all(&mut spool, segment.len()), first);
    if kind & 2 == 2 {
        spool.acknowledge(first.len() / 2);
    }
    let seq = spool.last_of_all().unwrap_or_default();
    let next = Record { id: ReportId { seq: seq.seq.wrapping_add(1), ..seq }, key: "host".to_owned(), ..Record::default() };
    let appended = spool.append(&next).is_ok();
    drop(spool);

    let mut spool = Spool::open(FOLDER.path(), MAX_BYTES).expect("it was opened before");
    let rest = read_all(&mut spool, segment.len() + SHORTEST_RECORD + 4);
    if appended {
        assert_eq!(rest.last().map(|record| record.id), Some(next.id));
    }
    if kind & 2 == 0 {
        let same = first.iter().zip(&rest).all(|(first, again)| (first.id, &first.payload) == (again.id, &again.payload));
        assert!(same && rest.len() == first.len() + usize::from(appended));
    }
    spool.acknowledge(rest.len());
    assert_eq!(spool.in_flight(), 0);
    let sum = rest.iter().fold(Removed::default(), |sum, record| sum.plus(record.removed));
    assert!(sum.damaged >= spool.totals().removed.damaged);
});

fn read_all(spool: &mut Spool, bytes: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(record) = spool.read().expect("the file can be read") {
        records.push(record);
        assert!(records.len() <= bytes / SHORTEST_RECORD, "more records than there is room for");
    }
    records
}

/// Behind every marker: of the length that is there, or of all that is left when it leads behind the end.
fn correct_checksums(segment: &mut [u8]) {
    correct_header(segment);
    let mut at = 0;
    while at + SHORTEST_RECORD <= segment.len() {
        if segment[at..at + 4] != MARKER {
            at += 1;
            continue;
        }
        let left = segment.len() - at - PREFIX_BYTES;
        let told = u32::from_le_bytes(segment[at + 4..at + 8].try_into().expect("four bytes")) as usize;
        let length = if (51..=left).contains(&told) { told } else { left };
        segment[at + 4..at + 8].copy_from_slice(&(length as u32).to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&segment[at + 4..at + 8]);
        hasher.update(&segment[at + PREFIX_BYTES..at + PREFIX_BYTES + length]);
        segment[at + 8..at + PREFIX_BYTES].copy_from_slice(&hasher.finalize().to_le_bytes());
        at += PREFIX_BYTES + length;
    }
}

fn correct_header(segment: &mut [u8]) {
    if segment.len() >= 33 {
        segment[..8].copy_from_slice(b"smspool\x01");
        let crc = crc32fast::hash(&segment[..29]);
        segment[29..33].copy_from_slice(&crc.to_le_bytes());
    }
}
