//! Thresholds: the rules, with all their versions.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::etag::{changed_meanwhile, etag, require_match};
use super::extract::{Body, Part, id};
use super::machine_names::{Names, machine_names};
use super::operator::operator;
use super::problem::{ChangeError, ProblemBody};
use super::threshold_body::{ThresholdBody, check};
use super::{App, Page, Problem};
use crate::store::thresholds::{Change, ThresholdVersion};
use crate::store::{self, Connection, StoreError};
use crate::thresholds::Threshold;
use crate::time::{now_ms, rfc3339};

/// A rule that is stored, with what is known about it.
#[derive(Serialize, ToSchema)]
pub(super) struct KnownThreshold {
    #[serde(flatten)]
    rule: ThresholdBody,
    /// Absent of one that came with the program, or was made before versions were kept, and was not changed since.
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    changed_by: Option<String>,
    /// Of the machine in its scope.
    machine_name: Option<String>,
    host_name: Option<String>,
}

async fn known(connection: &mut Connection, rules: Vec<Threshold>) -> Result<Vec<KnownThreshold>, StoreError> {
    let mut changes = store::thresholds::last_changes(connection).await?;
    let names = machine_names(connection, rules.iter().filter_map(|rule| rule.machine_id)).await?;
    let item = |rule: Threshold| {
        let (changed_at, changed_by) = changes.remove(&rule.id).unwrap_or_default();
        let Names { machine, host } = rule.machine_id.and_then(|id| names.get(&id).cloned()).unwrap_or_default();
        KnownThreshold {
            rule: rule.into(),
            changed_at: changed_at.map(rfc3339),
            changed_by,
            machine_name: machine,
            host_name: host,
        }
    };
    Ok(rules.into_iter().map(item).collect())
}

/// All rules.
#[utoipa::path(get, path = "/thresholds", tag = "thresholds", responses((status = 200, body = Page<KnownThreshold>)))]
pub(super) async fn list_thresholds(State(app): State<App>) -> Result<Json<Page<KnownThreshold>>, Problem> {
    let mut connection = app.store.read().await?;
    let rules = store::thresholds::all(&mut connection).await?;
    Ok(Json(Page { items: known(&mut connection, rules).await?, next_cursor: None }))
}

/// One rule, with its `ETag`.
#[utoipa::path(get, path = "/thresholds/{id}", tag = "thresholds", params(("id" = String, Path)),
    responses((status = 200, body = KnownThreshold, headers(("ETag" = String, description = "Its version, in quotes")))))]
pub(super) async fn show_threshold(State(app): State<App>, Part(text): Part) -> Result<Response, Problem> {
    let mut connection = app.store.read().await?;
    let rule = find(&mut connection, &text).await?;
    let tag = [(header::ETAG, etag(rule.version))];
    Ok((tag, Json(known(&mut connection, vec![rule]).await?.pop())).into_response())
}

