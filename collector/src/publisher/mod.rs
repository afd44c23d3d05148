//! To Kafka, by way of the spool: every report is on disk before it is sent, and leaves the disk when Kafka has acknowledged it.
//!
//! A tick hands its report over ([`Handover`]) and never waits. One thread ([`sender`]) keeps it ([`outbox`]: the spool, or memory
//! while the disk takes nothing), sends what waits in order ([`producer`], [`window`]) and no faster than [`pace`] allows, and says when
//! reports wait or are lost ([`outage`]). What is lost is counted in the next report.

mod figures;
mod outage;
mod outbox;
mod pace;
mod producer;
mod sender;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::Context;
use service_runtime::kafka::{KafkaConfig, Topic, ensure_topics};
use service_runtime::{Health, Shutdown};
use spool::{Record, Spool};
use tokio::sync::Notify;
use wire_model::limits::TOPIC_MESSAGE_BYTES;

pub(crate) use self::figures::{SpoolBoard, SpoolFigures};
use self::outbox::Outbox;
use self::sender::{Sender, Shared};
use crate::Config;
use crate::telemetry::produced;

const CHECK: &str = "kafka";
/// Reports between the ticks and the thread, which takes them at once unless the disk hangs.
const HANDOVER_REPORTS: usize = 16;

/// Everything that has to do with reports once they are made.
pub(crate) struct Publisher {
    sender: Sender,
    handover: Handover,
    reports: Receiver<Record>,
    topic: KafkaConfig,
    topic_is_missing: Arc<Notify>,
}

/// The ticks' end.
#[derive(Clone)]
pub(crate) struct Handover {
    reports: SyncSender<Record>,
    /// Not taken since the last one that was.
    untold: u64,
    not_taken: Arc<NotTaken>,
}

/// Reports that found the channel full.
#[derive(Default)]
pub(crate) struct NotTaken {
    /// Since the start.
    reports: AtomicU64,
    /// The number of the last one.
    last_seq: AtomicU64,
}

impl Publisher {
    pub(crate) fn new(config: &Config, spool: Spool, board: SpoolBoard, health: Health) -> anyhow::Result<Publisher> {
        let (sender, reports) = sync_channel(HANDOVER_REPORTS);
        let (not_taken, topic_is_missing) = (Arc::<NotTaken>::default(), Arc::<Notify>::default());
        let shared = Shared {
            kafka: config.kafka.clone(),
            interval: config.interval(),
            limit_bytes: config.spool_max_bytes,
            health,
            board,
            not_taken: not_taken.clone(),
            topic_is_missing: topic_is_missing.clone(),
        };
        Ok(Publisher {
            sender: Sender::new(shared, Outbox::new(spool))?,
            handover: Handover { reports: sender, untold: 0, not_taken },
            reports,
            topic: config.kafka.clone(),
            topic_is_missing,
        })
    }

    /// The end for the ticks, the topic's task, and the thread's, which ends when the shutdown has begun and the ticks are done.
    pub(crate) fn start(
        self,
        shutdown: &Shutdown,
    ) -> (Handover, impl Future<Output = anyhow::Result<()>> + use<>, impl Future<Output = anyhow::Result<()>> + use<>) {
        let Publisher { sender, handover, reports, topic, topic_is_missing } = self;
        let sending = async move {
            // for blocking work: the disk may be slow, and nobody waits for it
            tokio::task::spawn_blocking(move || sender.run(&reports)).await.context("send the reports")?
        };
        (handover, keep_topic(topic, topic_is_missing, shutdown.clone()), sending)
    }
}

impl Handover {
    /// Never waits. A report that is not taken is told of by the next one.
    pub(crate) fn publish(&mut self, mut record: Record) {
        produced();
        record.removed.dropped += self.untold;
        let seq = record.id.seq;
        match self.reports.try_send(record) {
            Ok(()) => self.untold = 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.untold += 1;
                self.not_taken.reports.fetch_add(1, Ordering::Relaxed);
                self.not_taken.last_seq.store(seq, Ordering::Relaxed);
            }
        }
    }
}

/// Makes sure that the topic exists, at the start and whenever it seems to be gone. Reports wait in the spool meanwhile.
async fn keep_topic(kafka: KafkaConfig, is_missing: Arc<Notify>, shutdown: Shutdown) -> anyhow::Result<()> {
    let topic = Topic {
        name: kafka.kafka_topic_name.clone(),
        partitions: kafka.kafka_topic_partitions,
        max_message_bytes: TOPIC_MESSAGE_BYTES,
    };
    while ensure_topics(&kafka, std::slice::from_ref(&topic), &shutdown).await? {
        tokio::select! {
            () = shutdown.requested() => break,
            () = is_missing.notified() => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use wire_model::{Removed, ReportId};

    use super::*;

    #[test]
    fn reports_that_nobody_took_before_the_end_are_missed_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::try_parse_from(["collector", "--bootstrap-server=127.0.0.1:1"]).unwrap();
        let open = || Spool::open(folder.path(), config.spool_max_bytes).unwrap();
        let Publisher { sender, mut handover, reports, .. } =
            Publisher::new(&config, open(), SpoolBoard::default(), Health::new()).unwrap();
        let id = |seq| ReportId { epoch: 3, seq };
        for seq in 1..=HANDOVER_REPORTS as u64 + 2 {
            handover.publish(Record { id: id(seq), key: "this".to_owned(), payload: b"{}".to_vec(), ..Record::default() });
        }
        drop(handover);
        sender.run(&reports).unwrap();
        let mut spool = open();
        assert_eq!(spool.last("this"), Some(id(HANDOVER_REPORTS as u64 + 2)));
        let kept: Vec<_> = std::iter::from_fn(|| spool.read().unwrap()).map(|record| (record.id.seq, record.removed)).collect();
        assert_eq!(kept, (1..=HANDOVER_REPORTS as u64).map(|seq| (seq, Removed::default())).collect::<Vec<_>>());
    }
}
