//! A violation, as it stands in REST, in SSE and in CSV.

pub mod explain;
pub(crate) mod opening;

use serde::Serialize;
use utoipa::ToSchema;

use crate::thresholds::{Direction, Kind, Quantity, Severity, Threshold};
use crate::time;

/// One stay of a series beyond a threshold. Names are those at the time of opening.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Violation {
    /// Its number, as text.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub id: i64,
    /// The machine.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub machine_id: i64,
    /// What it was called.
    pub machine_name: String,
    /// Its host's own id.
    pub host_id: String,
    /// What its host was called.
    pub host_name: String,
    /// Host or container.
    pub kind: Kind,
    /// The metric.
    pub metric: String,
    /// The device, when the metric is of one.
    pub device: Option<String>,
    /// What is compared.
    #[serde(rename = "condition")]
    pub quantity: Quantity,
    /// Which side violates.
    pub direction: Direction,
    /// How bad it is.
    pub severity: Severity,
    /// The rule.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub threshold_id: i64,
    /// The rule's version at the time of opening; 0 where that was not kept yet.
    pub threshold_version: i64,
    /// The rule's value at the time of opening, in the unit of what is compared; so are all values.
    pub threshold_value: f64,
    /// Time of the sample that opened it.
    #[serde(serialize_with = "time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: i64,
    /// Its value.
    pub opened_value: f64,
    /// Worst value so far.
    pub peak_value: f64,
    /// Time of the sample that closed it.
    #[serde(serialize_with = "time::serialize_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<i64>,
    /// Its value; absent when the series ended, and where there is no number for it: a share that no longer grows is never full.
    pub closed_value: Option<f64>,
    /// `recovered`, `stopped`, `gone` or `threshold_changed`.
    pub close_reason: Option<String>,
    /// The version of the rule that closed it; absent when the rule was deleted.
    pub closed_version: Option<i64>,
    /// Of a late pipeline: `consumer`, `broker`, `partition N` or `unknown`, as it was when it opened.
    pub cause: Option<String>,
    /// When the backend learnt of it: later than `opened_at` by the way of the report, or by an outage.
    #[serde(serialize_with = "time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub detected_at: i64,
    /// Who cares for it, and who should not be told.
    #[serde(flatten)]
    pub attention: Attention,
}

/// What people did about a violation; nothing when it opens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Attention {
    /// Somebody saw it.
    pub acknowledged: Option<Acknowledgement>,
    /// The silence that it is under now, or was under until it closed.
    pub silenced: Option<Silenced>,
    /// When it was announced as open; absent while a silence holds that back, and when it was over before.
    #[serde(serialize_with = "time::serialize_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub announced_at: Option<i64>,
    /// The silence under which it opened.
    #[serde(skip)]
    pub silence_id: Option<i64>,
}

/// That a violation is not to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Silenced {
    /// By which silence.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub silence_id: i64,
    /// Until when, as far as is known now.
    #[serde(serialize_with = "time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub until: i64,
}

/// That somebody saw a violation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Acknowledgement {
    /// When.
    #[serde(serialize_with = "time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub at: i64,
    /// Who, if they gave a name.
    pub by: Option<String>,
    /// What they had to say.
    pub comment: String,
}

/// Ids are opaque texts outside.
pub(crate) fn as_text<S: serde::Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Whom a violation is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: Kind,
    pub(crate) machine_id: i64,
    pub(crate) machine_name: &'a str,
    pub(crate) host_id: &'a str,
    pub(crate) host_name: &'a str,
}

/// What opens a violation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'a> {
    /// The rule as it stands.
    pub(crate) rule: &'a Threshold,
    /// The device; empty for the machine itself.
    pub(crate) device: &'a str,
    /// Time of what decided it,
    pub(crate) at: i64,
    /// and its value.
    pub(crate) value: f64,
    /// Worst value so far.
    pub(crate) peak: f64,
    /// When the backend learnt of it.
    pub(crate) detected_at: i64,
}

impl Violation {
    /// One that opens; its id is found when it is stored.
    pub(crate) fn opened(subject: Subject<'_>, opening: Opening<'_>) -> Violation {
        let Opening { rule, device, at, value, peak, detected_at } = opening;
        Violation {
            id: 0,
            machine_id: subject.machine_id,
            machine_name: subject.machine_name.to_owned(),
            host_id: subject.host_id.to_owned(),
            host_name: subject.host_name.to_owned(),
            kind: subject.kind,
            metric: rule.metric.clone(),
            device: Some(device.to_owned()).filter(|device| !device.is_empty()),
            quantity: rule.quantity,
            direction: rule.direction,
            severity: rule.severity,
            threshold_id: rule.id,
            threshold_version: rule.version,
            threshold_value: rule.value,
            opened_at: at,
            opened_value: value,
            peak_value: peak,
            closed_at: None,
            closed_value: None,
            close_reason: None,
            closed_version: None,
            cause: None,
            detected_at,
            attention: Attention::default(),
        }
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a violation has only text keys and writes to memory")
    }
}