/// A new rule. It counts from the next report on.
#[utoipa::path(post, path = "/thresholds", tag = "thresholds", params(("X-Operator" = Option<String>, Header, description = "Who does it")),
    request_body = ThresholdBody,
    responses(
        (status = 201, body = ThresholdBody, headers(("ETag" = String), ("Location" = String))),
        (status = 409, description = "Another rule says the same of the same series", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "It makes no sense", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn create_threshold(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body<ThresholdBody>,
) -> Result<Response, Problem> {
    if body.id.is_some() {
        return Err(Problem::unprocessable("id: a new threshold gets its id here"));
    }
    let change = change(&headers)?;
    let rule = app.store.with_patience(|| insert(&app, body.clone(), &change)).await?;
    let mut response = answer(StatusCode::CREATED, rule.clone());
    let location = HeaderValue::from_str(&format!("/api/v1/thresholds/{}", rule.id)).expect("digits are a header value");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

async fn insert(app: &App, body: ThresholdBody, change: &Change) -> Result<Threshold, ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::thresholds::lock(&mut transaction).await?;
    let rule = check(&mut transaction, body, None).await?;
    let id = store::thresholds::insert(&mut transaction, &rule, change).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Threshold { id, version: 1, ..rule })
}

/// Changes a rule: a new version of it.
#[utoipa::path(put, path = "/thresholds/{id}", tag = "thresholds",
    params(
        ("id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is known"),
        ("X-Operator" = Option<String>, Header, description = "Who does it"),
    ),
    request_body = ThresholdBody,
    responses(
        (status = 200, body = ThresholdBody, headers(("ETag" = String))),
        (status = 409, description = "Another rule says the same of the same series", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "It was changed meanwhile", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "It makes no sense, or metric, condition or direction are others", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn replace_threshold(
    State(app): State<App>,
    Part(text): Part,
    headers: HeaderMap,
    Body(body): Body<ThresholdBody>,
) -> Result<Response, Problem> {
    if body.id.as_ref().is_some_and(|id| *id != text) {
        return Err(Problem::unprocessable("id: is not the one in the path"));
    }
    let change = change(&headers)?;
    let rule = app.store.with_patience(|| replace(&app, &text, &headers, body.clone(), &change)).await?;
    Ok(answer(StatusCode::OK, rule))
}

async fn replace(
    app: &App,
    text: &str,
    headers: &HeaderMap,
    body: ThresholdBody,
    change: &Change,
) -> Result<Threshold, ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::thresholds::lock(&mut transaction).await?;
    let before = find(&mut transaction, text).await?;
    require_match(headers, "threshold", before.version)?;
    if body.version.is_some_and(|version| version != before.version) {
        return Err(changed_meanwhile("threshold", before.version).into());
    }
    let rule = check(&mut transaction, body, Some(before.id)).await?;
    // an open violation is one of this series, this quantity and this side
    if (&rule.metric, rule.quantity, rule.direction) != (&before.metric, before.quantity, before.direction) {
        let problem = "metric, condition and direction stay as they are: delete this threshold and create another one";
        return Err(Problem::unprocessable(problem).into());
    }
    let rule = Threshold { id: before.id, version: before.version + 1, ..rule };
    store::thresholds::update(&mut transaction, &rule, change).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(rule)
}

/// Deletes a rule; its violations close.
#[utoipa::path(delete, path = "/thresholds/{id}", tag = "thresholds",
    params(
        ("id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is known"),
        ("X-Operator" = Option<String>, Header, description = "Who does it"),
    ),
    responses((status = 204, description = "It is gone"), (status = 412, description = "It was changed meanwhile", body = ProblemBody, content_type = "application/problem+json")))]
pub(super) async fn delete_threshold(
    State(app): State<App>,
    Part(text): Part,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let change = change(&headers)?;
    app.store.with_patience(|| delete(&app, &text, &headers, &change)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(app: &App, text: &str, headers: &HeaderMap, change: &Change) -> Result<(), ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::thresholds::lock(&mut transaction).await?;
    let before = find(&mut transaction, text).await?;
    require_match(headers, "threshold", before.version)?;
    store::thresholds::delete(&mut transaction, &before, change).await?;
    Ok(transaction.commit().await.map_err(StoreError::from)?)
}

/// A version of a rule.
#[derive(Serialize, ToSchema)]
#[schema(as = ThresholdVersion)]
pub(super) struct Version {
    version: i64,
    /// Absent: before versions were kept.
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    changed_by: Option<String>,
    /// Absent: it was deleted then.
    threshold: Option<ThresholdBody>,
}

impl From<ThresholdVersion> for Version {
    fn from(version: ThresholdVersion) -> Version {
        Version {
            version: version.threshold.version,
            changed_at: version.changed_at.map(rfc3339),
            changed_by: version.changed_by,
            threshold: (!version.is_deleted).then(|| version.threshold.into()),
        }
    }
}

/// What a rule was, the newest version first; also of one that was deleted.
#[utoipa::path(get, path = "/thresholds/{id}/versions", tag = "thresholds", params(("id" = String, Path)),
    responses((status = 200, body = Page<Version>)))]
pub(super) async fn list_versions(State(app): State<App>, Part(text): Part) -> Result<Json<Page<Version>>, Problem> {
    let versions = store::thresholds::versions(&mut *app.store.read().await?, id("threshold", &text)?).await?;
    if versions.is_empty() {
        return Err(Problem::no_such("threshold", &text));
    }
    Ok(Json(Page { items: versions.into_iter().map(Version::from).collect(), next_cursor: None }))
}

async fn find(connection: &mut Connection, text: &str) -> Result<Threshold, ChangeError> {
    let rule = store::thresholds::get(connection, id("threshold", text)?).await?;
    Ok(rule.ok_or_else(|| Problem::no_such("threshold", text))?)
}

fn answer(status: StatusCode, rule: Threshold) -> Response {
    (status, [(header::ETAG, etag(rule.version))], Json(ThresholdBody::from(rule))).into_response()
}

fn change(headers: &HeaderMap) -> Result<Change, Problem> {
    Ok(Change { at: now_ms(), by: operator(headers)? })
}
