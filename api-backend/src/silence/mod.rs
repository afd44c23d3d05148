//! When people do not want to be told of violations, and of which.
//!
//! `schedule` says when, `Scope` of which, `active` both at a time; plain functions on plain data, `now` is an argument. `cache` has what stands in
//! the database, and `ending` announces what a silence held back.

mod active;
mod cache;
pub mod ending;
mod schedule;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

pub use active::{Active, SilenceSet};
pub use cache::Silences;
pub use schedule::{Activity, DURATION_SECONDS_MAX, DURATION_SECONDS_MIN, Recurrence, Schedule};

use crate::thresholds::{Kind, Severity, has_labels, matches};
use crate::violation::Violation;

/// How many there may be; expired ones count until they are removed.
pub const SILENCES_MAX: i64 = 1_000;

/// One silence, or one maintenance of machines.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Its number.
    pub id: i64,
    /// Rises with every change.
    pub version: i64,
    /// What it is.
    pub kind: SilenceKind,
    /// What it is for.
    pub scope: Scope,
    /// When.
    pub schedule: Schedule,
    /// Why.
    pub comment: String,
    /// Since when it is there, Unix ms.
    pub created_at: i64,
    /// Who made it, if they gave a name.
    pub created_by: Option<String>,
}

/// What a silence is to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SilenceKind {
    /// Violations are not announced.
    #[default]
    Silence,
    /// The same, and the machines are shown as being worked on.
    Maintenance,
}

impl SilenceKind {
    /// As it stands in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceKind::Silence => "silence",
            SilenceKind::Maintenance => "maintenance",
        }
    }
}

impl std::str::FromStr for SilenceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<SilenceKind, String> {
        let known = [SilenceKind::Silence, SilenceKind::Maintenance].into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| format!("\"{text}\" is not one of silence, maintenance"))
    }
}

/// Violations that fit all that is said; the same in REST and in the database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SilenceScope)]
pub struct Scope {
    /// Of machines of this kind.
    pub kind: Option<Kind>,
    /// Of this machine.
    #[serde(with = "id_text")]
    #[schema(value_type = Option<String>)]
    pub machine_id: Option<i64>,
    /// Of this host and its containers.
    pub host_id: Option<String>,
    /// Of machines with all of these labels, with their values or patterns of them, as rules see labels.
    pub labels: BTreeMap<String, String>,
    /// Of this metric, or of those of a pattern.
    pub metric: Option<String>,
    /// As bad as this at most.
    pub severity: Option<Severity>,
}

/// What a scope looks at of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub id: i64,
    /// Its host's own id.
    pub host_id: &'a str,
    /// Its labels, as rules see them.
    pub labels: &'a BTreeMap<String, String>,
}

impl<'a> Machine<'a> {
    /// The machine of a violation.
    pub fn of(violation: &'a Violation, labels: &'a BTreeMap<String, String>) -> Machine<'a> {
        Machine { kind: violation.kind, id: violation.machine_id, host_id: &violation.host_id, labels }
    }
}

impl Scope {
    /// Whether it says something of machines.
    pub fn is_of_machines(&self) -> bool {
        self.kind.is_some() || self.machine_id.is_some() || self.host_id.is_some() || !self.labels.is_empty()
    }

    /// Whether the machine fits.
    pub fn has_machine(&self, machine: Machine) -> bool {
        self.kind.is_none_or(|kind| kind == machine.kind)
            && self.machine_id.is_none_or(|id| id == machine.id)
            && self.host_id.as_ref().is_none_or(|id| id == machine.host_id)
            && has_labels(machine.labels, &self.labels)
    }

    /// Whether the violation fits, which is of a machine with these labels.
    pub fn has(&self, violation: &Violation, labels: &BTreeMap<String, String>) -> bool {
        self.metric.as_ref().is_none_or(|text| matches(text, &violation.metric))
            && self.severity.is_none_or(|most| violation.severity <= most)
            && self.has_machine(Machine::of(violation, labels))
    }
}

/// Ids are opaque texts outside.
mod id_text {
    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("there is no machine \"{text}\"")))
    }
}
