//! The thresholds, arranged once per version.

use std::sync::Arc;

use crate::store::counters::Counter;
use crate::store::versioned::{Known, Versioned};
use crate::store::{self, Connection, Result};
use crate::thresholds::RuleSet;

/// The newest rule set seen.
#[derive(Debug, Default)]
pub(crate) struct RuleCache(Versioned<RuleSet>);

impl RuleCache {
    /// The rules as this transaction sees them.
    pub(crate) async fn current(&self, connection: &mut Connection) -> Result<Arc<RuleSet>> {
        match self.0.known(connection, Counter::ThresholdsVersion).await? {
            Known::Still(rules) => Ok(rules),
            Known::Outdated(version) => Ok(self.0.keep(version, RuleSet::new(store::thresholds::all(connection).await?))),
        }
    }
}
