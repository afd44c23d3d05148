//! One assigned partition: what was received of it, and what of it is accepted.
//!
//! The receive loop pushes and never waits: a partition that is full is paused in librdkafka, and resumed when its worker
//! has taken enough. (librdkafka's own queue per partition would do this too, but its wake-ups get lost:
//! fede1024/rust-rdkafka#840.) Everything happens under one lock, so that nothing is stored, paused or resumed for a
//! partition that was revoked in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::Notify;

use crate::batch::{Pending, Record};
use crate::group::Consumer;
use crate::progress::{Arrival, Progress};
use crate::watchdog::Promise;

/// A partition is paused when this many bytes wait in it …
const FULL_BYTES: usize = 1024 * 1024;
/// … and resumed when no more than this many do: each pause throws away what librdkafka had fetched ahead.
const DRAINED_BYTES: usize = 256 * 1024;
/// When all partitions together hold this many, waiting or in flight, …
const ALL_FULL_BYTES: usize = 6 * 1024 * 1024;
/// … each is paused when this many bytes wait in it.
const FAIR_BYTES: usize = 64 * 1024;

/// Whether a partition with so much waiting should get no more, as long as all partitions together hold `held`.
fn is_full(waiting: usize, held: usize) -> bool {
    waiting >= FULL_BYTES || (waiting >= FAIR_BYTES && held >= ALL_FULL_BYTES)
}

fn is_drained(waiting: usize, held: usize) -> bool {
    waiting <= DRAINED_BYTES && !is_full(waiting, held)
}

pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) number: i32,
    /// Weak: the consumer's context owns the partitions.
    consumer: Weak<Consumer>,
    /// Bytes that all partitions hold.
    held: Arc<AtomicUsize>,
    state: Mutex<State>,
    arrived: Notify,
    /// Its worker's.
    pub(crate) promise: Promise,
}

struct State {
    pending: Pending,
    progress: Progress,
    /// When the oldest record that is in flight came to Kafka, in Unix ms.
    in_flight_since: Option<i64>,
    paused: bool,
    revoked: bool,
    fetched: i64,
    leader: i32,
}

/// What the status tells of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) number: i32,
    /// Offset of the first record that is not accepted; `None` while nothing arrived and nothing was ever committed.
    pub(crate) position: Option<i64>,
    /// Offset that should arrive next.
    pub(crate) next: Option<i64>,
    /// Where librdkafka has come to, as of its last statistics: it also passes what is no record, and what is gone. A number below
    /// all offsets where it is on its way.
    pub(crate) fetched: i64,
    /// The broker that leads it; −1 while nobody knows.
    pub(crate) leader: i32,
    /// When the oldest record that is held here came to Kafka, in Unix ms.
    pub(crate) waiting_since: Option<i64>,
    pub(crate) paused: bool,
}

/// Records on their way to the backend; they count as held until they are dropped.
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    lap: u32,
    _held: Held,
}

