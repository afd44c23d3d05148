//! Which reports are stored, in the head or sealed.

use std::collections::{BTreeSet, HashMap};

use wire_model::ReportId;

use super::chunk::Axis;
use super::time::quarter_of;
use crate::store::{self, Connection, Result};

/// Which of these times a host has a report of, and which one that is. The host should be locked: a report may just be sealed.
pub async fn existing(connection: &mut Connection, host_key: i64, times: &[i64]) -> Result<HashMap<i64, ReportId>> {
    let mut existing = store::reports::existing(connection, host_key, times).await?;
    let starts: BTreeSet<i64> = times.iter().filter(|at| !existing.contains_key(at)).map(|at| quarter_of(*at)).collect();
    if starts.is_empty() {
        return Ok(existing);
    }
    let wanted: BTreeSet<i64> = times.iter().copied().collect();
    for stretch in store::chunks::stretches(connection, host_key, &starts.into_iter().collect::<Vec<_>>()).await? {
        let axis = Axis::decode(stretch.start_at, &stretch.data)?;
        existing.extend(axis.0.iter().filter(|place| wanted.contains(&place.at)).map(|place| (place.at, place.id)));
    }
    Ok(existing)
}
