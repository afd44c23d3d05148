//! `violations`: one row per stay of a series beyond a threshold.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, MAX_BOUND_VALUES, Result, StoreError, inserted_id, placeholders};
use crate::thresholds::evaluator::{CloseReason, SeriesKey};
use crate::thresholds::{Kind, Severity};
use crate::violation::Violation;

/// Which violations to list.
#[derive(Clone, Debug, Default)]
pub struct ViolationFilter {
    /// Still open at or after this time.
    pub from: Option<i64>,
    /// Opened before this time.
    pub to: Option<i64>,
    /// Of this machine.
    pub machine_id: Option<i64>,
    /// Of this host and its containers.
    pub host_id: Option<String>,
    /// Of this metric.
    pub metric: Option<String>,
    /// Of this severity.
    pub severity: Option<Severity>,
    /// Of this kind of machine.
    pub kind: Option<Kind>,
    /// Open or closed now.
    pub is_open: Option<bool>,
    /// Only those that come after this one, newest first: its `opened_at` and id.
    pub after: Option<(i64, i64)>,
}

const COLUMNS: &str = "violation_id, machine_id, machine_name, host_id, host_name, kind, metric, device, quantity, direction, severity, \
                       threshold_id, threshold_version, threshold_value, opened_at, opened_value, peak_value, closed_at, closed_value, close_reason, \
                       detected_at";

/// Stores a violation and returns its id; `id` of the argument is not looked at.
pub async fn insert(connection: &mut Connection, violation: &Violation) -> Result<i64> {
    let sql = "INSERT INTO violations (machine_id, machine_name, host_id, host_name, kind, metric, device, quantity, direction, severity, \
               threshold_id, threshold_version, threshold_value, opened_at, opened_value, peak_value, detected_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(sql).bind(violation.machine_id).bind(&violation.machine_name).bind(&violation.host_id);
    let query = query.bind(&violation.host_name).bind(violation.kind.as_str()).bind(&violation.metric);
    let query = query.bind(violation.device.as_deref().unwrap_or_default().to_owned()).bind(violation.quantity.as_str());
    let query = query.bind(violation.direction.as_str());
    let query = query.bind(violation.severity.as_str()).bind(violation.threshold_id).bind(violation.threshold_version);
    let query = query.bind(violation.threshold_value);
    let query =
        query.bind(violation.opened_at).bind(violation.opened_value).bind(violation.peak_value).bind(violation.detected_at);
    let result = query.execute(&mut *connection).await?;
    inserted_id(connection, &result).await
}

/// Notes a worse value.
pub async fn set_peak(connection: &mut Connection, key: &SeriesKey, opened_at: i64, peak: f64) -> Result<()> {
    let sql = format!("UPDATE violations SET peak_value = ? {WHERE_KEY}");
    bind_key(sqlx::query(AssertSqlSafe(sql)).bind(peak), key, opened_at).execute(connection).await?;
    Ok(())
}

/// Closes a violation and returns it; `None` when it is not there (an operator's hand in the database).
pub async fn close(
    connection: &mut Connection,
    key: &SeriesKey,
    opened_at: i64,
    closed_at: i64,
    value: Option<f64>,
    reason: CloseReason,
) -> Result<Option<Violation>> {
    let sql = format!("UPDATE violations SET closed_at = ?, closed_value = ?, close_reason = ? {WHERE_KEY}");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(closed_at).bind(value).bind(reason.as_str());
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

/// One violation.
pub async fn get(connection: &mut Connection, id: i64) -> Result<Option<Violation>> {
    let sql = format!("SELECT {COLUMNS} FROM violations WHERE violation_id = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(violation).transpose()
}

/// Violations, newest first.
pub async fn list(connection: &mut Connection, filter: &ViolationFilter, limit: i64) -> Result<Vec<Violation>> {
    let mut sql = format!("SELECT {COLUMNS} FROM violations WHERE 1 = 1");
    let mut numbers_and_texts: Vec<Value> = Vec::new();
    let mut add = |condition: &str, values: &mut dyn Iterator<Item = Value>| {
        sql += " AND ";
        sql += condition;
        numbers_and_texts.extend(values);
    };
    let mut one = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            add(condition, &mut std::iter::once(value));
        }
    };
    one("opened_at < ?", filter.to.map(Value::Number));
    one("(closed_at IS NULL OR closed_at >= ?)", filter.from.map(Value::Number));
    one("machine_id = ?", filter.machine_id.map(Value::Number));
    one("host_id = ?", filter.host_id.clone().map(Value::Text));
    one("metric = ?", filter.metric.clone().map(Value::Text));
    one("severity = ?", filter.severity.map(|severity| Value::Text(severity.as_str().to_owned())));
    one("kind = ?", filter.kind.map(|kind| Value::Text(kind.as_str().to_owned())));
    match filter.is_open {
        Some(true) => add("closed_at IS NULL", &mut std::iter::empty()),
        Some(false) => add("closed_at IS NOT NULL", &mut std::iter::empty()),
        None => {}
    }
    if let Some((opened_at, id)) = filter.after {
        let values = [Value::Number(opened_at), Value::Number(opened_at), Value::Number(id)];
        add("(opened_at < ? OR (opened_at = ? AND violation_id < ?))", &mut values.into_iter());
    }
    sql += " ORDER BY opened_at DESC, violation_id DESC LIMIT ?";
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in numbers_and_texts {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        };
    }
    query.bind(limit).fetch_all(connection).await?.iter().map(violation).collect()
}

enum Value {
    Number(i64),
    Text(String),
}

/// Open violations of some machines.
pub async fn open_of(connection: &mut Connection, machine_ids: &[i64]) -> Result<Vec<Violation>> {
    let mut open = Vec::new();
    for ids in machine_ids.chunks(MAX_BOUND_VALUES) {
        let list = placeholders(ids.len());
        let sql =
            format!("SELECT {COLUMNS} FROM violations WHERE closed_at IS NULL AND machine_id IN ({list}) ORDER BY violation_id");
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

fn violation(row: &AnyRow) -> Result<Violation> {
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
        detected_at: row.try_get("detected_at")?,
    })
}
