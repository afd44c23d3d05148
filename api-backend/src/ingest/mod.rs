//! A batch of reports becomes rows: one transaction that stores, evaluates and appends events.
//!
//! Nothing is kept in memory that a restart would need, so any backend can take any batch; what is cached here is only what the
//! database's own version numbers confirm. Knows nothing of HTTP.

mod apply;
mod batch;
mod inventory;
mod rules;

use std::sync::Arc;

use tracing::{error, warn};
use wire_model::{IngestReceipt, Rejection};

pub use batch::{BatchError, DecodedBatch, DecodedReport, decode_payload};

use self::apply::Counts;
use crate::live::Live;
use crate::store::{Store, StoreError};
use crate::time::now_ms;

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
        let mut receipt = IngestReceipt { rejected: batch.rejected, ..IngestReceipt::default() };
        let counts = match self.apply_with_patience(&batch.reports).await {
            Err(StoreError::Refused(error)) => {
                warn!(%error, "the database refuses something in a batch, taking its reports one by one");
                self.apply_singly(&batch.reports, &mut receipt.rejected).await?
            }
            outcome => outcome?,
        };
        (receipt.stored, receipt.duplicate) = (counts.stored, counts.duplicate);
        self.live.wake();
        metrics::histogram!("ingest_transaction_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("ingest_reports_total", "outcome" => "stored").increment(receipt.stored as u64);
        metrics::counter!("ingest_reports_total", "outcome" => "duplicate").increment(receipt.duplicate as u64);
        metrics::counter!("ingest_reports_total", "outcome" => "rejected").increment(receipt.rejected.len() as u64);
        metrics::counter!("ingest_samples_total").increment(counts.samples as u64);
        Ok(receipt)
    }

    async fn apply_with_patience(&self, reports: &[DecodedReport]) -> Result<Counts, StoreError> {
        self.store.with_patience(|| self.apply(reports, now_ms())).await
    }

    /// A report that the database does not take must not hold up those behind it.
    async fn apply_singly(&self, reports: &[DecodedReport], rejected: &mut Vec<Rejection>) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        for report in reports {
            match self.apply_with_patience(std::slice::from_ref(report)).await {
                Ok(one) => counts.add(&one),
                Err(StoreError::Refused(error)) => {
                    error!(%error, host_id = report.report.host.id, at = report.report.at, "the database refuses a report");
                    let reason = "the database refuses this report: see the api-backend's log".to_owned();
                    rejected.push(Rejection { offset: report.offset, reason });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(counts)
    }
}
