//! `ledger`, `gaps` and `rejections`: what became of reports. A host's rows are changed by whoever has locked the host.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use wire_model::{Removed, ReportId};

use super::{Connection, Dialect, MAX_BOUND_VALUES, Result, placeholders, statements};
use crate::ledger::{Counts, Gap};

/// `host_key` of rejected records that name no known host.
pub const UNKNOWN_HOST: i64 = 0;

/// MySQL reserves some of these words.
const KINDS: [&str; 8] = ["`stored`", "`late`", "`duplicate`", "`rejected`", "`thinned`", "`dropped`", "`damaged`", "`lost`"];
const GAP: &str = "epoch, from_seq, to_seq, from_at, to_at, `thinned`, `dropped`, `damaged`, `lost`, detected_at";
/// Values of a row of gaps.
const GAP_VALUES: usize = 11;

/// Adds to the rows of hosts and hours (host, hour, change), in order.
pub async fn add(connection: &mut Connection, dialect: Dialect, changes: &[(i64, i64, Counts)]) -> Result<()> {
    let update = dialect.on_conflict_add("ledger", "hour_at, host_key", &KINDS);
    for changes in statements(changes, MAX_BOUND_VALUES / (KINDS.len() + 2), |_| 0) {
        let rows = vec![format!("({})", placeholders(KINDS.len() + 2)); changes.len()].join(", ");
        let sql = format!("INSERT INTO ledger (host_key, hour_at, {}) VALUES {rows}{update}", KINDS.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (host_key, hour_at, counts) in changes {
            query = query.bind(host_key).bind(hour_at).bind(counts.stored).bind(counts.late).bind(counts.duplicate);
            query = query.bind(counts.rejected).bind(counts.thinned).bind(counts.dropped).bind(counts.damaged).bind(counts.lost);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Stores new gaps of a host.
pub async fn insert_gaps(connection: &mut Connection, host_key: i64, gaps: &[&Gap]) -> Result<()> {
    for gaps in statements(gaps, MAX_BOUND_VALUES / GAP_VALUES, |_| 0) {
        let rows = vec![format!("({})", placeholders(GAP_VALUES)); gaps.len()].join(", ");
        let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO gaps (host_key, {GAP}) VALUES {rows}")));
        for gap in gaps {
            query = query.bind(host_key).bind(gap.epoch.cast_signed()).bind(gap.from_seq.cast_signed());
            query = query.bind(gap.to_seq.cast_signed()).bind(gap.from_at).bind(gap.to_at);
            query = query.bind(gap.removed.thinned.cast_signed()).bind(gap.removed.dropped.cast_signed());
            query = query.bind(gap.removed.damaged.cast_signed()).bind(gap.lost.cast_signed()).bind(gap.detected_at);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes gaps by their ids.
pub async fn remove_gaps(connection: &mut Connection, ids: &[i64]) -> Result<()> {
    for ids in ids.chunks(MAX_BOUND_VALUES) {
        let mut query = sqlx::query(AssertSqlSafe(format!("DELETE FROM gaps WHERE gap_id IN ({})", placeholders(ids.len()))));
        for id in ids {
            query = query.bind(id);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Gaps of a host that hold some number of `from_seq` to `to_seq` of an epoch.
pub async fn gaps_within(connection: &mut Connection, host_key: i64, epoch: u64, from_seq: u64, to_seq: u64) -> Result<Vec<Gap>> {
    let sql = format!("SELECT gap_id, {GAP} FROM gaps WHERE host_key = ? AND epoch = ? AND from_seq <= ? AND to_seq >= ?");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(host_key).bind(epoch.cast_signed());
    let rows = query.bind(to_seq.cast_signed()).bind(from_seq.cast_signed()).fetch_all(connection).await?;
    rows.iter().map(gap).collect()
}

/// Gaps of a host that touch [from, to), newest first; `after` is time and id of the last one of the page before.
pub async fn list_gaps(
    connection: &mut Connection,
    host_key: i64,
    (from, to): (i64, i64),
    after: Option<(i64, i64)>,
    limit: i64,
) -> Result<Vec<Gap>> {
    let (before_at, before_id) = after.unwrap_or((i64::MAX, i64::MAX));
    let sql = format!(
        "SELECT gap_id, {GAP} FROM gaps WHERE host_key = ? AND to_at >= ? AND (from_at < ? OR to_at < ?) \
         AND (to_at < ? OR (to_at = ? AND gap_id < ?)) ORDER BY to_at DESC, gap_id DESC LIMIT ?"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(host_key).bind(from).bind(to).bind(to);
    let rows = query.bind(before_at).bind(before_at).bind(before_id).bind(limit).fetch_all(connection).await?;
    rows.iter().map(gap).collect()
}

fn gap(row: &AnyRow) -> Result<Gap> {
    let number = |column: &str| row.try_get::<i64, _>(column);
    let count = |column: &str| number(column).map(i64::cast_unsigned);
    Ok(Gap {
        id: Some(number("gap_id")?),
        epoch: count("epoch")?,
        from_seq: count("from_seq")?,
        to_seq: count("to_seq")?,
        from_at: number("from_at")?,
        to_at: number("to_at")?,
        removed: Removed { thinned: count("thinned")?, dropped: count("dropped")?, damaged: count("damaged")? },
        lost: count("lost")?,
        detected_at: number("detected_at")?,
    })
}

/// Begins the count of a host anew from an epoch on: gaps there keep their numbers of reports and lose their names, and rejections that
/// are counted are no longer known by name.
pub async fn begin_anew(connection: &mut Connection, host_key: i64, epoch: u64) -> Result<()> {
    for sql in [
        "UPDATE gaps SET from_seq = 0, to_seq = 0 WHERE host_key = ? AND epoch >= ?",
        "DELETE FROM rejections WHERE host_key = ? AND epoch >= ?",
    ] {
        sqlx::query(sql).bind(host_key).bind(epoch.cast_signed()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A rejected report to note.
#[derive(Clone, Debug)]
pub struct NewRejection {
    /// Which one; of a record of [`UNKNOWN_HOST`] partition and offset.
    pub id: ReportId,
    /// The hour under which it is counted.
    pub hour_at: i64,
    /// What was wrong with it.
    pub reason: String,
}

/// Which of these reports of a host were rejected, with the hours under which they are counted.
pub async fn rejections(connection: &mut Connection, host_key: i64, ids: &[ReportId]) -> Result<BTreeMap<ReportId, i64>> {
    let mut rejections = BTreeMap::new();
    for named in named(ids) {
        let sql = format!("SELECT epoch, seq, hour_at FROM rejections WHERE host_key = ? AND ({})", named.condition);
        let query = named.values.iter().fold(sqlx::query(AssertSqlSafe(sql)).bind(host_key), |query, value| query.bind(*value));
        for row in query.fetch_all(&mut *connection).await? {
            let number = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
            rejections.insert(ReportId { epoch: number("epoch")?, seq: number("seq")? }, row.try_get("hour_at")?);
        }
    }
    Ok(rejections)
}

/// Notes rejected reports. How many were not noted before.
pub async fn note_rejections(
    connection: &mut Connection,
    dialect: Dialect,
    host_key: i64,
    now: i64,
    rejections: &[NewRejection],
) -> Result<u64> {
    let insert = dialect.insert_or_ignore();
    let mut noted = 0;
    for rejections in statements(rejections, MAX_BOUND_VALUES / 6, |rejection| rejection.reason.len()) {
        let rows = vec!["(?, ?, ?, ?, ?, ?)"; rejections.len()].join(", ");
        let sql = format!("{insert} INTO rejections (host_key, epoch, seq, hour_at, rejected_at, reason) VALUES {rows}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for NewRejection { id, hour_at, reason } in rejections {
            query = query.bind(host_key).bind(id.epoch.cast_signed()).bind(id.seq.cast_signed());
            query = query.bind(hour_at).bind(now).bind(reason);
        }
        noted += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(noted)
}

/// Forgets rejected reports that were stored after all.
pub async fn forget_rejections(connection: &mut Connection, host_key: i64, ids: &[ReportId]) -> Result<()> {
    for named in named(ids) {
        let sql = format!("DELETE FROM rejections WHERE host_key = ? AND ({})", named.condition);
        let query = named.values.iter().fold(sqlx::query(AssertSqlSafe(sql)).bind(host_key), |query, value| query.bind(*value));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// A condition that names reports, and its values.
struct Named {
    condition: String,
    values: Vec<i64>,
}

/// Epochs of one condition: SQLite takes expressions up to a depth of 1,000.
const EPOCHS: usize = 100;

/// Conditions that name these reports together, each for the index of epoch and number.
fn named(ids: &[ReportId]) -> Vec<Named> {
    let mut by_epoch: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for id in ids {
        by_epoch.entry(id.epoch).or_default().push(id.seq.cast_signed());
    }
    let by_epoch: Vec<_> = by_epoch.into_iter().collect();
    let condition = |epochs: &[(u64, Vec<i64>)]| Named {
        condition: epochs
            .iter()
            .map(|(_, seqs)| format!("(epoch = ? AND seq IN ({}))", placeholders(seqs.len())))
            .collect::<Vec<_>>()
            .join(" OR "),
        values: epochs
            .iter()
            .flat_map(|(epoch, seqs)| std::iter::once(epoch.cast_signed()).chain(seqs.iter().copied()))
            .collect(),
    };
    by_epoch.chunks(EPOCHS).map(condition).collect()
}

/// The sum of each kind, under its name.
fn sums() -> String {
    KINDS.map(|kind| format!("CAST(SUM({kind}) AS SIGNED) AS {kind}")).join(", ")
}

/// Counts of all hosts together, or of one, by hour: of the hours that begin in [from, to).
pub async fn by_hour(connection: &mut Connection, host_key: Option<i64>, from: i64, to: i64) -> Result<Vec<(i64, Counts)>> {
    let sums = sums();
    let of_host = if host_key.is_some() { "host_key = ? AND " } else { "" };
    let sql = format!(
        "SELECT hour_at, {sums} FROM ledger WHERE {of_host}hour_at >= ? AND hour_at < ? GROUP BY hour_at ORDER BY hour_at"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    if let Some(host_key) = host_key {
        query = query.bind(host_key);
    }
    let rows = query.bind(from).bind(to).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("hour_at")?, counts(row)?))).collect()
}

/// How many reports of a host are stored in the hours that begin in [from, to).
pub async fn stored(connection: &mut Connection, host_key: i64, from: i64, to: i64) -> Result<i64> {
    // SUM of integers is a decimal in MySQL
    let sql = "SELECT CAST(COALESCE(SUM(`stored`), 0) AS SIGNED) FROM ledger WHERE host_key = ? AND hour_at >= ? AND hour_at < ?";
    Ok(sqlx::query_scalar(sql).bind(host_key).bind(from).bind(to).fetch_one(connection).await?)
}

/// Hosts of which most is missing in the hours that begin in [from, to), worst first, with their counts.
pub async fn worst_hosts(connection: &mut Connection, from: i64, to: i64, limit: i64) -> Result<Vec<(i64, Counts)>> {
    let sums = sums();
    let missing = "SUM(l.`thinned` + l.`dropped` + l.`damaged` + l.`lost`)";
    let sql = format!(
        "SELECT host_key, {sums} FROM ledger l WHERE hour_at >= ? AND hour_at < ? GROUP BY host_key \
         HAVING {missing} > 0 ORDER BY {missing} DESC, host_key LIMIT ?"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(from).bind(to).bind(limit).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("host_key")?, counts(row)?))).collect()
}

fn counts(row: &AnyRow) -> Result<Counts> {
    Ok(Counts {
        stored: row.try_get("stored")?,
        late: row.try_get("late")?,
        duplicate: row.try_get("duplicate")?,
        rejected: row.try_get("rejected")?,
        thinned: row.try_get("thinned")?,
        dropped: row.try_get("dropped")?,
        damaged: row.try_get("damaged")?,
        lost: row.try_get("lost")?,
    })
}

/// What went missing of late.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentLoss {
    /// Hosts that it is of.
    pub hosts: i64,
    /// How many reports, by kind.
    pub removed: Removed,
    /// Of no known kind.
    pub lost: i64,
    /// Since when: time of the last report before the oldest of these gaps.
    pub since: Option<i64>,
}

/// Rows that are looked at for what happened of late, the newest: with all collectors away for a day there are millions.
pub const RECENT_ROWS: i64 = 50_000;

/// Gaps that were found since, of the newest [`RECENT_ROWS`].
pub async fn recent_loss(connection: &mut Connection, since: i64) -> Result<RecentLoss> {
    let sum = |kind: &str| format!("CAST(COALESCE(SUM({kind}), 0) AS SIGNED) AS {kind}");
    let kinds = KINDS[4..].join(", ");
    let sums = KINDS[4..].iter().map(|kind| sum(kind)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT COUNT(DISTINCT host_key) AS hosts, MIN(from_at) AS since_at, {sums} FROM \
         (SELECT host_key, from_at, {kinds} FROM gaps WHERE detected_at >= ? ORDER BY detected_at DESC LIMIT ?) AS recent"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(since).bind(RECENT_ROWS).fetch_one(connection).await?;
    let count = |kind: &str| row.try_get::<i64, _>(kind).map(i64::cast_unsigned);
    Ok(RecentLoss {
        hosts: row.try_get("hosts")?,
        removed: Removed { thinned: count("thinned")?, dropped: count("dropped")?, damaged: count("damaged")? },
        lost: row.try_get("lost")?,
        since: row.try_get("since_at")?,
    })
}

/// Rejections since, of the newest [`RECENT_ROWS`]: how many, and the first.
pub async fn recent_rejections(connection: &mut Connection, since: i64) -> Result<(i64, Option<i64>)> {
    let sql = "SELECT COUNT(*) AS records, MIN(rejected_at) AS since_at FROM \
               (SELECT rejected_at FROM rejections WHERE rejected_at >= ? ORDER BY rejected_at DESC LIMIT ?) AS recent";
    let row = sqlx::query(sql).bind(since).bind(RECENT_ROWS).fetch_one(connection).await?;
    Ok((row.try_get("records")?, row.try_get("since_at")?))
}
