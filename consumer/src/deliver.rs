//! One chunk of a batch on its way to the backend: posted until there is a receipt, or a verdict on what is in it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use serde_json::value::RawValue;
use service_runtime::backoff;
use wire_model::limits::BATCH_COMPRESSED_BYTES;
use wire_model::{IngestBatch, IngestReceipt, IngestRecord};

use crate::backend::{Answer, REQUEST_TIMEOUT, encode};
use crate::forward::Forwarder;
use crate::partition::Partition;
use crate::sift::one_json_value;
use crate::trial::Trial;

const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Jitter adds up to as much again.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Between two tries of a report on trial, while there are others to compare it with.
const TRIAL_WAIT: Duration = Duration::from_millis(500);
/// How many others are tried for one comparison: those that the backend has already tell nothing.
const COMPARISONS: usize = 10;

pub(crate) enum Delivery {
    Receipt(IngestReceipt),
    /// It has to be split; a single report can never be stored.
    TooLarge,
    /// The backend fails at something in it: it has to be split; a single report is the one, and nothing but it.
    Fault {
        problem: String,
    },
    ShutDown,
}

impl Forwarder {
    /// Posts until the backend takes the chunk, or until it is known that it never will.
    ///
    /// A chunk of several reports that the backend fails at is given up after `patience` tries. `reports` are all of the batch.
    pub(crate) async fn deliver(
        &self,
        partition: &Partition,
        chunk: &[IngestRecord<'_>],
        patience: u32,
        reports: &[IngestRecord<'_>],
    ) -> anyhow::Result<Delivery> {
        let body = self.body(partition, chunk)?;
        if body.len() > BATCH_COMPRESSED_BYTES {
            return Ok(Delivery::TooLarge);
        }
        let mut waits = backoff(FIRST_RETRY, LONGEST_RETRY);
        let (mut outage, mut faults) = (None, 0);
        let (mut trial, mut compared) = (Trial::default(), chunk.last().map_or(0, |last| last.offset));
        loop {
            let mut longest = LONGEST_RETRY;
            let (problem, retry_after) = match self.post(partition, body.clone(), chunk).await {
                Answer::Receipt(receipt) => return Ok(Delivery::Receipt(receipt)),
                Answer::TooLarge => return Ok(Delivery::TooLarge),
                Answer::TooLargeForProxy { .. } if chunk.len() > 1 => return Ok(Delivery::TooLarge),
                Answer::Fault { problem } if chunk.len() > 1 => {
                    faults += 1;
                    if faults >= patience {
                        return Ok(Delivery::Fault { problem });
                    }
                    (problem, Duration::ZERO)
                }
                Answer::Fault { problem } => {
                    if trial.failed(self.stored.load(Ordering::Relaxed), Instant::now()) {
                        return Ok(Delivery::Fault { problem });
                    }
                    if !self.compare(partition, reports, &mut compared, &trial).await? {
                        trial = Trial::default();
                    } else if trial.has_comparison(self.stored.load(Ordering::Relaxed)) {
                        longest = TRIAL_WAIT;
                    }
                    (problem, Duration::ZERO)
                }
                Answer::TooLargeForProxy { problem, retry_after } | Answer::Failed { problem, retry_after } => {
                    trial = Trial::default();
                    (problem, retry_after)
                }
            };
            outage.get_or_insert_with(|| self.outages.begin(partition.number, &problem));
            tracing::debug!(partition = partition.number, problem, "a batch will be posted again");
            let wait = waits.next().unwrap_or(LONGEST_RETRY).min(longest).max(retry_after);
            partition.promise.within(wait);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(Delivery::ShutDown),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Posts reports behind the one on trial, each alone, until the backend stores one; `false` when it fails at another one, too.
    ///
    /// They come out of their turn, and again in their turn. This is the price for knowing.
    async fn compare(
        &self,
        partition: &Partition,
        reports: &[IngestRecord<'_>],
        compared: &mut i64,
        trial: &Trial,
    ) -> anyhow::Result<bool> {
        for _ in 0..COMPARISONS {
            // others may flow all the while
            if trial.has_comparison(self.stored.load(Ordering::Relaxed)) {
                return Ok(true);
            }
            let in_batch = reports.iter().find(|report| report.offset > *compared);
            let waiting = if in_batch.is_none() { partition.peek(*compared) } else { None };
            let other = match (in_batch, &waiting) {
                (Some(report), _) => Some((report.offset, report.report)),
                (None, Some((offset, payload))) => {
                    *compared = *offset;
                    one_json_value(payload.as_deref()).ok().map(|report| (*offset, report))
                }
                (None, None) => return Ok(true),
            };
            let Some((offset, report)) = other else { continue };
            *compared = offset;
            if !self.is_answered(partition, offset, report).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Posts one report once; whether there is a receipt.
    async fn is_answered(&self, partition: &Partition, offset: i64, report: &RawValue) -> anyhow::Result<bool> {
        let chunk = [IngestRecord { offset, report }];
        let answer = self.post(partition, self.body(partition, &chunk)?, &chunk).await;
        Ok(matches!(answer, Answer::Receipt(_)))
    }

    /// Posts once. A receipt is one for this chunk.
    async fn post(&self, partition: &Partition, body: Bytes, chunk: &[IngestRecord<'_>]) -> Answer {
        partition.promise.within(REQUEST_TIMEOUT);
        let began_at = Instant::now();
        let answer = self.backend.post(body).await;
        let now = Instant::now();
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        partition.rest(load.posted(chunk.len(), now - began_at, now));
        drop(load);
        match answer {
            Answer::Receipt(receipt) => match check_receipt(&receipt, chunk) {
                Ok(()) => {
                    if receipt.stored > 0 {
                        self.stored.fetch_add(1, Ordering::Relaxed);
                    }
                    Answer::Receipt(receipt)
                }
                Err(problem) => Answer::Failed { problem, retry_after: Duration::ZERO },
            },
            answer => answer,
        }
    }

    fn body(&self, partition: &Partition, chunk: &[IngestRecord<'_>]) -> anyhow::Result<Bytes> {
        let records = chunk.iter().map(|record| IngestRecord { offset: record.offset, report: record.report }).collect();
        let batch = IngestBatch { topic: Cow::Borrowed(&self.topic), partition: partition.number, records };
        encode(&batch).context("encode a batch")
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
