//! The schema, brought up to date by whichever process starts first while the others wait.
//!
//! The lock is ours: sqlx waits on MySQL with `GET_LOCK(name, -1)`, which MariaDB answers with NULL without taking it, and
//! on SQLite it takes none.

use std::fs::File;
use std::str::FromStr;

use anyhow::{Context, bail};
use sqlx::migrate::{Migrate, Migrator};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{DatabaseUrl, Dialect};

/// Seconds to wait for another process that migrates.
const LOCK_SECONDS: i64 = 120;

pub(super) async fn migrate(database: &DatabaseUrl) -> anyhow::Result<()> {
    match database.dialect() {
        Dialect::MySql => migrate_mysql(database).await,
        Dialect::Sqlite => migrate_sqlite(database).await,
    }
}

async fn migrate_mysql(database: &DatabaseUrl) -> anyhow::Result<()> {
    let mut connection = MySqlConnectOptions::from_str(database.expose())?.connect().await.context("connect to the database")?;
    // per database, because the server's locks are not
    let lock = "SELECT GET_LOCK(LEFT(CONCAT('server-monitoring.', DATABASE()), 64), ?)";
    let taken: Option<i64> = sqlx::query_scalar(lock).bind(LOCK_SECONDS).fetch_one(&mut connection).await?;
    if taken != Some(1) {
        bail!("another process holds the migration lock for more than {LOCK_SECONDS} s");
    }
    let result = run(sqlx::migrate!("../migrations/mysql"), &mut connection).await;
    // the lock ends with the connection
    connection.close().await?;
    result
}

async fn migrate_sqlite(database: &DatabaseUrl) -> anyhow::Result<()> {
    let path = database.sqlite_path().context("find the database's file")?;
    let lock_path = format!("{path}.migrate-lock");
    let lock = tokio::task::spawn_blocking(move || -> std::io::Result<File> {
        let file = File::create(lock_path)?;
        file.lock()?;
        Ok(file)
    });
    let lock = lock.await.context("wait for the migration lock")?.context("take the migration lock")?;
    let mut connection = SqliteConnectOptions::from_str(database.expose())?.connect().await.context("open the database")?;
    let result = run(sqlx::migrate!("../migrations/sqlite"), &mut connection).await;
    connection.close().await?;
    drop(lock);
    result
}

async fn run<C: Migrate>(mut migrator: Migrator, connection: &mut C) -> anyhow::Result<()> {
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.context("run the migrations")
}
