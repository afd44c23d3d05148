//! The newest values of machines, for pages that show them move. Coalesced: who comes late sees the newest, not all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use service_runtime::Shutdown;
use tokio::time::MissedTickBehavior;
use tracing::warn;
use wire_model::Cell;

use super::brief::Briefs;
use super::{Live, READ_TIMEOUT};
use crate::history::newest_reports;
use crate::store::{self, Store};
use crate::thresholds::{Kind, MachineReadings, machine_readings};
use crate::time;
use crate::violation::as_text;

const ROUND: Duration = Duration::from_secs(1);
/// Hosts read at once: their reports are held in memory for the round.
const HOSTS_AT_ONCE: usize = 50;
/// Machines in one message to the followers.
const MACHINES_AT_ONCE: usize = 500;

/// One machine's newest values: the body of the SSE event `report`.
#[derive(Clone, Debug, Serialize)]
pub struct MachineValues {
    /// The machine.
    #[serde(serialize_with = "as_text")]
    pub machine_id: i64,
    /// Its host's own id.
    pub host_id: String,
    /// Time of the report.
    #[serde(serialize_with = "time::serialize")]
    pub at: i64,
    /// Values of the machine itself by metric.
    pub latest: BTreeMap<String, f64>,
    /// A host's devices: by table, rows of column and cell.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, Vec<BTreeMap<String, Cell>>>,
}

/// One line of each of some machines, as followers are sent it.
#[derive(Clone, Debug)]
pub struct NewestBriefs {
    /// [`Briefs`] of those that are hosts, as JSON.
    pub hosts: Option<String>,
    /// [`Briefs`] of those that are containers, as JSON.
    pub containers: Option<String>,
}

/// Looks once a second which hosts reported, as long as somebody follows.
pub async fn follow_values(store: Store, live: Live, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut seen = HashMap::new();
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = rounds.tick() => {}
        }
        if live.values.receiver_count() + live.briefs.receiver_count() == 0 {
            seen.clear();
            continue;
        }
        if let Err(error) = store::in_time(READ_TIMEOUT, round(&store, &live, &mut seen)).await {
            warn!(%error, "cannot read the newest values, trying again");
        }
    }
}

async fn round(store: &Store, live: &Live, seen: &mut HashMap<i64, i64>) -> store::Result<()> {
    let mut connection = store.read().await?;
    let mut hosts = store::hosts::all(&mut connection).await?;
    hosts.retain(|host| seen.insert(host.host_key, host.last_report_at) != Some(host.last_report_at));
    for hosts in hosts.chunks(HOSTS_AT_ONCE) {
        let keys: Vec<i64> = hosts.iter().map(|host| host.host_key).collect();
        let reports = newest_reports(&mut connection, &keys).await?;
        let machines = store::machines::present(&mut connection, &keys).await?;
        let ids: HashMap<(i64, Kind, &str), i64> = machines
            .iter()
            .map(|machine| ((machine.host_key, machine.kind, machine.identity.as_str()), machine.machine_id))
            .collect();
        let mut said = Vec::new();
        for host in hosts {
            let Some(report) = reports.get(&host.host_key) else { continue };
            for readings in machine_readings(report) {
                let Some(machine_id) = ids.get(&(host.host_key, readings.kind, readings.identity.as_str())) else { continue };
                said.push((*machine_id, host.host_id.as_str(), report.at, readings));
            }
        }
        for said in said.chunks(MACHINES_AT_ONCE) {
            // what nobody listens to is not made; an error means that nobody listens any more
            if live.values.receiver_count() > 0 {
                drop(live.values.send(Arc::new(said.iter().map(values).collect())));
            }
            if live.briefs.receiver_count() > 0 {
                drop(live.briefs.send(Arc::new(briefs(said))));
            }
        }
    }
    Ok(())
}

/// A machine with its id, its host's own id and the time of its report.
type Said<'a> = (i64, &'a str, i64, MachineReadings<'a>);

fn briefs(said: &[Said<'_>]) -> NewestBriefs {
    let (mut hosts, mut containers) = (Briefs::new(Kind::Host), Briefs::new(Kind::Container));
    for (machine_id, _, at, readings) in said {
        let briefs = if readings.kind == Kind::Host { &mut hosts } else { &mut containers };
        briefs.push(*machine_id, *at, readings);
    }
    NewestBriefs { hosts: hosts.to_json(), containers: containers.to_json() }
}

fn values((machine_id, host_id, at, readings): &Said<'_>) -> MachineValues {
    let row = |row: BTreeMap<&str, &Cell>| row.into_iter().map(|(name, cell)| (name.to_owned(), cell.clone())).collect();
    let rows = |rows: Vec<_>| rows.into_iter().map(row).collect();
    MachineValues {
        machine_id: *machine_id,
        host_id: (*host_id).to_owned(),
        at: *at,
        latest: readings.values().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        devices: readings.devices().into_iter().map(|(table, devices)| (table.to_owned(), rows(devices))).collect(),
    }
}
