//! What Kafka acknowledged: one line for each report, and the counts.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rdkafka::error::KafkaError;
use serde::Serialize;

/// A report on its way; (host, epoch, seq) names it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) host_id: String,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    /// Unix ms.
    pub(crate) at: i64,
    /// The host and its containers.
    pub(crate) samples: u64,
}

/// Printed at the end, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Reports that were given to the producer or refused by its full queue.
    pub sent: u64,
    /// Reports that Kafka acknowledged; they are in the ledger.
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
pub(crate) struct Ledger {
    file: Option<Mutex<BufWriter<File>>>,
    pub(crate) sent: AtomicU64,
    pub(crate) late: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    samples: AtomicU64,
    /// The first error of the file, to be told by the next flush.
    broken: Mutex<Option<io::Error>>,
}

impl Ledger {
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Ledger> {
        let file = path.map(File::create).transpose()?;
        Ok(Ledger { file: file.map(|file| Mutex::new(BufWriter::new(file))), ..Ledger::default() })
    }

    pub(crate) fn acknowledged(&self, entry: &Entry) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.samples.fetch_add(entry.samples, Ordering::Relaxed);
        let Some(file) = &self.file else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{} {} {} {}", entry.host_id, entry.epoch, entry.seq, entry.at) {
            self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    pub(crate) fn failed(&self, entry: &Entry, error: &KafkaError) {
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(%error, host = entry.host_id, seq = entry.seq, "the first report that Kafka did not acknowledge");
        }
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
        }
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    pub(crate) fn summary(&self, elapsed: Duration) -> anyhow::Result<Summary> {
        self.flush().context("write the ledger")?;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
        let samples_per_second = if seconds > 0.0 { (count(&self.samples) as f64 / seconds).round() } else { 0.0 };
        Ok(Summary {
            sent: count(&self.sent),
            acknowledged: count(&self.acknowledged),
            failed: count(&self.failed),
            late: count(&self.late),
            seconds,
            samples_per_second,
        })
    }
}
