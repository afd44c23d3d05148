//! What is read once per version of a counter, and kept until that rises.

use std::sync::{Arc, Mutex, PoisonError};

use super::counters::{self, Counter};
use super::{Connection, Result};

/// The newest one seen, with its version.
#[derive(Debug)]
pub(crate) struct Versioned<T>(Mutex<Option<(i64, Arc<T>)>>);

impl<T> Default for Versioned<T> {
    fn default() -> Versioned<T> {
        Versioned(Mutex::default())
    }
}

/// What is known at a version.
pub(crate) enum Known<T> {
    /// It has not changed since.
    Still(Arc<T>),
    /// It has to be read, and is of this version then; a change in between is noticed next time.
    Outdated(i64),
}

impl<T> Versioned<T> {
    /// As this transaction sees the counter.
    pub(crate) async fn known(&self, connection: &mut Connection, counter: Counter) -> Result<Known<T>> {
        let version = counters::read(connection, counter).await?;
        Ok(match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((known, value)) if *known == version => Known::Still(Arc::clone(value)),
            _ => Known::Outdated(version),
        })
    }

    /// Keeps what was read after its version was.
    pub(crate) fn keep(&self, version: i64, value: T) -> Arc<T> {
        let value = Arc::new(value);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, Arc::clone(&value)));
        value
    }
}
