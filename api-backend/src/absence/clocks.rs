//! Hosts whose clocks are off: violations of `system.clock.skew`.

use std::collections::HashMap;

use service_runtime::Shutdown;
use wire_model::HostReport;
use wire_model::catalog::CLOCK_SKEW;

use super::Watch;
use super::course::Seen;
use super::hosts::subject;
use super::lateness::Verdict;
use super::series::{Due, due, rules_for};
use super::skew::{STEADY_MS, Sightings};
use crate::history::newest_reports;
use crate::store::absences::{self, OpenStay};
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, events};
use crate::thresholds::{Kind, RuleSet, Threshold};

/// Hosts whose newest reports are read at once, to see what made them late.
const REPORTS_MAX: usize = 200;

/// What is known of hosts' clocks; nothing after a restart.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    sightings: Sightings,
    /// Since when a machine is beyond a rule, while it has to be for longer.
    beyond: HashMap<(i64, i64), i64>,
}

/// Looks at all clocks, every ten seconds.
pub(super) async fn settle(watch: &Watch, rules: &RuleSet, verdict: Verdict, now: i64, shutdown: &Shutdown) -> store::Result<()> {
    let mut clocks = watch.clocks.lock().await;
    let Verdict::OnTime { lag_ms, .. } = verdict else {
        *clocks = Clocks::default();
        return Ok(());
    };
    if !clocks.sightings.is_due(now) {
        return Ok(());
    }
    let connection = &mut *watch.store.read().await?;
    clocks.sightings.see(now, &absences::newest(connection).await?);
    let open = absences::open_stays(connection, CLOCK_SKEW, None).await?;
    let candidates = rules.of_metric(Kind::Host, CLOCK_SKEW);
    let mut offsets = clocks.sightings.offsets(lag_ms);
    let is_beyond = |offset: i64| candidates.iter().any(|rule| rule.is_beyond(seconds(offset)));
    let behind: Vec<i64> =
        offsets.iter().filter(|(_, offset)| **offset < 0 && is_beyond(**offset)).map(|(key, _)| *key).take(REPORTS_MAX).collect();
    let reports = newest_reports(connection, &behind).await?;
    // of more nobody can say what made them late
    offsets.retain(|key, offset| *offset >= 0 || !is_beyond(*offset) || reports.contains_key(key));
    for (key, report) in &reports {
        match offsets.get_mut(key).zip(own_delay_ms(report)) {
            Some((offset, delay_ms)) => *offset = (*offset + delay_ms).min(0),
            None => drop(offsets.remove(key)),
        }
    }
    let open_machines: Vec<i64> = open.iter().map(|(machine_id, _, _)| *machine_id).collect();
    let mut machines = store::machines::of_ids(connection, &open_machines).await?;
    let names: Vec<_> = offsets.iter().filter(|(_, offset)| is_beyond(**offset)).map(|(key, _)| (*key, Kind::Host, "")).collect();
    machines.extend(store::machines::named(connection, &names).await?);
    machines.sort_unstable_by_key(|machine| machine.machine_id);
    machines.dedup_by_key(|machine| machine.machine_id);
    let host_keys: Vec<i64> = machines.iter().map(|machine| machine.host_key).collect();
    let host_ids: HashMap<i64, String> = store::hosts::ids(connection, &host_keys).await?.into_iter().collect();
    clocks.beyond.retain(|(machine_id, _), _| machines.iter().any(|machine| machine.machine_id == *machine_id));
    for machine in &machines {
        let (Some(host_id), false) = (host_ids.get(&machine.host_key), shutdown.is_requested()) else { continue };
        let value = offsets.get(&machine.host_key).map(|offset| seconds(*offset));
        let in_force = rules_for(rules, CLOCK_SKEW, machine)?;
        note_beyond(&mut clocks.beyond, machine.machine_id, &in_force, value, now);
        let host = Host { host_id, machine, in_force, value, now };
        if !host.due(&clocks.beyond, &open).is_empty() {
            watch.store.with_patience(|| host.write(watch, &clocks.beyond)).await?;
            watch.live.wake();
        }
    }
    Ok(())
}

/// In whole seconds, ahead or behind: a report takes some tenths.
fn seconds(offset_ms: i64) -> f64 {
    (offset_ms.abs() / 1_000) as f64
}

/// For how long a report was on its way before it left its host, but for what cannot be known; `None` when others wait there, too.
#[expect(clippy::cast_possible_truncation, reason = "the cast takes the nearest there is")]
fn own_delay_ms(report: &HostReport) -> Option<i64> {
    let ms = |name: &str| report.metrics.get(name).copied().flatten().map_or(0, |seconds| (seconds * 1_000.0) as i64);
    (ms("collector.spool.age") <= STEADY_MS).then(|| ms("collector.tick.lateness") + ms("collector.tick.duration"))
}

fn note_beyond(beyond: &mut HashMap<(i64, i64), i64>, machine_id: i64, rules: &[&Threshold], value: Option<f64>, now: i64) {
    for rule in rules {
        if value.is_some_and(|value| rule.is_beyond(value)) {
            beyond.entry((machine_id, rule.id)).or_insert(now);
        } else {
            beyond.remove(&(machine_id, rule.id));
        }
    }
}

/// A host as it was found.
struct Host<'a> {
    host_id: &'a str,
    machine: &'a MachineRow,
    in_force: Vec<&'a Threshold>,
    /// `None` while it cannot be told.
    value: Option<f64>,
    now: i64,
}

impl Host<'_> {
    fn due(&self, beyond: &HashMap<(i64, i64), i64>, open: &[OpenStay]) -> Vec<Due<'_>> {
        let machine_id = self.machine.machine_id;
        let Some(value) = self.value else {
            // but for rules that are not in force any more nothing is known
            let is_over = |(_, id, _): &&OpenStay| self.in_force.iter().all(|rule| rule.id != *id);
            let open: Vec<OpenStay> = open.iter().filter(is_over).copied().collect();
            return due(&[], machine_id, &open, |_| Seen { now: self.now, value: 0.0, beyond_since: None }, self.now);
        };
        let seen = |rule: &Threshold| Seen { now: self.now, value, beyond_since: beyond.get(&(machine_id, rule.id)).copied() };
        due(&self.in_force, machine_id, open, seen, self.now)
    }

    /// Under the host's lock, by what is open then.
    async fn write(&self, watch: &Watch, beyond: &HashMap<(i64, i64), i64>) -> store::Result<()> {
        let mut transaction = watch.store.begin().await?;
        let connection: &mut Connection = &mut transaction;
        store::hosts::lock(connection, watch.store.dialect(), &[self.host_id]).await?;
        let open = absences::open_stays(connection, CLOCK_SKEW, Some(self.machine.machine_id)).await?;
        let mut told = Vec::new();
        for due in self.due(beyond, &open) {
            due.write(connection, &watch.silences, subject(self.host_id, self.machine), None, &mut told).await?;
        }
        events::append(connection, &told, self.now).await?;
        Ok(transaction.commit().await?)
    }
}
