//! Asks the database whether it works, on a connection of its own: the pools may be busy with work that is slow and yet gets done.

use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use super::connect::connect_alone;
use super::{DatabaseUrl, Dialect};

/// One connection, made anew when it failed.
pub(crate) struct Probe {
    url: DatabaseUrl,
    connection: Option<AnyConnection>,
}

impl Probe {
    pub(super) fn new(url: DatabaseUrl) -> Probe {
        Probe { url, connection: None }
    }

    /// Whether it answers, and says of itself that it can be written to. That it is read-only need not be true for everybody.
    pub(crate) async fn looks_writable(&mut self) -> anyhow::Result<bool> {
        let sql = match self.url.dialect() {
            // 0 or OFF, by version
            Dialect::MySql => "SELECT CONCAT(@@read_only, '')",
            // a page out of the file, where the one above asks the server
            Dialect::Sqlite => "SELECT CASE WHEN COUNT(*) > 0 THEN '0' ELSE '' END FROM counters",
        };
        let answer: String = self.run(async |connection| Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)).await?;
        Ok(matches!(answer.as_str(), "0" | "OFF"))
    }

    /// Whether a transaction that writes is committed.
    pub(crate) async fn write(&mut self) -> anyhow::Result<()> {
        let dialect = self.url.dialect();
        let update = dialect.on_conflict_update("name", &["value"]);
        let sql = format!("INSERT INTO counters (name, value) VALUES ('written_at', ?){update}");
        self.run(async |connection| {
            let mut transaction = match dialect {
                Dialect::MySql => connection.begin().await?,
                Dialect::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await?,
            };
            sqlx::query(AssertSqlSafe(sql)).bind(crate::time::now_ms()).execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// A connection whose work failed, or did not come to its end, is not used again.
    async fn run<T>(&mut self, work: impl AsyncFnOnce(&mut AnyConnection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect_alone(&self.url).await?,
        };
        let outcome = work(&mut connection).await?;
        self.connection = Some(connection);
        Ok(outcome)
    }
}
