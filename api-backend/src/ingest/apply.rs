//! The transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Ingest;
use super::batch::DecodedReport;
use super::inventory::{self, Inventory};
use crate::machine;
use crate::store::events::NewEvent;
use crate::store::hosts::{HostRow, LockedHost};
use crate::store::machines::MachineRow;
use crate::store::reports::NewReport;
use crate::store::{self, Connection, Result, StoreError};
use crate::thresholds::evaluator::{HostState, SeriesKey, Transition, evaluate};
use crate::thresholds::{Kind, RuleSet, machine_readings};
use crate::violation::Violation;

/// What a transaction did.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) stored: usize,
    pub(super) duplicate: usize,
    /// Machines in the stored reports.
    pub(super) samples: usize,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.samples += other.samples;
    }
}

impl Ingest {
    /// Locks the hosts of the batch in id order, stores what is new, evaluates it host by host in event-time order, appends
    /// events, commits.
    pub(super) async fn apply(&self, reports: &[DecodedReport], now: i64) -> Result<Counts> {
        let mut by_host: BTreeMap<&str, Vec<&DecodedReport>> = BTreeMap::new();
        for report in reports {
            by_host.entry(&report.report.host.id).or_default().push(report);
        }
        if by_host.is_empty() {
            return Ok(Counts::default());
        }
        let mut transaction = self.store.begin().await?;
        let connection: &mut Connection = &mut transaction;
        let host_ids: Vec<&str> = by_host.keys().copied().collect();
        let mut hosts = store::hosts::lock_or_create(connection, self.store.dialect(), &host_ids).await?;
        let rules = self.rules.current(connection).await?;
        let mut counts = Counts::default();
        let mut new_reports = Vec::new();
        let mut events = Vec::new();
        let mut inventories = Vec::new();
        for host in &mut hosts {
            let Some(reports) = by_host.remove(host.row.host_id.as_str()) else { continue };
            let received = reports.len();
            let reports = without_duplicates(connection, &host.row, reports).await?;
            counts.stored += reports.len();
            counts.duplicate += received - reports.len();
            new_reports.extend(reports.iter().map(|report| NewReport {
                host_key: host.row.host_key,
                at: report.report.at,
                epoch: report.report.epoch.cast_signed(),
                seq: report.report.seq.cast_signed(),
                received_at: now,
                payload: &report.payload,
            }));
            let mut inventory = self.inventories.load(connection, &host.row).await?;
            counts.samples += advance(connection, host, &mut inventory, &rules, &reports, now, &mut events).await?;
            inventories.push((host.row.host_key, inventory));
        }
        store::reports::insert(connection, &new_reports).await?;
        if counts.stored > 0 {
            store::hosts::save(connection, self.store.dialect(), &hosts).await?;
        }
        store::events::append(connection, &events, now).await?;
        transaction.commit().await?;
        for (host_key, inventory) in inventories {
            self.inventories.keep(host_key, inventory);
        }
        Ok(counts)
    }
}

/// What is not stored yet, oldest first. Whatever is newer than the host's newest report needs no look-up.
async fn without_duplicates<'a>(
    connection: &mut Connection,
    host: &HostRow,
    mut reports: Vec<&'a DecodedReport>,
) -> Result<Vec<&'a DecodedReport>> {
    // stable: of two reports with one time the first that came wins
    reports.sort_by_key(|report| report.report.at);
    reports.dedup_by_key(|report| report.report.at);
    let late: Vec<i64> = reports.iter().map(|report| report.report.at).filter(|at| *at <= host.last_report_at).collect();
    let existing =
        if late.is_empty() { HashSet::new() } else { store::reports::existing(connection, host.host_key, &late).await? };
    reports.retain(|report| !existing.contains(&report.report.at));
    Ok(reports)
}

