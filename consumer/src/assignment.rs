//! The partitions that this consumer has, each with its worker. It outlives a client that is replaced.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::batch::Record;
use crate::group::Consumer;
use crate::partition::{Partition, Snapshot};
use crate::progress::Arrival;
use crate::skipped::Skipped;
use crate::topic::KnownTopic;
use crate::watchdog::Watchdog;

/// Why the client has to be replaced by a new one. Of several reasons the last one here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejoin {
    /// Kafka has records of some partitions and the client does not get them, while others flow.
    PartlyStalled,
    /// Kafka has records and the client gets none.
    Stalled,
    /// The topic is another one than the client knows.
    TopicAnew,
}

pub(crate) struct Assignment {
    pub(crate) topic: KnownTopic,
    topic_name: String,
    workers: Mutex<HashMap<i32, Worker>>,
    held: Arc<AtomicUsize>,
    /// The strongest wish to replace the client.
    wish: watch::Sender<Option<Rejoin>>,
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
    pub(crate) fn new(topic: &str, watchdog: Watchdog) -> Assignment {
        Assignment {
            topic: KnownTopic::new(topic),
            topic_name: topic.to_owned(),
            workers: Mutex::default(),
            held: Arc::default(),
            wish: watch::Sender::default(),
            watchdog,
            skipped: Skipped::default(),
            changed: Notify::new(),
        }
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

    /// What librdkafka says of a partition: where it fetches next, and which broker leads it.
    pub(crate) fn fetches(&self, number: i32, offset: i64, leader: i32) {
        if let Some(worker) = self.lock().get(&number) {
            worker.partition.fetches(offset, leader);
        }
    }

    /// librdkafka has gone on at the log's `start`, because what stood before it is gone.
    pub(crate) fn passed_over(&self, number: i32, from: i64, start: i64) {
        if let Some(worker) = self.lock().get(&number)
            && worker.partition.passed_over(from, start)
        {
            self.skipped.suspect(number, from, start);
        }
    }

    /// Wishes for a new client.
    pub(crate) fn rejoin(&self, why: Rejoin) {
        self.wish.send_if_modified(|wish| {
            let is_stronger = *wish < Some(why);
            if is_stronger {
                *wish = Some(why);
            }
            is_stronger
        });
    }

    /// Waits for a wish, and leaves it there.
    pub(crate) async fn rejoin_wished(&self) {
        // an error means that the sender is gone, which is ours
        self.wish.subscribe().wait_for(Option::is_some).await.ok();
    }

    pub(crate) fn take_wish(&self) -> Option<Rejoin> {
        self.wish.send_replace(None)
    }

    fn numbers(&self) -> Vec<i32> {
        self.lock().keys().copied().collect()
    }

    fn worker(&self, number: i32, committed: Option<i64>, consumer: &Weak<Consumer>) -> Worker {
        let promise = self.watchdog.promise(format!("the worker of partition {number}"));
        let held = Arc::clone(&self.held);
        let partition = Partition::new(&self.topic_name, number, committed, Weak::clone(consumer), held, promise);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_strongest_wish_stays_until_it_is_taken() {
        let assignment = Assignment::new("topic", Watchdog::default());
        for (wishes, strongest) in [
            (&[Rejoin::Stalled, Rejoin::TopicAnew][..], Rejoin::TopicAnew),
            (&[Rejoin::TopicAnew, Rejoin::Stalled, Rejoin::PartlyStalled], Rejoin::TopicAnew),
            (&[Rejoin::PartlyStalled, Rejoin::Stalled], Rejoin::Stalled),
        ] {
            wishes.iter().for_each(|wish| assignment.rejoin(*wish));
            assignment.rejoin_wished().await;
            assert_eq!((assignment.take_wish(), assignment.take_wish()), (Some(strongest), None));
        }
    }
}
