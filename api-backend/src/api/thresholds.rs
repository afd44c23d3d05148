//! Thresholds: the rules, and for a machine those in force.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wire_model::limits::NAME_CHARS;
use wire_model::{catalog, is_metric};

use super::extract::{Body, Part, id};
use super::problem::ChangeError;
use super::{App, Problem, machines};
use crate::store::{self, Connection, StoreError};
use crate::thresholds::{Direction, FOR_SECONDS_MAX, Kind, RuleSet, Severity, Threshold, in_force, machine_readings};

/// A threshold in JSON, both ways.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdBody {
    /// Absent in what a client creates.
    #[serde(default)]
    id: Option<String>,
    scope: ScopeBody,
    metric: String,
    #[serde(default)]
    device: Option<String>,
    direction: Direction,
    value: f64,
    /// Default: the value.
    #[serde(default)]
    recovery_value: Option<f64>,
    #[serde(default)]
    for_seconds: i64,
    #[serde(default = "warning")]
    severity: Severity,
    #[serde(default = "enabled")]
    enabled: bool,
}

/// Either all machines of a kind, or one machine (whose kind then follows).
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeBody {
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    machine_id: Option<String>,
    #[serde(default)]
    labels: Option<Value>,
}

fn warning() -> Severity {
    Severity::Warning
}

fn enabled() -> bool {
    true
}

impl From<Threshold> for ThresholdBody {
    fn from(rule: Threshold) -> ThresholdBody {
        ThresholdBody {
            id: Some(rule.id.to_string()),
            scope: ScopeBody { kind: Some(rule.kind), machine_id: rule.machine_id.map(|id| id.to_string()), labels: None },
            metric: rule.metric,
            device: rule.device,
            direction: rule.direction,
            value: rule.value,
            recovery_value: Some(rule.recovery_value),
            for_seconds: rule.for_seconds,
            severity: rule.severity,
            enabled: rule.enabled,
        }
    }
}

pub(super) async fn list_thresholds(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let rules = store::thresholds::all(&mut *app.store.read().await?).await?;
    let items: Vec<_> = rules.into_iter().map(ThresholdBody::from).collect();
    Ok(Json(json!({"items": items, "next_cursor": null})))
}

pub(super) async fn show_threshold(State(app): State<App>, Part(text): Part) -> Result<Response, Problem> {
    let rule = find(&mut *app.store.read().await?, &text).await?;
    Ok(answer(StatusCode::OK, rule))
}

pub(super) async fn create_threshold(State(app): State<App>, Body(body): Body<ThresholdBody>) -> Result<Response, Problem> {
    if body.id.is_some() {
        return Err(Problem::unprocessable("id: a new threshold gets its id here"));
    }
    let rule = app.store.with_patience(|| insert(&app, body.clone())).await?;
    let mut response = answer(StatusCode::CREATED, rule.clone());
    let location = HeaderValue::from_str(&format!("/api/v1/thresholds/{}", rule.id)).expect("digits are a header value");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

async fn insert(app: &App, body: ThresholdBody) -> Result<Threshold, ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::thresholds::lock(&mut transaction).await?;
    let rule = check(&mut transaction, body, None).await?;
    let id = store::thresholds::insert(&mut transaction, &rule).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Threshold { id, version: 1, ..rule })
}

pub(super) async fn replace_threshold(
    State(app): State<App>,
    Part(text): Part,
    headers: HeaderMap,
    Body(body): Body<ThresholdBody>,
) -> Result<Response, Problem> {
    if body.id.as_ref().is_some_and(|id| *id != text) {
        return Err(Problem::unprocessable("id: is not the one in the path"));
    }
    let rule = app.store.with_patience(|| replace(&app, &text, &headers, body.clone())).await?;
    Ok(answer(StatusCode::OK, rule))
}

