//! `violations`: one row per stay of a series beyond a threshold.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, MAX_BOUND_VALUES, Result, StoreError, inserted_id, placeholders};
use crate::thresholds::evaluator::{CloseReason, SeriesKey};
use crate::violation::{Acknowledgement, Attention, Silenced, Violation};

pub(super) const COLUMNS: &str = "violation_id, machine_id, machine_name, host_id, host_name, kind, metric, device, quantity, direction, severity, \
                       threshold_id, threshold_version, threshold_value, opened_at, opened_value, peak_value, closed_at, closed_value, close_reason, \
                       closed_version, cause, detected_at, acknowledged_at, acknowledged_by, acknowledged_comment, announced_at, silence_id";

/// Stores a violation and returns its id; `id` of the argument is not looked at.
pub async fn insert(connection: &mut Connection, violation: &Violation) -> Result<i64> {
    let sql = "INSERT INTO violations (machine_id, machine_name, host_id, host_name, kind, metric, device, quantity, direction, severity, \
               threshold_id, threshold_version, threshold_value, opened_at, opened_value, peak_value, cause, detected_at, announced_at, silence_id) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(sql).bind(violation.machine_id).bind(&violation.machine_name).bind(&violation.host_id);
    let query = query.bind(&violation.host_name).bind(violation.kind.as_str()).bind(&violation.metric);
    let query = query.bind(violation.device.as_deref().unwrap_or_default().to_owned()).bind(violation.quantity.as_str());
    let query = query.bind(violation.direction.as_str());
    let query = query.bind(violation.severity.as_str()).bind(violation.threshold_id).bind(violation.threshold_version);
    let query = query.bind(violation.threshold_value);
    let query = query.bind(violation.opened_at).bind(violation.opened_value).bind(violation.peak_value);
    let query = query.bind(violation.cause.clone()).bind(violation.detected_at);
    let query = query.bind(violation.attention.announced_at).bind(violation.attention.silence_id);
    let result = query.execute(&mut *connection).await?;
    inserted_id(connection, &result).await
}

/// Notes a worse value.
pub async fn set_peak(connection: &mut Connection, key: &SeriesKey, opened_at: i64, peak: f64) -> Result<()> {
    let sql = format!("UPDATE violations SET peak_value = ? {WHERE_KEY}");
    bind_key(sqlx::query(AssertSqlSafe(sql)).bind(peak), key, opened_at).execute(connection).await?;
    Ok(())
}

/// Why and by what a violation closes.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// Time of what decided it,
    pub at: i64,
    /// and the value then.
    pub value: Option<f64>,
    /// Why.
    pub reason: CloseReason,
    /// Version of the rule that decided; `None` when the rule is no more.
    pub version: Option<i64>,
}

/// Closes a violation and returns it; `None` when it is not there (an operator's hand in the database).
pub async fn close(connection: &mut Connection, key: &SeriesKey, opened_at: i64, closing: Closing) -> Result<Option<Violation>> {
    let Closing { at, value, reason, version } = closing;
    let sql = format!("UPDATE violations SET closed_at = ?, closed_value = ?, close_reason = ?, closed_version = ? {WHERE_KEY}");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(at).bind(value).bind(reason.as_str()).bind(version);
    bind_key(query, key, opened_at).execute(&mut *connection).await?;
    let sql = format!("SELECT {COLUMNS} FROM violations {WHERE_KEY}");
    let row = bind_key(sqlx::query(AssertSqlSafe(sql)), key, opened_at).fetch_optional(connection).await?;
    row.as_ref().map(violation).transpose()
}

const WHERE_KEY: &str = "WHERE machine_id = ? AND threshold_id = ? AND device = ? AND opened_at = ?";

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

fn bind_key<'q>(query: Query<'q>, key: &'q SeriesKey, opened_at: i64) -> Query<'q> {
    query.bind(key.machine_id).bind(key.threshold_id).bind(&key.device).bind(opened_at)
}

/// Notes that somebody saw a violation, or that nobody did after all. Whether it is there.
pub async fn acknowledge(connection: &mut Connection, id: i64, acknowledged: Option<&Acknowledgement>) -> Result<bool> {
    let sql = "UPDATE violations SET acknowledged_at = ?, acknowledged_by = ?, acknowledged_comment = ? WHERE violation_id = ?";
    let query = sqlx::query(sql).bind(acknowledged.map(|known| known.at));
    let query = query.bind(acknowledged.and_then(|known| known.by.as_ref())).bind(acknowledged.map(|known| &known.comment));
    Ok(query.bind(id).execute(connection).await?.rows_affected() == 1)
}

