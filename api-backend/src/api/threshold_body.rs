//! A threshold in JSON, and whether it makes sense.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire_model::catalog::{CLOCK_SKEW, HOST_MISSING, PIPELINE_LAG};
use wire_model::limits::{LABEL_CHARS, NAME_CHARS};
use wire_model::{catalog, is_metric};

use super::Problem;
use super::extract::id;
use super::problem::ChangeError;
use crate::store::{self, Connection};
use crate::thresholds::{
    Direction, Effect, FOR_SECONDS_MAX, Kind, NOTE_CHARS, Quantity, SCOPE_LABELS, Severity, Threshold, WINDOW_SECONDS_MAX,
    WINDOW_SECONDS_MIN,
};

/// Shares of something that can run full.
const FILLABLE: [&str; 5] = [
    "system.filesystem.utilization",
    "system.filesystem.inodes.utilization",
    "system.memory.utilization",
    "system.paging.utilization",
    "container.memory.utilization",
];

/// A threshold, both ways.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Threshold)]
pub(super) struct ThresholdBody {
    /// Absent in what a client creates.
    #[serde(default)]
    pub(super) id: Option<String>,
    /// Of what a client replaces: the one it knows, if it says so.
    #[serde(default)]
    pub(super) version: Option<i64>,
    scope: ScopeBody,
    metric: String,
    #[serde(default)]
    device: Option<String>,
    #[serde(default = "value")]
    condition: Quantity,
    /// Not with the condition `value`.
    #[serde(default)]
    window_seconds: Option<i64>,
    /// Of `time_until_full` it is below.
    #[serde(default)]
    direction: Option<Direction>,
    /// Not needed without an effect.
    #[serde(default)]
    value: Option<f64>,
    /// Default: the value.
    #[serde(default)]
    recovery_value: Option<f64>,
    #[serde(default)]
    for_seconds: i64,
    #[serde(default)]
    recovery_for_seconds: i64,
    #[serde(default = "warning")]
    pub(super) severity: Severity,
    #[serde(default = "open")]
    effect: Effect,
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(default)]
    note: String,
    // what a client was told beside (`KnownThreshold`) may stand in what it sends
    #[serde(default, rename = "changed_at", skip_serializing)]
    #[schema(ignore)]
    _changed_at: IgnoredAny,
    #[serde(default, rename = "changed_by", skip_serializing)]
    #[schema(ignore)]
    _changed_by: IgnoredAny,
    #[serde(default, rename = "machine_name", skip_serializing)]
    #[schema(ignore)]
    _machine_name: IgnoredAny,
    #[serde(default, rename = "host_name", skip_serializing)]
    #[schema(ignore)]
    _host_name: IgnoredAny,
}

/// All machines of a kind, those of them with some labels, or one machine (whose kind then follows).
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Scope)]
struct ScopeBody {
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    machine_id: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

fn value() -> Quantity {
    Quantity::Value
}

fn warning() -> Severity {
    Severity::Warning
}

fn open() -> Effect {
    Effect::Open
}

fn enabled() -> bool {
    true
}

impl ThresholdBody {
    /// With another value, and no recovery value of its own.
    pub(super) fn with_value(self, value: f64) -> ThresholdBody {
        ThresholdBody { value: Some(value), recovery_value: None, ..self }
    }
}

impl From<Threshold> for ThresholdBody {
    fn from(rule: Threshold) -> ThresholdBody {
        let scope = ScopeBody {
            kind: Some(rule.kind),
            machine_id: rule.machine_id.map(|id| id.to_string()),
            labels: Some(rule.labels).filter(|labels| !labels.is_empty()),
        };
        ThresholdBody {
            id: Some(rule.id.to_string()),
            version: Some(rule.version),
            scope,
            metric: rule.metric,
            device: rule.device,
            condition: rule.quantity,
            window_seconds: Some(rule.window_seconds).filter(|seconds| *seconds > 0),
            direction: Some(rule.direction),
            value: Some(rule.value),
            recovery_value: Some(rule.recovery_value),
            for_seconds: rule.for_seconds,
            recovery_for_seconds: rule.recovery_for_seconds,
            severity: rule.severity,
            effect: rule.effect,
            enabled: rule.enabled,
            note: rule.note,
            _changed_at: IgnoredAny,
            _changed_by: IgnoredAny,
            _machine_name: IgnoredAny,
            _host_name: IgnoredAny,
        }
    }
}

/// Whether it makes sense, and no other rule says the same of the same series. `itself` is the rule that it replaces.
pub(super) async fn check(
    connection: &mut Connection,
    body: ThresholdBody,
    itself: Option<i64>,
) -> Result<Threshold, ChangeError> {
    let rule = read(connection, body).await?;
    let same = |other: &&Threshold| {
        let says = |rule: &Threshold| (rule.kind, rule.machine_id, rule.quantity, rule.direction, rule.severity);
        Some(other.id) != itself
            && says(other) == says(&rule)
            && (&other.labels, &other.metric, &other.device) == (&rule.labels, &rule.metric, &rule.device)
    };
    let rules = store::thresholds::all(connection).await?;
    if let Some(other) = rules.iter().find(same) {
        let detail = format!(
            "threshold {} has the same scope, metric, device, condition, direction and severity: change that one",
            other.id
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail).into());
    }
    Ok(rule)
}

