//! The thread that owns the spool and the Kafka client: keeps what the ticks hand over, sends it in order and at a bounded pace, and lets go of what
//! Kafka has acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use service_runtime::kafka::KafkaConfig;
use service_runtime::{Health, backoff};
use spool::Record;
use tokio::sync::Notify;
use wire_model::Removed;

use super::figures::{SpoolBoard, SpoolFigures};
use super::outage::Outage;
use super::outbox::Outbox;
use super::pace::Pace;
use super::producer::{Outcome, Producer};
use super::window::Window;
use super::{CHECK, NotTaken};
use crate::telemetry::{delivered, spool_is};

/// A report that is on its way for longer makes the collector not ready, and holds the others back: what Kafka's client has would all
/// leave at once when Kafka is back.
const PATIENCE: Duration = Duration::from_secs(10);
const STALLED: Duration = Duration::from_secs(5);
/// How long the spool's files may fail to be read before the rest of the segment is given up.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the outcome of deliveries: soon after sending, and later.
const LOOK_SOON: Duration = Duration::from_millis(10);
const LOOK_LATER: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// What is on its way may arrive before the exit; the rest stays in the spool.
const FLUSH: Duration = Duration::from_secs(5);

/// What the sender has in common with others.
pub(crate) struct Shared {
    pub(crate) kafka: KafkaConfig,
    pub(crate) interval: Duration,
    pub(crate) limit_bytes: u64,
    pub(crate) health: Health,
    pub(crate) board: SpoolBoard,
    pub(crate) not_taken: Arc<NotTaken>,
    /// Wakes the task that creates the topic.
    pub(crate) topic_is_missing: Arc<Notify>,
}

pub(crate) struct Sender {
    shared: Shared,
    outbox: Outbox,
    producer: Producer,
    window: Window,
    /// Read, and waits for its time.
    next: Option<Record>,
    /// Kafka refused something as too large: one report at a time, to see which.
    one_at_a_time: bool,
    failure: Option<Code>,
    too_large: bool,
    pace: Pace,
    paused_until: Option<Instant>,
    retries: Box<dyn Iterator<Item = Duration> + Send>,
    outage: Outage,
    unreadable_since: Option<Instant>,
    /// Unix ms of the oldest report that waits, as far as it is known.
    oldest_at: Option<i64>,
}

impl Sender {
    pub(crate) fn new(shared: Shared, outbox: Outbox) -> anyhow::Result<Sender> {
        shared.health.set(CHECK, Err("nothing delivered yet".to_owned()));
        let producer = Producer::new(&shared.kafka)?;
        let now = Instant::now();
        let mut sender = Sender {
            pace: Pace::new(shared.interval, now),
            shared,
            outbox,
            producer,
            window: Window::default(),
            next: None,
            one_at_a_time: false,
            failure: None,
            too_large: false,
            paused_until: None,
            retries: retries(),
            outage: Outage::default(),
            unreadable_since: None,
            oldest_at: None,
        };
        sender.next = sender.read(now);
        let waiting = sender.outbox.waiting();
        if waiting > 0 {
            tracing::info!(waiting, "reports of the former start wait in the spool");
            sender.begin_slowly(now);
        }
        sender.show();
        Ok(sender)
    }

