//! `machines`: hosts and containers as they were last described.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, MAX_BOUND_VALUES, Query, Result, StoreError, placeholders};
use crate::thresholds::Kind;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineRow {
    /// Number of the machine in this database.
    pub machine_id: i64,
    /// Its host.
    pub host_key: i64,
    /// Host or container.
    pub kind: Kind,
    /// Empty for a host.
    pub identity: String,
    /// What people call it.
    pub name: String,
    /// Engine state of a container; `running` for a host.
    pub state: String,
    /// JSON object of texts.
    pub labels: String,
    /// JSON object of what else describes it.
    pub facts: String,
    /// Time of the first report that had it.
    pub first_seen_at: i64,
    /// Time of the first report that no longer had it.
    pub gone_at: Option<i64>,
}

/// Which machines to list.
#[derive(Clone, Debug, Default)]
pub struct MachineFilter {
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only machines of this host.
    pub host_id: Option<String>,
    /// Only those that are there, or were since.
    pub gone_since: Option<i64>,
}

pub(super) const COLUMNS: &str = "machine_id, m.host_key, kind, identity, name, state, labels, facts, first_seen_at, gone_at";

/// The rows of many keys, in no order, `at_once` keys a statement; `sql` is told how many.
async fn of_keys<'q, K>(
    connection: &mut Connection,
    keys: &'q [K],
    at_once: usize,
    sql: impl Fn(usize) -> String,
    bind: impl Fn(Query<'q>, &'q K) -> Query<'q>,
) -> Result<Vec<AnyRow>> {
    let mut rows = Vec::new();
    for keys in keys.chunks(at_once) {
        let query = keys.iter().fold(sqlx::query(AssertSqlSafe(sql(keys.len()))), &bind);
        rows.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(rows)
}

/// The machines that these hosts have now, in no order.
pub async fn present(connection: &mut Connection, host_keys: &[i64]) -> Result<Vec<MachineRow>> {
    let sql = |keys| format!("SELECT {COLUMNS} FROM machines m WHERE host_key IN ({}) AND gone_at IS NULL", placeholders(keys));
    let rows = of_keys(connection, host_keys, MAX_BOUND_VALUES, sql, |query, key| query.bind(*key)).await?;
    rows.iter().map(machine).collect()
}

/// The machines that a host no longer has, but had until after this time, in no order.
pub async fn gone_since(connection: &mut Connection, host_key: i64, since: i64) -> Result<Vec<MachineRow>> {
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE host_key = ? AND gone_at > ?");
    sqlx::query(AssertSqlSafe(sql)).bind(host_key).bind(since).fetch_all(connection).await?.iter().map(machine).collect()
}

/// All machines of one kind, or of every, that there are or were.
pub async fn all(connection: &mut Connection, kind: Option<Kind>) -> Result<Vec<MachineRow>> {
    let of_kind = if kind.is_some() { " WHERE kind = ?" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM machines m{of_kind} ORDER BY machine_id");
    let query = kind.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, kind| query.bind(kind.as_str()));
    query.fetch_all(connection).await?.iter().map(machine).collect()
}

/// All machines that a host has or had.
pub async fn of_host(connection: &mut Connection, host_key: i64) -> Result<Vec<MachineRow>> {
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE host_key = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(host_key).fetch_all(connection).await?.iter().map(machine).collect()
}

/// Those of a host's machines of a kind that have one of these identities, gone or not.
pub async fn find(connection: &mut Connection, host_key: i64, kind: Kind, identities: &[&str]) -> Result<Vec<MachineRow>> {
    if identities.is_empty() {
        return Ok(Vec::new());
    }
    let list = placeholders(identities.len());
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE host_key = ? AND kind = ? AND identity IN ({list})");
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(host_key).bind(kind.as_str());
    for identity in identities {
        query = query.bind(*identity);
    }
    query.fetch_all(connection).await?.iter().map(machine).collect()
}

/// One machine.
pub async fn get(connection: &mut Connection, machine_id: i64) -> Result<Option<MachineRow>> {
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE machine_id = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(machine_id).fetch_optional(connection).await?.as_ref().map(machine).transpose()
}

/// The machines of these ids that are there, in no order, each with the interval of its host's newest report.
pub async fn with_intervals(connection: &mut Connection, machine_ids: &[i64]) -> Result<Vec<(MachineRow, i64)>> {
    let sql = |ids| {
        format!(
            "SELECT {COLUMNS}, h.interval_ms FROM machines m JOIN hosts h ON h.host_key = m.host_key WHERE machine_id IN ({})",
            placeholders(ids)
        )
    };
    let rows = of_keys(connection, machine_ids, MAX_BOUND_VALUES, sql, |query, id| query.bind(*id)).await?;
    rows.iter().map(|row| Ok((machine(row)?, row.try_get("interval_ms")?))).collect()
}

/// The machines of these ids that are there, in no order.
pub async fn of_ids(connection: &mut Connection, machine_ids: &[i64]) -> Result<Vec<MachineRow>> {
    let sql = |ids| format!("SELECT {COLUMNS} FROM machines m WHERE machine_id IN ({})", placeholders(ids));
    let rows = of_keys(connection, machine_ids, MAX_BOUND_VALUES, sql, |query, id| query.bind(*id)).await?;
    rows.iter().map(machine).collect()
}

/// Names of one statement: SQLite takes no expression that is much deeper.
const NAMES: usize = 100;

/// The machines of these hosts, kinds and identities that are there, in no order.
pub async fn named(connection: &mut Connection, names: &[(i64, Kind, &str)]) -> Result<Vec<MachineRow>> {
    let sql = |names| {
        let any = vec!["host_key = ? AND kind = ? AND identity = ?"; names].join(" OR ");
        format!("SELECT {COLUMNS} FROM machines m WHERE {any}")
    };
    let rows = of_keys(connection, names, NAMES, sql, |query, (host_key, kind, identity)| {
        query.bind(*host_key).bind(kind.as_str()).bind(*identity)
    });
    rows.await?.iter().map(machine).collect()
}

/// Machines with ids above `after`, in id order.
pub async fn list(connection: &mut Connection, filter: &MachineFilter, after: i64, limit: i64) -> Result<Vec<MachineRow>> {
    let mut sql = format!("SELECT {COLUMNS} FROM machines m");
    if filter.host_id.is_some() {
        sql += " JOIN hosts h ON h.host_key = m.host_key AND h.host_id = ?";
    }
    sql += " WHERE machine_id > ?";
    if filter.kind.is_some() {
        sql += " AND kind = ?";
    }
    if filter.gone_since.is_some() {
        sql += " AND (gone_at IS NULL OR gone_at >= ?)";
    }
    sql += " ORDER BY machine_id LIMIT ?";
    let mut query = sqlx::query(AssertSqlSafe(sql));
    if let Some(host_id) = &filter.host_id {
        query = query.bind(host_id);
    }
    query = query.bind(after);
    if let Some(kind) = filter.kind {
        query = query.bind(kind.as_str());
    }
    if let Some(since) = filter.gone_since {
        query = query.bind(since);
    }
    query.bind(limit).fetch_all(connection).await?.iter().map(machine).collect()
}

/// Machines in whose labels any of these texts stands, in id order, gone ones too.
pub async fn with_labels_like(connection: &mut Connection, texts: &[String]) -> Result<Vec<MachineRow>> {
    let any = vec!["INSTR(labels, ?) > 0"; texts.len()].join(" OR ");
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE {any} ORDER BY machine_id");
    let query = texts.iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
    query.fetch_all(connection).await?.iter().map(machine).collect()
}

/// Registers machines; their `machine_id` is not looked at.
pub async fn insert(connection: &mut Connection, machines: &[MachineRow]) -> Result<()> {
    for machines in machines.chunks(MAX_BOUND_VALUES / 9) {
        let rows = vec![format!("({})", placeholders(9)); machines.len()].join(", ");
        let sql = format!(
            "INSERT INTO machines (host_key, kind, identity, name, state, labels, facts, first_seen_at, gone_at) VALUES {rows}"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for machine in machines {
            query = query
                .bind(machine.host_key)
                .bind(machine.kind.as_str())
                .bind(&machine.identity)
                .bind(&machine.name)
                .bind(&machine.state)
                .bind(&machine.labels)
                .bind(&machine.facts)
                .bind(machine.first_seen_at)
                .bind(machine.gone_at);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes a changed description.
pub async fn update(connection: &mut Connection, machine: &MachineRow) -> Result<()> {
    let sql = "UPDATE machines SET name = ?, state = ?, labels = ?, facts = ?, gone_at = ? WHERE machine_id = ?";
    let query = sqlx::query(sql).bind(&machine.name).bind(&machine.state).bind(&machine.labels).bind(&machine.facts);
    query.bind(machine.gone_at).bind(machine.machine_id).execute(connection).await?;
    Ok(())
}

pub(super) fn machine(row: &AnyRow) -> Result<MachineRow> {
    Ok(MachineRow {
        machine_id: row.try_get("machine_id")?,
        host_key: row.try_get("host_key")?,
        kind: row.try_get::<String, _>("kind")?.parse().map_err(StoreError::Corrupt)?,
        identity: row.try_get("identity")?,
        name: row.try_get("name")?,
        state: row.try_get("state")?,
        labels: row.try_get("labels")?,
        facts: row.try_get("facts")?,
        first_seen_at: row.try_get("first_seen_at")?,
        gone_at: row.try_get("gone_at")?,
    })
}
