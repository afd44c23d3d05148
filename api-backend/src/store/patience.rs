//! Whole transactions, tried again when they met another one, and what came of the last ones, for whoever watches the database.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tracing::warn;

use super::{Connection, Store, StoreError};

/// How often a transaction that met another one is tried before whoever asked is told to come back.
const TRIES: u32 = 5;
/// No new try after this: a lock may have been waited for each time, and the request has its own time limit.
const PATIENCE: Duration = Duration::from_secs(12);

/// An error of a transaction that may come from the database.
pub trait TransactionError {
    /// What the database said, if it was the database.
    fn of_store(&self) -> Option<&StoreError>;
}

impl TransactionError for StoreError {
    fn of_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// Whether writing works, as far as those who write have seen.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    state: Mutex<WriteState>,
    changed: Notify,
}

/// What the last transaction that said something about the database said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum WriteState {
    /// It was committed, or none was there yet.
    #[default]
    Good,
    /// It met another one.
    Suspect,
    /// It failed, at this time and for this reason.
    Failed(Instant, String),
}

impl Writes {
    fn set(&self, state: WriteState) {
        let before = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state.clone());
        if before != state {
            self.changed.notify_one();
        }
    }

    pub(crate) fn state(&self) -> WriteState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it is another one than when this was last asked.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What was wrong is over.
    pub(crate) fn clear(&self) {
        self.set(WriteState::Good);
    }
}

impl Store {
    /// One transaction of these statements, run again when it met another one. They must not change anything but the database.
    pub async fn change<T>(
        &self,
        statements: impl for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let run = async || {
            let mut transaction = self.begin().await?;
            let done = statements(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        self.with_patience(run).await
    }

    /// Runs a whole transaction, and runs it again when it met another one. It must not change anything but the database.
    pub async fn with_patience<T, E, F>(&self, mut transaction: impl FnMut() -> F) -> Result<T, E>
    where
        E: TransactionError,
        F: Future<Output = Result<T, E>>,
    {
        let begun = Instant::now();
        let mut tries = 1;
        loop {
            let outcome = transaction().await;
            let error = match &outcome {
                Ok(_) => {
                    self.writes.set(WriteState::Good);
                    return outcome;
                }
                Err(error) => error.of_store(),
            };
            match error {
                Some(StoreError::TryAgain(error)) if tries < TRIES && begun.elapsed() < PATIENCE => {
                    self.writes.set(WriteState::Suspect);
                    warn!(tries, %error, "a transaction met another one, trying again");
                    metrics::counter!("transactions_retried_total").increment(1);
                    tries += 1;
                }
                Some(error @ (StoreError::TryAgain(_) | StoreError::Unavailable(_))) => {
                    self.writes.set(WriteState::Failed(Instant::now(), error.to_string()));
                    return outcome;
                }
                Some(StoreError::Refused(_) | StoreError::Corrupt(_)) | None => return outcome,
            }
        }
    }
}
