//! `GET /stream`: server-sent events. What stands in the `events` table carries its id, so that `Last-Event-ID` resumes behind it;
//! `report` and `resync` carry none.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::extract::{Params, id};
use super::{App, Problem};
use crate::live::{MachineValues, PAGE};
use crate::store::counters::{Counter, read};
use crate::store::events::{self, Event};
use crate::store::{self, StoreError};

/// Comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamParams {
    topics: Option<String>,
    machine_id: Option<String>,
    /// For clients that cannot set the header.
    last_event_id: Option<String>,
}

#[derive(Default)]
struct Topics {
    violations: bool,
    machines: bool,
    reports: bool,
}

impl Topics {
    fn parse(text: &str) -> Result<Topics, Problem> {
        let mut topics = Topics::default();
        for topic in text.split(',').map(str::trim) {
            match topic {
                "violations" => topics.violations = true,
                "machines" => topics.machines = true,
                "reports" => topics.reports = true,
                other => {
                    return Err(Problem::bad_request(format!("topics: \"{other}\" is not one of violations, machines, reports")));
                }
            }
        }
        Ok(topics)
    }
}

/// One client.
struct Follower {
    app: App,
    topics: Topics,
    machine_id: Option<i64>,
    /// Id of the last event that was sent or passed over.
    position: i64,
    /// Ready to send.
    pending: VecDeque<SseEvent>,
    /// Whether the table may hold more behind `position` than the channel brings.
    is_behind: bool,
    events: Receiver<Arc<Event>>,
    /// Only for those who asked for them: as long as somebody follows, they are read every second.
    values: Option<Receiver<Arc<Vec<MachineValues>>>>,
}

pub(super) async fn follow(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Problem> {
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
    // subscribed before the table is read: nothing falls between the two
    let events = app.live.events();
    let values = topics.reports.then(|| app.live.values());
    let (position, is_lost) = start(&app, resume_after).await?;
    let mut pending = VecDeque::from([SseEvent::default().id(position.to_string()).retry(RETRY)]);
    if is_lost {
        let reason = json!({"reason": "events after your Last-Event-ID are no longer kept: read the lists again"});
        pending.push_back(SseEvent::default().event("resync").data(reason.to_string()));
    }
    let follower = Follower { app, topics, machine_id, position, pending, is_behind: true, events, values };
    Ok(Sse::new(stream::unfold(follower, Follower::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Where to begin, and whether events in between are lost.
async fn start(app: &App, resume_after: Option<i64>) -> Result<(i64, bool), StoreError> {
    let mut connection = app.store.read().await?;
    let newest = read(&mut connection, Counter::LastEventId).await?;
    let Some(position) = resume_after else { return Ok((newest, false)) };
    let oldest = events::oldest(&mut connection).await?.unwrap_or(newest + 1);
    if position < 0 || position > newest || position + 1 < oldest {
        return Ok((newest, true));
    }
    Ok((position, false))
}

impl Follower {
    /// The next event, with the client's new state; `None` ends the stream.
    async fn next(mut self) -> Option<(Result<SseEvent, Infallible>, Follower)> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some((Ok(event), self));
            }
            let shutdown = self.app.shutdown.clone();
            tokio::select! {
                () = shutdown.requested() => return None,
                () = self.fill() => {}
            }
        }
    }

    /// Waits for something and makes it ready to send.
    async fn fill(&mut self) {
        if self.is_behind {
            match self.catch_up().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "a stream cannot read events, trying again");
                    tokio::time::sleep(RETRY).await;
                    return;
                }
            }
        }
        tokio::select! {
            event = self.events.recv() => match event {
                Ok(event) if event.id <= self.position => {}
                Ok(event) if event.id == self.position + 1 => self.take(&event),
                // a gap: the table has what the channel had not
                Ok(_) | Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => self.app.shutdown.requested().await,
            },
            values = next_values(&mut self.values) => match values {
                Ok(values) => {
                    let wanted = self.machine_id;
                    let values = values.iter().filter(|values| wanted.is_none_or(|wanted| wanted == values.machine_id));
                    self.pending.extend(values.map(report_event));
                }
                // newer ones follow
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => self.app.shutdown.requested().await,
            },
        }
    }

    async fn catch_up(&mut self) -> store::Result<()> {
        let page = events::after(&mut *self.app.store.read().await?, self.position, PAGE).await?;
        self.is_behind = page.len() as i64 == PAGE;
        for event in &page {
            self.take(event);
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) {
        self.position = event.id;
        let wanted = match event.topic.as_str() {
            "violations" => self.topics.violations,
            _ => self.topics.machines,
        };
        if wanted && self.machine_id.is_none_or(|wanted| wanted == event.machine_id) {
            self.pending.push_back(SseEvent::default().id(event.id.to_string()).event(&event.name).data(&event.body));
        }
    }
}

async fn next_values(values: &mut Option<Receiver<Arc<Vec<MachineValues>>>>) -> Result<Arc<Vec<MachineValues>>, RecvError> {
    match values {
        Some(values) => values.recv().await,
        None => std::future::pending().await,
    }
}

fn report_event(values: &MachineValues) -> SseEvent {
    let body = serde_json::to_string(values).expect("values have text keys and write to memory");
    SseEvent::default().event("report").data(body)
}
