//! What just happened, for everyone who follows: events out of their table in order, and the newest values of machines.
//!
//! The table is the truth and the channels are only its fast lane: a follower that falls behind reads the table again, and so
//! events that another backend appended reach the followers of this one.

pub mod brief;
mod rules;
mod values;

use std::sync::Arc;
use std::time::Duration;

use service_runtime::Shutdown;
use tokio::sync::{Notify, broadcast, watch};
use tracing::{debug, info, warn};

use crate::store::counters::{self, Counter};
use crate::store::events::{self, Event};
use crate::store::{self, Result, Store};

pub use rules::{RuleVersions, follow_rules};
pub use values::{MachineValues, NewestBriefs, follow_values};

/// Events kept for followers that are a little behind.
const EVENTS_BUFFERED: usize = 1_024;
/// Messages of values kept for followers that are a little behind: 16,000 machines. Who is further behind sees newer ones later.
const VALUES_BUFFERED: usize = 32;
/// How long an event of another backend stays unnoticed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A read that takes longer waits on a connection that is dead.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Events read at once.
pub const PAGE: i64 = 500;

/// Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Live {
    wake: Arc<Notify>,
    events: broadcast::Sender<Arc<Event>>,
    values: broadcast::Sender<Arc<Vec<MachineValues>>>,
    briefs: broadcast::Sender<Arc<NewestBriefs>>,
    rules: watch::Sender<Option<RuleVersions>>,
}

impl Default for Live {
    fn default() -> Live {
        Live {
            wake: Arc::default(),
            events: broadcast::Sender::new(EVENTS_BUFFERED),
            values: broadcast::Sender::new(VALUES_BUFFERED),
            briefs: broadcast::Sender::new(VALUES_BUFFERED),
            rules: watch::Sender::new(None),
        }
    }
}

impl Live {
    /// Something was committed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Events from now on, in order.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Newest values of the machines whose hosts reported, once a second.
    pub fn values(&self) -> broadcast::Receiver<Arc<Vec<MachineValues>>> {
        self.values.subscribe()
    }

    /// One line of each of them, as often.
    pub fn briefs(&self) -> broadcast::Receiver<Arc<NewestBriefs>> {
        self.briefs.subscribe()
    }

    /// Versions of rules and silences: what is known of them first, then each change.
    pub fn rules(&self) -> watch::Receiver<Option<RuleVersions>> {
        let mut receiver = self.rules.subscribe();
        receiver.mark_changed();
        receiver
    }
}

/// Passes events behind `position` on from the table to the followers, until shutdown.
///
/// `position` must have been read before the first follower could come, and the table is followed also while nobody listens:
/// whoever subscribes and then reads the table must find nothing missing in between.
pub async fn follow_events(store: Store, live: Live, mut position: i64, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = live.wake.notified(), if !is_failing => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let outcome = store::in_time(READ_TIMEOUT, pass_on(&store, &live, &mut position)).await;
        match &outcome {
            Err(error) if !is_failing => warn!(%error, "cannot read events, trying again"),
            Err(error) => debug!(%error, "still cannot read events"),
            Ok(()) if is_failing => info!(position, "events can be read again"),
            Ok(()) => {}
        }
        is_failing = outcome.is_err();
    }
}

/// Id of the newest event.
pub async fn newest_event(store: &Store) -> Result<i64> {
    counters::read(&mut *store.read().await?, Counter::LastEventId).await
}

async fn pass_on(store: &Store, live: &Live, position: &mut i64) -> Result<()> {
    let mut connection = store.read().await?;
    loop {
        let page = events::after(&mut connection, *position, PAGE).await?;
        let is_full = page.len() as i64 == PAGE;
        for event in page {
            *position = event.id;
            // an error means that nobody listens
            drop(live.events.send(Arc::new(event)));
        }
        if !is_full {
            return Ok(());
        }
    }
}
