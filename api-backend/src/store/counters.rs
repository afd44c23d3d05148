//! Numbers that only rise. A raise holds the row's lock until commit.

use sqlx::AssertSqlSafe;

use super::{Connection, Dialect, Result};

/// A row of `counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Id of the newest event.
    LastEventId,
    /// Version of all thresholds together.
    ThresholdsVersion,
    /// Version of all silences together.
    SilencesVersion,
    /// Start of the first day of which raw samples are kept, Unix ms; 0 while all are.
    RawRemovedBefore,
}

impl Counter {
    fn name(self) -> &'static str {
        match self {
            Counter::LastEventId => "last_event_id",
            Counter::ThresholdsVersion => "thresholds_version",
            Counter::SilencesVersion => "silences_version",
            Counter::RawRemovedBefore => "raw_removed_before",
        }
    }
}

/// The value now.
pub async fn read(connection: &mut Connection, counter: Counter) -> Result<i64> {
    let sql = "SELECT value FROM counters WHERE name = ?";
    Ok(sqlx::query_scalar(sql).bind(counter.name()).fetch_one(connection).await?)
}

/// Raises it by `n` and returns the new value; nobody else can until this transaction ends.
pub async fn raise(connection: &mut Connection, counter: Counter, n: i64) -> Result<i64> {
    let sql = "UPDATE counters SET value = value + ? WHERE name = ?";
    sqlx::query(sql).bind(n).bind(counter.name()).execute(&mut *connection).await?;
    read(connection, counter).await
}

/// The value, which nobody else can raise until this transaction ends.
pub async fn lock(connection: &mut Connection, dialect: Dialect, counter: Counter) -> Result<i64> {
    let sql = format!("SELECT value FROM counters WHERE name = ?{}", dialect.for_update());
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(counter.name()).fetch_one(connection).await?)
}
