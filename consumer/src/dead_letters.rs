//! Writes what can never be stored to the dead-letter topic: the original bytes, with the reason beside them.
//!
//! A message that is larger than anything that could have been a report is cut, and says so: a letter that no topic takes
//! would hold up its partition for ever. The message as it was stays in the topic of reports until Kafka's retention ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use service_runtime::kafka::{Complaints, KafkaConfig};
use service_runtime::{Health, Shutdown, backoff};
use wire_model::limits::{MESSAGE_BYTES, REASON_CHARS};

use crate::DEAD_LETTER_MESSAGE_BYTES;
use crate::batch::{Record, header_bytes};
use crate::letters::Letters;
use crate::outages::Outages;
use crate::partition::Partition;

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Bytes of the original message that are carried over …
const PAYLOAD_BYTES: usize = DEAD_LETTER_MESSAGE_BYTES - 256 * 1024;
const KEY_BYTES: usize = 64 * 1024;
/// … and of its headers, with [`HEADER_FRAME_BYTES`] for each.
const HEADERS_BYTES: usize = 64 * 1024;
/// The lengths of a header's key and value in Kafka's format: two varints.
const HEADER_FRAME_BYTES: usize = 10;
/// Our own headers and Kafka's framing; the reason and the topic's name have at most 4 bytes a character.
const OWN_BYTES: usize = 4 * REASON_CHARS + 4 * 1024;

const _: () = assert!(
    PAYLOAD_BYTES + KEY_BYTES + HEADERS_BYTES + OWN_BYTES <= DEAD_LETTER_MESSAGE_BYTES,
    "what is carried over fits the topic that we create"
);
const _: () = assert!(MESSAGE_BYTES < PAYLOAD_BYTES, "what could be a report is never cut");

/// Names of our headers. The reason stands first, behind all that the record had.
pub(crate) mod header {
    pub(crate) const REASON: &str = "reason";
    pub(crate) const TOPIC: &str = "topic";
    pub(crate) const PARTITION: &str = "partition";
    pub(crate) const OFFSET: &str = "offset";
    pub(crate) const TIMESTAMP: &str = "timestamp";
    pub(crate) const KEY_BYTES: &str = "key_bytes";
    pub(crate) const PAYLOAD_BYTES: &str = "payload_bytes";
    pub(crate) const DROPPED_HEADERS: &str = "dropped_headers";
}

/// One record that can never be stored.
pub(crate) struct DeadLetter<'a> {
    pub(crate) record: &'a Record,
    pub(crate) kind: Kind,
    /// For people.
    pub(crate) reason: String,
}

/// Label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not exactly one JSON value.
    NotJson,
    /// Larger than a message may be, or than the backend takes.
    TooLarge,
    /// The backend's receipt rejects it.
    Rejected,
    /// The backend fails at it, and at nothing else.
    Fault,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Kind::NotJson => "not_json",
            Kind::TooLarge => "too_large",
            Kind::Rejected => "rejected",
            Kind::Fault => "fault",
        }
    }
}

pub(crate) struct DeadLetters {
    producer: FutureProducer<Complaints>,
    topic: String,
    outages: Outages,
    letters: Arc<Letters>,
}

