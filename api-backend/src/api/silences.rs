//! Silences and maintenance of machines.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::etag::{changed_meanwhile, etag, require_match};
use super::extract::{Body, Part, id};
use super::machine_names::machine_names;
use super::operator::operator;
use super::problem::{ChangeError, ProblemBody};
use super::silence_body::{SilenceBody, Told};
use super::{App, Page, Problem};
use crate::silence::{SILENCES_MAX, Silence};
use crate::store::{self, Connection, StoreError};
use crate::time::now_ms;

/// All of them, with those that ended of late.
#[utoipa::path(get, path = "/silences", tag = "silences", responses((status = 200, body = Page<Told>)))]
pub(super) async fn list_silences(State(app): State<App>) -> Result<Json<Page<Told>>, Problem> {
    let mut connection = app.store.read().await?;
    let silences = store::silences::all(&mut connection).await?;
    Ok(Json(Page { items: told(&mut connection, silences).await?, next_cursor: None }))
}

/// One silence, with its `ETag`.
#[utoipa::path(get, path = "/silences/{id}", tag = "silences", params(("id" = String, Path)),
    responses((status = 200, body = Told, headers(("ETag" = String, description = "Its version, in quotes")))))]
pub(super) async fn show_silence(State(app): State<App>, Part(text): Part) -> Result<Response, Problem> {
    let mut connection = app.store.read().await?;
    let silence = find(&mut connection, &text).await?;
    let tag = [(header::ETAG, etag(silence.version))];
    Ok((tag, Json(told(&mut connection, vec![silence]).await?.pop())).into_response())
}

async fn told(connection: &mut Connection, silences: Vec<Silence>) -> Result<Vec<Told>, StoreError> {
    let names = machine_names(connection, silences.iter().filter_map(|silence| silence.scope.machine_id)).await?;
    let now = now_ms();
    let item = |silence: Silence| {
        let names = silence.scope.machine_id.and_then(|id| names.get(&id).cloned()).unwrap_or_default();
        Told::of(silence, now).with_names(names)
    };
    Ok(silences.into_iter().map(item).collect())
}

/// A new silence, or a maintenance.
#[utoipa::path(post, path = "/silences", tag = "silences", params(("X-Operator" = Option<String>, Header, description = "Who does it")),
    request_body = SilenceBody,
    responses(
        (status = 201, body = Told, headers(("ETag" = String), ("Location" = String))),
        (status = 409, description = "There are too many", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "It makes no sense", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn create_silence(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body<SilenceBody>,
) -> Result<Response, Problem> {
    if body.id.is_some() {
        return Err(Problem::unprocessable("id: a new silence gets its id here"));
    }
    let now = now_ms();
    let new = Silence { created_by: operator(&headers)?, ..body.silence(&app.zone, now)? };
    if new.schedule.at(now) == Default::default() {
        return Err(Problem::unprocessable("ends_at: it would never be active"));
    }
    let silence = app.store.with_patience(|| insert(&app, new.clone())).await?;
    let location = HeaderValue::from_str(&format!("/api/v1/silences/{}", silence.id)).expect("digits are a header value");
    let mut response = answer(StatusCode::CREATED, silence);
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

async fn insert(app: &App, silence: Silence) -> Result<Silence, ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::silences::lock(&mut transaction).await?;
    check_machine(&mut transaction, &silence).await?;
    if store::silences::count(&mut transaction).await? >= SILENCES_MAX {
        let problem = format!("there are {SILENCES_MAX} silences: delete some");
        return Err(Problem::new(StatusCode::CONFLICT, problem).into());
    }
    let id = store::silences::insert(&mut transaction, &silence).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Silence { id, ..silence })
}

/// Changes a silence: one that ends now is over; nobody made it anew.
#[utoipa::path(put, path = "/silences/{id}", tag = "silences",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is known")),
    request_body = SilenceBody,
    responses(
        (status = 200, body = Told, headers(("ETag" = String))),
        (status = 412, description = "It was changed meanwhile", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "It makes no sense", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn replace_silence(
    State(app): State<App>,
    Part(text): Part,
    headers: HeaderMap,
    Body(body): Body<SilenceBody>,
) -> Result<Response, Problem> {
    if body.id.as_ref().is_some_and(|id| *id != text) {
        return Err(Problem::unprocessable("id: is not the one in the path"));
    }
    let version = body.version;
    let new = body.silence(&app.zone, now_ms())?;
    let silence = app.store.with_patience(|| replace(&app, &text, &headers, version, new.clone())).await?;
    Ok(answer(StatusCode::OK, silence))
}

async fn replace(
    app: &App,
    text: &str,
    headers: &HeaderMap,
    version: Option<i64>,
    silence: Silence,
) -> Result<Silence, ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::silences::lock(&mut transaction).await?;
    let before = find(&mut transaction, text).await?;
    require_match(headers, "silence", before.version)?;
    if version.is_some_and(|version| version != before.version) {
        return Err(changed_meanwhile("silence", before.version).into());
    }
    check_machine(&mut transaction, &silence).await?;
    let Silence { id, created_at, created_by, .. } = before;
    let silence = Silence { id, version: before.version + 1, created_at, created_by, ..silence };
    store::silences::update(&mut transaction, &silence).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(silence)
}

/// Deletes a silence; what it held back is announced.
#[utoipa::path(delete, path = "/silences/{id}", tag = "silences",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is known")),
    responses((status = 204, description = "It is gone"), (status = 412, description = "It was changed meanwhile", body = ProblemBody, content_type = "application/problem+json")))]
pub(super) async fn delete_silence(State(app): State<App>, Part(text): Part, headers: HeaderMap) -> Result<StatusCode, Problem> {
    app.store.with_patience(|| delete(&app, &text, &headers)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(app: &App, text: &str, headers: &HeaderMap) -> Result<(), ChangeError> {
    let mut transaction = app.store.begin().await?;
    store::silences::lock(&mut transaction).await?;
    let before = find(&mut transaction, text).await?;
    require_match(headers, "silence", before.version)?;
    store::silences::delete(&mut transaction, before.id).await?;
    Ok(transaction.commit().await.map_err(StoreError::from)?)
}

async fn find(connection: &mut Connection, text: &str) -> Result<Silence, ChangeError> {
    let silence = store::silences::get(connection, id("silence", text)?).await?;
    Ok(silence.ok_or_else(|| Problem::no_such("silence", text))?)
}

async fn check_machine(connection: &mut Connection, silence: &Silence) -> Result<(), ChangeError> {
    let Some(machine_id) = silence.scope.machine_id else { return Ok(()) };
    match store::machines::get(connection, machine_id).await? {
        Some(_) => Ok(()),
        None => Err(Problem::unprocessable(format!("scope.machine_id: there is no machine \"{machine_id}\"")).into()),
    }
}

fn answer(status: StatusCode, silence: Silence) -> Response {
    (status, [(header::ETAG, etag(silence.version))], Json(Told::of(silence, now_ms()))).into_response()
}
