//! A batch of reports becomes rows: one transaction that stores, evaluates and appends events.
//!
//! Nothing is kept in memory that a restart would need, so any backend can take any batch; what is cached here is only what the
//! database's own version numbers confirm. Knows nothing of HTTP.

mod apply;
mod batch;
mod inventory;
mod rules;

use std::sync::Arc;

use tracing::warn;
use wire_model::IngestReceipt;

pub use batch::{BatchError, DecodedBatch, decode_payload};

use crate::live::Live;
use crate::store::{Store, StoreError};
use crate::time::now_ms;

/// How often a transaction that met another one is tried before the consumer is asked to come back.
const TRIES: u32 = 5;

/// Takes batches. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    live: Live,
    rules: Arc<rules::RuleCache>,
    inventories: Arc<inventory::InventoryCache>,
}

impl Ingest {
    /// Writes to `store` and wakes `live` after every commit.
    pub fn new(store: Store, live: Live) -> Ingest {
        Ingest { store, live, rules: Arc::default(), inventories: Arc::default() }
    }

    /// Stores what can be stored and says what cannot; returns after COMMIT.
    pub async fn accept(&self, batch: DecodedBatch) -> Result<IngestReceipt, StoreError> {
        let started = std::time::Instant::now();
        let mut outcome = self.apply(&batch, now_ms()).await;
        for attempt in 1..TRIES {
            let Err(StoreError::TryAgain(error)) = &outcome else { break };
            warn!(attempt, %error, "ingest met another transaction, trying again");
            metrics::counter!("ingest_transactions_retried_total").increment(1);
            outcome = self.apply(&batch, now_ms()).await;
        }
        let counts = outcome?;
        self.live.wake();
        metrics::histogram!("ingest_transaction_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("ingest_reports_total", "outcome" => "stored").increment(counts.stored as u64);
        metrics::counter!("ingest_reports_total", "outcome" => "duplicate").increment(counts.duplicate as u64);
        metrics::counter!("ingest_reports_total", "outcome" => "rejected").increment(batch.rejected.len() as u64);
        metrics::counter!("ingest_samples_total").increment(counts.samples as u64);
        Ok(IngestReceipt { stored: counts.stored, duplicate: counts.duplicate, rejected: batch.rejected })
    }
}
