//! All SQL. MySQL (and MariaDB) and SQLite through one driver interface; where they differ, [`Dialect`] says how.
//!
//! Knows nothing of HTTP, and decides nothing: what a report means is decided in `ingest` and `thresholds`. A new table family is
//! a file here plus a migration in both folders of `migrations/`. Every statement runs on a connection that the caller
//! chose, so that a transaction is visible where it begins.

mod connect;
pub mod counters;
pub mod events;
pub mod hosts;
pub mod machines;
mod migrate;
pub mod reports;
pub mod retention;
pub mod thresholds;
pub mod violations;

use sqlx::any::AnyQueryResult;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};

pub use connect::{DatabaseUrl, connect};

/// A database with its schema in place.
#[derive(Clone, Debug)]
pub struct Store {
    dialect: Dialect,
    /// Ingest and changes; with SQLite a single connection, because SQLite has a single writer.
    writer: AnyPool,
    /// Queries, so that they never take ingest's connections.
    reader: AnyPool,
}

/// Where MySQL and SQLite differ in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL 8.4+, MariaDB 10.11+.
    MySql,
    /// SQLite 3.
    Sqlite,
}

/// Why a statement failed, as far as someone acts on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else had the rows: the whole transaction may be tried again.
    #[error("the database asks to try again: {0}")]
    TryAgain(#[source] sqlx::Error),
    /// The database cannot be reached, is shutting down, full or read-only.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// What stands in the database is not what this version writes.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        // MySQL: 1205 lock wait timeout, 1213 deadlock. SQLite: 5 SQLITE_BUSY, 6 SQLITE_LOCKED with their extensions.
        const TRY_AGAIN: &[&str] = &["1205", "1213", "40001", "5", "6", "261", "262", "517", "518"];
        let code = error.as_database_error().and_then(|error| error.code());
        match code {
            Some(code) if TRY_AGAIN.contains(&code.as_ref()) => StoreError::TryAgain(error),
            _ if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Unavailable(error),
        }
    }
}

/// Result of everything here.
pub type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Begins a transaction that writes.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>> {
        Ok(match self.dialect {
            Dialect::MySql => self.writer.begin().await?,
            // the lock is taken now: a transaction that first reads and then writes could fail in between
            Dialect::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
        })
    }

    /// A connection for queries.
    pub async fn read(&self) -> Result<sqlx::pool::PoolConnection<Any>> {
        Ok(self.reader.acquire().await?)
    }

    /// Which SQL to speak.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.read().await?;
        sqlx::query("SELECT 1").execute(&mut *connection).await?;
        Ok(())
    }

    /// Lets statements end and closes the connections.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }
}

impl Dialect {
    /// Makes a SELECT lock its rows; SQLite's writer holds the whole database already.
    pub fn for_update(self) -> &'static str {
        match self {
            Dialect::MySql => " FOR UPDATE",
            Dialect::Sqlite => "",
        }
    }

    /// Turns an INSERT into an update of `columns` where the key is there already.
    pub fn on_conflict_update(self, key: &str, columns: &[&str]) -> String {
        let (head, new) = match self {
            Dialect::MySql => (" ON DUPLICATE KEY UPDATE ".to_owned(), ("VALUES(", ")")),
            Dialect::Sqlite => (format!(" ON CONFLICT({key}) DO UPDATE SET "), ("excluded.", "")),
        };
        let sets: Vec<_> = columns.iter().map(|column| format!("{column} = {}{column}{}", new.0, new.1)).collect();
        head + &sets.join(", ")
    }
}

/// `?, ?, ?` for a list of `n` values.
pub(crate) fn placeholders(n: usize) -> String {
    let mut text = "?, ".repeat(n);
    text.truncate(text.len().saturating_sub(2));
    text
}

/// Most values bound in one statement: below SQLite's 32,766 and MySQL's 65,535.
pub(crate) const MAX_BOUND_VALUES: usize = 30_000;

/// A connection inside a transaction or out of a pool.
pub type Connection = AnyConnection;

/// Id of the row that `result`'s INSERT made. The SQLite driver does not pass it on, so its connection is asked.
pub(crate) async fn inserted_id(connection: &mut Connection, result: &AnyQueryResult) -> Result<i64> {
    match result.last_insert_id() {
        Some(id) => Ok(id),
        None => Ok(sqlx::query_scalar("SELECT last_insert_rowid()").fetch_one(connection).await?),
    }
}
