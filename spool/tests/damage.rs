//! Segments that are cut off or damaged: everything that is whole is read, in order, and what is not is counted.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};

use spool::{Record, Spool};
use wire_model::{Removed, ReportId};

const MAX_BYTES: u64 = 1_000_000;

fn record(epoch: u64, seq: u64) -> Record {
    let payload = format!("{epoch} {seq} {}", "x".repeat((seq % 3) as usize * 5)).into_bytes();
    Record { id: ReportId { epoch, seq }, at: 1, removed: Removed::default(), key: "host".to_owned(), payload }
}

/// Two epochs, as two starts leave them.
fn records() -> Vec<Record> {
    (1..=5).map(|seq| record(1, seq)).chain((1..=4).map(|seq| record(2, seq))).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    paths
}

/// The bytes of one segment with these records, and where each of them ends.
fn segment(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let mut ends = Vec::new();
    for record in records {
        spool.append(record).unwrap();
        ends.push(usize::try_from(spool.bytes()).unwrap());
    }
    let paths = segments(folder.path());
    assert_eq!(paths.len(), 1);
    (fs::read(&paths[0]).unwrap(), ends)
}

fn read_all(spool: &mut Spool) -> Vec<Record> {
    std::iter::from_fn(|| spool.read().unwrap()).collect()
}

/// Opens a spool of this one segment, adds a record of the next start, and reads all: what came, and how many are said to be damaged.
fn recover(bytes: &[u8]) -> (Vec<Record>, u64, Vec<PathBuf>) {
    let folder = scratch::folder();
    fs::write(folder.path().join("00000000000000000001.segment"), bytes).unwrap();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    spool.append(&record(3, 1)).unwrap();
    let mut read = read_all(&mut spool);
    spool.rewind();
    assert_eq!(read_all(&mut spool), read, "the same again");
    let removed = read.iter().fold(Removed::default(), |sum, record| sum.plus(record.removed));
    assert_eq!((removed.thinned, removed.dropped), (0, 0));
    assert_eq!(spool.totals().removed, removed);
    assert_eq!(read.pop().map(|record| record.id), Some(ReportId { epoch: 3, seq: 1 }));
    spool.acknowledge(usize::MAX);
    assert_eq!(spool.waiting(), 0);
    let copies = fs::read_dir(folder.path().join("quarantine")).unwrap().map(|entry| entry.unwrap().path()).collect();
    (read, removed.damaged, copies)
}

fn ids(records: &[Record]) -> Vec<ReportId> {
    records.iter().map(|record| record.id).collect()
}

#[test]
fn a_segment_that_is_cut_anywhere_keeps_all_records_before_the_cut() {
    let records = records();
    let (bytes, ends) = segment(&records);
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let (read, damaged, copies) = recover(&bytes[..cut]);
        assert_eq!(ids(&read), ids(&records[..whole]), "cut at {cut}");
        let is_torn = !ends.contains(&cut);
        assert_eq!(damaged, u64::from(is_torn), "cut at {cut}");
        assert!(copies.is_empty() || cut < 33, "nothing but a record that was being written is missing: cut at {cut}");
    }
}

#[test]
fn any_flipped_bit_costs_the_record_it_is_in_and_is_counted() {
    let records = records();
    let (bytes, ends) = segment(&records);
    let header = bytes.len() - ends.last().unwrap() + 33;
    for bit in 0..bytes.len() * 8 {
        let mut damaged_bytes = bytes.clone();
        damaged_bytes[bit / 8] ^= 1 << (bit % 8);
        let (read, damaged, copies) = recover(&damaged_bytes);
        let hit = ends.iter().position(|end| bit / 8 < *end).filter(|_| bit / 8 >= header);
        let kept: Vec<Record> =
            records.iter().enumerate().filter(|(index, _)| Some(*index) != hit).map(|(_, record)| record.clone()).collect();
        assert_eq!(ids(&read), ids(&kept), "bit {bit}");
        assert!(read.iter().zip(&kept).all(|(read, kept)| read.payload == kept.payload));
        assert_eq!(damaged, u64::from(hit.is_some()), "bit {bit}");
        // a length that leads behind the end looks like a record that was being written
        assert!(copies.len() == 1 || hit == Some(records.len() - 1), "bit {bit}");
    }
}

