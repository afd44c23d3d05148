//! `forms`: messages by whose form reports of the head can be read. One lives as long as reports of its quarter of an hour may refer to it.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row};

use super::{Connection, Result, statements};

/// A form to store.
#[derive(Clone, Debug)]
pub struct NewForm {
    /// Its host.
    pub host_key: i64,
    /// Time of the first report that refers to it.
    pub at: i64,
    /// zstd-compressed JSON.
    pub message: Vec<u8>,
}

/// Forms of one INSERT.
const INSERT_ROWS: usize = 500;
/// Forms of one SELECT: SQLite takes expressions up to a depth of 1,000.
const SELECT_ROWS: usize = 100;

/// Stores forms.
pub async fn insert(connection: &mut Connection, forms: &[NewForm]) -> Result<()> {
    for forms in statements(forms, INSERT_ROWS, |form| form.message.len()) {
        let sql = format!("INSERT INTO forms (host_key, at, message) VALUES {}", vec!["(?, ?, ?)"; forms.len()].join(", "));
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = forms.iter().fold(query, |query, form| query.bind(form.host_key).bind(form.at).bind(&form.message[..]));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Messages of a host's forms from [from, to), by their times.
pub async fn of_host(connection: &mut Connection, host_key: i64, from: i64, to: i64) -> Result<HashMap<i64, Vec<u8>>> {
    let sql = "SELECT at, message FROM forms WHERE host_key = ? AND at >= ? AND at < ?";
    let rows = sqlx::query(sql).bind(host_key).bind(from).bind(to).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("at")?, row.try_get("message")?))).collect()
}

/// Messages of forms by host and time, as far as they are there.
pub async fn find(connection: &mut Connection, forms: &[(i64, i64)]) -> Result<HashMap<(i64, i64), Vec<u8>>> {
    let mut found = HashMap::new();
    for forms in forms.chunks(SELECT_ROWS) {
        let places = vec!["(host_key = ? AND at = ?)"; forms.len()].join(" OR ");
        let sql = format!("SELECT host_key, at, message FROM forms WHERE {places}");
        let query = forms.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, (host_key, at)| query.bind(*host_key).bind(*at));
        for row in query.fetch_all(&mut *connection).await? {
            found.insert((row.try_get("host_key")?, row.try_get("at")?), row.try_get("message")?);
        }
    }
    Ok(found)
}

/// Removes a host's forms from [from, to).
pub async fn remove(connection: &mut Connection, host_key: i64, from: i64, to: i64) -> Result<()> {
    let sql = "DELETE FROM forms WHERE host_key = ? AND at >= ? AND at < ?";
    sqlx::query(sql).bind(host_key).bind(from).bind(to).execute(connection).await?;
    Ok(())
}
