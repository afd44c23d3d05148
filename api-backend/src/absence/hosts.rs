//! Silent hosts: `machine.down`, and violations of `host.missing`.
//!
//! By the backend's clock: a host falls silent three intervals (at least 10 s) after its last report came, or after the pipeline was on time again,
//! and is back when any report of it comes.

use service_runtime::Shutdown;
use tracing::info;
use wire_model::catalog::HOST_MISSING;

use super::Watch;
use super::course::Seen;
use super::series::{Due, due, rules_for};
use crate::machine::{self, silence_ms};
use crate::silence::Silences;
use crate::store::absences::{self, MissedHost, OpenStay};
use crate::store::events::{self, NewEvent};
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, Store};
use crate::thresholds::{Kind, RuleSet, Threshold};
use crate::violation::Subject;

/// What hosts are judged by. Unix ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) now: i64,
    /// All that was sent before is stored; `None` while the pipeline is late.
    pub(super) as_of: Option<i64>,
    /// Silence counts from then on.
    pub(super) on_time_since: i64,
}

/// Calls silent hosts down, and brings violations in step with the rules.
pub(super) async fn settle(watch: &Watch, rules: &RuleSet, time: Time, shutdown: &Shutdown) -> store::Result<()> {
    let store = &watch.store;
    if let Some(as_of) = time.as_of {
        let silent = store::hosts::silent(&mut *store.read().await?, as_of, time.on_time_since).await?;
        for host_id in silent {
            // a whole room may have gone silent at once
            if shutdown.is_requested() {
                return Ok(());
            }
            if let Some(name) = store.with_patience(|| call_down(store, &host_id, as_of, time)).await? {
                watch.live.wake();
                info!(host_id, host_name = name, "host is silent");
            }
        }
    }
    let (missed, open) = {
        let mut connection = store.read().await?;
        let missed = absences::missed(&mut connection, HOST_MISSING, None).await?;
        (missed, absences::open_stays(&mut connection, HOST_MISSING, None).await?)
    };
    for host in missed {
        if shutdown.is_requested() {
            return Ok(());
        }
        if !due_of(&host, rules, &open, time)?.is_empty() {
            store.with_patience(|| write(watch, rules, &host.host_id, time)).await?;
            watch.live.wake();
        }
    }
    Ok(())
}

/// Marks a host as down, unless somebody else did or it is back. Its name if it was this one.
async fn call_down(store: &Store, host_id: &str, as_of: i64, time: Time) -> store::Result<Option<String>> {
    let mut transaction = store.begin().await?;
    if !store::hosts::mark_down(&mut transaction, host_id, as_of, time.on_time_since).await? {
        return Ok(None);
    }
    let hosts = store::hosts::lock(&mut transaction, store.dialect(), &[host_id]).await?;
    let Some(host) = hosts.first().map(|host| &host.row) else { return Ok(None) };
    let machines = store::machines::present(&mut transaction, &[host.host_key]).await?;
    let Some(row) = machines.iter().find(|row| row.kind == Kind::Host) else { return Ok(None) };
    let event = machine::event("machine.down", row, &host.host_id, &row.name, "down", host.last_report_at);
    events::append(&mut transaction, &[event], time.now).await?;
    transaction.commit().await?;
    Ok(Some(row.name.clone()))
}

/// Under the host's lock, by what is the case then.
async fn write(watch: &Watch, rules: &RuleSet, host_id: &str, time: Time) -> store::Result<()> {
    let store = &watch.store;
    let mut transaction = store.begin().await?;
    store::hosts::lock(&mut transaction, store.dialect(), &[host_id]).await?;
    let missed = absences::missed(&mut transaction, HOST_MISSING, Some(host_id)).await?;
    let Some(host) = missed.first() else { return Ok(()) };
    let open = absences::open_stays(&mut transaction, HOST_MISSING, Some(host.machine.machine_id)).await?;
    let mut events = Vec::new();
    for due in due_of(host, rules, &open, time)? {
        due.write(&mut transaction, &watch.silences, subject(&host.host_id, &host.machine), None, &mut events).await?;
    }
    events::append(&mut transaction, &events, time.now).await?;
    Ok(transaction.commit().await?)
}

fn due_of<'a>(host: &MissedHost, rules: &'a RuleSet, open: &[OpenStay], time: Time) -> store::Result<Vec<Due<'a>>> {
    let in_force = rules_for(rules, HOST_MISSING, &host.machine)?;
    let machine_id = host.machine.machine_id;
    let silent_since = host.last_received_at.max(time.on_time_since) + silence_ms(host.interval_ms);
    let seen =
        Seen { now: time.now, value: f64::from(u8::from(host.is_down)), beyond_since: host.is_down.then_some(silent_since) };
    let mut due = due(&in_force, machine_id, open, |_| seen, time.now);
    // while the pipeline is late nobody knows whether it still is silent
    due.retain(|due| time.as_of.is_some() || !due.opens());
    Ok(due)
}

pub(super) fn subject<'a>(host_id: &'a str, machine: &'a MachineRow) -> Subject<'a> {
    let name = machine.name.as_str();
    Subject { kind: Kind::Host, machine_id: machine.machine_id, machine_name: name, host_id, host_name: name }
}

/// A report of a host came that was down, which ends its violations as far as their rules do not wait. Its row is locked.
pub(crate) async fn is_back(
    connection: &mut Connection,
    (host_id, machine): (&str, &MachineRow),
    (rules, silences): (&RuleSet, &Silences),
    now: i64,
    events: &mut Vec<NewEvent>,
) -> store::Result<()> {
    let open = absences::open_stays(connection, HOST_MISSING, Some(machine.machine_id)).await?;
    // what a narrower scope has switched off meanwhile ends all the same
    let known = rules.of_metric(Kind::Host, HOST_MISSING).iter().filter(|rule| open.iter().any(|(_, id, _)| *id == rule.id));
    let known: Vec<&Threshold> = known.map(AsRef::as_ref).collect();
    let seen = Seen { now, value: 0.0, beyond_since: None };
    for due in due(&known, machine.machine_id, &open, |_| seen, now) {
        due.write(connection, silences, subject(host_id, machine), None, events).await?;
    }
    Ok(())
}