/// A spool of several segments: its folder, and all records.
fn long_spool(spool: &mut Spool) -> Vec<Record> {
    let payload = || (0..300).map(|_| fastrand::u8(..)).collect();
    let records: Vec<Record> = (1..=1_500).map(|seq| Record { payload: payload(), ..record(1, seq) }).collect();
    records.iter().for_each(|record| spool.append(record).unwrap());
    records
}

#[test]
fn damage_that_comes_while_the_spool_is_open_is_passed_and_counted() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let records = long_spool(&mut spool);
    let paths = segments(folder.path());
    assert!(paths.len() > 3);
    // a hole of a disk's sector, not quite at the end, and all of another segment
    let mut bytes = fs::read(&paths[1]).unwrap();
    let hole = bytes.len() / 2;
    bytes[hole..hole + 512].fill(0);
    fs::write(&paths[1], &bytes).unwrap();
    let zeros = vec![0; usize::try_from(fs::metadata(&paths[2]).unwrap().len()).unwrap()];
    fs::write(&paths[2], zeros).unwrap();

    let read = read_all(&mut spool);
    let mut expected = 0;
    for record in &read {
        expected += record.removed.damaged + 1;
        assert_eq!(record.id.seq, expected, "in order, and what is missing is told");
    }
    assert_eq!(expected, records.len() as u64);
    assert!(read.len() > records.len() / 2 && read.len() < records.len());
    assert_eq!(spool.totals().removed.damaged, (records.len() - read.len()) as u64);
    let mut copies = fs::read_dir(folder.path().join("quarantine")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!([copies.next(), copies.next()].iter().flatten().all(|name| paths.iter().any(|path| path.ends_with(name))));
}

