//! What stands in the dead-letter topic: how many records, and the newest of them for people to look at, whoever wrote them and when.
//!
//! A task of its own looks and `status` tells, until the backend has heard of it: brokers that are slow to answer hold up nothing. Nothing is kept
//! over a restart: the newest ones are told again then, and the backend has one row for each.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use service_runtime::Shutdown;
use tokio::sync::Notify;
use wire_model::DeadLetter;

use crate::Config;
use crate::assignment::Assignment;
use crate::letter_reader::LetterReader;
use crate::offsets::Offsets;

/// Nobody waits for the number, and it costs three requests …
const INTERVAL: Duration = Duration::from_secs(60);
/// … but where there are new ones, somebody wants to see them. Several are told together.
const SOON: Duration = Duration::from_secs(5);

/// What was found and is not confirmed.
#[derive(Default)]
pub(crate) struct Letters {
    news: Mutex<News>,
    wanted: Notify,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Records in the topic.
    pub(crate) count: Option<u64>,
    /// At most as many as a status may have.
    pub(crate) letters: Vec<DeadLetter>,
}

impl Letters {
    /// There are new ones.
    pub(crate) fn look_soon(&self) {
        self.wanted.notify_one();
    }

    pub(crate) fn unconfirmed(&self) -> News {
        self.lock().clone()
    }

    /// The backend has heard of it.
    pub(crate) fn confirmed(&self, heard: &News) {
        let mut news = self.lock();
        if news.count == heard.count {
            news.count = None;
        }
        news.letters.retain(|letter| !heard.letters.contains(letter));
        // there may be more than were told at once, or were written meanwhile
        if !heard.letters.is_empty() {
            self.look_soon();
        }
    }

    fn has_letters(&self) -> bool {
        !self.lock().letters.is_empty()
    }

    fn found(&self, count: Option<u64>, letters: Vec<DeadLetter>) {
        let mut news = self.lock();
        news.count = count.or(news.count);
        news.letters.extend(letters);
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks into the topic.
pub(crate) struct Watch {
    topic: String,
    offsets: Arc<Offsets>,
    reader: LetterReader,
    assignment: Arc<Assignment>,
    letters: Arc<Letters>,
}

impl Watch {
    pub(crate) fn new(config: &Config, offsets: Arc<Offsets>, assignment: Arc<Assignment>, letters: Arc<Letters>) -> Watch {
        let topic = config.kafka.dead_letter_topic();
        Watch { topic, offsets, reader: LetterReader::new(config), assignment, letters }
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let letters = Arc::clone(&self.letters);
        loop {
            let look = tokio::task::spawn_blocking(move || {
                let looked = self.look();
                (self, looked)
            });
            let (watch, looked) = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                looked = look => looked.context("look into the dead-letter topic")?,
            };
            self = watch;
            match looked {
                Ok(()) => self.assignment.changed.notify_one(),
                Err(error) => {
                    // absent, or not ours to see: nobody knows
                    tracing::debug!(topic = self.topic, error = format!("{error:#}"), "dead letters cannot be counted now");
                    letters.look_soon();
                }
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
                () = async { tokio::time::sleep(SOON).await; letters.wanted.notified().await } => {}
            }
        }
    }

    /// Blocks, for some seconds at most.
    fn look(&mut self) -> anyhow::Result<()> {
        let logs = self.offsets.logs(&self.topic)?;
        let records = |log: &Option<Range<i64>>| log.as_ref().map(|log| u64::try_from(log.end - log.start).unwrap_or(0));
        let count = logs.values().map(records).sum();
        // those before are heard of first, so that there are never more than a status may have
        let letters = if self.letters.has_letters() { Vec::new() } else { self.reader.read(&logs) };
        self.letters.found(count, letters);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;
    use crate::letter::letter;

    fn record(offset: i64) -> DeadLetter {
        letter(&OwnedMessage::new(None, None, "t.dlq".to_owned(), Timestamp::NotAvailable, 0, offset, None))
    }

    #[tokio::test]
    async fn what_was_found_is_told_until_it_is_confirmed_and_then_there_may_be_more() {
        let letters = Letters::default();
        letters.found(Some(2), vec![record(0)]);
        let heard = letters.unconfirmed();
        assert_eq!(heard, News { count: Some(2), letters: vec![record(0)] });
        // counted again before the backend answers, and once more in vain
        letters.found(Some(3), vec![record(1)]);
        letters.found(None, Vec::new());
        letters.confirmed(&heard);
        let heard = News { count: Some(3), letters: vec![record(1)] };
        assert_eq!(letters.unconfirmed(), heard);
        letters.confirmed(&heard);
        assert_eq!(letters.unconfirmed(), News::default());
        tokio::time::timeout(SOON, letters.wanted.notified()).await.unwrap();
        letters.confirmed(&News::default());
        assert!(tokio::time::timeout(Duration::from_millis(1), letters.wanted.notified()).await.is_err());
    }
}
