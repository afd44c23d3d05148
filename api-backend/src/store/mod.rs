//! All SQL. MySQL (and MariaDB) and SQLite through one driver interface; where they differ, [`Dialect`] says how.
//!
//! Knows nothing of HTTP, and decides nothing: what a report means is decided in `ingest` and `thresholds`. A new table family is
//! a file here plus a migration in both folders of `migrations/`. Every statement runs on a connection that the caller
//! chose, so that a transaction is visible where it begins.

pub mod absences;
pub mod chunks;
mod connect;
pub mod consumers;
pub mod counters;
pub mod events;
pub mod forms;
pub mod hosts;
pub mod leases;
pub mod ledger;
pub mod letters;
pub mod machine_events;
pub mod machines;
mod migrate;
mod patience;
mod probe;
pub mod reports;
pub mod retention;
pub mod silences;
pub mod thresholds;
pub(crate) mod versioned;
pub mod violation_counts;
pub mod violation_filter;
pub mod violation_pages;
pub mod violations;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyQueryResult;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};

pub use connect::{DatabaseUrl, connect};
pub use patience::TransactionError;
pub(crate) use patience::{WriteState, Writes};
pub(crate) use probe::Probe;

/// A database with its schema in place.
#[derive(Clone, Debug)]
pub struct Store {
    dialect: Dialect,
    /// Ingest and changes; with SQLite a single connection, because SQLite has a single writer.
    writer: AnyPool,
    /// Queries, so that they never take ingest's connections.
    reader: AnyPool,
    /// What became of the last transactions.
    pub(crate) writes: Arc<Writes>,
    url: DatabaseUrl,
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
    /// The database does not take these values, now or later.
    #[error("the database refuses what was to be written: {0}")]
    Refused(#[source] sqlx::Error),
    /// The database cannot be reached, is shutting down, full or read-only.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// What stands in the database is not what this version writes.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        // MySQL: lock wait timeout, deadlock; MariaDB: a row that was read has changed. SQLite: SQLITE_BUSY, SQLITE_LOCKED.
        const MYSQL_TRY_AGAIN: &[u16] = &[1205, 1213, 1020];
        const SQLITE_TRY_AGAIN: &[u32] = &[5, 6];
        // SQLite: SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH. MySQL: SQL states 22 (data) and 23 (constraint), and a text that
        // is none, which has a general state.
        const SQLITE_REFUSED: &[u32] = &[18, 19, 20];
        const MYSQL_REFUSED: &[u16] = &[1366];
        let Some(database_error) = error.as_database_error() else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Corrupt(error.to_string()),
                _ => StoreError::Unavailable(error),
            };
        };
        let code = database_error.code().unwrap_or_default();
        let (try_again, refused) = match database_error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(mysql) => {
                let is_refused = code.starts_with("22") || code.starts_with("23") || MYSQL_REFUSED.contains(&mysql.number());
                (MYSQL_TRY_AGAIN.contains(&mysql.number()), is_refused)
            }
            None => {
                // the low byte of an extended code is the plain one
                let code = code.parse::<u32>().unwrap_or_default() & 0xff;
                (SQLITE_TRY_AGAIN.contains(&code), SQLITE_REFUSED.contains(&code))
            }
        };
        match (try_again, refused) {
            (true, _) => StoreError::TryAgain(error),
            (_, true) => StoreError::Refused(error),
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

    /// Several queries that see one state of the database.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Any>> {
        // readers are at REPEATABLE READ, and a transaction of SQLite is a snapshot from its first read on
        Ok(self.reader.begin().await?)
    }

    /// Which SQL to speak.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A probe of the database on a connection of its own.
    pub(crate) fn probe(&self) -> Probe {
        Probe::new(self.url.clone())
    }

    /// Lets statements end and closes the connections; those that do not come back in time end with the process.
    pub async fn close(&self) {
        let closed = async { tokio::join!(self.writer.close(), self.reader.close()) };
        drop(tokio::time::timeout(CLOSE_TIMEOUT, closed).await);
    }
}

/// How long connections have to come back at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A step of a task that nobody waits for, given up when the database does not answer: a connection can be dead without a sign.
pub(crate) async fn in_time<T>(limit: Duration, step: impl Future<Output = Result<T>>) -> Result<T> {
    let late =
        |_| StoreError::Unavailable(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}"))));
    tokio::time::timeout(limit, step).await.map_err(late)?
}

