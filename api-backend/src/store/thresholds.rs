//! `thresholds`: the rules. Every change raises their common version, by which backends notice it.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::counters::{self, Counter};
use super::{Connection, Result, StoreError, inserted_id};
use crate::thresholds::Threshold;

const COLUMNS: &str =
    "threshold_id, version, kind, machine_id, metric, device, direction, value, recovery_value, for_seconds, severity, enabled";

/// All rules, in id order.
pub async fn all(connection: &mut Connection) -> Result<Vec<Threshold>> {
    let sql = format!("SELECT {COLUMNS} FROM thresholds ORDER BY threshold_id");
    sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?.iter().map(threshold).collect()
}

/// One rule.
pub async fn get(connection: &mut Connection, id: i64) -> Result<Option<Threshold>> {
    let sql = format!("SELECT {COLUMNS} FROM thresholds WHERE threshold_id = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(threshold).transpose()
}

/// Makes this transaction the only one that changes rules; whatever is read afterwards stays true until it ends.
pub async fn lock(connection: &mut Connection) -> Result<()> {
    counters::raise(connection, Counter::ThresholdsVersion, 1).await?;
    Ok(())
}

/// Stores a new rule and returns its id; `id` and `version` of the argument are not looked at.
pub async fn insert(connection: &mut Connection, rule: &Threshold) -> Result<i64> {
    let sql = "INSERT INTO thresholds \
               (version, kind, machine_id, metric, device, direction, value, recovery_value, for_seconds, severity, enabled) \
               VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(sql).bind(rule.kind.as_str()).bind(rule.machine_id).bind(&rule.metric).bind(rule.device.clone());
    let query = query.bind(rule.direction.as_str()).bind(rule.value).bind(rule.recovery_value).bind(rule.for_seconds);
    let result = query.bind(rule.severity.as_str()).bind(i64::from(rule.enabled)).execute(&mut *connection).await?;
    inserted_id(connection, &result).await
}

/// Replaces a rule and raises its version.
pub async fn update(connection: &mut Connection, rule: &Threshold) -> Result<()> {
    let sql = "UPDATE thresholds SET version = version + 1, kind = ?, machine_id = ?, metric = ?, device = ?, direction = ?, \
               value = ?, recovery_value = ?, for_seconds = ?, severity = ?, enabled = ? WHERE threshold_id = ?";
    let query = sqlx::query(sql).bind(rule.kind.as_str()).bind(rule.machine_id).bind(&rule.metric).bind(rule.device.clone());
    let query = query.bind(rule.direction.as_str()).bind(rule.value).bind(rule.recovery_value).bind(rule.for_seconds);
    query.bind(rule.severity.as_str()).bind(i64::from(rule.enabled)).bind(rule.id).execute(connection).await?;
    Ok(())
}

/// Removes a rule.
pub async fn delete(connection: &mut Connection, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM thresholds WHERE threshold_id = ?").bind(id).execute(connection).await?;
    Ok(())
}

fn threshold(row: &AnyRow) -> Result<Threshold> {
    let text = |column: &str| row.try_get::<String, _>(column);
    Ok(Threshold {
        id: row.try_get("threshold_id")?,
        version: row.try_get("version")?,
        kind: text("kind")?.parse().map_err(StoreError::Corrupt)?,
        machine_id: row.try_get("machine_id")?,
        metric: text("metric")?,
        device: row.try_get("device")?,
        direction: text("direction")?.parse().map_err(StoreError::Corrupt)?,
        value: row.try_get("value")?,
        recovery_value: row.try_get("recovery_value")?,
        for_seconds: row.try_get("for_seconds")?,
        severity: text("severity")?.parse().map_err(StoreError::Corrupt)?,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
    })
}
