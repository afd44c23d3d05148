//! What became of the reports: counted here, and journaled.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::error::KafkaError;
use serde::Serialize;
use wire_model::ReportId;

use crate::journal::Writer;

/// A report on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) host_id: String,
    pub(crate) id: ReportId,
    /// The host and its containers.
    pub(crate) samples: u64,
}

/// Printed at the end, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Reports that were given to the producer or refused by its full queue.
    pub sent: u64,
    /// Reports that Kafka acknowledged.
    pub acknowledged: u64,
    /// Reports that Kafka did not acknowledge in time.
    pub failed: u64,
    /// Reports that were sent more than 100 ms after they were due.
    pub late: u64,
    /// From the first report to the last acknowledgement.
    pub seconds: f64,
    /// Acknowledged samples (hosts and containers) per second.
    pub samples_per_second: f64,
}

#[derive(Default)]
pub(crate) struct Tally {
    journal: Option<Writer>,
    sent: AtomicU64,
    late: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    samples: AtomicU64,
}

impl Tally {
    pub(crate) fn new(journal: Option<&Path>) -> io::Result<Tally> {
        Ok(Tally { journal: journal.map(Writer::append_to).transpose()?, ..Tally::default() })
    }

    /// To be called before the report goes to the producer; what cannot be journaled must not be sent.
    pub(crate) fn sending(&self, delivery: &Delivery, message: &[u8], is_late: bool) -> io::Result<()> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.late.fetch_add(is_late.into(), Ordering::Relaxed);
        if let Some(journal) = &self.journal {
            journal.sent(&delivery.host_id, delivery.id, message);
        }
        self.check()
    }

    pub(crate) fn acknowledged(&self, delivery: &Delivery, partition: i32, offset: i64) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.samples.fetch_add(delivery.samples, Ordering::Relaxed);
        if let Some(journal) = &self.journal {
            journal.acknowledged(&delivery.host_id, delivery.id, partition, offset);
        }
    }

    pub(crate) fn failed(&self, delivery: &Delivery, error: &KafkaError) {
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(%error, host = delivery.host_id, seq = delivery.id.seq, "the first report that Kafka did not acknowledge");
        }
        if let Some(journal) = &self.journal {
            journal.failed(&delivery.host_id, delivery.id, &error.to_string());
        }
    }

    /// Whether all that was to be journaled is.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), Writer::check)
    }

    pub(crate) fn summary(&self, elapsed: Duration) -> Summary {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
        let samples_per_second = if seconds > 0.0 { (count(&self.samples) as f64 / seconds).round() } else { 0.0 };
        Summary {
            sent: count(&self.sent),
            acknowledged: count(&self.acknowledged),
            failed: count(&self.failed),
            late: count(&self.late),
            seconds,
            samples_per_second,
        }
    }
}
