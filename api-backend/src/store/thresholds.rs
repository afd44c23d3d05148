//! `thresholds`: the rules, and `threshold_versions`: all that they ever were. Every change raises their common version, by which backends
//! notice it.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::counters::{self, Counter};
use super::{Connection, Query, Result, StoreError, inserted_id, placeholders};
use crate::thresholds::Threshold;

/// What a rule says: all but its number and version.
const FIELDS: &str = "kind, machine_id, labels, metric, device, quantity, window_seconds, direction, value, recovery_value, \
                      for_seconds, recovery_for_seconds, severity, effect, enabled, note";
const FIELD_COUNT: usize = 16;

/// A version of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdVersion {
    /// The rule as it was then; of a deletion as it was before.
    pub threshold: Threshold,
    /// When, Unix ms; `None`: before versions were kept.
    pub changed_at: Option<i64>,
    /// By whom, as far as it is known.
    pub changed_by: Option<String>,
    /// Whether it was deleted then.
    pub is_deleted: bool,
}

/// Who changes a rule, and when.
#[derive(Clone, Debug)]
pub struct Change {
    /// Unix ms.
    pub at: i64,
    /// By whom, as far as it is known.
    pub by: Option<String>,
}

/// All rules, in id order.
pub async fn all(connection: &mut Connection) -> Result<Vec<Threshold>> {
    let sql = format!("SELECT threshold_id, version, {FIELDS} FROM thresholds ORDER BY threshold_id");
    sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?.iter().map(threshold).collect()
}

/// One rule.
pub async fn get(connection: &mut Connection, id: i64) -> Result<Option<Threshold>> {
    let sql = format!("SELECT threshold_id, version, {FIELDS} FROM thresholds WHERE threshold_id = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(threshold).transpose()
}

/// When each rule was changed last, and by whom: both absent of one that nobody changed since before versions were kept.
pub async fn last_changes(connection: &mut Connection) -> Result<HashMap<i64, (Option<i64>, Option<String>)>> {
    let sql = "SELECT t.threshold_id, v.changed_at, v.changed_by FROM thresholds t \
               JOIN threshold_versions v ON v.threshold_id = t.threshold_id AND v.version = t.version";
    let change = |row: &AnyRow| {
        let at = Some(row.try_get::<i64, _>("changed_at")?).filter(|at| *at > 0);
        Ok((row.try_get("threshold_id")?, (at, row.try_get("changed_by")?)))
    };
    sqlx::query(sql).fetch_all(connection).await?.iter().map(change).collect()
}

/// All versions of a rule, the newest first; none when there never was one.
pub async fn versions(connection: &mut Connection, id: i64) -> Result<Vec<ThresholdVersion>> {
    let sql = format!(
        "SELECT threshold_id, version, changed_at, changed_by, is_deleted, {FIELDS} FROM threshold_versions \
         WHERE threshold_id = ? ORDER BY version DESC"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_all(connection).await?.iter().map(version).collect()
}

/// Makes this transaction the only one that changes rules; whatever is read afterwards stays true until it ends.
pub async fn lock(connection: &mut Connection) -> Result<()> {
    counters::raise(connection, Counter::ThresholdsVersion, 1).await?;
    Ok(())
}

/// Stores a new rule and returns its id; `id` and `version` of the argument are not looked at.
pub async fn insert(connection: &mut Connection, rule: &Threshold, change: &Change) -> Result<i64> {
    let sql = format!("INSERT INTO thresholds ({FIELDS}, version) VALUES ({}, 1)", placeholders(FIELD_COUNT));
    let result = bind(sqlx::query(AssertSqlSafe(sql)), rule)?.execute(&mut *connection).await?;
    let id = inserted_id(connection, &result).await?;
    note(connection, &Threshold { id, version: 1, ..rule.clone() }, change, false).await?;
    Ok(id)
}

/// Replaces a rule; its version is the new one.
pub async fn update(connection: &mut Connection, rule: &Threshold, change: &Change) -> Result<()> {
    let fields = FIELDS.replace(',', " = ?,");
    let sql = format!("UPDATE thresholds SET {fields} = ?, version = ? WHERE threshold_id = ?");
    bind(sqlx::query(AssertSqlSafe(sql)), rule)?.bind(rule.version).bind(rule.id).execute(&mut *connection).await?;
    note(connection, rule, change, false).await
}

/// Removes a rule.
pub async fn delete(connection: &mut Connection, rule: &Threshold, change: &Change) -> Result<()> {
    sqlx::query("DELETE FROM thresholds WHERE threshold_id = ?").bind(rule.id).execute(&mut *connection).await?;
    note(connection, &Threshold { version: rule.version + 1, ..rule.clone() }, change, true).await
}

async fn note(connection: &mut Connection, rule: &Threshold, change: &Change, is_deleted: bool) -> Result<()> {
    let sql = format!(
        "INSERT INTO threshold_versions ({FIELDS}, threshold_id, version, changed_at, changed_by, is_deleted) VALUES ({})",
        placeholders(FIELD_COUNT + 5)
    );
    let query = bind(sqlx::query(AssertSqlSafe(sql)), rule)?.bind(rule.id).bind(rule.version).bind(change.at);
    query.bind(change.by.clone()).bind(i64::from(is_deleted)).execute(connection).await?;
    Ok(())
}

/// In the order of [`FIELDS`].
fn bind<'q>(query: Query<'q>, rule: &Threshold) -> Result<Query<'q>> {
    let labels = serde_json::to_string(&rule.labels).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let query = query.bind(rule.kind.as_str()).bind(rule.machine_id).bind(labels).bind(rule.metric.clone());
    let query = query.bind(rule.device.clone()).bind(rule.quantity.as_str()).bind(rule.window_seconds);
    let query = query.bind(rule.direction.as_str()).bind(rule.value).bind(rule.recovery_value).bind(rule.for_seconds);
    let query = query.bind(rule.recovery_for_seconds).bind(rule.severity.as_str()).bind(rule.effect.as_str());
    Ok(query.bind(i64::from(rule.enabled)).bind(rule.note.clone()))
}

fn version(row: &AnyRow) -> Result<ThresholdVersion> {
    Ok(ThresholdVersion {
        threshold: threshold(row)?,
        changed_at: Some(row.try_get("changed_at")?).filter(|at| *at > 0),
        changed_by: row.try_get("changed_by")?,
        is_deleted: row.try_get::<i64, _>("is_deleted")? != 0,
    })
}

fn threshold(row: &AnyRow) -> Result<Threshold> {
    let text = |column: &str| row.try_get::<String, _>(column);
    Ok(Threshold {
        id: row.try_get("threshold_id")?,
        version: row.try_get("version")?,
        kind: text("kind")?.parse().map_err(StoreError::Corrupt)?,
        machine_id: row.try_get("machine_id")?,
        labels: serde_json::from_str(&text("labels")?).map_err(|error| StoreError::Corrupt(error.to_string()))?,
        metric: text("metric")?,
        device: row.try_get("device")?,
        quantity: text("quantity")?.parse().map_err(StoreError::Corrupt)?,
        window_seconds: row.try_get("window_seconds")?,
        direction: text("direction")?.parse().map_err(StoreError::Corrupt)?,
        value: row.try_get("value")?,
        recovery_value: row.try_get("recovery_value")?,
        for_seconds: row.try_get("for_seconds")?,
        recovery_for_seconds: row.try_get("recovery_for_seconds")?,
        severity: text("severity")?.parse().map_err(StoreError::Corrupt)?,
        effect: text("effect")?.parse().map_err(StoreError::Corrupt)?,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        note: text("note")?,
    })
}
