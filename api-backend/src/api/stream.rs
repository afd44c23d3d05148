//! `GET /stream`: server-sent events. What stands in the `events` table carries its id, so that `Last-Event-ID` resumes behind it;
//! `report` and `resync` carry none.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Deserialize;

use super::extract::{Params, id};
use super::follower::{Follower, Place, Topics};
use super::{App, Problem, STREAMS};

/// Comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Nginx passes each event on at once only if it is told to; nobody else may put a stream by, or change it.
const HEADERS: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "no-cache, no-transform"), (HeaderName::from_static("x-accel-buffering"), "no")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamParams {
    topics: Option<String>,
    machine_id: Option<String>,
    /// For clients that cannot set the header.
    last_event_id: Option<String>,
}

pub(super) async fn follow(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> Result<impl IntoResponse, Problem> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").to_owned());
    let resume_after = header
        .or(params.last_event_id)
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse::<i64>().map_err(|_| Problem::bad_request(format!("Last-Event-ID: \"{text}\" is not one of ours")))
        })
        .transpose()?;
    let topics = Topics::parse(params.topics.as_deref().unwrap_or("violations,machines"))?;
    let machine_id = params.machine_id.as_deref().map(|text| id("machine", text)).transpose()?;
    let Ok(permit) = Arc::clone(&app.streams).try_acquire_owned() else {
        metrics::counter!("streams_refused_total").increment(1);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{STREAMS} streams are open, try again")));
    };
    let follower = Follower::begin(app, topics, machine_id, resume_after, Place::take(permit)).await?;
    let stream = Sse::new(messages(follower)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok((HEADERS, stream))
}

fn messages(follower: Follower) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    stream::unfold(follower, async |mut follower| Some((Ok(follower.next().await?), follower)))
}
