//! Keeps the inventory up to date: Docker's events say at once what changed, and a look at the list every half minute
//! catches what they did not say. Only containers that changed are inspected, because the engine pays for each inspection.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{Stream, StreamExt, stream};
use service_runtime::{Shutdown, backoff};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire_model::limits;

use super::describe::{from_inspection, from_summary, is_as_listed};
use super::inventory::{Container, Inventory};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The first look may have missed what happened before the engine began to send events.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(2);
/// Events come in bursts (`compose up`): one inspection for all of a burst.
const BURST: Duration = Duration::from_millis(50);
const INSPECTIONS_AT_ONCE: usize = 8;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// What changes a row of the table. Health checks that run (`exec_…`) would be most of all events.
const EVENTS: [&str; 11] =
    ["create", "start", "restart", "die", "oom", "destroy", "rename", "update", "pause", "unpause", "health_status"];

/// Follows the engine until shutdown. The inventory is `None` while no engine answers, which is normal on a host without
/// containers and therefore said once.
pub(crate) async fn follow(
    docker_host: String,
    inventory: watch::Sender<Option<Arc<Inventory>>>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut waits = backoff(FIRST_RETRY, LONGEST_RETRY);
    let mut said = false;
    loop {
        let error = tokio::select! {
            () = shutdown.requested() => return Ok(()),
            Err(error) = follow_once(&docker_host, &inventory) => error,
        };
        if inventory.send_replace(None).is_some() {
            waits = backoff(FIRST_RETRY, LONGEST_RETRY);
            said = false;
        }
        if !said {
            tracing::info!(docker_host, error = format!("{error:#}"), "no Docker engine answers: reports have no containers");
            said = true;
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = sleep(waits.next().unwrap_or(LONGEST_RETRY)) => {}
        }
    }
}

/// A connection that speaks the older of both versions of the API.
pub(super) async fn connect(docker_host: &str) -> anyhow::Result<Docker> {
    let seconds = REQUEST_TIMEOUT.as_secs();
    let docker = if docker_host.starts_with("unix://") {
        Docker::connect_with_unix(docker_host, seconds, API_DEFAULT_VERSION)
    } else {
        Docker::connect_with_http(docker_host, seconds, API_DEFAULT_VERSION)
    };
    let docker = docker.context("connect to the Docker engine")?;
    timeout(REQUEST_TIMEOUT, docker.negotiate_version()).await.context("wait for the version")?.context("negotiate the version")
}

/// From the connection to its end, which is always an error.
async fn follow_once(docker_host: &str, inventory: &watch::Sender<Option<Arc<Inventory>>>) -> anyhow::Result<()> {
    let docker = connect(docker_host).await?;
    let mut events = pin!(changes(&docker));
    let mut follower = Follower { docker: &docker, known: BTreeMap::new() };
    let mut changed = BTreeSet::new();
    {
        // events are read from the start, so that what happens during the first look is not missed
        let mut first_look = pin!(follower.look());
        loop {
            tokio::select! {
                biased;
                event = events.next() => { changed.insert(event.context("follow the events: they ended")??); }
                looked = &mut first_look => break looked?,
            }
        }
    }
    tracing::info!(docker_host, api = %docker.client_version(), containers = follower.known.len(), "following the Docker engine");
    let mut next_look = Instant::now() + SECOND_LOOK_AFTER;
    loop {
        follower.inspect(std::mem::take(&mut changed)).await?;
        follower.publish(inventory);
        tokio::select! {
            event = events.next() => {
                changed.insert(event.context("follow the events: they ended")??);
                let burst_over = Instant::now() + BURST;
                while let Ok(event) = tokio::time::timeout_at(burst_over, events.next()).await {
                    changed.insert(event.context("follow the events: they ended")??);
                }
            }
            () = sleep_until(next_look) => {
                follower.look().await?;
                next_look = Instant::now() + LOOK_EVERY;
            }
        }
    }
}

/// Ids of containers of which something changed.
fn changes(docker: &Docker) -> impl Stream<Item = Result<String, DockerError>> + use<> {
    let filters = HashMap::from([("type", vec!["container"]), ("event", EVENTS.to_vec())]);
    let events = docker.events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
    events.filter_map(async |event| match event {
        Ok(event) => event.actor?.id.map(Ok),
        Err(error) => Some(Err(error)),
    })
}

struct Follower<'d> {
    docker: &'d Docker,
    known: BTreeMap<String, Arc<Container>>,
}

impl Follower<'_> {
    /// Compares with the engine's list and inspects what is new or differs.
    async fn look(&mut self) -> anyhow::Result<()> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let listing = timeout(REQUEST_TIMEOUT, self.docker.list_containers(Some(options)));
        let summaries = listing.await.context("wait for the list of containers")?.context("list the containers")?;
        let listed: BTreeMap<String, Container> =
            summaries.iter().filter_map(from_summary).map(|container| (container.id.clone(), container)).collect();
        self.known.retain(|id, _| listed.contains_key(id));
        let mut differ = BTreeSet::new();
        for (id, listed) in listed {
            match self.known.get(&id) {
                Some(known) if is_as_listed(known, &listed) || listed.state == "created" => {}
                _ => {
                    differ.insert(id.clone());
                    // until it is inspected, the list's word stands
                    self.known.insert(id, Arc::new(listed));
                }
            }
        }
        self.inspect(differ).await
    }

    /// Inspects some containers. One that does not answer stays as it was: engines are known to hang on a single one.
    async fn inspect(&mut self, ids: BTreeSet<String>) -> anyhow::Result<()> {
        let docker = self.docker;
        let inspections = stream::iter(ids).map(async |id| {
            let inspection = docker.inspect_container(&id, None::<InspectContainerOptions>);
            (timeout(REQUEST_TIMEOUT, inspection).await, id)
        });
        let mut answers = pin!(inspections.buffer_unordered(INSPECTIONS_AT_ONCE));
        while let Some((answer, id)) = answers.next().await {
            match answer {
                Ok(Ok(inspected)) => {
                    if let Some(container) = from_inspection(&inspected) {
                        self.known.insert(id, Arc::new(container));
                    }
                }
                Ok(Err(DockerError::DockerResponseServerError { status_code: 404, .. })) => drop(self.known.remove(&id)),
                Ok(Err(DockerError::DockerResponseServerError { status_code, message })) => {
                    tracing::warn!(id, status_code, message, "cannot inspect a container");
                }
                Ok(Err(error)) => return Err(error).context("inspect a container"),
                Err(_) => tracing::warn!(id, "the engine does not answer about a container"),
            }
        }
        Ok(())
    }

    fn publish(&self, inventory: &watch::Sender<Option<Arc<Inventory>>>) {
        let now = Inventory::new(self.known.values().cloned().collect(), limits::CONTAINERS);
        inventory.send_if_modified(|former| {
            let differs = former.as_deref() != Some(&now);
            if differs {
                *former = Some(Arc::new(now));
            }
            differs
        });
    }
}
