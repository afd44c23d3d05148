//! `hosts`: one row per host, locked by whoever ingests its reports.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, Dialect, MAX_BOUND_VALUES, Query, Result, list_length, placeholders, statements};

/// One row. Times are Unix ms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostRow {
    /// Number of the host in this database.
    pub host_key: i64,
    /// The host's own id.
    pub host_id: String,
    /// Interval of its newest report.
    pub interval_ms: i64,
    /// Time of its newest report; 0 before the first one.
    pub last_report_at: i64,
    /// When that came.
    pub last_received_at: i64,
    /// Epoch of the highest report that came; 0 with `last_seq` 0 when that is not known.
    pub last_epoch: i64,
    /// Sequence number of the highest report that came.
    pub last_seq: i64,
    /// Whether `machine.down` was the last that was announced of it.
    pub is_down: bool,
    /// Rises with every change of its machines.
    pub inventory_version: i64,
}

/// A row that this transaction has locked, with what only ingest needs.
#[derive(Clone, Debug)]
pub struct LockedHost {
    /// The row.
    pub row: HostRow,
    /// The evaluator's state, as text.
    pub evaluation: String,
    /// What it looks back at.
    pub windows: KeptWindows,
}

/// The column `windows`, which most have no need to read or write.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptWindows {
    /// There is nothing in it.
    Nothing,
    /// Nobody has read it: [`windows`] does.
    Unread,
    /// What it is to be.
    Changed(Option<String>),
}

const COLUMNS: &str =
    "host_key, host_id, interval_ms, last_report_at, last_received_at, last_epoch, last_seq, is_down, inventory_version";
/// Host is silent for too long: three intervals, at least ten seconds. Keep in step with `machines::silence_ms`.
const SILENT: &str = "is_down = 0 AND last_report_at > 0 AND \
                      (CASE WHEN last_received_at > ? THEN last_received_at ELSE ? END) + \
                      (CASE WHEN interval_ms * 3 > 10000 THEN interval_ms * 3 ELSE 10000 END) < ?";

/// Locks the rows of `host_ids` (sorted, without doubles) in id order; of those that are not there yet, it creates what
/// `is_created` says and leaves out the others.
pub async fn lock_or_create(
    connection: &mut Connection,
    dialect: Dialect,
    host_ids: &[&str],
    is_created: impl Fn(&str) -> bool,
) -> Result<Vec<LockedHost>> {
    let rows = lock(connection, dialect, host_ids).await?;
    let is_new = |id: &&&str| is_created(id) && !rows.iter().any(|host| host.row.host_id == **id);
    let new: Vec<&&str> = host_ids.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(rows);
    }
    let insert = dialect.insert_or_ignore();
    for host_id in new {
        let sql = format!("{insert} INTO hosts ({COLUMNS}, evaluation) VALUES (NULL, ?, 0, 0, 0, 0, 0, 0, 0, '[]')");
        sqlx::query(AssertSqlSafe(sql)).bind(*host_id).execute(&mut *connection).await?;
    }
    lock(connection, dialect, host_ids).await
}

