//! `silences`: when people do not want to be told. Every change raises their common version, by which backends notice it.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::counters::{self, Counter};
use super::{Connection, Query, Result, StoreError, inserted_id};
use crate::silence::{Recurrence, Schedule, Silence};

const COLUMNS: &str =
    "silence_id, version, kind, scope, starts_at, ends_at, cron, tz, duration_seconds, comment, created_at, created_by";

/// All of them, in id order.
pub async fn all(connection: &mut Connection) -> Result<Vec<Silence>> {
    let sql = format!("SELECT {COLUMNS} FROM silences ORDER BY silence_id");
    sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?.iter().map(silence).collect()
}

/// One of them.
pub async fn get(connection: &mut Connection, id: i64) -> Result<Option<Silence>> {
    let sql = format!("SELECT {COLUMNS} FROM silences WHERE silence_id = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(silence).transpose()
}

/// How many there are.
pub async fn count(connection: &mut Connection) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM silences").fetch_one(connection).await?)
}

/// Makes this transaction the only one that changes silences; whatever is read afterwards stays true until it ends.
pub async fn lock(connection: &mut Connection) -> Result<()> {
    counters::raise(connection, Counter::SilencesVersion, 1).await?;
    Ok(())
}

/// Stores a new one and returns its id; `id` and `version` of the argument are not looked at.
pub async fn insert(connection: &mut Connection, silence: &Silence) -> Result<i64> {
    let sql = "INSERT INTO silences (kind, scope, starts_at, ends_at, cron, tz, duration_seconds, comment, version, created_at, created_by) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)";
    let query = bind(sqlx::query(sql), silence).bind(silence.created_at).bind(&silence.created_by);
    let result = query.execute(&mut *connection).await?;
    inserted_id(connection, &result).await
}

/// Replaces one and raises its version; who made it and when stays.
pub async fn update(connection: &mut Connection, silence: &Silence) -> Result<()> {
    let sql = "UPDATE silences SET kind = ?, scope = ?, starts_at = ?, ends_at = ?, cron = ?, tz = ?, duration_seconds = ?, \
               comment = ?, version = version + 1 WHERE silence_id = ?";
    bind(sqlx::query(sql), silence).bind(silence.id).execute(connection).await?;
    Ok(())
}

/// Removes one.
pub async fn delete(connection: &mut Connection, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM silences WHERE silence_id = ?").bind(id).execute(connection).await?;
    Ok(())
}

/// Removes those that ended before `before`. They said nothing any more, so that nobody needs to notice. How many went.
pub async fn remove_ended(connection: &mut Connection, before: i64) -> Result<u64> {
    let sql = "DELETE FROM silences WHERE ends_at < ?";
    Ok(sqlx::query(sql).bind(before).execute(connection).await?.rows_affected())
}

fn bind<'q>(query: Query<'q>, silence: &'q Silence) -> Query<'q> {
    let scope = serde_json::to_string(&silence.scope).expect("a scope has only text keys and writes to memory");
    let Schedule { starts_at, ends_at, recurrence } = &silence.schedule;
    let recurrence = recurrence.as_ref();
    query
        .bind(silence.kind.as_str())
        .bind(scope)
        .bind(*starts_at)
        .bind(*ends_at)
        .bind(recurrence.map(|found| &found.text))
        .bind(recurrence.map(|found| &found.tz))
        .bind(recurrence.map(|found| found.duration_seconds))
        .bind(&silence.comment)
}

fn silence(row: &AnyRow) -> Result<Silence> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let recurrence = match row.try_get::<Option<String>, _>("cron")? {
        Some(cron) => {
            Some(Recurrence::parse(&cron, &text("tz")?, row.try_get("duration_seconds")?).map_err(StoreError::Corrupt)?)
        }
        None => None,
    };
    Ok(Silence {
        id: row.try_get("silence_id")?,
        version: row.try_get("version")?,
        kind: text("kind")?.parse().map_err(StoreError::Corrupt)?,
        scope: serde_json::from_str(&text("scope")?).map_err(|error| StoreError::Corrupt(format!("scope: {error}")))?,
        schedule: Schedule { starts_at: row.try_get("starts_at")?, ends_at: row.try_get("ends_at")?, recurrence },
        comment: text("comment")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
    })
}
