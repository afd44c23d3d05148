//! What upkeep knows of what does not come: silent hosts, whether the pipeline is late, and the violations that say so.

use sqlx::{AssertSqlSafe, Row};

use super::machines::{self, MachineRow};
use super::{Connection, Dialect, Result, StoreError};
use crate::absence::course::Stay;
use crate::absence::lateness::Heard;
use crate::absence::skew::Newest;
use crate::thresholds::evaluator::SeriesKey;

/// A host that is down, or of which a violation says that it was.
#[derive(Clone, Debug, PartialEq)]
pub struct MissedHost {
    /// Its own id.
    pub host_id: String,
    /// Interval of its newest report.
    pub interval_ms: i64,
    /// When that came.
    pub last_received_at: i64,
    /// Whether it is down.
    pub is_down: bool,
    /// How it was described last.
    pub machine: MachineRow,
}

/// Whether the pipeline is late, as was found last.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineRow {
    /// Since when it is; `None` while it is on time.
    pub late_since: Option<i64>,
    /// Since when it was last seen to be on time; 0 when it was never late.
    pub on_time_since: i64,
    /// Rules that wait for their `for_seconds`: since when the lag is beyond them.
    pub waiting: Vec<(i64, i64)>,
}

/// An open violation by machine and rule.
pub type OpenStay = (i64, i64, Stay);

/// When the hosts were heard of that are not down.
pub async fn expected(connection: &mut Connection) -> Result<Vec<Heard>> {
    let sql = "SELECT last_received_at, interval_ms FROM hosts WHERE is_down = 0 AND last_report_at > 0";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(Heard { at: row.try_get(0)?, interval_ms: row.try_get(1)? })).collect()
}

/// The newest report of each host that is not down.
pub async fn newest(connection: &mut Connection) -> Result<Vec<Newest>> {
    let sql =
        "SELECT host_key, last_report_at, last_received_at, interval_ms FROM hosts WHERE is_down = 0 AND last_report_at > 0";
    let newest = |row: &sqlx::any::AnyRow| {
        let (host_key, at, received_at, interval_ms) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok(Newest { host_key, at, received_at, interval_ms })
    };
    sqlx::query(sql).fetch_all(connection).await?.iter().map(newest).collect()
}

/// Hosts that are down, and those of which a violation of this metric is open; one host alone if its id is given.
pub async fn missed(connection: &mut Connection, metric: &str, host_id: Option<&str>) -> Result<Vec<MissedHost>> {
    let columns = machines::COLUMNS;
    let one = if host_id.is_some() { "h.host_id = ? AND" } else { "" };
    let sql = format!(
        "SELECT h.host_id, h.interval_ms, h.last_received_at, h.is_down, {columns} \
         FROM hosts h JOIN machines m ON m.host_key = h.host_key AND m.kind = 'host' \
         WHERE {one} (h.is_down = 1 OR m.machine_id IN (SELECT v.machine_id FROM violations v WHERE v.closed_at IS NULL AND v.metric = ?)) \
         ORDER BY h.host_id"
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = if let Some(host_id) = host_id { query.bind(host_id.to_owned()) } else { query };
    let rows = query.bind(metric).fetch_all(connection).await?;
    let missed = |row| {
        Ok(MissedHost {
            host_id: Row::try_get(row, "host_id")?,
            interval_ms: Row::try_get(row, "interval_ms")?,
            last_received_at: Row::try_get(row, "last_received_at")?,
            is_down: Row::try_get::<i64, _>(row, "is_down")? != 0,
            machine: machines::machine(row)?,
        })
    };
    rows.iter().map(missed).collect()
}

/// The open violations of a metric; of one machine alone if its id is given.
pub async fn open_stays(connection: &mut Connection, metric: &str, machine_id: Option<i64>) -> Result<Vec<OpenStay>> {
    let one = if machine_id.is_some() { " AND machine_id = ?" } else { "" };
    let sql = format!(
        "SELECT machine_id, threshold_id, opened_at, peak_value, recovering_since FROM violations \
         WHERE closed_at IS NULL AND metric = ?{one} ORDER BY machine_id, threshold_id"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(metric.to_owned());
    let query = if let Some(machine_id) = machine_id { query.bind(machine_id) } else { query };
    let rows = query.fetch_all(connection).await?;
    let stay = |row: &sqlx::any::AnyRow| {
        let (opened_at, peak, recovering_since) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        Ok((row.try_get(0)?, row.try_get(1)?, Stay { opened_at, peak, recovering_since }))
    };
    rows.iter().map(stay).collect()
}

/// First time at which a violation of a series may open, so that it does not begin before the one before it ended.
pub async fn not_before(connection: &mut Connection, key: &SeriesKey) -> Result<i64> {
    let sql = "SELECT opened_at, closed_at FROM violations WHERE machine_id = ? AND threshold_id = ? AND device = ? \
               ORDER BY opened_at DESC LIMIT 1";
    let query = sqlx::query(sql).bind(key.machine_id).bind(key.threshold_id).bind(key.device.clone());
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(0) };
    let opened_at: i64 = row.try_get(0)?;
    Ok(row.try_get::<Option<i64>, _>(1)?.unwrap_or(0).max(opened_at + 1))
}

/// Notes since when a violation recovers, or that it does not.
pub async fn set_recovering(connection: &mut Connection, key: &SeriesKey, opened_at: i64, since: Option<i64>) -> Result<()> {
    let sql =
        "UPDATE violations SET recovering_since = ? WHERE machine_id = ? AND threshold_id = ? AND device = ? AND opened_at = ?";
    let query = sqlx::query(sql).bind(since).bind(key.machine_id).bind(key.threshold_id).bind(key.device.clone());
    query.bind(opened_at).execute(connection).await?;
    Ok(())
}

/// Whether the pipeline is late.
pub async fn pipeline(connection: &mut Connection) -> Result<PipelineRow> {
    read(connection, "").await
}

/// The same, which nobody else can change until this transaction ends.
pub async fn lock_pipeline(connection: &mut Connection, dialect: Dialect) -> Result<PipelineRow> {
    read(connection, dialect.for_update()).await
}

async fn read(connection: &mut Connection, suffix: &str) -> Result<PipelineRow> {
    let sql = format!("SELECT late_since, on_time_since, waiting FROM pipeline_state WHERE id = 1{suffix}");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
    let waiting: String = row.try_get(2)?;
    let waiting = serde_json::from_str(&waiting).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(PipelineRow { late_since: row.try_get(0)?, on_time_since: row.try_get(1)?, waiting })
}

/// Writes a row that was locked before.
pub async fn save_pipeline(connection: &mut Connection, row: &PipelineRow) -> Result<()> {
    let waiting = serde_json::to_string(&row.waiting).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let sql = "UPDATE pipeline_state SET late_since = ?, on_time_since = ?, waiting = ? WHERE id = 1";
    sqlx::query(sql).bind(row.late_since).bind(row.on_time_since).bind(waiting).execute(connection).await?;
    Ok(())
}
