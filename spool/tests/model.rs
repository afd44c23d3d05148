//! Random lives of a spool against what must be true of all of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod scratch;

use std::collections::VecDeque;
use std::path::PathBuf;

use proptest::prelude::*;
use spool::{AppendError, Record, Spool};
use wire_model::{Removed, ReportId};

#[derive(Clone, Debug)]
enum Action {
    Append { bytes: usize, count: usize },
    Read(usize),
    Acknowledge(usize),
    Rewind,
    Reopen,
    Crash { unfinished: bool },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..900_usize, 1..40_usize).prop_map(|(bytes, count)| Action::Append { bytes, count }),
        3 => (1..30_usize).prop_map(Action::Read),
        3 => (1..30_usize).prop_map(Action::Acknowledge),
        1 => Just(Action::Rewind),
        1 => Just(Action::Reopen),
        1 => any::<bool>().prop_map(|unfinished| Action::Crash { unfinished }),
    ]
}

/// A spool, and what a collector and a backend would know of it.
struct Life {
    folder: PathBuf,
    max_bytes: u64,
    spool: Option<Spool>,
    /// All that were made, in order; and where the last acknowledged one is in it.
    made: Vec<ReportId>,
    arrived: usize,
    /// Made and not appended, to be told by the next record.
    refused: Removed,
    read: VecDeque<Record>,
    removed: Removed,
    told_by_caller: u64,
    epoch: u64,
}

impl Life {
    fn new(folder: PathBuf, max_bytes: u64) -> Life {
        let spool = Some(Spool::open(&folder, max_bytes).unwrap());
        let (removed, refused) = (Removed::default(), Removed::default());
        Life {
            folder,
            max_bytes,
            spool,
            made: vec![],
            arrived: 0,
            refused,
            read: VecDeque::new(),
            removed,
            told_by_caller: 0,
            epoch: 1,
        }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    fn append(&mut self, bytes: usize) {
        let seq = self.made.last().filter(|id| id.epoch == self.epoch).map_or(1, |id| id.seq + 1);
        let id = ReportId { epoch: self.epoch, seq };
        self.made.push(id);
        let record = Record { id, at: 7, removed: self.refused, key: "host".to_owned(), payload: payload(id, bytes) };
        match self.spool().append(&record) {
            Ok(()) => self.refused = Removed::default(),
            Err(AppendError::Full) => {
                self.refused.dropped += 1;
                self.told_by_caller += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(self.spool().bytes() <= self.max_bytes, "{} of {}", self.spool().bytes(), self.max_bytes);
        let on_disk: u64 = walk(&self.folder);
        assert!(on_disk <= self.max_bytes + 64, "{on_disk} of {}", self.max_bytes);
    }

    fn read(&mut self) -> bool {
        let Some(record) = self.spool().read().unwrap() else { return false };
        assert_eq!(record.payload, payload(record.id, record.payload.len()));
        assert_eq!((record.at, record.key.as_str()), (7, "host"));
        self.read.push_back(record);
        true
    }

    /// What arrives and what it tells to be missing are together all that was made, in order.
    fn acknowledge(&mut self, count: usize) {
        let count = count.min(self.read.len());
        self.spool().acknowledge(count);
        for record in self.read.drain(..count) {
            let place = self.made.iter().position(|id| *id == record.id).unwrap();
            assert_eq!(record.removed.total(), (place - self.arrived) as u64, "before {:?}", record.id);
            self.removed = self.removed.plus(record.removed);
            self.arrived = place + 1;
        }
    }

    fn reopen(&mut self) {
        self.read.clear();
        let (folder, max_bytes) = (self.folder.clone(), self.max_bytes);
        self.spool = None;
        self.spool = Some(Spool::open(&folder, max_bytes).unwrap());
        self.epoch += 1;
        // what the former process knew of died with it
        let known = self.made.len() - usize::try_from(self.refused.dropped).unwrap();
        self.made.truncate(known);
        self.told_by_caller -= self.refused.dropped;
        self.refused = Removed::default();
        assert_eq!(self.spool().last("host"), self.made.last().copied());
    }

    fn run(&mut self, action: &Action) {
        match *action {
            Action::Append { bytes, count } => (0..count).for_each(|_| self.append(bytes)),
            Action::Read(count) => {
                for _ in 0..count {
                    self.read();
                }
            }
            Action::Acknowledge(count) => self.acknowledge(count),
            Action::Rewind => {
                self.read.clear();
                self.spool().rewind();
            }
            Action::Reopen => self.reopen(),
            Action::Crash { unfinished } => {
                if unfinished {
                    std::fs::write(self.folder.join("00000000000000000009.tmp"), b"cut off").unwrap();
                }
                self.reopen();
            }
        }
    }

    fn finish(&mut self) {
        self.append(3);
        self.read.clear();
        self.spool().rewind();
        while self.read() {
            self.acknowledge(1);
        }
        assert_eq!(self.spool().waiting(), 0);
        assert_eq!(self.arrived, self.made.len() - usize::try_from(self.refused.dropped).unwrap());
    }
}

fn walk(folder: &PathBuf) -> u64 {
    let bytes = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => walk(&entry.path()),
        metadata => metadata.len(),
    };
    std::fs::read_dir(folder).unwrap().map(|entry| bytes(entry.unwrap())).sum()
}

fn payload(id: ReportId, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(id.epoch << 32 | id.seq);
    (0..bytes).map(|_| random.u8(b'a'..b'e')).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_arrives_and_what_is_counted_is_all_that_was_made(
        max_bytes in prop_oneof![Just(40_000_u64), Just(100_000), Just(1_000_000)],
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let folder = scratch::folder();
        let mut life = Life::new(folder.path().join("spool"), max_bytes);
        for action in &actions {
            life.run(action);
        }
        let own = life.spool().totals().removed;
        life.finish();
        prop_assert!(own.damaged == 0 && life.removed.damaged == 0);
    }
}

#[test]
fn a_long_outage_is_thinned_first_and_then_dropped() {
    let folder = scratch::folder();
    let mut life = Life::new(folder.path().join("spool"), 100_000);
    let mut phases = Vec::new();
    for _ in 0..8_000 {
        life.append(300);
        let removed = life.spool().totals().removed;
        phases.push((removed.thinned > 0, removed.dropped > 0));
    }
    phases.dedup();
    assert_eq!(phases, [(false, false), (true, false), (true, true)]);
    let totals = life.spool().totals().removed;
    life.finish();
    assert_eq!(life.removed, totals);
    assert_eq!(life.removed.damaged, 0);
}
