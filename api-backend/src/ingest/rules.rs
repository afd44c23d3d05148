//! The thresholds, arranged once per version.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::counters::{self, Counter};
use crate::store::{self, Connection, Result};
use crate::thresholds::RuleSet;

/// The newest rule set seen, with its version.
#[derive(Debug, Default)]
pub(crate) struct RuleCache(Mutex<Option<(i64, Arc<RuleSet>)>>);

impl RuleCache {
    /// The rules as this transaction sees them.
    pub(crate) async fn current(&self, connection: &mut Connection) -> Result<Arc<RuleSet>> {
        let version = counters::read(connection, Counter::ThresholdsVersion).await?;
        if let Some((cached, rules)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && *cached == version
        {
            return Ok(Arc::clone(rules));
        }
        // read after the version: a change in between is noticed next time
        let rules = Arc::new(RuleSet::new(store::thresholds::all(connection).await?));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, Arc::clone(&rules)));
        Ok(rules)
    }
}