/// One violation.
pub async fn get(connection: &mut Connection, id: i64) -> Result<Option<Violation>> {
    let sql = format!("SELECT {COLUMNS} FROM violations WHERE violation_id = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(violation).transpose()
}

/// Violations that are open and were not announced, with ids above `after`, in id order.
pub async fn unannounced(connection: &mut Connection, after: i64, limit: i64) -> Result<Vec<Violation>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM violations WHERE closed_at IS NULL AND announced_at IS NULL AND violation_id > ? \
         ORDER BY violation_id LIMIT ?"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(connection).await?;
    rows.iter().map(violation).collect()
}

/// Notes that a violation is announced now, and returns it; `None` when it was before, or is over.
pub async fn announce(connection: &mut Connection, id: i64, now: i64) -> Result<Option<Violation>> {
    let sql = "UPDATE violations SET announced_at = ? WHERE violation_id = ? AND closed_at IS NULL AND announced_at IS NULL";
    match sqlx::query(sql).bind(now).bind(id).execute(&mut *connection).await?.rows_affected() {
        0 => Ok(None),
        _ => get(connection, id).await,
    }
}

/// Open violations of some machines.
pub async fn open_of(connection: &mut Connection, machine_ids: &[i64]) -> Result<Vec<Violation>> {
    let mut open = Vec::new();
    for ids in machine_ids.chunks(MAX_BOUND_VALUES) {
        let list = placeholders(ids.len());
        let sql = format!("SELECT {COLUMNS} FROM violations WHERE span = 0 AND machine_id IN ({list}) ORDER BY violation_id");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id);
        }
        for row in &query.fetch_all(&mut *connection).await? {
            open.push(violation(row)?);
        }
    }
    Ok(open)
}

pub(super) fn violation(row: &AnyRow) -> Result<Violation> {
    let text = |column: &str| row.try_get::<String, _>(column);
    Ok(Violation {
        id: row.try_get("violation_id")?,
        machine_id: row.try_get("machine_id")?,
        machine_name: text("machine_name")?,
        host_id: text("host_id")?,
        host_name: text("host_name")?,
        kind: text("kind")?.parse().map_err(StoreError::Corrupt)?,
        metric: text("metric")?,
        device: Some(text("device")?).filter(|device| !device.is_empty()),
        quantity: text("quantity")?.parse().map_err(StoreError::Corrupt)?,
        direction: text("direction")?.parse().map_err(StoreError::Corrupt)?,
        severity: text("severity")?.parse().map_err(StoreError::Corrupt)?,
        threshold_id: row.try_get("threshold_id")?,
        threshold_version: row.try_get("threshold_version")?,
        threshold_value: row.try_get("threshold_value")?,
        opened_at: row.try_get("opened_at")?,
        opened_value: row.try_get("opened_value")?,
        peak_value: row.try_get("peak_value")?,
        closed_at: row.try_get("closed_at")?,
        closed_value: row.try_get("closed_value")?,
        close_reason: row.try_get("close_reason")?,
        closed_version: row.try_get("closed_version")?,
        cause: row.try_get("cause")?,
        detected_at: row.try_get("detected_at")?,
        attention: attention(row)?,
    })
}

fn attention(row: &AnyRow) -> Result<Attention> {
    let (announced_at, silence_id): (Option<i64>, Option<i64>) = (row.try_get("announced_at")?, row.try_get("silence_id")?);
    let held_back = silence_id.filter(|_| announced_at.is_none()).zip(row.try_get("closed_at")?);
    let acknowledged = match row.try_get("acknowledged_at")? {
        Some(at) => {
            let comment: Option<String> = row.try_get("acknowledged_comment")?;
            Some(Acknowledgement { at, by: row.try_get("acknowledged_by")?, comment: comment.unwrap_or_default() })
        }
        None => None,
    };
    // of one that is open the silences know more
    let silenced = held_back.map(|(silence_id, until)| Silenced { silence_id, until });
    Ok(Attention { acknowledged, silenced, announced_at, silence_id })
}