#[test]
fn a_segment_that_cannot_be_read_at_all_is_given_up_and_counted() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let records = long_spool(&mut spool);
    let paths = segments(folder.path());
    // neither the superuser can read a folder as a file
    fs::remove_file(&paths[1]).unwrap();
    fs::create_dir(&paths[1]).unwrap();
    let mut read = Vec::new();
    let error = loop {
        match spool.read() {
            Ok(record) => read.push(record.unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(spool.read().unwrap_err().kind(), error.kind(), "it stays where it is");
    spool.give_up_segment();
    read.extend(read_all(&mut spool));
    let damaged: u64 = read.iter().map(|record| record.removed.damaged).sum();
    assert_eq!(damaged + read.len() as u64, records.len() as u64);
    assert!(damaged > 0);
    fs::remove_dir(&paths[1]).unwrap();
    spool.acknowledge(usize::MAX);
    assert_eq!(spool.waiting(), 0);
}

/// In place of a segment: opens like one, and no byte of it can be read, as on a bad disk.
fn make_unreadable(segment: &Path) {
    fs::remove_file(segment).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", segment).unwrap();
    let error = fs::read(segment).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
}

/// What came and what is told to be missing are all of epoch 1 behind `last`, in order.
fn account(read: &[Record], mut last: u64, made: u64) -> Removed {
    let mut sum = Removed::default();
    for record in read.iter().filter(|record| record.id.epoch == 1) {
        assert_eq!(last + record.removed.total() + 1, record.id.seq);
        (last, sum) = (record.id.seq, sum.plus(record.removed));
    }
    assert_eq!(last, made);
    sum
}

#[test]
fn a_segment_that_cannot_be_read_stops_no_start() {
    for (which, told) in [(0, true), (2, true), (usize::MAX, false)] {
        let folder = scratch::folder();
        let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
        let made = long_spool(&mut spool).len() as u64;
        let arrived = (0..10).map(|_| spool.read().unwrap().unwrap().id.seq).max().unwrap();
        spool.acknowledge(10);
        drop(spool);
        let paths = segments(folder.path());
        let path = &paths[which.min(paths.len() - 1)];
        make_unreadable(path);
        for _ in 0..2 {
            let spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
            assert!(spool.waiting() > made / 2 && spool.waiting() < made);
        }
        let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
        spool.append(&record(2, 1)).unwrap();
        let read = read_all(&mut spool);
        assert_eq!(read.last().unwrap().id, ReportId { epoch: 2, seq: 1 });
        if told {
            let removed = account(&read, arrived, made);
            assert_eq!((removed.damaged, removed.total()), (made - arrived + 1 - read.len() as u64, removed.damaged));
        } else {
            // nobody knows how many there were
            assert_eq!(read.last().unwrap().removed, Removed { damaged: 1, ..Removed::default() });
        }
        assert_eq!(spool.totals().removed.damaged, read.iter().map(|record| record.removed.damaged).sum::<u64>());
        let name = path.file_name().unwrap();
        assert!(fs::symlink_metadata(folder.path().join("quarantine").join(name)).unwrap().is_symlink(), "it is kept");
        spool.acknowledge(usize::MAX);
        assert_eq!(spool.waiting(), 0);
    }
}

#[test]
fn a_segment_that_cannot_be_read_is_not_in_the_way_of_thinning_and_dropping() {
    for broken in [[1, 3], [2, 9], [8, 9]] {
        let folder = scratch::folder();
        let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
        let mut made = long_spool(&mut spool).len() as u64;
        let before = segments(folder.path());
        let mut is_thinned = false;
        let mut append = |spool: &mut Spool, count: u64| {
            for seq in made + 1..=made + count {
                let payload = (0..3_000).map(|_| fastrand::u8(..)).collect();
                spool.append(&Record { payload, ..record(1, seq) }).unwrap();
                is_thinned |= spool.totals().removed.thinned > 0;
            }
            made += count;
        };
        append(&mut spool, 100);
        for index in broken {
            make_unreadable(before.get(index).unwrap_or(&segments(folder.path())[index]));
        }
        append(&mut spool, 4_000);
        let totals = spool.totals().removed;
        assert!(is_thinned && totals.dropped > 0);
        let read = read_all(&mut spool);
        let removed = account(&read, 0, made);
        assert!(removed.damaged > 0 && removed.total() + read.len() as u64 == made, "{removed:?}");
    }
}

#[test]
fn copies_of_damaged_segments_are_bounded_in_number_and_bytes() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    long_spool(&mut spool);
    drop(spool);
    let paths = segments(folder.path());
    for path in &paths {
        let mut bytes = fs::read(path).unwrap();
        bytes[100] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let copies = fs::read_dir(folder.path().join("quarantine")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let (mut files, mut bytes) = (0, 0);
    for length in copies {
        (files, bytes) = (files + 1, bytes + length);
    }
    assert!(paths.len() > 4 && (1..=4).contains(&files) && bytes <= MAX_BYTES / 8, "{files} {bytes}");
    let on_segments: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(spool.bytes(), on_segments + bytes, "they count");
}

#[test]
fn what_was_delivered_is_known_by_a_torn_or_stale_note_too() {
    let folder = scratch::folder();
    let note = folder.path().join("delivered");
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    records().iter().for_each(|record| spool.append(record).unwrap());
    for _ in 0..3 {
        spool.read().unwrap().unwrap();
    }
    spool.acknowledge(3);
    let stale = fs::read(&note).unwrap();
    for _ in 0..5 {
        spool.read().unwrap().unwrap();
    }
    spool.acknowledge(5);
    let good = fs::read(&note).unwrap();
    drop(spool);
    let all = records();
    for (bytes, first) in [(good.clone(), 8), (stale, 3), (good[..10].to_vec(), 0), (vec![0; 24], 0), (vec![], 0)] {
        fs::write(&note, &bytes).unwrap();
        let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
        assert_eq!(spool.waiting(), (all.len() - first) as u64);
        let read = read_all(&mut spool);
        assert_eq!(ids(&read), ids(&all[first..]), "{bytes:?}");
        assert!(read.iter().all(|record| record.removed.is_none()), "nothing is missing");
    }
}
