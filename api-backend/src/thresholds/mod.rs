//! What a threshold is, which one is in force for a series, and what a series does to it.
//!
//! Plain functions on plain data: no database, no clock, no HTTP. `rule_set` answers "which rules", `plan` "where are their values in
//! reports of this form", and `evaluator` "what now".

mod container_state;
pub mod evaluator;
mod plan;
mod readings;
mod rule_set;

use serde::{Deserialize, Serialize};

pub use container_state::{ContainerState, EngineState, Health, RESTARTS_MAX};
pub use plan::{Plan, Step};
pub use readings::{MachineReadings, RUNNING_STATES, machine_readings, place};
pub use rule_set::{RuleSet, in_force};

/// Longest `for_seconds`: a day.
pub const FOR_SECONDS_MAX: i64 = 86_400;

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A host.
    Host,
    /// A container on a host.
    Container,
}

/// On which side of the value a series violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Violated above the value.
    Above,
    /// Violated below it.
    Below,
}

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

text_form!(Kind { Host = "host", Container = "container" });
text_form!(Direction { Above = "above", Below = "below" });
text_form!(Severity { Info = "info", Warning = "warning", Critical = "critical" });

/// A rule: a series of `metric` on the wrong side of `value` for `for_seconds` opens a violation, which closes when the
/// series is back at or behind `recovery_value`.
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
    /// Name of the metric.
    pub metric: String,
    /// The one device it is for; `None`: every device, or the machine itself.
    pub device: Option<String>,
    /// Which side violates.
    pub direction: Direction,
    /// In the metric's unit.
    pub value: f64,
    /// In the metric's unit; not on the violating side of `value`.
    pub recovery_value: f64,
    /// How long the series must stay beyond `value`, by the reports' own times.
    pub for_seconds: i64,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is evaluated at all.
    pub enabled: bool,
}

impl Threshold {
    /// Whether `value` lies on the violating side.
    pub fn is_beyond(&self, value: f64) -> bool {
        match self.direction {
            Direction::Above => value > self.value,
            Direction::Below => value < self.value,
        }
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