/// The rule that a body describes, if it makes sense; whether there is another one like it is not looked at.
pub(super) async fn read(connection: &mut Connection, body: ThresholdBody) -> Result<Threshold, ChangeError> {
    let missing = |field: &str| Problem::unprocessable(format!("{field}: is missing"));
    let kind_and_machine = scope(connection, &body.scope).await?;
    let (kind, machine_id) = kind_and_machine;
    let direction = match (body.direction, body.condition) {
        (Some(direction), _) => direction,
        (None, Quantity::TimeUntilFull) => Direction::Below,
        (None, _) => return Err(missing("direction").into()),
    };
    let value = match (body.value, body.effect) {
        (Some(value), _) => value,
        (None, Effect::None) => 0.0,
        (None, Effect::Open) => return Err(missing("value").into()),
    };
    let rule = Threshold {
        id: 0,
        version: 1,
        kind,
        machine_id,
        labels: body.scope.labels.unwrap_or_default(),
        metric: body.metric,
        device: body.device,
        quantity: body.condition,
        window_seconds: body.window_seconds.unwrap_or(0),
        direction,
        value,
        recovery_value: body.recovery_value.unwrap_or(value),
        for_seconds: body.for_seconds,
        recovery_for_seconds: body.recovery_for_seconds,
        severity: body.severity,
        effect: body.effect,
        enabled: body.enabled,
        note: body.note,
    };
    check_fields(&rule)?;
    Ok(rule)
}

async fn scope(connection: &mut Connection, scope: &ScopeBody) -> Result<(Kind, Option<i64>), ChangeError> {
    let Some(text) = scope.machine_id.as_deref() else {
        let kind = scope.kind.ok_or_else(|| Problem::unprocessable("scope: names neither a kind nor a machine_id"))?;
        return Ok((kind, None));
    };
    let unknown = || Problem::unprocessable(format!("scope.machine_id: there is no machine \"{text}\""));
    let machine_id = id("machine", text).map_err(|_| unknown())?;
    let machine = store::machines::get(connection, machine_id).await?.ok_or_else(unknown)?;
    if scope.kind.is_some_and(|kind| kind != machine.kind) {
        return Err(Problem::unprocessable(format!("scope.kind: the machine is a {}", machine.kind.as_str())).into());
    }
    Ok((machine.kind, Some(machine_id)))
}

fn check_fields(rule: &Threshold) -> Result<(), Problem> {
    let problem = scope_problem(rule).or_else(|| series_problem(rule)).or_else(|| condition_problem(rule)).or_else(|| {
        let is_long = rule.note.chars().count() > NOTE_CHARS;
        is_long.then(|| format!("note: has more than {NOTE_CHARS} characters"))
    });
    problem.map_or(Ok(()), |detail| Err(Problem::unprocessable(detail)))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS).contains(&name.chars().count()) && !name.ends_with(' ') && !name.chars().any(char::is_control)
}

fn scope_problem(rule: &Threshold) -> Option<String> {
    let labels = &rule.labels;
    if rule.machine_id.is_some() && !labels.is_empty() {
        return Some("scope: one machine needs no labels".to_owned());
    }
    if labels.len() > SCOPE_LABELS {
        return Some(format!("scope.labels: there are more than {SCOPE_LABELS}"));
    }
    let is_label = |text: &String| text.chars().count() <= LABEL_CHARS && !text.chars().any(char::is_control);
    let is_bad = |(name, value): &(&String, &String)| name.is_empty() || !is_label(name) || !is_label(value);
    let (name, _) = labels.iter().find(is_bad)?;
    Some(format!("scope.labels: \"{name}\" or its value is empty, or has more than {LABEL_CHARS} characters"))
}

