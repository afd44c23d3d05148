//! Ends the process when a part of it hangs, for its supervisor to start it again.
//!
//! Each part says by when it will be heard of again. A thread of its own looks after it, because a runtime whose threads all hang
//! runs no task. It counts its own ticks and reads no clock: a process that was stopped (SIGSTOP, a suspended machine) has not
//! hung. Outages of Kafka and of the backend make nobody late: all waits for them have an end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// `EX_SOFTWARE` of sysexits.h.
const EXIT_HANGS: i32 = 70;
const TICK: Duration = Duration::from_secs(1);
/// Added to every promise: a machine may be busy.
const SLACK: Duration = Duration::from_secs(15);
/// Nothing is promised.
const NEVER: u64 = u64::MAX;

#[derive(Clone, Default)]
pub(crate) struct Watchdog(Arc<Watched>);

#[derive(Default)]
struct Watched {
    ticks: AtomicU64,
    promises: Mutex<Vec<Weak<Given>>>,
}

/// What one part has promised; none any more when it is dropped.
pub(crate) struct Promise {
    watched: Arc<Watched>,
    given: Arc<Given>,
}

struct Given {
    what: String,
    /// The tick by which it is heard of.
    due: AtomicU64,
}

impl Watchdog {
    /// Looks after all promises until the last clone of this is gone.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.watch(TICK, |what| {
            tracing::error!(what, "hangs: this process ends, to be started again");
            std::process::exit(EXIT_HANGS);
        })
    }

    fn watch(&self, tick: Duration, act: impl Fn(&str) + Send + 'static) -> io::Result<()> {
        let watched = Arc::downgrade(&self.0);
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(tick);
                let Some(watched) = watched.upgrade() else { break };
                if let Some(what) = watched.tick() {
                    act(&what);
                }
            }
        })?;
        Ok(())
    }

    /// `what` is for the log. Nothing is promised at first.
    pub(crate) fn promise(&self, what: String) -> Promise {
        let given = Arc::new(Given { what, due: AtomicU64::new(NEVER) });
        let mut promises = self.0.promises.lock().unwrap_or_else(PoisonError::into_inner);
        promises.retain(|promise| promise.strong_count() > 0);
        promises.push(Arc::downgrade(&given));
        Promise { watched: Arc::clone(&self.0), given }
    }
}

impl Watched {
    /// One tick more; the first promise that is overdue by then.
    fn tick(&self) -> Option<String> {
        let now = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        let promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        let overdue = promises.iter().filter_map(Weak::upgrade).find(|given| given.due.load(Ordering::Relaxed) < now);
        overdue.map(|given| given.what.clone())
    }
}

impl Promise {
    /// To be heard of again within this time. It replaces what was promised before.
    pub(crate) fn within(&self, time: Duration) {
        let ticks = (time + SLACK).as_secs() / TICK.as_secs();
        self.given.due.store(self.watched.ticks.load(Ordering::Relaxed) + ticks, Ordering::Relaxed);
    }

    /// Nothing is to be done.
    pub(crate) fn rest(&self) {
        self.given.due.store(NEVER, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn ticks(watchdog: &Watchdog, count: u64) -> Option<String> {
        let mut found = None;
        for _ in 0..count {
            found = watchdog.0.tick();
        }
        found
    }

    #[test]
    fn who_is_not_heard_of_in_time_is_found() {
        let watchdog = Watchdog::default();
        let (punctual, late) = (watchdog.promise("punctual".to_owned()), watchdog.promise("late".to_owned()));
        assert_eq!(ticks(&watchdog, 1_000), None, "nothing is promised yet");
        let time = Duration::from_secs(5);
        let most = (time + SLACK).as_secs();
        late.within(time);
        for _ in 0..most {
            punctual.within(Duration::ZERO);
            assert_eq!(ticks(&watchdog, 1), None);
        }
        assert_eq!(ticks(&watchdog, 1).as_deref(), Some("late"));
        late.within(time);
        assert_eq!(ticks(&watchdog, 1), None, "it is back");
        punctual.rest();
        late.rest();
        assert_eq!(ticks(&watchdog, 1_000), None);
        punctual.within(Duration::ZERO);
        drop(punctual);
        assert_eq!(ticks(&watchdog, 1_000), None, "it is gone");
    }

    #[test]
    fn the_thread_finds_it_and_ends_with_the_last_watchdog() {
        let watchdog = Watchdog::default();
        let (found, finds) = mpsc::channel();
        watchdog.watch(Duration::from_millis(1), move |what| found.send(what.to_owned()).unwrap()).unwrap();
        let hangs = watchdog.promise("the loop".to_owned());
        hangs.within(Duration::ZERO);
        assert_eq!(finds.recv_timeout(Duration::from_secs(60)).as_deref(), Ok("the loop"));
        hangs.rest();
        drop((hangs, watchdog));
        // what was found before is received, then the sender is gone with its thread
        while finds.recv_timeout(Duration::from_secs(60)) != Err(mpsc::RecvTimeoutError::Disconnected) {}
    }
}
