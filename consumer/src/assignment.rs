//! The partitions that this consumer has, each with its worker. It outlives a client that is replaced.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::batch::Record;
use crate::group::Consumer;
use crate::partition::{Partition, Snapshot};
use crate::progress::Arrival;
use crate::skipped::Skipped;
use crate::watchdog::Watchdog;

/// Why the client has to be replaced by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejoin {
    /// The topic is another one than the client knows.
    TopicAnew,
    /// Kafka has records and the client does not get them.
    Stalled,
}

pub(crate) struct Assignment {
    topic: String,
    workers: Mutex<HashMap<i32, Worker>>,
    held: Arc<AtomicUsize>,
    rejoin: mpsc::Sender<Rejoin>,
    watchdog: Watchdog,
    pub(crate) skipped: Skipped,
    /// There is something to tell the backend soon.
    pub(crate) changed: Notify,
}

struct Worker {
    partition: Arc<Partition>,
    /// `None` until the first record.
    task: Option<AbortHandle>,
}

impl Assignment {
    /// With the wishes to replace the client; of those that come together one is enough.
    pub(crate) fn new(topic: &str, watchdog: Watchdog) -> (Assignment, mpsc::Receiver<Rejoin>) {
        let (rejoin, wishes) = mpsc::channel(1);
        let (workers, held) = (Mutex::default(), Arc::default());
        let (skipped, changed) = (Skipped::default(), Notify::new());
        (Assignment { topic: topic.to_owned(), workers, held, rejoin, watchdog, skipped, changed }, wishes)
    }

    /// A partition is ours from now on, and goes on at `committed`.
    pub(crate) fn add(&self, number: i32, committed: Option<i64>, consumer: &Weak<Consumer>) {
        let worker = self.worker(number, committed, consumer);
        if let Some(before) = self.lock().insert(number, worker) {
            end(&before);
        }
        self.changed.notify_one();
    }

    /// Nothing of this partition is stored from now on.
    pub(crate) fn remove(&self, number: i32) {
        if let Some(worker) = self.lock().remove(&number) {
            end(&worker);
        }
        metrics::gauge!("consumer_lag", "partition" => number.to_string()).set(0.0);
        self.changed.notify_one();
    }

    pub(crate) fn remove_all(&self) {
        for number in self.numbers() {
            self.remove(number);
        }
    }

    /// Gives a record to its partition. The first one of a partition starts its worker.
    pub(crate) fn hand_over(
        &self,
        number: i32,
        record: Record,
        consumer: &Arc<Consumer>,
        start: impl FnOnce(Arc<Partition>) -> AbortHandle,
    ) -> anyhow::Result<()> {
        let offset = record.offset;
        let mut workers = self.lock();
        let worker = workers.entry(number).or_insert_with(|| self.worker(number, None, &Arc::downgrade(consumer)));
        worker.task.get_or_insert_with(|| start(Arc::clone(&worker.partition)));
        match worker.partition.push(record)? {
            Arrival::InOrder => {}
            Arrival::Hole { from, to } => {
                self.skipped.suspect(number, from, to);
                self.changed.notify_one();
            }
            Arrival::Anew { expected } => {
                metrics::counter!("consumer_logs_anew_total").increment(1);
                tracing::error!(
                    partition = number,
                    expected,
                    offset,
                    "the partition's log is shorter than it was: its topic was made anew, or a broker lost its newest records"
                );
            }
        }
        Ok(())
    }

    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        let mut snapshots: Vec<Snapshot> = self.lock().values().map(|worker| worker.partition.snapshot()).collect();
        snapshots.sort_by_key(|snapshot| snapshot.number);
        snapshots
    }

    pub(crate) fn rejoin(&self, why: Rejoin) {
        // a full channel holds a wish already, a closed one means the end
        self.rejoin.try_send(why).ok();
    }

    fn numbers(&self) -> Vec<i32> {
        self.lock().keys().copied().collect()
    }

    fn worker(&self, number: i32, committed: Option<i64>, consumer: &Weak<Consumer>) -> Worker {
        let promise = self.watchdog.promise(format!("the worker of partition {number}"));
        let held = Arc::clone(&self.held);
        let partition = Partition::new(&self.topic, number, committed, Weak::clone(consumer), held, promise);
        Worker { partition: Arc::new(partition), task: None }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(worker: &Worker) {
    worker.partition.revoke();
    if let Some(task) = &worker.task {
        task.abort();
    }
}
