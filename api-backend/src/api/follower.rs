//! One client of the stream: what it has seen, and what it is sent next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event as SseEvent;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, interval_at};
use tracing::debug;

use super::{App, Problem};
use crate::live::{MachineValues, NewestBriefs, PAGE, READ_TIMEOUT, RuleVersions};
use crate::store;
use crate::store::counters::{Counter, read};
use crate::store::events::{self, Event};
use crate::time::{now_ms, rfc3339};

/// A browser waits for a time between these before it comes back, each for another one: a thousand of them must not be back at
/// once when a backend was started anew.
const RETRY_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;

/// How often a client that is only sent some of the events learns how far the others are, so that it need not resume from long ago.
const MARK: Duration = Duration::from_secs(15);
/// How often a client that wants the clock is told the time: one that hears nothing for longer knows that its stream is lost.
const CLOCK: Duration = Duration::from_secs(5);
/// How often a client that wants the pipeline is told how it does.
const PIPELINE: Duration = Duration::from_secs(5);
/// Machines of `reports_of`.
pub(super) const REPORTS_OF_MAX: usize = 32;

fn retry() -> Duration {
    Duration::from_millis(fastrand::u64(RETRY_MS))
}

/// One of the places for streams, for as long as it is held.
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Place {
    pub(super) fn take(permit: OwnedSemaphorePermit) -> Place {
        metrics::gauge!("streams_open").increment(1.0);
        Place(permit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("streams_open").decrement(1.0);
    }
}

const TOPICS: &str = "violations, machines, reports, hosts, containers, rules, pipeline, clock";

/// What a client wants to hear of.
#[derive(Default)]
pub(super) struct Topics {
    pub(super) violations: bool,
    pub(super) machines: bool,
    /// All values of each machine.
    pub(super) reports: bool,
    /// One line of each host.
    pub(super) hosts: bool,
    /// One line of each container.
    pub(super) containers: bool,
    /// Versions of thresholds and silences.
    pub(super) rules: bool,
    /// What `GET /pipeline` answers.
    pub(super) pipeline: bool,
    /// The backend's time.
    pub(super) clock: bool,
}

impl Topics {
    pub(super) fn parse(text: &str) -> Result<Topics, Problem> {
        let mut topics = Topics::default();
        for topic in text.split(',').map(str::trim) {
            match topic {
                "violations" => topics.violations = true,
                "machines" => topics.machines = true,
                "reports" => topics.reports = true,
                "hosts" => topics.hosts = true,
                "containers" => topics.containers = true,
                "rules" => topics.rules = true,
                "pipeline" => topics.pipeline = true,
                "clock" => topics.clock = true,
                other => return Err(Problem::bad_request(format!("topics: \"{other}\" is not one of {TOPICS}"))),
            }
        }
        Ok(topics)
    }
}

/// Whose `report` events a client wants, whatever its topics are.
#[derive(Default)]
pub(super) struct ReportsOf {
    /// These machines.
    pub(super) machine_ids: Vec<i64>,
    /// The containers of these hosts.
    pub(super) host_ids: Vec<String>,
}

impl ReportsOf {
    fn is_empty(&self) -> bool {
        self.machine_ids.is_empty() && self.host_ids.is_empty()
    }

    fn names(&self, values: &MachineValues) -> bool {
        self.machine_ids.contains(&values.machine_id) || self.host_ids.contains(&values.host_id)
    }
}

/// One client.
pub(super) struct Follower {
    app: App,
    topics: Topics,
    machine_id: Option<i64>,
    reports_of: ReportsOf,
    /// Id of the last event that was sent or passed over.
    position: i64,
    /// Id that the client knows.
    known: i64,
    /// Ready to send: a page of events, or what one message of values holds.
    pending: VecDeque<SseEvent>,
    /// Whether the table may hold more behind `position` than the channel brings.
    is_behind: bool,
    events: Receiver<Arc<Event>>,
    /// Only for those who asked for them: as long as somebody follows, they are read every second.
    values: Option<Receiver<Arc<Vec<MachineValues>>>>,
    briefs: Option<Receiver<Arc<NewestBriefs>>>,
    rules: Option<watch::Receiver<Option<RuleVersions>>>,
    marks: Interval,
    clock: Interval,
    pipeline: Interval,
    /// Whether the client was told when to come back.
    has_ended: bool,
    _place: Place,
}

impl Follower {
    /// Behind `resume_after`, or from now on. The first message tells where it stands, so that a client which hears nothing more
    /// can resume there too.
    pub(super) async fn begin(
        app: App,
        topics: Topics,
        machine_id: Option<i64>,
        reports_of: ReportsOf,
        resume_after: Option<i64>,
        place: Place,
    ) -> store::Result<Follower> {
        // subscribed before the table is read: nothing falls between the two
        let events = app.live.events();
        let values = (topics.reports || !reports_of.is_empty()).then(|| app.live.values());
        let briefs = (topics.hosts || topics.containers).then(|| app.live.briefs());
        let rules = topics.rules.then(|| app.live.rules());
        let (position, is_lost) = start(&app, resume_after).await?;
        let mut pending = VecDeque::from([SseEvent::default().id(position.to_string()).retry(retry())]);
        if is_lost {
            pending.push_back(resync());
        }
        let marks = interval_at(Instant::now() + MARK, MARK);
        Ok(Follower {
            app,
            topics,
            machine_id,
            reports_of,
            position,
            known: position,
            pending,
            is_behind: true,
            events,
            values,
            briefs,
            rules,
            marks,
            clock: interval_at(Instant::now(), CLOCK),
            pipeline: interval_at(Instant::now(), PIPELINE),
            has_ended: false,
            _place: place,
        })
    }

    /// The next message; `None` ends the stream.
    pub(super) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            let shutdown = self.app.shutdown.clone();
            tokio::select! {
                biased;
                () = shutdown.requested() => {
                    let is_last = std::mem::replace(&mut self.has_ended, true);
                    return (!is_last).then(|| SseEvent::default().retry(retry()));
                }
                () = self.fill() => {}
            }
        }
    }

    /// Waits for something and makes it ready to send.
    async fn fill(&mut self) {
        if self.is_behind {
            if let Err(error) = self.catch_up().await {
                // whoever passes events on to all has said it louder
                debug!(%error, "a stream cannot read events, trying again");
                tokio::time::sleep(retry()).await;
            }
            return;
        }
        tokio::select! {
            event = self.events.recv() => match event {
                Ok(event) if event.id <= self.position => {}
                Ok(event) if event.id == self.position + 1 => self.take(&event),
                // a gap: the table has what the channel had not
                Ok(_) | Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => self.app.shutdown.requested().await,
            },
            values = next(&mut self.values) => match values {
                Ok(values) => self.take_values(&values),
                // newer ones follow
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => self.app.shutdown.requested().await,
            },
            briefs = next(&mut self.briefs) => match briefs {
                Ok(briefs) => self.take_briefs(&briefs),
                // newer ones follow
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => self.app.shutdown.requested().await,
            },
            versions = changed(&mut self.rules) => if let Some(versions) = versions {
                let body = serde_json::to_string(&versions).expect("it is two numbers");
                self.pending.push_back(SseEvent::default().event("rules").data(body));
            },
            _ = self.clock.tick(), if self.topics.clock => {
                let body = json!({"at": rfc3339(now_ms())});
                self.pending.push_back(SseEvent::default().event("clock").data(body.to_string()));
            }
            _ = self.pipeline.tick(), if self.topics.pipeline => match super::pipeline::current(&self.app).await {
                Ok(pipeline) => {
                    let body = serde_json::to_string(&pipeline).expect("it has text keys and is written to memory");
                    self.pending.push_back(SseEvent::default().event("pipeline").data(body));
                }
                Err(problem) => debug!(?problem, "a stream cannot tell of the pipeline, trying again"),
            },
            _ = self.marks.tick() => if self.known < self.position {
                self.known = self.position;
                self.pending.push_back(SseEvent::default().id(self.position.to_string()));
            },
        }
    }

    async fn catch_up(&mut self) -> store::Result<()> {
        let read = async { events::after(&mut *self.app.store.read().await?, self.position, PAGE).await };
        let page = store::in_time(READ_TIMEOUT, read).await?;
        self.is_behind = page.len() as i64 == PAGE;
        // ids have no gaps: a client so slow that what it had to come yet was removed is told
        if page.first().is_some_and(|event| event.id > self.position + 1) {
            self.pending.push_back(resync());
        }
        for event in &page {
            self.take(event);
        }
        Ok(())
    }

    fn take_values(&mut self, newest: &[MachineValues]) {
        let of_topic = |values: &MachineValues| self.topics.reports && self.machine_id.is_none_or(|id| id == values.machine_id);
        let wanted = newest.iter().filter(|values| of_topic(values) || self.reports_of.names(values));
        self.pending.extend(wanted.map(report_event));
    }

    fn take_briefs(&mut self, newest: &NewestBriefs) {
        let bodies = [("hosts", self.topics.hosts, &newest.hosts), ("containers", self.topics.containers, &newest.containers)];
        for (name, _, body) in bodies.into_iter().filter(|(_, is_wanted, _)| *is_wanted) {
            self.pending.extend(body.iter().map(|body| SseEvent::default().event(name).data(body)));
        }
    }

    fn take(&mut self, event: &Event) {
        self.position = event.id;
        let wanted = match event.topic.as_str() {
            "violations" => self.topics.violations,
            _ => self.topics.machines,
        };
        if wanted && self.machine_id.is_none_or(|wanted| wanted == event.machine_id) {
            self.known = event.id;
            self.pending.push_back(SseEvent::default().id(event.id.to_string()).event(&event.name).data(&event.body));
        }
    }
}