fn series_problem(rule: &Threshold) -> Option<String> {
    if !is_metric(&rule.metric) || !is_name(&rule.metric) {
        return Some(format!("metric: a metric's name has a dot, at most {NAME_CHARS} characters and no space at its end"));
    }
    let subject = catalog::find(&rule.metric).map(|metric| metric.subject);
    let of_container = subject == Some(catalog::Subject::Container);
    let kind = subject.map(|subject| match subject {
        catalog::Subject::Container => Kind::Container,
        catalog::Subject::Pipeline => Kind::Pipeline,
        _ => Kind::Host,
    });
    if kind.map_or(rule.kind == Kind::Pipeline, |kind| kind != rule.kind) {
        return Some(format!("metric: {} is not a metric of a {}", rule.metric, rule.kind.as_str()));
    }
    let device = rule.device.as_deref()?;
    if !is_name(device) {
        return Some(format!("device: a device's name has 1 to {NAME_CHARS} characters and no space at its end"));
    }
    let of_machine = of_container || matches!(subject, Some(catalog::Subject::Host | catalog::Subject::Pipeline));
    of_machine.then(|| format!("device: {} is of the machine itself", rule.metric))
}

fn condition_problem(rule: &Threshold) -> Option<String> {
    let needs_window = rule.quantity != Quantity::Value;
    if needs_window && !(WINDOW_SECONDS_MIN..=WINDOW_SECONDS_MAX).contains(&rule.window_seconds) {
        return Some(format!(
            "window_seconds: {} is not within {WINDOW_SECONDS_MIN} and {WINDOW_SECONDS_MAX}",
            rule.window_seconds
        ));
    }
    if !needs_window && rule.window_seconds != 0 {
        return Some("window_seconds: the condition value looks at no window".to_owned());
    }
    if [HOST_MISSING, CLOCK_SKEW, PIPELINE_LAG].contains(&rule.metric.as_str())
        && (rule.quantity, rule.direction) != (Quantity::Value, Direction::Above)
    {
        return Some(format!("condition: {} can be above a value, nothing else", rule.metric));
    }
    if rule.quantity == Quantity::TimeUntilFull {
        if !FILLABLE.contains(&rule.metric.as_str()) {
            return Some(format!("condition: time_until_full is for {}", FILLABLE.join(", ")));
        }
        if rule.direction != Direction::Below || rule.value < 0.0 {
            return Some("direction: time_until_full is below a number of seconds".to_owned());
        }
    }
    if rule.is_beyond(rule.recovery_value) {
        let side = rule.direction.as_str();
        return Some(format!("recovery_value: {} is {side} the value {}", rule.recovery_value, rule.value));
    }
    let seconds = [("for_seconds", rule.for_seconds), ("recovery_for_seconds", rule.recovery_for_seconds)];
    let (name, seconds) = seconds.into_iter().find(|(_, seconds)| !(0..=FOR_SECONDS_MAX).contains(seconds))?;
    Some(format!("{name}: {seconds} is not within 0 and {FOR_SECONDS_MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_rule(change: impl FnOnce(&mut Threshold), problem: Option<&str>) {
        let base = Threshold::new(Kind::Host, "system.filesystem.utilization", Direction::Above, 0.9);
        let mut rule = Threshold { device: Some("/".to_owned()), recovery_value: 0.8, for_seconds: 60, ..base };
        change(&mut rule);
        match (check_fields(&rule), problem) {
            (Ok(()), None) => {}
            (Err(found), Some(field)) => assert!(format!("{found:?}").contains(field), "{found:?}"),
            (result, _) => panic!("{result:?} for {rule:?}"),
        }
    }

    #[test]
    fn fields_are_checked_at_their_edges() {
        check_rule(|_| {}, None);
        check_rule(|rule| rule.recovery_value = 0.9, None);
        check_rule(|rule| rule.recovery_value = 0.91, Some("recovery_value"));
        check_rule(|rule| (rule.direction, rule.recovery_value) = (Direction::Below, 0.89), Some("recovery_value"));
        check_rule(|rule| rule.for_seconds = FOR_SECONDS_MAX, None);
        check_rule(|rule| rule.for_seconds = FOR_SECONDS_MAX + 1, Some("for_seconds"));
        check_rule(|rule| rule.for_seconds = -1, Some("for_seconds"));
        check_rule(|rule| rule.recovery_for_seconds = FOR_SECONDS_MAX, None);
        check_rule(|rule| rule.recovery_for_seconds = FOR_SECONDS_MAX + 1, Some("recovery_for_seconds"));
        check_rule(|rule| rule.kind = Kind::Container, Some("metric"));
        check_rule(|rule| rule.kind = Kind::Pipeline, Some("metric"));
        check_rule(|rule| rule.metric = PIPELINE_LAG.to_owned(), Some("metric"));
        check_rule(|rule| (rule.kind, rule.metric, rule.device) = (Kind::Pipeline, PIPELINE_LAG.to_owned(), None), None);
        check_rule(|rule| (rule.kind, rule.metric) = (Kind::Pipeline, "own.metric".to_owned()), Some("metric"));
        check_rule(|rule| (rule.metric, rule.device) = (HOST_MISSING.to_owned(), None), None);
        check_rule(
            |rule| {
                (rule.metric, rule.device) = (HOST_MISSING.to_owned(), None);
                (rule.direction, rule.recovery_value) = (Direction::Below, 0.9);
            },
            Some("condition"),
        );
        check_rule(|rule| rule.metric = "own.metric".to_owned(), None);
        check_rule(|rule| rule.metric = "metric".to_owned(), Some("metric"));
        check_rule(|rule| rule.metric = format!("a.{}", "x".repeat(NAME_CHARS - 2)), None);
        check_rule(|rule| rule.metric = format!("a.{}", "x".repeat(NAME_CHARS - 1)), Some("metric"));
        check_rule(|rule| rule.device = Some("x".repeat(NAME_CHARS)), None);
        check_rule(|rule| rule.device = Some("x".repeat(NAME_CHARS + 1)), Some("device"));
        check_rule(|rule| rule.device = Some(String::new()), Some("device"));
        check_rule(|rule| rule.device = Some("/ ".to_owned()), Some("device"));
        check_rule(|rule| rule.metric = "own.metric ".to_owned(), Some("metric"));
        check_rule(|rule| rule.metric = "system.cpu.utilization".to_owned(), Some("device"));
        check_rule(|rule| rule.note = "x".repeat(NOTE_CHARS), None);
        check_rule(|rule| rule.note = "x".repeat(NOTE_CHARS + 1), Some("note"));
    }

    #[test]
    fn scopes_by_label_are_bounded() {
        let label = |name: String, value: String| move |rule: &mut Threshold| drop(rule.labels.insert(name, value));
        let many = |count: usize| {
            move |rule: &mut Threshold| rule.labels = (0..count).map(|n| (n.to_string(), "x".to_owned())).collect()
        };
        check_rule(many(SCOPE_LABELS), None);
        check_rule(many(SCOPE_LABELS + 1), Some("scope.labels"));
        check_rule(label("rack".to_owned(), "x".repeat(LABEL_CHARS)), None);
        check_rule(label("rack".to_owned(), "x".repeat(LABEL_CHARS + 1)), Some("scope.labels"));
        check_rule(label(String::new(), "x".to_owned()), Some("scope.labels"));
        check_rule(
            |rule| {
                rule.machine_id = Some(1);
                rule.labels.insert("rack".to_owned(), "a1".to_owned());
            },
            Some("scope"),
        );
    }

    #[test]
    fn conditions_over_a_window_are_checked() {
        let over = |quantity, direction, seconds| {
            move |rule: &mut Threshold| {
                (rule.quantity, rule.direction, rule.recovery_value, rule.window_seconds) =
                    (quantity, direction, rule.value, seconds);
            }
        };
        check_rule(|rule| rule.window_seconds = WINDOW_SECONDS_MIN, Some("window_seconds"));
        check_rule(over(Quantity::Change, Direction::Above, WINDOW_SECONDS_MIN), None);
        check_rule(over(Quantity::Change, Direction::Above, WINDOW_SECONDS_MIN - 1), Some("window_seconds"));
        check_rule(over(Quantity::Change, Direction::Below, WINDOW_SECONDS_MAX), None);
        check_rule(over(Quantity::Change, Direction::Below, WINDOW_SECONDS_MAX + 1), Some("window_seconds"));
        check_rule(over(Quantity::TimeUntilFull, Direction::Below, 3_600), None);
        check_rule(over(Quantity::TimeUntilFull, Direction::Above, 3_600), Some("direction"));
        check_rule(
            |rule| {
                over(Quantity::TimeUntilFull, Direction::Below, 3_600)(rule);
                rule.metric = "system.filesystem.usage".to_owned();
            },
            Some("time_until_full"),
        );
    }
}