async fn replace(app: &App, text: &str, headers: &HeaderMap, body: ThresholdBody) -> Result<Threshold, ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::thresholds::lock(&mut transaction).await?;
    let before = find(&mut transaction, text).await?;
    require_match(headers, &before)?;
    let rule = check(&mut transaction, body, Some(before.id)).await?;
    // an open violation is one of this series and this side
    if (&rule.metric, rule.direction) != (&before.metric, before.direction) {
        let problem = "metric and direction stay as they are: delete this threshold and create another one";
        return Err(Problem::unprocessable(problem).into());
    }
    let rule = Threshold { id: before.id, version: before.version + 1, ..rule };
    store::thresholds::update(&mut transaction, &rule).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(rule)
}

pub(super) async fn delete_threshold(
    State(app): State<App>,
    Part(text): Part,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    app.store.with_patience(|| delete(&app, &text, &headers)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(app: &App, text: &str, headers: &HeaderMap) -> Result<(), ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::thresholds::lock(&mut transaction).await?;
    let before = find(&mut transaction, text).await?;
    require_match(headers, &before)?;
    store::thresholds::delete(&mut transaction, before.id).await?;
    Ok(transaction.commit().await.map_err(StoreError::from)?)
}

/// For each series of the machine that a rule looks at: the rules in force, where each comes from, and the value now.
pub(super) async fn list_in_force(State(app): State<App>, Part(text): Part) -> Result<Json<Value>, Problem> {
    let mut connection = app.store.read().await?;
    let machine = store::machines::get(&mut connection, id("machine", &text)?).await?;
    let machine = machine.ok_or_else(|| Problem::no_such("machine", &text))?;
    let rules = RuleSet::new(store::thresholds::all(&mut connection).await?);
    let report = machines::newest_report(&mut connection, machine.host_key).await?;
    let readings = report.as_ref().map(machine_readings).unwrap_or_default();
    let readings = readings.iter().find(|other| other.kind == machine.kind && other.identity == machine.identity);
    let mut items = Vec::new();
    for (metric, candidates) in rules.metrics(machine.kind) {
        let mut series = Vec::new();
        if let Some(readings) = readings {
            readings.for_each(metric, |device, value| series.push((device, value)));
        }
        if series.is_empty() {
            series.push((None, None));
        }
        for (device, value) in series {
            for rule in in_force(candidates, machine.machine_id, device) {
                let origin = if rule.machine_id.is_some() { "machine" } else { "kind" };
                let rule = ThresholdBody::from(Threshold::clone(rule));
                items.push(json!({"metric": metric, "device": device, "value": value, "origin": origin, "threshold": rule}));
            }
        }
    }
    items.sort_by_cached_key(|item| {
        (item["metric"].to_string(), item["device"].to_string(), item["threshold"]["severity"].to_string())
    });
    Ok(Json(json!({"items": items, "next_cursor": null})))
}

async fn find(connection: &mut Connection, text: &str) -> Result<Threshold, ChangeError> {
    let rule = store::thresholds::get(connection, id("threshold", text)?).await?;
    Ok(rule.ok_or_else(|| Problem::no_such("threshold", text))?)
}

fn answer(status: StatusCode, rule: Threshold) -> Response {
    let etag = etag(&rule);
    (status, [(header::ETAG, etag)], Json(ThresholdBody::from(rule))).into_response()
}

fn etag(rule: &Threshold) -> String {
    format!("\"{}\"", rule.version)
}

/// With `If-Match` a change is made only to the version that the client knows.
fn require_match(headers: &HeaderMap, rule: &Threshold) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    if wanted == "*" || wanted.split(',').any(|tag| tag.trim() == etag(rule)) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, format!("the threshold was changed: it is at version {}", etag(rule))))
}

