//! A database of its own, looked at from behind the product's back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sqlx::any::install_default_drivers;
use sqlx::{AnyPool, AssertSqlSafe, Row};

use crate::{service, unique};

/// All tables of reports and what follows from them, but the ledger: it counts duplicates.
const TABLES: [&str; 9] =
    ["hosts", "machines", "reports", "gaps", "rejections", "thresholds", "violations", "events", "counters"];

/// A database that does not answer for so long is one that cannot tell.
const PATIENCE: Duration = Duration::from_secs(2);

/// Created empty.
#[derive(Clone)]
pub struct Database {
    /// For the backend.
    pub url: String,
    pool: AnyPool,
}

impl Database {
    /// Makes a new one on the server of the tests.
    pub async fn create(name: &str) -> Database {
        Database::create_on(&service("TEST_MARIADB_URL", "mariadb"), name).await
    }

    /// Makes a new one on `server`, whose URL ends with a database.
    pub async fn create_on(server: &str, name: &str) -> Database {
        install_default_drivers();
        let name = unique(name).replace('-', "_");
        let admin = AnyPool::connect(server).await.expect("MariaDB answers");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
        admin.close().await;
        let (server, _) = server.rsplit_once('/').expect("the URL ends with a database");
        Database::at(&format!("{server}/{name}"))
    }

    /// One that is there.
    pub fn at(url: &str) -> Database {
        install_default_drivers();
        Database { url: url.to_owned(), pool: AnyPool::connect_lazy(url).unwrap() }
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Removes it with all that is in it.
    pub async fn remove(self) {
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {}", self.name()))).execute(&self.pool).await.unwrap();
        self.pool.close().await;
    }

    /// A file, which the backend will make.
    pub fn in_file(path: &Path) -> Database {
        Database::at(&format!("sqlite://{}", path.display()))
    }

    /// Number of stored reports; 0 before the backend has made its tables.
    pub async fn count_reports(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM reports").fetch_one(&self.pool).await;
        count.unwrap_or(0)
    }

    /// A number that the store tells; `None` while it cannot.
    pub async fn try_number(&self, sql: &'static str) -> Option<i64> {
        tokio::time::timeout(PATIENCE, sqlx::query_scalar(sql).fetch_one(&self.pool)).await.ok()?.ok()
    }

    /// Epoch and number of a host's newest report; `None` while there is none, or nobody who could tell.
    pub async fn position(&self, host_id: &str) -> Option<(i64, i64)> {
        let query = sqlx::query_as("SELECT last_epoch, last_seq FROM hosts WHERE host_id = ?").bind(host_id.to_owned());
        tokio::time::timeout(PATIENCE, query.fetch_optional(&self.pool)).await.ok()?.ok()?
    }

    /// A number that the store tells.
    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// All rows of the ledger without the count of duplicates, and those together.
    pub async fn ledger(&self) -> (Vec<String>, i64) {
        let rows = "SELECT CONCAT_WS(' ', hour_at, host_key, `stored`, `late`, `rejected`, `thinned`, `dropped`, `damaged`, `lost`) \
                    FROM ledger ORDER BY hour_at, host_key";
        let rows = sqlx::query_scalar(rows).fetch_all(&self.pool).await.unwrap();
        (rows, self.number("SELECT CAST(COALESCE(SUM(`duplicate`), 0) AS SIGNED) FROM ledger").await)
    }

    /// Rows and checksum of every table: equal only if no row has changed.
    pub async fn checksums(&self) -> BTreeMap<&'static str, (i64, i64)> {
        let mut checksums = BTreeMap::new();
        for table in TABLES {
            let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(&self.pool);
            let checksum = sqlx::query(AssertSqlSafe(format!("CHECKSUM TABLE {table} EXTENDED"))).fetch_one(&self.pool);
            checksums.insert(table, (count.await.unwrap(), checksum.await.unwrap().get(1)));
        }
        checksums
    }
}
