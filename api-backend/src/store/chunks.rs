//! `chunks`, `stretches` and `rollups_due`: history. What the bytes mean is known to `history`.

use std::ops::RangeInclusive;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, Dialect, MAX_BOUND_VALUES, Query, Result, placeholders, statements};

/// Which chunks: the distance of their points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Every sample, a quarter of an hour a row.
    Raw,
    /// 5 minutes folded into one point, a day a row.
    FiveMinutes,
}

impl Resolution {
    pub(super) fn ms(self) -> i64 {
        match self {
            Resolution::Raw => 0,
            Resolution::FiveMinutes => 300_000,
        }
    }
}

/// One row to write.
#[derive(Clone, Debug)]
pub struct NewChunk<'a> {
    /// Whose series.
    pub machine_id: i64,
    /// Number among the parts of the machine's chunk.
    pub part: i64,
    /// Encoded columns.
    pub data: &'a [u8],
}

/// Rows of one INSERT.
const INSERT_ROWS: usize = 500;

/// Writes the chunks of a host's stretch.
pub async fn insert(
    connection: &mut Connection,
    resolution: Resolution,
    start_at: i64,
    host_key: i64,
    chunks: &[NewChunk<'_>],
) -> Result<()> {
    for chunks in statements(chunks, INSERT_ROWS, |chunk| chunk.data.len()) {
        let rows = vec!["(?, ?, ?, ?, ?, ?)"; chunks.len()].join(", ");
        let sql = format!("INSERT INTO chunks (resolution_ms, start_at, host_key, machine_id, part, data) VALUES {rows}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for chunk in chunks {
            query = query.bind(resolution.ms()).bind(start_at).bind(host_key).bind(chunk.machine_id).bind(chunk.part);
            query = query.bind(chunk.data);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes the chunks of a host's stretch.
pub async fn remove(connection: &mut Connection, resolution: Resolution, start_at: i64, host_key: i64) -> Result<()> {
    let sql = "DELETE FROM chunks WHERE resolution_ms = ? AND start_at = ? AND host_key = ?";
    sqlx::query(sql).bind(resolution.ms()).bind(start_at).bind(host_key).execute(connection).await?;
    Ok(())
}

/// The chunks of a host's stretch: machine and data, by machine and part.
pub async fn of_host(
    connection: &mut Connection,
    resolution: Resolution,
    start_at: i64,
    host_key: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    let sql = "SELECT machine_id, data FROM chunks WHERE resolution_ms = ? AND start_at = ? AND host_key = ? \
               ORDER BY machine_id, part";
    let rows = sqlx::query(sql).bind(resolution.ms()).bind(start_at).bind(host_key).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("machine_id")?, row.try_get("data")?))).collect()
}

/// The chunks of one machine in some stretches, as far as their parts are in one of these ranges: start and data, by start and part.
pub async fn of_machine(
    connection: &mut Connection,
    resolution: Resolution,
    starts: &[i64],
    host_key: i64,
    machine_id: i64,
    parts: &[RangeInclusive<i64>],
) -> Result<Vec<(i64, Vec<u8>)>> {
    let chunks = of_machines(connection, resolution, starts, host_key, Some(machine_id), parts).await?;
    Ok(chunks.into_iter().map(|(start_at, _, data)| (start_at, data)).collect())
}

/// As [`of_machine`], of one machine of a host or of all: start, machine and data, by start, machine and part.
pub async fn of_machines(
    connection: &mut Connection,
    resolution: Resolution,
    starts: &[i64],
    host_key: i64,
    machine_id: Option<i64>,
    parts: &[RangeInclusive<i64>],
) -> Result<Vec<(i64, i64, Vec<u8>)>> {
    let mut chunks = Vec::new();
    if parts.is_empty() {
        return Ok(chunks);
    }
    let of_parts = of_parts(parts);
    let of_machine = if machine_id.is_some() { " AND machine_id = ?" } else { "" };
    for starts in starts.chunks(MAX_BOUND_VALUES) {
        // single places of the key, because between two stretches of one host stand those of all others
        let sql = format!(
            "SELECT start_at, machine_id, data FROM chunks WHERE resolution_ms = ? AND start_at IN ({}) AND host_key = ?{of_machine} \
             AND {of_parts} ORDER BY start_at, machine_id, part",
            placeholders(starts.len())
        );
        let query = starts.iter().fold(sqlx::query(AssertSqlSafe(sql)).bind(resolution.ms()), |query, start| query.bind(*start));
        let query = machine_id.iter().fold(query.bind(host_key), |query, machine_id| query.bind(*machine_id));
        let query = bind_parts(query, parts);
        for row in query.fetch_all(&mut *connection).await? {
            chunks.push((row.try_get("start_at")?, row.try_get("machine_id")?, row.try_get("data")?));
        }
    }
    Ok(chunks)
}

fn of_parts(parts: &[RangeInclusive<i64>]) -> String {
    format!("({})", vec!["part BETWEEN ? AND ?"; parts.len()].join(" OR "))
}

fn bind_parts<'q>(query: Query<'q>, parts: &[RangeInclusive<i64>]) -> Query<'q> {
    parts.iter().fold(query, |query, parts| query.bind(*parts.start()).bind(*parts.end()))
}

