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

use super::extract::{Params, id, words};
use super::follower::{Follower, Place, REPORTS_OF_MAX, ReportsOf, Topics};
use super::{App, Problem, STREAMS};
use crate::store;
use crate::thresholds::Kind;

/// Comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Nginx passes each event on at once only if it is told to; nobody else may put a stream by, or change it.
const HEADERS: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "no-cache, no-transform"), (HeaderName::from_static("x-accel-buffering"), "no")];

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamParams {
    /// Of violations, machines, reports, hosts, containers, rules, pipeline and clock, separated by commas; the first two without it.
    topics: Option<String>,
    /// Only violations, machines and reports of this one.
    machine_id: Option<String>,
    /// Ids of machines, separated by commas, of which all values are wanted; of a host those of its containers, too.
    reports_of: Option<String>,
    /// For clients that cannot set the header.
    last_event_id: Option<String>,
}

/// Server-sent events; `Last-Event-ID` resumes behind one.
#[utoipa::path(get, path = "/stream", tag = "stream", params(StreamParams),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
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
    if machine_id.is_some() && (topics.hosts || topics.containers) {
        return Err(Problem::bad_request("machine_id: the topics hosts and containers are of all machines; see reports_of"));
    }
    let reports_of = reports_of(&app, params.reports_of.as_deref()).await?;
    let Ok(permit) = Arc::clone(&app.streams).try_acquire_owned() else {
        metrics::counter!("streams_refused_total").increment(1);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{STREAMS} streams are open, try again")));
    };
    let follower = Follower::begin(app, topics, machine_id, reports_of, resume_after, Place::take(permit)).await?;
    let stream = Sse::new(messages(follower)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok((HEADERS, stream))
}

async fn reports_of(app: &App, text: Option<&str>) -> Result<ReportsOf, Problem> {
    let Some(text) = text else { return Ok(ReportsOf::default()) };
    let ids = words("reports_of", text, REPORTS_OF_MAX)?;
    let ids = ids.into_iter().map(|text| id("machine", text)).collect::<Result<Vec<i64>, Problem>>()?;
    let mut connection = app.store.read().await?;
    let machines = store::machines::of_ids(&mut connection, &ids).await?;
    let hosts: Vec<i64> = machines.iter().filter(|row| row.kind == Kind::Host).map(|row| row.host_key).collect();
    let host_ids = store::hosts::ids(&mut connection, &hosts).await?.into_iter().map(|(_, host_id)| host_id).collect();
    Ok(ReportsOf { machine_ids: ids, host_ids })
}

fn messages(follower: Follower) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    stream::unfold(follower, async |mut follower| Some((Ok(follower.next().await?), follower)))
}
