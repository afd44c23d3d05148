//! `GET /events`: what happened to machines, by machine and time.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::{cursor, parse_cursor};
use super::extract::id;
use super::fields::Fields;
use super::violation_query::{take_limit, take_range};
use super::{App, Problem};
use crate::machine::Event;
use crate::store::StoreError;
use crate::store::machine_events::{MachineEvent, NAMES, Page, list};

/// What happened to machines, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = MachineEvents)]
pub(super) struct List {
    items: Vec<Listed>,
    next_cursor: Option<String>,
}

/// What happened to a machine.
#[derive(Serialize, ToSchema)]
#[schema(as = MachineEvent)]
struct Listed {
    /// As in the stream.
    id: String,
    /// `machine.up`, `machine.down` or `machine.rebooted`, as in the stream.
    r#type: String,
    #[serde(flatten)]
    event: Event,
}

/// What happened to machines: `machine.up`, `machine.down` and `machine.rebooted` of the stream, by the time at which it happened, newest first.
#[utoipa::path(get, path = "/events", tag = "machines",
    params(
        ("machine_id" = Option<String>, Query, description = "Ids of machines, separated by commas; default: all"),
        ("type" = Option<String>, Query, description = "Of `machine.up`, `machine.down` and `machine.rebooted`, separated by commas; default: all"),
        ("from" = Option<String>, Query, description = "Time, or date in `tz`"),
        ("to" = Option<String>, Query, description = "The same; not in the range itself"),
        ("tz" = Option<String>, Query, description = "IANA name of a time zone; default: the server's"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 1,000; default: 100"),
    ),
    responses((status = 200, body = List)))]
pub(super) async fn list_events(State(app): State<App>, mut fields: Fields) -> Result<Json<List>, Problem> {
    let range = take_range(&app, &mut fields)?;
    let machine_ids = fields.words("machine_id")?.iter().map(|text| id("machine", text)).collect::<Result<_, _>>()?;
    let names = fields.words("type")?.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
    let after = fields.one("cursor")?.as_deref().map(parse_cursor).transpose()?;
    let limit = take_limit(&mut fields)?;
    fields.end()?;
    let page = Page { machine_ids, names, from: range.from, to: range.to, after, limit: limit + 1 };
    let mut found = list(&mut *app.store.read().await?, app.store.dialect(), &page).await?;
    let has_more = found.len() as i64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = found.last().filter(|_| has_more).map(|last| cursor((last.occurred_at, last.id)));
    let items = found.into_iter().map(listed).collect::<Result<_, _>>()?;
    Ok(Json(List { items, next_cursor }))
}

fn name(text: &str) -> Result<&'static str, Problem> {
    let known = NAMES.into_iter().find(|name| *name == text);
    known.ok_or_else(|| Problem::bad_request(format!("type: \"{text}\" is not one of {}", NAMES.join(", "))))
}

fn listed(event: MachineEvent) -> Result<Listed, StoreError> {
    let body = serde_json::from_str(&event.body);
    let body = body.map_err(|error| StoreError::Corrupt(format!("event {}: {error}", event.id)))?;
    Ok(Listed { id: event.id.to_string(), r#type: event.name, event: body })
}
