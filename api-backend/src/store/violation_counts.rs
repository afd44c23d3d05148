//! How many violations opened, by what they are of.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row};

use super::violation_filter::{Conditions, ViolationFilter, Way};
use super::{Connection, Dialect, Result, StoreError};
use crate::thresholds::{Kind, Severity};
use crate::time::DAY_MS;

/// How many of each severity.
pub type Counts = BTreeMap<Severity, i64>;

/// When they opened: from the first to before the second, Unix ms.
pub type Opened = (i64, i64);

/// By day: Unix ms plus `offset_ms` when it begins, as if there were no zones.
pub async fn by_day(
    connection: &mut Connection,
    dialect: Dialect,
    filter: &ViolationFilter,
    opened: Opened,
    offset_ms: i64,
) -> Result<BTreeMap<i64, Counts>> {
    let day = format!("opened_at + {offset_ms} - (opened_at + {offset_ms}) % {DAY_MS}");
    let mut days: BTreeMap<i64, Counts> = BTreeMap::new();
    for (way, conditions) in arms_of_severities(filter, opened) {
        let index = dialect.by_index(way.index);
        let sql = format!(
            "SELECT {day} AS day_at, severity, COUNT(*) AS found FROM violations{index} WHERE {} GROUP BY day_at, severity",
            conditions.sql()
        );
        for row in &conditions.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&mut *connection).await? {
            let severity = row.try_get::<String, _>("severity")?.parse().map_err(StoreError::Corrupt)?;
            *days.entry(row.try_get("day_at")?).or_default().entry(severity).or_default() += row.try_get::<i64, _>("found")?;
        }
    }
    Ok(days)
}

/// By metric.
pub async fn by_metric(
    connection: &mut Connection,
    dialect: Dialect,
    filter: &ViolationFilter,
    opened: Opened,
) -> Result<BTreeMap<String, Counts>> {
    let mut metrics: BTreeMap<String, Counts> = BTreeMap::new();
    for (way, conditions) in arms(filter, opened) {
        let index = dialect.by_index(way.index);
        let sql = format!(
            "SELECT metric, severity, COUNT(*) AS found FROM violations{index} WHERE {} GROUP BY metric, severity",
            conditions.sql()
        );
        for row in &conditions.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&mut *connection).await? {
            let severity = row.try_get::<String, _>("severity")?.parse().map_err(StoreError::Corrupt)?;
            *metrics.entry(row.try_get("metric")?).or_default().entry(severity).or_default() += row.try_get::<i64, _>("found")?;
        }
    }
    Ok(metrics)
}

/// One machine's.
#[derive(Clone, Debug, PartialEq)]
pub struct OfMachine {
    /// The machine.
    pub machine_id: i64,
    /// A name that it had.
    pub machine_name: String,
    /// Its host's own id.
    pub host_id: String,
    /// A name that its host had.
    pub host_name: String,
    /// What it is.
    pub kind: Kind,
    /// How many it had.
    pub counts: Counts,
}

/// By machine, those with the most first, so many at most.
pub async fn by_machine(
    connection: &mut Connection,
    dialect: Dialect,
    filter: &ViolationFilter,
    opened: Opened,
    limit: i64,
) -> Result<Vec<OfMachine>> {
    let arms = arms(filter, opened);
    let rows: Vec<_> = arms
        .iter()
        .map(|(way, conditions)| {
            let index = dialect.by_index(way.index);
            format!(
                "SELECT machine_id, machine_name, host_id, host_name, kind, severity FROM violations{index} WHERE {}",
                conditions.sql()
            )
        })
        .collect();
    let severities: Vec<_> = SEVERITIES
        .iter()
        .map(|severity| severity.as_str())
        .map(|name| format!("COUNT(CASE WHEN severity = '{name}' THEN 1 END) AS of_{name}"))
        .collect();
    let sql = format!(
        "SELECT machine_id, MAX(machine_name) AS machine_name, MAX(host_id) AS host_id, MAX(host_name) AS host_name, MAX(kind) AS kind, {} \
         FROM ({}) AS found GROUP BY machine_id ORDER BY COUNT(*) DESC, machine_id LIMIT ?",
        severities.join(", "),
        rows.join(" UNION ALL ")
    );
    let query = arms.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, (_, conditions)| conditions.bind(query));
    let rows = query.bind(limit).fetch_all(connection).await?;
    let of_machine = |row: &sqlx::any::AnyRow| {
        let mut counts = Counts::new();
        for severity in SEVERITIES {
            let found: i64 = row.try_get(&*format!("of_{}", severity.as_str()))?;
            if found > 0 {
                counts.insert(severity, found);
            }
        }
        Ok(OfMachine {
            machine_id: row.try_get("machine_id")?,
            machine_name: row.try_get("machine_name")?,
            host_id: row.try_get("host_id")?,
            host_name: row.try_get("host_name")?,
            kind: row.try_get::<String, _>("kind")?.parse().map_err(StoreError::Corrupt)?,
            counts,
        })
    };
    rows.iter().map(of_machine).collect()
}

const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

fn arms(filter: &ViolationFilter, opened: Opened) -> Vec<(Way, Conditions)> {
    by_ways(filter.ways(), filter, opened)
}

/// All of them by way of their severities, when nothing else is asked: time and severity are all that has to be read, and stand in that index.
fn arms_of_severities(filter: &ViolationFilter, opened: Opened) -> Vec<(Way, Conditions)> {
    let ways = filter.ways();
    let is_all = matches!(&ways[..], [Way { of: None, .. }]);
    by_ways(if is_all { SEVERITIES.map(Way::of_severity).to_vec() } else { ways }, filter, opened)
}

fn by_ways(ways: Vec<Way>, filter: &ViolationFilter, (from, to): Opened) -> Vec<(Way, Conditions)> {
    let arm = |way: Way| {
        let conditions = way.conditions(filter).opened(Some(from), Some(to));
        (way, conditions)
    };
    ways.into_iter().map(arm).collect()
}
