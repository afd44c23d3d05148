//! What is old goes, in small steps that never hold up ingest.

use sqlx::AssertSqlSafe;

use super::chunks::Resolution;
use super::{Connection, Result};

/// Rows that one step removes at most.
pub const STEP_ROWS: i64 = 1_000;

/// Removes up to [`STEP_ROWS`] reports of a host from before `before`; its newest report always stays. How many went.
pub async fn remove_reports(connection: &mut Connection, host_key: i64, before: i64, newest: i64) -> Result<u64> {
    // the time up to which a step goes: neither LIMIT in DELETE (not in every SQLite) nor a long range
    let sql = "SELECT at FROM reports WHERE host_key = ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?";
    let before = before.min(newest);
    let step = sqlx::query_scalar::<_, i64>(sql).bind(host_key).bind(before).bind(STEP_ROWS);
    let end = step.fetch_optional(&mut *connection).await?.unwrap_or(before);
    let sql = "DELETE FROM reports WHERE host_key = ? AND at < ?";
    Ok(sqlx::query(sql).bind(host_key).bind(end).execute(connection).await?.rows_affected())
}

/// Removes chunks of the oldest stretch from before `before`: all rows of some hosts, about [`STEP_ROWS`] or a single host's. How many
/// went.
pub async fn remove_chunks(connection: &mut Connection, resolution: Resolution, before: i64) -> Result<u64> {
    let oldest = super::chunks::bounds(&mut *connection, resolution).await?.map(|(first, _)| first);
    let Some(start_at) = oldest.filter(|start_at| *start_at < before) else { return Ok(0) };
    // the host up to which a step goes
    let sql = "SELECT host_key FROM chunks WHERE resolution_ms = ? AND start_at = ? ORDER BY host_key LIMIT 1 OFFSET ?";
    let step = sqlx::query_scalar::<_, i64>(sql).bind(resolution.ms()).bind(start_at).bind(STEP_ROWS - 1);
    let host_key = step.fetch_optional(&mut *connection).await?.unwrap_or(i64::MAX);
    let sql = "DELETE FROM chunks WHERE resolution_ms = ? AND start_at = ? AND host_key <= ?";
    let query = sqlx::query(sql).bind(resolution.ms()).bind(start_at).bind(host_key);
    Ok(query.execute(connection).await?.rows_affected())
}

/// Removes the oldest stretches, a row for each host, if they began before `before`. How many went.
pub async fn remove_stretches(connection: &mut Connection, before: i64) -> Result<u64> {
    let oldest: Option<i64> = sqlx::query_scalar("SELECT MIN(start_at) FROM stretches").fetch_one(&mut *connection).await?;
    let Some(oldest) = oldest.filter(|oldest| *oldest < before) else { return Ok(0) };
    Ok(sqlx::query("DELETE FROM stretches WHERE start_at = ?").bind(oldest).execute(connection).await?.rows_affected())
}

/// Removes up to [`STEP_ROWS`] events from before `before`; the newest always stays, so that the range is known. How many went.
pub async fn remove_events(connection: &mut Connection, before: i64) -> Result<u64> {
    let oldest: Option<i64> =
        sqlx::query_scalar("SELECT event_id FROM events ORDER BY event_id LIMIT 1").fetch_optional(&mut *connection).await?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT event_id FROM events ORDER BY event_id DESC LIMIT 1").fetch_optional(&mut *connection).await?;
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return Ok(0) };
    let sql = "DELETE FROM events WHERE event_id >= ? AND event_id < ? AND created_at < ?";
    let query = sqlx::query(sql).bind(oldest).bind(newest.min(oldest + STEP_ROWS)).bind(before);
    Ok(query.execute(connection).await?.rows_affected())
}

/// Ids of the hosts that have machines which were gone before `before`.
pub async fn hosts_with_gone_machines(connection: &mut Connection, before: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT h.host_id FROM hosts h JOIN machines m ON m.host_key = h.host_key WHERE m.gone_at < ? ORDER BY h.host_id";
    Ok(sqlx::query_scalar(sql).bind(before).fetch_all(connection).await?)
}

/// Removes a host's machines that were gone before `before`, but those that a threshold names. The host must be locked: ingest may
/// just find one of them back. How many went.
pub async fn remove_gone_machines(connection: &mut Connection, host_key: i64, before: i64) -> Result<u64> {
    let sql = "DELETE FROM machines WHERE host_key = ? AND gone_at < ? \
               AND machine_id NOT IN (SELECT machine_id FROM thresholds WHERE machine_id IS NOT NULL)";
    Ok(sqlx::query(sql).bind(host_key).bind(before).execute(connection).await?.rows_affected())
}

/// Tables whose rows go by a time of their own, and that column; each has an index of it.
pub const AGED: &[(&str, &str)] = &[
    ("gaps", "detected_at"),
    ("rejections", "rejected_at"),
    ("skipped_records", "detected_at"),
    ("consumer_partitions", "updated_at"),
    ("dead_letters", "updated_at"),
    ("letters", "updated_at"),
];

/// Like them, but as old as the containers that are gone.
pub const MACHINE_EVENTS: (&str, &str) = ("machine_events", "occurred_at");

/// Removes [`STEP_ROWS`] rows of one of [`AGED`], or of [`MACHINE_EVENTS`], from before `before`, and those of the same time as the last of them, or all that are
/// left. How many went.
pub async fn remove_aged(connection: &mut Connection, (table, column): (&str, &str), before: i64) -> Result<u64> {
    let sql = format!("SELECT {column} FROM {table} WHERE {column} < ? ORDER BY {column} LIMIT 1 OFFSET ?");
    let step = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(before).bind(STEP_ROWS - 1);
    let last = step.fetch_optional(&mut *connection).await?.unwrap_or(before - 1);
    let sql = format!("DELETE FROM {table} WHERE {column} <= ?");
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(last).execute(connection).await?.rows_affected())
}

/// Removes the oldest hour of the ledger, a row for each host, if it began before `before`. Whether there was one.
pub async fn remove_ledger_hour(connection: &mut Connection, before: i64) -> Result<bool> {
    let oldest: Option<i64> = sqlx::query_scalar("SELECT MIN(hour_at) FROM ledger").fetch_one(&mut *connection).await?;
    let Some(oldest) = oldest.filter(|oldest| *oldest < before) else { return Ok(false) };
    sqlx::query("DELETE FROM ledger WHERE hour_at = ?").bind(oldest).execute(connection).await?;
    Ok(true)
}