/// Calls `visit` with start, machine and data of those chunks of some stretches whose parts are in this range, as they come.
pub async fn of_stretches(
    connection: &mut Connection,
    resolution: Resolution,
    starts: &[i64],
    parts: RangeInclusive<i64>,
    mut visit: impl FnMut(i64, i64, &[u8]) -> Result<()>,
) -> Result<()> {
    for starts in starts.chunks(MAX_BOUND_VALUES) {
        let sql = format!(
            "SELECT start_at, machine_id, data FROM chunks WHERE resolution_ms = ? AND start_at IN ({}) AND part BETWEEN ? AND ?",
            placeholders(starts.len())
        );
        let query = starts.iter().fold(sqlx::query(AssertSqlSafe(sql)).bind(resolution.ms()), |query, start| query.bind(*start));
        let mut rows = query.bind(*parts.start()).bind(*parts.end()).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            visit(row.try_get("start_at")?, row.try_get("machine_id")?, row.try_get("data")?)?;
        }
    }
    Ok(())
}

/// Starts of the first and the last chunk there is.
pub async fn bounds(connection: &mut Connection, resolution: Resolution) -> Result<Option<(i64, i64)>> {
    let sql = "SELECT MIN(start_at) AS first_start, MAX(start_at) AS last_start FROM chunks WHERE resolution_ms = ?";
    let row = sqlx::query(sql).bind(resolution.ms()).fetch_one(connection).await?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get("first_start")?, row.try_get("last_start")?);
    Ok(first.zip(last))
}

/// One sealed stretch of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its start, Unix ms.
    pub start_at: i64,
    /// How many reports it has.
    pub reports: i64,
    /// Their times and names, encoded.
    pub data: Vec<u8>,
}

/// The stretches of a host that begin at one of these times, by start.
pub async fn stretches(connection: &mut Connection, host_key: i64, starts: &[i64]) -> Result<Vec<Stretch>> {
    let mut stretches = Vec::new();
    for starts in starts.chunks(MAX_BOUND_VALUES) {
        let list = placeholders(starts.len());
        let sql = format!(
            "SELECT start_at, reports, data FROM stretches WHERE start_at IN ({list}) AND host_key = ? ORDER BY start_at"
        );
        let query = starts.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, start| query.bind(*start));
        for row in query.bind(host_key).fetch_all(&mut *connection).await? {
            stretches.push(Stretch {
                start_at: row.try_get("start_at")?,
                reports: row.try_get("reports")?,
                data: row.try_get("data")?,
            });
        }
    }
    Ok(stretches)
}

