//! What a report says of which machines there are, against what is stored.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use wire_model::{CONTAINER_TABLE, HostReport};

use crate::machine::{self, is_running};
use crate::store::events::NewEvent;
use crate::store::hosts::HostRow;
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, Result};
use crate::thresholds::{Kind, MISSING_MS, MachineReadings, MissingContainer, RUNNING_STATES};

/// The machines that one host has; those that are gone are looked up when they come back.
#[derive(Debug)]
pub(super) struct Inventory(HashMap<(Kind, String), MachineRow>);

impl Inventory {
    /// That of a locked host.
    pub(super) async fn load(connection: &mut Connection, host: &HostRow) -> Result<Inventory> {
        Ok(Inventory::of(store::machines::present(connection, &[host.host_key]).await?))
    }

    fn of(rows: Vec<MachineRow>) -> Inventory {
        Inventory(rows.into_iter().map(|row| ((row.kind, row.identity.clone()), row)).collect())
    }

    /// Id of a machine that is registered.
    pub(super) fn id(&self, kind: Kind, identity: &str) -> Option<i64> {
        self.get(kind, identity).map(|machine| machine.machine_id)
    }

    pub(super) fn get(&self, kind: Kind, identity: &str) -> Option<&MachineRow> {
        self.0.get(&(kind, identity.to_owned()))
    }

    /// The machine of an id.
    pub(super) fn by_id(&self, machine_id: i64) -> Option<&MachineRow> {
        self.0.values().find(|machine| machine.machine_id == machine_id)
    }
}

/// Writes what changed in the host's machines, raises its `inventory_version` if anything did, and tells what went up or down. `report` is
/// of time `at`.
pub(super) async fn sync(
    connection: &mut Connection,
    host: &mut HostRow,
    inventory: &mut Inventory,
    (report, at): (&HostReport, i64),
    machines: &[MachineReadings<'_>],
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let changed_event =
        |name, machine: &MachineRow, state: &str| machine::event(name, machine, &report.host.id, &report.host.name, state, at);
    let described: Vec<MachineRow> = machines.iter().map(|machine| describe(host.host_key, (report, at), machine)).collect();
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
        let gone = inventory.0.values().filter(|row| !here(row));
        changed.extend(gone.map(|row| (row.clone(), MachineRow { gone_at: Some(at), ..row.clone() })));
    }
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    host.inventory_version += 1;
    for (before, row) in changed {
        store::machines::update(connection, &row).await?;
        match (is_running(&before), is_running(&row)) {
            (false, true) => events.push(changed_event("machine.up", &row, &row.state)),
            (true, true) if is_replaced(&before, &row) => events.push(changed_event("machine.up", &row, "replaced")),
            (true, true) if is_restarted(&before, &row) => events.push(changed_event("machine.up", &row, "restarted")),
            (true, false) => {
                events.push(changed_event("machine.down", &row, if row.gone_at.is_some() { "gone" } else { &row.state }));
            }
            _ => {}
        }
        let key = (row.kind, row.identity.clone());
        match row.gone_at {
            Some(_) => inventory.0.remove(&key),
            None => inventory.0.insert(key, row),
        };
    }
    if !new.is_empty() {
        store::machines::insert(connection, &new).await?;
        // with the ids that the database gave them
        *inventory = Inventory::load(connection, host).await?;
        let started = new.iter().filter_map(|row| inventory.get(row.kind, &row.identity)).filter(|row| is_running(row));
        events.extend(started.map(|row| changed_event("machine.up", row, &row.state)));
    }
    Ok(())
}

/// Containers that ran when they were last seen and are gone, for not longer than they count as missing at the time of the report.
pub(super) async fn missing(
    connection: &mut Connection,
    host: &HostRow,
    (report, at): (&HostReport, i64),
) -> Result<Vec<MissingContainer>> {
    let gone = store::machines::gone_since(connection, host.host_key, at - MISSING_MS).await?;
    let ran = gone.iter().filter(|row| row.kind == Kind::Container && RUNNING_STATES.contains(&row.state.as_str()));
    let missing = |row: &MachineRow| {
        let machine = machine::as_stored(row, &report.host.name, &report.host.labels);
        Some(MissingContainer { machine, gone_at: row.gone_at? })
    };
    Ok(ran.filter_map(missing).collect())
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
    fact(before, "id") != fact(now, "id")
}

/// Whether it started anew between two reports, of which both say that it runs. What is read for the first time is no start.
fn is_restarted(before: &MachineRow, now: &MachineRow) -> bool {
    let started_at = |row: &MachineRow| fact(row, "started_at")?.as_f64();
    started_at(before).zip(started_at(now)).is_some_and(|(before, now)| now > before)
}

fn fact(row: &MachineRow, name: &str) -> Option<Value> {
    serde_json::from_str::<Value>(&row.facts).ok()?.get(name).cloned()
}

/// A machine as a report of this time describes it, not registered yet.
pub(crate) fn describe(host_key: i64, (report, at): (&HostReport, i64), machine: &MachineReadings) -> MachineRow {
    let text = |name: &str| machine.attribute(name).and_then(|cell| cell.text());
    let (name, state, labels, facts) = match machine.kind {
        Kind::Host | Kind::Pipeline => {
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
        first_seen_at: at,
        gone_at: None,
    }
}

fn to_text(labels: &BTreeMap<String, String>) -> String {
    serde_json::to_string(labels).expect("labels have text keys and write to memory")
}
