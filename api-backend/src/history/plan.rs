//! Which stretches of a range are read from where.

use super::series::removed_before;
use super::time::{QUARTER_MS, SLOT_MS, day_of, starts};
use crate::store::chunks::Resolution;
use crate::store::{self, Connection, StoreError};
use crate::time::DAY_MS;

/// Which stretches are read from where.
pub(super) struct Plan {
    /// Days whose 5-minute points are used.
    pub(super) days: Vec<i64>,
    /// Quarters of all other days.
    pub(super) quarters: Vec<i64>,
}

/// Longer ranges may begin long before history does, and are cut to what there is.
const UNCUT_MS: i64 = 32 * DAY_MS;

impl Plan {
    /// For buckets of `width` in [from, to), of one host or of all.
    pub(super) async fn of(
        connection: &mut Connection,
        host_key: Option<i64>,
        (from, to): (i64, i64),
        width: i64,
    ) -> Result<Plan, StoreError> {
        let removed_before = removed_before(connection).await?;
        let (from, to) = if to - from > UNCUT_MS { cut(connection, from, to).await? } else { (from, to) };
        let all: Vec<i64> = starts(from, to, DAY_MS).collect();
        let is_coarse = width % SLOT_MS == 0;
        let due = if is_coarse { store::chunks::due_days(connection, host_key, &all).await? } else { Vec::new() };
        let (fine, days): (Vec<i64>, Vec<i64>) =
            all.into_iter().partition(|day| *day >= removed_before && (!is_coarse || due.contains(day)));
        let quarters = fine.iter().flat_map(|day| starts(from.max(*day), to.min(day + DAY_MS), QUARTER_MS)).collect();
        Ok(Plan { days, quarters })
    }
}

async fn cut(connection: &mut Connection, from: i64, to: i64) -> Result<(i64, i64), StoreError> {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for resolution in [Resolution::FiveMinutes, Resolution::Raw] {
        if let Some((from, to)) = store::chunks::bounds(connection, resolution).await? {
            (first, last) = (first.min(from), last.max(to));
        }
    }
    let from = if first > last { to } else { from.max(day_of(first)) };
    Ok((from, to.min(last.saturating_add(DAY_MS)).max(from)))
}