/// Where to begin, and whether events in between are lost.
async fn start(app: &App, resume_after: Option<i64>) -> store::Result<(i64, bool)> {
    let mut connection = app.store.read().await?;
    let newest = read(&mut connection, Counter::LastEventId).await?;
    let Some(position) = resume_after else { return Ok((newest, false)) };
    let oldest = events::oldest(&mut connection).await?.unwrap_or(newest + 1);
    if position < 0 || position > newest || position + 1 < oldest {
        return Ok((newest, true));
    }
    Ok((position, false))
}

fn resync() -> SseEvent {
    let reason = json!({"reason": "events after your Last-Event-ID are no longer kept: read the lists again"});
    SseEvent::default().event("resync").data(reason.to_string())
}

/// Never, where nothing is followed.
async fn next<T: Clone>(receiver: &mut Option<Receiver<T>>) -> Result<T, RecvError> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// Other versions than those that were sent last; never, where nothing is followed.
async fn changed(receiver: &mut Option<watch::Receiver<Option<RuleVersions>>>) -> Option<RuleVersions> {
    let Some(receiver) = receiver else { return std::future::pending().await };
    receiver.changed().await.expect("the sender is the application's, which we hold");
    *receiver.borrow_and_update()
}

fn report_event(values: &MachineValues) -> SseEvent {
    let body = serde_json::to_string(values).expect("values have text keys and write to memory");
    SseEvent::default().event("report").data(body)
}
