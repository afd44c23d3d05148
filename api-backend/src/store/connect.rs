//! From a URL to a store with its schema in place.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Executor};

use super::{Dialect, Store, migrate};

/// Connections of each pool on MySQL; the server's default limit is 151 for all clients.
const MYSQL_CONNECTIONS: u32 = 10;
/// Readers on SQLite; they only wait for the disk.
const SQLITE_READERS: u32 = 4;
/// How long a request waits for a connection before it is answered with 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection out of a pool has to answer before it is taken for dead.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection that comes back to its pool has to end what was cut off on it: a request whose client went, or that took
/// too long.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Read committed, for those who write: a locking read sees what is committed now, and takes no gap locks that would deadlock inserts.
const MYSQL_WRITERS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
/// Those who read see one state in all statements of a transaction.
const MYSQL_READERS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// The limits, in seconds, are shorter than a request's, so that no statement outlives its request for long. MariaDB and MySQL have different
/// names for a statement's (in ms on MySQL); each reads only its own comment.
const MYSQL_SESSION: &str = "SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 5 /*M! , max_statement_time = 20 */ /*!50708 , max_execution_time = 20000 */";
/// Full synchronisation: the consumer drops a report from Kafka's view once it was acknowledged, so a power cut must not
/// take back a commit.
const SQLITE_SESSION: &[&str] = &[
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 500",
    "PRAGMA journal_size_limit = 67108864",
];

/// `mysql://user:password@host:port/database` or `sqlite://path`.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A URL that the driver takes.
    MySql(SecretString),
    /// A file, by the very path that was given.
    Sqlite(PathBuf),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// The error never repeats the text: it may hold a password.
    fn from_str(text: &str) -> Result<DatabaseUrl, String> {
        match text.split_once("://") {
            Some(("mysql" | "mariadb", rest)) => {
                let url = format!("mysql://{rest}");
                let options = MySqlConnectOptions::from_str(&url).map_err(|_| "is not a valid MySQL URL".to_owned())?;
                if options.get_database().is_none_or(str::is_empty) {
                    return Err("names no database".to_owned());
                }
                Ok(DatabaseUrl::MySql(url.into()))
            }
            Some(("sqlite", path)) if path.contains('?') => Err("a SQLite path takes no options".to_owned()),
            Some(("sqlite", path)) if !path.is_empty() && !path.ends_with('/') => Ok(DatabaseUrl::Sqlite(path.into())),
            _ => Err("is neither mysql://USER:PASSWORD@HOST:PORT/DATABASE nor sqlite://PATH".to_owned()),
        }
    }
}

impl DatabaseUrl {
    /// A MySQL database by its parts; the error says which part is wrong.
    pub fn of_parts(host: &str, database: &str, user: &str, password: &SecretString) -> Result<DatabaseUrl, String> {
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password, database) = (escape(user), escape(password.expose_secret()), escape(database));
        format!("mysql://{user}:{password}@{host}/{database}").parse()
    }

    /// Which SQL it speaks.
    pub fn dialect(&self) -> Dialect {
        match self {
            DatabaseUrl::MySql(_) => Dialect::MySql,
            DatabaseUrl::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// For the driver that only takes URLs. A file's folder must exist: URLs would shorten `..` by themselves, wrongly at links.
    fn options(&self) -> anyhow::Result<AnyConnectOptions> {
        let url = match self {
            DatabaseUrl::MySql(url) => url.expose_secret().to_owned(),
            DatabaseUrl::Sqlite(path) => {
                let path = std::fs::canonicalize(path).context("find the database's file")?;
                let path = path.to_str().context("read the database's path, which is not UTF-8")?;
                let parts: Vec<_> = path.split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()).collect();
                format!("sqlite://{}", parts.join("/"))
            }
        };
        AnyConnectOptions::from_str(&url).context("read the database's address")
    }
}

/// Connects, brings the schema up to date, and opens the pools. Fails at once when the database does not answer.
pub async fn connect(database: &DatabaseUrl) -> anyhow::Result<Store> {
    install_default_drivers();
    if let DatabaseUrl::Sqlite(path) = database
        && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).with_context(|| format!("create the folder {}", folder.display()))?;
    }
    migrate::migrate(database).await.context("bring the database's schema up to date")?;
    let (writers, readers) = match database.dialect() {
        Dialect::MySql => (MYSQL_CONNECTIONS, MYSQL_CONNECTIONS),
        Dialect::Sqlite => (1, SQLITE_READERS),
    };
    let writer = pool(database, writers, Use::Write).await.context("connect to the database")?;
    let reader = pool(database, readers, Use::Read).await.context("connect to the database")?;
    Ok(Store { dialect: database.dialect(), writer, reader, writes: Arc::default(), url: database.clone() })
}

/// One connection outside the pools.
pub(super) async fn connect_alone(database: &DatabaseUrl) -> anyhow::Result<AnyConnection> {
    let mut connection = database.options()?.connect().await?;
    prepare_session(database.dialect(), Use::Write, &mut connection).await?;
    Ok(connection)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Write,
    Read,
}

async fn pool(database: &DatabaseUrl, connections: u32, using: Use) -> anyhow::Result<AnyPool> {
    let dialect = database.dialect();
    Ok(AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                prepare_session(dialect, using, connection).await?;
                if using == Use::Write && dialect == Dialect::Sqlite {
                    can_write(connection).await?;
                }
                Ok(())
            })
        })
        // the pool's own test would wait for a dead connection as long as for a free one
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_alive(connection)))
        .after_release(move |connection, _| Box::pin(settle(dialect, connection)))
        .connect_with(database.options()?)
        .await?)
}

/// Fails where SQLite could open the file for reading only: such a connection would stay so when the file can be written again.
async fn can_write(connection: &mut AnyConnection) -> sqlx::Result<()> {
    connection.begin_with("BEGIN IMMEDIATE").await?.rollback().await
}

async fn is_alive(connection: &mut AnyConnection) -> sqlx::Result<bool> {
    within(PING_TIMEOUT, connection.ping()).await?;
    // after a full disk SQLite has ended the transaction itself and the driver does not know: such a connection is of no more use
    Ok(!connection.is_in_transaction())
}

/// Ends what was cut off, and asks for a number that nobody else asks for: on MySQL a statement that was cut off while it was prepared
/// leaves answers behind that the driver would take for those of the next statement. Such a connection is closed.
async fn settle(dialect: Dialect, connection: &mut AnyConnection) -> sqlx::Result<bool> {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    if dialect == Dialect::Sqlite {
        return Ok(true);
    }
    // of a transaction that was cut off while it began the driver does not know, and readers would see its old state for good
    within(SETTLE_TIMEOUT, connection.execute("ROLLBACK")).await?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let echo = sqlx::query_scalar::<_, i64>("SELECT CAST(? AS SIGNED)").bind(number);
    if within(SETTLE_TIMEOUT, echo.fetch_one(connection)).await? == number {
        return Ok(true);
    }
    Err(sqlx::Error::Protocol("the answer is another statement's".to_owned()))
}

pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

async fn prepare_session(dialect: Dialect, using: Use, connection: &mut AnyConnection) -> sqlx::Result<()> {
    let statements = match (dialect, using) {
        (Dialect::MySql, Use::Write) => &[MYSQL_WRITERS, MYSQL_SESSION],
        (Dialect::MySql, Use::Read) => &[MYSQL_READERS, MYSQL_SESSION],
        (Dialect::Sqlite, _) => SQLITE_SESSION,
    };
    for statement in statements {
        connection.execute(*statement).await?;
    }
    Ok(())
}