impl DeadLetters {
    pub(crate) fn new(kafka: &KafkaConfig, letters: Arc<Letters>, health: Health) -> anyhow::Result<DeadLetters> {
        let producer = kafka
            .producer_config()
            // a topic that was there before us may have Kafka's default limit, below the largest report as it stands
            .set("compression.type", "zstd")
            .set("message.max.bytes", DEAD_LETTER_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
            .create_with_context(Complaints::default())?;
        Ok(DeadLetters { producer, topic: kafka.dead_letter_topic(), outages: Outages::new("dead letters", health), letters })
    }

    /// Returns when Kafka has acknowledged all of them, however long that takes; `false` when the shutdown came first.
    ///
    /// The error is one after which this producer can write no more.
    pub(crate) async fn write(
        &self,
        partition: &Partition,
        dead_letters: &[DeadLetter<'_>],
        shutdown: &Shutdown,
    ) -> anyhow::Result<bool> {
        let Some(first) = dead_letters.first() else { return Ok(true) };
        let mut left: Vec<&DeadLetter> = dead_letters.iter().collect();
        let mut waits = backoff(FIRST_RETRY, LONGEST_RETRY);
        let mut said = None;
        let mut outage = None;
        loop {
            partition.promise.within(DELIVERY_TIMEOUT);
            let results = join_all(left.iter().map(|letter| self.send(partition, letter))).await;
            let problem = results.iter().find_map(|result| result.as_ref().err()).map(|error| describe(error, &self.topic));
            left = left.into_iter().zip(results).filter(|(_, result)| result.is_err()).map(|(letter, _)| letter).collect();
            let Some(problem) = problem else { break };
            if let Some((code, reason)) = self.producer.client().fatal_error() {
                bail!("the producer of dead letters cannot go on: {code}: {reason}");
            }
            outage.get_or_insert_with(|| self.outages.begin(partition.number, &problem));
            if said.as_ref() != Some(&problem) {
                tracing::error!(topic = self.topic, problem, "dead letters cannot be written; their partition waits");
                said = Some(problem);
            }
            let wait = waits.next().unwrap_or(LONGEST_RETRY);
            partition.promise.within(wait);
            tokio::select! {
                () = shutdown.requested() => return Ok(false),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.letters.look_soon();
        for letter in dead_letters {
            metrics::counter!("consumer_dead_letters_total", "reason_kind" => letter.kind.label()).increment(1);
        }
        tracing::error!(
            topic = self.topic,
            partition = partition.number,
            count = dead_letters.len(),
            first_offset = first.record.offset,
            first_reason = first.reason,
            "records that cannot be stored were written to the dead-letter topic"
        );
        Ok(true)
    }

    async fn send(&self, partition: &Partition, letter: &DeadLetter<'_>) -> Result<(), KafkaError> {
        let record = letter.record;
        let mut message: FutureRecord<[u8], [u8]> = FutureRecord::to(&self.topic).headers(headers(partition, letter));
        message.key = record.key.as_deref().map(|key| cut(key, KEY_BYTES));
        message.payload = record.payload.as_deref().map(|payload| cut(payload, PAYLOAD_BYTES));
        self.producer.send(message, Timeout::Never).await.map(|_| ()).map_err(|(error, _)| error)
    }
}

/// What is wrong, and what to do about it where an operator has to.
fn describe(error: &KafkaError, topic: &str) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            format!("{error}: set max.message.bytes={DEAD_LETTER_MESSAGE_BYTES} for the topic {topic}")
        }
        _ => error.to_string(),
    }
}

fn cut(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

/// The original headers as far as they fit, then ours, among them what was cut. The original timestamp is one of them, and
/// the letter's own is the time of writing: with an old one Kafka's retention could remove the letter at once.
fn headers(partition: &Partition, letter: &DeadLetter<'_>) -> OwnedHeaders {
    let record = letter.record;
    let (theirs, dropped) = carried_over(record.headers.as_ref());
    let reason: String = letter.reason.chars().take(REASON_CHARS).collect();
    let mut ours = vec![
        (header::REASON, reason),
        (header::TOPIC, partition.topic.clone()),
        (header::PARTITION, partition.number.to_string()),
        (header::OFFSET, record.offset.to_string()),
    ];
    if let Some(timestamp_ms) = record.timestamp_ms {
        ours.push((header::TIMESTAMP, timestamp_ms.to_string()));
    }
    let parts = [(header::KEY_BYTES, &record.key, KEY_BYTES), (header::PAYLOAD_BYTES, &record.payload, PAYLOAD_BYTES)];
    for (name, part, most) in parts {
        if let Some(part) = part.as_ref().filter(|part| part.len() > most) {
            ours.push((name, part.len().to_string()));
        }
    }
    if dropped > 0 {
        ours.push((header::DROPPED_HEADERS, dropped.to_string()));
    }
    ours.iter().fold(theirs, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// The headers that fit [`HEADERS_BYTES`], in order, and how many do not.
fn carried_over(headers: Option<&OwnedHeaders>) -> (OwnedHeaders, usize) {
    let (mut kept, mut bytes, mut dropped) = (OwnedHeaders::new(), 0, 0);
    for header in headers.iter().flat_map(|headers| headers.iter()) {
        let more = header_bytes(&header) + HEADER_FRAME_BYTES;
        if bytes + more > HEADERS_BYTES {
            dropped += 1;
            continue;
        }
        bytes += more;
        let value = header.value.map(<[u8]>::to_vec);
        kept = kept.insert(Header { key: header.key, value: value.as_ref() });
    }
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_whose_limit_is_too_small_is_named_with_the_limit_it_needs() {
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert!(describe(&error, "a.dlq").ends_with("set max.message.bytes=16777216 for the topic a.dlq"));
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        assert_eq!(describe(&error, "a.dlq"), error.to_string());
    }

    #[test]
    fn headers_are_carried_over_up_to_their_bound_and_the_rest_is_counted() {
        let most = HEADERS_BYTES - HEADER_FRAME_BYTES - "k".len();
        let small = HEADER_FRAME_BYTES + "s".len();
        for (large, kept, dropped) in [
            (most, vec!["k"], 1),
            (most + 1, vec!["s"], 1),
            (most - small, vec!["k", "s"], 0),
            (most - small + 1, vec!["k"], 1),
            (900_000, vec!["s"], 1),
        ] {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "k", value: Some(&vec![0; large]) })
                .insert(Header { key: "s", value: None::<&[u8]> });
            let (carried, found) = carried_over(Some(&headers));
            let names: Vec<&str> = carried.iter().map(|header| header.key).collect();
            assert_eq!((names, found), (kept, dropped), "{large}");
        }
        assert_eq!(carried_over(None).1, 0);
    }
}
