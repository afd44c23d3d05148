//! What happens at the limit: thinning, dropping, what is in flight, and a crash in between.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod scratch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use spool::{AppendError, RECORD_BYTES, Record, Spool};
use wire_model::{Removed, ReportId};

const MAX_BYTES: u64 = 60_000;

fn record(seq: u64) -> Record {
    of("host", seq)
}

fn of(key: &str, seq: u64) -> Record {
    let payload = (0..300).map(|_| fastrand::u8(..)).collect();
    Record { id: ReportId { epoch: 1, seq }, at: 1, removed: Removed::default(), key: key.to_owned(), payload }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// All that can be read, checked to be in order and to tell exactly what is missing; the sum of what is.
fn read_all(spool: &mut Spool) -> Removed {
    let (mut last, mut sum) = (0, Removed::default());
    while let Some(record) = spool.read().unwrap() {
        assert_eq!(last + record.removed.total() + 1, record.id.seq);
        last = record.id.seq;
        sum = sum.plus(record.removed);
    }
    sum
}

#[test]
fn a_crash_before_a_dropped_segment_is_deleted_counts_nothing_twice() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let mut crashes = 0;
    for seq in 1..=1_500 {
        let before = files(folder.path());
        spool.append(&record(seq)).unwrap();
        let after = files(folder.path());
        let deleted: Vec<_> = before.iter().filter(|(path, _)| !after.contains_key(*path)).collect();
        if deleted.is_empty() {
            continue;
        }
        assert!(deleted.iter().all(|_| spool.totals().removed.dropped > 0));
        let crashed = scratch::folder();
        // the last one that was deleted is still there
        for (path, bytes) in after.iter().chain(deleted.last().copied()) {
            fs::write(crashed.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let mut again = Spool::open(crashed.path(), MAX_BYTES).unwrap();
        assert_eq!(read_all(&mut again), spool.totals().removed);
        assert_eq!(again.last("host"), Some(record(seq).id));
        crashes += 1;
    }
    assert!(crashes > 10, "{crashes}");
    assert_eq!(read_all(&mut spool), spool.totals().removed);
}

#[test]
fn what_is_in_flight_is_neither_thinned_nor_dropped() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    for seq in 1..=100 {
        spool.append(&record(seq)).unwrap();
    }
    let in_flight: Vec<Record> = (0..60).map(|_| spool.read().unwrap().unwrap()).collect();
    for seq in 101..=2_000 {
        spool.append(&record(seq)).unwrap();
    }
    spool.rewind();
    let again: Vec<Record> = (0..60).map(|_| spool.read().unwrap().unwrap()).collect();
    assert_eq!(again, in_flight);
    assert!(spool.totals().removed.dropped > 0);
    spool.rewind();
    assert_eq!(read_all(&mut spool), spool.totals().removed);
}

#[test]
fn a_spool_full_of_what_is_in_flight_takes_nothing_and_loses_nothing() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let mut seq = 1;
    let error = loop {
        match spool.append(&record(seq)) {
            Ok(()) => assert!(spool.read().unwrap().is_some()),
            Err(error) => break error,
        }
        seq += 1;
    };
    assert!(matches!(error, AppendError::Full), "{error}");
    assert_eq!(spool.waiting(), seq - 1);
    spool.acknowledge(usize::try_from(seq - 1).unwrap() / 2);
    spool.append(&record(seq)).unwrap();
    spool.rewind();
    assert_eq!(spool.read().unwrap().unwrap().id.seq, (seq - 1) / 2 + 1);
    assert_eq!(spool.totals(), spool::Totals::default());
}

