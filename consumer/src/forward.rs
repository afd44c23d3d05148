//! A partition's worker: batch, post, dead letters, offset; one batch in flight.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service_runtime::{Shutdown, backoff};
use wire_model::limits::BATCH_COMPRESSED_BYTES;
use wire_model::{IngestBatch, IngestReceipt, IngestRecord};

use crate::backend::{Answer, Backend, encode};
use crate::batch::Record;
use crate::dead_letters::{DeadLetter, DeadLetters, Kind};
use crate::outages::Outages;
use crate::partition::{Batch, Partition};
use crate::sift::sift;

const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Jitter adds up to as much again.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// What all workers share.
pub(crate) struct Forwarder {
    pub(crate) backend: Arc<Backend>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) topic: String,
    pub(crate) outages: Outages,
    pub(crate) shutdown: Shutdown,
}

/// Whether a worker goes on: without receipt or dead letter nothing after it may be stored.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

enum Delivery {
    Receipt(IngestReceipt),
    TooLarge,
    ShutDown,
}

impl Forwarder {
    /// Forwards one partition until shutdown; aborted when the partition is revoked.
    pub(crate) async fn run(&self, partition: &Partition) -> anyhow::Result<()> {
        loop {
            let batch = tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                batch = partition.next_batch() => batch?,
            };
            if self.forward(partition, &batch).await? == Then::Stop {
                return Ok(());
            }
        }
    }

    async fn forward(&self, partition: &Partition, batch: &Batch) -> anyhow::Result<Then> {
        let records = &batch.records[..];
        let (reports, dead_letters) = sift(records);
        if !self.dead_letters.write(partition, &dead_letters, &self.shutdown).await? {
            return Ok(Then::Stop);
        }
        // halves of a batch that was too large, the next one last
        let mut chunks = vec![&reports[..]];
        while let Some(chunk) = chunks.pop() {
            let Some(last) = chunk.last() else { continue };
            let rejected = match self.deliver(partition.number, chunk).await? {
                Delivery::ShutDown => return Ok(Then::Stop),
                Delivery::TooLarge if chunk.len() > 1 => {
                    let (first, second) = chunk.split_at(chunk.len() / 2);
                    chunks.extend([second, first]);
                    continue;
                }
                Delivery::TooLarge => {
                    let reason = "alone in a batch it is larger than the backend takes".to_owned();
                    vec![DeadLetter { record: find(records, last.offset)?, kind: Kind::TooLarge, reason }]
                }
                Delivery::Receipt(receipt) => {
                    count(chunk);
                    let letter = |rejection: wire_model::Rejection| {
                        let record = find(records, rejection.offset)?;
                        anyhow::Ok(DeadLetter { record, kind: Kind::Rejected, reason: rejection.reason })
                    };
                    receipt.rejected.into_iter().map(letter).collect::<Result<_, _>>()?
                }
            };
            if !self.dead_letters.write(partition, &rejected, &self.shutdown).await? {
                return Ok(Then::Stop);
            }
            partition.store(batch, last.offset)?;
        }
        // dead letters may stand behind the last report
        if let Some(last) = records.last() {
            partition.store(batch, last.offset)?;
        }
        Ok(Then::GoOn)
    }

    /// Posts until the backend takes the batch or says that it is too large.
    async fn deliver(&self, partition: i32, chunk: &[IngestRecord<'_>]) -> anyhow::Result<Delivery> {
        let records = chunk.iter().map(|record| IngestRecord { offset: record.offset, report: record.report }).collect();
        let batch = IngestBatch { topic: Cow::Borrowed(&self.topic), partition, records };
        let body = encode(&batch).context("encode a batch")?;
        if body.len() > BATCH_COMPRESSED_BYTES {
            return Ok(Delivery::TooLarge);
        }
        let mut waits = backoff(FIRST_RETRY, LONGEST_RETRY);
        let mut outage = None;
        loop {
            let (problem, retry_after) = match self.backend.post(body.clone()).await {
                Answer::TooLarge => return Ok(Delivery::TooLarge),
                Answer::TooLargeForProxy { .. } if chunk.len() > 1 => return Ok(Delivery::TooLarge),
                Answer::Receipt(receipt) => match check_receipt(&receipt, chunk) {
                    Ok(()) => return Ok(Delivery::Receipt(receipt)),
                    Err(problem) => (problem, Duration::ZERO),
                },
                Answer::TooLargeForProxy { problem, retry_after } | Answer::Failed { problem, retry_after } => {
                    (problem, retry_after)
                }
            };
            outage.get_or_insert_with(|| self.outages.begin(partition, &problem));
            tracing::debug!(partition, problem, "a batch will be posted again");
            let wait = waits.next().unwrap_or(LONGEST_RETRY).max(retry_after);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(Delivery::ShutDown),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// A receipt that does not add up is of another batch, or of no backend of ours.
fn check_receipt(receipt: &IngestReceipt, chunk: &[IngestRecord<'_>]) -> Result<(), String> {
    let answered = receipt.stored.checked_add(receipt.duplicate).and_then(|sum| sum.checked_add(receipt.rejected.len()));
    if answered != Some(chunk.len()) {
        return Err(format!(
            "the receipt speaks of {} stored, {} duplicate and {} rejected records, {} were sent",
            receipt.stored,
            receipt.duplicate,
            receipt.rejected.len(),
            chunk.len()
        ));
    }
    let mut sent: HashSet<i64> = chunk.iter().map(|record| record.offset).collect();
    match receipt.rejected.iter().find(|rejection| !sent.remove(&rejection.offset)) {
        Some(rejection) => Err(format!("the receipt rejects offset {}, twice or without having got it", rejection.offset)),
        None => Ok(()),
    }
}

fn find(records: &[Record], offset: i64) -> anyhow::Result<&Record> {
    let index = records.binary_search_by_key(&offset, |record| record.offset);
    Ok(&records[index.ok().context("find a record of the batch by its offset")?])
}

fn count(chunk: &[IngestRecord<'_>]) {
    let bytes: usize = chunk.iter().map(|record| record.report.get().len()).sum();
    metrics::counter!("consumer_batches_total").increment(1);
    metrics::counter!("consumer_records_total").increment(chunk.len() as u64);
    metrics::counter!("consumer_bytes_total").increment(bytes as u64);
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use wire_model::Rejection;

    use super::*;

    #[test]
    fn a_receipt_must_account_for_every_record() {
        let report = RawValue::from_string("null".to_owned()).unwrap();
        let chunk = [41, 43, 44].map(|offset| IngestRecord { offset, report: &report });
        let rejected =
            |offsets: &[i64]| offsets.iter().map(|offset| Rejection { offset: *offset, reason: String::new() }).collect();
        for (stored, duplicate, offsets, ok) in [
            (3, 0, &[][..], true),
            (1, 1, &[43], true),
            (0, 0, &[44, 41, 43], true),
            (2, 0, &[], false),
            (4, 0, &[], false),
            (2, 0, &[42], false),
            (1, 0, &[43, 43], false),
            (usize::MAX, 1, &[43], false),
        ] {
            let receipt = IngestReceipt { stored, duplicate, rejected: rejected(offsets) };
            assert_eq!(check_receipt(&receipt, &chunk).is_ok(), ok, "{receipt:?}");
        }
    }
}