struct Held(Arc<AtomicUsize>, usize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Partition {
    /// `committed` is where the group goes on.
    pub(crate) fn new(
        topic: &str,
        number: i32,
        committed: Option<i64>,
        consumer: Weak<Consumer>,
        held: Arc<AtomicUsize>,
        promise: Promise,
    ) -> Partition {
        let (pending, progress) = (Pending::default(), Progress::new(committed));
        let (in_flight_since, paused, revoked) = (None, false, false);
        let state = Mutex::new(State { pending, progress, in_flight_since, paused, revoked, fetched: -1, leader: -1 });
        Partition { topic: topic.to_owned(), number, consumer, held, state, arrived: Notify::new(), promise }
    }

    /// Takes a received record in; the partition is paused if that fills it.
    pub(crate) fn push(&self, record: Record) -> anyhow::Result<Arrival> {
        let mut state = self.lock();
        let arrival = state.progress.received(record.offset);
        let bytes = record.bytes();
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let ready_before = state.pending.ready_at();
        let lap = state.progress.lap();
        state.pending.push(record, lap, Instant::now());
        if !state.paused && is_full(state.pending.bytes(), held) {
            self.change_flow(Flow::Pause).context("pause a partition")?;
            state.paused = true;
            state.pending.rest(None);
        }
        if state.pending.ready_at() != ready_before {
            self.arrived.notify_one();
        }
        Ok(arrival)
    }

    /// The next batch, as soon as it is ready.
    pub(crate) async fn next_batch(&self) -> anyhow::Result<Batch> {
        loop {
            let ready_at = self.lock().pending.ready_at();
            match ready_at {
                Some(ready_at) if ready_at <= Instant::now() => return self.take(),
                Some(ready_at) => tokio::select! {
                    () = tokio::time::sleep_until(ready_at.into()) => {}
                    () = self.arrived.notified() => {}
                },
                None => self.arrived.notified().await,
            }
        }
    }

    fn take(&self) -> anyhow::Result<Batch> {
        let mut state = self.lock();
        let (lap, records) = state.pending.take();
        state.in_flight_since = records.first().and_then(|record| record.timestamp_ms);
        if state.paused && !state.revoked && is_drained(state.pending.bytes(), self.held.load(Ordering::Relaxed)) {
            self.change_flow(Flow::Resume).context("resume a partition")?;
            state.paused = false;
        }
        let bytes = records.iter().map(Record::bytes).sum();
        Ok(Batch { records, lap, _held: Held(Arc::clone(&self.held), bytes) })
    }

    /// The next batch waits so long from now, unless it is full before.
    pub(crate) fn rest(&self, time: Duration) {
        let mut state = self.lock();
        // nothing would come meanwhile
        let until = (!state.paused).then(|| Instant::now() + time);
        state.pending.rest(until);
    }

    /// Everything in the batch up to and with `offset` is accepted: it will be committed.
    pub(crate) fn store(&self, batch: &Batch, offset: i64) -> anyhow::Result<()> {
        let mut state = self.lock();
        let left = batch.records.iter().find(|record| record.offset > offset);
        state.in_flight_since = left.and_then(|record| record.timestamp_ms);
        if !state.progress.accepted(batch.lap, offset) {
            return Ok(());
        }
        let Some(consumer) = self.consumer.upgrade().filter(|_| !state.revoked) else { return Ok(()) };
        match consumer.store_offset(&self.topic, self.number, offset) {
            // the group took the partition away and has not told us yet: whoever has it sends these records again
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => Ok(()),
            stored => stored.context("store an offset"),
        }
    }

    /// The payload of the first record behind `offset` that waits.
    pub(crate) fn peek(&self, offset: i64) -> Option<(i64, Option<Vec<u8>>)> {
        let state = self.lock();
        let record = state.pending.iter().find(|record| record.offset > offset)?;
        Some((record.offset, record.payload.clone()))
    }

    pub(crate) fn fetches(&self, offset: i64, leader: i32) {
        let mut state = self.lock();
        (state.fetched, state.leader) = (offset, leader);
    }

    /// Nothing before `start` will come; `false` where that is not certain.
    pub(crate) fn passed_over(&self, from: i64, start: i64) -> bool {
        self.lock().progress.passed_over(from, start)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let waiting = || state.pending.iter().next().and_then(|record| record.timestamp_ms);
        Snapshot {
            number: self.number,
            position: state.progress.position(),
            next: state.progress.next(),
            fetched: state.fetched,
            leader: state.leader,
            waiting_since: state.in_flight_since.or_else(waiting),
            paused: state.paused,
        }
    }

    /// From now on nothing is stored. Called before the partition goes to someone else.
    pub(crate) fn revoke(&self) {
        let mut state = self.lock();
        state.revoked = true;
        // a pause outlives the assignment: the partition would come back silent
        if std::mem::take(&mut state.paused)
            && let Err(error) = self.change_flow(Flow::Resume)
        {
            tracing::debug!(partition = self.number, %error, "a revoked partition could not be resumed");
        }
    }

    fn change_flow(&self, flow: Flow) -> anyhow::Result<()> {
        let Some(consumer) = self.consumer.upgrade() else { return Ok(()) };
        let mut partitions = TopicPartitionList::with_capacity(1);
        partitions.add_partition(&self.topic, self.number);
        match flow {
            Flow::Pause => consumer.pause(&partitions)?,
            Flow::Resume => consumer.resume(&partitions)?,
        }
        let change = if flow == Flow::Pause { 1.0 } else { -1.0 };
        metrics::gauge!("consumer_paused_partitions").increment(change);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.held.fetch_sub(self.lock().pending.bytes(), Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Pause,
    Resume,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::LINGER;
    use crate::watchdog::Watchdog;

    #[test]
    fn a_partition_is_full_alone_or_with_all_others() {
        for (waiting, held, full, drained) in [
            (0, 0, false, true),
            (DRAINED_BYTES, 0, false, true),
            (DRAINED_BYTES + 1, 0, false, false),
            (FULL_BYTES - 1, ALL_FULL_BYTES - 1, false, false),
            (FULL_BYTES, 0, true, false),
            (FAIR_BYTES - 1, ALL_FULL_BYTES, false, true),
            (FAIR_BYTES, ALL_FULL_BYTES - 1, false, true),
            (FAIR_BYTES, ALL_FULL_BYTES, true, false),
        ] {
            assert_eq!((is_full(waiting, held), is_drained(waiting, held)), (full, drained), "{waiting} of {held}");
        }
    }

    #[test]
    fn a_paused_partition_does_not_rest() {
        let half = Record { payload: Some(vec![0; FULL_BYTES / 2]), ..record(1) };
        let held = Arc::new(AtomicUsize::new(ALL_FULL_BYTES));
        let partition = Partition::new("topic", 0, None, Weak::new(), held, promise());
        let is_ready_by = |time: Instant| partition.lock().pending.ready_at().is_some_and(|at| at <= time);
        let hour = Duration::from_secs(3_600);
        partition.push(record(0)).unwrap();
        partition.rest(hour);
        let soon = Instant::now() + LINGER;
        assert!(!is_ready_by(soon));
        // less than a full batch, and more than its share
        partition.push(half).unwrap();
        assert!(is_ready_by(soon), "it was paused while it rested");
        partition.rest(hour);
        assert!(is_ready_by(soon), "it was paused before");
    }

    fn promise() -> Promise {
        Watchdog::default().promise(String::new())
    }

    /// It came to Kafka at 1,000 ms and its offset.
    fn record(offset: i64) -> Record {
        Record { offset, key: None, payload: Some(vec![0; 100]), timestamp_ms: Some(1_000 + offset), headers: None }
    }

    #[tokio::test]
    async fn the_snapshot_follows_a_record_from_its_arrival_to_its_acceptance() {
        let partition = Partition::new("topic", 3, Some(5), Weak::new(), Arc::default(), promise());
        let shows = |position, next, waiting_since| {
            let (position, next, fetched, leader) = (Some(position), Some(next), -1, -1);
            let expected = Snapshot { number: 3, position, next, fetched, leader, waiting_since, paused: false };
            assert_eq!(partition.snapshot(), expected);
        };
        shows(5, 5, None);
        partition.push(record(5)).unwrap();
        partition.push(record(6)).unwrap();
        shows(5, 7, Some(1_005));
        let batch = partition.next_batch().await.unwrap();
        partition.push(record(7)).unwrap();
        shows(5, 8, Some(1_005));
        partition.store(&batch, 5).unwrap();
        shows(6, 8, Some(1_006));
        partition.store(&batch, 6).unwrap();
        shows(7, 8, Some(1_007));
        let batch = partition.next_batch().await.unwrap();
        partition.store(&batch, 7).unwrap();
        shows(8, 8, None);
    }

    #[tokio::test]
    async fn what_is_held_is_given_back_when_the_batch_or_the_partition_goes() {
        let held = Arc::new(AtomicUsize::new(0));
        let partition = Partition::new("topic", 0, None, Weak::new(), Arc::clone(&held), promise());
        partition.push(record(1)).unwrap();
        let one = held.load(Ordering::Relaxed);
        let batch = partition.next_batch().await.unwrap();
        partition.push(record(2)).unwrap();
        assert_eq!(held.load(Ordering::Relaxed), one * 2);
        drop(batch);
        assert_eq!(held.load(Ordering::Relaxed), one);
        drop(partition);
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }
}