/// Whether a connection that could not be made may be made later without anybody's doing here.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    // MySQL: too many connections (of all, of this user), shutting down, read-only (three ways), disk full (two ways), locks
    const MYSQL: &[u16] = &[1040, 1203, 1226, 1053, 1290, 1836, 1874, 1021, 1114, 1205, 1213];
    // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL
    const SQLITE: &[u32] = &[5, 6, 13];
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(mysql) => MYSQL.contains(&mysql.number()),
            None => error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| SQLITE.contains(&(code & 0xff))),
        },
        sqlx::Error::Migrate(error) => match error.as_ref() {
            sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
                is_passing(error)
            }
            _ => false,
        },
        _ => false,
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

    /// Follows a table's name: nothing but this index is used to read it.
    pub fn by_index(self, index: &str) -> String {
        match self {
            Dialect::MySql => format!(" FORCE INDEX ({index})"),
            Dialect::Sqlite => format!(" INDEXED BY {index}"),
        }
    }

    /// Begins an INSERT that leaves rows alone whose key is there already.
    pub fn insert_or_ignore(self) -> &'static str {
        match self {
            Dialect::MySql => "INSERT IGNORE",
            Dialect::Sqlite => "INSERT OR IGNORE",
        }
    }

    /// Turns an INSERT into `table` into an addition to `columns` where the key is there already.
    pub fn on_conflict_add(self, table: &str, key: &str, columns: &[&str]) -> String {
        let (head, new) = match self {
            Dialect::MySql => (" ON DUPLICATE KEY UPDATE ".to_owned(), ("VALUES(", ")")),
            Dialect::Sqlite => (format!(" ON CONFLICT({key}) DO UPDATE SET "), ("excluded.", "")),
        };
        let sets: Vec<_> =
            columns.iter().map(|column| format!("{column} = {table}.{column} + {}{column}{}", new.0, new.1)).collect();
        head + &sets.join(", ")
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

/// Splits rows for several statements: each of at most `max_rows`, and with no further row once [`STATEMENT_BYTES`] are reached. The numbers
/// of rows are few different ones, so that a connection has most statements prepared: to prepare one costs the server more than to run some.
pub(crate) fn statements<T>(rows: &[T], max_rows: usize, bytes: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |row: &&T| {
            sum += bytes(row);
            sum <= STATEMENT_BYTES
        };
        let fitting = rest.iter().take(max_rows).take_while(fits).count().max(1).min(rest.len());
        let count = common_count(fitting);
        let (statement, others) = rest.split_at(count);
        rest = others;
        (count > 0).then_some(statement)
    })
}

/// The largest number up to `n` that is a power of two, or one and a half of one.
fn common_count(n: usize) -> usize {
    let power = n.checked_ilog2().map_or(0, |exponent| 1 << exponent);
    if n >= power + power / 2 { power + power / 2 } else { power }
}

/// How many values a list takes that has room for `n`: it is filled with its last one, for the same reason.
pub(crate) fn list_length(n: usize) -> usize {
    n.next_power_of_two()
}

/// Bytes of one statement: MariaDB takes packets of 16 MiB by default, and a single row has at most 1 MiB.
const STATEMENT_BYTES: usize = 4 * 1024 * 1024;

/// Most values bound in one statement: below SQLite's 32,766 and MySQL's 65,535.
pub(crate) const MAX_BOUND_VALUES: usize = 30_000;

/// A connection inside a transaction or out of a pool.
pub type Connection = AnyConnection;

/// A statement that is being bound.
type Query<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>;

/// Id of the row that `result`'s INSERT made. The SQLite driver does not pass it on, so its connection is asked.
pub(crate) async fn inserted_id(connection: &mut Connection, result: &AnyQueryResult) -> Result<i64> {
    match result.last_insert_id() {
        Some(id) => Ok(id),
        None => Ok(sqlx::query_scalar("SELECT last_insert_rowid()").fetch_one(connection).await?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_bounded_in_rows_and_bytes() {
        let check = |rows: usize, bytes: usize, expected: &[usize]| {
            let rows = vec![bytes; rows];
            let counts: Vec<_> = statements(&rows, 500, |bytes| *bytes).map(<[_]>::len).collect();
            assert_eq!(counts, expected, "{} rows of {bytes} bytes", rows.len());
        };
        check(0, 100, &[]);
        check(1, 100, &[1]);
        check(511, 100, &[384, 96, 24, 6, 1]);
        check(512, 100, &[384, 128]);
        check(513, 100, &[384, 128, 1]);
        check(10, STATEMENT_BYTES / 4, &[4, 4, 2]);
        check(10, STATEMENT_BYTES / 4 + 1, &[3, 3, 3, 1]);
        check(2, STATEMENT_BYTES + 1, &[1, 1]);
    }

    #[test]
    fn statements_have_few_lengths() {
        let mut lengths: Vec<_> = (1..=1_000).map(common_count).collect();
        lengths.dedup();
        assert_eq!(lengths, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]);
        assert_eq!([1, 2, 3, 250, 1_000].map(list_length), [1, 2, 4, 256, 1_024]);
    }
}
