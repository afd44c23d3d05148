//! The silences, arranged once per version, and what they say of violations.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Active, SilenceSet};
use crate::label::labels_of;
use crate::store::counters::Counter;
use crate::store::versioned::{Known, Versioned};
use crate::store::{self, Connection, Result};
use crate::violation::Violation;

/// The newest silences seen. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Silences(Arc<Versioned<SilenceSet>>);

impl Silences {
    /// Those that are active now, as this transaction sees them.
    pub async fn active(&self, connection: &mut Connection, now: i64) -> Result<Arc<Active>> {
        Ok(self.current(connection).await?.active(now))
    }

    async fn current(&self, connection: &mut Connection) -> Result<Arc<SilenceSet>> {
        match self.0.known(connection, Counter::SilencesVersion).await? {
            Known::Still(silences) => Ok(silences),
            Known::Outdated(version) => Ok(self.0.keep(version, SilenceSet::new(store::silences::all(connection).await?))),
        }
    }

    /// Notes in each violation that is open which silence it is under now.
    pub async fn mark<'v>(
        &self,
        connection: &mut Connection,
        violations: impl IntoIterator<Item = &'v mut Violation>,
        now: i64,
    ) -> Result<()> {
        let mut open: Vec<_> = violations.into_iter().filter(|violation| violation.closed_at.is_none()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let active = self.active(connection, now).await?;
        if active.is_empty() {
            return Ok(());
        }
        let machine_ids: Vec<i64> = open.iter().map(|violation| violation.machine_id).collect();
        let labels = if active.looks_at_labels() { labels_of(connection, &machine_ids).await? } else { Default::default() };
        let none = BTreeMap::new();
        for violation in &mut open {
            violation.attention.silenced = active.of(violation, labels.get(&violation.machine_id).unwrap_or(&none));
        }
        Ok(())
    }
}
