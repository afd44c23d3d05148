//! `leases`: work that one backend at a time should do.

use super::{Connection, Result};

/// Takes a lease that nobody holds, or keeps the one that `holder` has. Whether it has it now.
pub async fn take(connection: &mut Connection, name: &str, holder: i64, now: i64, until: i64) -> Result<bool> {
    let sql = "UPDATE leases SET holder = ?, held_until = ? WHERE name = ? AND (holder = ? OR held_until < ?)";
    let query = sqlx::query(sql).bind(holder).bind(until).bind(name).bind(holder).bind(now);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}
