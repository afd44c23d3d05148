//! `reports`: the head, one report a row.

use std::borrow::Cow;
use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use wire_model::ReportId;

use super::{Connection, MAX_BOUND_VALUES, Result, placeholders, statements};

/// A report to store.
#[derive(Clone, Debug)]
pub struct NewReport<'a> {
    /// Its host.
    pub host_key: i64,
    /// Its own time.
    pub at: i64,
    /// Ledger: epoch.
    pub epoch: i64,
    /// Ledger: sequence number.
    pub seq: i64,
    /// When it came.
    pub received_at: i64,
    /// The report, as `history::head` reads it.
    pub payload: Cow<'a, [u8]>,
}

/// Rows of one INSERT.
const INSERT_ROWS: usize = 500;

/// Stores reports that are not there yet.
pub async fn insert(connection: &mut Connection, reports: &[NewReport<'_>]) -> Result<()> {
    for reports in statements(reports, INSERT_ROWS, |report| report.payload.len()) {
        let rows = vec!["(?, ?, ?, ?, ?, ?)"; reports.len()].join(", ");
        let sql = format!("INSERT INTO reports (host_key, at, epoch, seq, received_at, payload) VALUES {rows}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for report in reports {
            query = query
                .bind(report.host_key)
                .bind(report.at)
                .bind(report.epoch)
                .bind(report.seq)
                .bind(report.received_at)
                .bind(&*report.payload);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Which of these times a host has a report of in the head, and which one that is.
pub async fn existing(connection: &mut Connection, host_key: i64, times: &[i64]) -> Result<HashMap<i64, ReportId>> {
    let mut existing = HashMap::new();
    for times in times.chunks(MAX_BOUND_VALUES) {
        let sql = format!("SELECT at, epoch, seq FROM reports WHERE host_key = ? AND at IN ({})", placeholders(times.len()));
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(host_key);
        for at in times {
            query = query.bind(at);
        }
        for row in query.fetch_all(&mut *connection).await? {
            existing.insert(row.try_get("at")?, name(&row)?);
        }
    }
    Ok(existing)
}

/// The newest report of each host, as it is stored.
pub async fn newest(connection: &mut Connection, host_keys: &[i64]) -> Result<HashMap<i64, Vec<u8>>> {
    let mut newest = HashMap::new();
    for keys in host_keys.chunks(MAX_BOUND_VALUES) {
        let sql = format!(
            "SELECT r.host_key, r.payload FROM hosts h JOIN reports r ON r.host_key = h.host_key AND r.at = h.last_report_at \
             WHERE h.host_key IN ({})",
            placeholders(keys.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for key in keys {
            query = query.bind(key);
        }
        for row in query.fetch_all(&mut *connection).await? {
            newest.insert(row.try_get("host_key")?, row.try_get("payload")?);
        }
    }
    Ok(newest)
}

/// A host, and how far its head goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The host.
    pub host_key: i64,
    /// Time of its oldest report that is not sealed.
    pub oldest_at: i64,
    /// Time of its newest report.
    pub newest_at: i64,
}

/// The heads of all hosts that have reports older than their newest one from before `before`, by host.
pub async fn heads(connection: &mut Connection, before: i64) -> Result<Vec<Head>> {
    // one look into the key for each host
    let sql = "SELECT h.host_key, h.last_report_at, (SELECT MIN(r.at) FROM reports r WHERE r.host_key = h.host_key) AS oldest_at \
               FROM hosts h ORDER BY h.host_key";
    let mut heads = Vec::new();
    for row in sqlx::query(sql).fetch_all(connection).await? {
        let (host_key, newest_at) = (row.try_get("host_key")?, row.try_get("last_report_at")?);
        if let Some(oldest_at) = row.try_get::<Option<i64>, _>("oldest_at")?.filter(|at| *at < newest_at && *at < before) {
            heads.push(Head { host_key, oldest_at, newest_at });
        }
    }
    Ok(heads)
}

/// Time of a host's oldest report from `from` on. What was removed before need not be passed, as it must be in [`heads`] until the database
/// has cleared it away.
pub async fn first_since(connection: &mut Connection, host_key: i64, from: i64) -> Result<Option<i64>> {
    let sql = "SELECT at FROM reports WHERE host_key = ? AND at >= ? ORDER BY at LIMIT 1";
    Ok(sqlx::query_scalar(sql).bind(host_key).bind(from).fetch_optional(connection).await?)
}

/// A stored report with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedReport {
    /// Its place in the store.
    pub at: i64,
    /// Its name.
    pub id: ReportId,
    /// The report, as it is stored.
    pub payload: Vec<u8>,
}

/// Up to `limit` reports of a host in [from, to), in time order.
pub async fn named_range(connection: &mut Connection, host_key: i64, from: i64, to: i64, limit: i64) -> Result<Vec<NamedReport>> {
    let sql = "SELECT at, epoch, seq, payload FROM reports WHERE host_key = ? AND at >= ? AND at < ? ORDER BY at LIMIT ?";
    let rows = sqlx::query(sql).bind(host_key).bind(from).bind(to).bind(limit).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(NamedReport { at: row.try_get("at")?, id: name(row)?, payload: row.try_get("payload")? })).collect()
}

/// Removes the reports of a host in [from, to). How many went.
pub async fn remove(connection: &mut Connection, host_key: i64, from: i64, to: i64) -> Result<u64> {
    let sql = "DELETE FROM reports WHERE host_key = ? AND at >= ? AND at < ?";
    Ok(sqlx::query(sql).bind(host_key).bind(from).bind(to).execute(connection).await?.rows_affected())
}

fn name(row: &AnyRow) -> Result<ReportId> {
    let number = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    Ok(ReportId { epoch: number("epoch")?, seq: number("seq")? })
}

/// How many reports a host has in [from, to), counted up to `limit`.
pub async fn count(connection: &mut Connection, host_key: i64, from: i64, to: i64, limit: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM reports WHERE host_key = ? AND at >= ? AND at < ? LIMIT ?) AS some_reports";
    Ok(sqlx::query_scalar(sql).bind(host_key).bind(from).bind(to).bind(limit).fetch_one(connection).await?)
}

/// Times and stored reports of a host in [from, to), in time order.
pub async fn range(connection: &mut Connection, host_key: i64, from: i64, to: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    let sql = "SELECT at, payload FROM reports WHERE host_key = ? AND at >= ? AND at < ? ORDER BY at LIMIT ?";
    let rows = sqlx::query(sql).bind(host_key).bind(from).bind(to).bind(limit).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("at")?, row.try_get("payload")?))).collect()
}