/// Locks the rows of those of `host_ids` that are there, in id order.
pub async fn lock(connection: &mut Connection, dialect: Dialect, host_ids: &[&str]) -> Result<Vec<LockedHost>> {
    if host_ids.is_empty() {
        return Ok(Vec::new());
    }
    let length = list_length(host_ids.len());
    let list = placeholders(length);
    let sql = format!(
        "SELECT {COLUMNS}, evaluation, CASE WHEN windows IS NULL THEN 0 ELSE 1 END AS has_windows \
             FROM hosts WHERE host_id IN ({list}) ORDER BY host_id{}",
        dialect.for_update()
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    let last = &host_ids[host_ids.len() - 1];
    for host_id in host_ids.iter().chain(std::iter::repeat(last)).take(length) {
        query = query.bind(*host_id);
    }
    let rows = query.fetch_all(connection).await?;
    let locked = |row: &AnyRow| {
        let windows = if row.try_get::<i64, _>("has_windows")? == 0 { KeptWindows::Nothing } else { KeptWindows::Unread };
        Ok(LockedHost { row: host(row)?, evaluation: row.try_get("evaluation")?, windows })
    };
    rows.iter().map(locked).collect()
}

/// What conditions over windows look back at on a host that this transaction has locked, as text.
pub async fn windows(connection: &mut Connection, host_key: i64) -> Result<Option<String>> {
    let sql = "SELECT windows FROM hosts WHERE host_key = ?";
    Ok(sqlx::query_scalar(sql).bind(host_key).fetch_optional(connection).await?.flatten())
}

/// Writes that back of those hosts of which it changed.
pub async fn save_windows(connection: &mut Connection, dialect: Dialect, hosts: &[LockedHost]) -> Result<()> {
    let changed: Vec<(&HostRow, &Option<String>)> = hosts
        .iter()
        .filter_map(|host| if let KeptWindows::Changed(windows) = &host.windows { Some((&host.row, windows)) } else { None })
        .collect();
    let update = dialect.on_conflict_update("host_key", &["windows"]);
    let bytes = |(_, windows): &(&HostRow, &Option<String>)| windows.as_ref().map_or(0, String::len);
    for hosts in statements(&changed, MAX_BOUND_VALUES / 11, bytes) {
        let rows = vec![format!("({})", placeholders(11)); hosts.len()].join(", ");
        let sql = format!("INSERT INTO hosts ({COLUMNS}, evaluation, windows) VALUES {rows}{update}");
        let query = hosts.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, (host, windows)| {
            bind(query, host).bind(String::new()).bind((*windows).clone())
        });
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes rows back that were locked before.
pub async fn save(connection: &mut Connection, dialect: Dialect, hosts: &[LockedHost]) -> Result<()> {
    let update = dialect.on_conflict_update(
        "host_key",
        &[
            "interval_ms",
            "last_report_at",
            "last_received_at",
            "last_epoch",
            "last_seq",
            "is_down",
            "inventory_version",
            "evaluation",
        ],
    );
    for hosts in statements(hosts, MAX_BOUND_VALUES / 10, |host| host.evaluation.len()) {
        let rows = vec![format!("({})", placeholders(10)); hosts.len()].join(", ");
        let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO hosts ({COLUMNS}, evaluation) VALUES {rows}{update}")));
        for LockedHost { row: host, evaluation, .. } in hosts {
            query = bind(query, host).bind(evaluation);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// In the order of [`COLUMNS`].
fn bind<'q>(query: Query<'q>, host: &'q HostRow) -> Query<'q> {
    let query = query.bind(host.host_key).bind(&host.host_id).bind(host.interval_ms).bind(host.last_report_at);
    let query = query.bind(host.last_received_at).bind(host.last_epoch).bind(host.last_seq);
    query.bind(i64::from(host.is_down)).bind(host.inventory_version)
}

/// All hosts; at most a few thousand.
pub async fn all(connection: &mut Connection) -> Result<Vec<HostRow>> {
    let sql = format!("SELECT {COLUMNS} FROM hosts ORDER BY host_key");
    sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?.iter().map(host).collect()
}

/// One host.
pub async fn get(connection: &mut Connection, host_key: i64) -> Result<Option<HostRow>> {
    let sql = format!("SELECT {COLUMNS} FROM hosts WHERE host_key = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(host_key).fetch_optional(connection).await?.as_ref().map(host).transpose()
}

/// Keys and ids of those of these hosts that are there, in no order.
pub async fn ids(connection: &mut Connection, host_keys: &[i64]) -> Result<Vec<(i64, String)>> {
    let mut ids = Vec::new();
    for keys in host_keys.chunks(MAX_BOUND_VALUES) {
        let sql = format!("SELECT host_key, host_id FROM hosts WHERE host_key IN ({})", placeholders(keys.len()));
        let query = keys.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, key| query.bind(*key));
        for row in &query.fetch_all(&mut *connection).await? {
            ids.push((row.try_get("host_key")?, row.try_get("host_id")?));
        }
    }
    Ok(ids)
}

/// When a report of any of these hosts came last; `None` when none is known.
pub async fn last_received(connection: &mut Connection, host_ids: &[&str]) -> Result<Option<i64>> {
    let sql = format!("SELECT MAX(last_received_at) FROM hosts WHERE host_id IN ({})", placeholders(host_ids.len()));
    let query = host_ids.iter().fold(sqlx::query_scalar(AssertSqlSafe(sql)), |query, host_id| query.bind(*host_id));
    Ok(query.fetch_one(connection).await?)
}

/// Ids of hosts that are silent for too long as of `as_of`, and were not announced as down; silence counts from `since` on.
pub async fn silent(connection: &mut Connection, as_of: i64, since: i64) -> Result<Vec<String>> {
    let sql = format!("SELECT host_id FROM hosts WHERE {SILENT} ORDER BY host_id");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(since).bind(since).bind(as_of).fetch_all(connection).await?)
}

/// Ids of hosts that are down.
pub async fn down(connection: &mut Connection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("SELECT host_id FROM hosts WHERE is_down = 1").fetch_all(connection).await?)
}

/// Marks such a host as down, unless somebody did or it reported again. Whether it did.
pub async fn mark_down(connection: &mut Connection, host_id: &str, as_of: i64, since: i64) -> Result<bool> {
    let sql = format!("UPDATE hosts SET is_down = 1 WHERE host_id = ? AND {SILENT}");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(host_id).bind(since).bind(since).bind(as_of);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

fn host(row: &AnyRow) -> Result<HostRow> {
    Ok(HostRow {
        host_key: row.try_get("host_key")?,
        host_id: row.try_get("host_id")?,
        interval_ms: row.try_get("interval_ms")?,
        last_report_at: row.try_get("last_report_at")?,
        last_received_at: row.try_get("last_received_at")?,
        last_epoch: row.try_get("last_epoch")?,
        last_seq: row.try_get("last_seq")?,
        is_down: row.try_get::<i64, _>("is_down")? != 0,
        inventory_version: row.try_get("inventory_version")?,
    })
}
