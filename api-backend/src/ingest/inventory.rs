//! What a report says of which machines there are, against what is stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use wire_model::{CONTAINER_TABLE, HostReport};

use crate::machine::{self, is_running};
use crate::store::events::NewEvent;
use crate::store::hosts::HostRow;
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, Result};
use crate::thresholds::{Kind, MachineReadings};

/// The machines that one host has, at one version; those that are gone are looked up when they come back.
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
        let rows = store::machines::present(connection, host.host_key).await?;
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
    let described: Vec<MachineRow> = machines.iter().map(|machine| describe(host.host_key, report, machine)).collect();
    let returned = returned(connection, host, inventory, &described).await?;
    let known = |row: &MachineRow| {
        inventory
            .get(row.kind, &row.identity)
            .or_else(|| returned.iter().find(|other| (other.kind, &other.identity) == (row.kind, &row.identity)))
    };
    let mut new = Vec::new();
    let mut changed = Vec::new();
    for row in described {
        match known(&row) {
            None => new.push(row),
            Some(before) => {
                let row = MachineRow { machine_id: before.machine_id, first_seen_at: before.first_seen_at, ..row };
                if row != *before {
                    changed.push((before.clone(), row));
                }
            }
        }
    }
    if report.tables.contains_key(CONTAINER_TABLE) {
        let here = |row: &MachineRow| machines.iter().any(|machine| machine.kind == row.kind && machine.identity == row.identity);
        let gone = inventory.machines.values().filter(|row| !here(row));
        changed.extend(gone.map(|row| (row.clone(), MachineRow { gone_at: Some(report.at), ..row.clone() })));
    }
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    host.inventory_version += 1;
    let mut next = Inventory { version: host.inventory_version, machines: inventory.machines.clone() };
    for (before, row) in changed {
        store::machines::update(connection, &row).await?;
        match (is_running(&before), is_running(&row)) {
            (false, true) => events.push(changed_event("machine.up", &row, report, &row.state)),
            (true, true) if is_replaced(&before, &row) => events.push(changed_event("machine.up", &row, report, "replaced")),
            (true, false) => {
                events.push(changed_event("machine.down", &row, report, if row.gone_at.is_some() { "gone" } else { &row.state }));
            }
            _ => {}
        }
        let key = (row.kind, row.identity.clone());
        match row.gone_at {
            Some(_) => next.machines.remove(&key),
            None => next.machines.insert(key, row),
        };
    }
    if !new.is_empty() {
        store::machines::insert(connection, &new).await?;
        // with the ids that the database gave them
        let rows = store::machines::present(connection, host.host_key).await?;
        next.machines = rows.into_iter().map(|row| ((row.kind, row.identity.clone()), row)).collect();
        let started = new.iter().filter_map(|row| next.get(row.kind, &row.identity)).filter(|row| is_running(row));
        events.extend(started.map(|row| changed_event("machine.up", row, report, &row.state)));
    }
    *inventory = Arc::new(next);
    Ok(())
}

/// Containers that are not in the inventory but in the store: they were gone and come back.
async fn returned(
    connection: &mut Connection,
    host: &HostRow,
    inventory: &Inventory,
    described: &[MachineRow],
) -> Result<Vec<MachineRow>> {
    let is_unknown = |row: &&MachineRow| inventory.get(row.kind, &row.identity).is_none();
    let unknown = described.iter().filter(|row| row.kind == Kind::Container).filter(is_unknown);
    let identities: Vec<&str> = unknown.map(|row| row.identity.as_str()).collect();
    store::machines::find(connection, host.host_key, Kind::Container, &identities).await
}

/// Whether the engine made it anew under its old name.
fn is_replaced(before: &MachineRow, now: &MachineRow) -> bool {
    let id = |row: &MachineRow| serde_json::from_str::<Value>(&row.facts).ok().and_then(|facts| facts.get("id").cloned());
    id(before) != id(now)
}

fn changed_event(name: &'static str, machine: &MachineRow, report: &HostReport, state: &str) -> NewEvent {
    machine::event(name, machine, &report.host.id, &report.host.name, state, report.at)
}

/// A machine as a report describes it, not registered yet.
pub(crate) fn describe(host_key: i64, report: &HostReport, machine: &MachineReadings) -> MachineRow {
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
        host_key,
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
