//! `chunks`, `stretches` and what belongs to them.

use std::collections::{BTreeMap, BTreeSet};

use super::Store;
use crate::ledger::chunks::{self, Named};
use crate::ledger::found;
use sqlx::Row;
use sqlx::any::AnyRow;

/// `chunks.resolution_ms` of every sample, and of points of 5 minutes.
pub(in crate::ledger) const RAW: i64 = 0;
pub(in crate::ledger) const FIVE_MINUTES: i64 = 300_000;

/// What is sealed, without the values.
#[derive(Default)]
pub(in crate::ledger) struct Index {
    /// Samples from before may be removed.
    pub(in crate::ledger) raw_removed_before: i64,
    /// Rows of `stretches` that cannot be what their description says.
    pub(in crate::ledger) unreadable: u64,
    pub(in crate::ledger) hosts: BTreeMap<i64, HostIndex>,
}

/// Of one host.
#[derive(Default)]
pub(in crate::ledger) struct HostIndex {
    /// Sealed stretches by their start: their reports.
    pub(in crate::ledger) stretches: BTreeMap<i64, Vec<Named>>,
    /// Stretches of which there are chunks.
    pub(in crate::ledger) raw: BTreeSet<i64>,
    /// Days that are folded.
    pub(in crate::ledger) folded: BTreeSet<i64>,
    /// Days that are to be folded, for the first time or again.
    pub(in crate::ledger) due: BTreeSet<i64>,
}

/// One row of `chunks`.
pub(in crate::ledger) struct ChunkRow {
    pub(in crate::ledger) machine_id: i64,
    pub(in crate::ledger) part: i64,
    pub(in crate::ledger) data: Vec<u8>,
}

impl Store {
    /// All later reading sees one state, whatever the backend seals meanwhile.
    pub(in crate::ledger) async fn begin(&mut self) -> sqlx::Result<()> {
        sqlx::raw_sql("BEGIN").execute(&mut self.0).await?;
        Ok(())
    }

    pub(in crate::ledger) async fn count_sealed(&mut self) -> sqlx::Result<i64> {
        let sql = "SELECT CAST(COALESCE(SUM(reports), 0) AS SIGNED) FROM stretches";
        sqlx::query_scalar(sql).fetch_one(&mut self.0).await
    }

    /// Each table once: none has an index by host.
    pub(in crate::ledger) async fn index(&mut self) -> anyhow::Result<Index> {
        let sql = "SELECT value FROM counters WHERE name = 'raw_removed_before'";
        let raw_removed_before = sqlx::query_scalar(sql).fetch_one(&mut self.0).await?;
        let mut index = Index { raw_removed_before, ..Index::default() };
        let rows = sqlx::query("SELECT host_key, start_at, reports, data FROM stretches").fetch_all(&mut self.0).await?;
        for row in rows {
            let (host_key, start_at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            match stretch(&row) {
                Ok(named) => drop(index.hosts.entry(host_key).or_default().stretches.insert(start_at, named)),
                Err(error) => {
                    let which = format!("{start_at} of host {host_key}: {error:#}");
                    found(&mut index.unreadable, "a stretch cannot be read", which);
                }
            }
        }
        let sql = "SELECT DISTINCT host_key, start_at, resolution_ms FROM chunks";
        for row in sqlx::query(sql).fetch_all(&mut self.0).await? {
            let host = index.hosts.entry(row.try_get(0)?).or_default();
            let starts = match row.try_get::<i64, _>(2)? {
                RAW => &mut host.raw,
                FIVE_MINUTES => &mut host.folded,
                other => anyhow::bail!("chunks of a resolution of {other} ms"),
            };
            starts.insert(row.try_get(1)?);
        }
        for row in sqlx::query("SELECT host_key, day_at FROM rollups_due").fetch_all(&mut self.0).await? {
            index.hosts.entry(row.try_get(0)?).or_default().due.insert(row.try_get(1)?);
        }
        Ok(index)
    }

    /// The chunks of a host's machines.
    pub(in crate::ledger) async fn chunks(
        &mut self,
        resolution: i64,
        start_at: i64,
        host_key: i64,
    ) -> sqlx::Result<Vec<ChunkRow>> {
        let sql = "SELECT machine_id, part, data FROM chunks WHERE resolution_ms = ? AND start_at = ? AND host_key = ? ORDER BY machine_id, part";
        let rows = sqlx::query(sql).bind(resolution).bind(start_at).bind(host_key).fetch_all(&mut self.0).await?;
        rows.iter()
            .map(|row| Ok(ChunkRow { machine_id: row.try_get(0)?, part: row.try_get(1)?, data: row.try_get(2)? }))
            .collect()
    }
}

fn stretch(row: &AnyRow) -> anyhow::Result<Vec<Named>> {
    let named = chunks::stretch(&row.try_get::<Vec<u8>, _>(3)?)?;
    anyhow::ensure!(row.try_get::<i64, _>(2)? == named.len() as i64, "its row tells another number of reports");
    Ok(named)
}
