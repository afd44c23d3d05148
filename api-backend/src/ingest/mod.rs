//! A batch of reports becomes rows: one transaction that stores, evaluates and appends events.
//!
//! Nothing is kept in memory that a restart would need, so any backend can take any batch; what is cached here is only what the
//! database's own version numbers confirm. Knows nothing of HTTP.

mod accounting;
mod apply;
mod batch;
mod body;
mod clock;
mod forms;
mod inventory;
mod known;
mod name;
mod reboot;
mod records;
mod rules;
mod times;
mod windows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tracing::{error, warn};
use wire_model::{IngestReceipt, Rejection, limits};

pub use batch::{BatchError, DecodedBatch, DecodedReport, RejectedReport};
pub use body::Body;
pub use clock::{CLOCK_BEHIND_MS, Clock};
pub use forms::{FORMS_BYTES, Forms, Message};
pub(crate) use inventory::describe;
pub use name::ReportName;
pub(crate) use rules::RuleCache;
pub use times::SHIFT_MS_MAX;

use self::apply::{Outcome, Part};
use crate::live::Live;
use crate::silence::Silences;
use crate::store::{self, Store, StoreError};
use crate::time::{DAY_MS, now_ms};

/// Why nothing of a batch was stored: it may be sent again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// In the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Every report seems to be from the future.
    #[error("{0}")]
    ClockBehind(String),
}

/// Takes batches. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    live: Live,
    clock: Arc<Clock>,
    retention_ms: i64,
    forms: Arc<Forms>,
    rules: Arc<RuleCache>,
    silences: Silences,
    known: Arc<known::Cache<Arc<known::Known>>>,
    stored_forms: Arc<known::Cache<body::StoredForm>>,
    windows: Arc<windows::WindowCache>,
}

impl Ingest {
    /// Writes to `store`, where reports are kept for so many days, and wakes `live` after every commit.
    pub fn new(store: Store, live: Live, raw_retention_days: u32) -> Ingest {
        let retention_ms = i64::from(raw_retention_days) * DAY_MS;
        let (forms, rules, known, stored_forms) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let (clock, windows, silences) = (Arc::default(), Arc::default(), Silences::default());
        Ingest { store, live, clock, retention_ms, forms, rules, silences, known, stored_forms, windows }
    }

    /// Decodes the body of a batch. Costs CPU: call it off the async threads.
    pub fn decode(&self, body: &[u8], zstd: bool) -> Result<DecodedBatch, BatchError> {
        DecodedBatch::decode(body, zstd, &self.forms, now_ms())
    }

    /// What is known of silences.
    pub fn silences(&self) -> Silences {
        self.silences.clone()
    }

    /// What is known of our clock.
    pub fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    /// Stores what can be stored and says what cannot; returns after COMMIT.
    pub async fn accept(&self, batch: DecodedBatch) -> Result<IngestReceipt, IngestError> {
        let started = Instant::now();
        self.check_clock(&batch).await?;
        let whole = Part { partition: batch.partition, reports: &batch.reports, rejected: &batch.rejected };
        let mut outcome = self.apply_in_parts(whole).await?;
        let unreadable =
            batch.rejected.into_iter().map(|rejected| Rejection { offset: rejected.offset, reason: rejected.reason });
        outcome.rejected.extend(unreadable);
        outcome.rejected.sort_by_key(|rejection| rejection.offset);
        self.live.wake();
        metrics::histogram!("ingest_transaction_seconds").record(started.elapsed().as_secs_f64());
        outcome.count();
        Ok(IngestReceipt { stored: outcome.stored, duplicate: outcome.duplicate, rejected: outcome.rejected })
    }

    /// Reports from the future may show that our own clock was set back: then those hosts' reports of before came later than now. Of hosts
    /// that nobody heard of before nothing is known, so that one wrong clock among them is not taken for ours.
    async fn check_clock(&self, batch: &DecodedBatch) -> Result<(), IngestError> {
        let now = now_ms();
        let named = batch.rejected.iter().filter_map(|rejected| rejected.name.as_ref());
        let future = named.filter(|name| name.mark.at > now + limits::FUTURE_MS).map(|name| name.host_id.as_str());
        let host_ids: Vec<&str> = future.collect::<BTreeSet<_>>().into_iter().collect();
        if host_ids.is_empty() {
            return Ok(());
        }
        let received_at = store::hosts::last_received(&mut *self.store.read().await?, &host_ids).await?;
        let instant = Instant::now();
        if let Some(at) = received_at {
            self.clock.saw(at, instant);
        }
        self.clock.check(now, instant).map_err(IngestError::ClockBehind)
    }

    async fn apply_with_patience(&self, part: Part<'_>) -> Result<Outcome, StoreError> {
        self.store.with_patience(|| self.apply(part, now_ms())).await
    }

    /// A report that the database does not take must not hold up those around it: what is refused is halved, down to that report.
    async fn apply_in_parts(&self, whole: Part<'_>) -> Result<Outcome, StoreError> {
        let mut sum = Outcome::default();
        // the next one on top, in the order of the offsets: the ledger takes what is skipped for missing
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            let error = match self.apply_with_patience(part).await {
                Ok(outcome) => {
                    sum.add(outcome);
                    continue;
                }
                Err(StoreError::Refused(error)) => error,
                Err(error) => return Err(error),
            };
            if let Some([first, second]) = part.halves() {
                warn!(%error, records = part.len(), "the database refuses something in a batch, trying its halves");
                parts.extend([second, first]);
                continue;
            }
            sum.add(match part.reports {
                [report] => self.refuse(report, part, &error).await?,
                _ => self.reject(part).await?,
            });
        }
        Ok(sum)
    }

    async fn refuse(&self, report: &DecodedReport, part: Part<'_>, error: &sqlx::Error) -> Result<Outcome, StoreError> {
        error!(%error, host_id = report.form.host_id(), at = report.figures.at, "the database refuses a report");
        let reason = "the database refuses this report: see the api-backend's log".to_owned();
        let name = Some(ReportName::from(report));
        let refused = [RejectedReport { offset: report.offset, reason: reason.clone(), name }];
        let mut outcome = self.reject(Part { reports: &[], rejected: &refused, ..part }).await?;
        outcome.rejected.push(Rejection { offset: report.offset, reason });
        Ok(outcome)
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