    /// Until the other end of the channel is gone.
    pub(crate) fn run(mut self, reports: &Receiver<Record>) -> anyhow::Result<()> {
        loop {
            match reports.recv_timeout(self.wait(Instant::now())) {
                Ok(record) => std::iter::once(record).chain(reports.try_iter()).for_each(|record| self.outbox.push(record)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.work(Instant::now())?;
        }
        self.outbox.note_made(self.shared.not_taken.last_seq.load(Ordering::Relaxed));
        let deadline = Instant::now() + FLUSH;
        while Instant::now() < deadline && !self.window.is_idle() && self.failure.is_none() {
            std::thread::sleep(LOOK_SOON);
            self.settle(Instant::now());
        }
        let waiting = self.outbox.waiting();
        if waiting > 0 {
            tracing::info!(waiting, "reports stay in the spool for the next start");
        }
        Ok(())
    }

    fn work(&mut self, now: Instant) -> anyhow::Result<()> {
        self.settle(now);
        self.recover(now)?;
        self.hand_over(now);
        if let Err(error) = self.outbox.sync_if_due() {
            tracing::warn!(%error, "cannot sync the spool: a power failure would cost more of it");
        }
        if let Some(waited) = self.window.oldest().map(|since| now - since).filter(|waited| *waited > PATIENCE) {
            let waiting = self.outbox.waiting();
            self.outage.begin(now, "no answer", waiting);
            self.shared.health.set(CHECK, Err(format!("{waiting} reports wait, for {} s now", waited.as_secs())));
        }
        self.show();
        Ok(())
    }

    /// When there may be something to do, even if no report is made.
    fn wait(&self, now: Instant) -> Duration {
        let mut wait = LOOK_LATER;
        if let Some(since) = self.window.oldest() {
            wait = wait.min(((now - since) / 4).max(LOOK_SOON));
        }
        if self.next.is_some() && self.has_room(now) {
            let pause = self.paused_until.map_or(self.pace.wait(now), |until| until - now);
            wait = wait.min(pause.max(LOOK_SOON));
        }
        wait
    }

    /// What became of the reports on their way.
    fn settle(&mut self, now: Instant) {
        for Outcome { ticket, result } in self.producer.outcomes() {
            match result {
                Ok(()) => {
                    self.window.delivered(ticket);
                    self.arrived(now);
                }
                Err(code) if is_refusal(code) && self.one_at_a_time => self.refuse(ticket, code),
                Err(code) => {
                    self.window.failed(ticket);
                    if is_refusal(code) { self.too_large = true } else { self.failure = Some(code) }
                }
            }
        }
        self.outbox.acknowledge(self.window.done());
    }

    fn arrived(&mut self, now: Instant) {
        delivered();
        self.shared.health.set(CHECK, Ok(()));
        self.retries = retries();
        if self.outage.arrived(now, self.outbox.waiting()) {
            self.begin_slowly(now);
        }
    }

    /// Kafka would never take it; the next report that is sent tells.
    fn refuse(&mut self, ticket: usize, code: Code) {
        tracing::error!(%code, "Kafka refuses a report for good; it is dropped");
        self.shared.health.set(CHECK, Err(format!("the last report was refused for good: {code}")));
        self.window.refused(ticket);
    }

    /// After a failure everything that was not acknowledged is sent again, in order.
    fn recover(&mut self, now: Instant) -> anyhow::Result<()> {
        let fatal = self.producer.fatal_error();
        if let Some(reason) = fatal.or(self.failure.take().map(|code| code.to_string())) {
            let waiting = self.outbox.waiting();
            self.outage.begin(now, &reason, waiting);
            self.shared.health.set(CHECK, Err(format!("{waiting} reports wait: {reason}")));
            self.shared.topic_is_missing.notify_one();
            self.send_again();
            // with what it still has on its way; what arrives of that is found to be there already
            self.producer = Producer::new(&self.shared.kafka)?;
            self.paused_until = Some(now + self.retries.next().unwrap_or(LONGEST_RETRY));
        } else if self.too_large && self.window.is_idle() {
            self.one_at_a_time = true;
            self.send_again();
        }
        Ok(())
    }

    fn send_again(&mut self) {
        self.window.clear();
        self.next = None;
        self.too_large = false;
        self.outbox.rewind();
    }

    fn hand_over(&mut self, now: Instant) {
        if self.outbox.waiting() == 0 {
            self.one_at_a_time = false;
        }
        self.paused_until = self.paused_until.filter(|until| *until > now);
        loop {
            // in a pause too: its age is the age of what waits
            if self.next.is_none() {
                self.next = self.read(now);
            }
            let Some(record) = &self.next else { return };
            if self.paused_until.is_some() || !self.has_room(now) || !self.pace.wait(now).is_zero() {
                return;
            }
            let (ticket, bytes, removed) = (self.window.ticket(), record.payload.len(), record.removed);
            match self.producer.send(record, self.window.tells(removed), ticket) {
                Ok(()) => self.window.add(bytes, removed, now),
                Err(Code::QueueFull) => return,
                Err(code) if is_refusal(code) => {
                    self.window.add(bytes, removed, now);
                    self.refuse(ticket, code);
                }
                Err(code) => {
                    self.failure = Some(code);
                    return;
                }
            }
            self.pace.take(now);
            self.next = None;
        }
    }

    fn has_room(&self, now: Instant) -> bool {
        let is_stalled = self.window.oldest().is_some_and(|since| now - since > STALLED);
        let has_room = if self.one_at_a_time { self.window.is_idle() } else { self.window.has_room() };
        has_room && !is_stalled && !self.too_large && self.failure.is_none()
    }

    fn read(&mut self, now: Instant) -> Option<Record> {
        let error = match self.outbox.read() {
            Ok(record) => {
                self.unreadable_since = None;
                return record;
            }
            Err(error) => error,
        };
        let since = *self.unreadable_since.get_or_insert_with(|| {
            tracing::error!(%error, "the spool cannot be read");
            now
        });
        if now - since > READ_PATIENCE {
            tracing::error!(%error, "a segment of the spool is given up");
            self.outbox.give_up_segment();
            self.unreadable_since = None;
        }
        None
    }

    /// Hosts that wait for the same Kafka do not all begin at once.
    fn begin_slowly(&mut self, now: Instant) {
        self.pace.restart(now, self.shared.interval.mul_f64(fastrand::f64()));
    }

    fn show(&mut self) {
        let waiting = self.outbox.waiting();
        // what cannot be read grows no younger
        self.oldest_at = self.outbox.oldest_at().or(self.oldest_at).filter(|_| waiting > 0);
        let dropped = self.window.lost() + self.shared.not_taken.reports.load(Ordering::Relaxed);
        let figures = SpoolFigures {
            usage_bytes: self.outbox.bytes(),
            limit_bytes: self.shared.limit_bytes,
            reports: waiting,
            oldest_at: self.oldest_at,
            removed: self.outbox.removed().plus(Removed { dropped, ..Removed::default() }),
        };
        self.outage.look(figures.removed, figures.reports);
        self.shared.board.set(figures);
        spool_is(&figures);
    }
}

fn retries() -> Box<dyn Iterator<Item = Duration> + Send> {
    Box::new(backoff(FIRST_RETRY, LONGEST_RETRY))
}

/// The same report would be refused again, for ever.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidRecord)
}
