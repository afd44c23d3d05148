//! What machines are called, where only their ids are known.

use std::collections::HashMap;

use crate::store::machines::MachineRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::Kind;

/// A machine's name, and its host's; of a host that is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) machine: Option<String>,
    pub(super) host: Option<String>,
}

/// Of machines that are forgotten there are none.
pub(super) async fn machine_names(
    connection: &mut Connection,
    ids: impl IntoIterator<Item = i64>,
) -> Result<HashMap<i64, Names>, StoreError> {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = store::machines::of_ids(connection, &ids).await?;
    let mut host_keys: Vec<i64> = rows.iter().map(|row| row.host_key).collect();
    host_keys.sort_unstable();
    host_keys.dedup();
    let hosts: Vec<_> = host_keys.iter().map(|host_key| (*host_key, Kind::Host, "")).collect();
    let hosts: HashMap<i64, String> =
        store::machines::named(connection, &hosts).await?.into_iter().map(|host| (host.host_key, host.name)).collect();
    let names = |row: MachineRow| (row.machine_id, Names { machine: Some(row.name), host: hosts.get(&row.host_key).cloned() });
    Ok(rows.into_iter().map(names).collect())
}
