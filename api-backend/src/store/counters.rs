//! Two numbers that only rise. A raise holds the row's lock until commit.

use super::{Connection, Result};

/// A row of `counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Id of the newest event.
    LastEventId,
    /// Version of all thresholds together.
    ThresholdsVersion,
}

impl Counter {
    fn name(self) -> &'static str {
        match self {
            Counter::LastEventId => "last_event_id",
            Counter::ThresholdsVersion => "thresholds_version",
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
