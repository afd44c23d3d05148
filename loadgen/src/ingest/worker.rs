//! One way to the api-backend: batch, post until there is a receipt, next batch.

use std::sync::Arc;
use std::time::Duration;

use service_runtime::backoff;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wire_model::IngestReceipt;
use wire_model::limits::{BATCH_COMPRESSED_BYTES, BATCH_INFLATED_BYTES, BATCH_RECORDS};

use super::batch::{RECORD_FRAME_BYTES, Report, body, check};
use super::client::{Answer, Client};
use crate::Config;
use crate::tally::Tally;

/// How long a batch's first report waits for others, as at a consumer.
const LINGER: Duration = Duration::from_millis(10);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    partition: i32,
    /// Of the next record.
    offset: i64,
    batch_bytes: usize,
    /// After which a batch has failed.
    patience: Duration,
    client: Client,
    tally: Arc<Tally>,
}

impl Worker {
    pub(super) fn new(partition: i32, config: &Config, client: Client, tally: Arc<Tally>) -> Worker {
        let patience = Duration::from_secs(config.delivery_seconds);
        Worker { partition, offset: 0, batch_bytes: config.ingest.batch_bytes as usize, patience, client, tally }
    }

    /// Posts until there is nobody left who sends.
    pub(super) async fn run(mut self, mut reports: mpsc::Receiver<Report>) {
        let mut next = reports.recv().await;
        while let Some(first) = next.take() {
            let mut bytes = first.message.len() + RECORD_FRAME_BYTES;
            let mut batch = vec![first];
            let goes_at = Instant::now() + LINGER;
            // ends with its time, or with the last sender
            while let Ok(Some(report)) = timeout_at(goes_at, reports.recv()).await {
                bytes += report.message.len() + RECORD_FRAME_BYTES;
                if bytes > self.batch_bytes || batch.len() == BATCH_RECORDS {
                    next = Some(report);
                    break;
                }
                batch.push(report);
            }
            self.deliver(&batch).await;
            if next.is_none() {
                next = reports.recv().await;
            }
        }
    }

    /// Every report has a receipt afterwards, or has failed.
    async fn deliver(&mut self, batch: &[Report]) {
        // halves of a batch that was too large, the next one last
        let mut chunks = vec![batch];
        while let Some(chunk) = chunks.pop() {
            match self.post(chunk).await {
                Ok(Some(receipt)) => self.note(chunk, &receipt),
                Ok(None) if chunk.len() > 1 => {
                    let (first, second) = chunk.split_at(chunk.len() / 2);
                    chunks.extend([second, first]);
                    continue;
                }
                Ok(None) => self.tally.rejected(&chunk[0].delivery, "alone in a batch it is larger than the backend takes"),
                Err(problem) => chunk.iter().for_each(|report| self.tally.failed(&report.delivery, &problem)),
            }
            self.offset += i64::try_from(chunk.len()).unwrap_or_default();
        }
    }

    /// `None` if the batch is too large; the error of the last try if no other was left.
    async fn post(&self, chunk: &[Report]) -> Result<Option<IngestReceipt>, String> {
        let uncompressed = self.client.uncompressed;
        let body =
            body(self.partition, self.offset, chunk, uncompressed).map_err(|error| format!("compress a batch: {error}"))?;
        let limit = if uncompressed { BATCH_INFLATED_BYTES } else { BATCH_COMPRESSED_BYTES };
        if body.len() > limit {
            return Ok(None);
        }
        let began_at = Instant::now();
        let mut waits = backoff(FIRST_RETRY, LONGEST_RETRY);
        loop {
            let (problem, retry_after) = match self.client.post(body.clone()).await {
                Answer::TooLarge => return Ok(None),
                Answer::Receipt(receipt) => match check(&receipt, self.offset, chunk.len()) {
                    Ok(()) => {
                        self.tally.posted(began_at.elapsed());
                        return Ok(Some(receipt));
                    }
                    Err(problem) => (problem, Duration::ZERO),
                },
                Answer::Failed(problem, retry_after) => (problem, retry_after),
            };
            let wait = waits.next().unwrap_or(LONGEST_RETRY).max(retry_after);
            if began_at.elapsed() + wait > self.patience {
                return Err(problem);
            }
            self.tally.retried(&problem);
            tokio::time::sleep(wait).await;
        }
    }

    fn note(&self, chunk: &[Report], receipt: &IngestReceipt) {
        self.tally.receipt(receipt);
        for (offset, report) in (self.offset..).zip(chunk) {
            match receipt.rejected.iter().find(|rejection| rejection.offset == offset) {
                Some(rejection) => self.tally.rejected(&report.delivery, &rejection.reason),
                None => self.tally.acknowledged(&report.delivery, self.partition, offset),
            }
        }
    }
}