/// Whether it makes sense, and no other rule says the same of the same series. `itself` is the rule that it replaces.
async fn check(connection: &mut Connection, body: ThresholdBody, itself: Option<i64>) -> Result<Threshold, ChangeError> {
    if body.scope.labels.is_some() {
        return Err(Problem::unprocessable("scope.labels: scopes by label are not there yet; use kind or machine_id").into());
    }
    let machine_id = body.scope.machine_id.as_deref().map(|text| id("machine", text)).transpose();
    let unknown = |text: &str| Problem::unprocessable(format!("scope.machine_id: there is no machine \"{text}\""));
    let text = body.scope.machine_id.as_deref().unwrap_or_default();
    let machine_id = machine_id.map_err(|_| unknown(text))?;
    let kind = match machine_id {
        None => body.scope.kind.ok_or_else(|| Problem::unprocessable("scope: names neither a kind nor a machine_id"))?,
        Some(machine_id) => {
            let machine = store::machines::get(connection, machine_id).await?.ok_or_else(|| unknown(text))?;
            if body.scope.kind.is_some_and(|kind| kind != machine.kind) {
                return Err(Problem::unprocessable(format!("scope.kind: the machine is a {}", machine.kind.as_str())).into());
            }
            machine.kind
        }
    };
    let rule = Threshold {
        id: 0,
        version: 1,
        kind,
        machine_id,
        metric: body.metric,
        device: body.device,
        direction: body.direction,
        value: body.value,
        recovery_value: body.recovery_value.unwrap_or(body.value),
        for_seconds: body.for_seconds,
        severity: body.severity,
        enabled: body.enabled,
    };
    check_fields(&rule)?;
    let same = |other: &&Threshold| {
        Some(other.id) != itself
            && (other.kind, other.machine_id, &other.metric, &other.device, other.direction, other.severity)
                == (rule.kind, rule.machine_id, &rule.metric, &rule.device, rule.direction, rule.severity)
    };
    let rules = store::thresholds::all(connection).await?;
    if let Some(other) = rules.iter().find(same) {
        let detail =
            format!("threshold {} has the same scope, metric, device, direction and severity: change that one", other.id);
        return Err(Problem::new(StatusCode::CONFLICT, detail).into());
    }
    Ok(rule)
}

fn check_fields(rule: &Threshold) -> Result<(), Problem> {
    let fail = |detail: String| Err(Problem::unprocessable(detail));
    let is_name = |name: &str| {
        (1..=NAME_CHARS).contains(&name.chars().count()) && !name.ends_with(' ') && !name.chars().any(char::is_control)
    };
    if !is_metric(&rule.metric) || !is_name(&rule.metric) {
        return fail(format!("metric: a metric's name has a dot, at most {NAME_CHARS} characters and no space at its end"));
    }
    let subject = catalog::find(&rule.metric).map(|metric| metric.subject);
    let of_container = subject == Some(catalog::Subject::Container);
    if subject.is_some() && of_container != (rule.kind == Kind::Container) {
        return fail(format!("metric: {} is not a metric of a {}", rule.metric, rule.kind.as_str()));
    }
    if let Some(device) = &rule.device {
        if !is_name(device) {
            return fail(format!("device: a device's name has 1 to {NAME_CHARS} characters and no space at its end"));
        }
        if of_container || subject == Some(catalog::Subject::Host) {
            return fail(format!("device: {} is of the machine itself", rule.metric));
        }
    }
    if rule.is_beyond(rule.recovery_value) {
        let side = match rule.direction {
            Direction::Above => "above",
            Direction::Below => "below",
        };
        return fail(format!("recovery_value: {} is {side} the value {}", rule.recovery_value, rule.value));
    }
    if !(0..=FOR_SECONDS_MAX).contains(&rule.for_seconds) {
        return fail(format!("for_seconds: {} is not within 0 and {FOR_SECONDS_MAX}", rule.for_seconds));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Threshold {
        Threshold {
            id: 1,
            version: 1,
            kind: Kind::Host,
            machine_id: None,
            metric: "system.filesystem.utilization".to_owned(),
            device: Some("/".to_owned()),
            direction: Direction::Above,
            value: 0.9,
            recovery_value: 0.8,
            for_seconds: 60,
            severity: Severity::Warning,
            enabled: true,
        }
    }

    fn check_rule(change: impl FnOnce(&mut Threshold), problem: Option<&str>) {
        let mut rule = rule();
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
        check_rule(|rule| rule.kind = Kind::Container, Some("metric"));
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
    }
}
