//! What a threshold is, which one is in force for a series, and what a series does to it.
//!
//! Plain functions on plain data: no database, no clock, no HTTP. `rule_set` answers "which rules", `shape` "what do samples have in
//! common", `plan` "where are the rules' values in samples of this shape", and `evaluator` "what now".

mod container_state;
pub mod evaluator;
mod limits;
mod plan;
mod readings;
mod rule_set;
mod scope;
mod shape;
mod state;
mod state_metrics;
mod steps;
mod window;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use container_state::{ContainerState, EngineState, Health, RESTARTS_MAX};
pub use plan::{Plan, Source, Step};
pub use readings::{MachineReadings, RUNNING_STATES, machine_readings, place};
pub use rule_set::{RuleSet, in_force};
pub use scope::{Machine, OwnLabels, has_labels, is_pattern, labels, matches};
pub use shape::{MachineShape, MissingContainer, Readable, SeriesShape, Shape};
pub use state_metrics::{MISSING, MISSING_MS};
pub use steps::{Moment, Step as ExplainedStep, StepKind, step};
pub use window::{WINDOW_CELLS, WINDOWS_PER_HOST, Windows};

/// Longest `for_seconds` and `recovery_for_seconds`: a day.
pub const FOR_SECONDS_MAX: i64 = 86_400;
/// Shortest window.
pub const WINDOW_SECONDS_MIN: i64 = 60;
/// Longest window: a day.
pub const WINDOW_SECONDS_MAX: i64 = 86_400;
/// Labels of a scope.
pub const SCOPE_LABELS: usize = 8;
/// Characters of a note.
pub const NOTE_CHARS: usize = 1_000;

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A host.
    Host,
    /// A container on a host.
    Container,
    /// Not a machine: the way of all reports.
    Pipeline,
}

/// On which side of the value a series violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Violated above the value.
    Above,
    /// Violated below it.
    Below,
}

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To know.
    Info,
    /// To look after.
    Warning,
    /// To act on now.
    Critical,
}

macro_rules! text_form {
    ($type:ident { $($variant:ident = $text:literal),+ }) => {
        impl $type {
            /// As it stands in JSON, SQL and queries.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text),+ }
            }
        }
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<$type, String> {
                match text {
                    $($text => Ok($type::$variant),)+
                    _ => Err(format!("\"{text}\" is not one of {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

/// What of a series is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Its value.
    Value,
    /// How much it changes within the window: its slope by least squares, times the window. In the metric's unit.
    Change,
    /// Seconds until a share of something limited reaches 1, if it goes on as in the window; without end when it does not grow.
    TimeUntilFull,
}

/// What a rule does where it is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Opens violations.
    Open,
    /// Nothing: it takes the place of what a wider scope says.
    None,
}

text_form!(Kind { Host = "host", Container = "container", Pipeline = "pipeline" });
text_form!(Direction { Above = "above", Below = "below" });
text_form!(Severity { Info = "info", Warning = "warning", Critical = "critical" });
text_form!(Quantity { Value = "value", Change = "change", TimeUntilFull = "time_until_full" });
text_form!(Effect { Open = "open", None = "none" });

/// A rule: a series of `metric` on the wrong side of `value` for `for_seconds` opens a violation, which closes when the
/// series is back at or behind `recovery_value` for `recovery_for_seconds`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Its number.
    pub id: i64,
    /// Rises with every change.
    pub version: i64,
    /// Kind of the machines it is for.
    pub kind: Kind,
    /// The one machine it is for; `None`: all of the kind.
    pub machine_id: Option<i64>,
    /// Labels that the machine must have, with their values or patterns of them; only without `machine_id`.
    pub labels: BTreeMap<String, String>,
    /// Name of the metric.
    pub metric: String,
    /// The one device it is for, or a pattern; `None`: every device, or the machine itself.
    pub device: Option<String>,
    /// What is compared.
    pub quantity: Quantity,
    /// Length of the window that `quantity` looks at; 0 for the value itself.
    pub window_seconds: i64,
    /// Which side violates.
    pub direction: Direction,
    /// In the quantity's unit.
    pub value: f64,
    /// In the quantity's unit; not on the violating side of `value`.
    pub recovery_value: f64,
    /// How long the series must stay beyond `value`, by the reports' own times.
    pub for_seconds: i64,
    /// How long it must stay at or behind `recovery_value`.
    pub recovery_for_seconds: i64,
    /// How bad it is.
    pub severity: Severity,
    /// What it does.
    pub effect: Effect,
    /// Whether it takes part at all.
    pub enabled: bool,
    /// What people should know of it.
    pub note: String,
}

impl Threshold {
    /// An enabled rule for all machines of a kind that warns at once, for those who change the rest.
    pub fn new(kind: Kind, metric: &str, direction: Direction, value: f64) -> Threshold {
        Threshold {
            id: 0,
            version: 1,
            kind,
            machine_id: None,
            labels: BTreeMap::new(),
            metric: metric.to_owned(),
            device: None,
            quantity: Quantity::Value,
            window_seconds: 0,
            direction,
            value,
            recovery_value: value,
            for_seconds: 0,
            recovery_for_seconds: 0,
            severity: Severity::Warning,
            effect: Effect::Open,
            enabled: true,
            note: String::new(),
        }
    }

    /// Whether `value` lies on the violating side.
    pub fn is_beyond(&self, value: f64) -> bool {
        match self.direction {
            Direction::Above => value > self.value,
            Direction::Below => value < self.value,
        }
    }

    /// Whether `value` lies on the good side, and not at the rule's.
    pub fn is_inside(&self, value: f64) -> bool {
        value != self.value && !self.is_beyond(value)
    }

    /// Whether `value` ends a violation.
    pub fn is_recovered(&self, value: f64) -> bool {
        match self.direction {
            Direction::Above => value <= self.recovery_value,
            Direction::Below => value >= self.recovery_value,
        }
    }

    /// The worse of two values.
    pub fn worse(&self, one: f64, other: f64) -> f64 {
        match self.direction {
            Direction::Above => one.max(other),
            Direction::Below => one.min(other),
        }
    }
}