/// How many reports each host has in stretches that begin in [from, to).
pub async fn sealed_reports(connection: &mut Connection, from: i64, to: i64) -> Result<Vec<(i64, i64)>> {
    let sql = "SELECT host_key, CAST(SUM(reports) AS SIGNED) AS reports FROM stretches WHERE start_at >= ? AND start_at < ? \
               GROUP BY host_key";
    let rows = sqlx::query(sql).bind(from).bind(to).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("host_key")?, row.try_get("reports")?))).collect()
}

/// Writes a stretch, in place of the one that is there.
pub async fn save_stretch(connection: &mut Connection, dialect: Dialect, host_key: i64, stretch: &Stretch) -> Result<()> {
    let update = dialect.on_conflict_update("start_at, host_key", &["reports", "data"]);
    let sql = format!("INSERT INTO stretches (start_at, host_key, reports, data) VALUES (?, ?, ?, ?){update}");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(stretch.start_at).bind(host_key).bind(stretch.reports);
    query.bind(&stretch.data[..]).execute(connection).await?;
    Ok(())
}

/// Notes that a host's day lacks something in its 5-minute chunk.
pub async fn note_rollup_due(connection: &mut Connection, dialect: Dialect, host_key: i64, day_at: i64) -> Result<()> {
    let update = dialect.on_conflict_update("day_at, host_key", &["stamp"]);
    let sql = format!("INSERT INTO rollups_due (day_at, host_key, stamp) VALUES (?, ?, ?){update}");
    // not a count: one that begins anew would look like the one that was read before
    sqlx::query(AssertSqlSafe(sql)).bind(day_at).bind(host_key).bind(fastrand::i64(..)).execute(connection).await?;
    Ok(())
}

/// A day of a host that is to be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupDue {
    /// Its start, Unix ms.
    pub day_at: i64,
    /// The host.
    pub host_key: i64,
    /// Which change it was read after.
    pub stamp: i64,
}

/// Days from before `before` that are to be folded, the oldest first.
pub async fn rollups_due(connection: &mut Connection, before: i64, limit: i64) -> Result<Vec<RollupDue>> {
    let sql = "SELECT day_at, host_key, stamp FROM rollups_due WHERE day_at < ? ORDER BY day_at, host_key LIMIT ?";
    let rows = sqlx::query(sql).bind(before).bind(limit).fetch_all(connection).await?;
    let due = |row: &sqlx::any::AnyRow| {
        Ok(RollupDue { day_at: row.try_get("day_at")?, host_key: row.try_get("host_key")?, stamp: row.try_get("stamp")? })
    };
    rows.iter().map(due).collect()
}

/// The days among these that lack something in the host's 5-minute chunk, or in that of any host.
pub async fn due_days(connection: &mut Connection, host_key: Option<i64>, days: &[i64]) -> Result<Vec<i64>> {
    let mut due = Vec::new();
    let of_host = if host_key.is_some() { " AND host_key = ?" } else { "" };
    for days in days.chunks(MAX_BOUND_VALUES) {
        let list = placeholders(days.len());
        let sql = format!("SELECT DISTINCT day_at FROM rollups_due WHERE day_at IN ({list}){of_host}");
        let query = days.iter().fold(sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)), |query, day| query.bind(*day));
        let query = if let Some(host_key) = host_key { query.bind(host_key) } else { query };
        due.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(due)
}

/// The oldest day of any host that is to be folded.
pub async fn oldest_rollup_due(connection: &mut Connection) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT MIN(day_at) FROM rollups_due").fetch_one(connection).await?)
}

/// Takes a day off the list, unless something was sealed since. Whether it did.
pub async fn rollup_done(connection: &mut Connection, due: RollupDue) -> Result<bool> {
    let sql = "DELETE FROM rollups_due WHERE day_at = ? AND host_key = ? AND stamp = ?";
    let query = sqlx::query(sql).bind(due.day_at).bind(due.host_key).bind(due.stamp);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}