#[test]
fn records_must_follow_each_other_and_be_no_larger_than_a_record_can_be() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), 16 * RECORD_BYTES as u64).unwrap();
    let overhead = 51 + "host".len();
    for (seq, bytes, ok) in [
        (1, RECORD_BYTES - overhead, true),
        (2, RECORD_BYTES - overhead + 1, false),
        (1, 10, false),
        (0, 10, false),
        (2, 10, true),
    ] {
        let appended = spool.append(&Record { payload: vec![7; bytes], ..record(seq) });
        assert!(matches!((&appended, ok), (Ok(()), true) | (Err(AppendError::Refused(_)), false)), "{seq} {bytes}: {appended:?}");
    }
    assert_eq!(read_all(&mut spool), Removed::default());
}

/// As after the host was given another id.
#[test]
fn what_was_removed_is_told_to_none_but_its_own() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    for seq in 1..=60 {
        spool.append(&of("former", seq)).unwrap();
    }
    for seq in 61..=2_000 {
        spool.append(&of("host", seq)).unwrap();
    }
    assert_eq!(spool.last("former"), None);
    let (mut own, mut kept) = (0, 0);
    while let Some(record) = spool.read().unwrap() {
        kept += 1;
        own += if record.key == "host" { record.removed.total() } else { 0 };
        let expected = if record.key == "host" { record.id.seq - 60 } else { record.id.seq };
        assert!(record.removed.total() < expected, "{record:?}");
    }
    let totals = spool.totals();
    assert!(totals.unattributed > 0);
    assert_eq!(kept + own + totals.unattributed, 2_000);
}

#[test]
fn a_folder_has_one_user_at_a_time() {
    let folder = scratch::folder();
    let spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    let Err(error) = Spool::open(folder.path(), MAX_BYTES) else { panic!("two have it") };
    assert_eq!(error.to_string(), "another process uses it");
    drop(spool);
    Spool::open(folder.path(), MAX_BYTES).unwrap();
}

#[test]
fn a_record_that_was_handed_on_without_the_spool_is_appended_as_one_that_was_read() {
    let folder = scratch::folder();
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    spool.append(&record(1)).unwrap();
    assert_eq!(spool.read().unwrap().unwrap().id.seq, 1);
    let passed: Vec<Record> = [(2, 0), (5, 2), (6, 0)]
        .map(|(seq, dropped)| Record { removed: Removed { dropped, ..Removed::default() }, ..record(seq) })
        .into();
    for record in &passed {
        assert_eq!(spool.pass(record), record.removed);
    }
    for record in &passed[..2] {
        spool.append_read(record).unwrap();
    }
    assert_eq!((spool.in_flight(), spool.unread()), (3, 0));
    spool.acknowledge(2);
    spool.append_read(&passed[2]).unwrap();
    spool.append(&record(7)).unwrap();
    let seventh = spool.read().unwrap().unwrap();
    assert_eq!((seventh.id.seq, seventh.removed), (7, Removed::default()));
    spool.rewind();
    assert_eq!([spool.read().unwrap().unwrap(), spool.read().unwrap().unwrap()], passed[1..], "all that is not acknowledged");
    spool.acknowledge(3);
    drop(spool);
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    assert_eq!(spool.read().unwrap(), Some(seventh));
}

#[test]
fn the_last_record_that_was_made_is_known_after_a_restart_though_it_was_never_appended() {
    let folder = scratch::folder();
    let id = |epoch, seq| ReportId { epoch, seq };
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    spool.append(&record(1)).unwrap();
    spool.note_made(id(1, 9), "host");
    assert_eq!(spool.last("host"), Some(id(1, 1)), "it may be appended yet");
    spool.append(&record(2)).unwrap();
    drop(spool);
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    assert_eq!((spool.last("host"), spool.last("other"), spool.waiting()), (Some(id(1, 9)), None, 2));
    let next = Record { id: id(2, 1), ..record(1) };
    spool.append(&next).unwrap();
    drop(spool);
    let mut spool = Spool::open(folder.path(), MAX_BYTES).unwrap();
    assert_eq!(spool.last("host"), Some(next.id));
    let read: Vec<ReportId> = std::iter::from_fn(|| spool.read().unwrap()).map(|record| record.id).collect();
    assert_eq!(read, [id(1, 1), id(1, 2), next.id]);
}
