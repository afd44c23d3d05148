//! A partition's worker: batch, post, dead letters, offset; one batch in flight.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use service_runtime::Shutdown;
use wire_model::IngestRecord;

use crate::backend::{Backend, REQUEST_TIMEOUT};
use crate::batch::Record;
use crate::dead_letters::{DeadLetter, DeadLetters, Kind};
use crate::deliver::Delivery;
use crate::load::Load;
use crate::outages::Outages;
use crate::partition::{Batch, Partition};
use crate::sift::sift;

/// How often a batch that the backend fails at is posted as it is; parts of one are split at once.
const PATIENCE: u32 = 3;

/// What all workers share.
pub(crate) struct Forwarder {
    pub(crate) backend: Arc<Backend>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) topic: String,
    pub(crate) outages: Outages,
    /// Batches of which the backend has stored something.
    pub(crate) stored: AtomicU64,
    pub(crate) load: Mutex<Load>,
    pub(crate) shutdown: Shutdown,
}

/// Whether a worker goes on: without receipt or dead letter nothing after it may be stored.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

impl Forwarder {
    /// Forwards one partition until shutdown; aborted when the partition is revoked.
    pub(crate) async fn run(&self, partition: &Partition) -> anyhow::Result<()> {
        loop {
            let batch = tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                batch = partition.next_batch() => batch?,
            };
            partition.promise.within(REQUEST_TIMEOUT);
            if self.forward(partition, &batch).await? == Then::Stop {
                return Ok(());
            }
            partition.promise.rest();
        }
    }

    async fn forward(&self, partition: &Partition, batch: &Batch) -> anyhow::Result<Then> {
        let records = &batch.records[..];
        let (reports, dead_letters) = sift(records);
        if !self.dead_letters.write(partition, &dead_letters, &self.shutdown).await? {
            return Ok(Then::Stop);
        }
        // halves of a batch that was too large or that the backend failed at, the next one last
        let mut chunks = vec![(&reports[..], PATIENCE)];
        while let Some((chunk, patience)) = chunks.pop() {
            let Some(last) = chunk.last() else { continue };
            let letter = |kind, reason| anyhow::Ok(vec![DeadLetter { record: find(records, last.offset)?, kind, reason }]);
            let rejected = match self.deliver(partition, chunk, patience, &reports).await? {
                Delivery::ShutDown => return Ok(Then::Stop),
                Delivery::TooLarge if chunk.len() > 1 => {
                    chunks.extend(halves(chunk).map(|half| (half, patience)));
                    continue;
                }
                Delivery::Fault { .. } if chunk.len() > 1 => {
                    chunks.extend(halves(chunk).map(|half| (half, 1)));
                    continue;
                }
                Delivery::TooLarge => letter(Kind::TooLarge, "alone in a batch it is larger than the backend takes".to_owned())?,
                Delivery::Fault { problem } => {
                    letter(Kind::Fault, format!("the backend fails at this report and at no other: {problem}"))?
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
}

/// The second one first: what is added last is taken next.
fn halves<'a, 'b>(chunk: &'b [IngestRecord<'a>]) -> [&'b [IngestRecord<'a>]; 2] {
    let (first, second) = chunk.split_at(chunk.len() / 2);
    [second, first]
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
