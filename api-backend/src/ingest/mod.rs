//! A batch of reports becomes rows: one transaction that stores, evaluates and appends events.
//!
//! Nothing is kept in memory that a restart would need, so any backend can take any batch; what is cached here is only what the
//! database's own version numbers confirm. Knows nothing of HTTP.

mod accounting;
mod apply;
mod batch;
mod inventory;
mod name;
mod rules;

use std::sync::Arc;

use tracing::{error, warn};
use wire_model::{IngestReceipt, Rejection};

pub use batch::{BatchError, DecodedBatch, DecodedReport, RejectedReport, decode_payload};
pub use name::ReportName;

use self::apply::{Outcome, Part};
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
        let whole = Part { partition: batch.partition, reports: &batch.reports, rejected: &batch.rejected };
        let mut outcome = match self.apply_with_patience(whole).await {
            Err(StoreError::Refused(error)) => {
                warn!(%error, "the database refuses something in a batch, taking its reports one by one");
                self.apply_singly(&batch).await?
            }
            outcome => outcome?,
        };
        let unreadable =
            batch.rejected.into_iter().map(|rejected| Rejection { offset: rejected.offset, reason: rejected.reason });
        outcome.rejected.extend(unreadable);
        outcome.rejected.sort_by_key(|rejection| rejection.offset);
        self.live.wake();
        metrics::histogram!("ingest_transaction_seconds").record(started.elapsed().as_secs_f64());
        outcome.count();
        Ok(IngestReceipt { stored: outcome.stored, duplicate: outcome.duplicate, rejected: outcome.rejected })
    }

    async fn apply_with_patience(&self, part: Part<'_>) -> Result<Outcome, StoreError> {
        self.store.with_patience(|| self.apply(part, now_ms())).await
    }

    /// A report that the database does not take must not hold up those behind it.
    async fn apply_singly(&self, batch: &DecodedBatch) -> Result<Outcome, StoreError> {
        let nothing = Part { partition: batch.partition, reports: &[], rejected: &[] };
        let mut sum = Outcome::default();
        let mut reports = batch.reports.as_slice();
        let mut rejected = batch.rejected.as_slice();
        // in the order of the batch, because the ledger takes what is skipped for missing
        loop {
            let takes_report = match (reports.first(), rejected.first()) {
                (None, None) => return Ok(sum),
                (Some(report), Some(rejected)) => report.offset <= rejected.offset,
                (report, None) => report.is_some(),
                (None, Some(_)) => false,
            };
            if !takes_report {
                let (one, rest) = rejected.split_at(1);
                rejected = rest;
                sum.add(self.reject(Part { rejected: one, ..nothing }).await?);
                continue;
            }
            let (one, rest) = reports.split_at(1);
            reports = rest;
            match self.apply_with_patience(Part { reports: one, ..nothing }).await {
                Ok(outcome) => sum.add(outcome),
                Err(StoreError::Refused(error)) => {
                    let report = &one[0];
                    error!(%error, host_id = report.report.host.id, at = report.report.at, "the database refuses a report");
                    let reason = "the database refuses this report: see the api-backend's log".to_owned();
                    let name = Some(ReportName::from(&report.report));
                    let refused = [RejectedReport { offset: report.offset, reason: reason.clone(), name }];
                    sum.add(self.reject(Part { rejected: &refused, ..nothing }).await?);
                    sum.rejected.push(Rejection { offset: report.offset, reason });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Accounts for a rejected record; when the database does not take even its name, for a nameless one.
    async fn reject(&self, part: Part<'_>) -> Result<Outcome, StoreError> {
        match self.apply_with_patience(part).await {
            Err(StoreError::Refused(_)) => {
                let nameless: Vec<_> =
                    part.rejected.iter().map(|rejected| RejectedReport { name: None, ..rejected.clone() }).collect();
                self.apply_with_patience(Part { rejected: &nameless, ..part }).await
            }
            outcome => outcome,
        }
    }
}
