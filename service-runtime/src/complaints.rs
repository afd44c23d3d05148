//! What librdkafka says for itself, in our log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// Each kind of complaint is passed on once in this time: while Kafka is away librdkafka repeats itself several times a second, but
/// only it knows that the password is wrong.
const REPEAT: Duration = Duration::from_secs(60);
/// Kinds that are remembered; librdkafka has some dozens.
const KINDS: usize = 256;

/// The context of clients that have no other.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    fn is_news(&self, kind: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(kind).is_some_and(|at| now - *at < REPEAT) {
            return false;
        }
        if said.len() >= KINDS {
            said.clear();
        }
        said.insert(kind.to_owned(), now);
        true
    }
}

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg, Error, Warning};
        if matches!(level, Emerg | Alert | Critical | Error | Warning) && self.is_news(facility, Instant::now()) {
            tracing::warn!(target: "librdkafka", facility, message);
        } else {
            tracing::debug!(target: "librdkafka", facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if self.is_news(&error.to_string(), Instant::now()) {
            tracing::warn!(target: "librdkafka", %error, reason);
        } else {
            tracing::debug!(target: "librdkafka", %error, reason);
        }
    }
}

impl ConsumerContext for Complaints {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_once_a_minute() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        for (kind, after, expected) in [
            ("FAIL", Duration::ZERO, true),
            ("FAIL", REPEAT - Duration::from_millis(1), false),
            ("SESSTMOUT", Duration::ZERO, true),
            ("FAIL", REPEAT, true),
        ] {
            assert_eq!(complaints.is_news(kind, now + after), expected, "{kind} after {after:?}");
        }
        for kind in 0..2 * KINDS {
            assert!(complaints.is_news(&kind.to_string(), now));
        }
        assert!(complaints.0.lock().unwrap().len() <= KINDS);
    }
}
