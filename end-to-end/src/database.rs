//! A database of its own on the MariaDB of the tests, looked at from behind the product's back.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, MySqlPool, Row};

use crate::{service, unique};

/// All tables of the store but sqlx's own.
const TABLES: [&str; 7] = ["hosts", "machines", "reports", "thresholds", "violations", "events", "counters"];

/// One stored report, as the ledger names it: host id, epoch, seq, at.
pub type Stored = (String, u64, u64, i64);

/// Created empty.
pub struct Database {
    /// For the backend.
    pub url: String,
    pool: MySqlPool,
}

impl Database {
    /// Makes a new one.
    pub async fn create(name: &str) -> Database {
        let server = service("TEST_MARIADB_URL", "mariadb");
        let name = unique(name).replace('-', "_");
        let admin = MySqlPool::connect(&server).await.expect("MariaDB answers at TEST_MARIADB_URL");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
        admin.close().await;
        let (server, _) = server.rsplit_once('/').expect("TEST_MARIADB_URL ends with a database");
        let url = format!("{server}/{name}");
        let pool = MySqlPool::connect_lazy(&url).unwrap();
        Database { url, pool }
    }

    /// Number of stored reports; 0 before the backend has made its tables.
    pub async fn count_reports(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM reports").fetch_one(&self.pool).await;
        count.unwrap_or(0)
    }

    /// A number that the store tells.
    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// All stored reports.
    pub async fn reports(&self) -> Vec<Stored> {
        let sql = "SELECT hosts.host_id, reports.epoch, reports.seq, reports.at FROM reports JOIN hosts USING (host_key)";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.unwrap();
        let number = |row: &sqlx::mysql::MySqlRow, column: usize| u64::try_from(row.get::<i64, _>(column)).unwrap();
        rows.iter().map(|row| (row.get(0), number(row, 1), number(row, 2), row.get(3))).collect()
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
