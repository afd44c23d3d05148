//! What a report says of which machines there are, against what is stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use wire_model::{CONTAINER_TABLE, HostReport};

use crate::machine::{self, is_running};
use crate::store::events::NewEvent;
use crate::store::hosts::HostRow;
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, Result};
use crate::thresholds::{Kind, MachineReadings};

/// All machines of one host at one version.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    version: i64,
    machines: HashMap<(Kind, String), MachineRow>,
}

/// Inventories as they were last committed; confirmed by `hosts.inventory_version`.
#[derive(Debug, Default)]
pub(super) struct InventoryCache(Mutex<HashMap<i64, Arc<Inventory>>>);

impl InventoryCache {
    /// The inventory of a locked host.
    pub(super) async fn load(&self, connection: &mut Connection, host: &HostRow) -> Result<Arc<Inventory>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host.host_key).cloned();
        if let Some(inventory) = cached.filter(|inventory| inventory.version == host.inventory_version) {
            return Ok(inventory);
        }
        let rows = store::machines::of_host(connection, host.host_key).await?;
        let machines = rows.into_iter().map(|row| ((row.kind, row.identity.clone()), row)).collect();
        Ok(Arc::new(Inventory { version: host.inventory_version, machines }))
    }

    /// Keeps an inventory; only after COMMIT.
    pub(super) fn keep(&self, host_key: i64, inventory: Arc<Inventory>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host_key, inventory);
    }
}

impl Inventory {
    /// Id of a machine that is registered.
    pub(super) fn id(&self, kind: Kind, identity: &str) -> Option<i64> {
        self.get(kind, identity).map(|machine| machine.machine_id)
    }

    pub(super) fn get(&self, kind: Kind, identity: &str) -> Option<&MachineRow> {
        self.machines.get(&(kind, identity.to_owned()))
    }

    /// The machine of an id.
    pub(super) fn by_id(&self, machine_id: i64) -> Option<&MachineRow> {
        self.machines.values().find(|machine| machine.machine_id == machine_id)
    }
}

/// Writes what changed in the host's machines, raises its `inventory_version` if anything did, and tells what went up or down.
pub(super) async fn sync(
    connection: &mut Connection,
    host: &mut HostRow,
    inventory: &mut Arc<Inventory>,
    report: &HostReport,
    machines: &[MachineReadings<'_>],
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let described: Vec<MachineRow> = machines.iter().map(|machine| describe(host, report, machine)).collect();
    let mut new = Vec::new();
    let mut changed = Vec::new();
    for row in described {
        match inventory.get(row.kind, &row.identity) {
            None => new.push(row),
            Some(known) => {
                let row = MachineRow { machine_id: known.machine_id, first_seen_at: known.first_seen_at, ..row };
                if row != *known {
                    changed.push(row);
                }
            }
        }
    }
    if report.tables.contains_key(CONTAINER_TABLE) {
        let here = |row: &MachineRow| machines.iter().any(|machine| machine.kind == row.kind && machine.identity == row.identity);
        let gone = inventory.machines.values().filter(|row| row.gone_at.is_none() && !here(row));
        changed.extend(gone.map(|row| MachineRow { gone_at: Some(report.at), ..row.clone() }));
    }
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    host.inventory_version += 1;
    let mut next = Inventory { version: host.inventory_version, machines: inventory.machines.clone() };
    if !new.is_empty() {
        store::machines::insert(connection, &new).await?;
        // with the ids that the database gave them
        let rows = store::machines::of_host(connection, host.host_key).await?;
        next.machines = rows.into_iter().map(|row| ((row.kind, row.identity.clone()), row)).collect();
        let started = new.iter().filter_map(|row| next.get(row.kind, &row.identity)).filter(|row| is_running(row));
        events.extend(started.map(|row| changed_event("machine.up", row, report)));
    }
    for row in changed {
        store::machines::update(connection, &row).await?;
        let before = inventory.get(row.kind, &row.identity).is_some_and(is_running);
        match (before, is_running(&row)) {
            (false, true) => events.push(changed_event("machine.up", &row, report)),
            (true, false) => events.push(changed_event("machine.down", &row, report)),
            _ => {}
        }
        next.machines.insert((row.kind, row.identity.clone()), row);
    }
    *inventory = Arc::new(next);
    Ok(())
}

fn changed_event(name: &'static str, machine: &MachineRow, report: &HostReport) -> NewEvent {
    let state = if machine.gone_at.is_some() { "gone" } else { &machine.state };
    machine::event(name, machine, &report.host.id, &report.host.name, state, report.at)
}

fn describe(host: &HostRow, report: &HostReport, machine: &MachineReadings) -> MachineRow {
    let text = |name: &str| machine.attribute(name).and_then(|cell| cell.text());
    let (name, state, labels, facts) = match machine.kind {
        Kind::Host => {
            let info = &report.host;
            let facts = json!({"os": info.os, "kernel": info.kernel, "cpus": info.cpus, "collector": info.collector});
            (info.name.as_str(), "running", to_text(&info.labels), facts.to_string())
        }
        Kind::Container => {
            let labels = machine.attribute("labels").and_then(|cell| cell.labels());
            (
                text("name").unwrap_or_default(),
                text("state").unwrap_or("running"),
                labels.map_or_else(|| "{}".to_owned(), to_text),
                serde_json::to_string(&machine.attributes()).expect("attributes have text keys and write to memory"),
            )
        }
    };
    MachineRow {
        machine_id: 0,
        host_key: host.host_key,
        kind: machine.kind,
        identity: machine.identity.clone(),
        name: name.chars().take(wire_model::limits::NAME_CHARS).collect(),
        state: state.chars().take(wire_model::limits::NAME_CHARS).collect(),
        labels,
        facts,
        first_seen_at: report.at,
        gone_at: None,
    }
}

fn to_text(labels: &BTreeMap<String, String>) -> String {
    serde_json::to_string(labels).expect("labels have text keys and write to memory")
}