/// Moves a host on by its new reports; those older than its newest one are history and decide nothing, but they show that it is
/// alive. Returns the number of samples.
async fn advance(
    connection: &mut Connection,
    host: &mut LockedHost,
    inventory: &mut Arc<Inventory>,
    rules: &RuleSet,
    reports: &[&DecodedReport],
    now: i64,
    events: &mut Vec<NewEvent>,
) -> Result<usize> {
    let mut samples = 0;
    let mut state = HostState::from_text(&host.evaluation).map_err(StoreError::Corrupt)?;
    let mut transitions = Vec::new();
    // as they are when a violation opens: a later report of the batch may no longer have the machine
    let mut opened = HashMap::new();
    let row = &mut host.row;
    for report in reports.iter().map(|report| &report.report) {
        let machines = machine_readings(report);
        samples += machines.len();
        row.last_received_at = now;
        if report.at <= row.last_report_at {
            continue;
        }
        inventory::sync(connection, row, inventory, report, &machines, events).await?;
        let machines: Vec<_> =
            machines.into_iter().filter_map(|machine| Some((inventory.id(machine.kind, &machine.identity)?, machine))).collect();
        let before = transitions.len();
        evaluate(&mut state, rules, report, &machines, &mut transitions);
        for transition in &transitions[before..] {
            if let Transition::Opened { key, .. } = transition
                && let Some(machine) = inventory.by_id(key.machine_id)
            {
                opened.insert((key.machine_id, report.at), machine.clone());
            }
        }
        row.interval_ms = i64::from(report.interval_ms);
        row.last_report_at = report.at;
        row.last_epoch = report.epoch.cast_signed();
        row.last_seq = report.seq.cast_signed();
    }
    if row.is_down && !reports.is_empty() {
        row.is_down = false;
        let machine = inventory.get(Kind::Host, "");
        events.extend(
            machine.map(|found| machine::event("machine.up", found, &row.host_id, &found.name, &found.state, row.last_report_at)),
        );
    }
    host.evaluation = state.to_text();
    let host_name = inventory.get(Kind::Host, "").map(|machine| machine.name.clone()).unwrap_or_default();
    write_violations(connection, &host.row, &host_name, &opened, transitions, now, events).await?;
    Ok(samples)
}

/// Writes transitions in their order. A violation that is over within the batch is not announced as new. `opened` has the machine of
/// each that opens, by its id and the time.
async fn write_violations(
    connection: &mut Connection,
    host: &HostRow,
    host_name: &str,
    opened: &HashMap<(i64, i64), MachineRow>,
    transitions: Vec<Transition>,
    now: i64,
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let closed: HashSet<(SeriesKey, i64)> = transitions
        .iter()
        .filter_map(|transition| match transition {
            Transition::Closed { key, opened_at, .. } => Some((key.clone(), *opened_at)),
            _ => None,
        })
        .collect();
    for transition in only_last_peaks(transitions) {
        match transition {
            Transition::Opened { key, threshold, at, value, peak } => {
                let machine = opened
                    .get(&(key.machine_id, at))
                    .ok_or_else(|| StoreError::Corrupt(format!("no machine {}", key.machine_id)))?;
                let is_over = closed.contains(&(key.clone(), at));
                let mut violation = Violation {
                    id: 0,
                    machine_id: key.machine_id,
                    machine_name: machine.name.clone(),
                    host_id: host.host_id.clone(),
                    host_name: host_name.to_owned(),
                    kind: machine.kind,
                    metric: threshold.metric,
                    device: Some(key.device).filter(|device| !device.is_empty()),
                    direction: threshold.direction,
                    severity: threshold.severity,
                    threshold_id: threshold.id,
                    threshold_value: threshold.value,
                    opened_at: at,
                    opened_value: value,
                    peak_value: peak,
                    closed_at: None,
                    closed_value: None,
                    close_reason: None,
                    detected_at: now,
                };
                violation.id = store::violations::insert(connection, &violation).await?;
                if !is_over {
                    events.push(violation_event("violation.opened", &violation));
                }
            }
            Transition::Worsened { key, opened_at, peak } => {
                store::violations::set_peak(connection, &key, opened_at, peak).await?;
            }
            Transition::Closed { key, opened_at, at, value, reason } => {
                if let Some(violation) = store::violations::close(connection, &key, opened_at, at, value, reason).await? {
                    events.push(violation_event("violation.closed", &violation));
                }
            }
        }
    }
    Ok(())
}

fn violation_event(name: &'static str, violation: &Violation) -> NewEvent {
    NewEvent { topic: "violations", name, machine_id: violation.machine_id, body: violation.to_json() }
}

/// Of several new worst values of one violation only the last is worth a statement.
fn only_last_peaks(transitions: Vec<Transition>) -> Vec<Transition> {
    let mut seen = HashSet::new();
    let mut kept: Vec<_> = transitions
        .into_iter()
        .rev()
        .filter(|transition| match transition {
            Transition::Worsened { key, opened_at, .. } => seen.insert((key.clone(), *opened_at)),
            _ => true,
        })
        .collect();
    kept.reverse();
    kept
}
