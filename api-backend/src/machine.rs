//! How a machine is doing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::store::events::NewEvent;
use crate::store::hosts::HostRow;
use crate::store::machines::MachineRow;
use crate::thresholds::{Kind, Machine, OwnLabels, RUNNING_STATES, labels};
use crate::time::rfc3339;

/// Intervals after which a silent host counts as down, and the shortest such time.
const DOWN_INTERVALS: i64 = 3;
const DOWN_MIN_MS: i64 = 10_000;
/// Intervals after which its report is late, and the shortest such time.
const LATE_INTERVALS: i64 = 2;
const LATE_MIN_MS: i64 = 5_000;

/// `status` of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Reports in time.
    Up,
    /// Its host's report is late.
    Late,
    /// Its host was called down.
    Down,
    /// A container that does not run.
    Stopped,
    /// A container that its host no longer has.
    Gone,
}

/// How long a host may be silent before it counts as down.
pub fn silence_ms(interval_ms: i64) -> i64 {
    (interval_ms * DOWN_INTERVALS).max(DOWN_MIN_MS)
}

/// How long a host may be silent before its report counts as late.
pub fn late_ms(interval_ms: i64) -> i64 {
    (interval_ms * LATE_INTERVALS).max(LATE_MIN_MS)
}

/// Status of a machine of a host. Whether that is down is not seen here: its silence may be the pipeline's.
pub fn status(machine: &MachineRow, host: &HostRow, now: i64) -> Status {
    if machine.gone_at.is_some() {
        return Status::Gone;
    }
    if host.is_down {
        return Status::Down;
    }
    if !is_running(machine) {
        return Status::Stopped;
    }
    if now - host.last_received_at > late_ms(host.interval_ms) { Status::Late } else { Status::Up }
}

/// Whether it is there and has processes, as far as its newest report says.
pub fn is_running(machine: &MachineRow) -> bool {
    machine.gone_at.is_none() && (machine.kind == Kind::Host || RUNNING_STATES.contains(&machine.state.as_str()))
}

/// As rules see a machine that its host's newest report may not have.
pub fn as_stored(row: &MachineRow, host_name: &str, host_labels: &BTreeMap<String, String>) -> Machine {
    let own: BTreeMap<String, String> = serde_json::from_str(&row.labels).unwrap_or_default();
    let facts: Value = serde_json::from_str(&row.facts).unwrap_or_default();
    let container =
        (row.kind == Kind::Container).then(|| OwnLabels { name: &row.name, image: facts["image"].as_str(), labels: Some(&own) });
    Machine { id: row.machine_id, kind: row.kind, labels: labels(host_name, host_labels, container) }
}

/// What happened to a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// By the host's own clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// The machine's host.
    pub host_id: String,
    /// What that was called.
    pub host_name: String,
    /// Host or container.
    pub kind: Kind,
    /// The machine.
    pub machine_id: String,
    /// What it was called.
    pub name: String,
    /// The state that was the reason: the engine's, or `replaced`, `restarted`, `gone`, `down`, `rebooted`.
    pub state: String,
}

/// `machine.up`, `machine.down` or `machine.rebooted`, with the state that was the reason.
pub fn event(name: &'static str, machine: &MachineRow, host_id: &str, host_name: &str, state: &str, at: i64) -> NewEvent {
    let body = Event {
        at: rfc3339(at),
        host_id: host_id.to_owned(),
        host_name: host_name.to_owned(),
        kind: machine.kind,
        machine_id: machine.machine_id.to_string(),
        name: machine.name.clone(),
        state: state.to_owned(),
    };
    let body = serde_json::to_string(&body).expect("an event has text keys and is written to memory");
    NewEvent { topic: "machines", name, machine_id: machine.machine_id, occurred_at: Some(at), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(kind: Kind, state: &str, gone_at: Option<i64>) -> MachineRow {
        MachineRow {
            machine_id: 1,
            host_key: 1,
            kind,
            identity: String::new(),
            name: "x".to_owned(),
            state: state.to_owned(),
            labels: "{}".to_owned(),
            facts: "{}".to_owned(),
            first_seen_at: 0,
            gone_at,
        }
    }

    #[test]
    fn the_status_follows_silence_and_state() {
        let check = |kind, state, gone_at, (silent_ms, interval_ms, is_down): (i64, i64, bool), expected| {
            let host = HostRow {
                host_key: 1,
                host_id: "x".to_owned(),
                interval_ms,
                last_report_at: 1,
                last_received_at: 1,
                last_epoch: 0,
                last_seq: 0,
                is_down,
                inventory_version: 0,
            };
            assert_eq!(status(&machine(kind, state, gone_at), &host, 1 + silent_ms), expected, "{state} {silent_ms}");
        };
        check(Kind::Host, "running", None, (5_000, 2_000, false), Status::Up);
        check(Kind::Host, "running", None, (5_001, 2_000, false), Status::Late);
        check(Kind::Host, "running", None, (60_000, 2_000, false), Status::Late);
        check(Kind::Host, "running", None, (60_000, 2_000, true), Status::Down);
        check(Kind::Host, "running", None, (120_000, 60_000, false), Status::Up);
        check(Kind::Container, "running", None, (0, 2_000, false), Status::Up);
        check(Kind::Container, "exited", None, (0, 2_000, false), Status::Stopped);
        check(Kind::Container, "exited", None, (60_000, 2_000, false), Status::Stopped);
        check(Kind::Container, "exited", None, (60_000, 2_000, true), Status::Down);
        check(Kind::Container, "running", Some(1), (0, 2_000, false), Status::Gone);
    }

    #[test]
    fn silence_and_lateness_are_counted_in_intervals() {
        assert_eq!([2_000, 3_333, 3_334, 60_000].map(silence_ms), [10_000, 10_000, 10_002, 180_000]);
        assert_eq!([2_000, 2_500, 2_501, 60_000].map(late_ms), [5_000, 5_000, 5_002, 120_000]);
    }
}
