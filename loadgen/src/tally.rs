//! What became of the reports: counted here, and journaled.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use wire_model::{IngestReceipt, ReportId};

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
    /// Reports that were given to the producer or refused by its full queue, or waited to be posted.
    pub sent: u64,
    /// Reports that Kafka acknowledged, or of which the api-backend said that they are stored.
    pub acknowledged: u64,
    /// Reports that were not acknowledged in time, or rejected.
    pub failed: u64,
    /// Reports that were sent more than 100 ms after they were due.
    pub late: u64,
    /// From the first report to the last acknowledgement.
    pub seconds: f64,
    /// Acknowledged samples (hosts and containers) per second.
    pub samples_per_second: f64,
    /// CPU time of loadgen itself from the first report on.
    pub cpu_seconds: f64,
    /// The same for each report, in µs.
    pub cpu_us_per_report: f64,
    /// What the api-backend said; absent where Kafka stands between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestSummary>,
}

/// Sums of all receipts, and how long they took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IngestSummary {
    /// Reports that were new.
    pub stored: u64,
    /// Reports that were there already.
    pub duplicate: u64,
    /// Reports that cannot be stored.
    pub rejected: u64,
    /// Batches that have a receipt.
    pub batches: u64,
    /// Posts that were tried again.
    pub retries: u64,
    /// From a batch's first post to its receipt, in ms.
    pub batch_ms_p50: f64,
    /// Of 100 batches 99 were no slower.
    pub batch_ms_p99: f64,
    /// The slowest.
    pub batch_ms_max: f64,
}

#[derive(Default)]
pub(crate) struct Tally {
    journal: Option<Writer>,
    sent: AtomicU64,
    late: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    samples: AtomicU64,
    stored: AtomicU64,
    duplicate: AtomicU64,
    rejected: AtomicU64,
    retries: AtomicU64,
    batches: Mutex<Vec<Duration>>,
    cpu_at_begin: Mutex<Duration>,
}

impl Tally {
    pub(crate) fn new(journal: Option<&Path>) -> io::Result<Tally> {
        Ok(Tally { journal: journal.map(Writer::append_to).transpose()?, ..Tally::default() })
    }

    /// To be called before the first report.
    pub(crate) fn begin(&self) {
        *self.cpu_at_begin.lock().unwrap_or_else(PoisonError::into_inner) = cpu_time();
    }

    /// To be called before the report goes on; what cannot be journaled must not be sent.
    pub(crate) fn sending(&self, delivery: &Delivery, message: &[u8], is_late: bool) -> io::Result<()> {
        count(&self.sent, 1);
        count(&self.late, is_late.into());
        if let Some(journal) = &self.journal {
            journal.sent(&delivery.host_id, delivery.id, message);
        }
        self.check()
    }

    pub(crate) fn acknowledged(&self, delivery: &Delivery, partition: i32, offset: i64) {
        count(&self.acknowledged, 1);
        count(&self.samples, delivery.samples);
        if let Some(journal) = &self.journal {
            journal.acknowledged(&delivery.host_id, delivery.id, partition, offset);
        }
    }

    pub(crate) fn failed(&self, delivery: &Delivery, error: &impl Display) {
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(%error, host = delivery.host_id, seq = delivery.id.seq, "the first report that was not acknowledged");
        }
        if let Some(journal) = &self.journal {
            journal.failed(&delivery.host_id, delivery.id, &error.to_string());
        }
    }

    /// The api-backend will never store it.
    pub(crate) fn rejected(&self, delivery: &Delivery, reason: &str) {
        count(&self.rejected, 1);
        self.failed(delivery, &reason);
    }

    /// A batch has its receipt.
    pub(crate) fn posted(&self, took: Duration) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }

    pub(crate) fn retried(&self, problem: &str) {
        if self.retries.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(problem, "the first batch that is posted again");
        }
    }

    pub(crate) fn receipt(&self, receipt: &IngestReceipt) {
        count(&self.stored, receipt.stored as u64);
        count(&self.duplicate, receipt.duplicate as u64);
    }

    /// Whether all that was to be journaled is.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), Writer::check)
    }

    pub(crate) fn summary(&self, elapsed: Duration) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = thousandths(elapsed.as_secs_f64());
        let samples_per_second = if seconds > 0.0 { (read(&self.samples) as f64 / seconds).round() } else { 0.0 };
        let cpu = cpu_time().saturating_sub(*self.cpu_at_begin.lock().unwrap_or_else(PoisonError::into_inner));
        let sent = read(&self.sent);
        Summary {
            sent,
            acknowledged: read(&self.acknowledged),
            failed: read(&self.failed),
            late: read(&self.late),
            seconds,
            samples_per_second,
            cpu_seconds: thousandths(cpu.as_secs_f64()),
            cpu_us_per_report: thousandths(cpu.as_secs_f64() * 1e6 / sent.max(1) as f64),
            ingest: self.ingest_summary(),
        }
    }

    fn ingest_summary(&self) -> Option<IngestSummary> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        batches.sort_unstable();
        let slowest = *batches.last()?;
        let ms = |took: Duration| thousandths(took.as_secs_f64() * 1_000.0);
        Some(IngestSummary {
            stored: read(&self.stored),
            duplicate: read(&self.duplicate),
            rejected: read(&self.rejected),
            batches: batches.len() as u64,
            retries: read(&self.retries),
            batch_ms_p50: ms(batches[(batches.len() - 1) / 2]),
            batch_ms_p99: ms(batches[(batches.len() - 1) * 99 / 100]),
            batch_ms_max: ms(slowest),
        })
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Of this process, all threads.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
