//! The schema, brought up to date by whichever process starts first while the others wait.
//!
//! The lock is ours: sqlx waits on MySQL with `GET_LOCK(name, -1)`, which MariaDB answers with NULL without taking it, and
//! on SQLite it takes none.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::DatabaseUrl;
use super::connect::within;

/// How long a server may take to let us in; one that is paused takes connections and says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds to wait for another process that migrates.
const LOCK_SECONDS: i64 = 120;

pub(super) async fn migrate(database: &DatabaseUrl) -> anyhow::Result<()> {
    match database {
        DatabaseUrl::MySql(url) => migrate_mysql(url.expose_secret()).await,
        DatabaseUrl::Sqlite(path) => migrate_sqlite(path).await,
    }
}

async fn migrate_mysql(url: &str) -> anyhow::Result<()> {
    let options = MySqlConnectOptions::from_str(url)?;
    let mut connection = within(CONNECT_TIMEOUT, options.connect()).await.context("connect to the database")?;
    // per database, because the server's locks are not
    let lock = "SELECT GET_LOCK(LEFT(CONCAT('server-monitoring.', DATABASE()), 64), ?)";
    let taken: Option<i64> = sqlx::query_scalar(lock).bind(LOCK_SECONDS).fetch_one(&mut connection).await?;
    if taken != Some(1) {
        bail!("another process holds the migration lock for more than {LOCK_SECONDS} s");
    }
    forget_unfinished(&mut connection).await.context("look for an unfinished migration")?;
    let result = run(sqlx::migrate!("../migrations/mysql"), &mut connection).await;
    // the lock ends with the connection
    connection.close().await?;
    result
}

/// MySQL commits each CREATE TABLE by itself, so a process that is killed leaves a migration half done and marked as such. Ours can
/// be repeated, and nobody else is at it: we hold the lock.
async fn forget_unfinished(connection: &mut MySqlConnection) -> sqlx::Result<()> {
    let sql =
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'";
    let exists: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if exists == 1 {
        sqlx::query("DELETE FROM _sqlx_migrations WHERE success = FALSE").execute(connection).await?;
    }
    Ok(())
}

async fn migrate_sqlite(path: &Path) -> anyhow::Result<()> {
    let mut lock_path = PathBuf::from(path).into_os_string();
    lock_path.push(".migrate-lock");
    let lock = tokio::task::spawn_blocking(move || -> std::io::Result<File> {
        let file = File::create(lock_path)?;
        file.lock()?;
        Ok(file)
    });
    let lock = lock.await.context("wait for the migration lock")?.context("take the migration lock")?;
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.context("open the database")?;
    let result = run(sqlx::migrate!("../migrations/sqlite"), &mut connection).await;
    connection.close().await?;
    drop(lock);
    result
}

async fn run<C: Migrate>(mut migrator: Migrator, connection: &mut C) -> anyhow::Result<()> {
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.context("run the migrations")
}
