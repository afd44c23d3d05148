//! From a URL to a store with its schema in place.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, Executor};

use super::{Dialect, Store, migrate};

/// Connections of each pool on MySQL; the server's default limit is 151 for all clients.
const MYSQL_CONNECTIONS: u32 = 10;
/// Readers on SQLite; they only wait for the disk.
const SQLITE_READERS: u32 = 4;
/// How long a request waits for a connection before it is answered with 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Read committed: a locking read sees what is committed now, and takes no gap locks that would deadlock inserts.
const MYSQL_SESSION: &[&str] =
    &["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION innodb_lock_wait_timeout = 10"];
/// Full synchronisation: the consumer drops a report from Kafka's view once it was acknowledged, so a power cut must not
/// take back a commit.
const SQLITE_SESSION: &[&str] = &[
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_size_limit = 67108864",
];

/// `mysql://user:password@host:port/database` or `sqlite://path`.
#[derive(Clone, Debug)]
pub struct DatabaseUrl {
    url: SecretString,
    dialect: Dialect,
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// The error never repeats the text: it may hold a password.
    fn from_str(text: &str) -> Result<DatabaseUrl, String> {
        let (dialect, url) = match text.split_once("://") {
            Some(("mysql" | "mariadb", rest)) => (Dialect::MySql, format!("mysql://{rest}")),
            Some(("sqlite", path)) if !path.is_empty() => {
                (Dialect::Sqlite, if path.contains('?') { text.to_owned() } else { format!("{text}?mode=rwc") })
            }
            _ => return Err("is neither mysql://USER:PASSWORD@HOST:PORT/DATABASE nor sqlite://PATH".to_owned()),
        };
        let options = AnyConnectOptions::from_str(&url).map_err(|_| "is not a valid URL".to_owned())?;
        if dialect == Dialect::MySql && options.database_url.path().trim_matches('/').is_empty() {
            return Err("names no database".to_owned());
        }
        Ok(DatabaseUrl { url: url.into(), dialect })
    }
}

impl DatabaseUrl {
    pub(super) fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// Which SQL it speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Path of the SQLite file.
    pub fn sqlite_path(&self) -> Option<&str> {
        let path = self.expose().strip_prefix("sqlite://")?;
        path.split('?').next()
    }
}

/// Connects, brings the schema up to date, and opens the pools. Fails at once when the database does not answer.
pub async fn connect(database: &DatabaseUrl) -> anyhow::Result<Store> {
    install_default_drivers();
    if let Some(folder) = database.sqlite_path().and_then(|path| std::path::Path::new(path).parent()) {
        std::fs::create_dir_all(folder).with_context(|| format!("create the folder {}", folder.display()))?;
    }
    migrate::migrate(database).await.context("bring the database's schema up to date")?;
    let (writers, readers) = match database.dialect {
        Dialect::MySql => (MYSQL_CONNECTIONS, MYSQL_CONNECTIONS),
        Dialect::Sqlite => (1, SQLITE_READERS),
    };
    let writer = pool(database, writers).await.context("connect to the database")?;
    let reader = pool(database, readers).await.context("connect to the database")?;
    Ok(Store { dialect: database.dialect, writer, reader })
}

async fn pool(database: &DatabaseUrl, connections: u32) -> anyhow::Result<AnyPool> {
    let options = AnyConnectOptions::from_str(database.expose())?;
    let dialect = database.dialect;
    Ok(AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| Box::pin(prepare_session(dialect, connection)))
        .connect_with(options)
        .await?)
}

async fn prepare_session(dialect: Dialect, connection: &mut AnyConnection) -> sqlx::Result<()> {
    let statements = match dialect {
        Dialect::MySql => MYSQL_SESSION,
        Dialect::Sqlite => SQLITE_SESSION,
    };
    for statement in statements {
        connection.execute(*statement).await?;
    }
    Ok(())
}
