//! `GET /pipeline/dead_letters`: what could not be stored, as far as consumers told of it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire_model::dead_letter_topic;

use super::cursor::{cursor, parse_cursor};
use super::extract::{Params, limit};
use super::{App, Problem};
use crate::store::letters::{LetterRow, list};
use crate::time::rfc3339;

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LetterParams {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 1,000; default: 100.
    limit: Option<i64>,
}

/// Dead letters, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub(super) struct List {
    items: Vec<Letter>,
    next_cursor: Option<String>,
}

/// A record of a dead-letter topic. Anybody may have written it: all but its place may be missing, and is nothing but text.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct Letter {
    id: String,
    /// The dead-letter topic.
    topic: String,
    partition: i32,
    offset: i64,
    /// Its time in Kafka; where that is none, or of the future, when it was heard of.
    #[schema(format = DateTime)]
    written_at: String,
    /// Why the record could not be stored.
    reason: Option<String>,
    origin: Origin,
    /// Begin of its key.
    key: Option<String>,
    /// Bytes of the record's payload, which the letter may have lost some of; absent where there is none.
    payload_bytes: Option<u64>,
    /// Begin of its payload: what cannot be shown is replaced.
    payload_start: Option<String>,
}

/// Where the record stood.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterOrigin)]
struct Origin {
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    /// Its time there.
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// The newest dead letters of each topic, newest first; of a topic 1,000 at most. Whole letters are in Kafka.
#[utoipa::path(get, path = "/pipeline/dead_letters", tag = "pipeline", params(LetterParams), responses((status = 200, body = List)))]
pub(super) async fn list_dead_letters(
    State(app): State<App>,
    Params(params): Params<LetterParams>,
) -> Result<Json<List>, Problem> {
    let limit = limit(params.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = params.cursor.as_deref().map(parse_cursor).transpose()?;
    let mut found = list(&mut *app.store.read().await?, after, limit + 1).await?;
    let has_more = found.len() as i64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = found.last().filter(|_| has_more).map(|last| cursor((last.written_at, last.id)));
    Ok(Json(List { items: found.into_iter().map(Letter::from).collect(), next_cursor }))
}

impl From<LetterRow> for Letter {
    fn from(row: LetterRow) -> Letter {
        let letter = row.letter;
        Letter {
            id: row.id.to_string(),
            topic: dead_letter_topic(&row.topic),
            partition: letter.partition,
            offset: letter.offset,
            written_at: rfc3339(row.written_at),
            reason: letter.reason,
            origin: Origin {
                topic: letter.origin_topic,
                partition: letter.origin_partition,
                offset: letter.origin_offset,
                at: letter.origin_at.map(rfc3339),
            },
            key: letter.key,
            payload_bytes: letter.payload_bytes,
            payload_start: letter.payload_start,
        }
    }
}
