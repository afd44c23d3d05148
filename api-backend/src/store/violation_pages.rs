//! Violations a page at a time, in the order of opening.
//!
//! What was open at some time in a range either opened in it, or opened before it and is open or lasted long enough. The former are in order in
//! an index; of the latter each class of durations (`span`) has a short stretch to look at. A page is the union of both, of a page of each.

use sqlx::AssertSqlSafe;

use super::violation_filter::{Conditions, Value, ViolationFilter, Way};
use super::violations::{COLUMNS, violation};
use super::{Connection, Dialect, Result};
use crate::violation::Violation;

/// Which of the violations that a filter means.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// From this time on.
    pub from: Option<i64>,
    /// Before this time.
    pub to: Option<i64>,
    /// What must have been then.
    pub matching: Matching,
    /// In which order.
    pub order: Order,
    /// Only those behind this one: its `opened_at` and id.
    pub after: Option<(i64, i64)>,
    /// So many at most.
    pub limit: i64,
}

/// What a violation has to do with a range of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    /// It was open at some time in it.
    #[default]
    Overlapping,
    /// It opened in it.
    Opened,
}

/// By the time of opening, then by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// Durations below which a violation is of a class, Unix ms, as the migration has them; the last class has no end.
const SPANS: [i64; 7] = [60_000, 480_000, 3_840_000, 30_720_000, 245_760_000, 1_966_080_000, i64::MAX];

/// A page of them.
pub async fn list(connection: &mut Connection, dialect: Dialect, filter: &ViolationFilter, page: Page) -> Result<Vec<Violation>> {
    let mut stretches = vec![opened_within(filter, page)];
    if page.matching == Matching::Overlapping
        && let Some(from) = page.from
    {
        stretches.push(open_at(filter, from));
    }
    if page.order == Order::Oldest {
        stretches.reverse();
    }
    let mut found = Vec::new();
    for arms in stretches {
        let limit = page.limit - found.len() as i64;
        if limit > 0 && !arms.is_empty() {
            found.extend(union(connection, dialect, arms, Page { limit, ..page }).await?);
        }
    }
    Ok(found)
}

/// One way, and what is asked for on it.
type Arm = (Way, Conditions);

fn opened_within(filter: &ViolationFilter, page: Page) -> Vec<Arm> {
    let arm = |way: Way| {
        let conditions = way.conditions(filter).opened(page.from, page.to);
        (way, conditions)
    };
    filter.ways().into_iter().map(arm).collect()
}

/// Those that opened before this time and were open then.
fn open_at(filter: &ViolationFilter, at: i64) -> Vec<Arm> {
    if !filter.machine_ids.is_empty() && filter.is_open != Some(true) {
        // one machine has had fewer than all machines have open at a time
        let arm = |way: Way| {
            let conditions = way.conditions(filter).opened(None, Some(at));
            (way, conditions.and("(closed_at IS NULL OR closed_at >= ?)", [Value::Number(at)]))
        };
        return filter.ways().into_iter().map(arm).collect();
    }
    let mut arms = Vec::new();
    if filter.is_open != Some(false) {
        let way = Way::of_span(0);
        let conditions = way.conditions(filter).opened(None, Some(at));
        arms.push((way, conditions));
    }
    if filter.is_open != Some(true) {
        arms.extend((1..).zip(SPANS).map(|(span, below)| {
            let way = Way::of_span(span);
            let conditions = way.conditions(filter).opened(Some(at.saturating_sub(below)), Some(at));
            (way, conditions.and("closed_at >= ?", [Value::Number(at)]))
        }));
    }
    arms
}

async fn union(connection: &mut Connection, dialect: Dialect, arms: Vec<Arm>, page: Page) -> Result<Vec<Violation>> {
    let (direction, is_behind) = match page.order {
        Order::Newest => ("DESC", "<"),
        Order::Oldest => ("ASC", ">"),
    };
    let order = format!("ORDER BY opened_at {direction}, violation_id {direction} LIMIT ?");
    // not by rows of values, which MariaDB does not look up in an index, nor by OR alone, which SQLite does not
    let behind = format!("opened_at {is_behind}= ? AND (opened_at {is_behind} ? OR violation_id {is_behind} ?)");
    let limit = Value::Number(page.limit);
    let arms: Vec<(String, Conditions)> = arms
        .into_iter()
        .map(|(way, conditions)| {
            let conditions = match page.after {
                Some((at, id)) => conditions.and(&behind, [at, at, id].map(Value::Number)),
                None => conditions,
            };
            let index = dialect.by_index(way.index);
            (
                format!("SELECT {COLUMNS} FROM violations{index} WHERE {} {order}", conditions.sql()),
                conditions.limit(limit.clone()),
            )
        })
        .collect();
    let sql = match &arms[..] {
        [(sql, _)] => sql.clone(),
        arms => {
            let arms: Vec<_> =
                arms.iter().enumerate().map(|(number, (sql, _))| format!("SELECT * FROM ({sql}) AS arm{number}")).collect();
            format!("{} {order}", arms.join(" UNION ALL "))
        }
    };
    let mut query = arms.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, (_, conditions)| conditions.bind(query));
    if arms.len() > 1 {
        query = query.bind(page.limit);
    }
    query.fetch_all(connection).await?.iter().map(violation).collect()
}
